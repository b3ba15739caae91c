//! Inward: the tools of a client's request.

use domain::{Opaque, Tool, ToolChoice, ToolKind};
use serde_json::{Map, Value};

use super::PROTOCOL;
use crate::fault::Fault;
use crate::google::renamed;
use crate::object::{Object, Rule, invalid};

const TOOLS: Rule = Rule {
    says: "the tools are an array",
    example: r#"[{"functionDeclarations": [{"name": "look_up"}]}]"#,
};
const TOOL: Rule = Rule {
    says: "a tool is an object with functionDeclarations, which have names",
    example: r#"{"functionDeclarations": [{"name": "look_up"}]}"#,
};
const CONFIG: Rule = Rule {
    says: "the functionCallingConfig has a mode, AUTO, ANY, VALIDATED or NONE",
    example: r#"{"functionCallingConfig": {"mode": "AUTO"}}"#,
};

/// The tools that the model may ask for, each function one.
pub(super) fn read_tools(object: &mut Object) -> Result<Vec<Tool>, Fault> {
    let path = object.path_of("tools");
    let mut tools = Vec::new();
    let list = object.take_any_list("tools", TOOLS)?.into_iter();
    for (index, value) in list.enumerate() {
        let group = Object::from_value(format!("{path}[{index}]"), value, TOOL)?;
        let mut group = group.map_fields(renamed);
        let path = group.path_of("functionDeclarations");
        let functions = group
            .take_any_list("functionDeclarations", TOOL)?
            .into_iter();
        for (index, function) in functions.enumerate() {
            tools.push(read_function(format!("{path}[{index}]"), function)?);
        }
        let rest = group.into_rest();
        if !rest.is_empty() {
            tools.push(crate::chat::vendor_tool(PROTOCOL, &Value::Object(rest)));
        }
    }
    Ok(tools)
}

/// A function. A vendor of this protocol gets its declaration as it came: Google's form of a
/// schema can say what JSON Schema says otherwise.
fn read_function(path: String, value: Value) -> Result<Tool, Fault> {
    let mut declaration = Map::new();
    declaration.insert("functionDeclaration".to_owned(), value.clone());
    let object = Object::from_value(path, value, TOOL)?;
    let mut object = object.map_fields(renamed);
    let newer = object.take("parametersJsonSchema");
    let schema = newer.or_else(|| object.take("parameters").map(json_schema));
    let kind = ToolKind::Function {
        name: object.take_text("name", TOOL)?,
        description: object.take_any_text("description", TOOL)?,
        schema: schema.map(|schema| crate::json::text(&schema)),
        strict: None,
    };
    let json = crate::json::text(&declaration);
    let protocol = PROTOCOL;
    Ok(Tool {
        kind,
        beside: Some(Opaque { protocol, json }),
    })
}

/// A schema in Google's form as JSON Schema: the names of types in small letters, and `nullable`
/// as one more type.
pub(super) fn json_schema(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let nullable = fields.get("nullable") == Some(&Value::Bool(true));
            let fields = fields.into_iter().filter(|(name, _)| name != "nullable");
            let fields = fields.map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("type", Value::String(kind)) => {
                        let kind = Value::String(kind.to_ascii_lowercase());
                        match nullable {
                            true => Value::Array(vec![kind, "null".into()]),
                            false => kind,
                        }
                    }
                    ("properties", Value::Object(fields)) => {
                        let fields = fields.into_iter();
                        Value::Object(fields.map(|(name, it)| (name, json_schema(it))).collect())
                    }
                    ("items" | "anyOf" | "prefixItems", value) => json_schema(value),
                    (_, value) => value,
                };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(json_schema).collect()),
        other => other,
    }
}

/// Whether tools are called.
pub(super) fn read_tool_choice(
    object: &mut Object,
    rest: &mut Map<String, Value>,
) -> Result<Option<ToolChoice>, Fault> {
    let Some(config) = object.take_object("toolConfig", CONFIG)? else {
        return Ok(None);
    };
    let mut config = config.map_fields(renamed);
    let calling = config.take_object("functionCallingConfig", CONFIG)?;
    let choice = match calling {
        None => None,
        Some(calling) => read_calling(calling.map_fields(renamed), rest)?,
    };
    rest.extend(config.into_rest_under("toolConfig"));
    Ok(choice)
}

fn read_calling(
    mut calling: Object,
    rest: &mut Map<String, Value>,
) -> Result<Option<ToolChoice>, Fault> {
    let path = calling.path_of("mode");
    let mode = calling.take("mode").unwrap_or_else(|| "AUTO".into());
    let names = calling.take_any_list("allowedFunctionNames", CONFIG)?;
    let choice = match mode.as_str() {
        Some("AUTO" | "MODE_UNSPECIFIED" | "VALIDATED") => ToolChoice::Auto,
        Some("NONE") => ToolChoice::None,
        Some("ANY") => match names.as_slice() {
            [Value::String(only)] => ToolChoice::Named(only.clone()),
            _ => ToolChoice::Required,
        },
        _ => return Err(invalid(path, &mode, CONFIG)),
    };
    if names.len() > 1 {
        let name = "toolConfig.functionCallingConfig.allowedFunctionNames";
        rest.insert(name.to_owned(), Value::Array(names));
    }
    rest.extend(calling.into_rest_under("toolConfig.functionCallingConfig"));
    Ok(Some(choice))
}
