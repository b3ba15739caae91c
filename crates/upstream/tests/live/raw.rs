//! Servers written by hand: what is sent to them, and what no vendor should do.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use upstream::{Billing, Breakage, EndpointOptions, Unreached, UpstreamError};
use wire::openai::chat::parse_request;

use crate::vendor::{Question, client, collect};

async fn listen() -> (TcpListener, EndpointOptions) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    (listener, EndpointOptions::new(url, "m"))
}

/// One request as it came over the wire: its head and its body.
async fn read_request(connection: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        connection.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        if body.len() >= length {
            return (head.to_owned(), body.as_bytes().to_vec());
        }
    }
}

/// Answers one request with these bytes and closes the connection.
async fn serve(listener: &TcpListener, answer: &[u8]) {
    let (mut connection, _) = listener.accept().await.unwrap();
    read_request(&mut connection).await;
    // Who has read enough hangs up.
    let _hung_up = connection.write_all(answer).await;
}

/// What comes of one attempt at a server that answers with these bytes.
async fn broken_by(answer: &[u8]) -> (UpstreamError, Breakage) {
    let (listener, options) = listen().await;
    let client = client(options);
    let question = Question::new();
    let (result, ()) = tokio::join!(question.ask(&client), serve(&listener, answer));
    let error = result.unwrap_err();
    let UpstreamError::Broken { cause, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(error.billing(), Billing::MayBeBilled);
    let cause = cause.clone();
    (error, cause)
}

#[tokio::test]
async fn a_request_is_what_the_protocol_says() {
    let (listener, mut options) = listen().await;
    options.key = Some("sk-test".into());
    options.headers = vec![("openai-project".into(), "p1".into())];
    let client = client(options);
    let question = Question::new();
    let body = br#"{"model": "auto", "top_p": 0.5, "messages": [
        {"role": "system", "content": "", "name": "operator"}, {"role": "user", "content": ""}]}"#;
    let extra = parse_request(body).unwrap().extra;
    let mut attempt = question.attempt(&client.schedule());
    attempt.extra = Some(&extra);
    let (_failed, (head, body)) = tokio::join!(client.attempt(&attempt), async {
        let (mut connection, _) = listener.accept().await.unwrap();
        read_request(&mut connection).await
    });
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{head}"
    );
    for line in [
        "content-type: application/json",
        "authorization: Bearer sk-test",
        "openai-project: p1",
        "x-client-request-id: attempt-1",
    ] {
        assert!(
            head.lines().any(|told| told == line),
            "{line} is missing in {head}"
        );
    }
    let read = parse_request(&body).unwrap();
    assert_eq!(read.model, "m");
    assert_eq!(read.prompt, question.prompt);
    assert_eq!(
        read.generation.or(&question.generation),
        question.generation
    );
    assert_eq!(read.extra, extra);
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_may_be_billed() {
    let (error, cause) = broken_by(b"").await;
    assert_eq!(cause, Breakage::Cut);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn what_is_no_http_is_unreadable() {
    let (error, cause) = broken_by(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert!(matches!(cause, Breakage::Unreadable(_)), "{cause:?}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let length = 20 << 20;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let answer = [head.into_bytes(), vec![b' '; length]].concat();
    let (_, cause) = broken_by(&answer).await;
    assert_eq!(cause, Breakage::TooLarge(16 << 20));
}

#[tokio::test]
async fn an_event_without_end_is_given_up() {
    let (listener, options) = listen().await;
    let client = client(options);
    let question = Question::new();
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ".to_vec();
    let answer = [head, vec![b' '; 17 << 20]].concat();
    let (result, ()) = tokio::join!(question.ask_streamed(&client), serve(&listener, &answer));
    let error = result.unwrap_err();
    assert!(
        matches!(
            &error,
            UpstreamError::Broken {
                cause: Breakage::Unreadable(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_picture_may_come_in_one_event_and_what_shows_nothing_is_not_held_for_ever() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{\"choices\": [{{\"index\": 0, \"delta\": {delta}, \"finish_reason\": {reason}}}]}}\n\n"
        )
    };
    let text = "x".repeat(4 << 20);
    let large = chunk(&format!("{{\"content\": \"{text}\"}}"), "null");
    let end = chunk("{}", "\"stop\"");
    let (listener, options) = listen().await;
    let (vendor, question) = (client(options), Question::new());
    let answer = format!("{head}{large}{end}data: [DONE]\n\n");
    let asked = question.ask_streamed(&vendor);
    let (stream, ()) = tokio::join!(asked, serve(&listener, answer.as_bytes()));
    let (written, end) = collect(&mut stream.unwrap()).await;
    assert!(end.is_ok() && written == text, "{end:?}");
    // Beside an answer that shows nothing, of which so much has to be kept until it does.
    let unknown = chunk(&format!("{{\"next_year\": \"{text}\"}}"), "null");
    let answer = format!("{head}{}", unknown.repeat(5));
    let (listener, options) = listen().await;
    let vendor = client(options);
    let asked = question.ask_streamed(&vendor);
    let (stream, ()) = tokio::join!(asked, serve(&listener, answer.as_bytes()));
    let error = stream.unwrap_err();
    assert!(
        matches!(
            &error,
            UpstreamError::Broken {
                cause: Breakage::TooLarge(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_stream_whose_text_is_whole_may_lose_its_usage() {
    let (listener, options) = listen().await;
    let client = client(options);
    let question = Question::new();
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"ja\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_to";
    let (stream, ()) = tokio::join!(
        question.ask_streamed(&client),
        serve(&listener, answer.as_bytes())
    );
    let (text, end) = collect(&mut stream.unwrap()).await;
    assert_eq!((text.as_str(), end.unwrap().usage), ("ja", None));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, _) = listen().await;
    let (listener, options) = listen().await;
    let client = client(options);
    let question = Question::new();
    let target = elsewhere.local_addr().unwrap();
    let answer =
        format!("HTTP/1.1 307 x\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
    let (result, ()) = tokio::join!(question.ask(&client), serve(&listener, answer.as_bytes()));
    assert!(
        matches!(result, Err(UpstreamError::Refused { .. })),
        "{result:?}"
    );
    let followed = at_once(elsewhere.accept()).await;
    assert!(followed.is_none(), "the prompt went to another host");
}

/// What a future gives without waiting.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = tokio::task::yield_now() => None,
    }
}

#[tokio::test]
async fn a_server_that_never_encrypts_is_given_up_in_time() {
    let (listener, mut options) = listen().await;
    options.url = format!("https://{}/v1", listener.local_addr().unwrap());
    options.limits.connect = Duration::from_millis(100);
    let error = Question::new().ask(&client(options)).await.unwrap_err();
    let UpstreamError::Unreachable { cause, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*cause, Unreached::Connect(Duration::from_millis(100)));
    assert_eq!(error.billing(), Billing::NotBilled);
}
