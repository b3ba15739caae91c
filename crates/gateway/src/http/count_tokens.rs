//! `POST /v1/messages/count_tokens`: how many tokens a request would have.

use axum::response::{IntoResponse, Response};
use domain::PromptTokens;
use wire::anthropic::messages::{encode_count, parse_count_request};

use super::call::Call;
use super::error::HttpError;
use super::models::json;
use super::{body, target};
use crate::answer::Request;
use crate::app::App;
use crate::ready::ReadyTask;
use crate::tier::Tier;
use crate::tier::remote::estimated_prompt_tokens;

/// Counts them as [`tokens`] does.
///
/// # Errors
/// As of a request for the answer.
///
/// # Cancel safety
/// When dropped midway nothing is left of it.
pub(super) async fn count(
    call: Call,
    request: axum::extract::Request,
) -> Result<Response, HttpError> {
    let body = body::read(&call.server, request).await?;
    let asked = parse_count_request(&body)?;
    let (task, request) = target::resolve(&call.app, asked, (&call.exchange.id, &call.tenant))?;
    let tokens = tokens(&call.app, &task, &request).await?;
    Ok(json(encode_count(tokens)).into_response())
}

/// The tokens of a request's prompt: to the model of the tier that is asked first, where that is a
/// local one, and otherwise an estimate, because nothing leaves for it. It costs nothing.
///
/// # Errors
/// When the local model can't be put such a prompt.
///
/// # Cancel safety
/// When dropped midway nothing is left of it.
pub(super) async fn tokens(
    app: &App,
    task: &ReadyTask,
    request: &Request,
) -> Result<PromptTokens, HttpError> {
    let first = task.rules.cascade.rungs().first();
    let Some(Tier::Local(local)) = first.and_then(|rung| app.tiers.get(&rung.tier)) else {
        return Ok(estimated_prompt_tokens(&request.prompt));
    };
    let asked = (&request.prompt, &request.generation.options);
    let counted = local.count(&request.tenant, asked).await;
    counted.map_err(|it| HttpError::failed(&it.reason, it.fault, it.retryable))
}
