//! Outcomes: money, decision and result together, or nothing of them.

use ledger::{
    AttemptState, Basis, Counterfactual, End, ItemStatus, LedgerError, Outcome, Resolution,
    UnpaidAttempt, Verdict,
};

use crate::place::{
    Place, answered, at, attempt, item, job_spec, new_hold, pico, tier, total, usage,
};

/// Makes an outcome another.
type Change = fn(&mut Outcome);

fn unpaid(number: u128) -> UnpaidAttempt {
    UnpaidAttempt {
        attempt: attempt(number),
        tier: tier("student"),
        model: "ngrams".to_owned(),
        usage: usage(40, 0, 1),
    }
}

fn settle(number: u128, cost: i64) -> Resolution {
    let usage = usage(10, 0, 2);
    let cost = pico(cost);
    Resolution::of(attempt(number), End::Settle { usage, cost })
}

#[tokio::test]
async fn the_cost_is_that_of_all_attempts_of_the_request() {
    let place = Place::new();
    let ledger = place.open();
    // Two attempts failed before: one certainly unbilled, one of unknown cost.
    for (number, end) in [(1, End::Release), (2, End::Keep)] {
        let _hold = ledger
            .hold(new_hold(number, "r", 100, 1_000))
            .await
            .unwrap();
        let early = Resolution::of(attempt(number), end);
        ledger.resolve(early, at(0)).await.unwrap();
    }
    let third = ledger.hold(new_hold(3, "r", 100, 1_000)).await.unwrap();
    let mut outcome = answered("r");
    outcome
        .resolutions
        .push(third.settle(usage(10, 0, 2), pico(120)));
    outcome.unpaid.push(unpaid(4));
    let recorded = ledger.record(outcome).await.unwrap();
    assert_eq!(recorded.cost, total(220));
    assert_eq!(recorded.over_hold, [(attempt(3), pico(20))]);
    assert_eq!(place.day_sums(), [120, 0, 100]);
    let free = AttemptState::Settled {
        usage: usage(40, 0, 1),
        cost: pico(0),
    };
    assert_eq!(place.states("r")[3], free);
    ledger.close().await.unwrap();
}

/// Everything in one outcome is there together with the rest, or not at all.
#[tokio::test]
async fn one_fault_keeps_the_whole_outcome_out() {
    let place = Place::new();
    let ledger = place.open();
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    let hold = ledger.hold(new_hold(1, "r", 100, 1_000)).await.unwrap();
    let complete = || Outcome {
        resolutions: vec![settle(1, 70)],
        unpaid: vec![unpaid(2)],
        item: Some(item(job, 0, ItemStatus::Answered)),
        ..answered("r")
    };
    let faults: [(&str, Change); 6] = [
        ("unknown attempt", |outcome| {
            outcome.resolutions.push(settle(77, 1))
        }),
        ("negative cost", |outcome| {
            outcome.resolutions[0] = settle(1, -1)
        }),
        ("attempt of another", |outcome| {
            outcome.unpaid[0].attempt = attempt(1)
        }),
        ("confidence", |outcome| {
            outcome.decision.confidence = Some(f64::NAN)
        }),
        ("counterfactual", |outcome| {
            outcome.decision.counterfactual = Some(Counterfactual {
                cost: pico(-1),
                basis: Basis::Estimated,
            });
        }),
        ("ordinal", |outcome| {
            if let Some(item) = &mut outcome.item {
                item.ordinal = u64::MAX;
            }
        }),
    ];
    for (name, spoil) in faults {
        let mut outcome = complete();
        spoil(&mut outcome);
        let error = ledger.record(outcome).await.unwrap_err();
        assert!(!error.is_retryable(), "{name}: {error}");
        assert_eq!(place.day_sums(), [0, 100, 0], "{name}");
        assert_eq!(place.states("r"), [AttemptState::Held], "{name}");
        let reader = place.reader();
        assert_eq!(
            reader.decisions(ledger::TimeRange::ALL).unwrap(),
            [],
            "{name}"
        );
        assert_eq!(reader.item_counts(job).unwrap().answered, 0, "{name}");
    }
    let recorded = ledger.record(complete()).await.unwrap();
    assert_eq!(recorded.cost, total(70));
    assert_eq!(place.reader().item_counts(job).unwrap().answered, 1);
    drop(hold);
    ledger.close().await.unwrap();
    assert_eq!(place.day_sums(), [70, 0, 0]);
}

#[tokio::test]
async fn the_same_outcome_again_changes_nothing_and_another_is_refused() {
    let place = Place::new();
    let ledger = place.open();
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    let _hold = ledger.hold(new_hold(1, "r", 100, 1_000)).await.unwrap();
    let outcome = || Outcome {
        resolutions: vec![settle(1, 70)],
        unpaid: vec![unpaid(2)],
        item: Some(item(job, 0, ItemStatus::Answered)),
        ..answered("r")
    };
    let first = ledger.record(outcome()).await.unwrap();
    assert_eq!(ledger.record(outcome()).await.unwrap(), first);

    let changes: [(&str, Change); 6] = [
        ("verdict", |outcome| {
            outcome.decision.verdict = Verdict::Review
        }),
        ("confidence", |outcome| outcome.decision.confidence = None),
        ("json", |outcome| outcome.decision.json.push(' ')),
        ("cost", |outcome| outcome.resolutions[0] = settle(1, 71)),
        ("tokens", |outcome| {
            outcome.unpaid[0].usage = usage(41, 0, 1)
        }),
        ("result", |outcome| {
            if let Some(item) = &mut outcome.item {
                item.result.push(' ');
            }
        }),
    ];
    for (name, change) in changes {
        let mut other = outcome();
        change(&mut other);
        let error = ledger.record(other).await.unwrap_err();
        assert!(
            matches!(error, LedgerError::Contradiction { .. }),
            "{name}: {error}"
        );
    }
    assert_eq!(place.day_sums(), [70, 0, 0]);
    assert_eq!(place.states("r").len(), 2);
}
