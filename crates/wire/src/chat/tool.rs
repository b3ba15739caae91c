//! Tools that only one protocol knows.

use domain::{Opaque, Protocol, Tool, ToolKind};
use serde_json::Value;

/// A tool of a type that only this protocol knows.
pub(crate) fn vendor_tool(protocol: Protocol, value: &Value) -> Tool {
    let json = crate::json::text(value);
    Tool {
        kind: ToolKind::Vendor(Opaque { protocol, json }),
        beside: None,
    }
}
