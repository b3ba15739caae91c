//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use domain::{Completion, TierName};
use ledger::RequestId;
use wire::chat::{AnswerHead, Delivery};
use wire::openai::chat::{encode_completion, parse_request};

use super::admission::Place;
use super::error::HttpError;
use super::exchange::Exchange;
use super::models::json;
use super::server::{Server, now_s};
use super::stream::Stream;
use super::work::{Pending, Work};
use super::{body, target};
use crate::answer::{Answered, End};
use crate::app::App;

/// Answers a request, whole or streamed.
///
/// # Errors
/// When the request is wrong, or there is no answer to it.
///
/// # Cancel safety
/// When dropped midway, as happens when the client hangs up, the work on it ends.
pub(super) async fn complete(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    Extension(exchange): Extension<Exchange>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Result<Response, HttpError> {
    let body = body::read(&server, request).await?;
    let asked = parse_request(&body)?;
    drop(body);
    let (delivery, usage) = (asked.delivery, asked.stream_usage);
    let (task, request) = target::resolve(&app, asked, &exchange.id)?;
    let work = Work {
        app,
        task,
        request,
        exchange: exchange.clone(),
    };
    let pending = work.start(&server, delivery, place);
    match delivery {
        Delivery::Whole => whole(pending, exchange).await,
        Delivery::Streamed => Ok(Stream::new(pending, exchange, usage).respond().await),
    }
}

async fn whole(mut pending: Pending, exchange: Exchange) -> Result<Response, HttpError> {
    let answered = pending.done().await?;
    let mut response = match accepted(answered, &exchange.id) {
        Ok((tier, completion)) => {
            json(encode_completion(&head(&exchange.id, &tier), &completion)).into_response()
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
pub(super) fn head(id: &RequestId, tier: &TierName) -> AnswerHead {
    AnswerHead {
        id: format!("chatcmpl-{id}"),
        created_s: now_s(),
        model: format!("tier:{tier}"),
    }
}
