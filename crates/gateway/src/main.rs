//! The program `tiergate`: config, command line, and in time everything that serves.

#![forbid(unsafe_code)]

mod cli;
#[expect(
    dead_code,
    unused_imports,
    reason = "what serves from the config comes next"
)]
mod config;
mod eval;
mod model;

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, ConfigArgs, InitArgs};

/// The config is wrong (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::CheckConfig(args) => return check_config(&args),
        Command::Init(args) => init(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Model(args) => model::run(args.command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn check_config(args: &ConfigArgs) -> ExitCode {
    let loaded = if args.no_secrets {
        config::load_without_secrets(&args.config)
    } else {
        config::load(&args.config)
    };
    match loaded {
        Ok(config) => {
            for warning in &config.warnings {
                complain(warning);
            }
            say(config.summary());
            ExitCode::SUCCESS
        }
        Err(faults) => {
            complain(faults);
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn init(args: &InitArgs) -> anyhow::Result<()> {
    write_new(&args.file, config::starter_config())?;
    let file = args.file.display();
    say(format_args!(
        "wrote {file}; look it over, then: tiergate check-config --config {file}"
    ));
    Ok(())
}

/// Writes a file that must not exist yet.
fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    let fault = |error| {
        anyhow::anyhow!(
            "{}: {error}; an existing file is left alone, name another",
            file.display()
        )
    };
    let mut new = std::fs::File::create_new(file).map_err(fault)?;
    new.write_all(text.as_bytes()).map_err(fault)
}

fn say(text: impl Display) {
    // A reader who has closed the pipe wants no more.
    let _closed = writeln!(std::io::stdout().lock(), "{text}");
}

fn complain(text: impl Display) {
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}
