//! A process killed in mid-writing, and a disk that truly refuses: each with a child process,
//! which is this same test run again.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ledger::{AttemptState, ItemStatus, Ledger, Outcome, TimeRange};
use tokio::task::JoinSet;

use crate::place::{Place, answered, at, item, job_spec, new_hold, pico, request, usage};

/// Names the directory to write in; set for the child alone.
const CHILD: &str = "LEDGER_TEST_CHILD";
const ROUND: &str = "LEDGER_TEST_ROUND";
const LIMIT: i64 = i64::MAX;
const WORST_CASE: i64 = 100;
const COST: i64 = 70;
const CALLERS: u64 = 8;
/// Places in the input that each round of writing may use.
const ROUND_STEP: u64 = 1_000_000;

/// This test again, as a child that writes into the place.
fn child(test: &str, place: &Place, round: u64, shell_prefix: &str) -> Child {
    let binary = std::env::current_exe().unwrap();
    Command::new("sh")
        .arg("-c")
        .arg(format!("{shell_prefix} exec \"$@\""))
        .arg("sh")
        .arg(binary)
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, place.dir())
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The directory, where this process is the child.
fn child_directory() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Tells the parent what was acknowledged, before anything else is done.
fn tell(what: &str, ordinal: u64) {
    let line = format!("{what} {ordinal}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Holds and records item after item from several tasks, until killed or refused.
fn write_until_the_end(directory: &Path) {
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let ledger = Ledger::open(&directory.join("ledger.db")).unwrap();
        ledger.adopt_orphans(at(1)).await.unwrap();
        let job = ledger.open_job(job_spec()).await.unwrap().job;
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let ledger = ledger.clone();
            callers.spawn(async move {
                let first = round * ROUND_STEP + caller;
                for ordinal in (first..first + ROUND_STEP / 2).step_by(8) {
                    let name = ordinal.to_string();
                    let new = new_hold(u128::from(ordinal), &name, WORST_CASE, LIMIT);
                    let Ok(mut hold) = ledger.hold(new).await else {
                        break;
                    };
                    hold.mark_sent();
                    tell("held", ordinal);
                    let outcome = Outcome {
                        resolutions: vec![hold.settle(usage(9, 0, 1), pico(COST))],
                        item: Some(item(job, ordinal, ItemStatus::Answered)),
                        ..answered(&name)
                    };
                    if ledger.record(outcome).await.is_err() {
                        break;
                    }
                    tell("recorded", ordinal);
                }
            });
        }
        callers.join_all().await;
    });
}

/// What the child acknowledged. It is killed when it has told this many lines; what it told
/// until then, and while dying, is read to the end.
fn acknowledged(mut child: Child, lines_until_killed: usize) -> (HashSet<u64>, HashSet<u64>) {
    let (mut held, mut recorded) = (HashSet::new(), HashSet::new());
    let mut lines = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some(("held", ordinal)) => held.insert(ordinal.parse().unwrap()),
            Some(("recorded", ordinal)) => recorded.insert(ordinal.parse().unwrap()),
            _ => continue,
        };
        lines += 1;
        if lines == lines_until_killed {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (held, recorded)
}

/// Everything that was acknowledged is there, and nothing is half there.
fn check(place: &Place, held: &HashSet<u64>, recorded: &HashSet<u64>) {
    let reader = place.reader();
    let job = {
        let stored = reader.decisions(TimeRange::ALL).unwrap();
        let settled: i128 = stored.iter().map(|task| task.cost.0).sum();
        let requests: u64 = stored.iter().map(|task| task.requests).sum();
        assert_eq!(settled, i128::from(COST) * i128::from(requests));
        requests
    };
    for ordinal in held {
        let states: Vec<AttemptState> = reader
            .attempts_of(&request(&ordinal.to_string()))
            .unwrap()
            .into_iter()
            .map(|line| line.state)
            .collect();
        assert_eq!(states.len(), 1, "the hold of {ordinal} was acknowledged");
        let settled = matches!(states[0], AttemptState::Settled { .. });
        assert!(
            settled || !recorded.contains(ordinal),
            "{ordinal} was recorded"
        );
    }
    let spend = reader.spend(TimeRange::ALL).unwrap();
    let settled: i128 = spend.iter().map(|line| line.settled.0).sum();
    assert_eq!(
        settled,
        i128::from(COST) * i128::from(job),
        "an attempt is settled exactly when its decision is there"
    );
    assert_eq!(reader.verify().unwrap(), Vec::<String>::new());
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    if let Some(directory) = child_directory() {
        return write_until_the_end(&directory);
    }
    let place = Place::new();
    let (mut held, mut recorded) = (HashSet::new(), HashSet::new());
    // Killed early, when the file is new, and later, in the midst of checkpoints.
    for (round, lines) in [(0, 1), (1, 37), (2, 800), (3, 2_500), (4, 300)] {
        let test = "crash::a_killed_process_loses_nothing_it_acknowledged";
        let (more_held, more_recorded) = acknowledged(child(test, &place, round, ""), lines);
        assert!(more_held.len() + more_recorded.len() >= lines);
        held.extend(more_held);
        recorded.extend(more_recorded);
        check(&place, &held, &recorded);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(resume(&place, &recorded));
}

/// The next run adopts what was under way, and finds each result that has its money.
async fn resume(place: &Place, recorded: &HashSet<u64>) {
    let ledger = place.open();
    let adopted = ledger.adopt_orphans(at(1)).await.unwrap();
    assert!(adopted.attempts <= CALLERS, "{adopted:?}");
    let day = place.day();
    assert_eq!(day.held, pico(0), "nothing is under way any more");
    assert!(day.kept >= pico(adopted.attempts.cast_signed() * WORST_CASE));
    let opened = ledger.open_job(job_spec()).await.unwrap();
    assert!(
        recorded
            .iter()
            .all(|&ordinal| opened.done.contains(ordinal))
    );
    let settled = i128::from(COST) * i128::from(opened.done.len());
    assert_eq!(ledger::Total::from(day.settled).0, settled);
    let results = place.reader().job_results(opened.job).unwrap();
    let ordinals: Vec<u64> = results.map(|item| item.unwrap().ordinal).collect();
    assert_eq!(ordinals, opened.done.iter().collect::<Vec<_>>());
    ledger.close().await.unwrap();
}

/// The system refuses to let any file of the child grow beyond 512 KiB: real writes fail, of the
/// database and of its log. Nothing that was acknowledged is lost.
#[test]
#[cfg(unix)]
fn writes_that_the_system_refuses_lose_nothing() {
    if let Some(directory) = child_directory() {
        return write_until_the_end(&directory);
    }
    let place = Place::new();
    let test = "crash::writes_that_the_system_refuses_lose_nothing";
    // The signal that comes with the refusal would end the process.
    let refusing = child(test, &place, 0, "trap '' XFSZ; ulimit -f 1024;");
    let (held, recorded) = acknowledged(refusing, usize::MAX);
    assert!(recorded.len() > 50, "{} fitted", recorded.len());
    check(&place, &held, &recorded);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(resume(&place, &recorded));
}
