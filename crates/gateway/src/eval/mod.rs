//! `tiergate eval …`: how good tiers are, from records, without serving anything.

mod output;
mod records;
mod student;

/// What to evaluate.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum EvalCommand {
    /// How well a student learns a task from its labels
    Student(student::StudentArgs),
}

/// Evaluates and prints the report.
///
/// # Errors
/// When records can't be read or are not fit for what is asked.
pub(crate) fn run(command: &EvalCommand) -> anyhow::Result<()> {
    match command {
        EvalCommand::Student(args) => student::run(args),
    }
}
