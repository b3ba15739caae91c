//! `tiergate serve`.

mod answers;
mod batches;
mod clouds;
mod completions;
mod decisions;
mod embeddings;
mod engine;
mod every_protocol;
mod google;
mod hazards;
mod kept;
mod keys;
mod life;
mod limits;
mod local;
mod messages;
mod outward;
mod pools;
mod refusals;
mod renewal;
mod responses;
mod slow_readers;
mod streams;
mod tools;
mod unpriced;
mod untouched;
mod whole_domain;

use serde_json::{Value, json};

use crate::server::Response;
use crate::vendor::Vendor;
use crate::workplace::{LLAMA, config, documents};

/// A config with the task `classify`, the starter model and these sections.
fn with(tiers: &[&str], sections: &str, task: &str) -> String {
    config(tiers, &format!("{LLAMA}{sections}"), task)
}

/// The sections of a vendor that may be asked directly.
fn openly(vendor: &Vendor) -> String {
    let config = vendor.config();
    format!("[server]\ndirect_sensitivity = \"public\"\n{config}")
}

/// A request with one message of a user.
pub(crate) fn asks(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// The same request with a field more.
pub(crate) fn and(mut request: Value, field: &str, value: impl Into<Value>) -> Value {
    request[field] = value.into();
    request
}

/// A document of the demo, and the matter that it is about.
fn document(index: usize) -> (String, String) {
    let document = &documents()[index];
    let text = |field: &str| document[field].as_str().unwrap().to_owned();
    (text("text"), text("classify"))
}

/// The body of an answer.
fn ok(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}
