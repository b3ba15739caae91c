//! `tiergate model score`: how probable each of some labels is as the answer.

use clap::Args;
use llama::{ChatMessage, LabelScorer, Role, probabilities};

use super::ModelArgs;
use crate::terminal::{figures, percent, say};

/// `tiergate model score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The user's message.
    #[arg(long)]
    prompt: String,
    /// Instructions that go before it.
    #[arg(long)]
    system: Option<String>,
    /// A label; give as many as there are.
    #[arg(long = "label", required = true)]
    labels: Vec<String>,
}

/// Shows the labels' probabilities, which sum to 1.
pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<()> {
    let system = args.system.iter().map(|text| (Role::System, text));
    let messages: Vec<ChatMessage> = system
        .chain([(Role::User, &args.prompt)])
        .map(|(role, text)| ChatMessage::new(role, text.as_str()))
        .collect();
    let names: Vec<&str> = args.labels.iter().map(String::as_str).collect();
    let mut scorer = LabelScorer::new(args.model.open()?).with_threads(args.model.threads());
    let scores = scorer.score_chat(&messages, &names)?;
    let mut table = figures(&["label", "probability", "of any answer (ln)"]);
    let shares = probabilities(&scores.log_probabilities);
    for ((name, share), log_probability) in names.iter().zip(shares).zip(&scores.log_probabilities)
    {
        let of_any = format!("{log_probability:.3}");
        table.add_row([(*name).to_owned(), percent(share), of_any]);
    }
    say(table);
    Ok(())
}
