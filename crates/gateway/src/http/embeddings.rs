//! Vectors of texts: `POST /v1/embeddings` and, by way of [`super::google`], Google's.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use wire::chat::Delivery;
use wire::embedding::{EmbeddingRequest, Embeddings};
use wire::openai::embeddings::{encode_embeddings, parse_request};

use super::call::Call;
use super::error::HttpError;
use super::work::{Wanted, Work};
use super::{body, chat, models, target};
use crate::answer::Texts;

/// Answers a request of OpenAI's.
///
/// # Errors
/// When the request is wrong, or there are no vectors for it.
///
/// # Cancel safety
/// As with [`chat::complete`].
pub(super) async fn create(call: Call, request: Request) -> Result<Response, HttpError> {
    let body = body::read(&call.server, request).await?;
    let asked = parse_request(&body)?;
    drop(body);
    let encoding = asked.encoding;
    answer(call, asked, |model, vectors| {
        encode_embeddings(model, vectors, encoding)
    })
    .await
}

/// Answers what was asked, in the words that a protocol has for a model's vectors.
///
/// # Errors
/// As [`create`].
///
/// # Cancel safety
/// As with [`create`].
pub(super) async fn answer(
    call: Call,
    asked: EmbeddingRequest,
    encode: impl FnOnce(&str, &Embeddings) -> String,
) -> Result<Response, HttpError> {
    let task = target::embedder(&call.app, &asked)?;
    let exchange = call.exchange;
    let texts = Texts {
        id: exchange.id.clone(),
        tenant: call.tenant,
        asked,
        item: None,
    };
    let work = Work {
        app: call.app,
        task,
        wanted: Wanted::Vectors(texts),
        exchange: exchange.clone(),
    };
    let mut pending = work.start(&call.server, Delivery::Whole, call.place);
    let mut answered = pending.done().await?;
    let vectors = answered.vectors.take();
    let body = chat::accepted(answered, &exchange.id).and_then(|(tier, _)| {
        let vectors = vectors.ok_or_else(HttpError::internal)?;
        Ok(encode(&format!("tier:{tier}"), &vectors))
    });
    let mut response = match body {
        Ok(body) => models::json(body).into_response(),
        Err(error) => error.into_response(),
    };
    if let Some(facts) = exchange.facts() {
        facts.tell(response.headers_mut());
    }
    Ok(response)
}
