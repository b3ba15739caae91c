//! What is said of the options: in the raw layer's comments, in `docs/config.md`, in faults, and
//! what the program does.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::super::options::{OPTIONS, Opt, Shape};
use super::{load_elsewhere, report};

/// Set to rewrite `docs/config.md` instead of comparing it.
const REWRITE: &str = "TIERGATE_REWRITE_DOCS";

const HEAD: &str = "# The config file

`tiergate.toml` is TOML. `tiergate init` writes one to begin with, and `tiergate check-config`
reports everything that is wrong with one. Relative paths start at the config file's folder.

This page is made from the comments in `crates/gateway/src/config/raw.rs`; a test keeps it so
(`TIERGATE_REWRITE_DOCS=1 cargo test -p gateway reference_page` rewrites it).
";

/// A struct of the raw layer.
struct Section {
    /// The place of its fields: `tasks.*.target.`.
    place: String,
    comment: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    comment: String,
}

impl Field {
    /// The text after `Default: `, when it is one plain value in backquotes.
    fn default(&self) -> Option<&str> {
        let after = self.comment.split("Default: `").nth(1)?;
        let (value, rest) = after.split_once('`')?;
        (rest.starts_with(".\n") || rest == "." || rest.starts_with(". Range")).then_some(value)
    }

    /// The bounds after `Range: `.
    fn range(&self) -> Option<(&str, &str)> {
        self.comment
            .split("Range: ")
            .nth(1)?
            .trim_end()
            .strip_suffix('.')?
            .split_once(" to ")
    }
}

fn place_of(name: &str) -> &'static str {
    match name {
        "RawConfig" => "",
        "RawServer" => "server.",
        "RawPrice" => "prices.*.",
        "RawTier" => "tiers.*.",
        "RawTask" => "tasks.*.",
        "RawLabel" => "tasks.*.labels[].",
        "RawTarget" => "tasks.*.target.",
        "RawBudget" => "tasks.*.budget.",
        "RawRecords" => "tasks.*.records.",
        "RawAudit" => "tasks.*.audit.",
        "RawLearn" => "tasks.*.learn.",
        other => panic!("{other} has no place yet"),
    }
}

/// The structs of the raw layer with their comments, in the order of the file.
fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut comment = String::new();
    for line in include_str!("../raw.rs").lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text.strip_prefix(' ').unwrap_or(text));
            comment.push('\n');
        } else if let Some(rest) = line.strip_prefix("pub(super) struct ") {
            let place = place_of(rest.trim_end_matches(" {")).to_owned();
            let comment = std::mem::take(&mut comment);
            sections.push(Section {
                place,
                comment,
                fields: Vec::new(),
            });
        } else if let Some(rest) = line.strip_prefix("pub(super) ") {
            let name = rest.split(':').next().unwrap().to_owned();
            let comment = std::mem::take(&mut comment);
            sections
                .last_mut()
                .unwrap()
                .fields
                .push(Field { name, comment });
        }
    }
    sections
}

fn option_at(place: &str) -> &'static Opt {
    OPTIONS
        .iter()
        .find(|option| option.place == place)
        .unwrap_or_else(|| panic!("no {place}"))
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for section in sections() {
        let title = section.place.trim_end_matches('.').replace('*', "NAME");
        let title = if title.is_empty() {
            "Top of the file"
        } else {
            &title
        };
        write!(page, "\n## {title}\n\n{}", section.comment).unwrap();
        for field in section.fields {
            let option = option_at(&format!("{}{}", section.place, field.name));
            write!(page, "\n### {}\n\n{}", field.name, field.comment).unwrap();
            if option.shape != Shape::Table {
                write!(page, "\nExample: `{} = {}`\n", field.name, option.example).unwrap();
            }
        }
    }
    page
}

#[test]
fn the_reference_page_is_current() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == page(),
        "docs/config.md is not current; set {REWRITE}=1 to rewrite it"
    );
}

#[test]
fn every_field_is_an_option_and_every_option_a_field() {
    let fields: Vec<String> = sections()
        .iter()
        .flat_map(|section| {
            section
                .fields
                .iter()
                .map(|f| format!("{}{}", section.place, f.name))
        })
        .collect();
    for field in &fields {
        option_at(field);
    }
    for option in OPTIONS {
        let inner = option.place.ends_with('*') || option.place.ends_with("[]");
        assert!(
            inner || fields.iter().any(|field| field == option.place),
            "{}",
            option.place
        );
    }
}

#[test]
fn stated_ranges_are_those_that_are_checked() {
    for section in sections() {
        for field in section.fields {
            let place = format!("{}{}", section.place, field.name);
            let checked = match option_at(&place).shape {
                Shape::Count(least, most) => Some((least.to_string(), most.to_string())),
                Shape::Number(least, most) => Some((least.to_string(), most.to_string())),
                _ => None,
            };
            let stated = field
                .range()
                .map(|(least, most)| (least.to_owned(), most.to_owned()));
            assert_eq!(stated, checked, "{place}");
        }
    }
}

/// The kind of a tier in which this option may stand.
fn kind_for(place: &str) -> &'static str {
    match place {
        "tiers.*.threads"
        | "tiers.*.queue_max"
        | "tiers.*.kv_bytes"
        | "tiers.*.machine_usd_per_hour" => "local",
        "tiers.*.url" => "frontier",
        _ => "pool",
    }
}

#[test]
fn stated_defaults_are_what_the_program_takes() {
    let mut tried = 0;
    for section in sections() {
        for field in &section.fields {
            let place = format!("{}{}", section.place, field.name);
            let Some(default) = field.default() else {
                continue;
            };
            let url = match kind_for(&place) {
                "pool" => "tiers.x.url = \"https://example.com/v1\"\n",
                _ => "",
            };
            let records = match place.contains(".records.") {
                true => "tasks.x.records.path = \"r\"\n",
                false => "",
            };
            let base = format!(
                "tiers.x.kind = {:?}\ntiers.x.model = \"starter\"\n{url}{records}\
                 tasks.x.kind = \"chat\"\ntasks.x.tiers = [\"x\"]\n",
                kind_for(&place)
            );
            let silent = load_elsewhere(&base).unwrap_or_else(|faults| panic!("{faults}"));
            let stated =
                load_elsewhere(&format!("{base}{} = {default}\n", place.replace('*', "x")));
            let stated = stated.unwrap_or_else(|faults| panic!("{faults}"));
            assert_eq!(format!("{silent:?}"), format!("{stated:?}"), "{place}");
            tried += 1;
        }
    }
    assert!(
        tried > 20,
        "only {tried} defaults were found in the comments"
    );
}

/// What the examples name, and what must stand beside an option for it to be looked at.
const AROUND_EXAMPLES: &str = r#"
prices."gpt-5-mini" = { input = "1", output = "1" }
tiers.student = { kind = "student" }
tiers.llama = { kind = "local", model = "starter" }
tasks.flag = { kind = "chat", tiers = ["llama"] }
"#;

#[test]
fn every_example_is_a_right_value() {
    for option in OPTIONS {
        let place = option.place.replace('*', "x");
        // An entry of a list is tried in a list of its own.
        let (key, value) = match place.split_once("[]") {
            None => (place.as_str(), option.example.to_owned()),
            Some((list, "")) => (list, format!("[{}]", option.example)),
            Some((list, field)) => (
                list,
                format!("[{{ {} = {} }}]", &field[1..], option.example),
            ),
        };
        let mut text = format!("{key} = {value}\n");
        for (beside, value) in [
            ("tiers.x.kind", format!("{:?}", kind_for(option.place))),
            ("tasks.x.kind", "\"flag\"".to_owned()),
            (
                "tasks.x.labels",
                "[{ name = \"suspicious\" }, { name = \"clear\" }]".to_owned(),
            ),
        ] {
            let (section, _) = beside.rsplit_once('.').unwrap();
            if key != beside && key.starts_with(&format!("{section}.")) {
                writeln!(text, "{beside} = {value}").unwrap();
            }
        }
        if key.contains('.') || key == "data_dir" {
            text.push_str(AROUND_EXAMPLES);
        }
        let written = place.replace("[]", "[0]");
        for line in report(&text) {
            let at = line.split(": ").nth(1).unwrap();
            assert!(at != written || !line.contains(option.meaning), "{line}");
        }
    }
}
