//! One server and model: its address, key, limits and policies, checked.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use domain::Protocol;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use secrecy::{ExposeSecret, SecretString};
use wire::chat::{Delivery, Dialect};
use wire::google::embed::Manner;

use crate::aws_account::AwsAccount;
use crate::breaker::BreakerPolicy;
use crate::google_account::GoogleAccount;
use crate::retry::RetryPolicy;
use crate::speech::{KeyHeader, Speech};

/// Headers that the client itself writes.
const OWN_HEADERS: [HeaderName; 9] = [
    AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    CONTENT_TYPE,
    http::header::CONTENT_LENGTH,
    http::header::TRANSFER_ENCODING,
    http::header::HOST,
    http::header::ACCEPT_ENCODING,
];

/// What an endpoint is made of, unchecked.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// The address up to and with the version, for example `https://api.openai.com/v1`.
    pub url: String,
    /// The server's name of the model.
    pub model: String,
    /// The protocol that the server speaks.
    pub protocol: Protocol,
    /// The key.
    pub key: Option<SecretString>,
    /// The header in which the key is sent; `None` for the one that the protocol's own vendor
    /// wants.
    pub key_header: Option<KeyHeader>,
    /// The account of Google's in whose name the server is asked, instead of by a key.
    pub google_account: Option<GoogleAccount>,
    /// The account of AWS's in whose name requests are signed, instead of by a key.
    pub aws_account: Option<AwsAccount>,
    /// The version of the surface that the address names in its query, `?api-version=VERSION`,
    /// as Azure's older addresses do.
    pub api_version: Option<String>,
    /// Headers to send beside.
    pub headers: Vec<(String, String)>,
    /// Where an unencrypted connection is allowed.
    pub plain_http: PlainHttp,
    /// What the server differs in.
    pub dialect: Dialect,
    /// Limits of time.
    pub limits: TimeLimits,
    /// When an attempt is made again.
    pub retry: RetryPolicy,
    /// When the server is left alone.
    pub breaker: BreakerPolicy,
}

impl EndpointOptions {
    /// The options for this address and model, without a key and with everything else at its
    /// default.
    #[must_use]
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            protocol: Protocol::OpenAiChat,
            key: None,
            key_header: None,
            google_account: None,
            aws_account: None,
            api_version: None,
            headers: Vec::new(),
            plain_http: PlainHttp::default(),
            dialect: Dialect::default(),
            limits: TimeLimits::default(),
            retry: RetryPolicy::default(),
            breaker: BreakerPolicy::default(),
        }
    }
}

/// Where `http://` is allowed instead of `https://`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PlainHttp {
    /// To this machine only: `localhost`, `127.0.0.0/8` and `[::1]`.
    #[default]
    LoopbackOnly,
    /// Anywhere, for pools in a network that is trusted.
    Allowed,
}

/// Limits of time of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// For name look-up, connection and TLS of one attempt. Default 5 s.
    pub connect: Duration,
    /// From the begin of an attempt, connecting included, to the first event of a stream. A whole
    /// answer comes at once and has no such limit. Default 60 s.
    pub first_token: Duration,
    /// Between two events of a stream or two pieces of a whole answer. Default 30 s.
    pub idle: Duration,
    /// For everything, all attempts and the waits between them included. Default 600 s.
    pub total: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(600),
        }
    }
}

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

fn headers(options: &EndpointOptions, speech: Speech) -> Result<HeaderMap, EndpointError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let agent = concat!("tiergate/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    for (name, value) in &options.headers {
        let bad = |fault: &str| error("headers", format!("`{}`: {fault}", name.escape_debug()));
        let parsed: HeaderName = name
            .parse()
            .map_err(|_invalid| bad("is no name of a header"))?;
        if OWN_HEADERS.contains(&parsed) {
            return Err(bad("is written by the program itself; leave it out"));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_invalid| bad("has a character that no header can carry"))?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    headers.extend(speech.header());
    if let Some(key) = &options.key {
        let header = options.key_header.unwrap_or_else(|| speech.key_header());
        headers.insert(header.name(), key_value(key, header)?);
    }
    Ok(headers)
}

fn key_value(key: &SecretString, header: KeyHeader) -> Result<HeaderValue, EndpointError> {
    let key = key.expose_secret();
    if key.is_empty() {
        return Err(error("key", "is empty; give the vendor's key, or none"));
    }
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    let value = plain.then(|| match header {
        KeyHeader::Bearer => HeaderValue::try_from(format!("Bearer {key}")),
        _ => HeaderValue::try_from(key),
    });
    let Some(Ok(mut value)) = value else {
        let fault = "has a character that no key has, often a space or line break at its end";
        return Err(error("key", fault));
    };
    value.set_sensitive(true);
    Ok(value)
}

/// A server is asked by a key or in the name of one account.
fn check_way_in(options: &EndpointOptions) -> Result<(), EndpointError> {
    let (google, aws) = (&options.google_account, &options.aws_account);
    let fault = "stands beside another way in; give one";
    if google.is_some() && options.key.is_some() {
        return Err(error("google_account", fault));
    }
    if aws.is_some() && (options.key.is_some() || google.is_some()) {
        return Err(error("aws_account", fault));
    }
    Ok(())
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
    use super::*;

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
    fn a_key_is_never_shown_and_must_be_sendable() {
        let with_key = |key: &str| {
            let mut options = EndpointOptions::new("https://a/v1", "m");
            options.key = Some(key.to_owned().into());
            Endpoint::new(options)
        };
        let shown = format!(
            "{:?} {:?}",
            with_key("sk-1"),
            with_key("sk-1").unwrap().headers
        );
        assert!(!shown.contains("sk-1"), "{shown}");
        for bad in ["", "sk-1\n", "sk 1", "sk-é"] {
            let error = with_key(bad).unwrap_err();
            assert_eq!(error.field, "key");
            assert!(!error.to_string().contains("sk"), "{error}");
        }
    }

    #[test]
    fn headers_are_checked() {
        let with_header = |name: &str, value: &str| {
            let mut options = EndpointOptions::new("https://a/v1", "m");
            options.headers = vec![(name.into(), value.into())];
            Endpoint::new(options)
        };
        assert!(with_header("openai-project", "p1").is_ok());
        for (name, value) in [
            ("a b", "x"),
            ("x", "a\nb"),
            ("Authorization", "x"),
            ("host", "x"),
        ] {
            assert_eq!(
                with_header(name, value).unwrap_err().field,
                "headers",
                "{name}"
            );
        }
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
