//! Who hangs up makes the vendor stop.

use std::time::Duration;

use standin::journal::Delivered;
use tokio::time::timeout;
use upstream::StreamEvent;

use crate::vendor::{Question, Vendor};

/// Far longer than anything here takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    let vendor = Vendor::start(&["stall-after every 1"]).await;
    let mut stream = Question::new()
        .ask_streamed(&vendor.client())
        .await
        .unwrap();
    while !stream.next_event().await.unwrap().is_output() {}
    drop(stream);
    // The vendor stalls for good; only a closed connection ends its answer.
    timeout(PATIENCE, vendor.running.ended(1)).await.unwrap();
    assert_eq!(vendor.bills()[0].delivered, Delivered::Cut);
}

#[tokio::test]
async fn dropping_an_attempt_closes_its_connection() {
    let vendor = Vendor::start(&["stall-before every 1"]).await;
    let client = vendor.client();
    let question = Question::new();
    let billed = async {
        while vendor.bills().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        result = question.ask(&client) => panic!("the vendor stalls: {result:?}"),
        () = billed => {}
    }
    timeout(PATIENCE, vendor.running.ended(1)).await.unwrap();
    assert_eq!(vendor.bills()[0].delivered, Delivered::Cut);
}

#[tokio::test]
async fn asking_for_a_part_again_loses_nothing() {
    let vendor = Vendor::start(&["drip every 1"]).await;
    let mut stream = Question::new()
        .ask_streamed(&vendor.client())
        .await
        .unwrap();
    let mut text = String::new();
    loop {
        // A future that is dropped after one poll, over and over.
        let part = tokio::select! {
            biased;
            part = stream.next_event() => part.unwrap(),
            () = std::future::ready(()) => {
                tokio::task::yield_now().await;
                continue;
            }
        };
        match part {
            StreamEvent::Text(part) => text.push_str(&part),
            StreamEvent::End(_) => break,
            _ => {}
        }
    }
    assert_eq!(text, crate::vendor::ANSWER);
}
