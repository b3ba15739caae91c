//! `tiergate model score`: how probable labels are as the answer to a prompt.

use clap::Args;
use llama::{ChatMessage, LabelScorer, LabelScores, Role, SpecialTokens, TokenId, probabilities};
use serde_json::{Value, json};

use super::ModelArgs;
use crate::terminal::{figures, percent, say};

/// `tiergate model score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The prompt; without it the standard input is read.
    #[arg(long)]
    prompt: Option<String>,
    /// Instructions that come before the prompt, as the system's message.
    #[arg(long, conflicts_with = "plain")]
    system: Option<String>,
    /// A possible answer; give two or more.
    #[arg(long = "label", required = true, value_name = "LABEL")]
    labels: Vec<String>,
    /// Score the labels as what follows the prompt's text, without the chat template.
    #[arg(long)]
    plain: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<()> {
    let model = args.model.open()?;
    let threads = args.model.threads(&model);
    let prompt = super::text_or_stdin(args.prompt.as_ref())?;
    let mut scorer = LabelScorer::new(model).with_threads(threads);
    let scores = if args.plain {
        score_plain(&mut scorer, &prompt, &args.labels)?
    } else {
        let system = args.system.as_ref();
        let system = system.map(|text| ChatMessage::new(Role::System, text));
        let user = ChatMessage::new(Role::User, prompt);
        let messages: Vec<ChatMessage> = system.into_iter().chain([user]).collect();
        let labels: Vec<&str> = args.labels.iter().map(String::as_str).collect();
        scorer.score_chat(&messages, &labels)?
    };
    show(args, &scores);
    Ok(())
}

fn score_plain(
    scorer: &mut LabelScorer,
    prompt: &str,
    labels: &[String],
) -> Result<LabelScores, llama::RequestError> {
    let tokenizer = scorer.model().tokenizer();
    let special = tokenizer.special();
    let begin = special.bos.filter(|_| special.add_bos);
    let prompt = tokenizer.encode(prompt, SpecialTokens::Plain);
    let prompt: Vec<TokenId> = begin.into_iter().chain(prompt).collect();
    let labels: Vec<Vec<TokenId>> = labels
        .iter()
        .map(|label| tokenizer.encode(label, SpecialTokens::Plain))
        .collect();
    scorer.score(&prompt, &labels)
}

fn show(args: &ScoreArgs, scores: &LabelScores) {
    let shares = probabilities(&scores.log_probabilities);
    let rows = args
        .labels
        .iter()
        .zip(&shares)
        .zip(&scores.log_probabilities);
    if args.json {
        let labels = rows.map(|((label, probability), log_probability)| {
            json!({
                "label": label,
                "probability": probability,
                "log_probability": log_probability,
            })
        });
        let labels: Vec<Value> = labels.collect();
        say(json!({ "labels": labels, "prompt_tokens": scores.prompt_tokens }));
    } else {
        let mut table = figures(&["label", "probability", "of any answer (ln)"]);
        for ((label, probability), log_probability) in rows {
            table.add_row([
                label.clone(),
                percent(*probability),
                format!("{log_probability:.3}"),
            ]);
        }
        say(table);
    }
}
