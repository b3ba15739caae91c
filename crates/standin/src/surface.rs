//! What is asked on each path, and how it is read.

use axum::http::StatusCode;
use axum::response::Response;
use domain::{Prompt, PromptTokens, Protocol};
use serde_json::{Map, Value};
use wire::chat::{ChatRequest, ErrorBody, Form};
use wire::embedding::{EmbeddingRequest, Embeddings};
use wire::fault::{Fault, FaultKind};
use wire::google::embed;
use wire::google::generate::Framing;
use wire::google::path::{Method, Target};
use wire::openai::embeddings;
use wire::openai::responses::Echo;
use wire::{anthropic, google, openai};

use crate::refusal::{Refuser, json};

/// A surface of one of the protocols.
#[derive(Clone, Debug)]
pub(crate) enum Surface {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Messages,
    /// Anthropic's protocol at Vertex, where the address names this model.
    RawPredict(String),
    CountMessages,
    Google(Target, Framing),
}

/// A request that was read.
pub(crate) enum Asked {
    /// For a completion.
    Chat {
        request: Box<ChatRequest>,
        form: Form,
    },
    /// For embeddings.
    Embedding {
        request: EmbeddingRequest,
        encode: fn(&EmbeddingRequest, &Embeddings) -> String,
    },
    /// For a count of tokens, which costs nothing.
    Count {
        prompt: Prompt,
        encode: fn(PromptTokens) -> String,
    },
}

impl Asked {
    /// Who refuses what goes wrong from here on.
    pub(crate) fn refuser(&self) -> Refuser {
        match self {
            Self::Chat { form, .. } => Refuser::of(form.protocol()),
            Self::Embedding { .. } | Self::Count { .. } => Refuser::of_openai(),
        }
    }
}

impl Surface {
    pub(crate) fn google(target: Target, is_events: bool) -> Self {
        let framing = match is_events {
            true => Framing::Events,
            false => Framing::Array,
        };
        Self::Google(target, framing)
    }

    /// Who refuses what is wrong with a request.
    pub(crate) fn refuser(&self) -> Refuser {
        Refuser::of(match self {
            Self::Chat | Self::Completions | Self::Embeddings => Protocol::OpenAiChat,
            Self::Responses => Protocol::OpenAiResponses,
            Self::Messages | Self::RawPredict(_) | Self::CountMessages => Protocol::Anthropic,
            Self::Google(..) => Protocol::Google,
        })
    }

    /// The request that a body holds, for the one model there is.
    pub(crate) fn read(&self, model: &str, body: &[u8]) -> Result<Asked, Box<Response>> {
        let refuser = self.refuser();
        let asked = self.parse(body).map_err(|fault| {
            let status = StatusCode::BAD_REQUEST;
            let body = ErrorBody::from(&fault).encode_as(refuser.protocol(), status.as_u16(), "");
            Box::new(json(status, body))
        })?;
        let asked_for = match &asked {
            Asked::Chat { request, .. } => &request.model,
            Asked::Embedding { request, .. } => &request.model,
            Asked::Count { .. } => return Ok(asked),
        };
        if asked_for == model {
            return Ok(asked);
        }
        let message = "there is no such model; `/v1/models` lists what there is";
        let refusal = refuser.error(StatusCode::NOT_FOUND, "model_not_found", message);
        Err(Box::new(refusal))
    }

    fn parse(&self, body: &[u8]) -> Result<Asked, Fault> {
        match self {
            Self::Chat => {
                let request = openai::chat::parse_request(body)?;
                let form = Form::OpenAiChat(request.stream_usage);
                Ok(chat(request, form))
            }
            Self::Completions => {
                let request = openai::completions::parse_request(body)?;
                let form = Form::OpenAiCompletions(request.stream_usage);
                Ok(chat(request, form))
            }
            Self::Responses => {
                let request = openai::responses::parse_request(body)?;
                let form = Form::OpenAiResponses(Echo::of(&request));
                Ok(chat(request, form))
            }
            Self::Messages => {
                let request = anthropic::messages::parse_request(body)?;
                Ok(chat(request, Form::Anthropic))
            }
            Self::RawPredict(model) => {
                let body = at_vertex(model, body)?;
                let request = anthropic::messages::parse_request(&body)?;
                Ok(chat(request, Form::Anthropic))
            }
            Self::CountMessages => {
                let request = anthropic::messages::parse_count_request(body)?;
                Ok(Asked::Count {
                    prompt: request.prompt,
                    encode: anthropic::messages::encode_count,
                })
            }
            Self::Embeddings => Ok(Asked::Embedding {
                request: embeddings::parse_request(body)?,
                encode: |asked, found| {
                    embeddings::encode_embeddings(&asked.model, found, asked.encoding)
                },
            }),
            Self::Google(target, framing) => parse_google(target, *framing, body),
        }
    }
}

/// The body of a request to Vertex as Anthropic's own servers would have got it: with the model, and
/// without the version, which Vertex demands there.
fn at_vertex(model: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let fault = |kind, path: &str, found: &str| Fault {
        kind,
        path: path.to_owned(),
        found: found.to_owned(),
        rule: "send what Vertex wants of Anthropic's clients".to_owned(),
        example: None,
    };
    let mut fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_no_object| fault(FaultKind::Malformed, "", "the body is no JSON object"))?;
    if fields.shift_remove("anthropic_version") != Some("vertex-2023-10-16".into()) {
        let found = "is missing or another one";
        return Err(fault(FaultKind::Invalid, "anthropic_version", found));
    }
    if fields.insert("model".to_owned(), model.into()).is_some() {
        let found = "stands in the body as well as in the address";
        return Err(fault(FaultKind::Invalid, "model", found));
    }
    Ok(Value::Object(fields).to_string().into_bytes())
}

fn chat(request: ChatRequest, form: Form) -> Asked {
    Asked::Chat {
        request: Box::new(request),
        form,
    }
}

fn parse_google(target: &Target, framing: Framing, body: &[u8]) -> Result<Asked, Fault> {
    match target.method {
        Method::GenerateContent | Method::StreamGenerateContent => {
            let request = google::generate::parse_request(target, body)?;
            Ok(chat(request, Form::Google(framing)))
        }
        Method::CountTokens => {
            let request = google::generate::parse_count_request(target, body)?;
            Ok(Asked::Count {
                prompt: request.prompt,
                encode: google::generate::encode_count,
            })
        }
        Method::EmbedContent => Ok(Asked::Embedding {
            request: embed::parse_request(target, body)?,
            encode: |_, found| embed::encode_embedding(found),
        }),
        Method::BatchEmbedContents => Ok(Asked::Embedding {
            request: embed::parse_batch_request(target, body)?,
            encode: |_, found| embed::encode_embeddings(found),
        }),
        Method::Predict => Ok(Asked::Embedding {
            request: embed::parse_predict_request(target, body)?,
            encode: |_, found| embed::encode_predictions(found),
        }),
    }
}
