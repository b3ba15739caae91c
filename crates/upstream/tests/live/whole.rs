//! Attempts that succeed.

use domain::{CompletionTokens, FinishReason};
use standin::journal::Delivered;
use upstream::Client;

use crate::vendor::{ANSWER, Question, Vendor, collect, cost};

#[tokio::test]
async fn a_whole_answer_costs_what_the_vendor_bills() {
    let vendor = Vendor::start(&[]).await;
    let completion = Question::new().ask(&vendor.client()).await.unwrap();
    assert_eq!(completion.text(), ANSWER);
    assert_eq!(completion.finish_reason, FinishReason::Stop);
    assert_eq!(completion.model, "standin-1");
    vendor.running.ended(1).await;
    let [bill] = &vendor.bills()[..] else {
        panic!("not one bill: {:?}", vendor.bills());
    };
    assert_eq!(bill.request_id, "attempt-1");
    assert_eq!(bill.delivered, Delivered::Whole);
    assert_eq!(completion.usage, Some(bill.usage));
    assert_eq!(cost(&bill.usage), bill.cost);
    vendor.running.shutdown().await;
}

async fn check_stream(client: &Client) {
    let mut stream = Question::new().ask_streamed(client).await.unwrap();
    let (text, end) = collect(&mut stream).await;
    let end = end.unwrap();
    assert_eq!(text, ANSWER);
    assert_eq!(end.finish_reason, FinishReason::Stop);
    assert_eq!(end.model, "standin-1");
    assert!(end.usage.unwrap().completion > CompletionTokens(0));
    assert!(
        stream.next_event().await.is_err(),
        "nothing follows the end"
    );
}

#[tokio::test]
async fn a_stream_costs_what_the_vendor_bills() {
    let vendor = Vendor::start(&[]).await;
    check_stream(&vendor.client()).await;
    vendor.running.ended(1).await;
    assert_eq!(vendor.bills()[0].delivered, Delivered::Whole);
}

#[tokio::test]
async fn characters_survive_being_cut_into_bytes() {
    let vendor = Vendor::start(&["drip every 1"]).await;
    check_stream(&vendor.client()).await;
    let completion = Question::new().ask(&vendor.client()).await.unwrap();
    assert_eq!(completion.text(), ANSWER);
}

#[tokio::test]
async fn the_limit_of_tokens_reaches_the_vendor() {
    let vendor = Vendor::start(&[]).await;
    let mut question = Question::new();
    question.generation.max_completion_tokens = CompletionTokens(2);
    let completion = question.ask(&vendor.client()).await.unwrap();
    assert_eq!(completion.finish_reason, FinishReason::Length);
    assert_eq!(completion.usage.unwrap().completion, CompletionTokens(2));
    assert!(ANSWER.starts_with(&*completion.text()));
}

#[tokio::test]
async fn an_answer_without_usage_is_an_answer() {
    let vendor = Vendor::start(&["no-usage every 1"]).await;
    let client = vendor.client();
    assert_eq!(Question::new().ask(&client).await.unwrap().usage, None);
    let mut stream = Question::new().ask_streamed(&client).await.unwrap();
    assert_eq!(collect(&mut stream).await.1.unwrap().usage, None);
    assert_eq!(vendor.bills().len(), 2, "it is billed all the same");
}
