//! The bytes of an answer, in the steps in which they are sent.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use domain::{Completion, StreamEnd, StreamEvent};
use futures_util::stream;
use tokio_util::sync::CancellationToken;
use wire::chat::{AnswerHead, ErrorBody, StreamUsage};
use wire::openai::chat::{StreamEncoder, encode_completion};
use wire::sse::KEEP_ALIVE;

use crate::fault::Fault;
use crate::server::Delivery;
use crate::tokens::pieces;

/// Time between two comments of a stream that is only kept alive.
const PING: Duration = Duration::from_millis(20);

/// What is done next with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// Nothing more comes, and the connection stays open.
    Stall,
    /// Nothing more comes but comments.
    Ping,
    /// The connection is closed out of order.
    Cut,
}

/// The steps of a whole answer. `per_token` is waited for each token.
pub(crate) fn whole(
    head: &AnswerHead,
    completion: &Completion,
    fault: Option<&Fault>,
    per_token: Duration,
) -> Vec<Step> {
    let body = encode_completion(head, completion);
    let half = body.as_bytes()[..body.len() / 2].to_vec();
    let mut steps = Vec::new();
    let tokens = pieces(&completion.text()).count();
    let wait = per_token.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX));
    if !wait.is_zero() {
        steps.push(Step::Wait(wait));
    }
    match fault {
        Some(Fault::CutBefore) => steps.push(Step::Cut),
        Some(Fault::CutMidEvent) => steps.extend([Step::Send(half.into()), Step::Cut]),
        Some(Fault::StallAfter | Fault::PingAfter) => {
            steps.extend([Step::Send(half.into()), Step::Stall]);
        }
        Some(Fault::Garbage) => steps.push(Step::Send("<html>busy</html>".into())),
        Some(Fault::Drip) => steps.extend(drip(&body)),
        _ => steps.push(Step::Send(body.into())),
    }
    steps
}

/// The steps of a streamed answer. `per_token` is waited between two tokens.
pub(crate) fn streamed(
    head: AnswerHead,
    completion: &Completion,
    usage: StreamUsage,
    (fault, per_token): (Option<&Fault>, Duration),
) -> Vec<Step> {
    let mut encoder = StreamEncoder::new(head, usage);
    let text = completion.text();
    let texts: Vec<&str> = pieces(&text).collect();
    let mut events: Vec<String> = told(completion, &texts)
        .iter()
        .map(|event| {
            let mut stream = String::new();
            encoder.event(event, &mut stream);
            stream
        })
        .collect();
    let failed = || {
        let mut stream = String::new();
        encoder.error(&overloaded(), &mut stream);
        vec![send(stream)]
    };
    // What comes before the second text, or before the end where there is but one.
    let begun = 2.min(events.len() - 1);
    let (kept, last) = match fault {
        Some(Fault::CutBefore) => (0, vec![Step::Cut]),
        Some(Fault::ErrorBefore) => (0, failed()),
        Some(Fault::Garbage) => (0, vec![send("data: {\"choices\": oops\n\n")]),
        Some(Fault::StallAfter) => (begun, vec![Step::Stall]),
        Some(Fault::PingAfter) => (begun, vec![Step::Ping]),
        Some(Fault::ErrorAfter) => (begun, failed()),
        Some(Fault::CutMidEvent) => {
            let next = events[begun].as_bytes();
            let half = Bytes::copy_from_slice(&next[..next.len() / 2]);
            (begun, vec![Step::Send(half), Step::Cut])
        }
        Some(Fault::NoEnd) => (events.len() - 1, Vec::new()),
        _ => (events.len(), Vec::new()),
    };
    events.truncate(kept);
    let mut steps = Vec::new();
    for (index, event) in events.into_iter().enumerate() {
        if (2..=texts.len()).contains(&index) && !per_token.is_zero() {
            steps.push(Step::Wait(per_token));
        }
        match fault {
            Some(Fault::Drip) => steps.extend(drip(&event)),
            _ => steps.push(send(event)),
        }
    }
    steps.extend(last);
    steps
}

/// The completion as it is told: its begin, its pieces of text, its end.
fn told(completion: &Completion, texts: &[&str]) -> Vec<StreamEvent> {
    let mut events = vec![StreamEvent::Start {
        model: completion.model.clone(),
        usage: completion.usage,
    }];
    events.extend(texts.iter().map(|&text| StreamEvent::Text(text.to_owned())));
    events.push(StreamEvent::End(StreamEnd {
        finish_reason: completion.finish_reason,
        stop_sequence: completion.stop_sequence.clone(),
        usage: completion.usage,
        model: completion.model.clone(),
    }));
    events
}

fn send(text: impl Into<Bytes>) -> Step {
    Step::Send(text.into())
}

fn drip(text: &str) -> impl Iterator<Item = Step> {
    text.bytes().map(|byte| Step::Send(vec![byte].into()))
}

fn overloaded() -> ErrorBody {
    ErrorBody {
        message: "the stand-in was asked to fail here".to_owned(),
        kind: "server_error",
        param: None,
        code: Some("overloaded".to_owned()),
    }
}

/// An answer that is being sent.
struct Sending {
    steps: VecDeque<Step>,
    delivery: Delivery,
    stop: CancellationToken,
}

/// The body that takes these steps. The delivery ends with the body: whole if all steps were
/// taken, cut if the body was dropped before.
pub(crate) fn body(steps: Vec<Step>, delivery: Delivery, stop: CancellationToken) -> Body {
    let sending = Sending {
        steps: steps.into(),
        delivery,
        stop,
    };
    Body::from_stream(stream::unfold(Some(sending), async |sending| {
        let mut sending = sending?;
        match sending.next().await {
            Some(Ok(bytes)) => Some((Ok(bytes), Some(sending))),
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                sending.delivery.mark_whole();
                None
            }
        }
    }))
}

impl Sending {
    async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        loop {
            match self.steps.pop_front()? {
                Step::Send(bytes) => return Some(Ok(bytes)),
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Stall => {
                    self.stop.cancelled().await;
                    return Some(Err(broken()));
                }
                Step::Ping => {
                    let wait = self.stop.run_until_cancelled(tokio::time::sleep(PING));
                    if wait.await.is_none() {
                        return Some(Err(broken()));
                    }
                    self.steps.push_front(Step::Ping);
                    return Some(Ok(Bytes::from_static(KEEP_ALIVE.as_bytes())));
                }
                Step::Cut => {
                    // A pause makes the server send what it has before it sees the error.
                    tokio::task::yield_now().await;
                    return Some(Err(broken()));
                }
            }
        }
    }
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionAborted)
}
