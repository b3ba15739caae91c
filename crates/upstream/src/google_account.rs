//! Google's accounts of programs, whose access tokens Vertex AI takes instead of a key.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use wire::google::account::{AccountKey, encode_request};

use crate::address::Address;

/// The server that tells a machine of Google's who it is, by the name that it has on each.
const METADATA_HOST: &str = "metadata.google.internal";
/// Where that gives out tokens of the machine's own account.
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// The header without which it says nothing.
const METADATA_FLAVOR: (HeaderName, HeaderValue) = (
    HeaderName::from_static("metadata-flavor"),
    HeaderValue::from_static("Google"),
);

/// An account in whose name an endpoint is asked. Its `Debug` shows no key.
#[derive(Clone)]
pub struct GoogleAccount(Kind);

#[derive(Clone)]
enum Kind {
    Service(Arc<Service>),
    Machine(http::Uri),
}

struct Service {
    key: AccountKey,
    signing: RsaKeyPair,
    tokens: Address,
}

/// Why there is no such account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GoogleAccountError(String);

impl GoogleAccount {
    /// The service account whose key this JSON is, as Google gives it out in a file.
    ///
    /// # Errors
    /// When it is none, its key can't sign, or its tokens come from no encrypted address.
    pub fn from_key(file: &SecretString) -> Result<Self, GoogleAccountError> {
        let error = |fault: String| GoogleAccountError(fault);
        let key = AccountKey::parse(file.expose_secret()).map_err(|it| error(it.to_string()))?;
        let broken = || error("holds a private key that is no RSA key in PKCS #8".to_owned());
        let der = PrivatePkcs8KeyDer::from_pem_slice(key.key_pem.as_bytes());
        let der = der.map_err(|_no_pem| broken())?;
        let signing = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der());
        let tokens = Address::parse(&key.token_uri);
        Ok(Self(Kind::Service(Arc::new(Service {
            signing: signing.map_err(|_no_key| broken())?,
            tokens: tokens.map_err(|fault| error(format!("its token_uri: {fault}")))?,
            key,
        }))))
    }

    /// The account of the machine of Google's on which the program runs, as its metadata server
    /// tells; `host` for one under another name than on those machines.
    ///
    /// # Errors
    /// When `host` is no `host` or `host:port`.
    pub fn of_machine(host: Option<&str>) -> Result<Self, GoogleAccountError> {
        let host = host.unwrap_or(METADATA_HOST);
        let uri = http::Uri::builder()
            .scheme("http")
            .authority(host)
            .path_and_query(METADATA_PATH)
            .build();
        uri.map(|uri| Self(Kind::Machine(uri)))
            .map_err(|_invalid| GoogleAccountError("names no server of metadata".to_owned()))
    }

    /// Where its tokens are given out, as `host:port` or `host`.
    pub(crate) fn host(&self) -> String {
        match &self.0 {
            Kind::Service(service) => service.tokens.host(),
            Kind::Machine(uri) => uri.authority().map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// A request for a token; `None` when the key can't sign after all.
    pub(crate) fn request(&self) -> Option<Request<Full<Bytes>>> {
        match &self.0 {
            Kind::Service(service) => service.request(),
            Kind::Machine(uri) => {
                let mut request = Request::new(Full::default());
                *request.uri_mut() = uri.clone();
                request.headers_mut().extend([METADATA_FLAVOR]);
                Some(request)
            }
        }
    }
}

impl Service {
    fn request(&self) -> Option<Request<Full<Bytes>>> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let claim = self.key.claim(since.map_or(0, |since| since.as_secs()));
        let mut signature = vec![0; self.signing.public().modulus_len()];
        let random = SystemRandom::new();
        let message = claim.as_bytes();
        self.signing
            .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
            .ok()?;
        let mut request = Request::new(Full::from(encode_request(&claim, &signature)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.tokens.uri().clone();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        Some(request)
    }
}

impl fmt::Debug for GoogleAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Service(service) => f.debug_tuple("GoogleAccount").field(&service.key).finish(),
            Kind::Machine(_) => f.write_str("GoogleAccount(of the machine)"),
        }
    }
}
