//! The paid vendor, stood in for: a real server on this machine that keeps its own bill.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use domain::{Picodollars, Price, TokenRate};
use standin::journal::Delivered;
use standin::{AnswerSet, Answers, Pace, RunningStandin, Standin, StandinOptions};
use tokio::runtime::Runtime;

use crate::server::DEADLINE;
use crate::workplace::{MATTERS, Workplace, documents};

/// A vendor at work.
pub(crate) struct Vendor {
    runtime: Runtime,
    running: Option<RunningStandin>,
    journal: PathBuf,
}

/// What differs between vendors.
#[derive(Default)]
pub(crate) struct Manner {
    /// Where it listens; `None` for an address of its own.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) first_token_ms: u64,
    pub(crate) faults: &'static [&'static str],
}

impl Vendor {
    /// A vendor that knows the matter of each of the demo's documents, and bills what
    /// [`Self::config`] says.
    pub(crate) fn start(workplace: &Workplace, manner: &Manner) -> Self {
        let known = documents().into_iter().map(|document| {
            let text = |field: &str| document[field].as_str().unwrap().to_owned();
            (text("text"), text("classify"))
        });
        Self::knowing(workplace, manner, known)
    }

    /// A vendor that knows these texts' matters.
    pub(crate) fn knowing(
        workplace: &Workplace,
        manner: &Manner,
        known: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let mut building = tokio::runtime::Builder::new_multi_thread();
        let runtime = building.worker_threads(1).enable_all().build().unwrap();
        let journal = workplace.path("bill.jsonl");
        let labels = MATTERS.map(str::to_owned).to_vec();
        let rate = |usd| TokenRate::from_usd_per_million(usd).unwrap();
        let options = StandinOptions {
            listen: manner.listen.unwrap_or_else(standin::own_address),
            price: Price {
                input: rate("0.25"),
                cached_input: rate("0.025"),
                cache_write: rate("0.25"),
                output: rate("2"),
            },
            journal: Some(journal.clone()),
            pace: Pace {
                first_token_ms: manner.first_token_ms,
                per_token_ms: 0,
            },
            faults: manner
                .faults
                .iter()
                .map(|rule| rule.parse().unwrap())
                .collect(),
            ..StandinOptions::new(Answers::new(vec![AnswerSet::new(labels, known)]))
        };
        let running = runtime.block_on(Standin::start(options)).unwrap();
        Self {
            runtime,
            running: Some(running),
            journal,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().address()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.running.as_ref().unwrap().requests()
    }

    /// Waits until so many of its answers have ended, whole or cut; when the last of them did.
    pub(crate) fn ended(&self, answers: u64) -> Instant {
        let running = self.running.as_ref().unwrap();
        let ended = async { tokio::time::timeout(DEADLINE, running.ended(answers)).await };
        self.runtime.block_on(ended).unwrap()
    }

    /// How many of its answers were cut off so far.
    pub(crate) fn cut(&self) -> usize {
        let bills = standin::journal::read(&self.journal).unwrap();
        let is_cut = |bill: &&standin::journal::Bill| bill.delivered == Delivered::Cut;
        bills.iter().filter(is_cut).count()
    }

    /// The sections of the tier `frontier` and its price.
    pub(crate) fn config(&self) -> String {
        frontier(self.address())
    }

    /// Ends it when all it was asked is answered; what it bills in all, and for how many answers.
    pub(crate) fn close(mut self) -> (Picodollars, usize) {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running.shutdown());
        let bills = standin::journal::read(&self.journal).unwrap();
        let add = |sum: Picodollars, bill: &standin::journal::Bill| sum.plus(bill.cost).unwrap();
        (bills.iter().fold(Picodollars::ZERO, add), bills.len())
    }
}

/// The sections of the tier `frontier` at an address.
pub(crate) fn frontier(address: SocketAddr) -> String {
    format!(
        r#"
[tiers.frontier]
kind = "frontier"
url = "http://{address}/v1"
model = "standin-1"
price = "standin"
attempts_max = 1

[prices.standin]
input = "0.25"
cached_input = "0.025"
output = "2.00"
"#
    )
}
