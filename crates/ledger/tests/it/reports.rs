//! Reports: the lines added up, by day, task and tier.

use ledger::{
    Basis, Compared, Counterfactual, Ledger, Outcome, SpendLine, TimeRange, UnpaidAttempt, Verdict,
};

use crate::place::{Place, answered, at, attempt, new_hold, pico, task, tier, total, usage};

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn spend_is_added_up_by_day_task_and_tier() {
    let place = Place::new();
    let ledger = place.open();
    let held_at = |number, ms| {
        let mut new = new_hold(number, "r", 100, 10_000);
        new.at = at(ms);
        new
    };
    let settled = ledger.hold(held_at(1, DAY - 1)).await.unwrap();
    let dear = ledger.hold(held_at(2, DAY)).await.unwrap();
    let kept = ledger.hold(held_at(3, DAY)).await.unwrap();
    let released = ledger.hold(held_at(4, 2 * DAY - 1)).await.unwrap();
    let late = ledger.hold(held_at(6, DAY + 5)).await.unwrap();
    let _held = ledger.hold(held_at(5, DAY + 7)).await.unwrap();
    for resolution in [
        settled.settle(usage(900, 100, 12), pico(70)),
        dear.settle(usage(1_000, 0, 20), pico(130)),
        kept.keep(),
        released.release(),
        late.keep(),
    ] {
        ledger.resolve(resolution, at(5 * DAY)).await.unwrap();
    }
    // Kept first and settled later, it counts as settled only.
    let end = ledger::End::Settle {
        usage: usage(1, 0, 1),
        cost: pico(5),
    };
    let late = ledger::Resolution::of(attempt(6), end);
    ledger.resolve(late, at(6 * DAY)).await.unwrap();

    let first = SpendLine {
        day: at(0),
        task: task("flag"),
        tier: tier("frontier"),
        purpose: ledger::Purpose::Answer,
        attempts: 1,
        over_hold: 0,
        prompt_tokens: 900,
        cached_prompt_tokens: 100,
        completion_tokens: 12,
        settled: total(70),
        held: total(0),
        kept: total(0),
        released: total(0),
    };
    let second = SpendLine {
        day: at(DAY),
        attempts: 5,
        over_hold: 1,
        prompt_tokens: 1_001,
        cached_prompt_tokens: 0,
        completion_tokens: 21,
        settled: total(135),
        held: total(100),
        kept: total(100),
        released: total(100),
        ..first.clone()
    };
    let reader = place.reader();
    let all = [first.clone(), second.clone()];
    assert_eq!(reader.spend(TimeRange::ALL).unwrap(), all);
    let until = |end| TimeRange::from(at(0)..at(end));
    assert_eq!(reader.spend(until(DAY)).unwrap(), [first]);
    assert_eq!(reader.spend(TimeRange::since(at(DAY))).unwrap(), [second]);
    assert_eq!(reader.spend(until(DAY - 1)).unwrap(), []);
}

/// SQLite's own sum of these would be an error: no window holds them, and a report does.
#[tokio::test]
async fn sums_go_beyond_64_bits() {
    let place = Place::new();
    let ledger = place.open();
    for number in 0..3 {
        let mut new = new_hold(number, "r", i64::MAX, i64::MAX);
        new.budgets.clear();
        let hold = ledger.hold(new).await.unwrap();
        let resolution = hold.settle(usage(i64::MAX.unsigned_abs(), 0, 7), pico(i64::MAX));
        ledger.resolve(resolution, at(0)).await.unwrap();
    }
    let reader = place.reader();
    let spend = reader.spend(TimeRange::ALL).unwrap();
    assert_eq!(spend[0].settled, total(3 * i128::from(i64::MAX)));
    assert_eq!(spend[0].prompt_tokens, u64::MAX, "more than a count holds");
    assert_eq!(spend[0].completion_tokens, 21);
    let recorded = ledger.record(answered("r")).await.unwrap();
    assert_eq!(recorded.cost, total(3 * i128::from(i64::MAX)));
    let decisions = reader.decisions(TimeRange::ALL).unwrap();
    assert_eq!(decisions[0].cost, total(3 * i128::from(i64::MAX)));
}

/// An answer of the student's, with what the frontier would have cost.
fn by_student(name: &str, number: u128) -> Outcome {
    let mut outcome = answered(name);
    outcome.decision.verdict = Verdict::Answered {
        tier: tier("student"),
    };
    outcome.decision.escalations = 0;
    outcome.decision.counterfactual = Some(Counterfactual {
        cost: pico(80),
        basis: Basis::Estimated,
    });
    outcome.unpaid.push(UnpaidAttempt {
        attempt: attempt(number),
        tier: tier("student"),
        model: "ngrams".to_owned(),
        usage: usage(40, 0, 0),
    });
    outcome
}

/// Two answers of the student's, one of the frontier's, and a failure, which has a cost and no
/// counterfactual; and one for review of another task.
async fn decide(ledger: &Ledger) {
    for (name, number) in [("a", 1), ("b", 2)] {
        ledger.record(by_student(name, number)).await.unwrap();
    }
    let hold = ledger.hold(new_hold(3, "c", 100, 1_000)).await.unwrap();
    let mut frontier = answered("c");
    frontier
        .resolutions
        .push(hold.settle(usage(50, 0, 5), pico(70)));
    frontier.decision.counterfactual = Some(Counterfactual {
        cost: pico(70),
        basis: Basis::Measured,
    });
    ledger.record(frontier).await.unwrap();
    let hold = ledger.hold(new_hold(4, "d", 100, 1_000)).await.unwrap();
    let mut failed = answered("d");
    failed.decision.verdict = Verdict::Failed;
    failed.decision.fallbacks = 2;
    failed.resolutions.push(hold.keep());
    ledger.record(failed).await.unwrap();
    let mut review = answered("e");
    review.task = task("other");
    review.at = at(9_000);
    review.decision.verdict = Verdict::Review;
    ledger.record(review).await.unwrap();
}

#[tokio::test]
async fn decisions_are_added_up_beside_the_all_frontier_cost() {
    let place = Place::new();
    let ledger = place.open();
    decide(&ledger).await;

    let reader = place.reader();
    let decisions = reader.decisions(TimeRange::ALL).unwrap();
    let [flag, other] = &decisions[..] else {
        panic!("{decisions:?}");
    };
    assert_eq!((flag.requests, flag.failed, flag.review), (4, 1, 0));
    assert_eq!(
        flag.answered_by,
        [(tier("frontier"), 1), (tier("student"), 2)]
    );
    assert_eq!((flag.escalations, flag.fallbacks), (2, 2));
    assert_eq!(flag.prompt_bytes, 4_800);
    assert_eq!(flag.cost, total(170));
    let compared = Compared {
        requests: 3,
        estimated: 2,
        cost: total(70),
        counterfactual: total(230),
    };
    assert_eq!(flag.compared, compared);
    assert_eq!((other.requests, other.review), (1, 1));
    assert_eq!(other.compared, Compared::default());
    let early = reader.decisions(TimeRange::from(at(0)..at(9_000))).unwrap();
    assert_eq!(early, decisions[..1]);
}
