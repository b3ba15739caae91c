//! The bytes of an answer, in the steps in which they are sent.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use domain::{Completion, CompletionTokens, PromptTokens, StreamEvent, Usage};
use futures_util::stream;
use tokio_util::sync::CancellationToken;
use wire::chat::{AnswerHead, ErrorBody, Form, StreamEncoder};
use wire::google::generate::Framing;
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

/// How an answer is sent: the fault, and the time for each token.
pub(crate) type Manner<'a> = (Option<&'a Fault>, Duration);

/// The steps of a whole answer.
pub(crate) fn whole(
    form: &Form,
    head: &AnswerHead,
    completion: &Completion,
    manner: Manner<'_>,
) -> Vec<Step> {
    let told = reported(completion, manner.0);
    let mut body = form.encode_completion(head, &told);
    if manner.0 == Some(&Fault::NoUsage) {
        body = without_usage(&body);
    }
    body_steps(&body, pieces(&completion.text()).count(), manner)
}

/// The steps of a body that is sent at once, and stands for so many tokens.
pub(crate) fn body_steps(body: &str, tokens: usize, (fault, per_token): Manner<'_>) -> Vec<Step> {
    let half = body.as_bytes()[..body.len() / 2].to_vec();
    let mut steps = Vec::new();
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
        Some(Fault::Drip) => steps.extend(drip(body)),
        _ => steps.push(send(body.to_owned())),
    }
    steps
}

/// The steps of a streamed answer. The time for a token is waited between two of them.
pub(crate) fn streamed(
    form: &Form,
    head: AnswerHead,
    completion: &Completion,
    (fault, per_token): Manner<'_>,
) -> Vec<Step> {
    let mut encoder = form.stream(head);
    let mut events = told(&mut encoder, completion, fault);
    let mut failed = || {
        let mut stream = String::new();
        encoder.error(&overloaded(), 529, &mut stream);
        vec![send(stream)]
    };
    // What comes up to and with the first that shows something, or before the end where nothing
    // does.
    let shown = events.iter().position(|(_, shows)| *shows);
    let begun = shown.map_or(events.len() - 1, |place| place + 1);
    let (kept, last) = match fault {
        Some(Fault::CutBefore) => (0, vec![Step::Cut]),
        Some(Fault::ErrorBefore) => (0, failed()),
        Some(Fault::Garbage) => (0, vec![send("data: {\"choices\": oops\n\n")]),
        Some(Fault::StallAfter) => (begun, vec![Step::Stall]),
        Some(Fault::PingAfter) => (begun, vec![Step::Ping]),
        Some(Fault::ErrorAfter) => (begun, failed()),
        Some(Fault::CutMidEvent) => {
            let next = events[begun.min(events.len() - 1)].0.as_bytes();
            let half = Bytes::copy_from_slice(&next[..next.len() / 2]);
            (begun, vec![Step::Send(half), Step::Cut])
        }
        Some(Fault::NoEnd) => (events.len() - 1, Vec::new()),
        _ => (events.len(), Vec::new()),
    };
    events.truncate(kept);
    if fault == Some(&Fault::Duplicate) {
        let (first, end) = (events[0].clone(), events[events.len() - 1].clone());
        if !first.1 {
            events.insert(0, first);
        }
        events.push(end);
    }
    let mut steps = Vec::new();
    for (index, (event, shows)) in events.into_iter().enumerate() {
        if shows && index > begun && !per_token.is_zero() {
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

/// Each event as text, and whether it shows something.
fn told(
    encoder: &mut StreamEncoder,
    completion: &Completion,
    fault: Option<&Fault>,
) -> Vec<(String, bool)> {
    let mut events = Vec::new();
    for event in in_pieces(&reported(completion, fault)) {
        let mut stream = String::new();
        encoder.event(&event, &mut stream);
        if fault == Some(&Fault::NoUsage) {
            stream = without_usage(&stream);
        }
        if !stream.is_empty() {
            events.push((stream, event.is_output()));
        }
    }
    events
}

/// The type of a stream's body.
pub(crate) fn content_type(form: &Form) -> &'static str {
    match form {
        Form::Google(Framing::Array) => "application/json",
        _ => "text/event-stream",
    }
}

/// The completion as it is told, which is not as it is billed where a fault says so.
fn reported(completion: &Completion, fault: Option<&Fault>) -> Completion {
    let half = |usage: Usage| Usage {
        prompt: PromptTokens(usage.prompt.0 / 2),
        completion: CompletionTokens(usage.completion.0 / 2),
        reasoning: CompletionTokens(usage.reasoning.0 / 2),
        ..Usage::default()
    };
    let mut told = completion.clone();
    if fault == Some(&Fault::WrongUsage) {
        told.usage = told.usage.map(half);
    }
    told
}

/// The completion as it is told while it is written: its texts token by token.
fn in_pieces(completion: &Completion) -> Vec<StreamEvent> {
    let mut events = Vec::new();
    for event in StreamEvent::of(completion) {
        match event {
            StreamEvent::Text(text) => {
                events.extend(pieces(&text).map(|piece| StreamEvent::Text(piece.to_owned())));
            }
            StreamEvent::ToolCall(mut call) => {
                let arguments = std::mem::take(&mut call.arguments);
                let told = |it: &StreamEvent| matches!(it, StreamEvent::ToolCall(_));
                let number = events.iter().filter(|it| told(it)).count();
                events.push(StreamEvent::ToolCall(call));
                events.extend(pieces(&arguments).map(|piece| StreamEvent::Arguments {
                    call: number,
                    json: piece.to_owned(),
                }));
            }
            other => events.push(other),
        }
    }
    events
}

/// The same body, or the same events, without what tells the usage.
fn without_usage(text: &str) -> String {
    let line = |line: &str| {
        let (prefix, json) = match line.strip_prefix("data: ") {
            Some(json) => ("data: ", json),
            None => ("", line),
        };
        let Ok(mut value) = serde_json::from_str::<serde_json::Value>(json) else {
            return line.to_owned();
        };
        remove_usage(&mut value);
        format!("{prefix}{value}")
    };
    let lines: Vec<String> = text.split('\n').map(line).collect();
    lines.join("\n")
}

fn remove_usage(value: &mut serde_json::Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| name != "usage" && name != "usageMetadata");
        for name in ["message", "response"] {
            if let Some(inner) = fields.get_mut(name) {
                remove_usage(inner);
            }
        }
    }
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
