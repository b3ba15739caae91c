//! `GET /v1/models`: the names that a request's `model` may have, in the client's protocol.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use wire::{anthropic, openai};

use super::error::HttpError;
use super::google;
use super::server::Server;
use super::target;
use super::vendor::Vendor;
use crate::app::App;
use crate::clock;

/// All of them.
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    Extension(vendor): Extension<Vendor>,
) -> impl IntoResponse {
    let names = target::names(&app);
    json(match vendor {
        Vendor::Google => google::encode_models(&app, &names),
        Vendor::OpenAi => {
            let names = names.into_iter();
            let entries: Vec<_> = names.map(|name| openai_entry(&server, name)).collect();
            openai::models::encode_models(&entries)
        }
        Vendor::Anthropic => {
            let names = names.into_iter();
            let entries: Vec<_> = names.map(|name| anthropic_entry(&server, name)).collect();
            anthropic::models::encode_models(&entries)
        }
    })
}

/// One of them.
///
/// # Errors
/// 404 when there is none of this name.
pub(super) async fn one(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    Extension(vendor): Extension<Vendor>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let found = target::names(&app).into_iter().find(|name| *name == id);
    let name = found.ok_or_else(|| target::unknown(&app, &id))?;
    Ok(json(match vendor {
        Vendor::Google => google::encode_model(&app, &name),
        Vendor::OpenAi => openai::models::encode_model(&openai_entry(&server, name)),
        Vendor::Anthropic => anthropic::models::encode_model(&anthropic_entry(&server, name)),
    }))
}

fn openai_entry(server: &Server, id: String) -> openai::models::ModelEntry {
    openai::models::ModelEntry {
        id,
        created_s: server.started_s,
        owned_by: "tiergate".to_owned(),
    }
}

fn anthropic_entry(server: &Server, id: String) -> anthropic::models::ModelEntry {
    anthropic::models::ModelEntry {
        display_name: id.clone(),
        created_at: clock::rfc3339(server.started_s),
        id,
    }
}

/// A body of JSON.
pub(super) fn json(body: String) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], body)
}
