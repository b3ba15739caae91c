//! What a request asks of a vendor that a price for tokens does not cover.

use domain::{Protocol, ToolKind};
use serde_json::Value;

use super::request::ChatRequest;
use crate::fault::{Fault, FaultKind};

/// Fields for which vendors bill more than the tokens at their usual price, or by which they read
/// what was not sent to them: another price for the same tokens, calls of tools that they run,
/// other models, several answers of which one is shown, texts that lie with them.
const FIELDS: &[&str] = &[
    "best_of",
    "cachedContent",
    "container",
    "fallbacks",
    "inference_geo",
    "mcp_servers",
    "models",
    "plugins",
    "prompt",
    "search_parameters",
    "serviceTier",
    "service_tier",
    "speed",
    "web_search_options",
];
/// Values of these that change nothing, or make it cheaper.
const USUAL: &[&str] = &[
    "auto",
    "default",
    "flex",
    "global",
    "not_available",
    "standard",
    "standard_only",
    "unspecified",
];
/// How the types of those tools begin that a vendor knows and the client runs: they cost tokens
/// alone.
const RUN_BY_CLIENT: &[&str] = &[
    "apply_patch",
    "bash_",
    "computer",
    "custom",
    "local_shell",
    "memory_",
    "text_editor_",
];

impl ChatRequest {
    /// The fault that names the first thing in the request for which a vendor of this protocol may
    /// bill more than its price for tokens says, as far as is known here; `None` where nothing is.
    #[must_use]
    pub fn unpriced(&self, to: Protocol) -> Option<Fault> {
        if to != self.extra.protocol() {
            // Another protocol's vendor is not told of it.
            return None;
        }
        let fields = FIELDS.iter().filter(|name| {
            let value = self.extra.field(name);
            value.is_some_and(|value| !is_usual(value))
        });
        let mut tools = self.prompt.tools.iter().enumerate();
        let tool = tools.find_map(|(index, tool)| match &tool.kind {
            ToolKind::Vendor(opaque) if !is_run_by_client(&opaque.json) => {
                Some(format!("tools[{index}]"))
            }
            _ => None,
        });
        let path = fields.map(|name| (*name).to_owned()).next().or(tool)?;
        Some(Fault::new(
            FaultKind::Unsupported,
            path,
            "its vendor may bill more for it than the tier's price list says",
            "leave it out, or ask for a tier that takes it (allow_unpriced)",
        ))
    }
}

fn is_usual(value: &Value) -> bool {
    let word = value.as_str().map(str::to_ascii_lowercase);
    *value == 1 || word.is_some_and(|word| USUAL.iter().any(|usual| word == *usual))
}

fn is_run_by_client(tool: &str) -> bool {
    let tool: Value = serde_json::from_str(tool).unwrap_or_default();
    let kind = tool["type"].as_str().unwrap_or_default();
    RUN_BY_CLIENT.iter().any(|begin| kind.starts_with(begin))
}
