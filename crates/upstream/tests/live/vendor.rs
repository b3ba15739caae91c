//! The vendor of these tests, and clients of it.

use std::path::PathBuf;
use std::time::Duration;

use domain::{
    CompletionTokens, Generation, Message, Picodollars, Price, Prompt, Role, TokenRate, Usage,
};
use standin::journal::{self, Bill};
use standin::{AnswerSet, Answers, RunningStandin, Standin, StandinOptions};
use upstream::{
    Attempt, Client, CompletionStream, Egress, EgressOptions, Endpoint, EndpointOptions, StreamEnd,
    StreamEvent, UpstreamError,
};

/// A question, and its answer with characters of one to four bytes.
pub(crate) const QUESTION: &str = "Was Frau Müller fragt";
pub(crate) const ANSWER: &str = "Grüße, 漢字 und 🦀🦀 – ja";

/// The stand-in with its journal.
pub(crate) struct Vendor {
    pub(crate) running: RunningStandin,
    pub(crate) journal: PathBuf,
    _folder: tempfile::TempDir,
}

pub(crate) fn price() -> Price {
    let rate = |usd| TokenRate::from_usd_per_million(usd).unwrap();
    Price {
        input: rate("2.50"),
        cached_input: rate("2.50"),
        cache_write: rate("2.50"),
        output: rate("10"),
    }
}

impl Vendor {
    /// A vendor that knows [`QUESTION`] and fails by these rules.
    pub(crate) async fn start(faults: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.jsonl");
        let known = [(QUESTION.to_owned(), ANSWER.to_owned())];
        let mut options = StandinOptions::new(Answers::new(vec![AnswerSet::new(vec![], known)]));
        options.listen = standin::own_address();
        options.key = Some("sk-test".into());
        options.price = price();
        options.journal = Some(journal.clone());
        options.faults = faults.iter().map(|rule| rule.parse().unwrap()).collect();
        Self {
            running: Standin::start(options).await.unwrap(),
            journal,
            _folder: folder,
        }
    }

    pub(crate) fn bills(&self) -> Vec<Bill> {
        journal::read(&self.journal).unwrap()
    }

    /// Options of an endpoint that this vendor is, with limits that no test has to wait for long.
    pub(crate) fn options(&self) -> EndpointOptions {
        let mut options = EndpointOptions::new(self.running.url(), "standin-1");
        options.key = Some("sk-test".into());
        options.retry.backoff_base = Duration::from_millis(1);
        options
    }

    pub(crate) fn client(&self) -> Client {
        client(self.options())
    }
}

pub(crate) fn client(options: EndpointOptions) -> Client {
    let egress = Egress::new(&EgressOptions::default()).unwrap();
    Client::new(&egress, Endpoint::new(options).unwrap())
}

/// The cost of what was reported must be what the vendor bills.
pub(crate) fn cost(usage: &Usage) -> Picodollars {
    price().cost(usage).unwrap()
}

/// What the tests ask.
pub(crate) struct Question {
    pub(crate) prompt: Prompt,
    pub(crate) generation: Generation,
}

impl Question {
    pub(crate) fn new() -> Self {
        let messages = vec![
            Message::new(Role::System, "Answer."),
            Message::new(Role::User, QUESTION),
        ];
        Self {
            prompt: Prompt::new(messages),
            generation: Generation {
                seed: 1,
                ..Generation::new(CompletionTokens(1_000))
            },
        }
    }

    /// One attempt at a whole answer.
    pub(crate) async fn ask(&self, client: &Client) -> Result<domain::Completion, UpstreamError> {
        let schedule = client.schedule();
        client.attempt(&self.attempt(&schedule)).await
    }

    /// One attempt at a stream.
    pub(crate) async fn ask_streamed(
        &self,
        client: &Client,
    ) -> Result<CompletionStream, UpstreamError> {
        let schedule = client.schedule();
        client.attempt_stream(&self.attempt(&schedule)).await
    }

    pub(crate) fn attempt(&self, schedule: &upstream::RetrySchedule) -> Attempt<'_> {
        Attempt {
            id: "attempt-1",
            prompt: &self.prompt,
            generation: &self.generation,
            extra: None,
            deadline: schedule.deadline(),
        }
    }
}

/// The text of a stream up to its end or its error.
pub(crate) async fn collect(
    stream: &mut CompletionStream,
) -> (String, Result<StreamEnd, UpstreamError>) {
    let mut text = String::new();
    loop {
        match stream.next_event().await {
            Ok(StreamEvent::Text(part)) => text.push_str(&part),
            Ok(StreamEvent::End(end)) => return (text, Ok(end)),
            Ok(_) => {}
            Err(error) => return (text, Err(error)),
        }
    }
}
