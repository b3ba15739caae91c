//! One config without faults, and each rule broken once in it.

use std::time::Duration;

use domain::{Picodollars, Sensitivity, TaskName, TierKind, TierName};

use super::super::checked::{MaxTokensField, ModelSource, Tier, Window};
use super::{load_elsewhere, load_in, report};

/// Every kind of tier and most options, without a fault.
pub(super) const GOOD: &str = r#"
data_dir = "kept"

[server]
listen = "127.0.0.1:0"
keys = ["env:TIERGATE_KEY"]
auto = "flag"

[prices.mini]
input = "0.25"
cached_input = "0.025"
output = "2.00"

[tiers.student]
kind = "student"
[tiers.llama]
kind = "local"
model = "starter"
threads = 2
machine_usd_per_hour = "0.08"
[tiers.pool]
kind = "pool"
url = "http://localhost:8000/v1"
model = "big"
[tiers.frontier]
kind = "frontier"
url = "https://api.example.com/v1/"
model = "mini"
key = "env:OPENAI_API_KEY"
price = "mini"
[tiers.reviewer]
kind = "person"

[tasks.flag]
kind = "flag"
prompt = "Is it urgent?"
labels = [{ name = "urgent", definition = "today" }, { name = "not" }]
flagged = ["urgent"]
tiers = ["student", "llama", "frontier", "reviewer"]
sensitivity = "internal"
target = { max_error = 0.03 }
budget = { usd = "5.00", per = "day" }
records = { path = "labelled.jsonl", rows = "..4000" }

[tasks.talk]
kind = "chat"
tiers = ["pool"]
"#;

/// The report on a config of this text, without file and line numbers.
pub(super) fn faults(text: &str) -> Vec<String> {
    let without_place = |line: String| line.split_once(": ").unwrap().1.to_owned();
    report(text).into_iter().map(without_place).collect()
}

/// Asserts that the good config with one part of its text changed has exactly this fault.
#[track_caller]
pub(super) fn check(part: &str, changed: &str, fault: &str) {
    assert_eq!(GOOD.matches(part).count(), 1, "{part} must stand once");
    assert_eq!(faults(&GOOD.replace(part, changed)), [fault]);
}

#[test]
fn a_good_config_becomes_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("labelled.jsonl"), "").unwrap();
    let config = load_in(folder.path(), GOOD).unwrap();
    assert_eq!(config.data_dir, folder.path().join("kept"));
    assert_eq!(
        config.server.auto.as_ref().map(TaskName::as_str),
        Some("flag")
    );
    assert_eq!(config.server.keys.len(), 1);
    let kinds: Vec<TierKind> = config.tiers.values().map(Tier::kind).collect();
    use TierKind::{Frontier, Local, Person, Pool, Student};
    assert_eq!(kinds, [Frontier, Local, Pool, Person, Student]);

    let Some(Tier::Local(local)) = config.tiers.get(&TierName::new("llama").unwrap()) else {
        panic!("llama is local");
    };
    assert_eq!((&local.model, local.threads), (&ModelSource::Starter, 2));
    assert_eq!(
        local.machine_usd_per_hour,
        Picodollars::from_usd("0.08").unwrap()
    );
    let frontier = config.tiers[&TierName::new("frontier").unwrap()]
        .remote()
        .unwrap();
    assert_eq!(frontier.url, "https://api.example.com/v1");
    assert_eq!(
        frontier.price.unwrap().cached_input.per_token(),
        Picodollars::new(25_000)
    );
    assert_eq!(
        frontier.max_tokens_field,
        MaxTokensField::MaxCompletionTokens
    );
    assert!(frontier.key.is_some() && !frontier.sends_sampling);
    let pool = config.tiers[&TierName::new("pool").unwrap()]
        .remote()
        .unwrap();
    assert_eq!(pool.max_tokens_field, MaxTokensField::MaxTokens);
    assert!(pool.sends_sampling && pool.price.is_none());
    assert_eq!(pool.first_token, Duration::from_secs(120));

    let flag = &config.tasks[&TaskName::new("flag").unwrap()];
    assert_eq!(flag.flagged, [0]);
    assert_eq!(flag.target.unwrap().max_error, 0.03);
    assert_eq!(flag.budget.unwrap().window, Window::Day);
    assert_eq!(flag.records.as_ref().unwrap().rows, 0..4000);
    assert_eq!(flag.task.tiers.len(), 4);
    let talk = &config.tasks[&TaskName::new("talk").unwrap()];
    assert_eq!(talk.task.sensitivity, Sensitivity::Confidential);
    assert_eq!(
        config.summary().split(": ").last(),
        Some("no faults, 5 tiers, 2 tasks")
    );
}

#[test]
fn the_stated_default_of_cached_input_is_the_price_of_input() {
    let config = load_elsewhere(&GOOD.replace("cached_input = \"0.025\"\n", "")).unwrap();
    let price = config.tiers[&TierName::new("frontier").unwrap()]
        .remote()
        .unwrap()
        .price
        .unwrap();
    assert_eq!(price.cached_input, price.input);
}

#[test]
fn rows_may_be_open_at_either_end() {
    for (text, rows) in [
        ("..4000", 0..4000),
        ("4000..", 4000..usize::MAX),
        ("100..200", 100..200),
        ("..", 0..usize::MAX),
    ] {
        let config = load_elsewhere(&GOOD.replace("..4000", text)).unwrap();
        let flag = &config.tasks[&TaskName::new("flag").unwrap()];
        assert_eq!(flag.records.as_ref().unwrap().rows, rows, "{text}");
    }
}

#[test]
fn every_structure_has_its_fault() {
    check(
        "data_dir =",
        "data_dri =",
        "data_dri: there is no such option; did you mean `data_dir`?",
    );
    check(
        "threads = 2",
        "gpu_layers = 2",
        "tiers.llama.gpu_layers: there is no such option; known here: kind, model, threads, \
         queue_max, kv_bytes, machine_usd_per_hour, url, urls, protocol, key_header, api_version, key, google_account, aws_account, aws_scope, price, media_tokens_max, connect_seconds, first_token_seconds, \
         idle_seconds, total_seconds, attempts_max, concurrency_max, max_tokens_field, \
         sends_sampling, drops_unsupported, allow_unpriced, ca_file, allow_plain_http",
    );
    check(
        "threads = 2",
        "threads = \"two\"",
        "tiers.llama.threads: \"two\" is no whole number from 1 to 1024; it is how many \
         threads compute, for example 4",
    );
    check(
        "threads = 2",
        "threads = -2",
        "tiers.llama.threads: -2 is no whole number from 1 to 1024; it is how many threads \
         compute, for example 4",
    );
    check(
        "input = \"0.25\"\n",
        "input = 0.25\n",
        "prices.mini.input: 0.25 is no decimal amount in quotes; it is the price of a \
         million tokens read, in US dollars and in quotes, for example \"0.25\"",
    );
    check(
        "prompt = \"Is it urgent?\"\n",
        "",
        "tasks.flag.prompt: missing; it is the instruction that a model is given, for example \
         \"Which topic is this letter about?\"",
    );
    check(
        "{ name = \"not\" }",
        "\"not\"",
        "tasks.flag.labels[1]: \"not\" is no table; it is a class that may be answered, and \
         when it applies, for example { name = \"refund\", definition = \"the customer wants money \
         back\" }",
    );
    check(
        "[tasks.talk]",
        "[tasks.\"small talk\"]",
        "tasks.\"small talk\": `small talk` is no \
         name; a name has 1 to 64 ASCII letters, digits, `-`, `_` or `.`, for example \
         `invoice-flags`",
    );
}

#[test]
fn numbers_and_words_out_of_range_are_named_with_the_range() {
    check(
        "max_error = 0.03",
        "max_error = 1.4",
        "tasks.flag.target.max_error: 1.4 is outside 0.0..=1.0; it is the share of kept \
         answers that may be wrong, for example 0.02",
    );
    check(
        "kind = \"local\"",
        "kind = \"lokal\"",
        "tiers.llama.kind: \"lokal\" is none of student, local, pool, frontier, person; did \
         you mean `local`?; it is the kind of tier, for example \"local\"",
    );
    check(
        "usd = \"5.00\"",
        "usd = \"-5\"",
        "tasks.flag.budget.usd: \"-5\" is below 0; it is the most that may be spent, in US \
         dollars and in quotes, for example \"5.00\"",
    );
    check(
        "\"..4000\"",
        "\"7..7\"",
        "tasks.flag.records.rows: \"7..7\" is no range of rows with at least one row; it is \
         the rows to use, counted from 0, the end not included, for example \"0..4000\"",
    );
    check(
        "listen = \"127.0.0.1:0\"",
        "listen = \"localhost\"",
        "server.listen: \"localhost\" is no IP address with a port; it is the address and port \
         to listen on, for example \"127.0.0.1:8080\"",
    );
}

#[test]
fn names_must_lead_somewhere() {
    check(
        "auto = \"flag\"",
        "auto = \"flga\"",
        "server.auto: there is no `tasks.flga`; did you mean `flag`?",
    );
    check(
        "price = \"mini\"",
        "price = \"4.1\"",
        "tiers.frontier.price: there is no `prices.\"4.1\"`; there are: mini",
    );
    check(
        "tiers = [\"pool\"]",
        "tiers = [\"poool\"]",
        "tasks.talk.tiers[0]: there is no `tiers.poool`; did you mean `pool`?",
    );
    check(
        "flagged = [\"urgent\"]",
        "flagged = [\"pressing\"]",
        "tasks.flag.flagged[0]: \"pressing\" is none of the labels urgent, not; it is one of \
         the task's labels, for example \"suspicious\"",
    );
}

#[test]
fn labels_go_with_the_kinds_that_have_them() {
    check(
        "labels = [{ name = \"urgent\", definition = \"today\" }, { name = \"not\" }]\n",
        "",
        "tasks.flag.labels: missing; it is the list of classes that may be answered, for \
         example [{ name = \"yes\" }, { name = \"no\" }]",
    );
    check(
        "kind = \"chat\"\n",
        "kind = \"chat\"\nlabels = []\n",
        "tasks.talk.labels: a task of kind chat answers freely and has no labels; leave them out",
    );
    check(
        "{ name = \"not\" }",
        "{ name = \"Urgent\" }",
        "tasks.flag.labels: `Urgent` stands twice; each label must differ from the others, \
         also by case",
    );
    check(
        "flagged = [\"urgent\"]",
        "flagged = [\"urgent\", \"not\"]",
        "tasks.flag.flagged: every label is flagged; leave out those that need no attention",
    );
    check(
        "kind = \"flag\"\n",
        "kind = \"classify\"\n",
        "tasks.flag.flagged: a task of kind classify flags nothing; leave it out, or make the \
         kind flag",
    );
}

#[test]
fn tiers_stand_in_an_order_that_works() {
    check(
        "\"llama\", \"frontier\", \"reviewer\"]",
        "\"reviewer\", \"frontier\"]",
        "tasks.flag.tiers[1]: \"reviewer\" is a person and others follow; a person comes last, \
         because whatever reaches the review queue is decided there",
    );
    check(
        "\"llama\", \"frontier\", \"reviewer\"]",
        "\"llama\", \"frontier\", \"llama\"]",
        "tasks.flag.tiers[3]: \"llama\" stands twice; it is the name of a section under \
         `tiers`, for example \"llama\"",
    );
    check(
        "tiers = [\"pool\"]",
        "tiers = []",
        "tasks.talk.tiers: a list without an entry; it is the list of tiers that may answer, \
         in the order in which they are asked, for example [\"student\", \"llama\"]",
    );
    check(
        "tiers = [\"pool\"]",
        "tiers = [\"student\"]",
        "tasks.talk.tiers[0]: \"student\" is a student and the kind is chat; a student only \
         learns labels; leave it out, or make the kind classify or flag",
    );
}

#[test]
fn nothing_leaves_without_leave() {
    let advice = "none could ever go there; leave the tier out, or state sensitivity = \
                  \"internal\" if a vendor may process them";
    check(
        "sensitivity = \"internal\"",
        "sensitivity = \"restricted\"",
        &format!(
            "tasks.flag.tiers[2]: \"frontier\" is outside and this task's texts are \
             restricted: {advice}"
        ),
    );
    check(
        "sensitivity = \"internal\"\n",
        "",
        &format!(
            "tasks.flag.tiers[2]: \"frontier\" is outside and this task's texts are \
             confidential unless its `sensitivity` says otherwise: {advice}"
        ),
    );
}

#[test]
fn it_must_be_said_when_an_answer_is_accepted() {
    check(
        "tiers = [\"pool\"]",
        "tiers = [\"pool\", \"reviewer\"]",
        "tasks.talk: nothing says when an answer of \"pool\" is accepted and when the next \
         tier is asked; add threshold = 0.9, or target = { max_error = 0.02 } with `records`",
    );
    check(
        "target = { max_error = 0.03 }",
        "target = { max_error = 0.03 }\nthreshold = 0.9",
        "tasks.flag.threshold: stands beside a target, which finds the threshold itself; leave \
         one of them out",
    );
    check(
        "tiers = [\"pool\"]",
        "tiers = [\"pool\"]\ntarget = { max_error = 0.1 }\nrecords = { path = \"x\" }",
        "tasks.talk.target: answers of a task of kind chat are kept on a proof or by a threshold; \
         add a confidence, for example confidence = 0.95, or state a threshold instead, for \
         example threshold = 0.9",
    );
    let without = GOOD.replace(
        "records = { path = \"labelled.jsonl\", rows = \"..4000\" }\n",
        "",
    );
    assert_eq!(
        faults(&without),
        [
            "tasks.flag.tiers[0]: \"student\" is a student without records to \
             learn from; add records = { path = \"labelled.jsonl.gz\" }, or leave it out",
            "tasks.flag.target: no `records` to find the threshold on; add \
             records = { path = \"labelled.jsonl.gz\" }, or state a threshold instead",
        ]
    );
}

#[test]
fn records_are_kept_only_where_it_is_said_and_never_of_restricted_texts() {
    let given = "records = { path = \"labelled.jsonl\", rows = \"..4000\" }";
    let keep = |options: &str| {
        let records = format!("records = {{ path = \"labelled.jsonl\", {options} }}");
        let config = load_elsewhere(&GOOD.replace(given, &records)).unwrap();
        config.tasks[&TaskName::new("flag").unwrap()].keep_days
    };
    assert_eq!(keep("rows = \"..4000\""), None);
    assert_eq!(keep("keep = false, days = 7"), None);
    assert_eq!(keep("keep = true"), Some(30));
    assert_eq!(keep("keep = true, days = 7"), Some(7));
    // Without a file, new records can still be kept; a file that isn't named is missed otherwise.
    let talk = "tiers = [\"pool\"]\nrecords = { keep = true, days = 3 }";
    let config = load_elsewhere(&GOOD.replace("tiers = [\"pool\"]", talk)).unwrap();
    let task = &config.tasks[&TaskName::new("talk").unwrap()];
    assert!(task.keep_days == Some(3) && task.records.is_none());
    check(
        "tiers = [\"pool\"]",
        "tiers = [\"pool\"]\nsensitivity = \"restricted\"\nrecords = { keep = true }",
        "tasks.talk.records.keep: a restricted text is never kept; leave it out",
    );
}

#[test]
fn options_of_another_kind_of_tier_are_refused() {
    check(
        "threads = 2",
        "attempts_max = 2",
        "tiers.llama.attempts_max: a tier of kind local has no such option; leave it out",
    );
    check(
        "kind = \"person\"",
        "kind = \"person\"\nmodel = \"me\"",
        "tiers.reviewer.model: a tier of kind person has no such option; leave it out",
    );
}

#[test]
fn money_needs_a_price_and_a_way_to_be_spent() {
    check(
        "price = \"mini\"\n",
        "",
        "tiers.frontier.price: missing; it is the name of a price list under `prices`, for \
         example \"gpt-5-mini\"",
    );
    check(
        "tiers = [\"pool\"]",
        "tiers = [\"pool\"]\nbudget = { usd = \"1\", per = \"total\" }",
        "tasks.talk.budget: no tier of this task has a price, so nothing is ever spent; leave \
         it out",
    );
}

#[test]
fn addresses_that_others_reach_are_guarded() {
    let open = "listen = \"0.0.0.0:8080\"";
    check(
        "listen = \"127.0.0.1:0\"\nkeys = [\"env:TIERGATE_KEY\"]",
        open,
        "server.listen: \
        \"0.0.0.0:8080\" can be reached from other machines and there are no `server.keys`; add \
        one, for example keys = [\"env:TIERGATE_KEY\"], or listen on 127.0.0.1",
    );
    assert!(report(&GOOD.replace("listen = \"127.0.0.1:0\"", open)).is_empty());

    check(
        "http://localhost:8000/v1",
        "http://10.0.0.7:8000/v1",
        "tiers.pool.url: \"http://10.0.0.7:8000/v1\" would carry prompts and the key \
         unencrypted to another machine (write https://, or allow_plain_http = true); it is the \
         base URL of the server, what stands before `/chat/completions`, \
         `/messages` or `/models/…`, for example \
         \"https://api.openai.com/v1\"",
    );
    for url in [
        "http://127.0.0.1:1/v1",
        "http://[::1]:1",
        "https://10.0.0.7/v1",
    ] {
        assert!(
            report(&GOOD.replace("http://localhost:8000/v1", url)).is_empty(),
            "{url}"
        );
    }
    let allowed = "http://10.0.0.7/v1\"\nallow_plain_http = true\n#";
    assert!(report(&GOOD.replace("http://localhost:8000/v1", allowed)).is_empty());
    for url in [
        "ftp://10.0.0.7",
        "/v1",
        "api.openai.com",
        "https://",
        "two words",
    ] {
        let faults = faults(&GOOD.replace("http://localhost:8000/v1", url));
        assert!(
            faults[0].starts_with("tiers.pool.url: "),
            "{url}: {faults:?}"
        );
    }

    let keyless = GOOD.replace("key = \"env:OPENAI_API_KEY\"\n", "");
    assert_eq!(
        faults(&keyless),
        [
            "tiers.frontier.key: missing; it is a reference to the API key, for \
          example \"env:OPENAI_API_KEY\""
        ]
    );
    let standin = keyless.replace("https://api.example.com/v1/", "http://127.0.0.1:9099/v1");
    assert!(report(&standin).is_empty());
}

#[test]
fn files_must_be_there_only_where_the_config_is_used() {
    assert!(report(GOOD).is_empty());
    let folder = tempfile::tempdir().unwrap();
    let report = load_in(folder.path(), GOOD).unwrap_err().to_string();
    let place = folder.path().join("labelled.jsonl").display().to_string();
    let fault = "tasks.flag.records.path: \"labelled.jsonl\" is no file (looked at ";
    assert!(report.contains(&format!("{fault}{place})")), "{report}");
    assert!(report.ends_with(&format!(
        "1 fault in {}",
        folder.path().join("tiergate.toml").display()
    )));
}

#[test]
fn all_faults_are_reported_together_and_none_twice() {
    let text = GOOD
        .replace("data_dir =", "data_dri =")
        .replace("threads = 2", "threads = \"two\"\ntheads = 3")
        .replace("kind = \"frontier\"", "kind = \"fronteer\"")
        .replace("{ name = \"not\" }", "{ nam = \"not\" }, 7")
        .replace("max_error = 0.03", "max_error = \"low\"")
        .replace("tiers = [\"pool\"]", "tiers = \"pool\"");
    let places: Vec<String> = report(&text)
        .iter()
        .map(|line| {
            line.trim_start_matches("tiergate.toml:")
                .split(": ")
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(
        places,
        [
            "2 data_dri",
            "19 tiers.llama.threads",
            "20 tiers.llama.theads",
            "27 tiers.frontier.kind",
            "38 tasks.flag.labels[1].nam",
            "38 tasks.flag.labels[2]",
            "38 tasks.flag.labels[1].name",
            "42 tasks.flag.target.max_error",
            "48 tasks.talk.tiers",
        ]
    );
}

#[test]
fn syntax_errors_have_line_and_column() {
    assert_eq!(
        report("[a\nb = 1\nc = = 2\n"),
        [
            "tiergate.toml:1:3: unclosed table, expected `]`",
            "tiergate.toml:3:5: extra `=`, expected nothing",
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_one_fault_with_advice() {
    let report = super::super::load(std::path::Path::new("nowhere/tiergate.toml")).unwrap_err();
    let report = report.to_string();
    assert!(report.starts_with("nowhere/tiergate.toml: "), "{report}");
    assert!(
        report.contains("`tiergate init`") && report.ends_with("1 fault in nowhere/tiergate.toml")
    );
}

#[test]
fn a_fault_is_on_the_line_of_its_option_or_of_the_section_around_it() {
    let line =
        |text: &str| -> usize { report(text)[0].split(':').nth(1).unwrap().parse().unwrap() };
    assert_eq!(line("\n\n[tasks.t]\n"), 3);
    assert_eq!(line("[server]\n\nlisten = 5"), 3);
    assert_eq!(line("[server]\nkeys = [\n  \"env:A\",\n  5,\n]"), 4);
    assert_eq!(line("[a]\n[server]\nlisten = \"127.0.0.1:0\""), 1);
    assert_eq!(line("server.auto = \"none\""), 1);
}

#[test]
fn an_unknown_kind_does_not_hide_other_faults() {
    let text = GOOD.replace("kind = \"flag\"", "kind = \"flog\"\ntemperature = 9")
        + "\n[tiers.odd]\nkind = \"lokal\"\nthreads = 0\n[tasks.\"a b\"]\nkind = \"answer\"\n";
    let places: Vec<String> = faults(&text)
        .iter()
        .map(|fault| fault.split(": ").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        places,
        [
            "tasks.flag.kind",
            "tasks.flag.temperature",
            "tiers.odd.kind",
            "tasks.\"a b\""
        ]
    );
}
