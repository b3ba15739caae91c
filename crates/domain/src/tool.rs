//! Tools that a model may ask for.

use std::fmt;

use crate::protocol::Opaque;

/// A tool that a model may ask to be called. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tool {
    /// What it is.
    pub kind: ToolKind,
    /// Fields beside it that only one protocol understands.
    pub beside: Option<Opaque>,
}

/// What a tool is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ToolKind {
    /// A function of the client's.
    Function {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// The JSON Schema of its arguments as text; `None` for a function without arguments.
        schema: Option<String>,
        /// Whether the arguments shall match the schema exactly.
        strict: Option<bool>,
    },
    /// A tool that the vendor itself runs, such as a search of the web.
    Vendor(Opaque),
}

impl Tool {
    /// A function of this name and this JSON Schema of its arguments.
    #[must_use]
    pub fn new(name: impl Into<String>, schema: impl Into<String>) -> Self {
        Self {
            kind: ToolKind::Function {
                name: name.into(),
                description: None,
                schema: Some(schema.into()),
                strict: None,
            },
            beside: None,
        }
    }

    /// The bytes of all that a model reads of it.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let own = match &self.kind {
            ToolKind::Function {
                name,
                description,
                schema,
                ..
            } => {
                let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
                name.len() + length(description) + length(schema)
            }
            ToolKind::Vendor(opaque) => opaque.json.len(),
        };
        own + self.beside.as_ref().map_or(0, |beside| beside.json.len())
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tool({} bytes)", self.size_bytes())
    }
}

impl fmt::Debug for ToolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function { .. } => "Function",
            Self::Vendor(_) => "Vendor",
        })
    }
}

/// Whether a model calls tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToolChoice {
    /// As it sees fit.
    #[default]
    Auto,
    /// It calls none.
    None,
    /// It calls at least one.
    Required,
    /// It calls the one of this name.
    Named(String),
}
