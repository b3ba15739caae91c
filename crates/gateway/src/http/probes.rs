//! What machines ask the server about itself.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::error::HttpError;
use super::server::Server;
use crate::app::App;
use crate::tier::Tier;

/// `GET /healthz`: the program lives.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// `GET /readyz`: requests will be answered.
///
/// # Errors
/// 503 with what it is busy with until ledger, tiers and tasks are ready, and while a tier's engine
/// is down.
pub(super) async fn ready(State(server): State<Arc<Server>>) -> Result<&'static str, HttpError> {
    let app = server.app()?;
    let mut tiers = app.tiers.iter();
    match tiers.find_map(|(name, tier)| Some((name, tier.trouble()?))) {
        Some((name, trouble)) => Err(HttpError::not_ready(&format!("{trouble}: tier {name}"))),
        None => Ok("ready\n"),
    }
}

/// `GET /metrics`, in the OpenMetrics text format.
pub(super) async fn metrics(Extension(app): Extension<Arc<App>>) -> impl IntoResponse {
    for (name, tier) in &app.tiers {
        if let Tier::Local(local) = tier {
            let load = local.load().await;
            app.metrics
                .engine(name.as_str(), load.as_ref(), local.restarts());
        }
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], app.metrics.page())
}
