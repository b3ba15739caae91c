//! OpenAI's responses: answered as every conversation, and kept where client, server and task
//! allow it, so that another can go on from them.

use axum::extract::{Path, Request};
use axum::response::IntoResponse;
use axum::response::Response;
use domain::Sensitivity;
use ledger::{Kept, KeptKind};
use serde_json::Value;
use wire::chat::Form;
use wire::fault::{Fault, FaultKind};
use wire::openai::responses::{
    Echo, Keeping, encode_deleted, going_on, input_items, output_items, parse_request,
};

use super::call::Call;
use super::chat::{self, Reply};
use super::error::HttpError;
use super::keep::{Asked, Keep, Page, Shelf};
use super::models::json;
use super::{body, google};

/// Answers, and keeps the answer.
///
/// # Errors
/// As [`chat::complete`], and when the response before it is not kept.
///
/// # Cancel safety
/// As [`chat::complete`].
pub(super) async fn create(call: Call, request: Request) -> Result<Response, HttpError> {
    let body = body::read(&call.server, request).await?;
    let mut asked = parse_request(&body)?;
    let echo = Echo::of(&asked);
    let wish = Keeping::take(&mut asked)?;
    let Some(shelf) = Shelf::of(&call.app, &call.owner) else {
        keeps_nothing(&wish)?;
        drop(body);
        return chat::answer(call, asked, Form::OpenAiResponses(echo).into()).await;
    };
    let keep = match wish.store {
        Some(false) => None,
        demanded => Some(Keep {
            shelf: shelf.clone(),
            demanded: demanded.is_some(),
            previous: wish.previous.clone(),
            // The most careful one, until its task is known.
            sensitivity: Sensitivity::Restricted,
            input: input_items(&body, &call.exchange.id.0)?,
        }),
    };
    let mut earlier = None;
    if let Some(previous) = wish.previous {
        let room = call.server.body_bytes_max;
        let said = Chain::of(&shelf, previous).said(room).await?;
        asked = parse_request(&going_on(&body, &said.items)?)?;
        Keeping::take(&mut asked)?;
        earlier = Some(said.sensitivity);
    }
    drop(body);
    let reply = Reply {
        form: Form::OpenAiResponses(echo),
        keep,
        earlier,
    };
    chat::answer(call, asked, reply).await
}

/// Refuses what can't be done where nothing is kept.
fn keeps_nothing(wish: &Keeping) -> Result<(), Fault> {
    let field = match wish {
        Keeping {
            previous: Some(_), ..
        } => "previous_response_id",
        Keeping {
            store: Some(true), ..
        } => "store",
        _ => return Ok(()),
    };
    Err(Fault {
        kind: FaultKind::Unsupported,
        path: field.to_owned(),
        found: "no response is kept here".to_owned(),
        rule: "send the whole conversation as input, or have the server keep responses \
               (server.keep_days)"
            .to_owned(),
        example: None,
    })
}

/// A conversation, from its last response backwards.
struct Chain<'s> {
    shelf: &'s Shelf,
    last: String,
}

impl<'s> Chain<'s> {
    fn of(shelf: &'s Shelf, last: String) -> Self {
        Self { shelf, last }
    }

    /// What was said up to and with the last response.
    ///
    /// # Errors
    /// When one of the responses is not kept any more, or all together have more bytes than
    /// `bytes_max`.
    async fn said(self, bytes_max: usize) -> Result<Said, HttpError> {
        let mut turns: Vec<Vec<Value>> = Vec::new();
        let mut sensitivity = Sensitivity::Public;
        let (mut next, mut bytes) = (Some(self.last), 0);
        while let Some(id) = next {
            let kept = self.shelf.find(KeptKind::Response, &id).await?;
            let kept = kept.ok_or_else(|| HttpError::no_previous(&id, turns.is_empty()))?;
            bytes += kept.body.len();
            if bytes > bytes_max {
                return Err(HttpError::conversation_too_long(bytes_max));
            }
            let turn = Turn::read(&kept)?;
            let mut items = turn.input;
            items.extend(output_items(&turn.response));
            turns.push(items);
            sensitivity = sensitivity.max(turn.sensitivity);
            next = turn.previous;
        }
        Ok(Said {
            items: turns.into_iter().rev().flatten().collect(),
            sensitivity,
        })
    }
}

/// A conversation so far.
struct Said {
    /// In the order in which it was said.
    items: Vec<Value>,
    /// That of its most sensitive turn.
    sensitivity: Sensitivity,
}

/// A response as it is kept.
struct Turn {
    response: Value,
    input: Vec<Value>,
    previous: Option<String>,
    /// What the task under which it was answered says of its texts.
    sensitivity: Sensitivity,
}

impl Turn {
    fn read(kept: &Kept) -> Result<Self, HttpError> {
        let mut body: Value =
            serde_json::from_str(&kept.body).map_err(|_no_json| HttpError::internal())?;
        let input = match body["input"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        let sensitivity = body["sensitivity"]
            .as_str()
            .and_then(Sensitivity::from_name);
        Ok(Self {
            input,
            // Versions that did not write it down kept nothing that is more than confidential.
            sensitivity: sensitivity.unwrap_or(Sensitivity::Confidential),
            previous: body["previous"].as_str().map(str::to_owned),
            response: body["response"].take(),
        })
    }
}

/// A response that is kept.
///
/// # Errors
/// 404 when none of this name is kept for this key.
pub(super) async fn one(
    shelf: Shelf,
    Path(id): Path<String>,
    request: Request,
) -> Result<impl IntoResponse, HttpError> {
    if google::query(&request, "stream") == Some("true") {
        let rule = "a response that is kept is given whole; leave it out";
        return Err(HttpError::wrong_query("stream", rule));
    }
    let kept = shelf.get(KeptKind::Response, &id).await?;
    Ok(json(Turn::read(&kept)?.response.to_string()))
}

/// Deletes a response.
///
/// # Errors
/// As [`one`].
pub(super) async fn delete(
    shelf: Shelf,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    shelf.delete(KeptKind::Response, &id).await?;
    Ok(json(encode_deleted(&id)))
}

/// What a response was an answer to: the items of the whole conversation before it.
///
/// # Errors
/// As [`one`], and when the query is wrong.
pub(super) async fn items(
    shelf: Shelf,
    Path(id): Path<String>,
    request: Request,
) -> Result<impl IntoResponse, HttpError> {
    let asked = Asked::of(&request, ["after", "before"], (20, 100))?;
    let kept = shelf.get(KeptKind::Response, &id).await?;
    let turn = Turn::read(&kept)?;
    let mut items = match turn.previous {
        Some(previous) => Chain::of(&shelf, previous).said(usize::MAX).await?.items,
        None => Vec::new(),
    };
    items.extend(turn.input);
    if asked.newest_first {
        items.reverse();
    }
    let place = |id: &String| items.iter().position(|item| item["id"] == *id.as_str());
    let first = asked
        .after
        .as_ref()
        .map_or(Some(0), |id| Some(place(id)? + 1));
    let end = asked.before.as_ref().map_or(Some(items.len()), place);
    let range = first.unwrap_or(items.len())..end.unwrap_or(0);
    let part = items.get(range).unwrap_or_default().to_vec();
    Ok(json(Page::cut(part, asked.limit).encode()))
}
