//! A conversation in any of the protocols: `POST /v1/chat/completions`,
//! `/v1/responses`, `/v1/messages` and, by way of [`super::google`], Google's.

use axum::Extension;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use domain::{Completion, Sensitivity, TierName};
use ledger::RequestId;
use wire::chat::{AnswerHead, ChatRequest, Delivery, Form};

use super::call::Call;
use super::error::HttpError;
use super::exchange::Exchange;
use super::keep::Keep;
use super::models::json;
use super::server::now_s;
use super::stream::Stream;
use super::surface::Read;
use super::work::{Pending, Wanted, Work};
use super::{body, target};
use crate::answer::{Answered, End};
use crate::ready::ReadyTask;

/// Answers a request of the surface whose route this is.
///
/// # Errors
/// When the request is wrong, or there is no answer to it.
///
/// # Cancel safety
/// When dropped midway, as happens when the client hangs up, the work on it ends.
pub(super) async fn complete(
    call: Call,
    Extension(read): Extension<Read>,
    request: Request,
) -> Result<Response, HttpError> {
    let beta = beta(&request);
    let body = body::read(&call.server, request).await?;
    let (mut asked, form) = read(&body)?;
    drop(body);
    if let Some(beta) = beta.filter(|_| matches!(form, Form::Anthropic)) {
        asked.extra = asked.extra.with_beta(beta);
    }
    answer(call, asked, form.into()).await
}

/// What a request's headers `anthropic-beta` say, in one list.
fn beta(request: &Request) -> Option<String> {
    let values = request.headers().get_all("anthropic-beta").iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// How a client is answered, and whether its answer is kept.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) form: Form,
    pub(super) keep: Option<Keep>,
    /// How sensitive the conversation is that is gone on with.
    pub(super) earlier: Option<Sensitivity>,
}

impl From<Form> for Reply {
    fn from(form: Form) -> Self {
        Self {
            form,
            keep: None,
            earlier: None,
        }
    }
}

impl Reply {
    /// The same for a task, whose texts may not be allowed to be kept.
    ///
    /// # Errors
    /// When the client demands it all the same, or goes on with a conversation that is more
    /// sensitive than this task's texts and so might reach a tier that it must not.
    fn for_task(mut self, task: &ReadyTask) -> Result<Self, HttpError> {
        let sensitivity = task.task.sensitivity;
        if let Some(earlier) = self.earlier.filter(|earlier| *earlier > sensitivity) {
            return Err(HttpError::less_sensitive(&task.task, earlier));
        }
        let is_restricted = sensitivity == Sensitivity::Restricted;
        match &mut self.keep {
            Some(keep) if is_restricted && keep.demanded => {
                return Err(HttpError::never_kept(task.task.name.as_str()));
            }
            Some(_) if is_restricted => self.keep = None,
            Some(keep) => {
                keep.sensitivity = sensitivity;
                if let Form::OpenAiResponses(echo) = self.form {
                    self.form = Form::OpenAiResponses(echo.kept());
                }
            }
            None => {}
        }
        Ok(self)
    }

    /// The answer as JSON, once it is kept where it is to be.
    ///
    /// # Errors
    /// When it can't be kept.
    pub(super) async fn encode(
        &self,
        head: &AnswerHead,
        completion: &Completion,
    ) -> Result<String, HttpError> {
        let body = self.form.encode_completion(head, completion);
        if let Some(keep) = &self.keep {
            keep.response(&head.id, &body).await?;
        }
        Ok(body)
    }
}

/// Answers what was asked, whole or streamed.
///
/// # Errors
/// As [`complete`].
///
/// # Cancel safety
/// As with [`complete`].
pub(super) async fn answer(
    call: Call,
    asked: ChatRequest,
    reply: Reply,
) -> Result<Response, HttpError> {
    let Call {
        server,
        app,
        exchange,
        tenant,
        place,
        owner: _,
    } = call;
    let delivery = asked.delivery;
    let (task, request) = target::resolve(&app, asked, (&exchange.id, &tenant))?;
    let reply = reply.for_task(&task)?;
    let work = Work {
        app,
        task,
        wanted: Wanted::Answer(Box::new(request)),
        exchange: exchange.clone(),
    };
    let pending = work.start(&server, delivery, place);
    match delivery {
        Delivery::Whole => whole(pending, exchange, &reply).await,
        Delivery::Streamed => Ok(Stream::new(pending, exchange, reply).respond().await),
    }
}

async fn whole(
    mut pending: Pending,
    exchange: Exchange,
    reply: &Reply,
) -> Result<Response, HttpError> {
    let answered = pending.done().await?;
    let body = match accepted(answered, &exchange.id) {
        Ok((tier, completion)) => {
            let head = head(&reply.form, &exchange.id, tier.as_str());
            reply.encode(&head, &completion).await
        }
        Err(error) => Err(error),
    };
    let mut response = match body {
        Ok(body) => json(body).into_response(),
        Err(error) => error.into_response(),
    };
    if let Some(facts) = exchange.facts() {
        facts.tell(response.headers_mut());
    }
    Ok(response)
}

/// The answer and who gave it.
///
/// # Errors
/// When a person decides, or no tier could answer.
pub(super) fn accepted(
    answered: Answered,
    id: &RequestId,
) -> Result<(TierName, Completion), HttpError> {
    match answered.end {
        End::Accepted { tier, completion } => Ok((tier, completion)),
        end => Err(refusal(&end, id).unwrap_or_else(HttpError::internal)),
    }
}

/// Why there is no answer; `None` where there is one.
pub(super) fn refusal(end: &End, id: &RequestId) -> Option<HttpError> {
    match end {
        End::Accepted { .. } => None,
        End::Review { .. } => Some(HttpError::needs_review(id)),
        End::Failed {
            reason,
            retryable,
            fault,
        } => Some(HttpError::failed(reason, *fault, *retryable)),
    }
}

/// What an answer says of itself: its model is the tier that gave it, by the name under which
/// the tier can be asked.
pub(super) fn head(form: &Form, id: &RequestId, tier: &str) -> AnswerHead {
    AnswerHead {
        id: format!("{}{id}", form.id_prefix()),
        created_s: now_s(),
        model: format!("tier:{tier}"),
    }
}
