//! The server: how it behaves, starts and stops.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::serve::ListenerExt;
use domain::Price;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::answers::Answers;
use crate::fault::FaultRule;
use crate::journal::{Journal, JournalError};
use crate::routes;

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

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) options: StandinOptions,
    pub(crate) journal: Journal,
    pub(crate) requests: AtomicU64,
    pub(crate) stop: CancellationToken,
    ended: watch::Sender<(u64, Instant)>,
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
            stop: CancellationToken::new(),
            ended: watch::Sender::new((0, Instant::now())),
        });
        let app = routes::all(Arc::clone(&server));
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

    /// The address to give to a client of OpenAI or Anthropic, up to and with the version.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The address to give to a client of Google, up to and with the version.
    #[must_use]
    pub fn google_url(&self) -> String {
        format!("http://{}/v1beta", self.address)
    }

    /// How many answers were asked for, refused ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.server.requests.load(Ordering::Relaxed)
    }

    /// Waits until so many answers that were billed have ended, sent whole or cut; when the last of
    /// them did.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn ended(&self, count: u64) -> Instant {
        let mut ended = self.server.ended.subscribe();
        let last = ended.wait_for(|&(ended, _)| ended >= count).await;
        // The sender lives as long as the server, which `self` holds.
        last.map_or_else(|_closed| Instant::now(), |last| last.1)
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
    /// An answer that has been billed under this number and not sent yet.
    pub(crate) fn new(server: Arc<Server>, sequence: u64) -> Self {
        Self {
            server,
            sequence,
            whole: false,
        }
    }

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
        let now = Instant::now();
        server
            .ended
            .send_modify(|(ended, last)| (*ended, *last) = (*ended + 1, now));
    }
}
