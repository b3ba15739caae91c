//! Claims on records that became known with unequal chances.

use routing::certificate::Draw;

use super::*;
use crate::calibrate::draws::Draws;

/// What is known of so many requests of which the surest are audited with a chance of a tenth and
/// the unsure are all known: three in ten are of label 1, and 0.3 (1 − s)² are answered with the
/// other label.
fn audited(requests: usize, seed: u64) -> (Sample, Vec<(usize, Answer)>) {
    let mut random = Random::new(seed);
    let (mut records, mut draws, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..requests {
        let (confidence, label) = (random.unit(), usize::from(random.unit() < 0.3));
        let is_wrong = random.unit() < 0.3 * (1.0 - confidence) * (1.0 - confidence);
        let chance = (1.7 - 1.6 * confidence).clamp(0.1, 1.0);
        let (known, lots) = (random.unit() < chance, (random.unit(), random.unit()));
        let Some(draw) = Draw::of(0.1 / chance, lots).filter(|_| known) else {
            continue;
        };
        let answer = Answer {
            label: (label + usize::from(is_wrong)) % 2,
            confidence,
        };
        answers.push((records.len(), answer));
        draws.push(draw);
        records.push(Labelled {
            text: String::new(),
            label,
        });
    }
    let draws = Draws {
        rate: 0.1 * requests as f64 / draws.len() as f64,
        of: draws,
    };
    let sample = Sample {
        records,
        draws: Some(draws),
        ..sample(0)
    };
    (sample, answers)
}

#[test]
fn claims_of_audited_records_hold_where_some_are_weighed_and_others_thinned() {
    let what = (Goal::new(0.05, 0.1).unwrap(), Risk::Selective);
    let shares = Shares {
        wrong: &[],
        missed: &[(1, 0.03)],
    };
    let claims = Claims::new(what, shares, (1, 2)).unwrap();
    let (mut failed, mut weighed, mut kept) = (0, 0, 0.0);
    for seed in 0..60 {
        let (sample, answers) = audited(8_000, seed);
        let part = Part {
            records: &(0..sample.records.len()).collect::<Vec<usize>>(),
            ladder: None,
            floor: f64::NEG_INFINITY,
        };
        let proven = claims.prove(&sample, part, &answers);
        weighed += usize::from(proven.proof.weighing.is_some());
        // Of label 1 some 240 records would stay, of which 7 may be missed.
        let missed = &proven.missed[0];
        assert!(missed.weighing.is_none() && (180..300).contains(&missed.records));
        let Some(at) = proven.proof.threshold else {
            continue;
        };
        // Of all answers from a confidence up 0.1 (1 − t)² are wrong, and kept so of each label
        // 0.1 (1 − t)³.
        let share = 1.0 - at;
        failed += usize::from(share * share > 0.5 || share * share * share > 0.3);
        kept += share / 60.0;
        assert!(
            (proven.share_kept - share).abs() < 0.05,
            "{}",
            proven.share_kept
        );
        assert!(missed.bound <= 0.03 && proven.proof.bound <= 0.05);
    }
    // 10 % of 60 are 6; three standard deviations above are 13.
    assert!(failed <= 13, "{failed} of 60");
    assert!(weighed > 55 && kept > 0.3, "{weighed} {kept}");
}
