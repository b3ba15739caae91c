//! What can go wrong with an attempt, split by what its caller can do.

use std::fmt;
use std::time::Duration;

use crate::classify;

/// Why an attempt brought no completion. No message of it holds text of the prompt, of the
/// completion or of the vendor's own message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The vendor refuses the request, and would refuse it again.
    #[error("{host} refused the request with {answer}; {reason}")]
    Refused {
        /// The server, as `host:port` or `host`.
        host: String,
        /// What it answered.
        answer: VendorAnswer,
        /// Why, and so what is to be mended.
        reason: Refusal,
    },
    /// The vendor can't serve the request now.
    #[error("{host} can't serve the request now: {answer}")]
    Busy {
        /// The server.
        host: String,
        /// What it answered.
        answer: VendorAnswer,
        /// The least time that it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// No connection came about, so that nothing was sent.
    #[error("{host} can't be reached: {cause}")]
    Unreachable {
        /// The server.
        host: String,
        /// Why not.
        cause: Unreached,
    },
    /// The request was sent, and no whole answer came back.
    #[error("the answer of {host} {cause}")]
    Broken {
        /// The server.
        host: String,
        /// What happened to the answer.
        cause: Breakage,
        /// Whether some of its text has been given out already.
        output: Output,
    },
    /// The last attempts failed, so that none is made for a while.
    #[error("{host} failed several times and is left alone for another {} s", wait.as_secs_f64().ceil())]
    Resting {
        /// The server.
        host: String,
        /// How long.
        wait: Duration,
    },
}

/// A vendor's answer with a status of failure. Type and code are plain words without text of the
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorAnswer {
    /// The HTTP status; 200 when the failure was told within a stream.
    pub status: u16,
    /// The protocol's class of error, for example `rate_limit_error`.
    pub kind: Option<String>,
    /// The vendor's word for the case, for example `insufficient_quota`.
    pub code: Option<String>,
}

/// Why a vendor refuses a request for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Something in the request.
    Request,
    /// There is no such address or model, or it is not asked in this way.
    Address,
    /// The key.
    Credentials,
    /// The account has no money left, or a limit that a person has set.
    Spend,
    /// The vendor forbids to try again, without a reason.
    Final,
}

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The limit of time for connecting passed.
    Connect(Duration),
    /// The limit of time for everything passed before there was a connection.
    Total,
    /// Name look-up, connection or TLS failed, with the system's words for it.
    Failed(String),
}

/// What happened to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// Nothing of it came within the limit for the first token.
    FirstToken(Duration),
    /// Nothing more of it came within the limit between two tokens.
    Idle(Duration),
    /// It was not whole within the limit for everything.
    Total,
    /// The connection ended before it.
    Cut,
    /// The vendor reported an error within it.
    Reported(VendorAnswer),
    /// It is not of the protocol's form, with what is wrong.
    Unreadable(String),
    /// It has more than this many bytes.
    TooLarge(usize),
}

/// Whether some text of an answer has been given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// None.
    None,
    /// Some, so that the request must not be sent again.
    Begun,
}

/// Whether a failed attempt may cost money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Billing {
    /// Certainly not: it never reached the vendor, or the vendor answered with a failure.
    NotBilled,
    /// It may, so that its hold must be kept until it is known.
    MayBeBilled,
}

/// Who is to mend a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This program, its config, its account or its rate of requests.
    Us,
    /// The vendor.
    Vendor,
    /// The way between.
    Network,
}

impl UpstreamError {
    /// Whether the attempt may cost money.
    #[must_use]
    pub fn billing(&self) -> Billing {
        match self {
            Self::Refused { .. } | Self::Unreachable { .. } | Self::Resting { .. } => {
                Billing::NotBilled
            }
            Self::Busy { answer, .. } if !classify::is_of_relay(answer.status) => {
                Billing::NotBilled
            }
            Self::Busy { .. } | Self::Broken { .. } => Billing::MayBeBilled,
        }
    }

    /// Whether the same request may succeed at the same endpoint a little later. Never after text
    /// has been given out.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Resting { .. } => false,
            Self::Busy { .. } => true,
            Self::Unreachable { cause, .. } => !matches!(cause, Unreached::Total),
            Self::Broken {
                output: Output::Begun,
                ..
            } => false,
            Self::Broken { cause, .. } => match cause {
                Breakage::FirstToken(_) | Breakage::Idle(_) | Breakage::Cut => true,
                Breakage::Reported(answer) => classify::is_passing(answer),
                Breakage::Total | Breakage::Unreadable(_) | Breakage::TooLarge(_) => false,
            },
        }
    }

    /// Whether the same request may succeed later, once the vendor has recovered, or a key or a
    /// spending limit was mended. Much of it is not worth another attempt at once; see
    /// [`Self::is_retryable`].
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { reason, .. } => {
                matches!(reason, Refusal::Credentials | Refusal::Spend)
            }
            Self::Broken { cause, .. } => match cause {
                Breakage::Reported(answer) => classify::is_passing(answer),
                Breakage::TooLarge(_) => false,
                Breakage::FirstToken(_)
                | Breakage::Idle(_)
                | Breakage::Total
                | Breakage::Cut
                | Breakage::Unreadable(_) => true,
            },
            Self::Busy { .. } | Self::Unreachable { .. } | Self::Resting { .. } => true,
        }
    }

    /// Who is to mend it.
    #[must_use]
    pub fn side(&self) -> Side {
        match self {
            Self::Refused { reason, .. } => match reason {
                Refusal::Request | Refusal::Address | Refusal::Credentials | Refusal::Spend => {
                    Side::Us
                }
                Refusal::Final => Side::Vendor,
            },
            Self::Busy { answer, .. } if answer.status == 429 => Side::Us,
            Self::Busy { .. } | Self::Resting { .. } => Side::Vendor,
            Self::Unreachable { .. } => Side::Network,
            Self::Broken { cause, .. } => match cause {
                Breakage::Cut => Side::Network,
                _ => Side::Vendor,
            },
        }
    }

    /// The least time before the endpoint wants to be asked again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Resting { wait, .. } => Some(*wait),
            Self::Refused { .. } | Self::Unreachable { .. } | Self::Broken { .. } => None,
        }
    }

    /// What the vendor answered, if it answered with a failure.
    #[must_use]
    pub fn vendor_answer(&self) -> Option<&VendorAnswer> {
        match self {
            Self::Refused { answer, .. } | Self::Busy { answer, .. } => Some(answer),
            Self::Broken {
                cause: Breakage::Reported(answer),
                ..
            } => Some(answer),
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Resting { .. } => None,
        }
    }
}

impl fmt::Display for VendorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        match (&self.kind, &self.code) {
            (Some(kind), Some(code)) => write!(f, " ({kind}, {code})"),
            (Some(word), None) | (None, Some(word)) => write!(f, " ({word})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "check the request's fields, and what the tier's model takes",
            Self::Address => "check the tier's url, protocol and model",
            Self::Credentials => "check the tier's key and what the account may use",
            Self::Spend => "the account's money or spending limit is used up; raise it there",
            Self::Final => "the vendor says that trying again is of no use",
        })
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(limit) => write!(f, "no connection within {limit:?}"),
            Self::Total => f.write_str("the request's time was over before it was connected"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

impl fmt::Display for Breakage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstToken(limit) => write!(f, "did not begin within {limit:?}"),
            Self::Idle(limit) => write!(f, "stalled for {limit:?}"),
            Self::Total => f.write_str("was not whole when the request's time was over"),
            Self::Cut => f.write_str("was cut off"),
            Self::Reported(answer) => write!(f, "reports a failure: {answer}"),
            Self::Unreadable(what) => write!(f, "is unreadable: {what}"),
            Self::TooLarge(bytes_max) => write!(f, "has more than {bytes_max} bytes"),
        }
    }
}
