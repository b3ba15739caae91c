//! Encrypted connections, and connections that are used again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use upstream::{
    Billing, Client, Egress, EgressError, EgressOptions, Endpoint, Unreached, UpstreamError,
};

use crate::vendor::{ANSWER, Question, Vendor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// A server that decrypts and hands on to a vendor, and counts its connections.
struct Terminator {
    url: String,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Terminator {
    async fn start(vendor: &Vendor) -> Self {
        let chain = CertificateDer::pem_file_iter(fixture("server.pem")).unwrap();
        let chain = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(fixture("server-key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counter, target) = (Arc::clone(&connections), vendor.running.address());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                let acceptor = acceptor.clone();
                open.spawn(async move {
                    // A client that does not trust us hangs up.
                    if let Ok(mut inner) = acceptor.accept(connection).await {
                        let mut outer = TcpStream::connect(target).await.unwrap();
                        let _ended = copy_bidirectional(&mut inner, &mut outer).await;
                    }
                });
            }
        });
        Self {
            url: format!("https://localhost:{port}/v1"),
            connections,
            _tasks: tasks,
        }
    }

    fn client(&self, vendor: &Vendor, extra_roots_pem: Option<PathBuf>) -> Client {
        let mut options = vendor.options();
        options.url.clone_from(&self.url);
        let egress = Egress::new(&EgressOptions { extra_roots_pem }).unwrap();
        Client::new(&egress, Endpoint::new(options).unwrap())
    }
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_named() {
    let vendor = Vendor::start(&[]).await;
    let terminator = Terminator::start(&vendor).await;
    let client = terminator.client(&vendor, Some(fixture("authority.pem")));
    let completion = Question::new().ask(&client).await.unwrap();
    assert_eq!(completion.text(), ANSWER);
}

#[tokio::test]
async fn an_unknown_authority_is_refused_before_anything_is_sent() {
    let vendor = Vendor::start(&[]).await;
    let terminator = Terminator::start(&vendor).await;
    let client = terminator.client(&vendor, None);
    let error = Question::new().ask(&client).await.unwrap_err();
    let UpstreamError::Unreachable {
        cause: Unreached::Failed(told),
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(told.contains("certificate"), "{told}");
    assert_eq!(error.billing(), Billing::NotBilled);
    assert_eq!(vendor.running.requests(), 0);
}

#[tokio::test]
async fn connections_are_used_again() {
    let vendor = Vendor::start(&[]).await;
    let terminator = Terminator::start(&vendor).await;
    let client = terminator.client(&vendor, Some(fixture("authority.pem")));
    for _ in 0..5 {
        Question::new().ask(&client).await.unwrap();
    }
    assert_eq!(terminator.connections.load(Ordering::Relaxed), 1);
}

#[test]
fn a_file_without_authorities_is_refused() {
    let of = |name: &str| {
        let extra_roots_pem = Some(fixture(name));
        Egress::new(&EgressOptions { extra_roots_pem }).unwrap_err()
    };
    assert!(matches!(of("server-key.pem"), EgressError::NoRoots { .. }));
    assert!(matches!(
        of("absent.pem"),
        EgressError::RootsUnreadable { .. }
    ));
}
