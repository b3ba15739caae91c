//! The one way out: every socket to a pool or a frontier is opened here.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::Service;

/// How long an unused connection is kept for the next request.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// Unused connections that are kept for each server.
const POOL_IDLE_CONNECTIONS_MAX: usize = 64;

/// An HTTP/1.1 client with a pool of connections of its own.
pub(crate) type HttpClient = legacy::Client<TimedConnector, Full<Bytes>>;

/// What an [`Egress`] trusts.
#[derive(Clone, Debug, Default)]
pub struct EgressOptions {
    /// A PEM file with certificate authorities to trust beside Mozilla's, for servers of the
    /// organisation.
    pub extra_roots_pem: Option<PathBuf>,
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The file of authorities can't be read.
    #[error("{}: can't be read as PEM: {cause}; give a file with certificates", path.display())]
    RootsUnreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: pem::Error,
    },
    /// The file has no certificate in it.
    #[error("{}: holds no certificate; each begins with `-----BEGIN CERTIFICATE-----`", path.display())]
    NoRoots {
        /// The file.
        path: PathBuf,
    },
    /// TLS can't be set up with what is in the file.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Opens every connection that leaves. TLS is rustls with ring and trusts Mozilla's authorities;
/// proxies and redirects are not followed. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    tls: Arc<ClientConfig>,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Egress")
    }
}

impl Egress {
    /// The way out with these authorities trusted.
    ///
    /// # Errors
    /// When the file of extra authorities can't be read or has none in it.
    pub fn new(options: &EgressOptions) -> Result<Self, EgressError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(path) = &options.extra_roots_pem {
            add_roots(&mut roots, path)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls) })
    }

    /// A client whose connections are open and encrypted within the limit, or not at all.
    pub(crate) fn http_client(&self, connect_limit: Duration) -> HttpClient {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config((*self.tls).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connector = TimedConnector {
            tls,
            limit: connect_limit,
        };
        legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_CONNECTIONS_MAX)
            .build(connector)
    }
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), EgressError> {
    let unreadable = |cause| EgressError::RootsUnreadable {
        path: path.to_owned(),
        cause,
    };
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?)?;
    }
    if roots.len() == before {
        return Err(EgressError::NoRoots {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Looks up, connects and encrypts within one limit of time. The limit of `HttpConnector` itself
/// would leave TLS out.
#[derive(Clone)]
pub(crate) struct TimedConnector {
    tls: HttpsConnector<HttpConnector>,
    limit: Duration,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for TimedConnector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tls.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.tls.call(target);
        let limit = self.limit;
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connecting).await;
            connected.unwrap_or_else(|_elapsed| Err(Box::new(ConnectTimedOut)))
        })
    }
}

/// The limit of time for connecting passed.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
pub(crate) struct ConnectTimedOut;
