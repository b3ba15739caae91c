//! Every option of the config: what may stand there, in the words of a fault.
//!
//! One table, so that every message about an option says the same about it, and so that a
//! misspelt name can be set beside the names there are.

use super::path::{Path, Step};

/// What may stand at an option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// A text in quotes.
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// A reference to a secret; its value is never shown.
    Secret,
    /// A decimal amount of US dollars in quotes.
    Money,
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// A number from the first to the second.
    Number(f64, f64),
    /// `true` or `false`.
    Switch,
    /// A list.
    List,
    /// A section, or a table in braces.
    Table,
}

/// An option of the config.
#[derive(Debug)]
pub(super) struct Opt {
    /// Its place; `*` stands for a name that the user gives, `[]` for an entry of a list.
    pub(super) place: &'static str,
    /// What may stand there.
    pub(super) shape: Shape,
    /// What it is: the end of a sentence that begins "it is".
    pub(super) meaning: &'static str,
    /// A right value as it is written in TOML.
    pub(super) example: &'static str,
}

use Shape::{Count, List, Money, Number, Secret, Switch, Table, Text, Word};

const fn opt(
    place: &'static str,
    shape: Shape,
    meaning: &'static str,
    example: &'static str,
) -> Opt {
    Opt {
        place,
        shape,
        meaning,
        example,
    }
}

/// Names of the kinds of tier; a test holds them against the domain's.
const TIER_KINDS: &[&str] = &["student", "local", "pool", "frontier", "person"];
/// Names of the kinds of task; a test holds them against the domain's.
const TASK_KINDS: &[&str] = &[
    "classify",
    "flag",
    "extract",
    "summarise",
    "answer",
    "support",
    "code",
    "chat",
    "embed",
];
/// Names of the sensitivities; a test holds them against the domain's.
const SENSITIVITIES: &[&str] = &["public", "internal", "confidential", "restricted"];
/// Names of the fields in which a server may expect the limit of tokens to write.
const MAX_TOKENS_FIELDS: &[&str] = &["max_tokens", "max_completion_tokens"];
/// Names of the protocols that a tier may speak.
const PROTOCOLS: &[&str] = &["openai", "openai-responses", "anthropic", "google"];
/// Names of the headers in which a key may be sent.
const KEY_HEADERS: &[&str] = &["authorization", "api-key", "x-api-key", "x-goog-api-key"];
/// Names of what a target's error is a share of.
const TARGET_OF: &[&str] = &["kept", "label", "all"];
/// Names of the times for which a budget holds.
const WINDOWS: &[&str] = &["day", "month", "total"];
/// Names of the moments from which a streamed answer is shown that might be passed on.
const STREAMS: &[&str] = &["whole", "early"];
/// The longest time limit of a connection, in seconds.
const HOUR: f64 = 3_600.0;
/// The longest time limit of an answer, in seconds.
const DAY: f64 = 86_400.0;

/// Every option there is.
#[rustfmt::skip]
pub(super) const OPTIONS: &[Opt] = &[
    opt("data_dir", Text, "the folder of everything that is kept", "\"tiergate-data\""),

    opt("server", Table, "the section of the HTTP server", "{ listen = \"127.0.0.1:8080\" }"),
    opt("server.listen", Text, "the address and port to listen on", "\"127.0.0.1:8080\""),
    opt("server.keys", List, "the list of keys that clients may present, each by reference", "[\"env:TIERGATE_KEY\"]"),
    opt("server.keys[]", Secret, "a reference to a key that clients may present", "\"env:TIERGATE_KEY\""),
    opt("server.body_bytes_max", Count(1_024, 1 << 30), "the largest request body in bytes", "4194304"),
    opt("server.requests_max", Count(1, 100_000), "how many requests are worked on at the same time", "256"),
    opt("server.header_seconds", Number(0.001, HOUR), "how long a request's headers may take, in seconds", "10"),
    opt("server.body_seconds", Number(0.001, HOUR), "how long a request's body may take, in seconds", "30"),
    opt("server.drain_seconds", Number(0.0, HOUR), "how long requests may still run after the program was told to stop, in seconds", "25"),
    opt("server.auto", Text, "the task that the model `auto` means", "\"flag\""),
    opt("server.direct_sensitivity", Word(SENSITIVITIES), "what the texts of requests are that name a tier and no task", "\"internal\""),
    opt("server.keep_days", Count(0, 3_650), "for how many days responses, files and batches of clients are kept", "30"),
    opt("server.keep_bytes_max", Count(1 << 20, 1 << 40), "how many bytes are kept for one key", "1073741824"),
    opt("server.batch_concurrency", Count(1, 10_000), "how many requests of batches are worked on at the same time", "8"),

    opt("prices", Table, "the price lists by name", "{}"),
    opt("prices.*", Table, "a price list in US dollars per million tokens", "{ input = \"0.25\", output = \"2.00\" }"),
    opt("prices.*.input", Money, "the price of a million tokens read, in US dollars and in quotes", "\"0.25\""),
    opt("prices.*.cached_input", Money, "the price of a million tokens read from the vendor's cache, in US dollars and in quotes", "\"0.025\""),
    opt("prices.*.cache_write", Money, "the price of a million tokens put into the vendor's cache, in US dollars and in quotes", "\"0.30\""),
    opt("prices.*.output", Money, "the price of a million tokens written, in US dollars and in quotes", "\"2.00\""),

    opt("tiers", Table, "the places that can answer, by name", "{}"),
    opt("tiers.*", Table, "a place that can answer", "{ kind = \"local\", model = \"starter\" }"),
    opt("tiers.*.kind", Word(TIER_KINDS), "the kind of tier", "\"local\""),
    opt("tiers.*.model", Text, "the path of a GGUF file, the name of a fetched model or `starter` for a local tier, otherwise the name that the server gives the model", "\"starter\""),
    opt("tiers.*.threads", Count(1, 1_024), "how many threads compute", "4"),
    opt("tiers.*.queue_max", Count(1, 100_000), "how many requests may wait for the engine", "64"),
    opt("tiers.*.kv_bytes", Count(1 << 20, 1 << 50), "the memory for keys and values in bytes", "2147483648"),
    opt("tiers.*.machine_usd_per_hour", Money, "what an hour of this machine costs, in US dollars and in quotes", "\"0.08\""),
    opt("tiers.*.url", Text, "the base URL of the server, what stands before `/chat/completions`, `/messages` or `/models/…`", "\"https://api.openai.com/v1\""),
    opt("tiers.*.urls", List, "the list of base URLs of servers of the same model", "[\"https://gpu-1.example.com/v1\", \"https://gpu-2.example.com/v1\"]"),
    opt("tiers.*.urls[]", Text, "the base URL of a server", "\"https://gpu-1.example.com/v1\""),
    opt("tiers.*.protocol", Word(PROTOCOLS), "the protocol that the server speaks", "\"anthropic\""),
    opt("tiers.*.key_header", Word(KEY_HEADERS), "the header in which the key is sent", "\"api-key\""),
    opt("tiers.*.api_version", Text, "the version that the address names in its query", "\"2024-10-21\""),
    opt("tiers.*.key", Secret, "a reference to the API key", "\"env:OPENAI_API_KEY\""),
    opt("tiers.*.google_account", Secret, "a reference to the JSON key of a service account, or `metadata`", "\"file:vertex.json\""),
    opt("tiers.*.aws_account", Secret, "a reference to an access key in the form of AWS's file of credentials, or `environment`", "\"environment\""),
    opt("tiers.*.aws_scope", Text, "the region and the service that requests are signed for", "\"us-east-1/bedrock-mantle\""),
    opt("tiers.*.price", Text, "the name of a price list under `prices`", "\"gpt-5-mini\""),
    opt("tiers.*.media_tokens_max", Count(1, 10_000_000), "how many tokens one picture, sound or file may come to", "20000"),
    opt("tiers.*.connect_seconds", Number(0.001, HOUR), "how long connecting may take, in seconds", "5"),
    opt("tiers.*.first_token_seconds", Number(0.001, DAY), "how long the first byte of an answer may take, in seconds", "120"),
    opt("tiers.*.idle_seconds", Number(0.001, DAY), "how long an answer may pause, in seconds", "30"),
    opt("tiers.*.total_seconds", Number(0.001, DAY), "how long a request may take in all, in seconds", "600"),
    opt("tiers.*.attempts_max", Count(1, 10), "how often a request is sent at most", "3"),
    opt("tiers.*.concurrency_max", Count(1, 10_000), "how many requests are in flight at the same time", "16"),
    opt("tiers.*.max_tokens_field", Word(MAX_TOKENS_FIELDS), "the field in which the server expects the limit of tokens", "\"max_tokens\""),
    opt("tiers.*.sends_sampling", Switch, "whether temperature and seed are sent", "false"),
    opt("tiers.*.drops_unsupported", Switch, "whether what the tier's protocol has no form for is left out", "true"),
    opt("tiers.*.allow_unpriced", Switch, "whether requests may ask for what the price list does not cover", "true"),
    opt("tiers.*.ca_file", Text, "the path of a PEM file of trusted certificates", "\"ca.pem\""),
    opt("tiers.*.allow_plain_http", Switch, "whether prompts may cross the network unencrypted", "false"),

    opt("tasks", Table, "the named pieces of work", "{}"),
    opt("tasks.*", Table, "a named piece of work", "{ kind = \"chat\", tiers = [\"llama\"] }"),
    opt("tasks.*.kind", Word(TASK_KINDS), "the kind of task", "\"classify\""),
    opt("tasks.*.prompt", Text, "the instruction that a model is given", "\"Which topic is this letter about?\""),
    opt("tasks.*.labels", List, "the list of classes that may be answered", "[{ name = \"yes\" }, { name = \"no\" }]"),
    opt("tasks.*.labels[]", Table, "a class that may be answered, and when it applies", "{ name = \"refund\", definition = \"the customer wants money back\" }"),
    opt("tasks.*.labels[].name", Text, "the answer itself, without space around it", "\"refund\""),
    opt("tasks.*.labels[].definition", Text, "when the label applies, in words that a model is shown", "\"the customer wants money back\""),
    opt("tasks.*.flagged", List, "the list of labels that call for attention", "[\"suspicious\"]"),
    opt("tasks.*.flagged[]", Text, "one of the task's labels", "\"suspicious\""),
    opt("tasks.*.tiers", List, "the list of tiers that may answer, in the order in which they are asked", "[\"student\", \"llama\"]"),
    opt("tasks.*.tiers[]", Text, "the name of a section under `tiers`", "\"llama\""),
    opt("tasks.*.sensitivity", Word(SENSITIVITIES), "what the texts are, and so where they may go", "\"internal\""),
    opt("tasks.*.target", Table, "the error that is allowed among kept answers", "{ max_error = 0.02 }"),
    opt("tasks.*.target.max_error", Number(0.0, 1.0), "the share of kept answers that may be wrong", "0.02"),
    opt("tasks.*.target.of", Word(TARGET_OF), "what the error is a share of", "\"all\""),
    opt("tasks.*.target.confidence", Number(0.5, 0.9999), "the probability with which the error must be proven to stay below", "0.95"),
    opt("tasks.*.target.max_missed", Table, "for labels by name, the share of their documents that may be kept with another label", "{ suspicious = 0.05 }"),
    opt("tasks.*.target.max_missed.*", Number(0.0, 1.0), "the share of this label's documents that may be kept with another label", "0.05"),
    opt("tasks.*.target.max_wrong", Table, "for labels by name, the share of the answers kept with this label that may be wrong", "{ suspicious = 0.01 }"),
    opt("tasks.*.target.max_wrong.*", Number(0.0, 1.0), "the share of the answers kept with this label that may be wrong", "0.01"),
    opt("tasks.*.threshold", Number(0.0, 1.0), "the confidence from which an answer is accepted, a probability", "0.9"),
    opt("tasks.*.budget", Table, "the most that the task may spend", "{ usd = \"5.00\", per = \"day\" }"),
    opt("tasks.*.budget.usd", Money, "the most that may be spent, in US dollars and in quotes", "\"5.00\""),
    opt("tasks.*.budget.per", Word(WINDOWS), "the time for which the limit holds", "\"day\""),
    opt("tasks.*.records", Table, "the documents whose right answer is known, and whether new ones are kept", "{ path = \"labelled.jsonl.gz\", rows = \"..4000\" }"),
    opt("tasks.*.records.path", Text, "the path of a JSONL or CSV file, or of gzip of either", "\"labelled.jsonl.gz\""),
    opt("tasks.*.records.rows", Text, "the rows to use, counted from 0, the end not included", "\"0..4000\""),
    opt("tasks.*.records.text", Text, "the field or column of the text", "\"text\""),
    opt("tasks.*.records.gold", Text, "the field or column of the right answer", "\"gold\""),
    opt("tasks.*.records.keep", Switch, "whether texts and answers are kept", "true"),
    opt("tasks.*.records.days", Count(1, 3_650), "after how many days a kept text is deleted", "30"),
    opt("tasks.*.audit", Table, "how many accepted answers are asked again", "{ share = 0.02 }"),
    opt("tasks.*.audit.share", Number(0.0001, 1.0), "the share of the surest accepted answers that are audited", "0.02"),
    opt("tasks.*.audit.near", Number(0.0001, 1.0), "the share of accepted answers at the threshold that are audited", "0.1"),
    opt("tasks.*.audit.by", Text, "one of the task's tiers, behind those that the certificate is about", "\"llama\""),
    opt("tasks.*.learn", Table, "whether the student goes on learning", "{ online = true }"),
    opt("tasks.*.learn.online", Switch, "whether the student is taught anew while it works", "true"),
    opt("tasks.*.learn.every", Count(10, 1_000_000), "how many new right answers make a lesson", "200"),
    opt("tasks.*.stream", Word(STREAMS), "when a streamed answer that might be passed on is shown", "\"early\""),
    opt("tasks.*.early_tokens", Count(1, 1_000), "after how many tokens of a streamed answer it is decided whether it is kept", "16"),
    opt("tasks.*.router", Switch, "whether local tiers are passed over whose answer would very likely not be kept", "true"),
    opt("tasks.*.self_check", Switch, "whether a local model is asked about its own answer", "true"),
    opt("tasks.*.max_completion_tokens", Count(1, 1_000_000), "the most tokens that may be written for one document", "1024"),
    opt("tasks.*.temperature", Number(0.0, 2.0), "the sampling temperature", "0"),
    opt("tasks.*.text_field", Text, "the field or column of a document's text", "\"text\""),
    opt("tasks.*.id_field", Text, "the field or column of a document's identifier", "\"id\""),
];

impl Opt {
    /// The option at a place, or `None` where there is no such option.
    pub(super) fn at(path: &Path) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| option.stands_at(path))
    }

    /// The last part of its place: `name`, or `*` or `[]`.
    fn last(&self) -> &'static str {
        self.place.rsplit('.').next().unwrap_or(self.place)
    }

    fn stands_at(&self, path: &Path) -> bool {
        let mut steps = path.steps().iter();
        for part in self.place.split('.') {
            let (name, entry) = match part.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (part, false),
            };
            match steps.next() {
                Some(Step::Key(key)) if name == "*" || name == key => {}
                _ => return false,
            }
            if entry && !matches!(steps.next(), Some(Step::Index(_))) {
                return false;
            }
        }
        steps.next().is_none()
    }
}

/// The names of the options that may stand beside the one at this place.
pub(super) fn siblings(path: &Path) -> Vec<&'static str> {
    let Some(parent) = path.parent() else {
        return Vec::new();
    };
    OPTIONS
        .iter()
        .filter(|option| {
            let name = option.last();
            name != "*" && !name.ends_with("[]") && option.stands_at(&parent.key(name))
        })
        .map(Opt::last)
        .collect()
}

/// The candidate nearest to a misspelt name, if any is near: at most a third of its letters
/// inserted, left out, changed or swapped with their neighbours.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many single letters must be inserted, left out, changed or swapped with the next one to
/// turn one text into the other (the optimal string alignment distance).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Sensitivity, TaskKind, TierKind};

    #[test]
    fn the_words_are_those_of_the_domain() {
        assert_eq!(TierKind::ALL.map(TierKind::as_str), TIER_KINDS);
        assert_eq!(TaskKind::ALL.map(TaskKind::as_str), TASK_KINDS);
        assert_eq!(Sensitivity::ALL.map(Sensitivity::as_str), SENSITIVITIES);
    }

    #[test]
    fn an_option_is_found_at_its_place_only() {
        let labels = Path::top("tasks").key("a.b").key("labels");
        let found = |path: &Path| Opt::at(path).map(|option| option.place);
        assert_eq!(
            found(&labels.index(3).key("name")),
            Some("tasks.*.labels[].name")
        );
        assert_eq!(found(&labels.key("name")), None);
        assert_eq!(found(&Path::top("server.listen")), None);
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let path = Path::top("tiers").key("llama").key("theads");
        assert!(siblings(&path).contains(&"threads"));
        assert!(!siblings(&path).contains(&"listen"));
        assert_eq!(nearest("theads", siblings(&path)), Some("threads"));
        assert_eq!(nearest("theards", siblings(&path)), Some("threads"));
        assert_eq!(nearest("colour", siblings(&path)), None);
    }
}
