use super::*;
use crate::binomial::upper_bound;
use crate::certificate::Draw;
use crate::threshold::Scored;
use proptest::prelude::*;

const GOAL: (f64, f64) = (0.1, 0.05);

fn goal() -> Goal {
    Goal::new(GOAL.0, GOAL.1).unwrap()
}

fn drawn((score, correct, weight): (u8, bool, f64)) -> Drawn {
    Drawn {
        scored: Scored {
            confidence: if score == 0 {
                f64::NAN
            } else {
                f64::from(score)
            },
            correct,
        },
        draw: Draw::of(weight, (0.0, 1.0)).unwrap(),
    }
}

fn weighed(records: &[Drawn], bet: f64, risk: Risk) -> Weighed {
    let plan = Plan {
        starts: match risk {
            Risk::Selective => vec![(20.0, 0.01), (12.5, 0.04)],
            Risk::Marginal => vec![(f64::INFINITY, 0.05)],
        },
        bet,
        spread: 2.0,
    };
    Weighed::new(&records.iter().collect::<Vec<_>>(), plan, risk, goal())
}

fn wealth_at(records: &[Drawn], bet: f64, alpha: f64, (risk, from): (Risk, f64)) -> f64 {
    let factor = |it: &Drawn| {
        let is_kept = it.scored.confidence >= from;
        let loss = f64::from(u8::from(is_kept && !it.scored.correct));
        let counts = is_kept || risk == Risk::Marginal;
        let stake = bet / (1.0 - alpha) * it.draw.weight();
        if counts {
            1.0 + stake * (alpha - loss)
        } else {
            1.0
        }
    };
    records.iter().map(factor).product()
}

fn records() -> impl Strategy<Value = Vec<(u8, bool, f64)>> {
    let one = (0_u8..30, proptest::bool::weighted(0.97), 0.1_f64..1.0);
    proptest::collection::vec(one, 0..300)
}

proptest! {
    #[test]
    fn whatever_is_proven_has_won_its_bet_and_so_has_all_above(
        raw in records(), bet in 0.05_f64..0.95, floor in 0.0_f64..20.0, is_marginal: bool,
    ) {
        let risk = if is_marginal { Risk::Marginal } else { Risk::Selective };
        let records: Vec<Drawn> = raw.into_iter().map(drawn).collect();
        let weighed = weighed(&records, bet, risk);
        let proof = weighed.prove(floor);
        if let Some(threshold) = proof.threshold {
            let kept = records.iter().filter(|it| it.scored.confidence >= threshold);
            prop_assert_eq!(kept.clone().count(), proof.kept);
            prop_assert_eq!(kept.filter(|it| !it.scored.correct).count(), proof.errors);
            prop_assert!(threshold >= floor && proof.bound <= GOAL.0 + 1e-9);
            let from = if is_marginal { 30.0 } else { 12.5 };
            let wealth = |at| wealth_at(&records, bet, GOAL.0, (risk, at));
            for at in records.iter().map(|it| it.scored.confidence) {
                if at >= threshold && at <= from {
                    prop_assert!(wealth(at) >= 20.0 * (1.0 - 1e-9), "{}", wealth(at));
                }
            }
            prop_assert_eq!(weighed.effect(threshold, GOAL.1).kept, proof.kept);
        }
        let lowest = weighed.prove(f64::NEG_INFINITY).threshold;
        prop_assert!(lowest.is_none_or(|it| proof.threshold.is_none_or(|at| at >= it)));
    }

    #[test]
    fn the_bound_is_where_the_wealth_is_one_by_delta(
        raw in records(), bet in 0.05_f64..0.95, at in 1_u8..30, is_marginal: bool,
    ) {
        let risk = if is_marginal { Risk::Marginal } else { Risk::Selective };
        let records: Vec<Drawn> = raw.into_iter().map(drawn).collect();
        let at = f64::from(at);
        let bound = weighed(&records, bet, risk).effect(at, 0.05).bound;
        prop_assert!((0.0..=1.0).contains(&bound));
        if bound < 0.999 {
            let wealth = wealth_at(&records, bet, bound, (risk, at));
            prop_assert!((wealth / 20.0 - 1.0).abs() < 1e-6, "{bound} {wealth}");
        }
    }

    /// Why records of even chances are never weighed.
    #[test]
    fn no_bet_on_even_records_is_stronger_than_the_exact_bound(
        errors in 0_usize..20, right in 1_usize..400, bet in 0.01_f64..0.95, delta in 0.001_f64..0.5,
    ) {
        let record = |i: usize| drawn((1, i >= errors, 1.0));
        let records: Vec<Drawn> = (0..errors + right).map(record).collect();
        let bound = weighed(&records, bet, Risk::Selective).effect(1.0, delta).bound;
        prop_assert!(bound >= upper_bound(errors, errors + right, delta) - 1e-9);
    }
}

#[test]
fn where_nothing_is_proven_it_says_how_many_more_records_would_do() {
    let record = |i: usize| drawn((1 + (i % 29) as u8, !i.is_multiple_of(50), 0.5));
    let records = |n: usize| (0..n).map(record).collect::<Vec<_>>();
    let few = weighed(&records(30), 0.3, Risk::Selective).prove(0.0);
    assert_eq!((few.threshold, few.bound), (None, 1.0));
    let more = few.records_wanting.unwrap();
    assert!((20..500).contains(&more), "{more}");
    let hopeless: Vec<Drawn> = (0..500_usize)
        .map(|i| drawn((1, !i.is_multiple_of(4), 0.5)))
        .collect();
    let hopeless = weighed(&hopeless, 0.3, Risk::Selective).prove(0.0);
    assert_eq!((hopeless.threshold, hopeless.records_wanting), (None, None));
}
