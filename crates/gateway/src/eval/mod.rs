//! `tiergate eval …`: how good tiers are, from records, without serving anything.

mod cascade;
mod certificate;
mod monitor;
mod online;
mod output;
mod pairs;
mod records;
mod router;
mod student;

/// Arguments of `eval`.
#[derive(clap::Args, Debug)]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    command: EvalCommand,
}

/// What to evaluate.
#[derive(clap::Subcommand, Debug)]
enum EvalCommand {
    /// How well a student learns a task from its labels
    Student(student::StudentArgs),
    /// How often certificates hold on samples of these records, and how much they let us keep
    Certificate(certificate::CertificateArgs),
    /// How tiers one after the other compare with a frontier alone
    Cascade(cascade::CascadeArgs),
    /// How a student fares that learns from a teacher while it works
    Online(online::OnlineArgs),
    /// How well one can tell before the call that a stronger model is needed
    Router(router::RouterArgs),
    /// How often the monitor revokes a certificate without cause, and how soon with cause
    Monitor(monitor::MonitorArgs),
}

/// Evaluates and prints the report.
///
/// # Errors
/// When records can't be read or are not fit for what is asked.
pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    match &args.command {
        EvalCommand::Student(args) => student::run(args),
        EvalCommand::Certificate(args) => certificate::run(args),
        EvalCommand::Cascade(args) => cascade::run(args),
        EvalCommand::Online(args) => online::run(args),
        EvalCommand::Router(args) => router::run(args),
        EvalCommand::Monitor(args) => monitor::run(args),
    }
}
