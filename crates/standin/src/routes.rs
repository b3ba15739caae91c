//! The paths, and the way of a request: key, fault, reading, bill, answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domain::Usage;
use wire::chat::{AnswerHead, Delivery as Wanted};
use wire::google::path::Target;
use wire::openai::models::{ModelEntry, encode_models};

use crate::embedding::{self, embed};
use crate::fault::Fault;
use crate::refusal::{Refuser, json};
use crate::reply;
use crate::server::{Delivery, Server};
use crate::surface::{Asked, Surface};
use crate::tokens::prompt_tokens;
use crate::writing::complete;

/// The header that asks for a fault.
const FAULT: &str = "x-standin-fault";
/// The header that names a request.
const REQUEST_ID: &str = "x-client-request-id";
/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 10 << 20;

/// All paths of this server.
pub(crate) fn all(server: Arc<Server>) -> Router {
    let surface = |surface: Surface| {
        let handler = async move |State(server): State<Arc<Server>>, headers, body| {
            serve(server, surface, headers, body).await
        };
        post(handler)
    };
    let vertex = "/v1/projects/{project}/locations/{place}/publishers";
    Router::new()
        .route("/v1/chat/completions", surface(Surface::Chat))
        .route("/v1/completions", surface(Surface::Completions))
        .route("/v1/responses", surface(Surface::Responses))
        .route("/v1/embeddings", surface(Surface::Embeddings))
        .route("/v1/messages", surface(Surface::Messages))
        .route("/v1/messages/count_tokens", surface(Surface::CountMessages))
        // As AWS Bedrock has them.
        .route("/openai/v1/chat/completions", surface(Surface::Chat))
        .route("/openai/v1/responses", surface(Surface::Responses))
        .route("/anthropic/v1/messages", surface(Surface::Messages))
        .route("/v1beta/models/{target}", post(google))
        .route(
            &format!("{vertex}/google/models/{{target}}"),
            post(google_at_vertex),
        )
        .route(
            &format!("{vertex}/anthropic/models/{{target}}"),
            post(anthropic_at_vertex),
        )
        .route("/v1/models", get(models))
        .fallback(async || {
            Refuser::of_openai().error(StatusCode::NOT_FOUND, "not_found", "no such path")
        })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(server)
}

async fn models(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = authorise(&server, &headers, Refuser::of_openai()) {
        return *refusal;
    }
    let entry = ModelEntry {
        id: server.options.model.clone(),
        created_s: now_s(),
        owned_by: "standin".to_owned(),
    };
    json(StatusCode::OK, encode_models(&[entry]))
}

async fn google(
    State(server): State<Arc<Server>>,
    Path(target): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match Target::parse(&target) {
        Some(target) => {
            let is_events = query.is_some_and(|it| it.split('&').any(|it| it == "alt=sse"));
            let surface = Surface::google(target, is_events);
            serve(server, surface, headers, body).await
        }
        None => {
            let refuser = Refuser::of_google();
            refuser.error(StatusCode::NOT_FOUND, "not_found", "no such method")
        }
    }
}

async fn google_at_vertex(
    server: State<Arc<Server>>,
    Path((_project, _place, target)): Path<(String, String, String)>,
    query: RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    google(server, Path(target), query, headers, body).await
}

async fn anthropic_at_vertex(
    State(server): State<Arc<Server>>,
    Path((_project, _place, target)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match target.rsplit_once(':') {
        Some((model, "rawPredict" | "streamRawPredict")) => {
            let surface = Surface::RawPredict(model.to_owned());
            serve(server, surface, headers, body).await
        }
        _ => {
            let refuser = Refuser::of_google();
            refuser.error(StatusCode::NOT_FOUND, "not_found", "no such method")
        }
    }
}

async fn serve(server: Arc<Server>, surface: Surface, headers: HeaderMap, body: Bytes) -> Response {
    let number = server.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let refuser = surface.refuser();
    let checked = authorise(&server, &headers, refuser)
        .and_then(|()| fault(&server, &headers, number, refuser))
        .and_then(|fault| match &fault {
            Some(fault @ Fault::Status { .. }) => Err(Box::new(refuser.failure(fault))),
            _ => Ok((fault, surface.read(&server.options.model, &body)?)),
        });
    match checked {
        Ok((_, Asked::Count { prompt, encode })) => {
            json(StatusCode::OK, encode(prompt_tokens(&prompt)))
        }
        Ok((fault, asked)) => answer(server, &headers, asked, fault).await,
        Err(refusal) => *refusal,
    }
}

/// Bills and answers.
async fn answer(
    server: Arc<Server>,
    headers: &HeaderMap,
    asked: Asked,
    fault: Option<Fault>,
) -> Response {
    let refuser = asked.refuser();
    let (completion, usage) = match &asked {
        Asked::Chat { request, form } => {
            let completion = complete(&server.options, request, form.protocol());
            let usage = completion.usage.unwrap_or_default();
            (Some(completion), usage)
        }
        Asked::Embedding { request, .. } => {
            let prompt = embedding::tokens(request);
            let usage = Usage {
                prompt,
                ..Usage::default()
            };
            (None, usage)
        }
        Asked::Count { .. } => (None, Usage::default()),
    };
    let sequence = match bill(&server, headers, &usage) {
        Ok(sequence) => sequence,
        Err(cause) => return refuser.error(StatusCode::INTERNAL_SERVER_ERROR, "no_bill", &cause),
    };
    let (stop, pace) = (server.stop.clone(), server.options.pace);
    let head = |prefix: &str| AnswerHead {
        id: format!("{prefix}{sequence}"),
        created_s: now_s(),
        model: server.options.model.clone(),
    };
    let per_token = Duration::from_millis(pace.per_token_ms);
    let manner = (fault.as_ref(), per_token);
    let (steps, content_type) = match (&asked, completion) {
        (Asked::Chat { request, form }, Some(completion)) => {
            let head = head(form.id_prefix());
            match request.delivery {
                Wanted::Whole => {
                    let steps = reply::whole(form, &head, &completion, manner);
                    (steps, "application/json")
                }
                Wanted::Streamed => {
                    let steps = reply::streamed(form, head, &completion, manner);
                    (steps, reply::content_type(form))
                }
            }
        }
        (Asked::Embedding { request, encode }, _) => {
            let body = encode(request, &embed(&server.options.model, request));
            (reply::body_steps(&body, 1, manner), "application/json")
        }
        _ => return refuser.error(StatusCode::NOT_FOUND, "not_found", "no such answer"),
    };
    let delivery = Delivery::new(server, sequence);
    tokio::time::sleep(Duration::from_millis(pace.first_token_ms)).await;
    if fault == Some(Fault::StallBefore) {
        stop.cancelled().await;
        return refuser.error(StatusCode::SERVICE_UNAVAILABLE, "stopped", "it is stopping");
    }
    let body = reply::body(steps, delivery, stop);
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

fn bill(server: &Server, headers: &HeaderMap, usage: &Usage) -> Result<u64, String> {
    let request_id = header(headers, REQUEST_ID).unwrap_or_default();
    let cost = server.options.price.cost(usage);
    let cost = cost.map_err(|error| error.to_string())?;
    let billed = server.journal.bill(request_id, usage, cost);
    billed.map_err(|error| error.to_string())
}

/// Whether the key is there, wherever a protocol has it.
fn authorise(server: &Server, headers: &HeaderMap, refuser: Refuser) -> Result<(), Box<Response>> {
    let Some(key) = &server.options.key else {
        return Ok(());
    };
    let bearer = header(headers, AUTHORIZATION.as_str());
    let bearer = bearer.and_then(|given| given.strip_prefix("Bearer "));
    let own = ["x-api-key", "x-goog-api-key"].map(|name| header(headers, name));
    if [bearer, own[0], own[1]].contains(&Some(key.as_str())) {
        return Ok(());
    }
    let message = "the key is missing or wrong; send it as a bearer token, x-api-key or \
                   x-goog-api-key";
    let refusal = refuser.error(StatusCode::UNAUTHORIZED, "invalid_api_key", message);
    Err(Box::new(refusal))
}

/// The fault that the request asks for or that a rule sets.
fn fault(
    server: &Server,
    headers: &HeaderMap,
    number: u64,
    refuser: Refuser,
) -> Result<Option<Fault>, Box<Response>> {
    if let Some(asked) = header(headers, FAULT) {
        let bad = |bad: crate::FaultError| {
            let message = bad.to_string();
            Box::new(refuser.error(StatusCode::BAD_REQUEST, "invalid_fault", &message))
        };
        return asked.parse().map(Some).map_err(bad);
    }
    let options = &server.options;
    let mut rules = options.faults.iter();
    let struck = rules.find(|rule| rule.strikes(number, options.seed));
    Ok(struck.map(|rule| rule.fault.clone()))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
