//! The config as the program sees it: values that were checked, each in a type of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use domain::{
    CompletionTokens, Picodollars, Price, PromptTokens, Sensitivity, Task, TaskName, TierKind,
    TierName,
};
use ledger::Timestamp;
use routing::certificate::Risk;
use secrecy::SecretString;
use upstream::{AwsAccount, GoogleAccount, KeyHeader, Protocol};

/// A config without faults. Every tier that a task names is in `tiers`, `server.auto` is in
/// `tasks`, and each task's texts may reach each of its tiers.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file that it was read from.
    pub(crate) file: PathBuf,
    /// The folder of everything that is kept.
    pub(crate) data_dir: PathBuf,
    /// The folder of certificates; that of the data folder, also where answers are simulated.
    pub(crate) certificates: PathBuf,
    /// The HTTP server.
    pub(crate) server: Server,
    /// The places that can answer.
    pub(crate) tiers: BTreeMap<TierName, Tier>,
    /// The named pieces of work.
    pub(crate) tasks: BTreeMap<TaskName, TaskConfig>,
    /// What is allowed but should be looked at, in sentences for a person.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// One line for a person who asked whether the config is right.
    pub(crate) fn summary(&self) -> String {
        let count = |count: usize, noun: &str| match count {
            1 => format!("1 {noun}"),
            _ => format!("{count} {noun}s"),
        };
        format!(
            "{}: no faults, {}, {}",
            self.file.display(),
            count(self.tiers.len(), "tier"),
            count(self.tasks.len(), "task"),
        )
    }

    /// The task of this name.
    ///
    /// # Errors
    /// When there is none; the message names those there are.
    pub(crate) fn task_named(&self, name: &str) -> anyhow::Result<TaskName> {
        let found = self.tasks.keys().find(|task| task.as_str() == name);
        found.cloned().with_context(|| {
            let names: Vec<&str> = self.tasks.keys().map(TaskName::as_str).collect();
            let file = self.file.display();
            format!(
                "{file} has no task `{name}`; its tasks are {}",
                names.join(", ")
            )
        })
    }

    /// Moves to the data folder of simulated answers and money, which never mix with real ones.
    pub(crate) fn keep_simulated_apart(&mut self) {
        self.data_dir.push("simulated");
        for task in self.tasks.values_mut() {
            task.keep_days = None;
            task.audit = None;
            task.learn_every = None;
        }
    }

    /// The folder at which relative paths of the config start.
    pub(crate) fn folder(&self) -> &Path {
        folder_of(&self.file)
    }
}

/// The folder of a config file, in a form that other paths can be joined to.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// How `tiergate serve` listens.
#[derive(Debug)]
pub(crate) struct Server {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// The keys that clients may present; empty only on an address of this machine.
    pub(crate) keys: Vec<SecretString>,
    /// The largest request body in bytes.
    pub(crate) body_bytes_max: usize,
    /// How many requests are worked on at the same time.
    pub(crate) requests_max: usize,
    /// How long a request's headers may take.
    pub(crate) header_timeout: Duration,
    /// How long a request's body may take.
    pub(crate) body_timeout: Duration,
    /// How long requests may still run after the program was told to stop.
    pub(crate) drain: Duration,
    /// The task that the model `auto` means.
    pub(crate) auto: Option<TaskName>,
    /// What the texts of requests are taken to be that name a tier and no task.
    pub(crate) direct_sensitivity: Sensitivity,
    /// How long and how much is kept for clients, where anything is.
    pub(crate) keeping: Option<Keeping>,
    /// How many requests of batches are worked on at the same time.
    pub(crate) batch_concurrency: usize,
}

/// How long and how much is kept for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// At least 1.
    pub(crate) days: i64,
    /// For one key.
    pub(crate) bytes_max: u64,
}

impl Keeping {
    /// When what comes now is to be deleted.
    pub(crate) fn expiry(self, now: Timestamp) -> Timestamp {
        const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;
        Timestamp::from_unix_ms(now.unix_ms() + self.days * MS_PER_DAY)
    }
}

/// A place that can answer.
#[derive(Debug)]
pub(crate) enum Tier {
    /// A classifier learned from the task's own labels.
    Student,
    /// The embedded engine.
    Local(LocalTier),
    /// Servers of one's own.
    Pool(RemoteTier),
    /// A paid API; it has a price, and a key unless it is on this machine.
    Frontier(RemoteTier),
    /// The review queue.
    Person,
}

impl Tier {
    /// Which kind of tier it is.
    pub(crate) fn kind(&self) -> TierKind {
        match self {
            Self::Student => TierKind::Student,
            Self::Local(_) => TierKind::Local,
            Self::Pool(_) => TierKind::Pool,
            Self::Frontier(_) => TierKind::Frontier,
            Self::Person => TierKind::Person,
        }
    }

    /// The settings of a tier that is reached over HTTP.
    pub(crate) fn remote(&self) -> Option<&RemoteTier> {
        match self {
            Self::Pool(remote) | Self::Frontier(remote) => Some(remote),
            Self::Student | Self::Local(_) | Self::Person => None,
        }
    }
}

/// The settings of the embedded engine.
#[derive(Debug)]
pub(crate) struct LocalTier {
    /// Which model it runs.
    pub(crate) model: ModelSource,
    /// How many threads compute; at least one.
    pub(crate) threads: usize,
    /// How many requests may wait; at least one.
    pub(crate) queue_max: usize,
    /// Memory for keys and values in bytes; `None` for what suits the model and the machine.
    pub(crate) kv_bytes: Option<u64>,
    /// What an hour of this machine costs its owner; never negative.
    pub(crate) machine_usd_per_hour: Picodollars,
}

/// Where a local model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelSource {
    /// In a GGUF file.
    File(PathBuf),
    /// Inside the program: the small model for demonstrations.
    Starter,
}

/// The settings of a tier that is reached over HTTP.
#[derive(Debug)]
pub(crate) struct RemoteTier {
    /// The base URL: `http` or `https`, a host, and a path without a slash at its end.
    pub(crate) url: String,
    /// The base URLs of further servers of the same model.
    pub(crate) other_urls: Vec<String>,
    /// The protocol that the server speaks.
    pub(crate) protocol: Protocol,
    /// The name by which the server knows the model.
    pub(crate) model: String,
    /// The API key.
    pub(crate) key: Option<SecretString>,
    /// The header in which the key is sent; `None` for the protocol's own.
    pub(crate) key_header: Option<KeyHeader>,
    /// The account of Google's in whose name it is asked, instead of by a key.
    pub(crate) google_account: Option<GoogleAccount>,
    /// The account of AWS's in whose name requests are signed, instead of by a key.
    pub(crate) aws_account: Option<AwsAccount>,
    /// Whether what its protocol has no form for is left out of other protocols' requests.
    pub(crate) drops_unsupported: bool,
    /// Whether requests may ask for what the price list does not cover.
    pub(crate) allow_unpriced: bool,
    /// The version that the address names in its query.
    pub(crate) api_version: Option<String>,
    /// What it charges; every frontier has one.
    pub(crate) price: Option<Price>,
    /// The most that one picture, sound or file of a prompt is taken to come to.
    pub(crate) media_tokens_max: PromptTokens,
    /// How long connecting may take, TLS included.
    pub(crate) connect: Duration,
    /// How long the first byte of an answer may take.
    pub(crate) first_token: Duration,
    /// How long an answer that has begun may pause.
    pub(crate) idle: Duration,
    /// How long a request may take in all.
    pub(crate) total: Duration,
    /// How often a request is sent at most; at least once.
    pub(crate) attempts_max: u32,
    /// How many requests are in flight at the same time; at least one.
    pub(crate) concurrency_max: usize,
    /// The field in which the server expects the limit of tokens to write.
    pub(crate) max_tokens_field: MaxTokensField,
    /// Whether temperature and seed are sent; many models that reason refuse them.
    pub(crate) sends_sampling: bool,
    /// A PEM file of certificates that are trusted besides the public ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether `http://` may lead to another machine.
    pub(crate) allow_plain_http: bool,
}

/// The field in which a server expects the limit of tokens to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxTokensField {
    /// `max_tokens`, as most servers of one's own do.
    MaxTokens,
    /// `max_completion_tokens`, as OpenAI does for models that reason.
    MaxCompletionTokens,
}

/// A named piece of work and how it is done.
#[derive(Debug)]
pub(crate) struct TaskConfig {
    /// The task itself.
    pub(crate) task: Task,
    /// The error allowed among kept answers; only with `records`, or with a confidence.
    pub(crate) target: Option<Target>,
    /// For labels by their index, ascending: the share of their documents that may be kept with
    /// another label, above 0 and below 1; empty without a confidence.
    pub(crate) max_missed: Vec<(usize, f64)>,
    /// For labels by their index, ascending: the share of the answers kept with this label that
    /// may be wrong, above 0 and at most the target's; empty without a confidence, and of a share of
    /// all documents.
    pub(crate) max_wrong: Vec<(usize, f64)>,
    /// The confidence from which an answer is accepted, 0 to 1; never beside a target. Where a
    /// student, local or pool tier is followed by another tier, there is one of the two.
    pub(crate) threshold: Option<f64>,
    /// The most that may be spent.
    pub(crate) budget: Option<Budget>,
    /// The documents whose right answer is known.
    pub(crate) records: Option<RecordsSource>,
    /// For how many days texts and answers are kept; `None` where they are not. Never of a
    /// restricted text.
    pub(crate) keep_days: Option<u16>,
    /// How many accepted answers are asked again; only with a certificate, and never of a
    /// restricted text.
    pub(crate) audit: Option<Audit>,
    /// How many new right answers make a lesson for the student; `None` where it doesn't go on
    /// learning. Only with a student, a certificate and records that are kept.
    pub(crate) learn_every: Option<u64>,
    /// After how many tokens, at least one, it is decided whether a streamed answer is kept; `None`
    /// where it is on the whole. Only with a certificate and without labels.
    pub(crate) early_tokens: Option<usize>,
    /// Whether local tiers are asked about their own answers; never with labels.
    pub(crate) self_check: bool,
    /// Whether local tiers are not asked where a router foretells that it would be in vain. Only
    /// with a certificate, and where a tier that is no person stands behind them.
    pub(crate) router: bool,
    /// Indices of the labels that call for attention; some but not all of them for a task of
    /// kind flag, otherwise empty.
    pub(crate) flagged: Vec<usize>,
    /// The most tokens that a tier may write for one document.
    pub(crate) max_completion_tokens: CompletionTokens,
    /// The sampling temperature, 0 to 2.
    pub(crate) temperature: f32,
    /// The field of an input document that holds its text.
    pub(crate) text_field: String,
    /// The field of an input document that holds its identifier.
    pub(crate) id_field: String,
}

/// What is asked of the answers that are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Target {
    /// The share of them that may be wrong, 0 to 1.
    pub(crate) max_error: f64,
    /// What it is a share of: kept answers, or all documents; the latter only with a confidence.
    pub(crate) risk: Risk,
    /// How sure that must be, 0.5 to 0.9999, where a certificate is demanded; `max_error` is
    /// then above 0 and below 1, and a student or local tier has another tier behind it.
    pub(crate) confidence: Option<f64>,
}

/// How many accepted answers are asked again, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Audit {
    /// The share of the surest, 0.0001 to 1.
    pub(crate) share: f64,
    /// The share at the threshold; at least the other, at most 1.
    pub(crate) near: f64,
    /// A tier of the task behind those that are certified; `None` leaves it to the certificate.
    pub(crate) by: Option<TierName>,
    /// After how many days a text that waits is deleted.
    pub(crate) days: u16,
}

/// A limit on spending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The most that may be spent in a window; never negative.
    pub(crate) limit: Picodollars,
    /// The time for which it holds.
    pub(crate) window: Window,
}

/// The time for which a budget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// A day in UTC.
    Day,
    /// A month in UTC.
    Month,
    /// All time.
    Total,
}

/// Where labelled records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordsSource {
    /// A JSONL or CSV file, or gzip of either.
    pub(crate) path: PathBuf,
    /// The rows to use, counted from 0; not empty. An open end is `usize::MAX`.
    pub(crate) rows: Range<usize>,
    /// The field of the text.
    pub(crate) text: String,
    /// The field of the right answer.
    pub(crate) gold: String,
}
