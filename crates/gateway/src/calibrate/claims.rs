//! What is to be proven of each tier, so that all of it holds together.
//!
//! One claim is about the answers that the tier keeps, and one more about each label that must
//! not be missed. Every claim has an equal part of the failure probability; what may be missed of
//! a label is shared out over the tiers, since what each of them misses adds up.

use std::collections::HashMap;

use anyhow::Context as _;
use routing::binomial::upper_bound;
use routing::certificate::{Goal, Proof, Risk, certify, certify_from};
use routing::threshold::Scored;

use super::ladder::{Ladder, Step};
use super::records::Sample;
use crate::certificate::MissProof;
use crate::learn::asking::Answer;

/// The claims about one tier; they are the same for each.
pub(super) struct Claims {
    /// Of what it keeps.
    pub(super) kept: Goal,
    /// Whether that is a share of what it keeps, or its part of a share of all documents.
    pub(super) risk: Risk,
    /// Of labels by their index.
    missed: Vec<(usize, Goal)>,
}

/// The records that certify a tier, and where its threshold may lie.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) records: &'a [usize],
    /// It is one of these steps, where there are any.
    pub(super) ladder: Option<&'a Ladder>,
    /// It is no lower than this.
    pub(super) floor: f64,
}

/// What could be proven of a tier.
pub(super) struct Proven {
    pub(super) proof: Proof,
    pub(super) missed: Vec<MissProof>,
    /// The weight of what came out in the claims of later tiers.
    pub(super) weight: f64,
    /// The records that prove what is said of the kept answers.
    pub(super) sample: Vec<Scored>,
}

impl Claims {
    /// The claims about each of so many tiers, for a goal of them all.
    ///
    /// # Errors
    /// When a share is no goal.
    pub(super) fn new(
        (goal, risk): (Goal, Risk),
        max_missed: &[(usize, f64)],
        n_tiers: usize,
    ) -> anyhow::Result<Self> {
        let mut kept = goal.split(n_tiers * (1 + max_missed.len()));
        if risk == Risk::Marginal {
            // What each tier keeps wrongly adds up.
            kept = Goal::new(kept.alpha() / n_tiers as f64, kept.delta())?;
        }
        let missed = max_missed.iter().map(|&(label, share)| {
            let goal = Goal::new(share / n_tiers as f64, kept.delta());
            Ok((label, goal.context("target.max_missed")?))
        });
        Ok(Self {
            kept,
            risk,
            missed: missed.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The same claims with this weight of their parts of the failure probability.
    pub(super) fn weighted(&self, weight: f64) -> Self {
        let weighted = |goal: &Goal| {
            let goal = Goal::new(goal.alpha(), goal.delta() * weight);
            goal.unwrap_or_else(|_| unreachable!("a weight is above 0 and at most 1"))
        };
        let missed = self.missed.iter();
        Self {
            kept: weighted(&self.kept),
            risk: self.risk,
            missed: missed
                .map(|(label, goal)| (*label, weighted(goal)))
                .collect(),
        }
    }

    /// What a tier's answers prove, from the records of its part.
    pub(super) fn prove(
        &self,
        sample: &Sample,
        Part {
            records: part,
            ladder,
            floor,
        }: Part<'_>,
        answers: &[(usize, Answer)],
    ) -> Proven {
        let answers: HashMap<usize, Answer> = answers.iter().copied().collect();
        let scored = |record: &usize| {
            let answer = answers.get(record)?;
            Some(Scored {
                confidence: answer.confidence,
                correct: answer.label == sample.records[*record].label,
            })
        };
        // What the tier is not asked, or gives no answer to, counts among all documents, or the
        // label's, and is never kept by it.
        let not_kept = Scored {
            confidence: f64::NAN,
            correct: false,
        };
        let own: Vec<Scored> = match self.risk {
            Risk::Selective => part.iter().filter_map(scored).collect(),
            Risk::Marginal => {
                let all = part.iter();
                all.map(|it| scored(it).unwrap_or(not_kept)).collect()
            }
        };
        let of_label = |label: usize| {
            let own = part
                .iter()
                .filter(move |&&r| sample.records[r].label == label);
            own.map(|record| scored(record).unwrap_or(not_kept))
                .collect::<Vec<_>>()
        };
        let missed = self.missed.iter().map(|&(label, goal)| {
            let records = of_label(label);
            let proof = certify(&records, Risk::Marginal, goal);
            (label, goal, records, proof)
        });
        let missed: Vec<_> = missed.collect();
        let floors = missed
            .iter()
            .map(|(.., proof)| proof.threshold.unwrap_or(f64::INFINITY));
        let floor = floors.fold(floor, f64::max);
        let mut proof = certify_from(&own, self.risk, self.kept, floor);
        if floor == f64::INFINITY {
            // What is wanting for the label is said there.
            proof.records_wanting = certify(&own, self.risk, self.kept).records_wanting;
        }
        let step = ladder.map(|ladder| ladder.step(proof.threshold));
        if let Some(step) = step {
            proof = self.stepped(&own, proof, step);
        }
        let threshold = proof.threshold;
        let missed = missed.into_iter().map(|(label, goal, records, proof)| {
            let name = sample.labels.name(label).to_owned();
            miss_proof(name, goal, (&records, &proof), threshold)
        });
        Proven {
            missed: missed.collect(),
            weight: ladder.map_or(1.0, |ladder| ladder.step(proof.threshold).weight),
            proof,
            sample: own,
        }
    }

    /// The proof at a step of the ladder. What the step keeps of the records is what the lowest
    /// score at or above it keeps, so that the one is proven with the other.
    fn stepped(&self, own: &[Scored], lowest: Proof, step: Step) -> Proof {
        if step.threshold == f64::INFINITY {
            return Proof {
                threshold: None,
                kept: 0,
                errors: 0,
                bound: 1.0,
                ..lowest
            };
        }
        let proof = certify_from(own, self.risk, self.kept, step.threshold);
        Proof {
            threshold: proof.threshold.map(|_| step.threshold),
            ..proof
        }
    }
}

/// What is proven of a label at the tier's threshold; where it has none, at the label's own.
fn miss_proof(
    label: String,
    goal: Goal,
    (records, proof): (&[Scored], &Proof),
    threshold: Option<f64>,
) -> MissProof {
    let (errors, bound) = match threshold {
        Some(threshold) => {
            let missed = |r: &&Scored| r.confidence >= threshold && !r.correct;
            let errors = records.iter().filter(missed).count();
            (errors, upper_bound(errors, records.len(), goal.delta()))
        }
        None => (proof.errors, proof.bound),
    };
    MissProof {
        label,
        alpha: goal.alpha(),
        delta: goal.delta(),
        records: records.len(),
        errors,
        bound,
        records_wanting: proof.records_wanting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::Labelled;
    use domain::{Label, Labels, TaskName};
    use routing::random::Random;

    /// What two tiers make of a document whose right label is 0: how sure each is, and whether it
    /// is right.
    #[derive(Clone, Copy)]
    struct Document {
        first: (f64, bool),
        second: (f64, bool),
    }

    /// Documents that the first tier is unsure of are harder for the second one too.
    fn documents(n: usize, seed: u64) -> Vec<Document> {
        let mut random = Random::new(seed);
        let mut document = |_| {
            let (one, two) = (random.unit(), random.unit());
            Document {
                first: (one, random.unit() >= 0.4 * (1.0 - one) * (1.0 - one)),
                second: (two, random.unit() >= 0.35 * (1.0 - two) * (1.4 - one)),
            }
        };
        (0..n).map(&mut document).collect()
    }

    fn sample(n: usize) -> Sample {
        let label = |name: &str| Label {
            name: name.to_owned(),
            definition: None,
        };
        let record = |_| Labelled {
            text: String::new(),
            label: 0,
        };
        let labels = Labels::new(vec![label("a"), label("b")]).unwrap();
        let records = (0..n).map(record).collect();
        Sample::known(TaskName::new("t").unwrap(), labels, records)
    }

    fn answer((confidence, right): (f64, bool)) -> Answer {
        Answer {
            label: usize::from(!right),
            confidence,
        }
    }

    /// The thresholds of both tiers from these documents.
    fn thresholds(claims: &Claims, ladder: &Ladder, documents: &[Document]) -> (f64, f64) {
        let sample = sample(documents.len());
        let all: Vec<usize> = (0..documents.len()).collect();
        let first: Vec<_> = all
            .iter()
            .map(|&i| (i, answer(documents[i].first)))
            .collect();
        let on_all = |ladder| Part {
            records: &all,
            ladder,
            floor: f64::NEG_INFINITY,
        };
        let one = claims.prove(&sample, on_all(Some(ladder)), &first);
        let at = one.proof.threshold.unwrap_or(f64::INFINITY);
        let left = all.iter().filter(|&&i| documents[i].first.0 < at);
        let second: Vec<_> = left.map(|&i| (i, answer(documents[i].second))).collect();
        let two = claims
            .weighted(one.weight)
            .prove(&sample, on_all(None), &second);
        (at, two.proof.threshold.unwrap_or(f64::INFINITY))
    }

    /// Of answers that are kept, the share that is wrong; 0 of none.
    fn risk(kept: impl Iterator<Item = bool>) -> f64 {
        let (n, right) = kept.fold((0, 0), |(n, r), right| (n + 1, r + usize::from(right)));
        if n == 0 {
            0.0
        } else {
            1.0 - right as f64 / n as f64
        }
    }

    #[test]
    fn both_tiers_claims_together_fail_no_more_often_than_delta() {
        let (alpha, delta) = (0.05, 0.1);
        let goal = Goal::new(alpha, delta).unwrap();
        let claims = Claims::new((goal, Risk::Selective), &[], 2).unwrap();
        let held_out = documents(500, 1);
        let scored = held_out.iter().map(|d| Scored {
            confidence: d.first.0,
            correct: d.first.1,
        });
        let ladder = Ladder::new(&scored.collect::<Vec<_>>(), claims.kept);
        let population = documents(40_000, 2);
        let (mut failed, mut share) = (0, 0.0);
        for seed in 0..200 {
            let (one, two) = thresholds(&claims, &ladder, &documents(800, 100 + seed));
            let first = population.iter().filter(|d| d.first.0 >= one);
            let second = population
                .iter()
                .filter(|d| d.first.0 < one && d.second.0 >= two);
            share += (first.clone().count() + second.clone().count()) as f64 / 40_000.0 / 200.0;
            let first = risk(first.map(|d| d.first.1));
            let second = risk(second.map(|d| d.second.1));
            failed += usize::from(first > alpha || second > alpha);
        }
        // 10 % of 200 are 20; three standard deviations above are 33.
        assert!(failed <= 33, "{failed} of 200");
        // With 400 of the records set aside for each tier it was 0.20.
        assert!(share > 0.34, "{share}");
    }

    /// What the third of three tiers makes of a document, and the thresholds of all three: each
    /// but the last from a ladder of what held-out documents lead to expect behind those before.
    fn three_thresholds(
        claims: &Claims,
        held_out: &[Document],
        documents: &[Document],
    ) -> [f64; 3] {
        let answers_of = |d: &Document| [d.first, d.second, third(d)];
        let sample = sample(documents.len());
        let all: Vec<usize> = (0..documents.len()).collect();
        let (mut left, mut expected) = (all.clone(), held_out.to_vec());
        let (mut weight, mut thresholds) = (1.0, [f64::INFINITY; 3]);
        for (tier, threshold) in thresholds.iter_mut().enumerate() {
            let claims = claims.weighted(weight);
            let score = |d: &Document| Scored {
                confidence: answers_of(d)[tier].0,
                correct: answers_of(d)[tier].1,
            };
            let scored: Vec<Scored> = expected.iter().map(score).collect();
            let ladder = (tier < 2).then(|| Ladder::new(&scored, claims.kept));
            let answers: Vec<_> = left
                .iter()
                .map(|&i| (i, answer(answers_of(&documents[i])[tier])))
                .collect();
            let part = Part {
                records: &all,
                ladder: ladder.as_ref(),
                floor: f64::NEG_INFINITY,
            };
            let proven = claims.prove(&sample, part, &answers);
            let at = proven.proof.threshold.unwrap_or(f64::INFINITY);
            weight *= proven.weight;
            left.retain(|&i| answers_of(&documents[i])[tier].0 < at);
            expected.retain(|d| answers_of(d)[tier].0 < at);
            *threshold = at;
        }
        thresholds
    }

    /// A tier that is as sure as the second one was unsure, and good where it is sure.
    fn third(document: &Document) -> (f64, bool) {
        let (unsure, _) = document.second;
        let hash = (document.first.0 * 7_919.0 + unsure * 104_729.0).fract();
        (1.0 - unsure, hash >= 0.03 * unsure)
    }

    #[test]
    fn three_tiers_in_a_row_fail_no_more_often_than_delta_either() {
        let (alpha, delta) = (0.05, 0.1);
        let claims =
            Claims::new((Goal::new(alpha, delta).unwrap(), Risk::Selective), &[], 3).unwrap();
        let (held_out, population) = (documents(500, 1), documents(20_000, 2));
        let (mut failed, mut by_third) = (0, 0);
        for seed in 0..100 {
            let records = documents(1_500, 500 + seed);
            let [one, two, three] = three_thresholds(&claims, &held_out, &records);
            let first = population.iter().filter(|d| d.first.0 >= one);
            let behind = population.iter().filter(|d| d.first.0 < one);
            let second = behind.clone().filter(|d| d.second.0 >= two);
            let last = behind.filter(|d| d.second.0 < two && third(d).0 >= three);
            by_third += usize::from(last.clone().count() > 0);
            failed += usize::from(
                risk(first.map(|d| d.first.1)) > alpha
                    || risk(second.map(|d| d.second.1)) > alpha
                    || risk(last.map(|d| third(d).1)) > alpha,
            );
        }
        // 10 % of 100 are 10; three standard deviations above are 19.
        assert!(failed <= 19, "{failed} of 100");
        assert!(
            by_third > 50,
            "the third tier kept something {by_third} times"
        );
    }

    #[test]
    fn a_share_of_all_documents_is_shared_out_over_the_tiers_and_holds() {
        let (alpha, delta) = (0.05, 0.1);
        let what = (Goal::new(alpha, delta).unwrap(), Risk::Marginal);
        let claims = Claims::new(what, &[], 2).unwrap();
        assert!((claims.kept.alpha() - 0.025).abs() < 1e-12);
        let population = documents(20_000, 2);
        let (mut failed, mut kept_all) = (0, 0.0);
        for seed in 0..100 {
            let records = documents(800, 500 + seed);
            let (sample, all) = (sample(800), (0..800).collect::<Vec<usize>>());
            let halves: Vec<Vec<usize>> = (0..2)
                .map(|half| all.iter().copied().filter(|i| i % 2 == half).collect())
                .collect();
            let part = |records| Part {
                records,
                ladder: None,
                floor: f64::NEG_INFINITY,
            };
            let first: Vec<_> = all.iter().map(|&i| (i, answer(records[i].first))).collect();
            let one = claims
                .prove(&sample, part(&halves[0]), &first)
                .proof
                .threshold;
            let one = one.unwrap_or(f64::INFINITY);
            let left = all.iter().filter(|&&i| records[i].first.0 < one);
            let second: Vec<_> = left.map(|&i| (i, answer(records[i].second))).collect();
            let two = claims
                .prove(&sample, part(&halves[1]), &second)
                .proof
                .threshold;
            let two = two.unwrap_or(f64::INFINITY);
            let (mut kept, mut wrong) = (0, 0);
            for document in &population {
                let (first, second) = (document.first, document.second);
                let given = if first.0 >= one {
                    Some(first)
                } else {
                    Some(second).filter(|it| it.0 >= two)
                };
                kept += usize::from(given.is_some());
                wrong += usize::from(given.is_some_and(|(_, right)| !right));
            }
            failed += usize::from(wrong as f64 > alpha * population.len() as f64);
            kept_all += kept as f64 / population.len() as f64;
        }
        // 10 % of 100 are 10; three standard deviations above are 19.
        assert!(failed <= 19, "{failed} of 100");
        assert!(kept_all > 60.0, "{kept_all} % are kept on average");
    }

    #[test]
    fn no_threshold_lies_below_the_floor() {
        let claims = Claims::new((Goal::new(0.2, 0.1).unwrap(), Risk::Selective), &[], 1).unwrap();
        let documents = documents(2_000, 3);
        let (sample, all) = (sample(2_000), (0..2_000).collect::<Vec<usize>>());
        let answers: Vec<_> = all
            .iter()
            .map(|&i| (i, answer(documents[i].first)))
            .collect();
        let from = |floor| {
            let part = Part {
                records: &all,
                ladder: None,
                floor,
            };
            claims.prove(&sample, part, &answers).proof.threshold
        };
        let free = from(f64::NEG_INFINITY).unwrap();
        assert!(free < 0.5, "{free}");
        assert!(from(0.7).unwrap() >= 0.7);
        assert_eq!(from(2.0), None);
    }

    #[test]
    fn all_claims_together_spend_what_there_is() {
        let goal = Goal::new(0.02, 0.05).unwrap();
        let claims = Claims::new((goal, Risk::Selective), &[(0, 0.1), (2, 0.2)], 2).unwrap();
        let spent = claims.kept.delta() + claims.missed.iter().map(|(_, g)| g.delta()).sum::<f64>();
        assert!((2.0 * spent - 0.05).abs() < 1e-12, "{spent}");
        assert_eq!(claims.kept.alpha(), 0.02);
        let shares: Vec<f64> = claims.missed.iter().map(|(_, goal)| goal.alpha()).collect();
        assert_eq!(shares, [0.05, 0.1]);
    }
}
