//! Where the books of a test lie, and short ways to write in them.

use std::path::{Path, PathBuf};

use domain::{CompletionTokens, Picodollars, PromptTokens, TaskName, TierName, Usage};
use ledger::{
    Advance, Advanced, AttemptId, AttemptState, Balance, BudgetLimit, Decision, ItemStatus, JobId,
    JobItem, JobSpec, Ledger, NewHold, Observed, OpenOptions, Outcome, Reader, RequestId,
    Timestamp, Total, Verdict,
};

/// A directory of its own for one test.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    pub(crate) fn open(&self) -> Ledger {
        Ledger::open(&self.file()).unwrap()
    }

    /// Opened so that the file can't grow beyond this many pages.
    pub(crate) fn open_small(&self, pages_max: u32) -> Ledger {
        let options = OpenOptions {
            pages_max: Some(pages_max),
        };
        options.open(&self.file()).unwrap()
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.file()).unwrap()
    }

    /// The balance of the budget `day`, after checking that all sums agree.
    pub(crate) fn day(&self) -> Balance {
        let reader = self.reader();
        assert_eq!(reader.verify().unwrap(), Vec::<String>::new());
        let mut balances = reader.balances().unwrap();
        assert_eq!(balances.len(), 1);
        balances.remove(0)
    }

    /// Settled, held and kept picodollars of the budget `day`.
    pub(crate) fn day_sums(&self) -> [i64; 3] {
        let day = self.day();
        [day.settled, day.held, day.kept].map(Picodollars::get)
    }

    /// The states of a request's attempts.
    pub(crate) fn states(&self, name: &str) -> Vec<AttemptState> {
        let lines = self.reader().attempts_of(&request(name)).unwrap();
        lines.into_iter().map(|line| line.state).collect()
    }
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

pub(crate) fn attempt(number: u128) -> AttemptId {
    AttemptId::from_bytes(number.to_be_bytes())
}

pub(crate) fn request(name: &str) -> RequestId {
    RequestId(name.to_owned())
}

pub(crate) fn task(name: &str) -> TaskName {
    TaskName::new(name).unwrap()
}

pub(crate) fn tier(name: &str) -> TierName {
    TierName::new(name).unwrap()
}

pub(crate) fn pico(amount: i64) -> Picodollars {
    Picodollars::new(amount)
}

pub(crate) fn total(amount: i128) -> Total {
    Total(amount)
}

pub(crate) fn usage(prompt: u64, cached: u64, completion: u64) -> Usage {
    Usage {
        prompt: PromptTokens(prompt),
        cached_prompt: PromptTokens(cached),
        completion: CompletionTokens(completion),
        ..Usage::default()
    }
}

/// The budget `day` with this limit, in the window that begins at 0.
pub(crate) fn day_limit(limit: i64) -> BudgetLimit {
    BudgetLimit {
        name: "day".to_owned(),
        limit: pico(limit),
        window_start: at(0),
    }
}

/// A hold for the request of that name, of task `flag` at tier `frontier`.
pub(crate) fn new_hold(number: u128, name: &str, worst_case: i64, limit: i64) -> NewHold {
    NewHold {
        attempt: attempt(number),
        request: request(name),
        task: task("flag"),
        tier: tier("frontier"),
        model: "gpt".to_owned(),
        worst_case: pico(worst_case),
        at: at(1_000),
        budgets: vec![day_limit(limit)],
    }
}

/// An answer by the frontier, with nothing else to book.
pub(crate) fn answered(name: &str) -> Outcome {
    Outcome {
        request: request(name),
        at: at(2_000),
        task: task("flag"),
        decision: Decision {
            verdict: Verdict::Answered {
                tier: tier("frontier"),
            },
            confidence: Some(0.93),
            escalations: 1,
            fallbacks: 0,
            json: r#"{"why":"below threshold"}"#.to_owned(),
            prompt_bytes: 1_200,
            counterfactual: None,
        },
        resolutions: Vec::new(),
        unpaid: Vec::new(),
        item: None,
        record: None,
        audit: None,
        passed_on: None,
    }
}

/// A monitor whose state is how many audits there were and how many wrong, such as `5 2`; the
/// third wrong one revokes.
pub(crate) fn count_up() -> Advance {
    Advance::new(|state, observed| {
        let numbers: Option<Vec<u32>> = state.split(' ').map(|n| n.parse().ok()).collect();
        let Some([audits, wrong]) = numbers.as_deref() else {
            return Err("it is damaged".to_owned());
        };
        let is_wrong = matches!(observed, Observed::Audit { finding, .. } if finding.wrong);
        let wrong = wrong + u32::from(is_wrong);
        Ok(Advanced {
            state: format!("{} {wrong}", audits + 1),
            revoked: wrong >= 3,
        })
    })
}

/// The job that writes `out.jsonl`.
pub(crate) fn job_spec() -> JobSpec {
    JobSpec {
        fingerprint: "abc".to_owned(),
        task: task("flag"),
        output: "/data/out.jsonl".to_owned(),
        at: at(500),
    }
}

pub(crate) fn item(job: JobId, ordinal: u64, status: ItemStatus) -> JobItem {
    JobItem {
        job,
        ordinal,
        document: format!("doc-{ordinal}"),
        result: format!(r#"{{"answer":{ordinal}}}"#),
        status,
    }
}
