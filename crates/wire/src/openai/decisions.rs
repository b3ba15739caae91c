//! Decisions: `/v1/decisions`, typed questions about an input that are answered with
//! probabilities, as OpenAI's Python library 3.54 describes the interface
//! (`types/decision_create_params.py` and `types/decision.py`).

mod encode;
mod input;
mod question;

pub use encode::encode_decision;
pub use question::{Ask, Choice, ChoiceValue, Level, Question};

use domain::Message;

use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule};

const BODY: Rule = Rule {
    says: "send a JSON object with a model, an input and questions",
    example: r#"{"model": "tier:llama", "input": "It broke.", "questions": [{"type": "predicate", "instructions": "Something is broken."}]}"#,
};
const MODEL: Rule = Rule {
    says: "the model is a name",
    example: r#""tier:llama""#,
};
/// Fields that change nothing in the answers.
const ANNOTATIONS: [&str; 3] = [
    "prompt_cache_key",
    "prompt_cache_options",
    "safety_identifier",
];

/// What is asked about an input.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRequest {
    /// Who is asked.
    pub model: String,
    /// What all questions are about; at least one message.
    pub input: Vec<Message>,
    /// The questions, 1 to 400.
    pub questions: Vec<Question>,
}

/// The request that a body holds.
///
/// # Errors
/// The first fault of the body: it is no request, or has something in it that no model of texts
/// can be shown.
pub fn parse_request(body: &[u8]) -> Result<DecisionRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?;
    let request = DecisionRequest {
        model: object.take_text("model", MODEL)?,
        input: input::parse(object.take_required("input", input::INPUT)?)?,
        questions: question::parse(object.take_required("questions", question::QUESTIONS)?)?,
    };
    for name in ANNOTATIONS {
        object.take(name);
    }
    object.refuse_rest("decisions have no such field")?;
    Ok(request)
}

fn unsupported(path: String, found: &str, rule: &str) -> Fault {
    Fault::new(FaultKind::Unsupported, path, found, rule)
}
