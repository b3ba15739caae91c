//! Google's protocol: `POST /v1beta/models/MODEL:METHOD`, and its form of the list of models.

use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use wire::chat::Form;
use wire::google::embed;
use wire::google::generate::{Framing, encode_count, parse_count_request, parse_request};
use wire::google::path::{Method, Target};

use super::call::Call;
use super::error::HttpError;
use super::{body, chat, count_tokens, embeddings, models, target};
use crate::app::App;

/// What is asked of a model, told by the end of the path.
///
/// # Errors
/// When there is no such method, the request is wrong, or there is no answer to it.
///
/// # Cancel safety
/// As with [`chat::complete`].
pub(super) async fn ask(
    call: Call,
    Path(end): Path<String>,
    request: Request,
) -> Result<Response, HttpError> {
    let target = Target::parse(&end).ok_or_else(HttpError::unknown_path)?;
    let wants_events = query(&request, "alt") == Some("sse");
    match target.method {
        Method::GenerateContent | Method::StreamGenerateContent => {
            let body = body::read(&call.server, request).await?;
            let asked = parse_request(&target, &body)?;
            drop(body);
            let framing = match wants_events {
                true => Framing::Events,
                false => Framing::Array,
            };
            chat::answer(call, asked, Form::Google(framing).into()).await
        }
        Method::CountTokens => {
            let body = body::read(&call.server, request).await?;
            let asked = parse_count_request(&target, &body)?;
            let (task, request) =
                target::resolve(&call.app, asked, (&call.exchange.id, &call.tenant))?;
            let tokens = count_tokens::tokens(&call.app, &task, &request).await?;
            Ok(models::json(encode_count(tokens)).into_response())
        }
        Method::EmbedContent => {
            let body = body::read(&call.server, request).await?;
            let asked = embed::parse_request(&target, &body)?;
            embeddings::answer(call, asked, |_, one| embed::encode_embedding(one)).await
        }
        Method::BatchEmbedContents => {
            let body = body::read(&call.server, request).await?;
            let asked = embed::parse_batch_request(&target, &body)?;
            embeddings::answer(call, asked, |_, all| embed::encode_embeddings(all)).await
        }
        // Clients of AI Studio know no such method.
        Method::Predict => Err(HttpError::unknown_path()),
    }
}

/// A value of the request's query; the first of its name, as it stands there.
pub(super) fn query<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let mut pairs = request.uri().query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The list of these models as JSON.
pub(super) fn encode_models(app: &App, names: &[String]) -> String {
    let models: Vec<Value> = names.iter().map(|name| entry(app, name)).collect();
    json!({ "models": models }).to_string()
}

/// One model as JSON.
pub(super) fn encode_model(app: &App, name: &str) -> String {
    entry(app, name).to_string()
}

fn entry(app: &App, name: &str) -> Value {
    json!({
        "name": format!("models/{name}"),
        "displayName": name,
        "supportedGenerationMethods": target::google_methods(app, name),
    })
}
