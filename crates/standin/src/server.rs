//! The server: routes, keys, faults and bills.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use domain::{Completion, CompletionTokens, FinishReason, Price, Usage};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wire::chat::{AnswerHead, ChatRequest, Delivery as Form, ErrorBody};
use wire::openai::chat::parse_request;
use wire::openai::models::{ModelEntry, encode_models};

use crate::answers::{Answers, Wrongness};
use crate::fault::{Fault, FaultRule};
use crate::journal::{Journal, JournalError};
use crate::refusal::{error, failure, json};
use crate::reply;
use crate::tokens::{pieces, prompt_tokens};

/// The header that asks for a fault.
const FAULT: &str = "x-standin-fault";
/// The header that names a request.
const REQUEST_ID: &str = "x-client-request-id";
/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 10 << 20;

/// How a stand-in behaves.
#[derive(Clone, Debug)]
pub struct StandinOptions {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The one model that it has.
    pub model: String,
    /// The key that it demands, if any.
    pub key: Option<String>,
    /// What it answers.
    pub answers: Answers,
    /// The share of the texts that are answered wrongly, 0 to 1.
    pub wrong_rate: f64,
    /// Where its draws begin: which texts are answered wrongly, and where faults strike.
    pub seed: u64,
    /// What it charges.
    pub price: Price,
    /// The file of its bills; see [`crate::journal`].
    pub journal: Option<PathBuf>,
    /// How fast it answers.
    pub pace: Pace,
    /// When it fails unasked; the first rule that strikes counts.
    pub faults: Vec<FaultRule>,
}

/// How fast a stand-in answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Time before the first token.
    pub first_token_ms: u64,
    /// Time for each further token.
    pub per_token_ms: u64,
}

impl StandinOptions {
    /// Right answers at once and for nothing, from any free port of this machine, for the model
    /// `standin-1`.
    #[must_use]
    pub fn new(answers: Answers) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            model: "standin-1".to_owned(),
            key: None,
            answers,
            wrong_rate: 0.0,
            seed: 1,
            price: Price::default(),
            journal: None,
            pace: Pace::default(),
            faults: Vec::new(),
        }
    }
}

/// Why a stand-in doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StandinError {
    /// The rate of wrong answers is no share.
    #[error("{0} is no rate of wrong answers; give a number from 0 to 1, for example 0.05")]
    WrongRate(f64),
    /// The address can't be listened on.
    #[error("{address}: can't listen: {cause}; choose another address, or port 0 for any")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// The journal can't be continued.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Starts stand-ins.
#[derive(Debug)]
pub struct Standin;

/// A stand-in that is serving. Dropping it stops it at once.
#[derive(Debug)]
pub struct RunningStandin {
    address: SocketAddr,
    server: Arc<Server>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Server {
    options: StandinOptions,
    journal: Journal,
    requests: AtomicU64,
    ended: watch::Sender<u64>,
    stop: CancellationToken,
}

impl Standin {
    /// A stand-in that serves from now on.
    ///
    /// # Errors
    /// When the address can't be listened on, the journal can't be continued, or the rate of
    /// wrong answers is none.
    pub async fn start(options: StandinOptions) -> Result<RunningStandin, StandinError> {
        if !(0.0..=1.0).contains(&options.wrong_rate) {
            return Err(StandinError::WrongRate(options.wrong_rate));
        }
        let journal = Journal::open(options.journal.as_deref())?;
        let failed = |cause| StandinError::Listen {
            address: options.listen,
            cause,
        };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // A connection whose option can't be set works, only with a delay.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let server = Arc::new(Server {
            options,
            journal,
            requests: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            stop: CancellationToken::new(),
        });
        let app = Router::new()
            .route("/v1/chat/completions", post(chat_completions))
            .route("/v1/models", get(models))
            .fallback(async || error(StatusCode::NOT_FOUND, "not_found", "no such path"))
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(Arc::clone(&server));
        let stop = server.stop.clone().cancelled_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let served = axum::serve(listener, app)
                .with_graceful_shutdown(stop)
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the stand-in stopped serving");
            }
        });
        Ok(RunningStandin {
            address,
            server,
            tasks,
        })
    }
}

impl RunningStandin {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address to give to a client, up to and with the version.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many completions were asked for, refused ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.server.requests.load(Ordering::Relaxed)
    }

    /// Waits until so many answers that were billed have ended, sent whole or cut.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn ended(&self, count: u64) {
        let mut ended = self.server.ended.subscribe();
        // The sender lives as long as the server, which `self` holds.
        let _open = ended.wait_for(|&ended| ended >= count).await;
    }

    /// Stops: answers on their way end, stalled ones are cut, the journal is complete.
    ///
    /// # Cancel safety
    /// Dropping the future stops the stand-in at once.
    pub async fn shutdown(mut self) {
        self.server.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// An answer that has been billed; tells the journal how it ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Delivery {
    server: Arc<Server>,
    sequence: u64,
    whole: bool,
}

impl Delivery {
    /// The answer has been sent to its end.
    pub(crate) fn mark_whole(&mut self) {
        self.whole = true;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Self {
            server,
            sequence,
            whole,
        } = self;
        if let Err(error) = server.journal.delivered(*sequence, *whole) {
            tracing::error!(%error, "the journal lacks how an answer ended");
        }
        server.ended.send_modify(|ended| *ended += 1);
    }
}

async fn models(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = authorise(&server, &headers) {
        return *refusal;
    }
    let entry = ModelEntry {
        id: server.options.model.clone(),
        created_s: now_s(),
        owned_by: "standin".to_owned(),
    };
    json(StatusCode::OK, encode_models(&[entry]))
}

async fn chat_completions(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let number = server.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let checked = authorise(&server, &headers)
        .and_then(|()| fault(&server, &headers, number))
        .and_then(|fault| match &fault {
            Some(fault @ Fault::Status { .. }) => Err(Box::new(failure(fault))),
            _ => Ok((fault, read(&server, &body)?)),
        });
    match checked {
        Ok((fault, request)) => answer(server, &headers, &request, fault).await,
        Err(refusal) => *refusal,
    }
}

/// Bills and answers.
async fn answer(
    server: Arc<Server>,
    headers: &HeaderMap,
    request: &ChatRequest,
    fault: Option<Fault>,
) -> Response {
    let mut completion = complete(&server.options, request);
    let request_id = header(headers, REQUEST_ID).unwrap_or_default();
    let usage = completion.usage.unwrap_or_default();
    let billed = server
        .options
        .price
        .cost(&usage)
        .map_err(|error| error.to_string());
    let billed = billed.and_then(|cost| {
        let billed = server.journal.bill(request_id, &usage, cost);
        billed.map_err(|error| error.to_string())
    });
    let sequence = match billed {
        Ok(sequence) => sequence,
        Err(cause) => return error(StatusCode::INTERNAL_SERVER_ERROR, "no_bill", &cause),
    };
    let stop = server.stop.clone();
    let pace = server.options.pace;
    let delivery = Delivery {
        server,
        sequence,
        whole: false,
    };
    tokio::time::sleep(Duration::from_millis(pace.first_token_ms)).await;
    match fault {
        Some(Fault::StallBefore) => {
            stop.cancelled().await;
            return error(StatusCode::SERVICE_UNAVAILABLE, "stopped", "it is stopping");
        }
        Some(Fault::NoUsage) => completion.usage = None,
        _ => {}
    }
    let head = AnswerHead {
        id: format!("chatcmpl-{sequence}"),
        created_s: now_s(),
        model: completion.model.clone(),
    };
    let per_token = Duration::from_millis(pace.per_token_ms);
    let fault = fault.as_ref();
    let (steps, content_type) = match request.delivery {
        Form::Whole => {
            let steps = reply::whole(&head, &completion, fault, per_token);
            (steps, "application/json")
        }
        Form::Streamed => {
            let usage = request.stream_usage;
            let steps = reply::streamed(head, &completion, usage, (fault, per_token));
            (steps, "text/event-stream")
        }
    };
    let body = reply::body(steps, delivery, stop);
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

/// The answer to a request: the given one, cut where the request says so.
fn complete(options: &StandinOptions, request: &ChatRequest) -> Completion {
    let wrongness = Wrongness {
        rate: options.wrong_rate,
        seed: options.seed,
    };
    let mut text = options.answers.answer(&request.prompt, &wrongness);
    let mut finish_reason = FinishReason::Stop;
    let stops = request.generation.stop.iter();
    if let Some(end) = stops.filter_map(|stop| text.find(stop)).min() {
        text = &text[..end];
    }
    let most = request.generation.max_completion_tokens;
    let most = most.map_or(usize::MAX, |most| {
        usize::try_from(most.0).unwrap_or(usize::MAX)
    });
    if pieces(text).count() > most {
        finish_reason = FinishReason::Length;
        text = &text[..pieces(text).take(most).map(str::len).sum()];
    }
    Completion {
        usage: Some(Usage {
            prompt: prompt_tokens(&request.prompt),
            cached_prompt: domain::PromptTokens(0),
            completion: CompletionTokens(pieces(text).count() as u64),
            ..Usage::default()
        }),
        model: options.model.clone(),
        ..Completion::new(text, finish_reason)
    }
}

fn authorise(server: &Server, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let Some(key) = &server.options.key else {
        return Ok(());
    };
    let given = header(headers, AUTHORIZATION.as_str());
    if given.and_then(|given| given.strip_prefix("Bearer ")) == Some(key) {
        return Ok(());
    }
    let message = "the key is missing or wrong; send it as a bearer token";
    Err(Box::new(error(
        StatusCode::UNAUTHORIZED,
        "invalid_api_key",
        message,
    )))
}

/// The fault that the request asks for or that a rule sets.
fn fault(
    server: &Server,
    headers: &HeaderMap,
    number: u64,
) -> Result<Option<Fault>, Box<Response>> {
    if let Some(asked) = header(headers, FAULT) {
        let bad = |bad: crate::FaultError| {
            Box::new(error(
                StatusCode::BAD_REQUEST,
                "invalid_fault",
                &bad.to_string(),
            ))
        };
        return asked.parse().map(Some).map_err(bad);
    }
    let StandinOptions { faults, seed, .. } = &server.options;
    let struck = faults.iter().find(|rule| rule.strikes(number, *seed));
    Ok(struck.map(|rule| rule.fault.clone()))
}

fn read(server: &Server, body: &Bytes) -> Result<ChatRequest, Box<Response>> {
    let request = parse_request(body);
    let request =
        request.map_err(|fault| json(StatusCode::BAD_REQUEST, ErrorBody::from(&fault).encode()))?;
    if request.model == server.options.model {
        return Ok(request);
    }
    let message = "there is no such model; `/v1/models` lists what there is";
    Err(Box::new(error(
        StatusCode::NOT_FOUND,
        "model_not_found",
        message,
    )))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
