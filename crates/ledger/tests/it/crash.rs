//! A process killed in mid-writing, and a disk that truly refuses: each with a child process,
//! which is this same test run again.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ledger::{AttemptState, ItemStatus, Ledger, Outcome, TimeRange, Total};
use tokio::task::JoinSet;

use crate::place::{Place, answered, at, item, job_spec, new_hold, pico, total, usage};

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
                        tell("refused", ordinal);
                        break;
                    }
                    tell("recorded", ordinal);
                }
            });
        }
        callers.join_all().await;
    });
}

/// What children told, by ordinal.
#[derive(Default)]
struct Told {
    held: HashSet<u64>,
    recorded: HashSet<u64>,
    refused: HashSet<u64>,
}

impl Told {
    /// Adds what a child tells. It is killed when it has told this many lines; what it told until
    /// then, and while dying, is read to the end.
    fn listen(&mut self, mut child: Child, lines_until_killed: usize) {
        let mut lines = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some((what, ordinal)) = line.split_once(' ') else {
                continue;
            };
            let told = match what {
                "held" => &mut self.held,
                "recorded" => &mut self.recorded,
                "refused" => &mut self.refused,
                _ => continue,
            };
            told.insert(ordinal.parse().unwrap());
            lines += 1;
            if lines == lines_until_killed {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let killed = lines >= lines_until_killed;
        assert!(killed || lines_until_killed == usize::MAX, "{lines} lines");
    }

    /// Everything that was acknowledged is there, and nothing is half there: an attempt is
    /// settled exactly when its decision is there, but for a record that was refused, of which
    /// the money alone may be booked.
    fn check(&self, place: &Place) {
        let reader = place.reader();
        for ordinal in &self.held {
            let states = place.states(&ordinal.to_string());
            assert_eq!(states.len(), 1, "the hold of {ordinal} was acknowledged");
            let settled = matches!(states[0], AttemptState::Settled { .. });
            assert!(settled || !self.recorded.contains(ordinal), "{ordinal}");
        }
        let decisions = reader.decisions(TimeRange::ALL).unwrap();
        let decided: u64 = decisions.iter().map(|task| task.requests).sum();
        let decided = u64::try_from(COST).unwrap() * decided;
        let cost: Total = decisions.iter().map(|task| task.cost).sum();
        assert_eq!(cost, total(decided.into()));
        let spend = reader.spend(TimeRange::ALL).unwrap();
        let settled: Total = spend.iter().map(|line| line.settled).sum();
        let undecided = settled.0 - i128::from(decided);
        let refused = self.refused.len() as i128 * i128::from(COST);
        assert!((0..=refused).contains(&undecided), "{undecided} undecided");
        assert_eq!(reader.verify().unwrap(), Vec::<String>::new());
    }

    /// The next run adopts what was under way, and finds each result that has its money.
    async fn resume(&self, place: &Place) {
        let ledger = place.open();
        let adopted = ledger.adopt_orphans(at(1)).await.unwrap();
        assert!(adopted.attempts <= CALLERS, "{adopted:?}");
        let day = place.day();
        assert_eq!(day.held, pico(0), "nothing is under way any more");
        assert!(day.kept >= pico(adopted.attempts.cast_signed() * WORST_CASE));
        let opened = ledger.open_job(job_spec()).await.unwrap();
        assert!(self.recorded.iter().all(|&it| opened.done.contains(it)));
        let decisions = place.reader().decisions(TimeRange::ALL).unwrap();
        assert_eq!(decisions[0].requests, opened.done.len());
        let results = place.reader().job_results(opened.job).unwrap();
        let ordinals: Vec<u64> = results.map(|item| item.unwrap().ordinal).collect();
        assert_eq!(ordinals, opened.done.iter().collect::<Vec<_>>());
        ledger.close().await.unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    if let Some(directory) = child_directory() {
        return write_until_the_end(&directory);
    }
    let place = Place::new();
    let mut told = Told::default();
    // Killed early, when the file is new, and later, in the midst of checkpoints.
    for (round, lines) in [(0, 1), (1, 37), (2, 800), (3, 2_500), (4, 300)] {
        let test = "crash::a_killed_process_loses_nothing_it_acknowledged";
        told.listen(child(test, &place, round, ""), lines);
        told.check(&place);
    }
    assert!(told.refused.is_empty());
    block_on(told.resume(&place));
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
    let mut told = Told::default();
    told.listen(refusing, usize::MAX);
    // Without the log being shortened, some thirty fit.
    assert!(told.recorded.len() > 200, "{} fitted", told.recorded.len());
    told.check(&place);
    block_on(told.resume(&place));
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future);
}
