//! The pieces of evidence that a head weighs, as numbers of about the size of 1.

use domain::LabelProbabilities;

use super::Brought;
use crate::checks::Checks;
use crate::elementary::ln;
use crate::evidence::{Evidence, TokenLogProbabilities};

/// Probabilities are kept this far from 0 and 1, so that their log-odds stay within ±8.
const EDGE: f64 = 3.4e-4;

/// Log-odds and log-probabilities are divided by this to be of the size of 1.
const SCALE: f64 = 4.0;

/// The shares of a text's tokens below whose log-probability something is said.
const QUANTILES: [f64; 4] = [0.0, 0.1, 0.25, 0.5];

/// One piece of evidence, and whether more of it can only speak for the answer.
pub(super) struct Piece {
    pub(super) value: f64,
    pub(super) rises: bool,
}

/// The mean of the logarithms of each label's probability.
pub(super) fn prior<'a>(evidence: impl Iterator<Item = &'a Evidence>) -> Vec<f64> {
    let (mut sums, mut count) = (Vec::new(), 0.0);
    for evidence in evidence {
        let Evidence::Labels(own) = evidence else {
            return Vec::new();
        };
        sums.resize(own.as_slice().len(), 0.0);
        count += 1.0;
        for (sum, p) in sums.iter_mut().zip(own.as_slice()) {
            *sum += ln(p.max(EDGE));
        }
    }
    sums.iter().map(|sum| sum / count).collect()
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(EDGE, 1.0 - EDGE);
    ln(p / (1.0 - p)) / SCALE
}

/// All that an answer brings, in an order that depends on its kind alone.
pub(super) fn pieces(brought: &Brought<'_>, prior: &[f64]) -> Vec<Piece> {
    match brought.evidence {
        Evidence::Labels(own) => of_labels(own, &brought.earlier, prior),
        Evidence::Tokens(tokens) => of_tokens(tokens, &brought.checks),
    }
}

fn rising(value: f64) -> Piece {
    Piece { value, rises: true }
}

fn of_labels(
    own: &LabelProbabilities,
    earlier: &[Option<&LabelProbabilities>],
    prior: &[f64],
) -> Vec<Piece> {
    let (answer, top) = own.top();
    let p = own.as_slice();
    let others = p.iter().enumerate().filter(|(label, _)| *label != answer);
    let second = others.fold(0.0_f64, |second, (_, &p)| second.max(p));
    let entropy: f64 = -p
        .iter()
        .map(|&p| if p > 0.0 { p * ln(p) } else { 0.0 })
        .sum::<f64>();
    let margin = ln((top.max(EDGE) / second.max(EDGE)).max(1.0)) / SCALE;
    let logits = p
        .iter()
        .zip(prior)
        .map(|(p, prior)| ln(p.max(EDGE)) - prior);
    let corrected = LabelProbabilities::from_logits(&logits.collect::<Vec<_>>());
    let mut pieces = vec![
        rising(log_odds(top)),
        rising(margin),
        rising(1.0 - entropy / ln(p.len().max(2) as f64)),
        rising(log_odds(corrected.as_slice()[answer])),
    ];
    for heard in earlier {
        // Of one that gave no answer nothing is said either way.
        let (agrees, odds) = heard.map_or((0.5, 0.0), |heard| {
            let agrees = f64::from(u8::from(heard.top().0 == answer));
            (agrees, log_odds(heard.as_slice()[answer]))
        });
        pieces.extend([rising(agrees), rising(odds)]);
    }
    // Some labels are answered rightly more often than their probability says.
    pieces.extend((0..p.len()).map(|label| Piece {
        value: f64::from(u8::from(label == answer)),
        rises: false,
    }));
    pieces
}

fn of_tokens(tokens: &TokenLogProbabilities, checks: &Checks) -> Vec<Piece> {
    let scaled = |log: f64| log.max(-8.0) / SCALE;
    let mut pieces = vec![rising(scaled(tokens.mean()))];
    pieces.extend(QUANTILES.map(|at| rising(scaled(tokens.quantile(at)))));
    let sums = match (checks.sums_right, checks.sums_wrong) {
        (0, 0) => 0.0,
        (_, 0) => 1.0,
        _ => -1.0,
    };
    pieces.extend([
        rising(checks.grounded_share()),
        rising(sums),
        rising(tokens.self_check().map_or(0.0, log_odds)),
        Piece {
            value: ln(tokens.len() as f64) / SCALE,
            rises: false,
        },
        Piece {
            value: f64::from(u8::from(checks.values > 0)),
            rises: false,
        },
    ]);
    pieces
}
