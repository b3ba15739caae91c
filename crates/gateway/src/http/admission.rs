//! Who is let in: the key, the server's readiness, and a free place.

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::error::HttpError;
use super::google;
use super::keep::Owner;
use super::server::Server;
use super::vendor::{Vendor, X_GOOG_API_KEY};
use crate::learn::stored::hex;
use crate::tenant::Tenant;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

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

    /// Lets in who presents a key. Without keys the server listens to this machine alone, and
    /// lets in who calls it by one of this machine's names: a web page could point a name of its
    /// own at this machine, and the reader's browser would take the server for part of that page.
    ///
    /// Gives back whose what is kept for this client is.
    fn let_in(&self, headers: &HeaderMap, in_query: Option<&str>) -> Result<Owner, HttpError> {
        if self.0.is_empty() {
            let own = headers.get(HOST).is_none_or(is_own_name);
            return if own {
                Ok(Owner(String::new()))
            } else {
                Err(HttpError::foreign_host())
            };
        }
        let presented = hash(presented(headers).or(in_query).unwrap_or_default());
        // Every key is compared, so that the time doesn't tell which one was nearly right.
        let found = self.0.iter().map(|key| is_same(key, &presented));
        if found.fold(false, |any, one| any | one) {
            Ok(owner(&presented))
        } else {
            Err(HttpError::wrong_key())
        }
    }
}

/// Whose key this is. What is stored is a hash of the hash by which keys are compared, so that
/// nothing in the data folder opens a door.
fn owner(key: &KeyHash) -> Owner {
    let hash = Sha256::new().chain_update("owner").chain_update(key);
    Owner(hex(&hash.finalize()[..16]))
}

/// Whether a `Host` is an address or `localhost`, with a port or without.
fn is_own_name(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else {
        return false;
    };
    if host.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let name = host.split_once(':').map_or(host, |(name, _port)| name);
    let v6 = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|it| it.parse::<Ipv6Addr>().is_ok())
}

fn hash(key: &str) -> KeyHash {
    Sha256::digest(key).into()
}

fn is_same(a: &KeyHash, b: &KeyHash) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    // The compiler must not learn that one difference is enough to know the result.
    black_box(difference) == 0
}

/// The key, in the header in which OpenAI's clients send it, or in that of Anthropic's or
/// Google's.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let of_header = |name| headers.get(name)?.to_str().ok();
    let others = || of_header(X_API_KEY).or_else(|| of_header(X_GOOG_API_KEY));
    bearer(headers).or_else(others)
}

/// The key in `Authorization: Bearer KEY`; the scheme's name may be in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.trim_matches(' '))
}

/// Lets in who presents a key, or where there are none who calls this machine by its own name, and
/// hands the application to the route.
///
/// # Errors
/// 401 or 403 for strangers, who learn nothing, not even what the server is busy with; while it is
/// not ready, what it is busy with.
pub(super) async fn known(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    introduce(&server, &mut request)?;
    Ok(next.run(request).await)
}

/// As [`known`], and takes a [`Place`] for a request that will be worked on: last, so that no other
/// takes one, and before the body is read, so that the places bound the memory of all bodies
/// together.
///
/// # Errors
/// As [`known`]; 429 when no place is free, for nobody waits for one.
pub(super) async fn at_work(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    introduce(&server, &mut request)?;
    let Ok(permit) = Arc::clone(&server.places).try_acquire_owned() else {
        return Err(HttpError::no_place());
    };
    request.extensions_mut().insert(Place {
        _permit: Arc::new(permit),
    });
    Ok(next.run(request).await)
}

/// Tells the route who asks and what there is to answer with.
fn introduce(server: &Server, request: &mut Request) -> Result<(), HttpError> {
    let key = google::query(request, "key").filter(|_| Vendor::of(request) == Vendor::Google);
    let owner = server.keys.let_in(request.headers(), key)?;
    let app = Arc::clone(server.app()?);
    let extensions = request.extensions_mut();
    extensions.insert(Tenant::of_owner(&owner.0));
    extensions.insert(owner);
    extensions.insert(app);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_let_in(keys: &[&str], name: HeaderName, value: Option<&'static str>) -> bool {
        let keys: Vec<SecretString> = keys.iter().map(|key| SecretString::from(*key)).collect();
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Keys::new(&keys).let_in(&headers, None).is_ok()
    }

    #[test]
    fn only_a_whole_key_is_let_in() {
        let check = |header| is_let_in(&["sk-one", "sk-two"], AUTHORIZATION, header);
        for header in ["Bearer sk-one", "bearer sk-two", "BEARER  sk-two "] {
            assert!(check(Some(header)), "{header}");
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
            assert!(!check(Some(header)), "{header}");
        }
        assert!(!check(None));
        let check = |header| is_let_in(&["sk-one", "sk-two"], X_API_KEY, Some(header));
        assert!(check("sk-two"));
        assert!(!check("sk-on") && !check("") && !check("Bearer sk-one"));
    }

    #[test]
    fn without_keys_only_this_machines_names_are_let_in() {
        let check = |host| is_let_in(&[], HOST, host);
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "localhost",
            "LOCALHOST:8080",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(check(Some(host)), "{host}");
        }
        assert!(check(None), "no browser leaves it out");
        for host in [
            "attacker.example",
            "attacker.example:8080",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example:80",
            "[::1].attacker.example",
            "",
        ] {
            assert!(!check(Some(host)), "{host}");
        }
        assert!(is_let_in(&[], AUTHORIZATION, Some("Bearer any")));
    }
}
