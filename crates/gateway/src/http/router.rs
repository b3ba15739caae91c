//! Every route there is, and the layers before them.

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::batches::{anthropic, openai};
use super::error::HttpError;
use super::server::Server;
use super::surface::{self, Read};
use super::{
    admission, chat, count_tokens, decisions, embeddings, exchange, files, google, models, probes,
    responses,
};

/// The routes with their layers. A layer stands above those that are added before it.
pub(super) fn router(server: &Arc<Server>) -> Router {
    let layer = |server: &Arc<Server>| Arc::clone(server);
    let answering = Router::new()
        .route("/v1/chat/completions", speaks(surface::chat_completions))
        .route("/v1/completions", speaks(surface::completions))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/responses", post(responses::create))
        .route("/v1/decisions", post(decisions::decide))
        .route("/v1/messages", speaks(surface::messages))
        .route("/v1/batches", get(openai::list).post(openai::create))
        .route(
            "/v1/messages/batches",
            get(anthropic::list).post(anthropic::create),
        )
        .route("/v1/messages/count_tokens", post(count_tokens::count))
        // Google's clients speak of either version.
        .route("/v1beta/models/{id}", post(google::ask))
        .route("/v1/models/{id}", post(google::ask))
        .route_layer(from_fn_with_state(layer(server), admission::at_work));
    let keeping = Router::new()
        .route(
            "/v1/responses/{id}",
            get(responses::one).delete(responses::delete),
        )
        .route("/v1/responses/{id}/input_items", get(responses::items))
        .route("/v1/files", get(files::list).post(files::upload))
        .route("/v1/files/{id}", get(files::one).delete(files::delete))
        .route("/v1/files/{id}/content", get(files::content))
        .route("/v1/batches/{id}", get(openai::one))
        .route("/v1/batches/{id}/cancel", post(openai::cancel))
        .route(
            "/v1/messages/batches/{id}",
            get(anthropic::one).delete(anthropic::delete),
        )
        .route("/v1/messages/batches/{id}/cancel", post(anthropic::cancel))
        .route("/v1/messages/batches/{id}/results", get(anthropic::results))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::one))
        .route("/v1beta/models", get(models::list))
        .route("/v1beta/models/{id}", get(models::one))
        .route("/metrics", get(probes::metrics))
        .route_layer(from_fn_with_state(layer(server), admission::known));
    Router::new()
        .merge(answering)
        .merge(keeping)
        // What probes the server has no key, and must get an answer when every place is taken.
        .route("/healthz", get(probes::alive))
        .route("/readyz", get(probes::ready))
        .method_not_allowed_fallback(async || HttpError::wrong_method())
        .fallback(async || HttpError::unknown_path())
        // Whatever is answered, refusals too, has an id and a line in the log.
        .layer(from_fn_with_state(layer(server), exchange::layer))
        .with_state(layer(server))
}

/// A route on which a conversation is had in this protocol.
fn speaks(read: Read) -> MethodRouter<Arc<Server>> {
    post(chat::complete).layer(Extension(read))
}
