//! Conversations to prompts, by the Jinja template in the model's file.
//!
//! The template is code from whoever made the file, so that it runs with a budget for time and
//! memory. And the messages are text from anyone, so that a message that spells out a control
//! token (`<|eot_id|>`) must not become one: each message goes through the template between two
//! marks, characters that occur nowhere else in it, and control tokens are looked for outside the
//! marks only.

use crate::error::{Parsed, RequestError};
use crate::gguf::Gguf;
use crate::tokenizer::{TokenId, Tokenizer};
use crate::tools::{Tool, ToolCall};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, State, Value, context};

mod json;
mod marks;

use marks::{Marks, encode_marked};

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called: what came of it.
    Tool,
}

impl Role {
    /// The word that templates use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatMessage {
    /// Who says it.
    pub role: Role,
    /// What is said: text, in which no control token is ever found.
    pub content: String,
    /// The calls of tools that it is; only of the model's own messages.
    pub tool_calls: Vec<ToolCall>,
}

impl ChatMessage {
    /// A message of text.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
        }
    }

    /// The model's message that calls tools.
    pub fn calling(tool_calls: Vec<ToolCall>) -> Self {
        Self {
            tool_calls,
            ..Self::new(Role::Assistant, "")
        }
    }
}

/// A model's chat template.
pub struct ChatTemplate {
    model: String,
    /// The template, or why it cannot be parsed: that matters only to who wants to chat.
    environment: Result<Environment<'static>, String>,
    bos_token: String,
    eos_token: String,
    names_tools: bool,
}

const NAME: &str = "chat_template";
const KEY: &str = "tokenizer.chat_template";

/// Steps of the template engine, each about an instruction or 64 bytes of text: some 10 ms and
/// 8 MiB for a hostile template, and many times what a real one takes.
const FUEL: u64 = 120_000;
const FUEL_PER_MESSAGE: u64 = 1_000;
/// Templates copy a message's text a few times.
const FUEL_PER_CONTENT_BYTE: f64 = 0.25;
/// Bytes that a template may write as JSON, beside some times those of messages and tools.
const JSON_BYTES: u64 = 1 << 20;

impl ChatTemplate {
    pub(crate) fn read(
        file: &Gguf<'_>,
        model: &str,
        tokenizer: &Tokenizer,
    ) -> Parsed<Option<Self>> {
        let Some(source) = file.string(KEY)? else {
            return Ok(None);
        };
        let name_of = |token: Option<TokenId>| {
            token.map_or(String::new(), |token| tokenizer.decode(&[token]))
        };
        let special = tokenizer.special();
        Ok(Some(Self {
            model: model.to_owned(),
            environment: environment(source).map_err(|error| outside_message(&error)),
            bos_token: name_of(special.bos),
            eos_token: name_of(special.eos),
            names_tools: source.contains("tools"),
        }))
    }

    /// The tokens of a conversation, up to where the assistant's next words begin.
    ///
    /// Control tokens come from the template alone, never from a message. Nothing is added to
    /// what the template says; in particular the beginning-of-text token is there only if the
    /// template writes it. `strftime_now` is not defined: the same messages give the same tokens
    /// on every day.
    ///
    /// # Errors
    ///
    /// [`RequestError::ChatTemplate`] where the template is faulty, refuses the messages, or runs
    /// for too long.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[ChatMessage],
    ) -> Result<Vec<TokenId>, RequestError> {
        self.encode_with_tools(tokenizer, messages, &[])
    }

    /// As [`ChatTemplate::encode`], with the tools that the model may call.
    ///
    /// # Errors
    ///
    /// As [`ChatTemplate::encode`], and where the template knows nothing of tools, or a tool or a
    /// call contains a control token's name.
    pub fn encode_with_tools(
        &self,
        tokenizer: &Tokenizer,
        messages: &[ChatMessage],
        tools: &[Tool],
    ) -> Result<Vec<TokenId>, RequestError> {
        let fault = |message: String| RequestError::ChatTemplate {
            model: self.model.clone(),
            message,
        };
        let tools: Vec<_> = tools.iter().map(Tool::as_json).collect();
        let calls = messages.iter().flat_map(|message| &message.tool_calls);
        let calls: Vec<_> = calls.map(ToolCall::as_json).collect();
        let structured = [&tools[..], &calls[..]].concat();
        if !structured.is_empty() {
            self.check_structured(tokenizer, &structured)
                .map_err(fault)?;
        }
        let marks = Marks::absent_from(messages, &structured)
            .ok_or_else(|| fault("the messages use all of Unicode's noncharacters".into()))?;
        let rendered = self.render((messages, &tools), marks).map_err(fault)?;
        encode_marked(tokenizer, &rendered, marks).map_err(fault)
    }

    /// Whether the template tells the model of tools.
    pub fn names_tools(&self) -> bool {
        self.names_tools
    }

    /// Whether the template takes a message of the model's that calls more than one tool: only
    /// after such a one can a conversation go on.
    pub fn takes_several_calls(&self) -> bool {
        let names = ["first_tool", "second_tool"];
        let calls = names.map(|name| ToolCall {
            name: name.to_owned(),
            arguments: serde_json::Map::new(),
        });
        let messages = [
            ChatMessage::new(Role::User, "?"),
            ChatMessage::calling(calls.into()),
            ChatMessage::new(Role::Tool, "1"),
            ChatMessage::new(Role::Tool, "2"),
        ];
        // Without the tools' definitions the names can only come from the calls.
        let marks = Marks::absent_from(&messages, &[]);
        let rendered = marks.map(|marks| self.render((&messages, &[]), marks));
        let in_text = |text: &String| names.iter().all(|name| text.contains(name));
        self.names_tools && rendered.is_some_and(|it| it.as_ref().is_ok_and(in_text))
    }

    /// Tools and calls have no marks around them, as templates look into them. In JSON a name is
    /// whole or not there: what follows a text is a quote.
    fn check_structured(
        &self,
        tokenizer: &Tokenizer,
        structured: &[serde_json::Value],
    ) -> Result<(), String> {
        if !self.names_tools {
            return Err("it knows nothing of tools; take a model that calls them".to_owned());
        }
        let control = |value: &serde_json::Value| {
            let text = json::dumped(value, None);
            let found = tokenizer.split_at_control(&text);
            found.map(|(_, token, _)| tokenizer.decode(&[token]))
        };
        match structured.iter().find_map(control) {
            Some(name) => Err(format!(
                "a tool or a call of one contains {name}, a control token"
            )),
            None => Ok(()),
        }
    }

    fn render(
        &self,
        (messages, tools): (&[ChatMessage], &[serde_json::Value]),
        marks: Marks,
    ) -> Result<String, String> {
        let mut environment = self.environment.clone()?;
        let of_message = |message: &ChatMessage| {
            let calls = message.tool_calls.iter().map(ToolCall::as_json);
            message.content.len() + calls.map(|call| call.to_string().len()).sum::<usize>()
        };
        let of_tools: usize = tools.iter().map(|tool| tool.to_string().len()).sum();
        let bytes = messages.iter().map(of_message).sum::<usize>() + of_tools;
        let fuel = FUEL
            + FUEL_PER_MESSAGE * (messages.len() + tools.len()) as u64
            + (bytes as f64 * FUEL_PER_CONTENT_BYTE) as u64;
        environment.set_fuel(Some(fuel));
        environment.add_filter("tojson", json::filter(JSON_BYTES + 16 * bytes as u64));
        let messages: Vec<Value> = messages.iter().map(|it| as_value(it, marks)).collect();
        let mut values = vec![
            ("messages", Value::from(messages)),
            ("add_generation_prompt", true.into()),
            ("bos_token", self.bos_token.as_str().into()),
            ("eos_token", self.eos_token.as_str().into()),
        ];
        if !tools.is_empty() {
            values.push(("tools", Value::from(Serde(tools))));
        }
        let values = Value::from_pairs(values);
        let rendered = environment
            .get_template(NAME)
            .and_then(|template| template.render(values));
        rendered.map_err(|error| match error.detail() {
            // A template may put a message into its complaint; nobody's text goes into ours.
            Some(detail) if detail.contains([marks.open, marks.close]) => {
                format!(
                    "{} (its words are withheld: they quote a message)",
                    error.kind()
                )
            }
            _ => outside_message(&error),
        })
    }
}

/// A message as templates see it.
fn as_value(message: &ChatMessage, marks: Marks) -> Value {
    let content = marks.around(&message.content);
    let role = message.role.as_str();
    if message.tool_calls.is_empty() {
        return context! { role, content };
    }
    let calls: Vec<_> = message.tool_calls.iter().map(ToolCall::as_json).collect();
    context! { role, content, tool_calls => Value::from(Serde(calls)) }
}

fn outside_message(error: &Error) -> String {
    let mut message = error.kind().to_string();
    if let Some(detail) = error.detail() {
        message.push_str(": ");
        message.push_str(&crate::error::quoted(detail));
    }
    if let Some(line) = error.line() {
        message.push_str(&format!(", line {line}"));
    }
    message
}

fn environment(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    // As Hugging Face's library renders these templates.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.set_unknown_method_callback(python_method);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment.add_template_owned(NAME, source.to_owned())?;
    Ok(environment)
}

/// The methods of Python's strings and dictionaries that templates call.
fn python_method(
    _state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let unknown = || Error::from(ErrorKind::UnknownMethod);
    let texts: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
    let Some(text) = value.as_str() else {
        return match (method, arguments) {
            ("get", [key]) => value.get_item(key),
            ("items", []) => minijinja::filters::items(value),
            ("keys", []) => Ok(value.try_iter()?.collect()),
            _ => Err(unknown()),
        };
    };
    Ok(match (method, texts.as_slice()) {
        ("strip", []) => text.trim().into(),
        ("lstrip", []) => text.trim_start().into(),
        ("rstrip", []) => text.trim_end().into(),
        ("strip", [set]) => text.trim_matches(|c| set.contains(c)).into(),
        ("lstrip", [set]) => text.trim_start_matches(|c| set.contains(c)).into(),
        ("rstrip", [set]) => text.trim_end_matches(|c| set.contains(c)).into(),
        ("startswith", [start]) => text.starts_with(start).into(),
        ("endswith", [end]) => text.ends_with(end).into(),
        ("upper", []) => text.to_uppercase().into(),
        ("lower", []) => text.to_lowercase().into(),
        ("replace", [from, to]) => text.replace(from, to).into(),
        ("split", []) => text.split_whitespace().map(Value::from).collect(),
        ("split", [at]) if !at.is_empty() => text.split(at).map(Value::from).collect(),
        _ => return Err(unknown()),
    })
}
