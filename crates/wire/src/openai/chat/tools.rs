//! Inward: the tools of a client's request.

use domain::{Protocol, Tool, ToolChoice, ToolKind};
use serde_json::Value;

use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule, shown};

const PROTOCOL: Protocol = Protocol::OpenAiChat;

const TOOLS: Rule = Rule {
    says: "the tools are an array",
    example: r#"[{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]"#,
};
const TOOL: Rule = Rule {
    says: "a tool has the type function and a function with a name",
    example: r#"{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}"#,
};
const SCHEMA: Rule = Rule {
    says: "the parameters are a JSON Schema",
    example: r#"{"type": "object", "properties": {}}"#,
};

/// Fields that are not offered, with what to do instead.
const NOT_OFFERED: [(&str, &str); 3] = [
    ("functions", "functions are not offered; use tools"),
    (
        "function_call",
        "functions are not offered; use tool_choice",
    ),
    ("audio", "spoken answers are not offered; leave it out"),
];

pub(super) fn refuse_functions(object: &mut Object) -> Result<(), Fault> {
    for (name, instead) in NOT_OFFERED {
        let without_effect = |value: &Value| value == "none" || value == &Value::Array(Vec::new());
        if let Some(value) = object.take(name).filter(|value| !without_effect(value)) {
            let path = object.path_of(name);
            let found = shown(&value);
            return Err(Fault::new(FaultKind::Unsupported, path, found, instead));
        }
    }
    Ok(())
}

/// The tools that the model may ask for.
pub(super) fn read_tools(object: &mut Object) -> Result<Vec<Tool>, Fault> {
    let path = object.path_of("tools");
    let tools = object
        .take_any_list("tools", TOOLS)?
        .into_iter()
        .enumerate();
    tools
        .map(|(index, tool)| read_tool(format!("{path}[{index}]"), tool))
        .collect()
}

fn read_tool(path: String, value: Value) -> Result<Tool, Fault> {
    if value.get("type").is_some_and(|kind| kind != "function") {
        return Ok(crate::chat::vendor_tool(PROTOCOL, &value));
    }
    let mut object = Object::from_value(path, value, TOOL)?;
    object.take("type");
    let function = object.take_required("function", TOOL)?;
    let path = object.path_of("function");
    let mut known = Object::from_value(path, function.clone(), TOOL)?;
    let kind = take_function(&mut known, "parameters")?;
    let mut beside = object.into_rest();
    if !known.into_rest().is_empty() {
        // Whoever knows the rest gets the function as it came.
        beside.insert("function".to_owned(), function);
    }
    Ok(Tool {
        kind,
        beside: crate::object::opaque(PROTOCOL, &beside),
    })
}

/// A function with the JSON Schema of its arguments under `schema_name`; its other fields stay
/// where they are.
pub(crate) fn take_function(object: &mut Object, schema_name: &str) -> Result<ToolKind, Fault> {
    Ok(ToolKind::Function {
        name: object.take_text("name", TOOL)?,
        description: object.take_any_text("description", TOOL)?,
        schema: object.take_with(schema_name, SCHEMA, |schema| {
            schema.is_object().then(|| crate::json::text(schema))
        })?,
        strict: object.take_bool("strict", TOOL)?,
    })
}

/// Whether tools are called. A form that only this protocol knows stays where it is.
pub(super) fn read_tool_choice(object: &mut Object) -> Option<ToolChoice> {
    let choice = match object.get("tool_choice")? {
        Value::String(word) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return None,
        },
        named => ToolChoice::Named(named.pointer("/function/name")?.as_str()?.to_owned()),
    };
    object.take("tool_choice");
    Some(choice)
}
