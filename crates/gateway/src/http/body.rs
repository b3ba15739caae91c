//! Reading a request's body within its limits.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use futures_util::StreamExt as _;

use super::error::HttpError;
use super::server::Server;

/// The whole body of a request that says it is JSON. That it must say so keeps web pages from
/// using a server on the reader's own machine: a browser asks before it sends JSON elsewhere.
///
/// # Errors
/// When it is not said to be JSON, is too large or too slow, or breaks off.
///
/// # Cancel safety
/// When dropped midway, what was read is lost with the request.
pub(super) async fn read(server: &Server, request: Request) -> Result<Vec<u8>, HttpError> {
    let headers = request.headers();
    if !is_json(headers) {
        return Err(HttpError::not_json());
    }
    let bytes_max = server.body_bytes_max;
    if declared_bytes(headers).is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(HttpError::body_too_large(bytes_max));
    }
    let whole = collect(request.into_body(), bytes_max);
    let in_time = tokio::time::timeout(server.body_timeout, whole).await;
    in_time.unwrap_or_else(|_elapsed| Err(HttpError::body_too_slow()))
}

async fn collect(body: Body, bytes_max: usize) -> Result<Vec<u8>, HttpError> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_broken| HttpError::body_broken())?;
        if whole.len() + chunk.len() > bytes_max {
            return Err(HttpError::body_too_large(bytes_max));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
