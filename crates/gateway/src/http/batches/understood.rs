//! A batch's line as its task understands it.

use std::sync::Arc;

use domain::Sensitivity;
use ledger::{LedgerError, RequestId};
use wire::chat::{ChatRequest, Delivery, Form};
use wire::embedding::Encoding;
use wire::fault::{Fault, FaultKind};
use wire::openai::embeddings;
use wire::openai::responses::{self, Echo, Keeping};

use super::results::Writer;
use super::state::{Batch, Dialect};
use crate::answer::{self, Answered, Item, ItemResult, Request, Texts};
use crate::app::App;
use crate::http::error::HttpError;
use crate::http::{surface, target};
use crate::ready::ReadyTask;
use crate::tenant::Tenant;

/// The surface whose answers are vectors.
const EMBEDDINGS: &str = "/v1/embeddings";

/// The surfaces that lines may be for.
pub(super) const ENDPOINTS: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/completions",
    EMBEDDINGS,
    "/v1/responses",
];

/// What a line asks for.
pub(super) enum Understood {
    /// An answer to a prompt, in this form.
    Prompt {
        task: Arc<ReadyTask>,
        request: Box<Request>,
        form: Form,
    },
    /// Vectors of texts, written so.
    Texts {
        task: Arc<ReadyTask>,
        texts: Texts,
        encoding: Encoding,
    },
}

impl Understood {
    /// What this line of a batch asks for.
    ///
    /// # Errors
    /// When it is no request, or none that its task can answer within a batch.
    pub(super) fn new(
        app: &App,
        (batch, body): (&Batch, &[u8]),
        id: &RequestId,
    ) -> Result<Self, HttpError> {
        let tenant = Tenant::of_owner(&batch.owner);
        let understood = if batch.endpoint == EMBEDDINGS {
            let asked = embeddings::parse_request(body)?;
            let encoding = asked.encoding;
            Self::Texts {
                task: target::embedder(app, &asked)?,
                texts: Texts {
                    id: id.clone(),
                    tenant,
                    asked,
                    item: None,
                },
                encoding,
            }
        } else {
            let (asked, form) = read(batch, body)?;
            if asked.delivery == Delivery::Streamed {
                let rule = "a batch's answers are whole; leave it out";
                return Err(HttpError::wrong_field("stream", rule));
            }
            let (task, request) = target::resolve(app, asked, (id, &tenant))?;
            let request = Box::new(request);
            Self::Prompt {
                task,
                request,
                form,
            }
        };
        let (Self::Prompt { task, .. } | Self::Texts { task, .. }) = &understood;
        if task.task.sensitivity == Sensitivity::Restricted {
            return Err(HttpError::never_in_batches(task.task.name.as_str()));
        }
        Ok(understood)
    }

    /// Answers it, and stores the result that is written by `writer`.
    ///
    /// # Errors
    /// When the ledger can't record it.
    ///
    /// # Cancel safety
    /// As with [`answer::answer`].
    pub(super) async fn answer(
        self,
        app: &App,
        item: Item,
        writer: Writer,
    ) -> Result<Answered, LedgerError> {
        match self {
            Self::Prompt {
                task,
                mut request,
                form,
            } => {
                let write = move |answered: &Answered| writer.answered(&form, answered);
                let result = ItemResult::By(Arc::new(write));
                request.item = Some(Item { result, ..item });
                answer::answer(app, &task, &request, None).await
            }
            Self::Texts {
                task,
                mut texts,
                encoding,
            } => {
                let write = move |answered: &Answered| writer.embedded(encoding, answered);
                let result = ItemResult::By(Arc::new(write));
                texts.item = Some(Item { result, ..item });
                answer::embed(app, &task, &texts).await
            }
        }
    }
}

fn read(batch: &Batch, body: &[u8]) -> Result<(ChatRequest, Form), Fault> {
    match (batch.dialect, batch.endpoint.as_str()) {
        (Dialect::Anthropic, _) => surface::messages(body),
        (Dialect::OpenAi, "/v1/completions") => surface::completions(body),
        (Dialect::OpenAi, "/v1/responses") => {
            let mut asked = responses::parse_request(body)?;
            let form = Form::OpenAiResponses(Echo::of(&asked));
            let wish = Keeping::take(&mut asked)?;
            match wish.previous {
                None => Ok((asked, form)),
                Some(_) => Err(Fault {
                    kind: FaultKind::Unsupported,
                    path: "previous_response_id".to_owned(),
                    found: "the request is one of a batch".to_owned(),
                    rule: "send the whole conversation as input".to_owned(),
                    example: None,
                }),
            }
        }
        (Dialect::OpenAi, _) => surface::chat_completions(body),
    }
}
