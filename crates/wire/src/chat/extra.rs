//! Fields that a request may carry and the domain knows nothing of.

use std::fmt;

use domain::{Message, Part, Prompt, Protocol, ToolKind};
use serde_json::{Map, Value};

use crate::fault::{Fault, FaultKind};
use crate::object::short;

/// Fields that say something about the request and change nothing in its answer, or that say in one
/// protocol's words what the domain says in its own. A tier that does not know them may leave them
/// out.
const ANNOTATIONS: [&str; 11] = [
    "cache_control",
    "functionDeclaration",
    "labels",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "thoughtSignature",
    "user",
];

/// What a request carries that only a tier of the same protocol can make something of. It is
/// forwarded to such a tier untouched. Its `Debug` shows names only.
#[derive(Clone, PartialEq)]
pub struct Extra {
    protocol: Protocol,
    fields: Map<String, Value>,
    /// The fields among them that the domain understood as well: nothing is lost without them.
    understood: &'static [&'static str],
    /// What a client of Anthropic's names in its header `anthropic-beta`.
    beta: Option<String>,
}

impl Extra {
    /// These fields of a request of this protocol. Those named in `understood` were read into
    /// domain values too, and are kept because a vendor of the same protocol shall get them as
    /// they came.
    pub(crate) fn new(
        protocol: Protocol,
        fields: Map<String, Value>,
        understood: &'static [&'static str],
    ) -> Self {
        Self {
            protocol,
            fields,
            understood,
            beta: None,
        }
    }

    /// The protocol whose fields they are.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.beta.is_none()
    }

    /// The same with what the request's header `anthropic-beta` says. Where another protocol's tier
    /// answers it is left out: what it allows is asked for in fields, and these are refused.
    #[must_use]
    pub fn with_beta(self, beta: String) -> Self {
        let beta = Some(beta);
        Self { beta, ..self }
    }

    /// What the header `anthropic-beta` of a request of this protocol says.
    #[must_use]
    pub fn beta(&self, protocol: Protocol) -> Option<&str> {
        let is_own = protocol == Protocol::Anthropic && self.protocol == protocol;
        self.beta.as_deref().filter(|_| is_own)
    }

    /// The fault to answer with when a tier of another protocol is to complete the request:
    /// names the first field, of the request, its messages or its tools, that would be lost and
    /// would have changed the answer. `None` when all that would be lost is an annotation or has
    /// its neutral value (`service_tier` "auto" and the like).
    #[must_use]
    pub fn refusal(&self, prompt: &Prompt) -> Option<Fault> {
        let matters = |(name, value): &(&String, &Value)| {
            let name = name.as_str();
            !self.understood.contains(&name)
                && !ANNOTATIONS.contains(&name)
                && !is_neutral(name, value)
        };
        let top = self.fields.iter().find(matters);
        let path = match top {
            Some((name, _)) => short(name),
            None => path_in(prompt)?,
        };
        Some(Fault::new(
            FaultKind::Unsupported,
            path,
            "the tier that answers knows no such field",
            format!(
                "leave it out, or ask for a tier that speaks the {} protocol",
                self.protocol
            ),
        ))
    }

    /// The number of bytes that it adds to a request: an upper bound of the prompt tokens that it
    /// can cause, where a vendor reads it at all.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        if self.fields.is_empty() {
            return 0;
        }
        crate::json::text(&self.fields).len()
    }

    /// A field, by the name of a field of the request.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// The same without a field: one that the program itself has seen to.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.shift_remove(name);
        self
    }

    /// The fields, for a request of this protocol.
    pub(crate) fn fields(&self, protocol: Protocol) -> Option<&Map<String, Value>> {
        (self.protocol == protocol).then_some(&self.fields)
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

/// The first field of a message, part or tool that only its own protocol understands.
fn path_in(prompt: &Prompt) -> Option<String> {
    let mut messages = prompt.messages.iter().enumerate();
    let in_messages = messages.find_map(|(index, message)| {
        let within = of_message(message)?;
        Some(format!("messages[{index}].{within}"))
    });
    in_messages.or_else(|| {
        let mut tools = prompt.tools.iter().enumerate();
        tools.find_map(|(index, tool)| {
            let beside = tool.beside.as_ref().and_then(|it| first_name(&it.json));
            match (&tool.kind, beside) {
                (ToolKind::Vendor(_), _) => Some(format!("tools[{index}]")),
                (_, Some(name)) => Some(format!("tools[{index}].{name}")),
                (_, None) => None,
            }
        })
    })
}

fn of_message(message: &Message) -> Option<String> {
    let own = message.beside.as_ref().and_then(|it| first_name(&it.json));
    own.or_else(|| {
        let mut parts = message.parts.iter().enumerate();
        parts.find_map(|(index, part)| Some(format!("content[{index}]{}", of_part(part)?)))
    })
}

fn of_part(part: &Part) -> Option<String> {
    if matches!(part.content, domain::Content::Opaque(_)) {
        return Some(String::new());
    }
    let beside = part.beside.as_ref()?;
    first_name(&beside.json).map(|name| format!(".{name}"))
}

/// The first field of an object that is more than an annotation.
fn first_name(json: &str) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_str(json).ok()?;
    let mut names = fields.keys();
    let name = names.find(|name| !ANNOTATIONS.contains(&name.as_str()))?;
    Some(short(name))
}

/// Whether a field has the value that it would have if it were left out.
fn is_neutral(name: &str, value: &Value) -> bool {
    match name {
        "modalities" => value.as_array().is_some_and(|list| list == &["text"]),
        "service_tier" | "truncation" => value == "auto" || value == "disabled",
        "background" => value == false,
        "include" => value.as_array().is_some_and(Vec::is_empty),
        _ => false,
    }
}
