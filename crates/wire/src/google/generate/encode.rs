//! Inward: the answer as our clients get it, whole.

use domain::{Completion, FinishReason, Part, TokenChoice, TokenLogprob};

use super::answer::kept;
use super::finish::name;
use super::part::{Ids, part};
use super::usage::usage_body;
use crate::chat::AnswerHead;
use crate::json::{Fields, Json, list};
use crate::map;

/// The whole answer as JSON. The model told is the head's.
#[must_use]
pub fn encode_completion(head: &AnswerHead, completion: &Completion) -> String {
    let (_, mut fields) = kept(completion.beside.as_ref());
    let more_usage = map::take_object(&mut fields, "usageMetadata");
    let all = std::iter::once(completion).chain(&completion.others);
    let candidates = all.enumerate().map(|(index, it)| {
        let (beside, _) = kept(it.beside.as_ref());
        candidate(it.parts.iter().filter_map(answer_part))
            .followed_by(finished(it.finish_reason))
            .with("index", index as u64)
            .with_some("logprobsResult", logprobs(&it.logprobs))
            .with_owned(beside)
    });
    let usage = completion.usage.as_ref().map(usage_body);
    Fields::new()
        .with("candidates", list(candidates))
        .with_some("usageMetadata", usage.map(|it| it.with_missing(more_usage)))
        .with("modelVersion", &head.model)
        .with("responseId", &head.id)
        .with_owned(fields)
        .encode()
}

/// One event of a stream about a candidate, by its number, with these fields of it beside the
/// parts.
pub(super) fn chunk<'a>(
    (head, index): (&'a AnswerHead, usize),
    parts: impl IntoIterator<Item = Fields<'a>>,
    beside: Fields<'a>,
) -> Fields<'a> {
    let candidate = candidate(parts)
        .with("index", index as u64)
        .followed_by(beside);
    Fields::new()
        .with("candidates", vec![candidate.into()])
        .with("modelVersion", &head.model)
        .with("responseId", &head.id)
}

/// The finish reason as a field of a candidate.
pub(super) fn finished(reason: FinishReason) -> Fields<'static> {
    Fields::new().with("finishReason", name(reason))
}

/// The part of an answer. The names of calls are told: a client may hand them back, and need not.
pub(super) fn answer_part(it: &Part) -> Option<Fields<'_>> {
    part(it, Ids::Told, &|_| "")
}

fn candidate<'a>(parts: impl IntoIterator<Item = Fields<'a>>) -> Fields<'a> {
    let content = Fields::new()
        .with("parts", list(parts))
        .with("role", "model");
    Fields::new().with("content", content)
}

/// Log-probabilities; `None` where there are none.
pub(super) fn logprobs(tokens: &[TokenLogprob]) -> Option<Fields<'_>> {
    let top = tokens.iter().map(|token| {
        let candidates = list(token.top.iter().map(choice));
        Fields::new().with("candidates", candidates)
    });
    let chosen = tokens
        .iter()
        .map(|token| Json::from(choice(&token.written)));
    (!tokens.is_empty()).then(|| {
        Fields::new()
            .with("topCandidates", list(top))
            .with("chosenCandidates", list(chosen))
    })
}

fn choice(choice: &TokenChoice) -> Fields<'_> {
    Fields::new()
        .with("token", &choice.token)
        .with("logProbability", choice.logprob)
}
