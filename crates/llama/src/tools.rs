//! Tools: what a model may call, and the calls that it writes.
//!
//! A chat template tells the model of the tools and in which words to call one. Models of the
//! Llama 3 family write calls as JSON (`{"name": …, "parameters": {…}}`, one or several), as
//! Python (`[name(key=value), …]`) or as `<function=name>{…}</function>`; all are understood.

mod python;
mod reader;

pub use reader::{ToolEvent, ToolReader};

use crate::grammar::Grammar;
use serde_json::{Map, Value, json};

/// A function that a model may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its parameters, as a JSON Schema of an object.
    pub parameters: Value,
}

/// A call that a model wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// A value for each parameter, a JSON object.
    pub arguments: Map<String, Value>,
}

impl Tool {
    /// The tool in the form that chat templates know.
    pub(crate) fn as_json(&self) -> Value {
        let mut function = Map::new();
        function.insert("name".to_owned(), self.name.as_str().into());
        if let Some(description) = &self.description {
            function.insert("description".to_owned(), description.as_str().into());
        }
        function.insert("parameters".to_owned(), self.parameters.clone());
        json!({"type": "function", "function": function})
    }

    /// The grammar of one call of one of these tools, in the form in which Llama's templates ask
    /// for it; `None` without a tool.
    #[must_use]
    pub fn call_grammar(tools: &[Self]) -> Option<Grammar> {
        (!tools.is_empty()).then(|| Grammar::JsonSchema(Self::call_schema(tools)))
    }

    /// The grammar of one call or several, with semicolons between them; `None` without a tool.
    #[must_use]
    pub fn calls_grammar(tools: &[Self]) -> Option<Grammar> {
        (!tools.is_empty()).then(|| {
            let schema = Self::call_schema(tools);
            Grammar::Lark(format!(
                "start: call (\"; \" call)*\ncall: %json {schema}\n"
            ))
        })
    }

    fn call_schema(tools: &[Self]) -> String {
        let call = |tool: &Self| {
            json!({
                "type": "object",
                "properties": {"name": {"const": tool.name}, "parameters": tool.parameters},
                "required": ["name", "parameters"],
                "additionalProperties": false,
            })
        };
        let calls: Vec<Value> = tools.iter().map(call).collect();
        // One space where people put one and none else: small models that may write white space
        // are slow to stop.
        let form = json!({
            "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": ",
        });
        json!({"x-guidance": form, "anyOf": calls}).to_string()
    }
}

impl ToolCall {
    /// The call in the form that chat templates know.
    pub(crate) fn as_json(&self) -> Value {
        json!({"type": "function", "function": {"name": self.name, "arguments": self.arguments}})
    }

    /// Whether a text that begins like this may turn out to be calls of tools: only such a text
    /// needs to be held back from a reader.
    #[must_use]
    pub fn may_begin(text: &str) -> bool {
        let text = text.trim_start();
        let begins = |mark: &&str| text.starts_with(*mark) || mark.starts_with(text);
        ["{", "[", FUNCTION, PYTHON_TAG].iter().any(begins)
    }

    /// The calls that a model's answer is; `None` where it is anything else, or calls something
    /// that is not among `tools`.
    #[must_use]
    pub fn parse(text: &str, tools: &[Tool]) -> Option<Vec<Self>> {
        let text = text.trim();
        let text = text.strip_prefix(PYTHON_TAG).unwrap_or(text).trim();
        let calls = json_calls(text)
            .or_else(|| tagged_calls(text))
            .or_else(|| python::calls(text))?;
        let known = |call: &Self| tools.iter().any(|tool| tool.name == call.name);
        (!calls.is_empty() && calls.iter().all(known)).then_some(calls)
    }

    fn of_json(value: Value) -> Option<Self> {
        let Value::Object(mut fields) = value else {
            return None;
        };
        // Some write the whole definition's shape.
        if let Some(function @ Value::Object(_)) = fields.remove("function") {
            return Self::of_json(function);
        }
        let name = fields.remove("name")?.as_str()?.to_owned();
        let arguments = fields
            .remove("parameters")
            .or_else(|| fields.remove("arguments"));
        let arguments = match arguments {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return None,
        };
        Some(Self { name, arguments })
    }
}

const PYTHON_TAG: &str = "<|python_tag|>";
const FUNCTION: &str = "<function=";

/// One JSON object after the other, with or without semicolons between them, or a list of them.
fn json_calls(text: &str) -> Option<Vec<ToolCall>> {
    let mut calls = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = values.next()?.ok()?;
        rest = rest[values.byte_offset()..]
            .trim_start_matches(|c: char| c == ';' || c.is_whitespace());
        match value {
            Value::Array(items) => {
                for item in items {
                    calls.push(ToolCall::of_json(item)?);
                }
            }
            value => calls.push(ToolCall::of_json(value)?),
        }
    }
    Some(calls)
}

/// `<function=name>{…}</function>`, once or more.
fn tagged_calls(text: &str) -> Option<Vec<ToolCall>> {
    let mut calls = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix(FUNCTION)?.split_once('>')?;
        let (arguments, after) = match after.split_once("</function>") {
            Some(split) => split,
            // The end is often left out.
            None => (after, ""),
        };
        let Value::Object(arguments) = serde_json::from_str(arguments).ok()? else {
            return None;
        };
        calls.push(ToolCall {
            name: name.to_owned(),
            arguments,
        });
        rest = after.trim_start();
    }
    Some(calls)
}
