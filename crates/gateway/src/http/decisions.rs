//! `POST /v1/decisions`: typed questions about a text. The embedded engine answers each with the
//! probabilities of its options, and writes nothing.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use domain::{
    CompletionTokens, Label, Labels, Message, Picodollars, Prompt, PromptTokens, Role, TierKind,
    TierName, Usage,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ledger::RequestId;
use routing::evidence::Evidence;
use wire::chat::RequestedGeneration;
use wire::openai::decisions::{Ask, DecisionRequest, Question, encode_decision, parse_request};

use super::body;
use super::call::Call;
use super::chat::{accepted, refusal};
use super::error::HttpError;
use super::facts::Facts;
use super::models::json;
use crate::answer::{self, answer};
use crate::app::App;
use crate::ready::ReadyTask;
use crate::tenant::Tenant;
use crate::tier::Tier;

/// The most questions of a request that are in the engine at once: others get their turn.
const AT_ONCE: usize = 16;
/// What stands before a statement.
const IS_IT_SO: &str = "Is this true of the text above?";

/// Answers the questions in their order.
///
/// # Errors
/// When the request is wrong, or one of the questions has no answer.
///
/// # Cancel safety
/// When dropped midway, as happens when the client hangs up, the engine stops.
pub(super) async fn decide(call: Call, request: Request) -> Result<Response, HttpError> {
    let body = body::read(&call.server, request).await?;
    let asked = parse_request(&body)?;
    drop(body);
    let (app, id) = (&*call.app, &call.exchange.id);
    let (tier, queue_max) = engine(app, &asked.model)?;
    call.exchange.began(&format!("tier.{tier}"));
    let questions = asked.questions.iter().enumerate();
    let answers: Vec<_> = questions
        .map(|(index, question)| {
            // Each is a request of its own in the ledger.
            let id = RequestId(format!("{}-{}", id.0, index + 1));
            ask(app, &tier, (id, &call.tenant), (&asked.input, question))
        })
        .collect();
    let at_once = AT_ONCE.min(queue_max);
    let answers = stream::iter(answers).buffered(at_once).try_collect();
    let answers: Result<Vec<Answer>, HttpError> = tokio::select! {
        biased;
        () = call.server.cut.cancelled() => Err(HttpError::stopping()),
        answers = answers => answers,
    };
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => {
            call.exchange.broke(error.cause());
            return Err(error);
        }
    };
    let usage = answers
        .iter()
        .map(|it| it.usage)
        .fold(Usage::default(), sum);
    call.exchange.ended(facts(&tier, usage));
    let mut response = json(told(&asked, &tier, (&answers, &usage))).into_response();
    if let Some(facts) = call.exchange.facts() {
        facts.tell(response.headers_mut());
    }
    Ok(response)
}

/// The probabilities of a question's options, and what they took.
struct Answer {
    probabilities: Vec<f64>,
    usage: Usage,
}

fn told(asked: &DecisionRequest, tier: &TierName, (answers, usage): (&[Answer], &Usage)) -> String {
    let answers = answers.iter().map(|it| it.probabilities.as_slice());
    let answers: Vec<_> = asked.questions.iter().zip(answers).collect();
    encode_decision(&format!("tier:{tier}"), &answers, usage)
}

fn sum(left: Usage, right: Usage) -> Usage {
    Usage {
        prompt: PromptTokens(left.prompt.0 + right.prompt.0),
        cached_prompt: PromptTokens(left.cached_prompt.0 + right.cached_prompt.0),
        completion: CompletionTokens(left.completion.0 + right.completion.0),
        ..left
    }
}

fn facts(tier: &TierName, usage: Usage) -> Facts {
    Facts {
        outcome: "answered",
        reason: None,
        tier: Some(tier.clone()),
        confidence: None,
        escalations: 0,
        skipped: String::new(),
        usage: Some(usage),
        cost: Picodollars::ZERO,
    }
}

/// The tier of kind local that the request names, and how many requests may wait for it.
fn engine(app: &App, model: &str) -> Result<(TierName, usize), HttpError> {
    let named = model
        .strip_prefix("tier:")
        .and_then(|name| TierName::new(name).ok());
    let tier = named.and_then(|name| app.tiers.get_key_value(&name));
    if let Some((name, Tier::Local(local))) = tier {
        return Ok((name.clone(), local.queue_max()));
    }
    let local = app
        .tiers
        .iter()
        .filter(|(_, tier)| tier.kind() == TierKind::Local);
    let names: Vec<String> = local.map(|(name, _)| format!("tier:{name}")).collect();
    let rest = match names.as_slice() {
        [] => "decisions are made by tiers of kind local; the config has none".to_owned(),
        names => {
            let names = names.join(", ");
            format!("decisions are made by tiers of kind local; ask for one of {names}")
        }
    };
    Err(HttpError::unknown_model(model, &rest))
}

async fn ask(
    app: &App,
    tier: &TierName,
    (id, tenant): (RequestId, &Tenant),
    (input, question): (&[Message], &Question),
) -> Result<Answer, HttpError> {
    let labels = labels(question).ok_or_else(HttpError::internal)?;
    let instruction = match question.ask {
        Ask::Predicate => format!("{IS_IT_SO} {}", question.instructions),
        Ask::Choice(_) | Ask::Score(_) => question.instructions.clone(),
    };
    let task = ReadyTask::question(&app.config, (tier, TierKind::Local), (instruction, labels));
    let request = answer::Request {
        id,
        tenant: tenant.clone(),
        prompt: prompt(input, task.task.instruction()),
        generation: RequestedGeneration::default(),
        extra: None,
        item: None,
    };
    let answered = answer(app, &task, &request, None).await;
    let mut answered = answered.map_err(|error| HttpError::not_recorded(&error))?;
    if let Some(error) = refusal(&answered.end, &request.id) {
        return Err(error);
    }
    let evidence = answered.evidence.take();
    let (_, completion) = accepted(answered, &request.id)?;
    match evidence {
        Some(Evidence::Labels(probabilities)) => Ok(Answer {
            probabilities: probabilities.as_slice().to_vec(),
            usage: completion.usage.unwrap_or_default(),
        }),
        _ => Err(HttpError::internal()),
    }
}

/// What the question may be answered with; whoever read the question has seen that these differ.
fn labels(question: &Question) -> Option<Labels> {
    let options = question.options().into_iter();
    let labels = options.map(|(name, definition)| Label {
        name: name.to_owned(),
        definition: definition.map(str::to_owned),
    });
    Labels::new(labels.collect()).ok()
}

/// The input and then the question, so that the questions of a request share its beginning, which
/// the engine reads once.
fn prompt(input: &[Message], question: String) -> Prompt {
    let mut messages = input.to_vec();
    let last = messages.pop_if(|last| last.role == Role::User);
    let text = match last {
        Some(last) => format!("{}\n\n{question}", last.text()),
        None => question,
    };
    messages.push(Message::new(Role::User, text));
    Prompt::new(messages)
}
