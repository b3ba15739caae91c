//! What a vendor's answer of failure means: one table of status, type and code.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::error::{Refusal, UpstreamError, VendorAnswer};

/// What is to be done about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Refused(Refusal),
    Busy,
}

/// Which statuses a rule is about.
#[derive(Clone, Copy)]
enum Statuses {
    Any,
    Of(&'static [u16]),
    Between(u16, u16),
}

struct Rule {
    statuses: Statuses,
    /// Types or codes of which one must be there; empty when none needs to.
    words: &'static [&'static str],
    meaning: Meaning,
}

/// Words by which vendors say that money is used up; waiting does not mend it. OpenAI's first,
/// then Anthropic's, then those of compatible vendors.
const SPENT: &[&str] = &[
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "enforced_spend_limit_reached",
    "billing_error",
    "credit_balance_too_low",
    "insufficient_balance",
    "insufficient_credits",
    "spend_limit_reached",
];

/// The first rule that fits counts.
const RULES: &[Rule] = &[
    rule(Statuses::Any, SPENT, Meaning::Refused(Refusal::Spend)),
    rule(Statuses::Of(&[402]), &[], Meaning::Refused(Refusal::Spend)),
    rule(
        Statuses::Of(&[401, 403]),
        &[],
        Meaning::Refused(Refusal::Credentials),
    ),
    rule(Statuses::Of(&[408, 409, 429]), &[], Meaning::Busy),
    rule(
        Statuses::Of(&[404, 405, 410, 501, 505]),
        &[],
        Meaning::Refused(Refusal::Address),
    ),
    // A redirect is not followed: it could lead the key and the prompt to a host that nobody allowed.
    rule(
        Statuses::Between(300, 399),
        &[],
        Meaning::Refused(Refusal::Address),
    ),
    // 529 is Anthropic's overload, 520 to 527 a relay's words for an origin in trouble.
    rule(Statuses::Between(500, 599), &[], Meaning::Busy),
    // What remains is 4xx.
    rule(Statuses::Any, &[], Meaning::Refused(Refusal::Request)),
];

/// Types of an error within a stream that a later attempt does not mend.
const LASTING: &[&str] = &[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    // Google's.
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "NOT_FOUND",
];

const fn rule(statuses: Statuses, words: &'static [&'static str], meaning: Meaning) -> Rule {
    Rule {
        statuses,
        words,
        meaning,
    }
}

/// The error that an answer of failure stands for. Where both headers and body ask for a wait, the
/// longer one counts.
pub(crate) fn classify(
    host: &str,
    answer: VendorAnswer,
    (headers, in_body): (&HeaderMap, Option<Duration>),
    now: SystemTime,
) -> UpstreamError {
    let mut meaning = meaning(&answer);
    let forbidden = headers.get("x-should-retry");
    if meaning == Meaning::Busy && forbidden.is_some_and(|value| value == "false") {
        meaning = Meaning::Refused(Refusal::Final);
    }
    let host = host.to_owned();
    match meaning {
        Meaning::Refused(reason) => UpstreamError::Refused {
            host,
            answer,
            reason,
        },
        Meaning::Busy => UpstreamError::Busy {
            host,
            answer,
            retry_after: retry_after(headers, now).max(in_body),
        },
    }
}

/// Whether a status is spoken by relays in front of a vendor when they lost the answer of the
/// vendor itself. The vendor may have worked, and bill.
pub(crate) fn is_of_relay(status: u16) -> bool {
    matches!(status, 502 | 504 | 520..=527)
}

/// Whether an error within a stream may pass by itself.
pub(crate) fn is_passing(answer: &VendorAnswer) -> bool {
    !has_word(answer, SPENT) && !has_word(answer, LASTING)
}

fn meaning(answer: &VendorAnswer) -> Meaning {
    let fits = |rule: &&Rule| {
        let status = match rule.statuses {
            Statuses::Any => true,
            Statuses::Of(list) => list.contains(&answer.status),
            Statuses::Between(first, last) => (first..=last).contains(&answer.status),
        };
        status && (rule.words.is_empty() || has_word(answer, rule.words))
    };
    RULES
        .iter()
        .find(fits)
        .map_or(Meaning::Refused(Refusal::Request), |rule| rule.meaning)
}

fn has_word(answer: &VendorAnswer, words: &[&str]) -> bool {
    let told = [&answer.kind, &answer.code];
    let mut told = told.into_iter().flatten();
    told.any(|told| words.contains(&told.as_str()))
}

/// The wait that the headers ask for: `retry-after-ms` (OpenAI, Azure), otherwise `retry-after`
/// in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
    if let Some(ms) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1_000.0).ok();
    }
    let value = text(RETRY_AFTER.as_str())?;
    seconds(value).or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or(Duration::ZERO))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Billing, Side};
    use http::HeaderValue;

    fn answer(status: u16, code: &str) -> VendorAnswer {
        VendorAnswer {
            status,
            kind: None,
            code: (!code.is_empty()).then(|| code.to_owned()),
        }
    }

    #[test]
    fn each_answer_means_what_the_vendors_rules_say() {
        use Refusal::{Address, Credentials, Request, Spend};
        let cases = [
            (400, "", Meaning::Refused(Request)),
            (401, "invalid_api_key", Meaning::Refused(Credentials)),
            (402, "", Meaning::Refused(Spend)),
            (403, "", Meaning::Refused(Credentials)),
            (403, "billing_not_active", Meaning::Refused(Spend)),
            (404, "model_not_found", Meaning::Refused(Address)),
            (307, "", Meaning::Refused(Address)),
            (405, "", Meaning::Refused(Address)),
            (408, "", Meaning::Busy),
            (409, "", Meaning::Busy),
            (413, "", Meaning::Refused(Request)),
            (422, "", Meaning::Refused(Request)),
            (429, "rate_limit_exceeded", Meaning::Busy),
            (429, "insufficient_quota", Meaning::Refused(Spend)),
            (429, "enforced_spend_limit_reached", Meaning::Refused(Spend)),
            (500, "", Meaning::Busy),
            (501, "", Meaning::Refused(Address)),
            (502, "", Meaning::Busy),
            (503, "", Meaning::Busy),
            (504, "", Meaning::Busy),
            (524, "", Meaning::Busy),
            (529, "overloaded_error", Meaning::Busy),
        ];
        for (status, code, expected) in cases {
            assert_eq!(meaning(&answer(status, code)), expected, "{status} {code}");
        }
    }

    #[test]
    fn the_type_counts_as_much_as_the_code() {
        let by_type = VendorAnswer {
            status: 429,
            kind: Some("insufficient_quota".into()),
            code: None,
        };
        assert_eq!(meaning(&by_type), Meaning::Refused(Refusal::Spend));
        assert!(!is_passing(&by_type));
        assert!(is_passing(&answer(200, "overloaded_error")));
    }

    #[test]
    fn the_wait_is_read_from_each_form_of_header() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let cases = [
            ("retry-after", "2", Some(2_000)),
            ("retry-after", "0.5", Some(500)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", Some(7_000)),
            ("retry-after", "Sun, 06 Nov 1983 08:49:37 GMT", Some(0)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("retry-after", "1e300", None),
            ("retry-after-ms", "250", Some(250)),
        ];
        for (name, value, expected) in cases {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]);
            let wait = retry_after(&headers, now);
            assert_eq!(wait, expected.map(Duration::from_millis), "{value}");
        }
    }

    #[test]
    fn an_answer_tells_what_it_costs_and_who_mends_it() {
        let of = |status, code| {
            let headers = HeaderMap::new();
            let now = SystemTime::UNIX_EPOCH;
            classify(
                "vendor.example",
                answer(status, code),
                (&headers, None),
                now,
            )
        };
        assert_eq!(of(429, "").side(), Side::Us);
        assert_eq!(of(503, "").side(), Side::Vendor);
        assert_eq!(of(401, "").side(), Side::Us);
        assert_eq!(of(500, "").billing(), Billing::NotBilled);
        assert_eq!(of(504, "").billing(), Billing::MayBeBilled);
        assert!(of(503, "").is_retryable() && !of(400, "").is_retryable());
        let text = of(429, "insufficient_quota").to_string();
        assert_eq!(
            text,
            "vendor.example refused the request with status 429 (insufficient_quota); the \
             account's money or spending limit is used up; raise it there"
        );
    }

    #[test]
    fn a_vendor_may_forbid_to_try_again() {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-should-retry"),
            HeaderValue::from_static("false"),
        )]);
        let now = SystemTime::UNIX_EPOCH;
        let error = classify("vendor.example", answer(500, ""), (&headers, None), now);
        assert!(!error.is_retryable());
    }

    #[test]
    fn the_longer_of_two_waits_counts() {
        let (now, second) = (SystemTime::UNIX_EPOCH, Duration::from_secs(1));
        let wait = |header: &'static str, in_body| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(header))]);
            match classify("vendor.example", answer(429, ""), (&headers, in_body), now) {
                UpstreamError::Busy { retry_after, .. } => retry_after,
                other => panic!("{other}"),
            }
        };
        assert_eq!(wait("3", Some(second)), Some(3 * second));
        assert_eq!(wait("3", Some(9 * second)), Some(9 * second));
        assert_eq!(wait("soon", Some(second)), Some(second));
        assert_eq!(wait("3", None), Some(3 * second));
    }
}
