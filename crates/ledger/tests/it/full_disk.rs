//! A full disk: a clear error for each caller, nothing lost, and work goes on when there is space.

use ledger::{ItemStatus, JobItem, Ledger, LedgerError, Outcome};
use tokio::task::JoinSet;

use crate::place::{Place, answered, item, job_spec, new_hold, pico, usage};

/// Pages that hold the empty schema and some hundred items.
const PAGES_MAX: u32 = 200;

fn large(job: ledger::JobId, ordinal: u64) -> Outcome {
    let item = JobItem {
        result: "x".repeat(3_000),
        ..item(job, ordinal, ItemStatus::Answered)
    };
    Outcome {
        item: Some(item),
        ..answered(&ordinal.to_string())
    }
}

/// Writes items, 16 callers at a time, until no more fit; gives back those acknowledged.
async fn fill(ledger: &Ledger, job: ledger::JobId) -> Vec<u64> {
    let mut written = Vec::new();
    for round in 0..100 {
        let mut callers = JoinSet::new();
        for ordinal in round * 16..(round + 1) * 16 {
            let ledger = ledger.clone();
            callers.spawn(async move { (ordinal, ledger.record(large(job, ordinal)).await) });
        }
        let mut refused = 0;
        for (ordinal, recorded) in callers.join_all().await {
            match recorded {
                Ok(_) => written.push(ordinal),
                Err(error) => {
                    assert!(matches!(error, LedgerError::Full { .. }), "{error}");
                    assert!(
                        error.to_string().contains("no space is left for"),
                        "{error}"
                    );
                    assert!(error.is_retryable());
                    refused += 1;
                }
            }
        }
        if refused == 16 {
            written.sort_unstable();
            return written;
        }
    }
    panic!("the disk never filled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_space_heals_it() {
    let place = Place::new();
    let ledger = place.open_small(PAGES_MAX);
    let hold = ledger.hold(new_hold(1, "r", 10, 100)).await.unwrap();
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    let written = fill(&ledger, job).await;
    assert!(written.len() > 50, "{} items fitted", written.len());

    let stored: Vec<u64> = place
        .reader()
        .job_results(job)
        .unwrap()
        .map(|item| item.unwrap().ordinal)
        .collect();
    assert_eq!(stored, written, "what was acknowledged, and nothing else");
    assert_eq!(place.day_sums(), [0, 10, 0]);

    // In the same process: room is made, and the hold of before is still good.
    ledger.leave_job(job).await.unwrap();
    assert!(ledger.discard_job("/data/out.jsonl").await.unwrap());
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    ledger.record(large(job, 9_000)).await.unwrap();
    drop(hold.keep());
    ledger.close().await.unwrap();

    // And in the next, with a larger disk.
    let ledger = place.open();
    assert_eq!(place.day_sums(), [0, 0, 10]);
    let job = ledger.open_job(job_spec()).await.unwrap();
    assert_eq!(job.done.len(), 1);
    ledger.record(large(job.job, 9_001)).await.unwrap();
}

/// A dropped hold whose end doesn't fit waits for space, and isn't forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_dropped_on_a_full_disk_is_booked_later() {
    const HOLDS: u32 = 1_000;
    let place = Place::new();
    let ledger = place.open_small(2 * PAGES_MAX);
    let mut callers = JoinSet::new();
    for number in 0..HOLDS {
        let ledger = ledger.clone();
        let new = new_hold(number.into(), "r", 10, 100_000);
        callers.spawn(async move { ledger.hold(new).await.unwrap() });
    }
    let holds = callers.join_all().await;
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    fill(&ledger, job).await;
    // A settlement is larger than the mark of an open hold that it replaces, so that even with
    // the space which these give back, not all can fit.
    for hold in holds {
        drop(hold.settle(usage(900, 100, 12), pico(7)));
    }
    ledger.leave_job(job).await.unwrap();
    assert!(place.day().held.get() > 0, "some must wait");
    ledger.discard_job("/data/out.jsonl").await.unwrap();
    ledger.close().await.unwrap();
    assert_eq!(place.day_sums(), [7 * i64::from(HOLDS), 0, 0]);
}
