//! `tiergate model score`: how probable labels are as the answer to a prompt.

use clap::Args;
use llama::{
    ChatMessage, LabelScorer, LabelScores, Role, SpecialTokens, TokenId, expected_step,
    prior_corrected, probabilities,
};
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
    /// Take out what the model would rather say whatever it reads: a text without content, such
    /// as `N/A`, that stands in for the prompt.
    #[arg(long, value_name = "TEXT", conflicts_with = "each")]
    prior: Option<String>,
    /// The labels are the steps of a scale, the lowest first: say where the answer lies on it.
    #[arg(long, conflicts_with = "each")]
    ordered: bool,
    /// Several labels may be right: ask this about each, with its name for `{label}`, and show
    /// how probable `yes` is against `no`.
    #[arg(long, value_name = "QUESTION", conflicts_with = "plain")]
    each: Option<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What came of it; one of each for each label.
struct Scored {
    probabilities: Vec<f64>,
    /// Of all possible answers.
    log_probabilities: Vec<f64>,
    prompt_tokens: usize,
    /// The expected step of a scale, 1 for its lowest.
    step: Option<f64>,
}

pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<()> {
    let model = args.model.open()?;
    let threads = args.model.threads(&model);
    let prompt = super::text_or_stdin(args.prompt.as_ref())?;
    let mut scorer = LabelScorer::new(model).with_threads(threads);
    let scored = match &args.each {
        Some(question) => each(&mut scorer, args, (&prompt, question))?,
        None => one_of_all(&mut scorer, args, &prompt)?,
    };
    show(args, &scored);
    Ok(())
}

/// One of the labels is right.
fn one_of_all(
    scorer: &mut LabelScorer,
    args: &ScoreArgs,
    prompt: &str,
) -> Result<Scored, llama::RequestError> {
    let mut score = |prompt: &str| match args.plain {
        true => score_plain(scorer, prompt, &args.labels),
        false => {
            let labels: Vec<&str> = args.labels.iter().map(String::as_str).collect();
            scorer.score_chat(&conversation(args, prompt.to_owned()), &labels)
        }
    };
    let scores = score(prompt)?;
    let prior = args.prior.as_ref().map(|text| score(text)).transpose()?;
    let shares = match prior {
        Some(prior) => prior_corrected(&scores.log_probabilities, &prior.log_probabilities),
        None => probabilities(&scores.log_probabilities),
    };
    Ok(Scored {
        step: args.ordered.then(|| expected_step(&shares)),
        probabilities: shares,
        log_probabilities: scores.log_probabilities,
        prompt_tokens: scores.prompt_tokens,
    })
}

/// Each label is right or not, whatever the others are.
fn each(
    scorer: &mut LabelScorer,
    args: &ScoreArgs,
    (prompt, question): (&str, &str),
) -> Result<Scored, llama::RequestError> {
    let mut scored = Scored {
        probabilities: Vec::new(),
        log_probabilities: Vec::new(),
        prompt_tokens: 0,
        step: None,
    };
    for label in &args.labels {
        // The text stands first: it is read once for all labels.
        let asked = format!("{prompt}\n\n{}", question.replace("{label}", label));
        let scores = scorer.score_chat(&conversation(args, asked), &["yes", "no"])?;
        scored
            .probabilities
            .push(probabilities(&scores.log_probabilities)[0]);
        scored.log_probabilities.push(scores.log_probabilities[0]);
        scored.prompt_tokens += scores.prompt_tokens - scores.cached_tokens;
    }
    Ok(scored)
}

fn conversation(args: &ScoreArgs, prompt: String) -> Vec<ChatMessage> {
    let system = args.system.as_ref();
    let system = system.map(|text| ChatMessage::new(Role::System, text));
    let user = ChatMessage::new(Role::User, prompt);
    system.into_iter().chain([user]).collect()
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

fn show(args: &ScoreArgs, scored: &Scored) {
    let rows = args
        .labels
        .iter()
        .zip(&scored.probabilities)
        .zip(&scored.log_probabilities);
    if args.json {
        let labels = rows.map(|((label, probability), log_probability)| {
            json!({
                "label": label,
                "probability": probability,
                "log_probability": log_probability,
            })
        });
        let labels: Vec<Value> = labels.collect();
        say(json!({
            "labels": labels,
            "prompt_tokens": scored.prompt_tokens,
            "step": scored.step,
        }));
        return;
    }
    let mut table = figures(&["label", "probability", "of any answer (ln)"]);
    for ((label, probability), log_probability) in rows {
        table.add_row([
            label.clone(),
            percent(*probability),
            format!("{log_probability:.3}"),
        ]);
    }
    say(table);
    if let Some(step) = scored.step {
        say(format_args!(
            "on the scale: {step:.2} of {}",
            args.labels.len()
        ));
    }
}
