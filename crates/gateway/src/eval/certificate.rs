//! `tiergate eval certificate`: how often certificates hold, and how much they let us keep.
//!
//! The records are the population. Samples are drawn from it with replacement, a threshold is
//! certified on each, and its true risk is that on the whole population.

use std::path::PathBuf;

use anyhow::ensure;
use routing::certificate::{Goal, Risk, certify};
use routing::random::Random;
use routing::threshold::Scored;
use serde_json::{Value, json};

use super::output;
use super::pairs::{self, Pairs};
use crate::terminal::table;

/// What to certify.
#[derive(clap::Args, Debug)]
pub(crate) struct CertificateArgs {
    /// Records with the answers of both models
    #[arg(long)]
    records: PathBuf,
    /// The model whose answers are kept
    #[arg(long)]
    local: String,
    /// The model with which kept answers shall agree, or `gold` for the right answer
    #[arg(long)]
    reference: String,
    /// Largest share of kept answers that may disagree
    #[arg(long)]
    alpha: f64,
    /// Probability with which a certificate may be wrong
    #[arg(long, default_value_t = 0.05)]
    delta: f64,
    /// Records in each sample
    #[arg(long, default_value_t = 2000)]
    n: usize,
    /// How many samples are drawn
    #[arg(long, default_value_t = 1000)]
    draws: usize,
    /// Seed of the samples
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the draws showed.
struct Findings {
    pairs: Pairs,
    /// Share of the population kept by each draw's threshold.
    shares: Vec<f64>,
    violations: usize,
    certified: usize,
    /// The largest share whose true risk is at most alpha.
    oracle_share: f64,
    /// Records wanting, as the median of the draws that certified nothing and know.
    records_wanting: Option<usize>,
}

pub(crate) fn run(args: &CertificateArgs) -> anyhow::Result<()> {
    ensure!(
        args.draws > 0 && args.n > 0,
        "--draws and --n: take 1 or more"
    );
    let goal = Goal::new(args.alpha, args.delta)?;
    let pairs = pairs::read(&args.records, &args.local, &args.reference)?;
    let findings = draw(pairs, goal, args);
    output::print(&if args.json {
        output::Report::Machine(findings.to_json(args))
    } else {
        output::Report::People(findings.to_text(args))
    });
    Ok(())
}

fn draw(pairs: Pairs, goal: Goal, args: &CertificateArgs) -> Findings {
    let population = Population::new(&pairs.scored);
    let mut random = Random::new(args.seed);
    let (mut shares, mut wanting) = (Vec::with_capacity(args.draws), Vec::new());
    let (mut violations, mut certified) = (0, 0);
    for _ in 0..args.draws {
        let one = |_| pairs.scored[random.below(pairs.scored.len())];
        let sample: Vec<Scored> = (0..args.n).map(one).collect();
        let proof = certify(&sample, Risk::Selective, goal);
        let (kept, errors) = proof.threshold.map_or((0, 0), |t| population.from(t));
        certified += usize::from(proof.threshold.is_some());
        violations += usize::from(errors as f64 > goal.alpha() * kept as f64);
        shares.push(kept as f64 / pairs.scored.len() as f64);
        wanting.extend(proof.records_wanting);
    }
    wanting.sort_unstable();
    Findings {
        shares,
        violations,
        certified,
        oracle_share: population.oracle_share(goal.alpha()),
        records_wanting: wanting.get(wanting.len() / 2).copied(),
        pairs,
    }
}

/// All records, the surest first, with the errors up to each.
struct Population {
    scores: Vec<f64>,
    /// Errors among the first so many; (n_records + 1).
    errors: Vec<usize>,
}

impl Population {
    fn new(scored: &[Scored]) -> Self {
        let mut sorted = scored.to_vec();
        sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let mut errors = vec![0];
        for record in &sorted {
            errors.push(errors[errors.len() - 1] + usize::from(!record.correct));
        }
        Self {
            scores: sorted.iter().map(|record| record.confidence).collect(),
            errors,
        }
    }

    /// How many a threshold keeps, and how many of these are wrong.
    fn from(&self, threshold: f64) -> (usize, usize) {
        let kept = self.scores.partition_point(|&score| score >= threshold);
        (kept, self.errors[kept])
    }

    fn oracle_share(&self, alpha: f64) -> f64 {
        let n = self.scores.len();
        let whole = |&kept: &usize| kept == n || self.scores[kept] != self.scores[kept - 1];
        let meets = |&kept: &usize| self.errors[kept] as f64 <= alpha * kept as f64;
        (1..=n).filter(whole).filter(meets).max().unwrap_or(0) as f64 / n as f64
    }
}

impl Findings {
    fn violation_rate(&self) -> f64 {
        self.violations as f64 / self.shares.len() as f64
    }

    fn share_kept(&self) -> f64 {
        self.shares.iter().sum::<f64>() / self.shares.len() as f64
    }

    /// The share kept and its standard error.
    fn share_error(&self) -> f64 {
        let (n, mean) = (self.shares.len() as f64, self.share_kept());
        let squares: f64 = self.shares.iter().map(|s| (s - mean) * (s - mean)).sum();
        (squares / (n * (n - 1.0).max(1.0))).sqrt()
    }

    /// Largest violation rate that chance explains: delta and three standard errors.
    fn violations_allowed(&self, delta: f64) -> f64 {
        delta + 3.0 * (delta * (1.0 - delta) / self.shares.len() as f64).sqrt()
    }

    fn ratio(&self) -> Option<f64> {
        (self.oracle_share > 0.0).then(|| self.share_kept() / self.oracle_share)
    }

    fn to_json(&self, args: &CertificateArgs) -> Value {
        json!({
            "violation_rate": self.violation_rate(),
            "violation_rate_allowed": self.violations_allowed(args.delta),
            "share_kept": self.share_kept(),
            "share_kept_standard_error": self.share_error(),
            "oracle_share": self.oracle_share,
            "share_of_oracle": self.ratio(),
            "certified_draws": self.certified,
            "draws": args.draws,
            "n": args.n,
            "alpha": args.alpha,
            "delta": args.delta,
            "population": self.pairs.scored.len(),
            "records_left_out": self.pairs.left_out,
            "without_evidence": self.pairs.without_evidence,
            "records_wanting": self.records_wanting,
        })
    }

    fn to_text(&self, args: &CertificateArgs) -> Vec<String> {
        let percent = |x: f64| format!("{:.1} %", x * 100.0);
        let mut rows = table(&["", ""]);
        let mut row = |name: &str, value: String| {
            rows.add_row(vec![name.to_owned(), value]);
        };
        row("records", self.pairs.scored.len().to_string());
        row(
            "certified",
            format!(
                "{} of {} draws of {} records",
                self.certified, args.draws, args.n
            ),
        );
        row(
            "violated",
            format!(
                "{} of draws (up to {} is chance)",
                percent(self.violation_rate()),
                percent(self.violations_allowed(args.delta))
            ),
        );
        row(
            "share kept",
            format!(
                "{} ± {}",
                percent(self.share_kept()),
                percent(self.share_error())
            ),
        );
        row("oracle keeps", percent(self.oracle_share));
        row(
            "of the oracle's",
            self.ratio().map_or("–".to_owned(), percent),
        );
        let mut lines = vec![rows.to_string()];
        if self.pairs.without_evidence {
            lines.push(format!(
                "`{}` brings no confidence: all or nothing is kept",
                args.local
            ));
        }
        if self.pairs.left_out > 0 {
            lines.push(format!(
                "{} records lack one of the two models",
                self.pairs.left_out
            ));
        }
        if let Some(wanting) = self.records_wanting {
            lines.push(format!(
                "where nothing was certified, about {wanting} more records would do"
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oracle_keeps_ties_together_and_skips_a_bad_top() {
        let scored = |confidence, correct| Scored {
            confidence,
            correct,
        };
        let mut records = vec![scored(0.9, false)];
        records.extend(vec![scored(0.8, true); 9]);
        records.extend([scored(0.5, true), scored(0.5, false)]);
        let population = Population::new(&records);
        assert_eq!(population.oracle_share(0.1), 10.0 / 12.0);
        assert_eq!(population.oracle_share(0.05), 0.0);
        assert_eq!(population.oracle_share(0.2), 1.0);
        assert_eq!(population.from(0.5), (12, 2));
    }
}
