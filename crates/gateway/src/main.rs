//! The program `tiergate`: the command line, and what each command does.
//!
//! A request's way is told in [`answer`]; [`app`] puts together what it needs from the
//! [`config`]; it comes in through [`http`], [`batch`] or the [`demo`].

#![forbid(unsafe_code)]

mod agreement;
mod answer;
mod app;
mod audit;
mod batch;
mod calibrate;
mod certificate;
mod certificates;
mod cli;
mod clock;
mod config;
mod data_folder;
mod deferral;
mod demo;
mod engine;
mod eval;
mod http;
mod learn;
mod logging;
mod metrics;
mod model;
mod precall;
mod ready;
mod records;
mod reference;
mod renewal;
mod signal;
mod simulation;
mod spend;
mod student;
mod sufficiency;
mod tenant;
mod terminal;
mod tier;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{CheckConfigArgs, Cli, Command, ConfigArgs, InitArgs};
use crate::config::{Config, ConfigFaults};
use crate::terminal::{complain, say};

/// The config is wrong (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    run(Cli::parse().command).unwrap_or_else(|error| {
        let wrong_config = error.is::<ConfigFaults>();
        complain(format_args!("{error:#}"));
        if wrong_config {
            ExitCode::from(EXIT_CONFIG)
        } else {
            ExitCode::FAILURE
        }
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    logging::init(match command {
        Command::Serve(_) => "info",
        _ => "warn",
    })?;
    match command {
        Command::Demo(args) => demo::command(&args),
        Command::Run(args) => batch::command(&args),
        Command::Serve(args) => http::command(&args),
        Command::Calibrate(args) => calibrate::command(&args),
        Command::Certificates(args) => certificates::command(&args),
        Command::CheckConfig(args) => check_config(&args),
        Command::Init(args) => init(&args).map(|()| ExitCode::SUCCESS),
        Command::Ledger(args) => spend::command(&args),
        Command::Eval(args) => eval::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Sufficiency(args) => sufficiency::command(&args),
        Command::Student(command) => student::run(&command),
        Command::Records(command) => records::run(&command),
        Command::Model(command) => model::run(command),
        Command::EngineWorker => engine::worker_command(),
        Command::EngineExposure { model } => engine::exposure_command(&model),
        Command::EngineMeasure => engine::measure_command(),
    }
}

/// The config that a command works by; what should be looked at in it is said.
fn load_config(args: &ConfigArgs) -> Result<Config, ConfigFaults> {
    let config = config::load(&args.config)?;
    warn(&config);
    Ok(config)
}

fn check_config(args: &CheckConfigArgs) -> anyhow::Result<ExitCode> {
    let file = &args.config.config;
    let config = if args.no_secrets {
        config::load_without_secrets(file)?
    } else {
        config::load(file)?
    };
    warn(&config);
    say(config.summary());
    Ok(ExitCode::SUCCESS)
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        complain(warning);
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
