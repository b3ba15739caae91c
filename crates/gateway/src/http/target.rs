//! What a request's `model` names, and what the request becomes for it.

use std::sync::Arc;

use domain::{Message, Prompt, PromptKind, Role, TaskKind, TaskName, TierName};
use ledger::RequestId;
use wire::chat::{ChatRequest, Extra, RequestedGeneration};
use wire::embedding::EmbeddingRequest;
use wire::fault::{Fault, FaultKind};
use wire::google::path::Method;

use super::error::HttpError;
use crate::answer::Request;
use crate::app::App;
use crate::ready::ReadyTask;
use crate::tenant::Tenant;
use crate::tier::loss;

const AUTO: &str = "auto";
const TASK: &str = "task:";
const TIER: &str = "tier:";

/// The names that there are: `auto` where the config says which task it is, every task, and every
/// tier that converses and may be sent such texts.
pub(super) fn names(app: &App) -> Vec<String> {
    let auto = app.config.server.auto.as_ref().map(|_| AUTO.to_owned());
    let tasks = app.tasks.keys().map(|name| format!("{TASK}{name}"));
    let may_be_asked = |name: &&TierName| app.direct(name).is_some_and(|it| it.asks_somebody());
    let tiers = app.tiers.keys().filter(may_be_asked);
    let tiers = tiers.map(|name| format!("{TIER}{name}"));
    auto.into_iter().chain(tasks).chain(tiers).collect()
}

/// The error that names what there is instead.
pub(super) fn unknown(app: &App, model: &str) -> HttpError {
    let names = names(app).join(", ");
    let rest = match model {
        AUTO => format!("server.auto names no task; ask for one of {names}"),
        _ => format!("ask for one of {names}"),
    };
    HttpError::unknown_model(model, &rest)
}

/// The task that the request's `model` names, and the request as that task understands it.
///
/// # Errors
/// When there is no such model, its tier may not be sent such texts, or the request doesn't fit
/// the task.
pub(super) fn resolve(
    app: &App,
    asked: ChatRequest,
    (id, tenant): (&RequestId, &Tenant),
) -> Result<(Arc<ReadyTask>, Request), HttpError> {
    let task = find(app, &asked.model)?;
    if task.task.kind == TaskKind::Embed {
        let found = format!("task {} makes vectors of texts", task.task.name);
        let rule = "send its texts to /v1/embeddings, or ask for another task";
        return Err(unsupported("model".to_owned(), found, rule).into());
    }
    let (prompt, generation, extra) = match &task.task.labels {
        Some(_) => to_label(&task, asked)?,
        None => to_converse(app, &task, asked)?,
    };
    let request = Request {
        id: id.clone(),
        tenant: tenant.clone(),
        prompt,
        generation,
        extra,
        item: None,
    };
    Ok((task, request))
}

/// The task that a request for vectors names: one of kind embed, or one tier alone. Vectors of
/// different models can't be compared, so that no other kind of task may mean them.
///
/// # Errors
/// When there is no such model, its tier may not be sent such texts, or it can't make such
/// vectors.
pub(super) fn embedder(app: &App, asked: &EmbeddingRequest) -> Result<Arc<ReadyTask>, HttpError> {
    let task = find(app, &asked.model)?;
    let is_direct = asked.model.starts_with(TIER);
    if !is_direct && task.task.kind != TaskKind::Embed {
        let found = format!("task {} is no task of kind embed", task.task.name);
        let rule = "ask for a task of that kind, or for a tier";
        return Err(unsupported("model".to_owned(), found, rule).into());
    }
    let mut rungs = task.rules.cascade.rungs().iter();
    let loss = rungs.find_map(|rung| loss::of_texts(&rung.tier, &app.tiers[&rung.tier], asked));
    match loss {
        Some(loss) => Err(loss.into()),
        None => Ok(task),
    }
}

/// The methods by which Google's clients may ask a model of this name, in Google's words. A tier
/// elsewhere may have a model of either kind, and so has both.
pub(super) fn google_methods(app: &App, model: &str) -> Vec<&'static str> {
    let Ok(task) = find(app, model) else {
        return Vec::new();
    };
    let vectors = [Method::EmbedContent, Method::BatchEmbedContents];
    let texts = [Method::GenerateContent, Method::CountTokens];
    let mut tiers = task.rules.cascade.rungs().iter().map(|rung| &rung.tier);
    let makes_vectors = tiers.all(|tier| app.tiers[tier].makes_vectors());
    let methods: Vec<Method> = match task.task.kind {
        TaskKind::Embed => vectors.to_vec(),
        _ if model.starts_with(TIER) && makes_vectors => [texts, vectors].concat(),
        _ => texts.to_vec(),
    };
    methods.into_iter().map(Method::name).collect()
}

fn find(app: &App, model: &str) -> Result<Arc<ReadyTask>, HttpError> {
    let task = |name: &TaskName| app.task(name);
    let found = if model == AUTO {
        app.config.server.auto.as_ref().and_then(task)
    } else if let Some(name) = model.strip_prefix(TASK) {
        TaskName::new(name).ok().as_ref().and_then(task)
    } else if let Some(name) = model.strip_prefix(TIER) {
        let direct = TierName::new(name).ok().and_then(|name| app.direct(&name));
        let barred = |task: &ReadyTask| !task.asks_somebody();
        if direct.as_ref().is_some_and(barred) {
            let sensitivity = app.config.server.direct_sensitivity.as_str();
            return Err(HttpError::barred(name, sensitivity));
        }
        direct.map(Arc::new)
    } else {
        None
    };
    found.ok_or_else(|| unknown(app, model))
}

type Understood = (Prompt, RequestedGeneration, Option<Extra>);

/// A text to be labelled: the one message of the user. Another message would change what the
/// label means, and what was proven about it, so it is refused. How to write is the task's to
/// say, for the same reason; what a client says about it makes no difference to a label.
fn to_label(task: &ReadyTask, asked: ChatRequest) -> Result<Understood, Fault> {
    let name = &task.task.name;
    let loss = loss::by_text_alone(&format!("task {name}"), &asked);
    let mut messages = asked.prompt.messages;
    if let Some(index) = messages.iter().position(|it| it.role != Role::User) {
        let role = messages[index].role.as_str();
        let path = format!("messages[{index}].role");
        return Err(unsupported(
            path,
            format!("the role is {role}"),
            &one_text(name),
        ));
    }
    let text = match (messages.pop(), messages.len()) {
        (Some(message), 0) => message.text().into_owned(),
        (_, before) => {
            let found = format!("there are {} messages", before + 1);
            return Err(unsupported("messages".to_owned(), found, &one_text(name)));
        }
    };
    if text.trim().is_empty() {
        let path = "messages[0].content".to_owned();
        let rule = "an empty text is never put to a model; send the text to be labelled";
        return Err(fault(
            FaultKind::Invalid,
            path,
            "the text is empty".to_owned(),
            rule,
        ));
    }
    match loss {
        Some(loss) => Err(loss),
        None => Ok((
            task.task.prompt_for(&text),
            RequestedGeneration::default(),
            None,
        )),
    }
}

fn one_text(task: &TaskName) -> String {
    format!(
        "task {task} has its own instruction and labels one text; send that text alone, as one \
         message of role user"
    )
}

/// A conversation: the task's instruction, where it has one, before the messages of the client.
fn to_converse(app: &App, task: &ReadyTask, asked: ChatRequest) -> Result<Understood, Fault> {
    if let Some(loss) = loss(app, task, &asked) {
        return Err(loss);
    }
    let mut prompt = asked.prompt;
    let instruction = task.task.instruction();
    if !instruction.is_empty() {
        if matches!(prompt.kind, PromptKind::Text { .. }) {
            let name = &task.task.name;
            let found = format!("task {name} has an instruction, which no text has a place for");
            let rule = "ask in a conversation, or ask for a task without a prompt, or a tier";
            return Err(unsupported("prompt".to_owned(), found, rule));
        }
        let instruction = Message::new(Role::System, instruction);
        prompt.messages.insert(0, instruction);
    }
    let extra = (!asked.extra.is_empty()).then_some(asked.extra);
    Ok((prompt, asked.generation, extra))
}

/// What any tier that may answer would lose of the request.
fn loss(app: &App, task: &ReadyTask, asked: &ChatRequest) -> Option<Fault> {
    let mut rungs = task.rules.cascade.rungs().iter();
    rungs.find_map(|rung| loss::of(&rung.tier, &app.tiers[&rung.tier], asked))
}

fn unsupported(path: String, found: String, rule: &str) -> Fault {
    fault(FaultKind::Unsupported, path, found, rule)
}

fn fault(kind: FaultKind, path: String, found: String, rule: &str) -> Fault {
    Fault {
        kind,
        path,
        found,
        rule: rule.to_owned(),
        example: None,
    }
}
