//! A prompt as the engine takes it.

use domain::{
    Content, GenerationOptions, Message, Part, Prompt, PromptKind, Role, ToolChoice, ToolKind,
};
use llama::{ChatMessage, Tool, ToolCall};
use serde_json::{Map, Value, json};

use crate::engine::{self, Chat};

/// The prompt, with the tools that the model may call.
pub(super) fn engine_prompt(prompt: &Prompt, options: &GenerationOptions) -> engine::Prompt {
    match &prompt.kind {
        PromptKind::Conversation => engine::Prompt::Chat(Chat {
            messages: messages(prompt),
            tools: tools(prompt, options),
        }),
        PromptKind::Text { suffix } => engine::Prompt::Text {
            text: prompt.messages.iter().map(Message::text).collect(),
            suffix: suffix.clone(),
        },
    }
}

/// The tools that may be called: a model that is told of none calls none.
pub(super) fn tools(prompt: &Prompt, options: &GenerationOptions) -> Vec<Tool> {
    match options.tool_choice {
        Some(ToolChoice::None) => Vec::new(),
        _ => prompt.tools.iter().filter_map(tool).collect(),
    }
}

/// The messages; what a tool gave back is a message of its own.
pub(super) fn messages(prompt: &Prompt) -> Vec<ChatMessage> {
    let mut messages = Vec::new();
    for message in &prompt.messages {
        let before = messages.len();
        let (mut said, mut calls) = (Vec::new(), Vec::new());
        for part in &message.parts {
            match &part.content {
                Content::ToolResult(result) => {
                    say(message, &mut said, &mut messages);
                    let parts = result.parts.clone();
                    let result = Message::of_parts(Role::User, parts);
                    messages.push(ChatMessage::new(llama::Role::Tool, result.text()));
                }
                Content::ToolCall(call) => calls.push(ToolCall {
                    name: call.name.clone(),
                    arguments: arguments(&call.arguments).unwrap_or_default(),
                }),
                _ => said.push(part.clone()),
            }
        }
        if !calls.is_empty() {
            let text = Message::of_parts(message.role, said).text().into_owned();
            let mut calling = ChatMessage::calling(calls);
            calling.content = text;
            messages.push(calling);
        } else if messages.len() == before || !said.is_empty() {
            messages.push(spoken(message, said));
        }
    }
    messages
}

fn say(message: &Message, said: &mut Vec<Part>, messages: &mut Vec<ChatMessage>) {
    if !said.is_empty() {
        messages.push(spoken(message, std::mem::take(said)));
    }
}

fn spoken(message: &Message, said: Vec<Part>) -> ChatMessage {
    let role = match message.role {
        Role::System => llama::Role::System,
        Role::User => llama::Role::User,
        Role::Assistant => llama::Role::Assistant,
    };
    ChatMessage::new(role, Message::of_parts(message.role, said).text())
}

/// The arguments of a call that was made: an object, or nothing at all.
fn arguments(json: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(json).ok()
}

fn tool(tool: &domain::Tool) -> Option<Tool> {
    let ToolKind::Function {
        name,
        description,
        schema,
        ..
    } = &tool.kind
    else {
        return None;
    };
    let schema = schema
        .as_deref()
        .and_then(|it| serde_json::from_str(it).ok());
    Some(Tool {
        name: name.clone(),
        description: description.clone(),
        parameters: schema.unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_tools_are_messages_of_their_own_in_their_place() {
        let result = |text: &str| {
            Part::new(Content::ToolResult(domain::ToolResult {
                call_id: "c1".into(),
                name: None,
                parts: vec![Part::text(text)],
                is_error: false,
            }))
        };
        let call = Part::new(Content::ToolCall(domain::ToolCall {
            id: "c1".into(),
            name: "rate".into(),
            arguments: r#"{"to": "EUR"}"#.into(),
            signature: None,
        }));
        let prompt = Prompt::new(vec![
            Message::of_parts(Role::User, vec![Part::text("a"), Part::text("b")]),
            Message::of_parts(Role::Assistant, vec![Part::text("c"), call]),
            Message::of_parts(Role::User, vec![result("1"), Part::text("d"), result("2")]),
            Message::of_parts(Role::Assistant, Vec::new()),
        ]);
        let said: Vec<(llama::Role, String, usize)> = messages(&prompt)
            .into_iter()
            .map(|it| (it.role, it.content, it.tool_calls.len()))
            .collect();
        let expected = [
            (llama::Role::User, "a\nb", 0),
            (llama::Role::Assistant, "c", 1),
            (llama::Role::Tool, "1", 0),
            (llama::Role::User, "d", 0),
            (llama::Role::Tool, "2", 0),
            (llama::Role::Assistant, "", 0),
        ];
        assert_eq!(
            said,
            expected.map(|(role, text, calls)| (role, text.to_owned(), calls))
        );
    }
}
