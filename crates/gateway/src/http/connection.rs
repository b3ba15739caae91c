//! Connections: accepted, served and ended.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take to read the last answer of a server that is cut off.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The pause after an accept that failed for want of something, such as file descriptors: it will
/// be there again when other connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// All connections, and the task that accepts them.
#[derive(Debug)]
pub(super) struct Connections {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What each connection is served by.
#[derive(Debug, Clone)]
struct Service {
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    /// Accepts connections from now on. When `cut` is set, those that still live are closed.
    pub(super) fn accept(
        listener: TcpListener,
        router: Router,
        header_timeout: Duration,
        cut: CancellationToken,
    ) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let service = Service {
            router,
            header_timeout,
            stop: stop.clone(),
            cut,
        };
        tasks.spawn(accept(listener, service, tasks.clone()));
        Self { tasks, stop }
    }

    /// Accepts no more; idle connections end now and others after their request.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    /// Waits for the last one to end.
    ///
    /// # Cancel safety
    /// Nothing changes when it is dropped.
    pub(super) async fn ended(&self) {
        self.tasks.wait().await;
    }
}

async fn accept(listener: TcpListener, service: Service, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = service.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                tasks.spawn(service.clone().serve(stream));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Service {
    async fn serve(self, stream: TcpStream) {
        // Where it can't be set, answers come with a small delay.
        let _delayed = stream.set_nodelay(true);
        // By hand and not by `axum::serve`, which sets no limit on the time for headers.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(self.router.clone()),
            );
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return tell(ended),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let cut_off = async {
            self.cut.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            ended = connection.as_mut() => tell(ended),
            () = cut_off => {}
        }
    }
}

/// A client that goes away or is too slow is no event for an operator.
fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
