//! Who is let in: the key, the server's readiness, and a free place.

use std::hint::black_box;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::error::HttpError;
use super::server::Server;

/// SHA-256 of a key. All are of one length, so that comparing them takes the same time whatever
/// was presented.
type KeyHash = [u8; 32];

/// The keys that clients may present. Its `Debug` shows hashes only.
#[derive(Debug)]
pub(super) struct Keys(Vec<KeyHash>);

/// A place among the requests in work; it is free again when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Keys {
    /// These keys; with none, everyone is let in.
    pub(super) fn new(keys: &[SecretString]) -> Self {
        let hashes = keys.iter().map(|key| hash(key.expose_secret()));
        Self(hashes.collect())
    }

    fn let_in(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let presented = hash(bearer(headers).unwrap_or_default());
        // Every key is compared, so that the time doesn't tell which one was nearly right.
        let found = self.0.iter().map(|key| is_same(key, &presented));
        found.fold(false, |any, one| any | one)
    }
}

fn hash(key: &str) -> KeyHash {
    Sha256::digest(key).into()
}

fn is_same(a: &KeyHash, b: &KeyHash) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    // The compiler must not learn that one difference is enough to know the result.
    black_box(difference) == 0
}

/// The key in `Authorization: Bearer KEY`; the scheme's name may be in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.trim_matches(' '))
}

/// Lets in who presents a key.
///
/// # Errors
/// 401 otherwise.
pub(super) async fn key(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    if !server.keys.let_in(request.headers()) {
        return Err(HttpError::wrong_key());
    }
    Ok(next.run(request).await)
}

/// Hands the application to a route.
///
/// # Errors
/// While it is not ready: what it is busy with.
pub(super) async fn ready(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let app = Arc::clone(server.app()?);
    request.extensions_mut().insert(app);
    Ok(next.run(request).await)
}

/// Takes a [`Place`] for the request.
///
/// # Errors
/// 429 when none is free; nobody waits for one.
pub(super) async fn place(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let Ok(permit) = Arc::clone(&server.places).try_acquire_owned() else {
        return Err(HttpError::no_place());
    };
    request.extensions_mut().insert(Place {
        _permit: Arc::new(permit),
    });
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn is_let_in(keys: &[&str], header: Option<&'static str>) -> bool {
        let keys: Vec<SecretString> = keys.iter().map(|key| SecretString::from(*key)).collect();
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
        }
        Keys::new(&keys).let_in(&headers)
    }

    #[test]
    fn only_a_whole_key_is_let_in() {
        let keys = &["sk-one", "sk-two"];
        for header in ["Bearer sk-one", "bearer sk-two", "BEARER  sk-two "] {
            assert!(is_let_in(keys, Some(header)), "{header}");
        }
        for header in [
            "Bearer sk-on",
            "Bearer sk-one2",
            "Bearer SK-ONE",
            "Bearer ",
            "Bearer",
            "sk-one",
            "Basic sk-one",
            "",
        ] {
            assert!(!is_let_in(keys, Some(header)), "{header}");
        }
        assert!(!is_let_in(keys, None));
        assert!(is_let_in(&[], None) && is_let_in(&[], Some("Bearer any")));
    }
}
