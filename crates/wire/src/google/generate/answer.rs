//! Outward: the answer as a vendor gives it, whole.

use domain::{Completion, FinishReason, Opaque, TokenChoice, TokenLogprob};
use serde_json::{Map, Value};

use super::finish::{ended, finish_reason};
use super::part::read_known;
use super::usage::read_all_usage;
use super::{NAMELESS, PROTOCOL};
use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::map;

/// The completion that the body of an answer with status 200 holds. A prompt that the vendor
/// blocked has an empty one that ends with [`FinishReason::ContentFilter`].
///
/// # Errors
/// When the body is no such answer.
pub fn parse_completion(body: &[u8]) -> Result<Completion, DecodeError> {
    let mut answer = read_body(body, "answer")?;
    let (usage, more_usage) = read_all_usage(map::take_object(&mut answer, "usageMetadata"));
    let model = map::take_text(&mut answer, "modelVersion");
    let response_id = map::take_text(&mut answer, "responseId");
    let candidate = map::take_objects(&mut answer, "candidates")
        .into_iter()
        .next();
    let blocked = is_blocked(&answer);
    let (parts, logprobs, reason) = match candidate {
        Some(mut candidate) => {
            let reason = finish_reason(map::text(&candidate, "finishReason"));
            let reason = reason.ok_or(DecodeError::UnknownFinish)?;
            let logprobs = read_logprobs(&mut candidate);
            let mut count = 0;
            let parts =
                map::take_objects(&mut map::take_object(&mut candidate, "content"), "parts");
            let parts = parts.into_iter().map(|fields| {
                read_known(fields, || {
                    count += 1;
                    call_name(&response_id, count)
                })
            });
            keep_candidate(candidate, &mut answer);
            (parts.collect(), logprobs, reason)
        }
        None if blocked => (Vec::new(), Vec::new(), FinishReason::ContentFilter),
        None => return Err(DecodeError::NoChoice),
    };
    map::put(&mut answer, "usageMetadata", more_usage);
    let completion = Completion::of_parts(parts, reason);
    Ok(Completion {
        finish_reason: ended(reason, completion.calls_tools()),
        logprobs,
        usage,
        model,
        beside: map::rest(PROTOCOL, answer),
        ..completion
    })
}

/// Keeps what a candidate has beyond what the domain knows among the answer's own such fields.
pub(super) fn keep_candidate(mut candidate: Map<String, Value>, answer: &mut Map<String, Value>) {
    for known in ["finishReason", "index"] {
        candidate.shift_remove(known);
    }
    if !candidate.is_empty() {
        let list = Value::Array(vec![Value::Object(candidate)]);
        answer.insert("candidates".to_owned(), list);
    }
}

/// What [`keep_candidate`] kept of a candidate, and the answer's own fields.
pub(super) fn kept(beside: Option<&Opaque>) -> (Map<String, Value>, Map<String, Value>) {
    let own = beside.filter(|beside| beside.protocol == PROTOCOL);
    let fields = own.and_then(|own| serde_json::from_str(&own.json).ok());
    let mut fields: Map<String, Value> = fields.unwrap_or_default();
    let candidate = map::take_objects(&mut fields, "candidates")
        .into_iter()
        .next();
    (candidate.unwrap_or_default(), fields)
}

/// An answer or an event of a stream; an error if that is what it reports.
pub(super) fn read_body(
    body: &[u8],
    what: &'static str,
) -> Result<Map<String, Value>, DecodeError> {
    let answer: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| not_the_protocol(PROTOCOL, what, &error))?;
    match answer.contains_key("error") {
        true => Err(DecodeError::Vendor(VendorError::from_json(answer.into()))),
        false => Ok(answer),
    }
}

/// Whether the vendor refused the prompt.
pub(super) fn is_blocked(answer: &Map<String, Value>) -> bool {
    let feedback = answer.get("promptFeedback");
    feedback.is_some_and(|feedback| feedback.get("blockReason").is_some())
}

/// A name for the call of this number, which no call of another answer has: it is made of the
/// answer's own name.
pub(super) fn call_name(response_id: &str, number: usize) -> String {
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let id: String = response_id.chars().filter(plain).take(40).collect();
    format!("{NAMELESS}{id}_{number}")
}

/// The log-probabilities of a candidate.
pub(super) fn read_logprobs(candidate: &mut Map<String, Value>) -> Vec<TokenLogprob> {
    let mut result = map::take_object(candidate, "logprobsResult");
    let mut top = map::take_objects(&mut result, "topCandidates").into_iter();
    let chosen = map::take_objects(&mut result, "chosenCandidates").into_iter();
    let chosen = chosen.map(|chosen| {
        let mut place = top.next().unwrap_or_default();
        let top = map::take_objects(&mut place, "candidates").into_iter();
        TokenLogprob {
            written: read_choice(chosen),
            top: top.map(read_choice).collect(),
        }
    });
    chosen.collect()
}

fn read_choice(mut choice: Map<String, Value>) -> TokenChoice {
    let logprob = choice.get("logProbability").and_then(Value::as_f64);
    TokenChoice {
        token: map::take_text(&mut choice, "token"),
        logprob: logprob.unwrap_or(f64::MIN),
        bytes: None,
    }
}
