//! How many paid requests a second can be booked: a hold, made durable, then its settlement with
//! the decision and the job's item, made durable; at 1, 16 and 64 callers at a time. And how long
//! the report over all of them takes.
//!
//! `cargo bench -p ledger` writes beside the build, where the disk is likely to be the one that
//! matters; `LEDGER_BENCH_DIR` names another directory. Run by anything but `cargo bench`, it only
//! shows that it works.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a bench may fail anywhere")]
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use domain::{CompletionTokens, Picodollars, PromptTokens, TaskName, TierName, Usage};
use ledger::{
    AttemptId, BudgetLimit, Decision, ItemStatus, JobId, JobItem, JobSpec, Ledger, NewHold,
    Outcome, RequestId, TimeRange, Timestamp, Verdict,
};
use tokio::task::JoinSet;

const REPEATS: usize = 3;
const WORST_CASE: Picodollars = Picodollars::new(2_000_000_000);
const COST: Picodollars = Picodollars::new(700_000_000);

fn main() {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let length = Duration::from_millis(if measures { 4_000 } else { 50 });
    let place = std::env::var_os("LEDGER_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        for callers in [1, 16, 64] {
            let mut rates = Vec::new();
            let mut waits = Vec::new();
            let mut reports = Vec::new();
            for _ in 0..REPEATS {
                let dir = tempfile::tempdir_in(&place).unwrap();
                let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
                let (rate, wait) = measure(&ledger, callers, length).await;
                rates.push(rate);
                waits.push(wait);
                reports.push(report(&ledger));
                ledger.close().await.unwrap();
            }
            rates.sort_by(f64::total_cmp);
            waits.sort();
            println!(
                "{callers:>3} callers: {:.0} holds and records a second (from {:.0} to {:.0}); median hold {:.2?}; {}",
                rates[REPEATS / 2],
                rates[0],
                rates[REPEATS - 1],
                waits[REPEATS / 2],
                reports[REPEATS - 1],
            );
        }
    });
}

/// Requests booked a second, and the median time that a hold takes.
async fn measure(ledger: &Ledger, callers: u64, length: Duration) -> (f64, Duration) {
    let now = Timestamp::from(SystemTime::now());
    let spec = JobSpec {
        fingerprint: "bench".to_owned(),
        task: TaskName::new("flag").unwrap(),
        output: "bench".to_owned(),
        at: now,
    };
    let job = ledger.open_job(spec).await.unwrap().job;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let mut waits = Vec::new();
            let mut ordinal = caller;
            while started.elapsed() < length {
                waits.push(book(&ledger, job, ordinal, now).await);
                ordinal += callers;
            }
            waits
        });
    }
    let mut waits: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let count = u32::try_from(waits.len()).unwrap();
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    waits.sort();
    (rate, waits[waits.len() / 2])
}

/// One request, start to end; gives back the time of its hold.
async fn book(ledger: &Ledger, job: JobId, ordinal: u64, at: Timestamp) -> Duration {
    let request = RequestId(format!("bench-{ordinal}"));
    let (task, tier) = (
        TaskName::new("flag").unwrap(),
        TierName::new("frontier").unwrap(),
    );
    let new = NewHold {
        attempt: AttemptId::generate(at),
        request: request.clone(),
        task: task.clone(),
        tier: tier.clone(),
        model: "gpt".to_owned(),
        worst_case: WORST_CASE,
        at,
        budgets: vec![BudgetLimit {
            name: "day".to_owned(),
            limit: Picodollars::new(i64::MAX),
            window_start: Timestamp::from_unix_ms(0),
        }],
    };
    let asked = Instant::now();
    let hold = ledger.hold(new).await.unwrap();
    let waited = asked.elapsed();
    let usage = Usage {
        prompt: PromptTokens(400),
        cached_prompt: PromptTokens(0),
        completion: CompletionTokens(4),
        ..Usage::default()
    };
    let outcome = Outcome {
        request,
        at,
        task,
        decision: Decision {
            verdict: Verdict::Answered { tier },
            confidence: Some(0.9),
            escalations: 1,
            fallbacks: 0,
            json: "{\"why\":\"x\"}".repeat(30),
            prompt_bytes: 1_600,
            counterfactual: None,
        },
        resolutions: vec![hold.settle(usage, COST)],
        unpaid: Vec::new(),
        item: Some(JobItem {
            job,
            ordinal,
            document: format!("doc-{ordinal}"),
            result: "{\"label\":\"up\"}".repeat(15),
            status: ItemStatus::Answered,
        }),
        record: None,
        audit: None,
        passed_on: None,
    };
    ledger.record(outcome).await.unwrap();
    waited
}

fn report(ledger: &Ledger) -> String {
    let reader = ledger.reader().unwrap();
    let started = Instant::now();
    let spend = reader.spend(TimeRange::ALL).unwrap();
    let decisions = reader.decisions(TimeRange::ALL).unwrap();
    let took = started.elapsed();
    assert_eq!(spend[0].attempts, decisions[0].requests);
    format!("reports over {} requests {took:.2?}", spend[0].attempts)
}
