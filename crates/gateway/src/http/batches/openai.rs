//! OpenAI's batches: `/v1/batches`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;
use ledger::KeptKind;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::state::{Batch, Dialect, Status};
use super::understood::ENDPOINTS;
use crate::app::App;
use crate::http::body;
use crate::http::error::HttpError;
use crate::http::files::{BATCH, about};
use crate::http::keep::{Asked, Shelf};
use crate::http::models::json as body_of;
use crate::http::server::Server;

/// The one window that there is.
const WINDOW: &str = "24h";

/// Begins a batch.
///
/// # Errors
/// When the request is wrong, or names no file of the key.
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
    let asked: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|_| HttpError::broken_form("the body is no JSON object"))?;
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
    let endpoint = text("endpoint");
    if !ENDPOINTS.contains(&endpoint) {
        let rule = format!("the endpoint is one of {}", ENDPOINTS.join(", "));
        return Err(HttpError::wrong_field("endpoint", &rule));
    }
    if text("completion_window") != WINDOW {
        let rule = "the completion_window is 24h";
        return Err(HttpError::wrong_field("completion_window", rule));
    }
    let input = shelf.find(KeptKind::File, text("input_file_id")).await?;
    let rule = "give the id of a file of this key with the purpose batch";
    let input = input.ok_or_else(|| HttpError::wrong_field("input_file_id", rule))?;
    if about(&input)?.purpose != BATCH {
        return Err(HttpError::wrong_field("input_file_id", rule));
    }
    let metadata = asked.get("metadata").cloned().unwrap_or(Value::Null);
    if !metadata.is_object() && !metadata.is_null() {
        return Err(HttpError::wrong_field("metadata", "metadata is an object"));
    }
    let id = format!("batch_{}", Uuid::now_v7().simple());
    let batch = Batch::new(
        shelf.owner(),
        (id, Dialect::OpenAi),
        (endpoint, input.id),
        metadata,
    );
    let begun = server
        .batches
        .begin((&server, &app), &batch, shelf.keeping());
    begun.await?;
    Ok(body_of(object(&batch).to_string()))
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
    let batch = server.batches.find((&shelf, &id), Dialect::OpenAi).await?;
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
    let asked = Asked::of(&request, ["after", "before"], (20, 100))?;
    let page = server
        .batches
        .page((&shelf, &asked), Dialect::OpenAi)
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
    let batch = server.batches.cancel(&app, (&shelf, &id), Dialect::OpenAi);
    let batch = batch.await?;
    Ok(body_of(object(&batch).to_string()))
}

/// A batch as OpenAI describes it.
fn object(batch: &Batch) -> Value {
    let Batch {
        status,
        moments,
        counts,
        ..
    } = batch;
    let ended_as = |wanted: Status| moments.ended.filter(|_| *status == wanted);
    let faults = batch.faults.iter().map(|fault| {
        json!({"code": fault.code, "message": fault.message, "param": null, "line": fault.line})
    });
    let faults: Vec<Value> = faults.collect();
    let errors = (!faults.is_empty()).then(|| json!({"object": "list", "data": faults}));
    let mut object = json!({
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": errors,
        "input_file_id": batch.input,
        "completion_window": WINDOW,
        "status": status,
        "output_file_id": batch.output,
        "error_file_id": batch.errors,
        "created_at": moments.created,
        "in_progress_at": moments.in_progress,
        "expires_at": moments.deadline,
        "finalizing_at": moments.finalizing,
        "completed_at": ended_as(Status::Completed),
        "failed_at": ended_as(Status::Failed),
        "expired_at": ended_as(Status::Expired),
        "cancelling_at": moments.cancelling,
        "cancelled_at": ended_as(Status::Cancelled),
        "request_counts": {
            "total": counts.lines,
            "completed": counts.answered,
            "failed": counts.failed + counts.cancelled + counts.expired,
        },
        "metadata": batch.metadata,
    });
    // By OpenAI's description what is not there is left out.
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}
