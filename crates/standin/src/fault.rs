//! Failures on demand.
//!
//! A fault is written `NAME[;KEY=VALUE…]`, for example `status:429;retry-after=1`, in a request's
//! header `x-standin-fault` or, with when it happens, in a rule: `status:500 every 10`,
//! `stall-before rate 0.05`, `cut-mid-event first 2`.

use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::answers::{number, unit};

/// One way to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `status:CODE[;retry-after=VALUE][;code=WORD][;type=WORD][;header=NAME:VALUE…][;final]`:
    /// answers with this status instead of a completion, and bills nothing. `final` forbids to try
    /// again.
    Status {
        /// The HTTP status, 300 to 599.
        status: u16,
        /// The value of the header `retry-after`.
        retry_after: Option<String>,
        /// The `code` of the error.
        code: Option<String>,
        /// The `type` of the error.
        kind: Option<String>,
        /// Headers beside.
        headers: Vec<(String, String)>,
        /// Whether `x-should-retry: false` is sent.
        is_final: bool,
    },
    /// `stall-before`: never answers.
    StallBefore,
    /// `stall-after`: stops after the first text of a stream, or in the midst of a whole answer.
    StallAfter,
    /// `ping-after`: the same, but a stream goes on with comments that keep it alive.
    PingAfter,
    /// `cut-before`: closes the connection before the answer.
    CutBefore,
    /// `cut-mid-event`: closes the connection in the midst of an event after the first text of a
    /// stream, or in the midst of a whole answer.
    CutMidEvent,
    /// `no-end`: ends a stream in good order after its text, without finish reason and end mark.
    NoEnd,
    /// `error-before`: reports an error as the first event of a stream.
    ErrorBefore,
    /// `error-after`: reports an error after the first text of a stream.
    ErrorAfter,
    /// `no-usage`: leaves the usage out.
    NoUsage,
    /// `wrong-usage`: reports half of the tokens that it bills.
    WrongUsage,
    /// `duplicate`: sends the first event of a stream, unless it shows something, and the last one
    /// twice, as proxies do.
    Duplicate,
    /// `garbage`: answers with status 200 and what is not of the protocol.
    Garbage,
    /// `drip`: sends an answer byte by byte.
    Drip,
}

/// Why a text is no fault or rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no fault; write one such as `status:429;retry-after=1`, `stall-before` or \
     `cut-mid-event`, in a rule followed by `every N`, `rate R` or `first N`"
)]
pub struct FaultError {
    text: String,
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let fault = match text {
            "stall-before" => Some(Self::StallBefore),
            "stall-after" => Some(Self::StallAfter),
            "ping-after" => Some(Self::PingAfter),
            "cut-before" => Some(Self::CutBefore),
            "cut-mid-event" => Some(Self::CutMidEvent),
            "no-end" => Some(Self::NoEnd),
            "error-before" => Some(Self::ErrorBefore),
            "error-after" => Some(Self::ErrorAfter),
            "no-usage" => Some(Self::NoUsage),
            "wrong-usage" => Some(Self::WrongUsage),
            "duplicate" => Some(Self::Duplicate),
            "garbage" => Some(Self::Garbage),
            "drip" => Some(Self::Drip),
            other => other.strip_prefix("status:").and_then(status),
        };
        fault.ok_or_else(|| FaultError {
            text: text.to_owned(),
        })
    }
}

fn status(text: &str) -> Option<Fault> {
    let mut parts = text.split(';');
    let number = parts.next()?.parse().ok();
    let mut fault = Fault::Status {
        status: number.filter(|status| (300..600).contains(status))?,
        retry_after: None,
        code: None,
        kind: None,
        headers: Vec::new(),
        is_final: false,
    };
    let Fault::Status {
        retry_after,
        code,
        kind,
        headers,
        is_final,
        ..
    } = &mut fault
    else {
        return None;
    };
    for part in parts {
        match part.split_once('=') {
            Some(("retry-after", value)) => *retry_after = Some(value.to_owned()),
            Some(("code", value)) => *code = Some(value.to_owned()),
            Some(("type", value)) => *kind = Some(value.to_owned()),
            Some(("header", value)) => {
                let (name, value) = value.split_once(':')?;
                headers.push((name.to_owned(), value.to_owned()));
            }
            None if part == "final" => *is_final = true,
            _ => return None,
        }
    }
    Some(fault)
}

/// When a fault happens, by the number of the request, counted from 1 and from the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// At each request whose number this one divides.
    Every(u64),
    /// At the first so many requests.
    First(u64),
    /// At this share of the requests, 0 to 1, drawn from the number and the stand-in's seed.
    Rate(f64),
}

/// A fault and when it happens.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// The fault.
    pub fault: Fault,
    /// When.
    pub when: When,
}

impl FaultRule {
    /// Whether the fault happens at the request of this number.
    pub(crate) fn strikes(&self, request: u64, seed: u64) -> bool {
        match self.when {
            When::Every(count) => request.checked_rem(count) == Some(0),
            When::First(count) => request <= count,
            When::Rate(rate) => {
                let mut hash = Sha256::new();
                hash.update(b"fault");
                hash.update(seed.to_le_bytes());
                hash.update(request.to_le_bytes());
                unit(number(&hash.finalize())) < rate
            }
        }
    }
}

impl FromStr for FaultRule {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let error = || FaultError {
            text: text.to_owned(),
        };
        let mut words = text.split_whitespace();
        let mut word = || words.next().ok_or_else(error);
        let fault = word()?.parse().map_err(|_bad: FaultError| error())?;
        let (how, amount) = (word()?, word()?);
        let count = || amount.parse().ok().filter(|&count| count >= 1);
        let rate = || {
            amount
                .parse()
                .ok()
                .filter(|rate| (0.0..=1.0).contains(rate))
        };
        let when = match how {
            "every" => count().map(When::Every),
            "first" => count().map(When::First),
            "rate" => rate().map(When::Rate),
            _ => None,
        };
        match (when, words.next()) {
            (Some(when), None) => Ok(Self { fault, when }),
            _ => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_and_rules_are_read() {
        let expected = Fault::Status {
            status: 429,
            retry_after: Some("1".into()),
            code: Some("insufficient_quota".into()),
            kind: None,
            headers: vec![("anthropic-ratelimit-requests-remaining".into(), "0".into())],
            is_final: true,
        };
        let text = "status:429;retry-after=1;code=insufficient_quota;\
                    header=anthropic-ratelimit-requests-remaining:0;final";
        assert_eq!(text.parse(), Ok(expected));
        let rule = FaultRule {
            fault: Fault::StallBefore,
            when: When::Every(10),
        };
        assert_eq!("stall-before every 10".parse(), Ok(rule));
        for bad in ["", "status:200", "status:x", "status:500;x=1", "stall"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
        for bad in [
            "drip",
            "drip every",
            "drip every 0",
            "drip rate 2",
            "drip first 1 2",
        ] {
            assert!(bad.parse::<FaultRule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rules_strike_by_number() {
        let struck = |when: &str| {
            let rule: FaultRule = format!("drip {when}").parse().unwrap();
            (1..=1_000)
                .filter(|&request| rule.strikes(request, 7))
                .count()
        };
        assert_eq!(struck("every 10"), 100);
        assert_eq!(struck("first 3"), 3);
        assert_eq!(struck("rate 0"), 0);
        assert_eq!(struck("rate 1"), 1_000);
        assert!((60..140).contains(&struck("rate 0.1")));
    }
}
