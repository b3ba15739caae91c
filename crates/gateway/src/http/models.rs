//! `GET /v1/models`: the names that a request's `model` may have.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use wire::openai::models::{ModelEntry, encode_model, encode_models};

use super::error::HttpError;
use super::server::Server;
use super::target;
use crate::app::App;

/// All of them.
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
) -> impl IntoResponse {
    let names = target::names(&app).into_iter();
    let entries: Vec<ModelEntry> = names.map(|name| entry(&server, name)).collect();
    json(encode_models(&entries))
}

/// One of them.
///
/// # Errors
/// 404 when there is none of this name.
pub(super) async fn one(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let found = target::names(&app).into_iter().find(|name| *name == id);
    let name = found.ok_or_else(|| target::unknown(&app, &id))?;
    Ok(json(encode_model(&entry(&server, name))))
}

fn entry(server: &Server, id: String) -> ModelEntry {
    ModelEntry {
        id,
        created_s: server.started_s,
        owned_by: "tiergate".to_owned(),
    }
}

/// A body of JSON.
pub(super) fn json(body: String) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], body)
}
