//! A model file from a stranger: an error, or a model that computes. Never a panic, a hang or an
//! allocation far beyond the file's size.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use llama::{ChatMessage, Model, Role, SpecialTokens};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = Model::from_bytes("hostile", bytes) else {
        return;
    };
    let model = Arc::new(model);
    let tokenizer = model.tokenizer();
    let tokens = tokenizer.encode("hello <|eot_id|>", SpecialTokens::Parse);
    let _refused = model.logits(&tokens[..tokens.len().min(3)]);
    if let Some(template) = model.chat_template() {
        let message = ChatMessage::new(Role::User, "hello");
        let _refused = template.encode(tokenizer, &[message]);
    }
});
