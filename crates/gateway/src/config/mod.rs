//! The config file, `tiergate.toml`.
//!
//! It is read in two layers. The raw layer (`raw`) mirrors the TOML; the checked layer
//! (`checked`) holds values in types of their own and is all that the rest of the program sees.
//! Between them stand the checks, which go on after a fault and report all of them together:
//!
//! ```text
//! text ─ source ─► tree with lines ─ read ─► raw ─ server, tiers, tasks ─► checked
//!                        └────────── faults, in the words of options ──────────┘
//! ```

mod aws_account;
mod check;
mod checked;
mod fault;
mod fingerprint;
mod google_account;
mod options;
mod path;
mod raw;
mod read;
mod secret;
mod server;
mod source;
mod tasks;
mod tier_url;
mod tiers;

#[cfg(test)]
mod tests;

use std::path::Path as FilePath;

pub(crate) use self::checked::{
    Budget, Config, Keeping, LocalTier, MaxTokensField, ModelSource, RecordsSource, RemoteTier,
    Server, TaskConfig, Tier, Window,
};
pub(crate) use self::fault::ConfigFaults;

use self::check::{Checks, Variables};
use self::fault::Faults;
use self::path::Path;
use self::source::Source;

/// The folder of everything that is kept, where none is named.
const DATA_DIR: &str = "tiergate-data";

/// The config in a file, with its secrets, for use on this machine.
///
/// # Errors
/// Every fault of the file in one report: what can't be read, is unknown, missing, out of range
/// or contradicts something else, and secrets and files that are not there.
pub(crate) fn load(file: &FilePath) -> Result<Config, ConfigFaults> {
    load_with(file, Some(&|name| std::env::var(name).ok()))
}

/// The config in a file that is meant for another machine: neither secrets nor the files that it
/// names are looked at, and the tiers have no keys.
///
/// # Errors
/// Every fault of the file in one report.
pub(crate) fn load_without_secrets(file: &FilePath) -> Result<Config, ConfigFaults> {
    load_with(file, None)
}

/// The config that `tiergate init` writes: it works as it stands, and explains itself.
pub(crate) fn starter_config() -> &'static str {
    include_str!("starter.toml")
}

fn load_with(file: &FilePath, machine: Option<Variables<'_>>) -> Result<Config, ConfigFaults> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let advice = "name a config with --config, or write one with `tiergate init`";
        ConfigFaults::of_file(file.to_owned(), format!("{error}; {advice}"))
    })?;
    parse(file, &text, machine)
}

fn parse(
    file: &FilePath,
    text: &str,
    machine: Option<Variables<'_>>,
) -> Result<Config, ConfigFaults> {
    let source =
        Source::parse(text).map_err(|faults| ConfigFaults::of_syntax(file.to_owned(), faults))?;
    let mut faults = Faults::new(&source);
    let raw = read::read(&mut faults);
    let mut checks = Checks {
        faults,
        warnings: Vec::new(),
        folder: checked::folder_of(file),
        machine,
    };
    let prices = tiers::check_prices(&mut checks, &raw.prices);
    let tiers = tiers::check_tiers(&mut checks, &raw.tiers, &prices);
    let data_dir = checks.text(&Path::top("data_dir"), raw.data_dir.as_ref());
    let data_dir = checks.folder.join(data_dir.as_deref().unwrap_or(DATA_DIR));
    let config = Config {
        file: file.to_owned(),
        certificates: data_dir.join("certificates"),
        data_dir,
        server: server::check(&mut checks, &raw.server),
        tasks: tasks::check(&mut checks, &raw.tasks, &raw.tiers),
        tiers,
        warnings: checks.warnings,
    };
    checks.faults.into_result(file.to_owned())?;
    Ok(config)
}
