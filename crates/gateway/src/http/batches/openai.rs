//! OpenAI's batches: `/v1/batches`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;
use ledger::KeptKind;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::state::{Batch, Counts, Dialect, Moments, Status};
use super::work::ENDPOINTS;
use crate::app::App;
use crate::http::error::HttpError;
use crate::http::files::{BATCH, about};
use crate::http::keep::{Asked, Owner, Page, Shelf};
use crate::http::models::json as body_of;
use crate::http::server::{Server, now_s};
use crate::http::{body, files};

/// The one window that there is.
const WINDOW: &str = "24h";
const WINDOW_S: u64 = 24 * 60 * 60;

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
    Extension(owner): Extension<Owner>,
    request: Request,
) -> Result<impl IntoResponse, HttpError> {
    let shelf = Shelf::open(&app, &owner)?;
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
    let batch = new(
        &shelf,
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

/// A batch that begins now.
pub(super) fn new(
    shelf: &Shelf,
    (id, dialect): (String, Dialect),
    (endpoint, input): (&str, String),
    metadata: Value,
) -> Batch {
    let created = now_s();
    Batch {
        id,
        owner: shelf.owner().to_owned(),
        dialect,
        endpoint: endpoint.to_owned(),
        input,
        metadata,
        status: Status::Validating,
        moments: Moments {
            created,
            deadline: created + WINDOW_S,
            ..Moments::default()
        },
        counts: Counts::default(),
        output: None,
        errors: None,
        faults: Vec::new(),
        is_cleared: false,
    }
}

/// The batch of this name and protocol.
///
/// # Errors
/// 404 when the key has none.
pub(super) async fn find(
    server: &Server,
    (shelf, id): (&Shelf, &str),
    dialect: Dialect,
) -> Result<Batch, HttpError> {
    let kept = shelf.get(KeptKind::Batch, id).await?;
    let batch = server.batches.view(&kept).await?;
    match batch.dialect == dialect {
        true => Ok(batch),
        false => Err(HttpError::not_kept("batch", id)),
    }
}

/// The batches of this protocol that a request's query asks for.
///
/// # Errors
/// When the ledger can't be read.
pub(super) async fn page(
    server: &Server,
    (shelf, asked): (&Shelf, &Asked),
    dialect: Dialect,
) -> Result<Page<Batch>, HttpError> {
    // Those of the other protocol are passed over, however many stand between.
    let (mut found, mut after) = (Vec::new(), asked.after.clone());
    loop {
        let next = Asked {
            after: after.take(),
            ..asked.clone()
        };
        let page = shelf.page(KeptKind::Batch, &next).await?;
        for kept in &page.items {
            let batch = server.batches.view(kept).await?;
            if batch.dialect == dialect {
                found.push(batch);
            }
        }
        after = page.items.last().map(|kept| kept.id.clone());
        if !page.has_more || found.len() > asked.limit {
            return Ok(Page::cut(found, asked.limit));
        }
    }
}

/// One batch.
///
/// # Errors
/// 404 when the key has none of this name.
pub(in crate::http) async fn one(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let shelf = Shelf::open(&app, &owner)?;
    let batch = find(&server, (&shelf, &id), Dialect::OpenAi).await?;
    Ok(body_of(object(&batch).to_string()))
}

/// The batches of the key, the newest first.
///
/// # Errors
/// When the query is wrong.
pub(in crate::http) async fn list(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    Extension(owner): Extension<Owner>,
    request: Request,
) -> Result<impl IntoResponse, HttpError> {
    let asked = Asked::of(&request, ["after", "before"], (20, 100))?;
    let shelf = Shelf::open(&app, &owner)?;
    let page = page(&server, (&shelf, &asked), Dialect::OpenAi).await?;
    Ok(body_of(page.map(object).encode()))
}

/// Ends a batch before its time; what is done stays done.
///
/// # Errors
/// 404 when the key has none of this name.
pub(in crate::http) async fn cancel(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let shelf = Shelf::open(&app, &owner)?;
    find(&server, (&shelf, &id), Dialect::OpenAi).await?;
    server.batches.cancel(&app, &id).await?;
    let batch = find(&server, (&shelf, &id), Dialect::OpenAi).await?;
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

/// The name of a new file of lines.
pub(super) fn new_file_id() -> String {
    files::new_id()
}
