//! `POST /v1/messages/count_tokens`: how many tokens a request would have.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use wire::anthropic::messages::{encode_count, parse_count_request};

use super::call::Call;
use super::error::HttpError;
use super::models::json;
use super::{body, target};
use crate::tier::remote::estimated_prompt_tokens;

/// Estimates them: each tier has a tokenizer of its own, and which one answers is decided with
/// the answer. Nothing leaves for it, and it costs nothing.
///
/// # Errors
/// As of a request for the answer.
///
/// # Cancel safety
/// When dropped midway nothing is left of it.
pub(super) async fn count(call: Call, request: Request) -> Result<Response, HttpError> {
    let body = body::read(&call.server, request).await?;
    let asked = parse_count_request(&body)?;
    let (_, request) = target::resolve(&call.app, asked, &call.exchange.id)?;
    let tokens = estimated_prompt_tokens(&request.prompt);
    Ok(json(encode_count(tokens)).into_response())
}
