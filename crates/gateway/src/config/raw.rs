//! The config as it is written: one struct for each section of `tiergate.toml`.
//!
//! Every option is optional here, so that a faulty one can be left out and the rest still be
//! read; what is required, and every default, is decided in the checks. Each option's comment
//! states its default, unit and reason; `docs/config.md` is made from these comments, and tests
//! hold the page, the stated defaults and the stated ranges against the program.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The file as a whole.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    /// The folder of everything that Tiergate keeps: the ledger, trained students and the
    /// progress of runs. Relative paths here and below start at the config file's folder, so
    /// that a command means the same wherever it is started.
    ///
    /// Default: `"tiergate-data"`.
    pub(super) data_dir: Option<String>,
    /// The HTTP server of `tiergate serve`.
    pub(super) server: RawServer,
    /// Price lists by name. They stand apart from the tiers because several tiers may share one,
    /// and because prices change more often than anything else here.
    pub(super) prices: BTreeMap<String, RawPrice>,
    /// The places that can answer, by name.
    pub(super) tiers: BTreeMap<String, RawTier>,
    /// The named pieces of work.
    pub(super) tasks: BTreeMap<String, RawTask>,
}

/// The section `[server]`: how `tiergate serve` listens, and the limits that keep one client
/// from starving the others.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawServer {
    /// The address and port to listen on. Only this machine can reach the default; any other
    /// address needs `keys`.
    ///
    /// Default: `"127.0.0.1:8080"`.
    pub(super) listen: Option<String>,
    /// The keys that clients may present as `Authorization: Bearer KEY`, each by reference:
    /// `env:NAME` or `file:PATH`. Without any, every client that reaches the address is served,
    /// and so the address must be this machine's own.
    ///
    /// Default: `[]`.
    pub(super) keys: Option<Vec<String>>,
    /// The largest request body that is read, in bytes; a longer one is answered with 413. It
    /// bounds the memory that a client can claim.
    ///
    /// Default: `4194304`. Range: 1024 to 1073741824.
    pub(super) body_bytes_max: Option<u64>,
    /// How many requests are worked on at the same time; one more is answered with 429 and the
    /// time after which to try again, because a longer queue helps nobody.
    ///
    /// Default: `256`. Range: 1 to 100000.
    pub(super) requests_max: Option<u64>,
    /// How long a client may take to send a request's headers, in seconds; otherwise idle
    /// connections could use up all that the machine may open.
    ///
    /// Default: `10`. Range: 0.001 to 3600.
    pub(super) header_seconds: Option<f64>,
    /// How long a client may take to send a request's body, and how long it may leave a streamed
    /// answer unread, in seconds.
    ///
    /// Default: `30`. Range: 0.001 to 3600.
    pub(super) body_seconds: Option<f64>,
    /// How long requests in progress may still run after the program was told to stop, in
    /// seconds. It should be shorter than the patience of whatever stops the program.
    ///
    /// Default: `25`. Range: 0 to 3600.
    pub(super) drain_seconds: Option<f64>,
    /// The task that a request means whose `model` is `auto`. Without it such a request is
    /// refused, and clients name `task:NAME` or `tier:NAME`.
    ///
    /// Default: none.
    pub(super) auto: Option<String>,
    /// What the texts of requests are taken to be that name a tier and no task: `public`,
    /// `internal`, `confidential` or `restricted`. Only public and internal texts may reach a
    /// `frontier`, and so by default `tier:NAME` can't name one.
    ///
    /// Default: `"confidential"`.
    pub(super) direct_sensitivity: Option<String>,
    /// For how many days responses, files and batches of clients are kept; 0 keeps none. They lie
    /// in the data folder, readable by whoever may read that, and each is given only to who presents
    /// the key under which it came. Texts of restricted tasks are never kept.
    ///
    /// Default: `0`. Range: 0 to 3650.
    pub(super) keep_days: Option<u64>,
    /// How many bytes are kept for one key. Where a response has no room, the oldest ones of the same
    /// key make it; a file or batch is refused.
    ///
    /// Default: `1073741824`. Range: 1048576 to 1099511627776.
    pub(super) keep_bytes_max: Option<u64>,
    /// How many requests of batches are worked on at the same time, beside those of clients that
    /// wait.
    ///
    /// Default: `8`. Range: 1 to 10000.
    pub(super) batch_concurrency: Option<u64>,
}

/// A section `[prices.NAME]`: what a vendor charges, in US dollars per million tokens. Amounts
/// are texts in quotes, because a TOML number with a fraction is a binary float that can't hold
/// most decimal amounts exactly.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPrice {
    /// For a million tokens read, in US dollars.
    ///
    /// Required.
    pub(super) input: Option<String>,
    /// For a million tokens that the vendor read from its prompt cache, in US dollars.
    ///
    /// Default: as `input`, so that cost is never shown too low.
    pub(super) cached_input: Option<String>,
    /// For a million tokens that the vendor put into its prompt cache, in US dollars; of several
    /// prices the dearest.
    ///
    /// Default: as `input`. A `frontier` with the protocol `anthropic` needs it, because its
    /// vendors charge more for them.
    pub(super) cache_write: Option<String>,
    /// For a million tokens written, reasoning included, in US dollars.
    ///
    /// Required.
    pub(super) output: Option<String>,
}

/// A section `[tiers.NAME]`: a place that can answer. Tiers of kind `student` and `person` have
/// no option but `kind`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTier {
    /// `student` (a classifier learned from the task's own labels), `local` (the embedded Llama
    /// engine), `pool` (your own servers, such as vLLM's), `frontier` (a paid API) or `person` (the review queue).
    ///
    /// Required.
    pub(super) kind: Option<String>,
    /// `local`: the path of a GGUF file; or, where there is no such file, the name of a model that
    /// `tiergate model pull` fetched; or `"starter"` for the small demonstration model inside the
    /// program. `pool` and `frontier`: the name by which the server knows the model.
    ///
    /// Required for these kinds.
    pub(super) model: Option<String>,
    /// `local`: how many threads compute. More than the machine has cores makes it slower.
    ///
    /// Default: the number of cores that this process may use. Range: 1 to 1024.
    pub(super) threads: Option<u64>,
    /// `local`: how many requests may wait for the engine; one more is refused at once.
    ///
    /// Default: `64`. Range: 1 to 100000.
    pub(super) queue_max: Option<u64>,
    /// `local`: memory for keys and values, the engine's memory of the conversations that it is
    /// at and of how those before them began, in bytes. A machine that has less is told so before
    /// the model is loaded.
    ///
    /// Default: what 16,384 tokens take, and no more than the larger of 1 GiB and the size of
    /// the model's files. Range: 1048576 to 1125899906842624.
    pub(super) kv_bytes: Option<u64>,
    /// `local`: what an hour of this machine costs you, in US dollars; reports set it beside the
    /// frontier's price, so that work done in house is not shown as free unless it is.
    ///
    /// Default: `"0"`.
    pub(super) machine_usd_per_hour: Option<String>,
    /// `pool` and `frontier`: the base URL, up to and with the version: what stands before
    /// `/chat/completions`, `/messages` or `/models/…`. A `pool` can't have the address of a known
    /// vendor's: what is there is outside.
    ///
    /// Required for these kinds, unless there are `urls`.
    pub(super) url: Option<String>,
    /// `pool`: the base URLs of several servers of the same model, instead of `url`. A request goes
    /// to one that is well and has not much more to do than the others; requests that begin alike
    /// go to the same one, which has their beginning in its cache. Where it fails before an answer
    /// has begun, another is asked.
    ///
    /// Default: none.
    pub(super) urls: Option<Vec<String>>,
    /// `pool` and `frontier`: the protocol that the server speaks: `openai` (its chat
    /// completions; also Azure's, Bedrock's `…/openai/v1`, and those of compatible servers),
    /// `openai-responses` (its responses, of which the vendor is asked to keep nothing),
    /// `anthropic` (its messages) or `google` (`generateContent`, of AI Studio and Vertex).
    ///
    /// Default: `"openai"`.
    pub(super) protocol: Option<String>,
    /// `pool` and `frontier`: the header in which the key is sent: `authorization` (as a bearer
    /// token), `api-key` (Azure), `x-api-key` (Anthropic) or `x-goog-api-key` (Google).
    ///
    /// Default: the one that the protocol's own vendor wants.
    pub(super) key_header: Option<String>,
    /// `pool` and `frontier`: the version that the address names in its query, as Azure's older
    /// ones do: `…/openai/deployments/NAME/chat/completions?api-version=VERSION`.
    ///
    /// Default: none.
    pub(super) api_version: Option<String>,
    /// `pool` and `frontier`: the API key, by reference: `env:NAME` or `file:PATH`. A key in the
    /// file itself is refused, because config files are copied and committed.
    ///
    /// Default: none. A `frontier` needs it, or a `google_account` or `aws_account`, unless its URL is
    /// this machine's own.
    pub(super) key: Option<String>,
    /// `pool` and `frontier`: the account of Google's in whose name the server is asked instead of
    /// by a `key`, as Vertex AI wants it: the JSON key of a service account by reference
    /// (`env:NAME` or `file:PATH`), or `metadata` for the account of the machine of Google's that
    /// the program runs on (`metadata:HOST` where its metadata server has another name).
    ///
    /// Default: none.
    pub(super) google_account: Option<String>,
    /// `pool` and `frontier`: the access key of AWS's with which requests are signed (SigV4) instead
    /// of carrying a `key`: a text in the form of AWS's file of credentials by reference (`env:NAME`
    /// or `file:PATH`), of which the profile `default` is taken, or the only one; or `environment`
    /// for `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where it is set, `AWS_SESSION_TOKEN`.
    ///
    /// Default: none.
    pub(super) aws_account: Option<String>,
    /// `pool` and `frontier` with an `aws_account`: the region and the service that requests are
    /// signed for, `REGION/SERVICE`, where the URL's host is not one of Bedrock's own.
    ///
    /// Default: what the host says.
    pub(super) aws_scope: Option<String>,
    /// `pool` and `frontier`: the name of a section under `prices`.
    ///
    /// Default: none. A `frontier` needs it, because no paid attempt is made whose price is
    /// unknown.
    pub(super) price: Option<String>,
    /// `pool` and `frontier`: how many tokens one picture, sound or file of a prompt may come to. Its
    /// bytes don't say, and it may lie at an address; so many are held for each before a paid attempt,
    /// and settled as the vendor counts them.
    ///
    /// Default: `20000`. Range: 1 to 10000000.
    pub(super) media_tokens_max: Option<u64>,
    /// `pool` and `frontier`: how long connecting may take, TLS included, in seconds.
    ///
    /// Default: `5`. Range: 0.001 to 3600.
    pub(super) connect_seconds: Option<f64>,
    /// `pool` and `frontier`: how long the first byte of the answer may take from when the
    /// request was sent, in seconds. Models that reason say nothing for a long time.
    ///
    /// Default: `120`. Range: 0.001 to 86400.
    pub(super) first_token_seconds: Option<f64>,
    /// `pool` and `frontier`: how long an answer that has begun may pause, in seconds.
    ///
    /// Default: `30`. Range: 0.001 to 86400.
    pub(super) idle_seconds: Option<f64>,
    /// `pool` and `frontier`: how long a request may take in all, every attempt and the waits
    /// between them included, in seconds.
    ///
    /// Default: `600`. Range: 0.001 to 86400.
    pub(super) total_seconds: Option<f64>,
    /// `pool` and `frontier`: how often a request is sent at most. Only failures that the
    /// vendor's rules call temporary are tried again, and never after the first byte of an
    /// answer.
    ///
    /// Default: `3`. Range: 1 to 10.
    pub(super) attempts_max: Option<u64>,
    /// `pool` and `frontier`: how many requests are in flight to this tier at the same time.
    ///
    /// Default: `16`. Range: 1 to 10000.
    pub(super) concurrency_max: Option<u64>,
    /// `pool` and `frontier`: the field in which the server expects the limit of tokens to
    /// write: `max_tokens` or `max_completion_tokens`. Servers know one and refuse or ignore the
    /// other.
    ///
    /// Default: `max_completion_tokens` for a `frontier`, `max_tokens` for a `pool`.
    pub(super) max_tokens_field: Option<String>,
    /// `pool` and `frontier`: whether the sampling temperature and seed are sent. Many models
    /// that reason refuse a request that has them.
    ///
    /// Default: `false` for a `frontier`, `true` for a `pool`.
    pub(super) sends_sampling: Option<bool>,
    /// `pool` and `frontier`: whether what the tier's protocol has no form for is left out of the
    /// requests of other protocols' clients: fields, parts and tools of their protocol alone, and
    /// options. Otherwise such a request is refused, with the name of what would be lost. Pictures,
    /// sounds and files are refused in any case.
    ///
    /// Default: `false`, because who asks for something should know that it is not to be had.
    pub(super) drops_unsupported: Option<bool>,
    /// `pool` and `frontier` with a price: whether requests are passed on that ask for what the
    /// price list does not cover, as far as is known: another price for the same tokens
    /// (`service_tier`, `speed`), tools that the vendor runs and bills by the call, such as a
    /// search of the web, and texts that lie with it. Less may then be held and booked than it
    /// bills. Otherwise such a request is refused by name.
    ///
    /// Default: `false`, because what is booked is never below what the vendor may bill.
    pub(super) allow_unpriced: Option<bool>,
    /// `pool` and `frontier`: a PEM file of certificates that are trusted besides the public
    /// ones, for a server whose certificate your organisation signs itself.
    ///
    /// Default: none.
    pub(super) ca_file: Option<String>,
    /// `pool` and `frontier`: whether the URL may be `http://` on another machine. Prompts and
    /// the key then cross the network in the clear.
    ///
    /// Default: `false`.
    pub(super) allow_plain_http: Option<bool>,
}

/// A section `[tasks.NAME]`: a named piece of work.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTask {
    /// `classify` (one label of several), `flag` (the same, and some labels call for attention),
    /// `extract`, `summarise`, `answer`, `support`, `code`, `chat`, or `embed` (a vector for each
    /// text, by one tier).
    ///
    /// Required.
    pub(super) kind: Option<String>,
    /// The instruction that a model is given before each document. The labels and their
    /// definitions are added to it.
    ///
    /// Required, except for `chat`; `embed` has none.
    pub(super) prompt: Option<String>,
    /// The classes that may be answered, at least two, in the order in which a model is shown
    /// them.
    ///
    /// Required for `classify` and `flag`; no other kind has them.
    pub(super) labels: Option<Vec<RawLabel>>,
    /// The labels that call for attention; reports show how many of them were found.
    ///
    /// Required for `flag`; no other kind has them.
    pub(super) flagged: Option<Vec<String>>,
    /// The names of the tiers that may answer, in the order in which they are asked. A `person`
    /// comes last.
    ///
    /// Required.
    pub(super) tiers: Option<Vec<String>>,
    /// What the texts are: `public`, `internal`, `confidential` or `restricted`. Only public and
    /// internal texts may reach a `frontier`. It has to be stated before anything may leave,
    /// and so the default lets nothing leave.
    ///
    /// Default: `"confidential"`.
    pub(super) sensitivity: Option<String>,
    /// The share of kept answers that may be wrong. The threshold that meets it is found on
    /// `records`, or proven by a certificate where a `confidence` is asked for.
    pub(super) target: Option<RawTarget>,
    /// The confidence from which an answer is accepted, for a task without labelled records.
    /// A task whose first tiers may pass a document on has either this or `target`.
    ///
    /// Default: none. Range: 0 to 1.
    pub(super) threshold: Option<f64>,
    /// The most that the task may spend. Without it only the vendor's own limit holds.
    pub(super) budget: Option<RawBudget>,
    /// Labelled records: documents whose right answer is known. The student learns from them,
    /// and the threshold is found on a part that it never saw. And whether new records are kept
    /// of what the task is asked.
    pub(super) records: Option<RawRecords>,
    /// How many of the accepted answers are asked again, to see whether the task's certificate
    /// still holds. Without it nobody watches the certificate.
    pub(super) audit: Option<RawAudit>,
    /// Whether the task's student goes on learning from what becomes known while it works.
    pub(super) learn: Option<RawLearn>,
    /// When the text of a tier that might still pass a document on is shown to who asked for a
    /// stream: `whole`, when it is complete and accepted, or `early`, as soon as its first tokens
    /// are accepted. `early` has a certificate of its own, which `tiergate calibrate` makes
    /// beside the other; without a valid one it is as `whole`. For tasks without labels whose
    /// `target` has a `confidence`.
    ///
    /// Default: `"whole"`.
    pub(super) stream: Option<String>,
    /// With `stream = "early"`: after how many tokens it is decided.
    ///
    /// Default: `16`. Range: 1 to 1000.
    pub(super) early_tokens: Option<u64>,
    /// Whether a local model is asked whether its own answer is right, after it has written it:
    /// the probability of "yes" is evidence for the answer's deferral head. It takes one more step
    /// of the engine for each answer, and is for tasks without labels.
    ///
    /// Default: `false`.
    pub(super) self_check: Option<bool>,
    /// Whether local tiers are not asked where their answer would very likely be passed on anyway,
    /// which saves their time. `tiergate calibrate` fits the router beside the certificate, on
    /// records that certify nothing, and says how much it skips and what that loses. It needs a
    /// `target` with a `confidence`, and another tier than a person behind the local one.
    ///
    /// Default: `false`.
    pub(super) router: Option<bool>,
    /// The most tokens that a tier may write for one document; for models that reason it
    /// includes the reasoning. The money held for a paid attempt is computed from it.
    ///
    /// Default: `1024`. Range: 1 to 1000000.
    pub(super) max_completion_tokens: Option<u64>,
    /// The sampling temperature; 0 always takes the likeliest token, so that the same document
    /// gets the same answer.
    ///
    /// Default: `0`. Range: 0 to 2.
    pub(super) temperature: Option<f64>,
    /// The field or column of an input document that holds its text.
    ///
    /// Default: `"text"`.
    pub(super) text_field: Option<String>,
    /// The field or column of an input document that holds its identifier. A document without
    /// it is called by its place in the input.
    ///
    /// Default: `"id"`.
    pub(super) id_field: Option<String>,
}

/// An entry of `labels` in a task: `{ name = "…", definition = "…" }`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLabel {
    /// The answer itself.
    ///
    /// Required.
    pub(super) name: Option<String>,
    /// When it applies, in words that a model is shown. Models decide better with it.
    ///
    /// Default: none.
    pub(super) definition: Option<String>,
}

/// `target` in a task: `{ max_error = 0.02, confidence = 0.95 }`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTarget {
    /// The share of kept answers that may be wrong.
    ///
    /// Required. Range: 0 to 1.
    pub(super) max_error: Option<f64>,
    /// What `max_error` is a share of: `kept` answers; `label`, the kept answers of each label by
    /// itself, which has a threshold of its own; or `all` documents, those that are passed on
    /// included. With `all` a tier may keep answers that it is less sure of, as long as there are
    /// few of them. `label` and `all` need a `confidence`.
    ///
    /// Default: of what is kept, as `kept` says.
    pub(super) of: Option<String>,
    /// How sure it must be that no more of the kept answers are wrong: a certificate is then
    /// demanded, which `tiergate calibrate` writes. Without a valid one, every tier that has
    /// others behind it passes everything on. Without this option the threshold is found on
    /// `records`: a careful estimate, and no proof.
    ///
    /// Default: none. Range: 0.5 to 0.9999.
    pub(super) confidence: Option<f64>,
    /// For labels by name: the share of all documents of this label that may be kept in house
    /// and answered with another label, between 0 and 1. It is proven together with `max_error`
    /// and so needs a `confidence`. State it for labels that must not be missed: being rare, they
    /// weigh little in `max_error`.
    ///
    /// Default: none.
    pub(super) max_missed: Option<BTreeMap<String, f64>>,
    /// For labels by name: the share of the answers kept with this label that may be wrong, at most
    /// `max_error`. It is proven together with that, with a threshold of its own for the label, and
    /// so needs a `confidence`; labels that aren't named share one. State it for labels on which
    /// more depends.
    ///
    /// Default: none; `max_error` for every label with `of = "label"`.
    pub(super) max_wrong: Option<BTreeMap<String, f64>>,
}

/// `budget` in a task: `{ usd = "5.00", per = "day" }`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawBudget {
    /// The limit, in US dollars, as a text in quotes.
    ///
    /// Required.
    pub(super) usd: Option<String>,
    /// The time for which the limit holds: `day` and `month` (both in UTC) or `total`.
    ///
    /// Required.
    pub(super) per: Option<String>,
}

/// `records` in a task: `{ path = "labelled.jsonl.gz", rows = "..4000" }`, or
/// `{ keep = true, days = 30 }`, or both.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRecords {
    /// A JSONL or CSV file, or gzip of either, with labelled records.
    ///
    /// Required, unless new records are kept.
    pub(super) path: Option<String>,
    /// Which of its rows to use, counted from 0, the end not included: `0..4000`, `..4000`,
    /// `4000..`. The rows left out can test what was learned.
    ///
    /// Default: `".."`.
    pub(super) rows: Option<String>,
    /// The field or column of the text.
    ///
    /// Default: `"text"`.
    pub(super) text: Option<String>,
    /// The field or column of the right answer.
    ///
    /// Default: `"gold"`.
    pub(super) gold: Option<String>,
    /// Whether the text of each request and what the tiers made of it are kept in the ledger,
    /// for `tiergate records` and to certify anew. They never leave the data folder by
    /// themselves. Restricted texts are never kept.
    ///
    /// Default: `false`.
    pub(super) keep: Option<bool>,
    /// After how many days a kept text is deleted for good.
    ///
    /// Default: `30`. Range: 1 to 3650.
    pub(super) days: Option<u64>,
}

/// `audit` in a task with a certificate: `{ share = 0.02 }`. An audit's text is kept until the
/// audit is done, but no longer than `records.days`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAudit {
    /// The share of accepted answers that are audited: of the surest; the nearer an answer's
    /// confidence is to the threshold, the likelier it is audited, up to `near`.
    ///
    /// Required. Range: 0.0001 to 1.
    pub(super) share: Option<f64>,
    /// The share of accepted answers at the threshold that are audited; at least `share`.
    ///
    /// Default: five times `share`, at most 1. Range: 0.0001 to 1.
    pub(super) near: Option<f64>,
    /// The tier that is asked again, which must not be one that the certificate is about. A
    /// frontier is paid for it, within the task's budget. Where the certificate was proven
    /// against right answers, remember that the tier may be wrong too: then every error of its own
    /// counts against the certificate.
    ///
    /// Default: the tier that the certificate was proven against; without one a person, whose
    /// audits wait for `tiergate records label`.
    pub(super) by: Option<String>,
}

/// `learn` in a task with a student and a certificate that was proven against another tier:
/// `{ online = true }`. It learns from `records` that are kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLearn {
    /// Whether `tiergate serve` teaches the student anew, in the background: from the right answers
    /// that persons gave first, and from what the tier that the certificate was proven against
    /// answered else. The new student takes the present one's place only if its certificate lets
    /// at least as much be kept.
    ///
    /// Default: `false`.
    pub(super) online: Option<bool>,
    /// How many right answers must have become known since the last lesson before there is
    /// another.
    ///
    /// Default: `200`. Range: 10 to 1000000.
    pub(super) every: Option<u64>,
}
