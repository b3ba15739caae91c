//! Completing prompts at an endpoint, one attempt at a time.

mod sending;

pub(crate) use sending::unreached;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Completion, Generation, Prompt, Protocol};
use http::Request;
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};
use wire::chat::{Delivery, Extra, Surface, parse_completion};

use crate::access_token::AccessTokens;
use crate::breaker::{Health, Permit, SharedBreaker};
use crate::egress::{Egress, HttpClient};
use crate::endpoint::Endpoint;
use crate::error::{Breakage, Side, UpstreamError};
use crate::reading::{ANSWER_BYTES_MAX, Body, CompletionStream, Reading};
use crate::retry::{RetryBudget, RetrySchedule, SplitMix64};

/// Completes prompts at one endpoint. Cheap to clone; clones share connections, the breaker and
/// the retry budget.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    http: HttpClient,
    /// Where the endpoint is asked in the name of an account and not by a key.
    tokens: Option<AccessTokens>,
    breaker: SharedBreaker,
    budget: Arc<Mutex<RetryBudget>>,
    schedules: AtomicU64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client")
            .field(&self.shared.endpoint)
            .finish()
    }
}

/// What is sent in one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The attempt's name, sent as `x-client-request-id` so that a vendor's records can be
    /// matched with ours; left out when it is empty or not visible ASCII.
    pub id: &'a str,
    /// The conversation.
    pub prompt: &'a Prompt,
    /// How to write.
    pub generation: &'a Generation,
    /// What the client's request of the same protocol carries beside. If it has fields for
    /// messages, the prompt must have the messages of that request.
    pub extra: Option<&'a Extra>,
    /// When the request's time is over; see [`RetrySchedule::deadline`].
    pub deadline: Instant,
}

impl Client {
    /// A client for this endpoint.
    #[must_use]
    pub fn new(egress: &Egress, endpoint: Endpoint) -> Self {
        let budget = RetryBudget::new(&endpoint.retry, Instant::now());
        let connect = endpoint.limits.connect;
        let http = egress.http_client(connect);
        let account = endpoint.google_account.clone();
        let shared = Shared {
            tokens: account.map(|account| AccessTokens::new(account, http.clone(), connect)),
            http,
            breaker: SharedBreaker::new(endpoint.breaker),
            budget: Arc::new(Mutex::new(budget)),
            schedules: AtomicU64::new(0),
            endpoint,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The plan of a new request's attempts. The limit of time for everything begins to run.
    #[must_use]
    pub fn schedule(&self) -> RetrySchedule {
        let Shared {
            endpoint,
            budget,
            schedules,
            ..
        } = &*self.shared;
        // A poisoned lock only means that a thread ended while it counted; counts stay counts.
        let mut counted = budget.lock().unwrap_or_else(PoisonError::into_inner);
        counted.deposit();
        drop(counted);
        let count = schedules.fetch_add(1, Ordering::Relaxed);
        let seed = SplitMix64(endpoint.retry.jitter_seed.wrapping_add(count)).next();
        let deadline = Instant::now() + endpoint.limits.total;
        RetrySchedule::new(endpoint.retry, Arc::clone(budget), deadline, seed)
    }

    /// A whole completion from exactly one HTTP request.
    ///
    /// # Errors
    /// When there is none; the error tells whether the attempt may cost money and whether another
    /// may succeed.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection. The vendor may bill what it wrote until then.
    pub async fn attempt(&self, attempt: &Attempt<'_>) -> Result<Completion, UpstreamError> {
        self.admitted(self.whole(attempt)).await
    }

    /// A streamed completion from exactly one HTTP request, once its first text is there.
    ///
    /// # Errors
    /// As with [`Client::attempt`]. From an error of this call on nothing has been shown, so
    /// another attempt may follow; after an error of the stream itself none may.
    ///
    /// # Cancel safety
    /// Dropping the future or the stream closes the connection. The vendor may bill what it wrote
    /// until then.
    pub async fn attempt_stream(
        &self,
        attempt: &Attempt<'_>,
    ) -> Result<CompletionStream, UpstreamError> {
        let mut permit = self.admit()?;
        let start = Instant::now();
        match self.streamed(attempt).await {
            Ok(body) => {
                let surface = self.surface(attempt);
                let limit = self.endpoint().limits.first_token;
                let reading = Reading::new(body, surface, start, limit);
                CompletionStream::begin(self.endpoint().host.clone(), reading, permit).await
            }
            Err(error) => {
                permit.settle(health(&error));
                Err(error)
            }
        }
    }

    /// A whole completion, with as many attempts as the endpoint's policy allows. For callers who
    /// keep no ledger.
    ///
    /// # Errors
    /// The last attempt's.
    ///
    /// # Cancel safety
    /// As with [`Client::attempt`].
    pub async fn complete(
        &self,
        prompt: &Prompt,
        generation: &Generation,
    ) -> Result<Completion, UpstreamError> {
        let mut schedule = self.schedule();
        let attempt = unnamed(prompt, generation, &schedule);
        loop {
            match self.attempt(&attempt).await {
                Ok(completion) => return Ok(completion),
                Err(error) => wait_or_give_up(&mut schedule, error).await?,
            }
        }
    }

    /// A streamed completion, with as many attempts as the endpoint's policy allows before the
    /// first text. For callers who keep no ledger.
    ///
    /// # Errors
    /// The last attempt's.
    ///
    /// # Cancel safety
    /// As with [`Client::attempt_stream`].
    pub async fn stream(
        &self,
        prompt: &Prompt,
        generation: &Generation,
    ) -> Result<CompletionStream, UpstreamError> {
        let mut schedule = self.schedule();
        let attempt = unnamed(prompt, generation, &schedule);
        loop {
            match self.attempt_stream(&attempt).await {
                Ok(stream) => return Ok(stream),
                Err(error) => wait_or_give_up(&mut schedule, error).await?,
            }
        }
    }

    /// The server, as `host:port` or `host`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.endpoint().host
    }

    /// Whether the last attempts failed, so that none is made for a while.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.shared.breaker.is_resting()
    }

    /// Whether the server answers to a question for its models, which costs nothing: with any
    /// status but one of 500 and above, and within the limit for connecting.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn is_well(&self) -> bool {
        let endpoint = self.endpoint();
        let mut request = Request::new(Full::default());
        *request.uri_mut() = endpoint.models_uri.clone();
        *request.headers_mut() = endpoint.headers.clone();
        if let Some(account) = &endpoint.aws_account {
            account.sign(&mut request, &[]);
        }
        let answer = self.shared.http.request(request);
        match timeout_at(Instant::now() + endpoint.limits.connect, answer).await {
            Ok(Ok(response)) => !response.status().is_server_error(),
            Ok(Err(_unreached)) => false,
            Err(_elapsed) => false,
        }
    }

    /// The protocol in which the endpoint is asked.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.endpoint().protocol
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    fn surface(&self, attempt: &Attempt<'_>) -> Surface {
        Surface::of(self.protocol(), attempt.prompt)
    }

    /// What comes of an attempt that the breaker lets pass, and is told of.
    pub(crate) async fn admitted<T>(
        &self,
        attempt: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        let mut permit = self.admit()?;
        let result = attempt.await;
        permit.settle(match &result {
            Ok(_) => Health::Well,
            Err(error) => health(error),
        });
        result
    }

    fn admit(&self) -> Result<Permit, UpstreamError> {
        let admitted = self.shared.breaker.admit();
        admitted.map_err(|wait| UpstreamError::Resting {
            host: self.endpoint().host.clone(),
            wait,
        })
    }

    async fn whole(&self, attempt: &Attempt<'_>) -> Result<Completion, UpstreamError> {
        let request = self.request(attempt, Delivery::Whole);
        let limit = (attempt.deadline, Breakage::Total);
        let body = self.send(request, limit, attempt.deadline).await?;
        let parse = |answer: &[u8]| parse_completion(self.surface(attempt), answer);
        self.read(body, ANSWER_BYTES_MAX, parse).await
    }

    async fn streamed(&self, attempt: &Attempt<'_>) -> Result<Body, UpstreamError> {
        let request = self.request(attempt, Delivery::Streamed);
        let first_token = self.endpoint().limits.first_token;
        let first = Instant::now() + first_token;
        let limit = match first < attempt.deadline {
            true => (first, Breakage::FirstToken(first_token)),
            false => (attempt.deadline, Breakage::Total),
        };
        self.send(request, limit, attempt.deadline).await
    }
}

fn unnamed<'a>(
    prompt: &'a Prompt,
    generation: &'a Generation,
    schedule: &RetrySchedule,
) -> Attempt<'a> {
    Attempt {
        id: "",
        prompt,
        generation,
        extra: None,
        deadline: schedule.deadline(),
    }
}

async fn wait_or_give_up(
    schedule: &mut RetrySchedule,
    error: UpstreamError,
) -> Result<(), UpstreamError> {
    match schedule.after(&error, Instant::now()) {
        Some(wait) => {
            tokio::time::sleep(wait).await;
            Ok(())
        }
        None => Err(error),
    }
}

/// What an error says of the endpoint's health: our own faults say that it is well.
fn health(error: &UpstreamError) -> Health {
    match error.side() {
        Side::Us => Health::Well,
        Side::Vendor | Side::Network => Health::Ill,
    }
}
