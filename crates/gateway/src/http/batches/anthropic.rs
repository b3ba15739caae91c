//! Anthropic's batches: `/v1/messages/batches`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use ledger::KeptKind;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::state::{Batch, Dialect, Status};
use crate::app::App;
use crate::clock::rfc3339;
use crate::http::body;
use crate::http::error::HttpError;
use crate::http::file_folder::FileFolder;
use crate::http::files::{self, not_written, send};
use crate::http::keep::{Asked, Shelf};
use crate::http::models::json as body_of;
use crate::http::server::Server;

/// The surface that each line is for.
const ENDPOINT: &str = "/v1/messages";

/// Begins a batch of the requests in the body.
///
/// # Errors
/// When the body is wrong, or there is no room for it.
///
/// # Cancel safety
/// When dropped midway the batch is begun or not.
pub(in crate::http) async fn create(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    shelf: Shelf,
    request: Request,
) -> Result<impl IntoResponse, HttpError> {
    let body = body::read(&server, request).await?;
    let lines = lines(&body)?;
    let folder = FileFolder::of(&app.config);
    let id = files::new_id();
    let mut file = folder.create(&id).map_err(|error| not_written(&error))?;
    let written = file.take(lines).await;
    written.map_err(|error| not_written(&error))?;
    let file = (format!("{id}.jsonl"), file);
    files::keep((&shelf, &folder), &id, file).await?;
    let name = format!("msgbatch_{}", Uuid::now_v7().simple());
    let batch = Batch::new(
        shelf.owner(),
        (name, Dialect::Anthropic),
        (ENDPOINT, id),
        Value::Null,
    );
    let begun = server
        .batches
        .begin((&server, &app), &batch, shelf.keeping());
    begun.await?;
    Ok(body_of(object(&batch).to_string()))
}

/// The requests of a body, one a line.
fn lines(body: &[u8]) -> Result<Vec<u8>, HttpError> {
    let rule = "send requests, an array of objects with a custom_id and params";
    let wrong = || HttpError::wrong_field("requests", rule);
    let mut asked: Map<String, Value> = serde_json::from_slice(body).map_err(|_| wrong())?;
    let Some(Value::Array(requests)) = asked.remove("requests") else {
        return Err(wrong());
    };
    if requests.is_empty() {
        return Err(wrong());
    }
    let mut names = std::collections::HashSet::new();
    let mut lines = String::new();
    for request in &requests {
        let name = request.get("custom_id").and_then(Value::as_str);
        let name = name.filter(|name| !name.is_empty()).ok_or_else(wrong)?;
        if !request.get("params").is_some_and(Value::is_object) {
            return Err(wrong());
        }
        if !names.insert(name) {
            let rule = "two requests have the same custom_id";
            return Err(HttpError::wrong_field("requests", rule));
        }
        lines.push_str(&request.to_string());
        lines.push('\n');
    }
    Ok(lines.into_bytes())
}

/// One batch.
///
/// # Errors
/// 404 when the key has none of this name.
pub(in crate::http) async fn one(
    State(server): State<Arc<Server>>,
    shelf: Shelf,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let batch = server
        .batches
        .find((&shelf, &id), Dialect::Anthropic)
        .await?;
    Ok(body_of(object(&batch).to_string()))
}

/// The batches of the key, the newest first.
///
/// # Errors
/// When the query is wrong.
pub(in crate::http) async fn list(
    State(server): State<Arc<Server>>,
    shelf: Shelf,
    request: Request,
) -> Result<impl IntoResponse, HttpError> {
    let asked = Asked::of(&request, ["after_id", "before_id"], (20, 1_000))?;
    let page = server
        .batches
        .page((&shelf, &asked), Dialect::Anthropic)
        .await?;
    Ok(body_of(page.map(object).encode()))
}

/// Ends a batch before its time; what is done stays done.
///
/// # Errors
/// 404 when the key has none of this name.
pub(in crate::http) async fn cancel(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    shelf: Shelf,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let batch = server
        .batches
        .cancel(&app, (&shelf, &id), Dialect::Anthropic);
    let batch = batch.await?;
    Ok(body_of(object(&batch).to_string()))
}

/// The results of a batch that has ended.
///
/// # Errors
/// 404 when the key has none of this name, 400 when it has not ended.
pub(in crate::http) async fn results(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    shelf: Shelf,
    Path(id): Path<String>,
) -> Result<Response, HttpError> {
    let batch = server
        .batches
        .find((&shelf, &id), Dialect::Anthropic)
        .await?;
    match batch.output {
        Some(file) => {
            shelf.get(KeptKind::File, &file).await?;
            send(&app, &file, "application/x-jsonl").await
        }
        None => Err(HttpError::batch_in_work()),
    }
}

/// Deletes a batch that has ended, with its requests and results.
///
/// # Errors
/// 404 when the key has none of this name, 400 when it has not ended.
pub(in crate::http) async fn delete(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    shelf: Shelf,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let batch = server
        .batches
        .find((&shelf, &id), Dialect::Anthropic)
        .await?;
    if !batch.status.has_ended() || !batch.is_cleared {
        return Err(HttpError::batch_in_work());
    }
    let folder = FileFolder::of(&app.config);
    for file in [Some(batch.input), batch.output].into_iter().flatten() {
        let removed = folder.remove(&file).await;
        removed.map_err(|error| not_written(&error))?;
        // Its time may be over.
        if shelf.find(KeptKind::File, &file).await?.is_some() {
            shelf.delete(KeptKind::File, &file).await?;
        }
    }
    shelf.delete(KeptKind::Batch, &id).await?;
    let deleted = json!({"id": id, "type": "message_batch_deleted"});
    Ok(body_of(deleted.to_string()))
}

/// A batch as Anthropic describes it.
fn object(batch: &Batch) -> Value {
    let Batch {
        id,
        status,
        moments,
        counts,
        ..
    } = batch;
    let processing_status = match status {
        _ if status.has_ended() => "ended",
        Status::Cancelling => "canceling",
        _ => "in_progress",
    };
    let done = counts.answered + counts.failed + counts.cancelled + counts.expired;
    let results = format!("/v1/messages/batches/{id}/results");
    json!({
        "id": id,
        "type": "message_batch",
        "processing_status": processing_status,
        "request_counts": {
            "processing": counts.lines.saturating_sub(done),
            "succeeded": counts.answered,
            "errored": counts.failed,
            "canceled": counts.cancelled,
            "expired": counts.expired,
        },
        "created_at": rfc3339(moments.created),
        "expires_at": rfc3339(moments.deadline),
        "ended_at": moments.ended.map(rfc3339),
        "cancel_initiated_at": moments.cancelling.map(rfc3339),
        "archived_at": null,
        "results_url": batch.output.as_ref().map(|_| results),
    })
}
