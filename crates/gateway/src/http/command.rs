//! The server's life: listen, make ready, serve, and stop in order.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use super::batches::desk::resume;
use super::connection::Connections;
use super::router::router;
use super::server::Server;
use crate::app::App;
use crate::audit::work::Auditor;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::renewal;
use crate::signal::Stopping;
use crate::student::teach;
use crate::terminal::{complain, say};
use crate::tier::Tier;

/// The program was interrupted twice (128 and the number of the signal, as shells say it).
const EXIT_INTERRUPTED: i32 = 130;

/// Serves until the program is told to stop.
///
/// # Errors
/// When the config is wrong, the address can't be listened on, the application can't be made
/// ready, or the ledger can't be closed.
pub(crate) fn command(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = crate::load_config(&args.config)?;
    let address = address(&config, args.listen)?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(config, address));
    // A program that is told to stop while it learns doesn't finish learning.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config, address: SocketAddr) -> anyhow::Result<()> {
    let mut stopping = Stopping::listen().context("signals can't be received")?;
    let listener = listen(address).await?;
    let drain = config.server.drain;
    let server = Arc::new(Server::new(&config.server));
    say(format_args!(
        "listening on http://{}",
        listener.local_addr()?
    ));
    let connections = Connections::accept(
        listener,
        router(&server),
        config.server.header_timeout,
        server.cut.clone(),
    );
    let app = tokio::select! {
        app = make_ready(config, &server) => app?,
        () = stopping.recv() => return Ok(()),
    };
    let beside = CancellationToken::new();
    work_beside(&app, &server, &beside);
    watch_pools(&app, &server, &beside);
    resume(&server, &app);
    stopping.recv().await;
    server.batches.stop();
    beside.cancel();
    complain("stopping; requests in work are finished, a second interrupt ends at once");
    tokio::select! {
        () = finish(&server, connections, drain) => {}
        // Nothing is lost: the next start books what was under way at its worst case.
        () = stopping.recv() => std::process::exit(EXIT_INTERRUPTED),
    }
    app.close().await
}

/// The address to listen on; the config's rule holds for one given on the command line too.
fn address(config: &Config, given: Option<SocketAddr>) -> anyhow::Result<SocketAddr> {
    let address = given.unwrap_or(config.server.listen);
    if !address.ip().is_loopback() && config.server.keys.is_empty() {
        bail!(
            "--listen {address} can be reached from other machines and {} has no `server.keys`; \
             add one, for example keys = [\"env:TIERGATE_KEY\"], or listen on 127.0.0.1",
            config.file.display()
        );
    }
    Ok(address)
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        let port = address.port();
        format!(
            "{address} can't be listened on; end the program that has port {port}, or choose \
             another address with --listen or `server.listen` (port 0 takes any free one)"
        )
    })
}

/// Makes the application ready on a thread of its own: learning and loading compute for minutes,
/// and the probes are answered meanwhile.
async fn make_ready(config: Config, server: &Arc<Server>) -> anyhow::Result<Arc<App>> {
    let busy = Arc::clone(server);
    let starting = tokio::task::spawn_blocking(move || {
        Handle::current().block_on(App::start_all(config, &|stage| busy.is_busy(stage)))
    });
    let app = Arc::new(starting.await??);
    for (name, task) in &app.tasks {
        tracing::info!(task.id = %name, tiers = %task.rules.in_words(), "a task is ready");
        if let Some(early) = &task.early {
            tracing::info!(task.id = %name, tiers = %early.in_words(), "its streamed answers");
        }
    }
    server.is_ready(Arc::clone(&app));
    tracing::info!("ready to answer");
    Ok(app)
}

/// Works on audits, teaches students and takes up new certificates, beside the requests. When told to stop, what is in work
/// is finished; when the server is cut off, it is left to be done later.
fn work_beside(app: &Arc<App>, server: &Server, stop: &CancellationToken) {
    let auditor = Auditor::new(app);
    let (app, stop, cut) = (Arc::clone(app), stop.clone(), server.cut.clone());
    server.work.spawn(async move {
        let beside = async {
            tokio::join!(
                auditor.serve(&stop),
                teach::serve(&app, &stop),
                renewal::serve(&app, &stop)
            )
        };
        tokio::select! {
            _ = beside => {}
            () = cut.cancelled() => {}
        }
    });
}

/// Asks the servers of pools whether they are well, beside the requests, until it is told to stop.
fn watch_pools(app: &Arc<App>, server: &Server, stop: &CancellationToken) {
    for tier in app.tiers.values() {
        if let Tier::Remote(remote) = tier {
            let (pool, stop) = (remote.pool().clone(), stop.clone());
            server.work.spawn(async move {
                stop.run_until_cancelled(pool.watch()).await;
            });
        }
    }
}

/// Takes no more connections and waits for the requests in work; those that are not done when
/// the time is over are told so, and end.
async fn finish(server: &Server, connections: Connections, drain: Duration) {
    connections.stop();
    server.work.close();
    let done = async {
        connections.ended().await;
        server.work.wait().await;
    };
    tokio::pin!(done);
    if tokio::time::timeout(drain, &mut done).await.is_err() {
        tracing::warn!(
            "requests were not done {} s after the program was told to stop and are cut off; \
             give them more with `server.drain_seconds`",
            drain.as_secs_f64()
        );
        server.cut.cancel();
        done.await;
    }
}
