//! Outward: the answer as a vendor gives it, whole or as a stream.

use std::collections::VecDeque;

use domain::{
    Completion, FinishReason, Protocol, StreamEnd, StreamEvent, TokenChoice, TokenLogprob, Usage,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::openai::chat::{finish_reason, read_usage};
use crate::sse::Event;

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    text: String,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

/// Log-probabilities as this surface has them: a list for each thing told of a token.
#[derive(Deserialize)]
struct Logprobs {
    #[serde(default)]
    tokens: Vec<String>,
    #[serde(default)]
    token_logprobs: Vec<Option<f64>>,
    top_logprobs: Option<Vec<Option<Map<String, Value>>>>,
}

/// The completion that the body of an answer with status 200 holds.
///
/// # Errors
/// When the body is no such answer.
pub fn parse_completion(body: &[u8]) -> Result<Completion, DecodeError> {
    let answer = read(body, "completion")?;
    let choice = answer.choices.into_iter().next();
    let choice = choice.ok_or(DecodeError::NoChoice)?;
    let named = choice.finish_reason.as_deref().and_then(finish_reason);
    Ok(Completion {
        logprobs: choice
            .logprobs
            .map(Logprobs::into_tokens)
            .unwrap_or_default(),
        usage: answer.usage.and_then(read_usage),
        model: answer.model.unwrap_or_default(),
        ..Completion::new(choice.text, named.ok_or(DecodeError::UnknownFinish)?)
    })
}

fn read(body: &[u8], what: &'static str) -> Result<Body, DecodeError> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| not_the_protocol(Protocol::OpenAiChat, what, &error))?;
    match body.error {
        Some(error) => {
            let error = serde_json::json!({ "error": error });
            Err(DecodeError::Vendor(VendorError::from_json(error)))
        }
        None => Ok(body),
    }
}

impl Logprobs {
    fn into_tokens(self) -> Vec<TokenLogprob> {
        let choice = |token: String, logprob: f64| TokenChoice {
            token,
            logprob,
            bytes: None,
        };
        let mut top = self.top_logprobs.unwrap_or_default().into_iter();
        let tokens = self.tokens.into_iter().zip(self.token_logprobs);
        let tokens = tokens.map(|(token, logprob)| {
            let others = top.next().flatten().unwrap_or_default().into_iter();
            TokenLogprob {
                written: choice(token, logprob.unwrap_or_default()),
                top: others
                    .filter_map(|(token, logprob)| Some(choice(token, logprob.as_f64()?)))
                    .collect(),
            }
        });
        tokens.collect()
    }
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct ChunkReader {
    begun: bool,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    model: String,
    ended: bool,
}

impl ChunkReader {
    /// Adds what the next event of the vendor's tells to the end of `events`.
    ///
    /// # Errors
    /// When the event is not of the protocol's form, reports an error, or gives an unknown finish
    /// reason. The stream can't be read on then.
    pub fn read(
        &mut self,
        event: &Event,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if event.data == "[DONE]" {
            return self.finish(events);
        }
        let chunk = read(event.data.as_bytes(), "chunk of a stream")?;
        if let Some(usage) = chunk.usage.and_then(read_usage) {
            self.usage = Some(usage);
        }
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.model = model;
        }
        if !std::mem::replace(&mut self.begun, true) {
            events.push_back(StreamEvent::Start {
                model: self.model.clone(),
                usage: self.usage,
            });
        }
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(());
        };
        if !choice.text.is_empty() {
            events.push_back(StreamEvent::Text(choice.text));
        }
        let tokens = choice.logprobs.map(Logprobs::into_tokens);
        let tokens = tokens.filter(|tokens| !tokens.is_empty());
        events.extend(tokens.map(StreamEvent::Logprobs));
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            let reason = finish_reason(&reason).ok_or(DecodeError::UnknownFinish)?;
            self.finish_reason = Some(reason);
        }
        Ok(())
    }

    /// Adds the end, unless it has come already. To be called when the connection was closed in
    /// good order.
    ///
    /// # Errors
    /// [`DecodeError::Unfinished`] when no finish reason has come.
    pub fn finish(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        events.push_back(StreamEvent::End(StreamEnd {
            finish_reason: self.finish_reason.ok_or(DecodeError::Unfinished)?,
            stop_sequence: None,
            usage: self.usage,
            model: std::mem::take(&mut self.model),
        }));
        Ok(())
    }
}
