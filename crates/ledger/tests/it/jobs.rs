//! Jobs: resumed anywhere, one result for each document.

use ledger::{ItemCounts, ItemStatus, JobSpec, Ledger, LedgerError, Outcome};

use crate::place::{Place, answered, at, item, job_spec};

const RETRYABLE: ItemStatus = ItemStatus::Failed { retryable: true };
const HOPELESS: ItemStatus = ItemStatus::Failed { retryable: false };

async fn write(
    ledger: &Ledger,
    job: ledger::JobId,
    ordinal: u64,
    status: ItemStatus,
    attempt: u32,
) -> Result<(), LedgerError> {
    let outcome = Outcome {
        item: Some(item(job, ordinal, status)),
        ..answered(&format!("{ordinal}/{attempt}"))
    };
    ledger.record(outcome).await.map(|_| ())
}

#[tokio::test]
async fn a_job_is_resumed_where_it_was_left() {
    let place = Place::new();
    let ledger = place.open();
    let opened = ledger.open_job(job_spec()).await.unwrap();
    assert!(opened.done.is_empty() && opened.retryable.is_empty() && !opened.finished);
    for (ordinal, status) in [
        (3, ItemStatus::Answered),
        (0, ItemStatus::Review),
        (1, RETRYABLE),
        (7, HOPELESS),
    ] {
        write(&ledger, opened.job, ordinal, status, 0)
            .await
            .unwrap();
    }
    ledger.close().await.unwrap();

    let ledger = place.open();
    let again = ledger.open_job(job_spec()).await.unwrap();
    assert_eq!(again.job, opened.job);
    assert_eq!(again.done.iter().collect::<Vec<_>>(), [0, 3, 7]);
    assert_eq!(again.retryable.iter().collect::<Vec<_>>(), [1]);

    write(&ledger, again.job, 1, ItemStatus::Answered, 1)
        .await
        .unwrap();
    let counts = ledger.finish_job(again.job, at(9_000)).await.unwrap();
    let expected = ItemCounts {
        answered: 2,
        review: 1,
        failed: 1,
        retryable: 0,
    };
    assert_eq!(counts, expected);
    let finished = ledger.open_job(job_spec()).await.unwrap();
    assert!(finished.finished && finished.retryable.is_empty());
    assert_eq!(finished.done.len(), 4);
}

#[tokio::test]
async fn only_a_retryable_result_is_replaced() {
    let place = Place::new();
    let ledger = place.open();
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    write(&ledger, job, 0, RETRYABLE, 0).await.unwrap();
    write(&ledger, job, 0, RETRYABLE, 1).await.unwrap();
    for last in [ItemStatus::Answered, ItemStatus::Review, HOPELESS] {
        let ordinal = match last {
            ItemStatus::Answered => 0,
            ItemStatus::Review => 1,
            ItemStatus::Failed { .. } => 2,
        };
        write(&ledger, job, ordinal, last, 2).await.unwrap();
        let error = write(&ledger, job, ordinal, ItemStatus::Answered, 3)
            .await
            .unwrap_err();
        assert!(
            matches!(error, LedgerError::Contradiction { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn results_come_in_the_order_of_the_input() {
    let place = Place::new();
    let ledger = place.open();
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    let other = JobSpec {
        output: "/data/other.jsonl".to_owned(),
        ..job_spec()
    };
    let other = ledger.open_job(other).await.unwrap().job;
    // Several pages, written out of order, between the items of another job.
    let count = 700;
    for step in 0..count {
        let ordinal = step * 333 % count;
        write(&ledger, job, ordinal, ItemStatus::Answered, 0)
            .await
            .unwrap();
        if step % 50 == 0 {
            write(&ledger, other, ordinal, HOPELESS, 9).await.unwrap();
        }
    }
    let mut results = place.reader().job_results(job).unwrap();
    let first = results.next().unwrap().unwrap();
    assert_eq!((first.ordinal, first.document.as_str()), (0, "doc-0"));
    assert_eq!(first.result, r#"{"answer":0}"#);
    // What comes later doesn't show in an iteration that has begun.
    write(&ledger, job, count, ItemStatus::Answered, 0)
        .await
        .unwrap();
    let rest: Vec<u64> = results.map(|item| item.unwrap().ordinal).collect();
    assert_eq!(rest, (1..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_output_of_another_job_is_refused_until_that_is_discarded() {
    let place = Place::new();
    let ledger = place.open();
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    write(&ledger, job, 0, ItemStatus::Answered, 0)
        .await
        .unwrap();
    ledger.leave_job(job).await.unwrap();

    let changed = JobSpec {
        fingerprint: "def".to_owned(),
        ..job_spec()
    };
    let error = ledger.open_job(changed.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/data/out.jsonl` belongs to an earlier job whose task, tiers or inputs were others; write to another file, or discard the earlier job"
    );
    assert!(ledger.discard_job("/data/out.jsonl").await.unwrap());
    assert!(!ledger.discard_job("/data/out.jsonl").await.unwrap());
    let fresh = ledger.open_job(changed).await.unwrap();
    assert!(fresh.done.is_empty());
    assert_ne!(fresh.job, job, "an id is never given twice");
    // The decision of the discarded job stays.
    let decisions = place.reader().decisions(ledger::TimeRange::ALL).unwrap();
    assert_eq!(decisions[0].requests, 1);
}

#[tokio::test]
async fn a_job_is_open_once() {
    let place = Place::new();
    let ledger = place.open();
    let job = ledger.open_job(job_spec()).await.unwrap().job;
    let own = std::process::id();
    let second = place.open();
    for busy in [&ledger, &second] {
        let error = busy.open_job(job_spec()).await.unwrap_err();
        assert!(
            matches!(error, LedgerError::JobRunning { pid, .. } if pid == own),
            "{error}"
        );
        assert!(busy.discard_job("/data/out.jsonl").await.is_err());
    }
    let error = write(&second, job, 0, ItemStatus::Answered, 0)
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::JobRunning { .. }), "{error}");

    ledger.leave_job(job).await.unwrap();
    let error = write(&ledger, job, 0, ItemStatus::Answered, 0)
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::Invalid(_)), "{error}");
    assert_eq!(second.open_job(job_spec()).await.unwrap().job, job);
    write(&second, job, 0, ItemStatus::Answered, 0)
        .await
        .unwrap();

    // Closing gives it back too.
    second.close().await.unwrap();
    assert_eq!(ledger.open_job(job_spec()).await.unwrap().done.len(), 1);
}
