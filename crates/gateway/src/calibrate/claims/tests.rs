mod audited;

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
    let claims = Claims::new((goal, Risk::Selective), Shares::default(), (2, 2)).unwrap();
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
fn three_thresholds(claims: &Claims, held_out: &[Document], documents: &[Document]) -> [f64; 3] {
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
    let what = (Goal::new(alpha, delta).unwrap(), Risk::Selective);
    let claims = Claims::new(what, Shares::default(), (3, 2)).unwrap();
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
    let claims = Claims::new(what, Shares::default(), (2, 2)).unwrap();
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
    let what = (Goal::new(0.2, 0.1).unwrap(), Risk::Selective);
    let claims = Claims::new(what, Shares::default(), (1, 2)).unwrap();
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

/// A tier's answers with three labels, of which the surest of the first are wrong now and then, of
/// the second more often, and of the third always half, with the share of wrong ones from a
/// confidence up.
const WRONG: [fn(f64) -> f64; 3] = [
    |s| 0.2 * (1.0 - s) * (1.0 - s),
    |s| 0.6 * (1.0 - s) * (1.0 - s),
    |_| 0.5,
];
const WRONG_FROM: [fn(f64) -> f64; 3] = [
    |t| 0.2 / 3.0 * (1.0 - t) * (1.0 - t),
    |t| 0.2 * (1.0 - t) * (1.0 - t),
    |_| 0.5,
];

fn of_three_labels(n: usize, seed: u64) -> (Sample, Vec<(usize, Answer)>) {
    let mut random = Random::new(seed);
    let label = |name: &str| Label {
        name: name.to_owned(),
        definition: None,
    };
    let labels = Labels::new(["a", "b", "c"].map(label).to_vec()).unwrap();
    let (mut records, mut answers) = (Vec::new(), Vec::new());
    for record in 0..n {
        let (label, confidence) = (random.below(3), random.unit());
        let is_wrong = random.unit() < WRONG[label](confidence);
        records.push(Labelled {
            text: String::new(),
            label: (label + usize::from(is_wrong)) % 3,
        });
        answers.push((record, Answer { label, confidence }));
    }
    let sample = Sample::known(TaskName::new("t").unwrap(), labels, records);
    (sample, answers)
}

#[test]
fn each_label_is_kept_from_where_its_own_share_is_proven_and_all_of_it_holds() {
    let (max_error, delta) = (0.05, 0.1);
    let what = (Goal::new(max_error, delta).unwrap(), Risk::Selective);
    let (mut failed, mut kept) = (0, [0.0; 3]);
    // The first two labels have shares of their own, and the third what is left.
    let shares = [(0, 0.03), (1, 0.05)];
    for seed in 0..100 {
        let shares = Shares {
            wrong: &shares,
            missed: &[],
        };
        let claims = Claims::new(what, shares, (1, 3)).unwrap();
        let (sample, answers) = of_three_labels(6_000, seed);
        let part = Part {
            records: &(0..6_000).collect::<Vec<usize>>(),
            ladder: None,
            floor: f64::NEG_INFINITY,
        };
        let proven = claims.prove(&sample, part, &answers);
        let spent: f64 = proven.by_label.iter().map(|it| it.delta).sum();
        assert!(proven.by_label.len() == 3 && (spent - delta).abs() < 1e-12);
        let Rule::ByLabel(thresholds) = &proven.rule else {
            panic!("{:?}", proven.rule);
        };
        let mut fails = false;
        for (label, &threshold) in thresholds.iter().enumerate() {
            if threshold.is_finite() {
                let allowed = [0.03, 0.05, max_error][label];
                fails |= WRONG_FROM[label](threshold) > allowed;
                kept[label] += 1.0 - threshold;
            }
        }
        failed += usize::from(fails);
        // Of what the labels add up to the lowest threshold and the worst bound are told.
        let lowest = thresholds.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(proven.proof.threshold, Some(lowest));
        assert!(proven.proof.bound <= max_error);
    }
    // 10 % of 100 are 10; three standard deviations above are 19.
    assert!(failed <= 19, "{failed} of 100");
    // The oracle keeps 67 % of the first label, half of the second, and nothing of the last.
    assert!(kept[0] > 40.0 && kept[1] > 30.0, "{kept:?}");
    assert!(kept[2] < 1.0, "{kept:?}");
}

#[test]
fn where_every_label_has_a_share_no_part_is_spent_on_others() {
    let what = (Goal::new(0.05, 0.1).unwrap(), Risk::Selective);
    let all = [(0, 0.05), (1, 0.05), (2, 0.05)];
    let shares = Shares {
        wrong: &all,
        missed: &[(1, 0.2)],
    };
    let claims = Claims::new(what, shares, (2, 3)).unwrap();
    let deltas = claims.wrong.iter().chain(&claims.missed);
    let spent: f64 = deltas.map(|(_, goal)| goal.delta()).sum();
    assert!((2.0 * spent - 0.1).abs() < 1e-12, "{spent}");
}

#[test]
fn all_claims_together_spend_what_there_is() {
    let goal = Goal::new(0.02, 0.05).unwrap();
    let shares = Shares {
        wrong: &[],
        missed: &[(0, 0.1), (2, 0.2)],
    };
    let claims = Claims::new((goal, Risk::Selective), shares, (2, 3)).unwrap();
    let spent = claims.kept.delta() + claims.missed.iter().map(|(_, g)| g.delta()).sum::<f64>();
    assert!((2.0 * spent - 0.05).abs() < 1e-12, "{spent}");
    assert_eq!(claims.kept.alpha(), 0.02);
    let shares: Vec<f64> = claims.missed.iter().map(|(_, goal)| goal.alpha()).collect();
    assert_eq!(shares, [0.05, 0.1]);
}
