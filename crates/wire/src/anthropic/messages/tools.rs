//! Inward: the tools of a client's request.

use domain::{Tool, ToolKind};
use serde_json::Value;

use super::PROTOCOL;
use crate::fault::Fault;
use crate::object::{Object, Rule};

const TOOLS: Rule = Rule {
    says: "the tools are an array",
    example: r#"[{"name": "look_up", "input_schema": {"type": "object"}}]"#,
};
const TOOL: Rule = Rule {
    says: "a tool has a name and an input_schema",
    example: r#"{"name": "look_up", "input_schema": {"type": "object"}}"#,
};
const SCHEMA: Rule = Rule {
    says: "the input_schema is a JSON Schema",
    example: r#"{"type": "object", "properties": {}}"#,
};

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
    if value.get("type").is_some_and(|kind| kind != "custom") {
        return Ok(crate::chat::vendor_tool(PROTOCOL, &value));
    }
    let mut object = Object::from_value(path, value, TOOL)?;
    object.take("type");
    let kind = ToolKind::Function {
        name: object.take_text("name", TOOL)?,
        description: object.take_any_text("description", TOOL)?,
        schema: object.take_with("input_schema", SCHEMA, |schema| {
            schema.is_object().then(|| crate::json::text(schema))
        })?,
        strict: object.take_bool("strict", TOOL)?,
    };
    Ok(Tool {
        kind,
        beside: object.into_beside(PROTOCOL),
    })
}
