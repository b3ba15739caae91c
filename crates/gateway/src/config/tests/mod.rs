//! Tests of the config from text to checked values and to reports.

mod embed;
mod fingerprint;
mod reference;
mod rules;
mod secrets;
mod starter;
mod stream;
mod targets;
mod vendors;

use std::path::Path;

use super::{Config, ConfigFaults};

/// The variables of the machine on which the tests take place.
fn variable(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" => Some("key-of-the-vendor\n".to_owned()),
        "TIERGATE_KEY" => Some("key-of-a-client".to_owned()),
        "TWO_WORDS" => Some("hush hush".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// What a config of this text comes to in this folder.
fn load_in(folder: &Path, text: &str) -> Result<Config, ConfigFaults> {
    super::parse(&folder.join("tiergate.toml"), text, Some(&variable))
}

/// What a config of this text comes to where its files can't be looked at.
fn load_elsewhere(text: &str) -> Result<Config, ConfigFaults> {
    super::parse(Path::new("tiergate.toml"), text, None)
}

/// The report on a config of this text, line by line, without its count.
fn report(text: &str) -> Vec<String> {
    match load_elsewhere(text) {
        Ok(_) => Vec::new(),
        Err(faults) => {
            let report = faults.to_string();
            let mut lines: Vec<String> = report.lines().map(str::to_owned).collect();
            let count = lines.pop().unwrap();
            let noun = if lines.len() == 1 { "fault" } else { "faults" };
            assert_eq!(count, format!("{} {noun} in tiergate.toml", lines.len()));
            lines
        }
    }
}
