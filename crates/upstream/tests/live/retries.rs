//! What follows a failure: retries, their budget, and the breaker.

use std::time::Duration;

use tokio::time::Instant;
use upstream::{Billing, UpstreamError};

use crate::vendor::{ANSWER, Question, Vendor, client, collect};

#[tokio::test]
async fn a_failure_that_passes_is_tried_again() {
    let vendor = Vendor::start(&["status:500 first 2"]).await;
    let question = Question::new();
    let (prompt, generation) = (&question.prompt, &question.generation);
    let completion = vendor.client().complete(prompt, generation).await.unwrap();
    assert_eq!(completion.text(), ANSWER);
    assert_eq!(vendor.running.requests(), 3);
    assert_eq!(vendor.bills().len(), 1);
}

#[tokio::test]
async fn a_stream_is_tried_again_until_its_text_begins_and_never_after() {
    let vendor = Vendor::start(&["cut-before first 1", "cut-mid-event every 2"]).await;
    let question = Question::new();
    let (prompt, generation) = (&question.prompt, &question.generation);
    let mut stream = vendor.client().stream(prompt, generation).await.unwrap();
    let (text, end) = collect(&mut stream).await;
    assert!(!text.is_empty());
    assert!(!end.unwrap_err().is_retryable());
    assert_eq!(vendor.running.requests(), 2);
}

#[tokio::test]
async fn a_used_up_account_is_not_asked_again() {
    let vendor = Vendor::start(&["status:429;code=insufficient_quota every 1"]).await;
    let question = Question::new();
    let (prompt, generation) = (&question.prompt, &question.generation);
    vendor
        .client()
        .complete(prompt, generation)
        .await
        .unwrap_err();
    assert_eq!(vendor.running.requests(), 1);
}

#[tokio::test]
async fn the_vendors_wait_is_the_least_wait() {
    let vendor = Vendor::start(&["status:429;retry-after=7 every 1"]).await;
    let client = vendor.client();
    let question = Question::new();
    let mut schedule = client.schedule();
    let error = client
        .attempt(&question.attempt(&schedule))
        .await
        .unwrap_err();
    let wait = schedule.after(&error, Instant::now()).unwrap();
    assert!(wait >= Duration::from_secs(7));
    let near_the_end = schedule.deadline() - Duration::from_secs(7);
    assert_eq!(schedule.after(&error, near_the_end), None);
}

#[tokio::test]
async fn attempts_and_budget_end() {
    let vendor = Vendor::start(&["status:503 every 1"]).await;
    let question = Question::new();
    let (prompt, generation) = (&question.prompt, &question.generation);
    vendor
        .client()
        .complete(prompt, generation)
        .await
        .unwrap_err();
    assert_eq!(vendor.running.requests(), 3, "three attempts by default");
    let mut options = vendor.options();
    options.retry.budget_per_second = 0;
    (options.breaker.failures, options.breaker.recent_failures) = (1_000, 1_000);
    let client = client(options);
    for _ in 0..40 {
        client.complete(prompt, generation).await.unwrap_err();
    }
    assert_eq!(
        vendor.running.requests(),
        3 + 44,
        "a tenth of forty may be retries"
    );
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_alone_until_a_probe_succeeds() {
    let vendor = Vendor::start(&["status:500 first 2"]).await;
    let mut options = vendor.options();
    options.breaker.failures = 2;
    options.breaker.cool_down = Duration::from_secs(3_600);
    let patient = client(options.clone());
    let question = Question::new();
    for _ in 0..2 {
        question.ask(&patient).await.unwrap_err();
    }
    let error = question.ask(&patient).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Resting { .. }), "{error:?}");
    assert_eq!(error.billing(), Billing::NotBilled);
    assert!(error.may_pass() && !error.is_retryable(), "later, not now");
    assert!(error.retry_after().unwrap() > Duration::from_secs(3_000));
    assert_eq!(vendor.running.requests(), 2, "nothing is sent");

    let vendor = Vendor::start(&["status:500 first 2"]).await;
    let mut options = vendor.options();
    options.breaker.failures = 2;
    options.breaker.cool_down = Duration::from_millis(1);
    let quick = client(options);
    for _ in 0..2 {
        question.ask(&quick).await.unwrap_err();
    }
    let answered = loop {
        match question.ask(&quick).await {
            Err(UpstreamError::Resting { wait, .. }) => tokio::time::sleep(wait).await,
            other => break other,
        }
    };
    assert_eq!(answered.unwrap().text(), ANSWER);
    assert_eq!(vendor.running.requests(), 3);
}

#[tokio::test]
async fn streams_open_the_breaker_too() {
    for rule in ["cut-before every 1", "cut-mid-event every 1"] {
        let vendor = Vendor::start(&[rule]).await;
        let mut options = vendor.options();
        options.breaker.failures = 2;
        let client = client(options);
        for _ in 0..2 {
            if let Ok(mut stream) = Question::new().ask_streamed(&client).await {
                collect(&mut stream).await.1.unwrap_err();
            }
        }
        let error = Question::new().ask_streamed(&client).await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::Resting { .. }),
            "{rule}: {error:?}"
        );
    }
}

#[tokio::test]
async fn our_own_faults_do_not_open_the_breaker() {
    let vendor = Vendor::start(&["status:400 every 1"]).await;
    let mut options = vendor.options();
    options.breaker.failures = 2;
    let client = client(options);
    for _ in 0..5 {
        let error = Question::new().ask(&client).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Refused { .. }), "{error:?}");
    }
}
