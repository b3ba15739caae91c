//! The command line: what can be asked for, and nothing of how it is done.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ledger::{TimeRange, Timestamp};

use crate::clock::midnight;

/// Answers high-volume language work on your own machines, and sends on only what needs it.
#[derive(Debug, Parser)]
#[command(name = "tiergate", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Classify and flag 2,000 made-up documents with three tiers, without a key or a network.
    Demo(DemoArgs),
    /// Put every document of an input to a task and write one result for each.
    Run(RunArgs),
    /// Prove on labelled records from which confidence a task's answers may be kept.
    Calibrate(CalibrateArgs),
    /// Say whether a task's tiers inside are enough, beside its frontier: quality and cost.
    Sufficiency(SufficiencyArgs),
    /// Show which certificates stand, what audits say about them, and which were revoked.
    Certificates(crate::certificates::CertificatesArgs),
    /// Serve the APIs of OpenAI, Anthropic and Google.
    Serve(ServeArgs),
    /// Say whether a config is right, with every fault in one report.
    CheckConfig(CheckConfigArgs),
    /// Write a commented starter config.
    Init(InitArgs),
    /// Show what was spent, and what all-frontier would have cost.
    Ledger(LedgerArgs),
    /// A task's students: what they were taught, and which one is in use.
    #[command(subcommand)]
    Student(crate::student::StudentCommand),
    /// What tasks were asked and answered, where they keep it: export, label, forget.
    #[command(subcommand)]
    Records(crate::records::RecordsCommand),
    /// Measure tiers and cascades on records, without serving anything.
    Eval(crate::eval::EvalArgs),
    /// Fetch models, look into them and try them.
    #[command(subcommand)]
    Model(crate::model::ModelCommand),
    /// The engine's process. The program starts it by itself.
    #[command(hide = true)]
    EngineWorker,
    /// What a process behind the engine's walls can still reach.
    #[command(hide = true)]
    EngineExposure {
        /// A model's file.
        model: PathBuf,
    },
    /// What the socket between the program and its engine costs.
    #[command(hide = true)]
    EngineMeasure,
}

/// Where the config is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// The config file.
    #[arg(short, long, default_value = "tiergate.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// `tiergate run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The task, as the config names it.
    pub(crate) task: String,
    /// JSONL or CSV files, gzip of either, or folders of .txt and .md files.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Where the results go, one JSON object a line, in the order of the input.
    #[arg(short, long, value_name = "OUT.jsonl")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only these rows of the whole input, counted from 0: `4000..`, `..1000`, `100..200`.
    #[arg(long, value_name = "A..B", value_parser = parse_rows, default_value = "..")]
    pub(crate) rows: Rows,
    /// Documents in work at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) concurrency: u16,
    /// The field of a row that holds its text, instead of the config's.
    #[arg(long, value_name = "NAME")]
    pub(crate) text_field: Option<String>,
    /// The field of a row that holds its id, instead of the config's.
    #[arg(long, value_name = "NAME")]
    pub(crate) id_field: Option<String>,
    /// The field of a row that holds its right answer, where there is one, instead of the field
    /// of the task's records, or `gold`.
    #[arg(long, value_name = "NAME")]
    pub(crate) gold_field: Option<String>,
    /// Do an input again that this output already holds, or replace a file that is no result.
    #[arg(long)]
    pub(crate) again: bool,
    /// Answer for the frontier from the rows' own right answers, wrong at this rate: no vendor is
    /// called, and ledger and results are kept apart in the folder `simulated`.
    #[arg(long, value_name = "WRONG_RATE")]
    pub(crate) simulate_frontier: Option<f64>,
    /// Print the summary as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tiergate calibrate`.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// The task, as the config names it; its target has a `confidence`.
    pub(crate) task: String,
    /// Labelled records that the task's student did not learn from: JSONL or CSV, gzip of
    /// either.
    #[arg(long, value_name = "FILE", required_unless_present = "from_audits")]
    pub(crate) records: Option<PathBuf>,
    /// Certify on what the task was asked, as far as the ledger knows what is right of it: audits,
    /// each with the probability with which it was chosen, and with `--reference` what went on to
    /// that tier.
    #[arg(long, conflicts_with_all = ["records", "rows", "text_field", "gold_field"])]
    pub(crate) from_audits: bool,
    #[command(flatten)]
    pub(crate) days: Days,
    /// Only these of the file's rows, counted from 0: `4000..`, `..1000`, `100..200`.
    #[arg(long, value_name = "A..B", value_parser = parse_rows, default_value = "..")]
    pub(crate) rows: Rows,
    /// The field of a row that holds its text, instead of that of the task's records.
    #[arg(long, value_name = "NAME")]
    pub(crate) text_field: Option<String>,
    /// The field of a row that holds its right answer, instead of that of the task's records.
    #[arg(long, value_name = "NAME")]
    pub(crate) gold_field: Option<String>,
    /// Compare with what this later tier of the task answers, instead of with the records' own
    /// right answers; a frontier is paid for it.
    #[arg(long, value_name = "TIER", conflicts_with = "gold_field")]
    pub(crate) reference: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write the report as a page of HTML that needs nothing else.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

/// `tiergate sufficiency`.
#[derive(Debug, Args)]
pub(crate) struct SufficiencyArgs {
    /// The task, as the config names it; it has labels, tiers inside and a frontier.
    pub(crate) task: String,
    /// Labelled records that the task's student did not learn from: JSONL or CSV, gzip of
    /// either.
    #[arg(long, value_name = "FILE")]
    pub(crate) records: PathBuf,
    /// Only these of its rows, counted from 0: `4000..`, `..1000`, `100..200`.
    #[arg(long, value_name = "A..B", value_parser = parse_rows, default_value = "..")]
    pub(crate) rows: Rows,
    /// The field of a row that holds its text, instead of that of the task's records.
    #[arg(long, value_name = "NAME")]
    pub(crate) text_field: Option<String>,
    /// The field of a row that holds its right answer, instead of that of the task's records.
    #[arg(long, value_name = "NAME")]
    pub(crate) gold_field: Option<String>,
    /// The most records that are compared, drawn by chance; the frontier is paid for each.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) sample: usize,
    /// The share of all answers that may be worse than the frontier's, 0 to 1.
    #[arg(long, default_value_t = 0.01, value_name = "SHARE")]
    pub(crate) margin: f64,
    /// Documents a month, to show what a month costs each way.
    #[arg(long, value_name = "N")]
    pub(crate) volume: Option<u64>,
    /// Answer for the frontier from the records' own right answers, wrong at this rate: no vendor
    /// is called, and money and reports are kept apart in the folder `simulated`.
    #[arg(long, value_name = "WRONG_RATE")]
    pub(crate) simulate_frontier: Option<f64>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write the report as a page of HTML that needs nothing else.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

/// `tiergate demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder for answers, plot and ledger; what an earlier demo left there is replaced.
    #[arg(short, long, default_value = "tiergate-demo", value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// Who answers for the frontier.
    #[arg(long, value_enum, default_value_t = DemoFrontier::Simulated)]
    pub(crate) frontier: DemoFrontier,
    /// With a real frontier: the most documents that may be worked on.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) documents_max: u64,
}

/// Who answers for the demo's frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoFrontier {
    /// A local stand-in with a stated rate of wrong answers.
    Simulated,
    /// OpenAI, with the key in `OPENAI_API_KEY`.
    Openai,
}

/// `tiergate serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The address to listen on, instead of the config's.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
}

/// `tiergate check-config`.
#[derive(Debug, Args)]
pub(crate) struct CheckConfigArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Check the text alone: read no secrets and look for no files.
    #[arg(long)]
    pub(crate) no_secrets: bool,
}

/// `tiergate init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The file to write; an existing one is left alone.
    #[arg(default_value = "tiergate.toml", value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `tiergate ledger`.
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The ledger of runs whose frontier was simulated.
    #[arg(long)]
    pub(crate) simulated: bool,
    /// From this day on (UTC), for example 2026-11-01.
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<jiff::civil::Date>,
    /// Up to this day, included.
    #[arg(long, value_name = "DAY")]
    pub(crate) to: Option<jiff::civil::Date>,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Some days of the ledger.
#[derive(Debug, Clone, Args)]
pub(crate) struct Days {
    /// Of the ledger, from this day on (UTC), for example 2026-11-01.
    #[arg(long, value_name = "DAY")]
    since: Option<jiff::civil::Date>,
    /// Of the ledger, up to this day, included.
    #[arg(long, value_name = "DAY")]
    until: Option<jiff::civil::Date>,
}

impl Days {
    /// Whether any are named.
    pub(crate) fn are_named(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// Their time.
    ///
    /// # Errors
    /// When they end before they begin.
    pub(crate) fn range(&self) -> anyhow::Result<TimeRange> {
        if self.until.is_some() && self.since > self.until {
            bail!("--since is after --until; give the earlier day first");
        }
        let from = self.since.map_or(Timestamp::from_unix_ms(0), midnight);
        let Some(last) = self.until else {
            return Ok(TimeRange::since(from));
        };
        let after = last
            .tomorrow()
            .context("--until is the last day there is")?;
        Ok(TimeRange::from(from..midnight(after)))
    }
}

/// A range of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows(pub(crate) std::ops::Range<u64>);

fn parse_rows(text: &str) -> Result<Rows, String> {
    let fault = || "write a range of rows, for example `4000..`, `..1000` or `100..200`".to_owned();
    let (start, end) = text.split_once("..").ok_or_else(fault)?;
    let number = |text: &str, open: u64| {
        if text.is_empty() {
            Ok(open)
        } else {
            text.parse().map_err(|_| fault())
        }
    };
    let (start, end) = (number(start, 0)?, number(end, u64::MAX)?);
    if start >= end {
        Err(fault())
    } else {
        Ok(Rows(start..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        assert_eq!(parse_rows("4000.."), Ok(Rows(4000..u64::MAX)));
        assert_eq!(parse_rows(".."), Ok(Rows(0..u64::MAX)));
        assert!(parse_rows("5").is_err() && parse_rows("5..2").is_err());
    }
}
