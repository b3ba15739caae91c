//! What the fields are told to be that mean the same in several protocols.

use crate::object::Rule;

pub(crate) const MODEL: Rule = Rule {
    says: "the model is a name",
    example: r#""auto""#,
};
pub(crate) const MESSAGES: Rule = Rule {
    says: "the messages are an array of at least one message",
    example: r#"[{"role": "user", "content": "Hello"}]"#,
};
pub(crate) const MAX_TOKENS: Rule = Rule {
    says: "the limit of completion tokens is a whole number of at least 1",
    example: "256",
};
pub(crate) const STREAM: Rule = Rule {
    says: "stream is true or false",
    example: "true",
};
pub(crate) const STOP: Rule = Rule {
    says: "the stop sequences are an array of strings, none of them empty",
    example: r#"["\n\n"]"#,
};
pub(crate) const TEMPERATURE: Rule = Rule {
    says: "the temperature is a number from 0 to 2",
    example: "0.7",
};
pub(crate) const SEED: Rule = Rule {
    says: "the seed is a whole number",
    example: "1",
};
pub(crate) const TOP_P: Rule = Rule {
    says: "top_p is a number from 0 to 1",
    example: "0.9",
};
pub(crate) const TOP_K: Rule = Rule {
    says: "top_k is a whole number",
    example: "40",
};
pub(crate) const PENALTY: Rule = Rule {
    says: "a penalty is a number from -2 to 2",
    example: "0.5",
};
pub(crate) const PARALLEL: Rule = Rule {
    says: "parallel_tool_calls is true or false",
    example: "true",
};
