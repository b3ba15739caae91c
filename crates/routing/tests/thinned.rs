//! Records that became known with unequal chances, as audits make them, certified after they were
//! thinned out to equal ones: the claim holds, and how that compares with weighing them instead.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use routing::certificate::{Goal, Risk, certify};
use routing::random::Random;
use routing::threshold::Scored;

const ALPHA: f64 = 0.05;
const DELTA: f64 = 0.05;

/// The surest answers are audited with the first probability, those at the threshold with the
/// second; what is below the threshold went on to the reference and is known with certainty.
const SHARE: f64 = 0.02;
const NEAR: f64 = 0.1;

/// How traffic is answered.
#[derive(Clone, Copy)]
struct Traffic {
    /// From which confidence answers were kept.
    threshold: f64,
    /// How often an answer of a confidence is wrong.
    wrong: fn(f64) -> f64,
    /// How often all answers from a confidence up are.
    wrong_from: fn(f64) -> f64,
}

/// 5 % of all answers from 0.29 up are wrong.
const CURVED: Traffic = Traffic {
    threshold: 0.5,
    wrong: |s| 0.3 * (1.0 - s) * (1.0 - s),
    wrong_from: |s| 0.1 * (1.0 - s) * (1.0 - s),
};

/// 5 % of all answers from 0.5 up are wrong.
const STRAIGHT: Traffic = Traffic {
    threshold: 0.7,
    wrong: |s| 0.2 * (1.0 - s),
    wrong_from: |s| 0.1 * (1.0 - s),
};

/// What is known of so many requests, each with the probability that it became known.
fn known(traffic: Traffic, requests: usize, random: &mut Random) -> Vec<(Scored, f64)> {
    let mut known = Vec::new();
    for _ in 0..requests {
        let confidence = random.unit();
        let distance = (confidence - traffic.threshold) / (1.0 - traffic.threshold);
        let probability = match confidence < traffic.threshold {
            true => 1.0,
            false => NEAR + (SHARE - NEAR) * distance,
        };
        let correct = random.unit() >= (traffic.wrong)(confidence);
        if random.unit() < probability {
            known.push((
                Scored {
                    confidence,
                    correct,
                },
                probability,
            ));
        }
    }
    known
}

/// The lowest threshold whose records prove the goal when each is weighed by how improbable it was
/// (Waudby-Smith & Ramdas 2024): a gambler's wealth ∏ (1 + λ (π₀/π) (α − L)), averaged over bets
/// λ that are best at several risks, reaches 1/δ. It begins at 0.8.
fn weighed(known: &[(Scored, f64)]) -> Option<f64> {
    const RISKS: [f64; 6] = [0.05, 0.3, 0.5, 0.7, 0.8, 0.9];
    let mut sorted: Vec<_> = known.to_vec();
    sorted.sort_by(|a, b| b.0.confidence.total_cmp(&a.0.confidence));
    let mut logs = [0.0_f64; RISKS.len()];
    let mut best = None;
    for (record, probability) in sorted {
        let gain = ALPHA - f64::from(u8::from(!record.correct));
        for (log, risk) in logs.iter_mut().zip(RISKS) {
            let bet = (1.0 - risk) / (1.0 - ALPHA);
            *log += (bet * SHARE / probability * gain).ln_1p();
        }
        let wealth = logs.iter().map(|log| log.exp()).sum::<f64>() / RISKS.len() as f64;
        if record.confidence < 0.8 {
            if wealth < 1.0 / DELTA {
                break;
            }
            best = Some(record.confidence);
        }
    }
    best
}

/// How often the thinned records claim too much, and the mean share that they and the weighed ones
/// let be kept.
fn compared(traffic: Traffic, requests: usize, draws: u64) -> (usize, f64, f64) {
    let goal = Goal::new(ALPHA, DELTA).unwrap();
    let (mut failed, mut thinned_kept, mut weighed_kept) = (0, 0.0, 0.0);
    for seed in 0..draws {
        let mut random = Random::new(seed);
        let known = known(traffic, requests, &mut random);
        let thinned: Vec<Scored> = known
            .iter()
            .filter(|(_, probability)| random.unit() < SHARE / probability)
            .map(|(record, _)| *record)
            .collect();
        if let Some(threshold) = certify(&thinned, Risk::Selective, goal).threshold {
            failed += usize::from((traffic.wrong_from)(threshold) > ALPHA);
            thinned_kept += 1.0 - threshold;
        }
        weighed_kept += weighed(&known).map_or(0.0, |threshold| 1.0 - threshold);
    }
    let draws = draws as f64;
    (failed, thinned_kept / draws, weighed_kept / draws)
}

#[test]
fn thinned_records_claim_too_much_no_more_often_than_delta() {
    for traffic in [CURVED, STRAIGHT] {
        let (failed, kept, _) = compared(traffic, 30_000, 200);
        // 5 % of 200 are 10; three standard deviations above are 19.
        assert!(failed <= 19, "{failed} of 200");
        assert!(kept > 0.05, "{kept}");
    }
}

/// The exact test of fewer records is the stronger one until many are known: the gambler has to
/// win for sure, while the exact test loses nothing. From about 50 errors allowed among the thinned
/// records on (α times their number) weighing lets more be kept.
#[test]
fn weighing_them_instead_keeps_less_of_few_requests_and_more_of_many() {
    for traffic in [CURVED, STRAIGHT] {
        let (_, thinned, weighed) = compared(traffic, 10_000, 60);
        assert!(thinned >= weighed, "{thinned} {weighed}");
        let (_, thinned, weighed) = compared(traffic, 200_000, 10);
        assert!(
            thinned < weighed && thinned > 0.6 * weighed,
            "{thinned} {weighed}"
        );
    }
}
