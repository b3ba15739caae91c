//! Attempts that fail: what the error says, and that it agrees with the vendor's bill.

use std::time::Duration;

use upstream::{Billing, Breakage, Client, Output, Refusal, Side, Unreached, UpstreamError};

use crate::vendor::{ANSWER, QUESTION, Question, Vendor, client, collect};

/// The limit that a stall is to run into. Connecting counts too, on a busy machine.
const STALL: Duration = Duration::from_secs(2);

/// A client whose limits pass soon where the vendor stalls, and nowhere else: which limit ends an
/// attempt must not depend on how busy the machine is.
fn client_for(rule: &str, vendor: &Vendor) -> Client {
    let mut options = vendor.options();
    if rule.starts_with("stall-before") {
        options.limits.first_token = STALL;
    } else if rule.starts_with("stall") || rule.starts_with("ping") {
        options.limits.idle = STALL;
    }
    client(options)
}

/// What is true of every error of an attempt.
fn check_error(error: &UpstreamError, vendor: &Vendor) {
    let told = format!("{error} {error:?}");
    for secret in [QUESTION, ANSWER, "sk-test", "asked to fail"] {
        assert!(!told.contains(secret), "{told}");
    }
    if error.billing() == Billing::NotBilled {
        assert!(vendor.bills().is_empty(), "the vendor bills: {error}");
    }
}

async fn status(rule: &str) -> UpstreamError {
    let vendor = Vendor::start(&[rule]).await;
    let client = vendor.client();
    let error = Question::new().ask(&client).await.unwrap_err();
    check_error(&error, &vendor);
    let streamed = Question::new().ask_streamed(&client).await.unwrap_err();
    assert_eq!(streamed, error);
    assert_eq!(vendor.running.requests(), 2);
    error
}

#[tokio::test]
async fn an_answer_of_failure_says_what_to_do() {
    for (rule, retryable, side) in [
        ("status:400;code=invalid_value every 1", false, Side::Us),
        ("status:403 every 1", false, Side::Us),
        ("status:404 every 1", false, Side::Us),
        ("status:408 every 1", true, Side::Vendor),
        ("status:409 every 1", true, Side::Vendor),
        ("status:429 every 1", true, Side::Us),
        (
            "status:429;code=insufficient_quota every 1",
            false,
            Side::Us,
        ),
        (
            "status:429;type=enforced_spend_limit_reached every 1",
            false,
            Side::Us,
        ),
        ("status:500 every 1", true, Side::Vendor),
        ("status:500;final every 1", false, Side::Vendor),
        ("status:503 every 1", true, Side::Vendor),
        (
            "status:529;type=overloaded_error every 1",
            true,
            Side::Vendor,
        ),
    ] {
        let error = status(rule).await;
        assert_eq!(error.is_retryable(), retryable, "{rule}");
        let mended = rule.contains("quota") || rule.contains("spend") || rule.contains(":403");
        assert_eq!(error.may_pass(), retryable || mended, "{rule}");
        assert_eq!(error.side(), side, "{rule}");
        assert_eq!(error.billing(), Billing::NotBilled, "{rule}");
    }
}

#[tokio::test]
async fn the_wait_that_a_vendor_asks_for_is_told() {
    let error = status("status:429;retry-after=1 every 1").await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_wrong_key_is_told_apart() {
    let vendor = Vendor::start(&[]).await;
    let mut options = vendor.options();
    options.key = Some("sk-other".into());
    let error = Question::new().ask(&client(options)).await.unwrap_err();
    let UpstreamError::Refused { reason, answer, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*reason, Refusal::Credentials);
    assert_eq!(answer.code.as_deref(), Some("invalid_api_key"));
    assert!(!error.to_string().contains("sk-other"));
}

/// The breakage of a whole answer under a fault.
async fn broken_whole(rule: &str) -> (UpstreamError, Breakage) {
    let vendor = Vendor::start(&[rule]).await;
    let error = Question::new()
        .ask(&client_for(rule, &vendor))
        .await
        .unwrap_err();
    check_error(&error, &vendor);
    assert_eq!(error.billing(), Billing::MayBeBilled, "{rule}");
    assert_eq!(vendor.bills().len(), 1, "{rule}");
    let UpstreamError::Broken { cause, output, .. } = &error else {
        panic!("{rule}: {error:?}");
    };
    assert_eq!(*output, Output::None, "{rule}");
    let cause = cause.clone();
    (error, cause)
}

#[tokio::test]
async fn a_whole_answer_that_breaks_may_be_billed() {
    let idle = Breakage::Idle(STALL);
    for (rule, expected, retryable) in [
        ("stall-after every 1", Some(idle), true),
        ("cut-before every 1", Some(Breakage::Cut), true),
        ("cut-mid-event every 1", Some(Breakage::Cut), true),
        ("garbage every 1", None, false),
    ] {
        let (error, cause) = broken_whole(rule).await;
        match expected {
            Some(expected) => assert_eq!(cause, expected, "{rule}"),
            None => assert!(
                matches!(cause, Breakage::Unreadable(_)),
                "{rule}: {cause:?}"
            ),
        }
        assert_eq!(error.is_retryable(), retryable, "{rule}");
    }
}

#[tokio::test]
async fn the_limit_for_everything_ends_a_whole_answer() {
    let vendor = Vendor::start(&["stall-before every 1"]).await;
    let mut options = vendor.options();
    options.limits.total = STALL;
    let error = Question::new().ask(&client(options)).await.unwrap_err();
    check_error(&error, &vendor);
    assert!(
        matches!(
            &error,
            UpstreamError::Broken {
                cause: Breakage::Total,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.billing(), Billing::MayBeBilled);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_text_may_be_tried_again() {
    let first = Breakage::FirstToken(STALL);
    for (rule, expected, retryable) in [
        ("stall-before every 1", Some(first), true),
        ("cut-before every 1", Some(Breakage::Cut), true),
        ("error-before every 1", None, true),
        ("garbage every 1", None, false),
    ] {
        let vendor = Vendor::start(&[rule]).await;
        let client = client_for(rule, &vendor);
        let error = Question::new().ask_streamed(&client).await.unwrap_err();
        check_error(&error, &vendor);
        assert_eq!(error.is_retryable(), retryable, "{rule}: {error:?}");
        assert_eq!(error.billing(), Billing::MayBeBilled, "{rule}");
        if let (Some(expected), UpstreamError::Broken { cause, .. }) = (expected, &error) {
            assert_eq!(*cause, expected, "{rule}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_text_must_not_be_tried_again() {
    let idle = Breakage::Idle(STALL);
    for (rule, expected) in [
        ("stall-after every 1", Some(idle.clone())),
        ("ping-after every 1", Some(idle)),
        ("cut-mid-event every 1", Some(Breakage::Cut)),
        ("no-end every 1", Some(Breakage::Cut)),
        ("error-after every 1", None),
    ] {
        let vendor = Vendor::start(&[rule]).await;
        let client = client_for(rule, &vendor);
        let mut stream = Question::new().ask_streamed(&client).await.unwrap();
        let (text, end) = collect(&mut stream).await;
        let error = end.unwrap_err();
        check_error(&error, &vendor);
        assert!(
            !text.is_empty() && ANSWER.starts_with(&text),
            "{rule}: {text}"
        );
        assert!(!error.is_retryable(), "{rule}: {error:?}");
        assert_eq!(error.billing(), Billing::MayBeBilled, "{rule}");
        let UpstreamError::Broken { cause, output, .. } = &error else {
            panic!("{rule}: {error:?}");
        };
        assert_eq!(*output, Output::Begun, "{rule}");
        match expected {
            Some(expected) => assert_eq!(*cause, expected, "{rule}"),
            None => assert!(matches!(cause, Breakage::Reported(_)), "{rule}: {cause:?}"),
        }
        assert!(
            stream.next_event().await.is_err(),
            "{rule}: nothing follows an error"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_down_gets_nothing_and_bills_nothing() {
    let vendor = Vendor::start(&[]).await;
    let options = vendor.options();
    vendor.running.shutdown().await;
    let error = Question::new().ask(&client(options)).await.unwrap_err();
    assert!(
        matches!(
            &error,
            UpstreamError::Unreachable {
                cause: Unreached::Failed(_),
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        (error.billing(), error.side()),
        (Billing::NotBilled, Side::Network)
    );
    assert!(error.is_retryable());
}
