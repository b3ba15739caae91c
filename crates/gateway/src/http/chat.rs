//! A conversation in any of the protocols: `POST /v1/chat/completions`,
//! `/v1/responses`, `/v1/messages` and, by way of [`super::google`], Google's.

use axum::Extension;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use domain::{Completion, TierName};
use ledger::RequestId;
use wire::chat::{AnswerHead, ChatRequest, Delivery, Form};

use super::call::Call;
use super::error::HttpError;
use super::exchange::Exchange;
use super::models::json;
use super::server::now_s;
use super::stream::Stream;
use super::surface::Read;
use super::work::{Pending, Work};
use super::{body, target};
use crate::answer::{Answered, End};

/// Answers a request of the surface whose route this is.
///
/// # Errors
/// When the request is wrong, or there is no answer to it.
///
/// # Cancel safety
/// When dropped midway, as happens when the client hangs up, the work on it ends.
pub(super) async fn complete(
    call: Call,
    Extension(read): Extension<Read>,
    request: Request,
) -> Result<Response, HttpError> {
    let body = body::read(&call.server, request).await?;
    let (asked, form) = read(&body)?;
    drop(body);
    answer(call, asked, form).await
}

/// Answers what was asked, whole or streamed.
///
/// # Errors
/// As [`complete`].
///
/// # Cancel safety
/// As with [`complete`].
pub(super) async fn answer(
    call: Call,
    asked: ChatRequest,
    form: Form,
) -> Result<Response, HttpError> {
    let Call {
        server,
        app,
        exchange,
        place,
    } = call;
    let delivery = asked.delivery;
    let (task, request) = target::resolve(&app, asked, &exchange.id)?;
    let work = Work {
        app,
        task,
        request,
        exchange: exchange.clone(),
    };
    let pending = work.start(&server, delivery, place);
    match delivery {
        Delivery::Whole => whole(pending, exchange, &form).await,
        Delivery::Streamed => Ok(Stream::new(pending, exchange, form).respond().await),
    }
}

async fn whole(
    mut pending: Pending,
    exchange: Exchange,
    form: &Form,
) -> Result<Response, HttpError> {
    let answered = pending.done().await?;
    let mut response = match accepted(answered, &exchange.id) {
        Ok((tier, completion)) => {
            let head = head(form, &exchange.id, tier.as_str());
            json(form.encode_completion(&head, &completion)).into_response()
        }
        Err(error) => error.into_response(),
    };
    if let Some(facts) = exchange.facts() {
        facts.tell(response.headers_mut());
    }
    Ok(response)
}

/// The answer and who gave it.
///
/// # Errors
/// When a person decides, or no tier could answer.
pub(super) fn accepted(
    answered: Answered,
    id: &RequestId,
) -> Result<(TierName, Completion), HttpError> {
    match answered.end {
        End::Accepted {
            tier, completion, ..
        } => Ok((tier, completion)),
        End::Review { .. } => Err(HttpError::needs_review(id)),
        End::Failed {
            reason,
            retryable,
            fault,
        } => Err(HttpError::failed(&reason, fault, retryable)),
    }
}

/// What an answer says of itself: its model is the tier that gave it, by the name under which
/// the tier can be asked.
pub(super) fn head(form: &Form, id: &RequestId, tier: &str) -> AnswerHead {
    AnswerHead {
        id: format!("{}{id}", form.id_prefix()),
        created_s: now_s(),
        model: format!("tier:{tier}"),
    }
}
