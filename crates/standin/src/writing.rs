//! What the stand-in writes: the given answer, a call of a tool, a thought.

use domain::{
    Completion, CompletionTokens, Content, FinishReason, Part, Protocol, Reasoning, ReasoningDepth,
    Role, Signature, ToolCall, ToolChoice, ToolKind, Usage,
};
use wire::chat::ChatRequest;

use crate::answers::Wrongness;
use crate::server::StandinOptions;
use crate::tokens::{pieces, prompt_tokens};

/// What it thinks when it is asked to think.
const THOUGHT: &str = "The answer stands in the list.";

/// The answer to a request: the given one, cut where the request says so; instead of it a call of
/// each tool that the request demands, with the last text of the user as argument; before it a
/// thought, if thinking is asked for.
pub(crate) fn complete(
    options: &StandinOptions,
    request: &ChatRequest,
    protocol: Protocol,
) -> Completion {
    let calls = demanded_calls(request);
    let (text, finish_reason) = match calls.is_empty() {
        true => written(options, request),
        false => (String::new(), FinishReason::ToolCalls),
    };
    let thought = thought(request, protocol);
    let count = |text: &str| pieces(text).count() as u64;
    let reasoning = thought.as_ref().map_or(0, |_| count(THOUGHT));
    let arguments = calls.iter().map(|call| count(&call.arguments));
    let completion = count(&text) + reasoning + arguments.sum::<u64>();
    let mut parts: Vec<Part> = thought.into_iter().collect();
    if !text.is_empty() {
        parts.push(Part::text(text));
    }
    let calls = calls
        .into_iter()
        .map(|call| Part::new(Content::ToolCall(call)));
    parts.extend(calls);
    Completion {
        usage: Some(Usage {
            prompt: prompt_tokens(&request.prompt),
            completion: CompletionTokens(completion),
            reasoning: CompletionTokens(reasoning),
            ..Usage::default()
        }),
        model: options.model.clone(),
        ..Completion::of_parts(parts, finish_reason)
    }
}

fn written(options: &StandinOptions, request: &ChatRequest) -> (String, FinishReason) {
    let wrongness = Wrongness {
        rate: options.wrong_rate,
        seed: options.seed,
    };
    let mut text = options.answers.answer(&request.prompt, &wrongness);
    let stops = request.generation.stop.iter();
    if let Some(end) = stops.filter_map(|stop| text.find(stop)).min() {
        text = &text[..end];
    }
    let most = request.generation.max_completion_tokens;
    let most = most.map_or(usize::MAX, |most| {
        usize::try_from(most.0).unwrap_or(usize::MAX)
    });
    if pieces(text).count() > most {
        text = &text[..pieces(text).take(most).map(str::len).sum()];
        return (text.to_owned(), FinishReason::Length);
    }
    (text.to_owned(), FinishReason::Stop)
}

/// The calls that the request demands: of the tool that it names, or, where it demands any, of all
/// its functions; only of the first where one at once is allowed.
fn demanded_calls(request: &ChatRequest) -> Vec<ToolCall> {
    let options = &request.generation.options;
    let named = match &options.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        Some(ToolChoice::Required) => None,
        None | Some(ToolChoice::Auto | ToolChoice::None) => return Vec::new(),
    };
    let functions = request
        .prompt
        .tools
        .iter()
        .filter_map(|tool| match &tool.kind {
            ToolKind::Function { name, .. } => Some(name),
            ToolKind::Vendor(_) => None,
        });
    let wanted = functions.filter(|name| named.is_none_or(|named| named == *name));
    let at_once = match options.parallel_tool_calls {
        Some(false) => 1,
        Some(true) | None => usize::MAX,
    };
    let mut messages = request.prompt.messages.iter().rev();
    let user = messages.find(|message| message.role == Role::User);
    let text = user.map(|message| message.text()).unwrap_or_default();
    let arguments = serde_json::json!({ "text": text }).to_string();
    let calls = wanted.take(at_once).enumerate();
    calls
        .map(|(index, name)| ToolCall {
            id: format!("call_{index}"),
            name: name.clone(),
            arguments: arguments.clone(),
            signature: None,
        })
        .collect()
}

fn thought(request: &ChatRequest, protocol: Protocol) -> Option<Part> {
    let depth = request.generation.options.reasoning?;
    let thinks = depth != ReasoningDepth::Off;
    thinks.then(|| {
        Part::new(Content::Reasoning(Reasoning {
            text: THOUGHT.to_owned(),
            signature: Some(Signature {
                protocol,
                text: "c3RhbmRpbg==".to_owned(),
            }),
            is_redacted: false,
        }))
    })
}
