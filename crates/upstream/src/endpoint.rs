//! One server and model: its address, key, limits and policies, checked.

mod headers;
mod options;

pub use options::{EndpointOptions, PlainHttp, TimeLimits};

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use domain::Protocol;
use http::uri::Scheme;
use http::{HeaderMap, Uri};
use wire::chat::{Delivery, Dialect};
use wire::google::embed::Manner;

use self::headers::{check_way_in, headers};
use crate::aws_account::AwsAccount;
use crate::breaker::BreakerPolicy;
use crate::google_account::GoogleAccount;
use crate::retry::RetryPolicy;
use crate::speech::Speech;

/// Why options make no endpoint. `field` names the option, as in [`EndpointOptions`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
pub struct EndpointError {
    /// The option.
    pub field: &'static str,
    /// What is wrong with it and what to do.
    pub fault: String,
}

/// One server and model, checked. Its `Debug` shows neither key nor headers.
#[derive(Clone)]
pub struct Endpoint {
    /// `host` or `host:port`, for messages.
    pub(crate) host: String,
    pub(crate) protocol: Protocol,
    /// Where whole answers are asked for, and streams.
    pub(crate) uri: Uri,
    pub(crate) stream_uri: Uri,
    /// Where the continuation of a text is asked for, whole or streamed.
    pub(crate) texts_uri: Uri,
    /// Where vectors of texts are asked for, of one and of several.
    pub(crate) embedding_uri: Uri,
    pub(crate) embeddings_uri: Uri,
    /// How they are, where that is Google's to say.
    pub(crate) embedding: Option<Manner>,
    /// Where the server lists its models.
    pub(crate) models_uri: Uri,
    pub(crate) model: String,
    pub(crate) headers: HeaderMap,
    pub(crate) google_account: Option<GoogleAccount>,
    pub(crate) aws_account: Option<AwsAccount>,
    pub(crate) dialect: Dialect,
    pub(crate) limits: TimeLimits,
    pub(crate) retry: RetryPolicy,
    pub(crate) breaker: BreakerPolicy,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("uri", &self.uri)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The checked endpoint.
    ///
    /// # Errors
    /// When the address is no `https` address (or no allowed `http` one), the model is empty, the
    /// key or a header can't be sent, or a limit can't be kept.
    pub fn new(options: EndpointOptions) -> Result<Self, EndpointError> {
        let base = base_uri(&options)?;
        let speech = Speech::new(options.protocol, &base);
        let uri = |path: &str| surface_uri(&base, &options, path);
        let asking = |delivery| uri(&speech.path(&options.model, delivery));
        let embedding = |texts| uri(&speech.embeddings_path(&options.model, texts));
        if options.model.trim().is_empty() {
            let fault = "is empty; give the server's name of the model, for example `gpt-5-mini`";
            return Err(error("model", fault));
        }
        check_limits(&options)?;
        check_way_in(&options)?;
        Ok(Self {
            host: host(&base),
            headers: headers(&options, speech)?,
            protocol: options.protocol,
            uri: asking(Delivery::Whole)?,
            stream_uri: asking(Delivery::Streamed)?,
            texts_uri: uri("/completions")?,
            embedding_uri: embedding(1)?,
            embeddings_uri: embedding(2)?,
            embedding: speech.embedding(&options.model),
            models_uri: uri("/models")?,
            model: options.model,
            google_account: options.google_account,
            aws_account: options.aws_account,
            dialect: Dialect {
                naming: speech.naming(),
                ..options.dialect
            },
            limits: options.limits,
            retry: options.retry,
            breaker: options.breaker,
        })
    }
}

fn error(field: &'static str, fault: impl Into<String>) -> EndpointError {
    let fault = fault.into();
    EndpointError { field, fault }
}

const EXAMPLE: &str = "for example `https://api.openai.com/v1`";

/// The address that the options give, checked.
fn base_uri(options: &EndpointOptions) -> Result<Uri, EndpointError> {
    let bad = |what: &str| error("url", format!("{what}; {EXAMPLE}"));
    // The address itself is not shown: people put keys into addresses.
    let base: Uri = options
        .url
        .parse()
        .map_err(|_invalid| bad("is no address"))?;
    let authority = base.authority().ok_or_else(|| bad("names no server"))?;
    if authority.as_str().contains('@') {
        return Err(bad(
            "has a name or password in it, which belong into the key",
        ));
    }
    if base.query().is_some() || options.url.contains('#') {
        return Err(bad("goes on after its path; leave `?` and `#` out"));
    }
    let path = base.path().trim_end_matches('/');
    for surface in ["/completions", "/responses", "/messages", "/embeddings"] {
        if path.ends_with(surface) {
            let what = format!("names the surface too; end it before `{surface}`");
            return Err(bad(&what));
        }
    }
    match base.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => {}
        Some(scheme) if *scheme == Scheme::HTTP => {
            let is_far = !is_loopback(authority.host());
            if options.plain_http == PlainHttp::LoopbackOnly && is_far {
                return Err(error(
                    "url",
                    "is unencrypted and leaves this machine; use https, or allow plain http for \
                     this tier if the network is trusted",
                ));
            }
        }
        _ => return Err(bad("is neither https nor http")),
    }
    Ok(base)
}

/// The address of a path of the server's.
fn surface_uri(base: &Uri, options: &EndpointOptions, path: &str) -> Result<Uri, EndpointError> {
    let mut path = format!("{}{path}", base.path().trim_end_matches('/'));
    if let Some(version) = &options.api_version {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if version.is_empty() || !version.bytes().all(is_plain) {
            let fault = "is no version; give one such as `2024-10-21`";
            return Err(error("api_version", fault));
        }
        path.push(if path.contains('?') { '&' } else { '?' });
        path += &format!("api-version={version}");
    }
    Uri::builder()
        .scheme(base.scheme_str().unwrap_or_default())
        .authority(base.authority().map_or("", http::uri::Authority::as_str))
        .path_and_query(path)
        .build()
        .map_err(|_invalid| {
            let fault = "has a character that no address can have, where its protocol puts it";
            error("model", fault)
        })
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn host(uri: &Uri) -> String {
    uri.authority().map(ToString::to_string).unwrap_or_default()
}

fn check_limits(options: &EndpointOptions) -> Result<(), EndpointError> {
    let limits = options.limits;
    for (field, limit) in [
        ("limits.connect", limits.connect),
        ("limits.first_token", limits.first_token),
        ("limits.idle", limits.idle),
        ("limits.total", limits.total),
    ] {
        // A day is beyond any use, and a bound keeps sums of times in range.
        if limit.is_zero() || limit > Duration::from_secs(86_400) {
            let fault = format!("{limit:?} is outside 1 ms to 1 day, for example 30 s");
            return Err(error(field, fault));
        }
    }
    if options.retry.attempts_max == 0 {
        let fault = "0 allows no attempt at all; give at least 1, for example 3";
        return Err(error("retry.attempts_max", fault));
    }
    if options.breaker.failures == 0 {
        let fault = "0 would never let an attempt through; give at least 1, for example 5";
        return Err(error("breaker.failures", fault));
    }
    if options.breaker.recent_failures == 0 {
        let fault = "0 would never let an attempt through; give at least 1, for example 16";
        return Err(error("breaker.recent_failures", fault));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::speech::KeyHeader;

    fn endpoint(url: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::new(EndpointOptions::new(url, "m"))
    }

    #[test]
    fn addresses_are_checked_and_lead_to_the_chat_surface() {
        for (url, uri, host) in [
            (
                "https://api.openai.com/v1",
                "https://api.openai.com/v1/chat/completions",
                "api.openai.com",
            ),
            (
                "http://127.0.0.1:8000/v1/",
                "http://127.0.0.1:8000/v1/chat/completions",
                "127.0.0.1:8000",
            ),
            (
                "http://[::1]:1",
                "http://[::1]:1/chat/completions",
                "[::1]:1",
            ),
            (
                "http://localhost:11434/v1",
                "http://localhost:11434/v1/chat/completions",
                "localhost:11434",
            ),
        ] {
            let endpoint = endpoint(url).unwrap();
            assert_eq!(
                (&endpoint.uri, &endpoint.stream_uri),
                (&uri.parse().unwrap(), &uri.parse().unwrap())
            );
            assert_eq!(endpoint.host, host);
        }
        for bad in [
            "",
            "api.openai.com",
            "/v1",
            "ftp://a/v1",
            "https://user:pass@a/v1",
            "https://a/v1?key=x",
            "https://a/v1#x",
            "https://a/v1/chat/completions",
            "http://10.0.0.5:8000/v1",
            "http://127.0.0.1.example.com/v1",
            "http://localhost.example.com/v1",
        ] {
            assert_eq!(endpoint(bad).unwrap_err().field, "url", "{bad}");
        }
    }

    #[test]
    fn each_protocol_has_its_addresses_and_its_header_for_the_key() {
        let check = |protocol, version: Option<&str>, (whole, stream): (&str, &str), key: &str| {
            let mut options = EndpointOptions::new("https://a/base/", "m-1");
            options.protocol = protocol;
            options.api_version = version.map(str::to_owned);
            options.key = Some("sk-1".to_owned().into());
            let endpoint = Endpoint::new(options).unwrap();
            let after = |uri: &Uri| uri.to_string().replace("https://a/base/", "");
            assert_eq!(after(&endpoint.uri), whole);
            assert_eq!(after(&endpoint.stream_uri), stream);
            assert!(endpoint.headers.contains_key(key), "{key}");
        };
        let same = ("messages", "messages");
        check(Protocol::Anthropic, None, same, "x-api-key");
        let google = (
            "models/m-1:generateContent",
            "models/m-1:streamGenerateContent?alt=sse",
        );
        check(Protocol::Google, None, google, "x-goog-api-key");
        let azure = "chat/completions?api-version=2024-10-21";
        check(
            Protocol::OpenAiChat,
            Some("2024-10-21"),
            (azure, azure),
            "authorization",
        );
        let mut options = EndpointOptions::new("https://a/openai/v1", "m");
        options.key = Some("sk-1".to_owned().into());
        options.key_header = Some(KeyHeader::ApiKey);
        let endpoint = Endpoint::new(options.clone()).unwrap();
        assert_eq!(endpoint.headers.get("api-key").unwrap(), "sk-1");
        assert!(!endpoint.headers.contains_key(AUTHORIZATION));
        options.api_version = Some("a&b".to_owned());
        assert_eq!(Endpoint::new(options).unwrap_err().field, "api_version");
    }

    #[test]
    fn plain_http_beyond_this_machine_must_be_allowed() {
        let mut options = EndpointOptions::new("http://pool.lan:8000/v1", "m");
        options.plain_http = PlainHttp::Allowed;
        assert!(Endpoint::new(options).is_ok());
    }

    #[test]
    fn limits_must_be_possible() {
        let check = |field: &str, change: fn(&mut EndpointOptions)| {
            let mut options = EndpointOptions::new("https://a/v1", "m");
            change(&mut options);
            assert_eq!(Endpoint::new(options).unwrap_err().field, field);
        };
        check("limits.idle", |options| {
            options.limits.idle = Duration::ZERO
        });
        check("limits.total", |options| {
            options.limits.total = Duration::MAX
        });
        check("retry.attempts_max", |options| {
            options.retry.attempts_max = 0
        });
        check("breaker.failures", |options| options.breaker.failures = 0);
        check("breaker.recent_failures", |options| {
            options.breaker.recent_failures = 0;
        });
        check("model", |options| options.model = " ".into());
    }
}
