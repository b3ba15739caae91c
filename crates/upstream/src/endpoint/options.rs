//! What an endpoint is made of.

use std::time::Duration;

use domain::Protocol;
use secrecy::SecretString;
use wire::chat::Dialect;

use crate::aws_account::AwsAccount;
use crate::breaker::BreakerPolicy;
use crate::google_account::GoogleAccount;
use crate::retry::RetryPolicy;
use crate::speech::KeyHeader;

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
