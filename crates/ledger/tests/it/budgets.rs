//! Budgets: a hard limit under any order of events, and no refusal without a cause. Several tests
//! are named for the way in which other gateways were found to fail.

use domain::Picodollars;
use ledger::{BudgetLimit, LedgerError, Refusal};
use tokio::task::JoinSet;

use crate::place::{Place, at, day_limit, new_hold, pico, usage};

fn refusal(error: LedgerError) -> Refusal {
    match error {
        LedgerError::OverBudget(refusal) => *refusal,
        other => panic!("expected a refusal, got: {other}"),
    }
}

#[tokio::test]
async fn a_budget_is_filled_to_its_limit_and_not_beyond() {
    let place = Place::new();
    let ledger = place.open();
    let first = ledger.hold(new_hold(1, "a", 60, 100)).await.unwrap();
    let _second = ledger.hold(new_hold(2, "b", 40, 100)).await.unwrap();
    let error = ledger.hold(new_hold(3, "c", 1, 100)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "budget `day` has no room for an attempt of at most 0.000000000001 USD: of 0.0000000001 USD, 0 are settled, 0.0000000001 held and 0 kept for attempts of unknown cost; raise the limit, allow fewer completion tokens or wait for the next window"
    );
    let refusal = refusal(error);
    assert_eq!((refusal.limit, refusal.asked), (pico(100), pico(1)));
    assert_eq!(refusal.balance.held, pico(100));

    ledger
        .resolve(first.settle(usage(1, 0, 1), pico(10)), at(0))
        .await
        .unwrap();
    let _third = ledger.hold(new_hold(4, "c", 50, 100)).await.unwrap();
    assert_eq!(place.day_sums(), [10, 90, 0]);
}

/// One budget without room refuses for all, and leaves the others as they were.
#[tokio::test]
async fn several_budgets_are_debited_together_or_not_at_all() {
    let place = Place::new();
    let ledger = place.open();
    let both = |number, worst_case| {
        let mut new = new_hold(number, "r", worst_case, 1_000);
        new.budgets.push(BudgetLimit {
            name: "team".to_owned(),
            ..day_limit(50)
        });
        new
    };
    let _hold = ledger.hold(both(1, 40)).await.unwrap();
    let refused = refusal(ledger.hold(both(2, 20)).await.unwrap_err());
    assert_eq!(refused.balance.budget, "team");
    let reader = place.reader();
    let held: Vec<(String, i64)> = reader
        .balances()
        .unwrap()
        .into_iter()
        .map(|balance| (balance.budget, balance.held.get()))
        .collect();
    assert_eq!(held, [("day".to_owned(), 40), ("team".to_owned(), 40)]);
    assert_eq!(reader.verify().unwrap(), Vec::<String>::new());
    assert!(place.states("r").len() == 1);
}

#[tokio::test]
async fn a_new_window_starts_empty_and_the_old_one_keeps_its_attempts() {
    let place = Place::new();
    let ledger = place.open();
    let in_window = |number, start| {
        let mut new = new_hold(number, "r", 100, 100);
        new.budgets[0].window_start = at(start);
        new
    };
    let old = ledger.hold(in_window(1, 0)).await.unwrap();
    refusal(ledger.hold(in_window(2, 0)).await.unwrap_err());
    let _new = ledger.hold(in_window(3, 86_400_000)).await.unwrap();
    // Settled on the next day, it still belongs to the day of its hold.
    ledger
        .resolve(old.settle(usage(1, 0, 1), pico(99)), at(86_400_001))
        .await
        .unwrap();
    let sums: Vec<[Picodollars; 2]> = place
        .reader()
        .balances()
        .unwrap()
        .into_iter()
        .map(|balance| [balance.settled, balance.held])
        .collect();
    assert_eq!(sums, [[pico(99), pico(0)], [pico(0), pico(100)]]);
}

/// LiteLLM #34732, #40095: concurrent requests pass the limit together.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_never_overspend_and_use_the_budget() {
    const LIMIT: i64 = 1_000_000;
    const WORST_CASE: i64 = 1_700;
    let place = Place::new();
    let ledger = place.open();
    let mut clients = JoinSet::new();
    for client in 0..64_u32 {
        let ledger = ledger.clone();
        clients.spawn(async move {
            let mut spent = 0;
            for round in 0_u32.. {
                let number = u128::from(client) << 64 | u128::from(round);
                let new = new_hold(number, &format!("{client}/{round}"), WORST_CASE, LIMIT);
                let hold = match ledger.hold(new).await {
                    Ok(hold) => hold,
                    Err(error) => {
                        refusal(error);
                        return spent;
                    }
                };
                let cost = i64::from(700 + (client * 31 + round * 17) % 1_000);
                spent += cost;
                let settled = hold.settle(usage(1, 0, 1), pico(cost));
                ledger.resolve(settled, at(2_000)).await.unwrap();
            }
            spent
        });
    }
    let spent: i64 = clients.join_all().await.into_iter().sum();
    let day = place.day();
    assert_eq!(
        day.settled,
        pico(spent),
        "what clients spent is what is booked"
    );
    assert_eq!((day.held, day.kept), (pico(0), pico(0)));
    assert!(spent <= LIMIT, "{spent} spent of {LIMIT}");
    ledger.close().await.unwrap();
}

/// The same race, with every client in flight at once: what is left over is less than one
/// attempt, so at least 95 % of the budget is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_race_for_the_last_cent_leaves_less_than_one_attempt() {
    const LIMIT: i64 = 100_000;
    const WORST_CASE: i64 = 1_900;
    let place = Place::new();
    let ledger = place.open();
    let mut clients = JoinSet::new();
    for client in 0..64 {
        let ledger = ledger.clone();
        clients.spawn(async move {
            let new = new_hold(client, "r", WORST_CASE, LIMIT);
            ledger.hold(new).await.map(|hold| hold.keep())
        });
    }
    let held = clients.join_all().await;
    let given = held.iter().filter(|hold| hold.is_ok()).count();
    assert_eq!(given, 52, "52 × 1,900 fit into 100,000, and 53 don't");
    assert_eq!(place.day_sums(), [0, 98_800, 0]);
}

/// LiteLLM #40002, #27509: the hold must be the caller's worst case, whatever that is, and the
/// refusal must say what was asked.
#[tokio::test]
async fn an_attempt_larger_than_the_whole_budget_is_refused_alone() {
    let place = Place::new();
    let ledger = place.open();
    let refused = refusal(ledger.hold(new_hold(1, "a", 101, 100)).await.unwrap_err());
    assert_eq!(refused.asked, pico(101));
    let _small = ledger.hold(new_hold(2, "b", 100, 100)).await.unwrap();
}

/// LiteLLM #30684, #25374, #36926: counters start anew, or wrong, after a restart.
#[tokio::test]
async fn a_restart_changes_no_balance() {
    let place = Place::new();
    let ledger = place.open();
    let hold = ledger.hold(new_hold(1, "a", 60, 100)).await.unwrap();
    ledger
        .resolve(hold.settle(usage(1, 0, 1), pico(30)), at(0))
        .await
        .unwrap();
    let kept = ledger.hold(new_hold(2, "b", 40, 100)).await.unwrap();
    ledger.resolve(kept.keep(), at(0)).await.unwrap();
    ledger.close().await.unwrap();

    let ledger = place.open();
    assert_eq!(place.day_sums(), [30, 0, 40]);
    refusal(ledger.hold(new_hold(3, "c", 31, 100)).await.unwrap_err());
    let _fits = ledger.hold(new_hold(4, "c", 30, 100)).await.unwrap();
}

/// A limit that was lowered below what is spent refuses, and stays a number.
#[tokio::test]
async fn a_lowered_limit_refuses_until_there_is_room() {
    let place = Place::new();
    let ledger = place.open();
    let _hold = ledger.hold(new_hold(1, "a", 80, 100)).await.unwrap();
    refusal(ledger.hold(new_hold(2, "b", 0, 50)).await.unwrap_err());
    refusal(
        ledger
            .hold(new_hold(3, "b", i64::MAX, i64::MAX))
            .await
            .unwrap_err(),
    );
    let _raised = ledger.hold(new_hold(4, "b", 20, 100)).await.unwrap();
}

/// LiteLLM #40639: more budgets than a statement can bind.
#[tokio::test]
async fn an_attempt_may_count_against_many_budgets() {
    let place = Place::new();
    let ledger = place.open();
    let mut new = new_hold(1, "a", 7, 100);
    new.budgets = (0..40_000)
        .map(|number| BudgetLimit {
            name: format!("customer-{number}"),
            ..day_limit(100)
        })
        .collect();
    let hold = ledger.hold(new).await.unwrap();
    ledger
        .resolve(hold.settle(usage(1, 0, 1), pico(5)), at(0))
        .await
        .unwrap();
    let balances = place.reader().balances().unwrap();
    assert_eq!(balances.len(), 40_000);
    assert!(balances.iter().all(|balance| balance.settled == pico(5)));
}

#[tokio::test]
async fn a_hold_that_cannot_be_is_refused_before_it_is_booked() {
    let place = Place::new();
    let ledger = place.open();
    let error = ledger.hold(new_hold(1, "a", -1, 100)).await.unwrap_err();
    assert!(error.to_string().contains("is negative"), "{error}");
    let mut twice = new_hold(2, "a", 1, 100);
    twice.budgets.push(day_limit(100));
    let error = ledger.hold(twice).await.unwrap_err();
    assert!(error.to_string().contains("named twice"), "{error}");
    let _hold = ledger.hold(new_hold(3, "a", 1, 100)).await.unwrap();
    let error = ledger.hold(new_hold(3, "a", 1, 100)).await.unwrap_err();
    assert!(
        matches!(error, LedgerError::Contradiction { .. }),
        "{error}"
    );
    assert_eq!(place.day_sums(), [0, 1, 0]);
}

/// A refused command and a wrong one share a transaction with good ones, and take none down.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failed_command_leaves_its_neighbours_alone() {
    let place = Place::new();
    let ledger = place.open();
    let mut clients = JoinSet::new();
    for number in 0..300 {
        let ledger = ledger.clone();
        clients.spawn(async move {
            // Each third is too large, each third comes twice.
            let worst_case = if number % 3 == 0 { 10_000 } else { 1 };
            let id = if number % 3 == 1 { 1 } else { number };
            let held = ledger.hold(new_hold(id, "r", worst_case, 5_000)).await;
            held.map(|hold| hold.keep()).is_ok()
        });
    }
    let given = clients
        .join_all()
        .await
        .into_iter()
        .filter(|&ok| ok)
        .count();
    assert_eq!(
        given, 101,
        "the third third, and one of those with the same id"
    );
    ledger.close().await.unwrap();
    assert_eq!(place.day_sums(), [0, 0, 101]);
}
