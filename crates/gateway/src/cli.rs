//! The command line: what can be asked for, and nothing of how it is done.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Say whether a config is right, with every fault in one report.
    CheckConfig(ConfigArgs),
    /// Write a commented starter config.
    Init(InitArgs),
    /// Measure tiers and cascades on records, without serving anything.
    Eval(crate::eval::EvalArgs),
    /// Look into a model file.
    Model(ModelArgs),
}

/// Where the config is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// The config file.
    #[arg(short, long, default_value = "tiergate.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
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

/// `tiergate model`.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ModelCommand,
}

/// The commands about models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Write the logits at every position: float32, little-endian, (n_tokens, n_vocab).
    Logits {
        /// The GGUF file, or `starter` for the embedded starter model.
        #[arg(long, value_name = "FILE")]
        model: PathBuf,
        /// Token ids, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        tokens: Vec<u32>,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Threads to use.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
        threads: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
