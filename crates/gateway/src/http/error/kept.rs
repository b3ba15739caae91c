//! What is wrong with what clients have kept here: responses, files and batches.

use axum::http::StatusCode;
use domain::{Sensitivity, Task};

use super::{HttpError, INVALID_REQUEST, LATER_S, RATE_LIMIT, Retry, SERVER, short};

impl HttpError {
    /// The server keeps nothing for clients.
    pub(in crate::http) fn keeps_nothing() -> Self {
        let message = "this server keeps no responses, files or batches; it does where \
                       server.keep_days says for how long";
        let (status, code) = (StatusCode::NOT_FOUND, "nothing_is_kept");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// Nothing of this name is kept for this key.
    pub(in crate::http) fn not_kept(noun: &str, id: &str) -> Self {
        let message = format!(
            "there is no {noun} `{}` of this key, or its time is over",
            short(id)
        );
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, "not_found", message)
    }

    /// Texts of this task are never kept.
    pub(in crate::http) fn never_kept(task: &str) -> Self {
        let message = format!(
            "the texts of task {task} are restricted and never kept; send store = false, or leave \
             it out"
        );
        let (status, code) = (StatusCode::BAD_REQUEST, "unsupported_parameter");
        Self::new(status, INVALID_REQUEST, code, message).about("store")
    }

    /// The texts of a task are never kept, as a batch would.
    pub(in crate::http) fn never_in_batches(task: &str) -> Self {
        let message = format!(
            "the texts of task {task} are restricted and never kept, and a batch's results are; ask \
             one by one"
        );
        let (status, code) = (StatusCode::BAD_REQUEST, "unsupported_parameter");
        Self::new(status, INVALID_REQUEST, code, message).about("model")
    }

    /// The response to go on from, or one before it, is not kept.
    pub(in crate::http) fn no_previous(id: &str, is_last: bool) -> Self {
        let what = match is_last {
            true => "there is no response",
            false => "the conversation goes back to a response that is no longer kept,",
        };
        let message = format!(
            "{what} `{}` of this key; send the whole conversation as input",
            short(id)
        );
        let (status, code) = (StatusCode::BAD_REQUEST, "previous_response_not_found");
        Self::new(status, INVALID_REQUEST, code, message).about("previous_response_id")
    }

    /// A conversation is more sensitive than the texts of the task that shall go on with it.
    pub(in crate::http) fn less_sensitive(task: &Task, earlier: Sensitivity) -> Self {
        let (name, earlier) = (&task.name, earlier.as_str());
        let message = format!(
            "the conversation before it is {earlier}, and the texts of task {name} are only {}; go \
             on under a task whose texts are {earlier}, or begin another conversation",
            task.sensitivity.as_str()
        );
        let (status, code) = (StatusCode::FORBIDDEN, "sensitivity_not_allowed");
        let mut error = Self::new(status, "permission_error", code, message);
        error.body.param = Some("previous_response_id".to_owned());
        error
    }

    /// The conversation that is gone on with has grown too long.
    pub(in crate::http) fn conversation_too_long(bytes_max: usize) -> Self {
        let message = format!(
            "the conversation so far has more than {bytes_max} bytes; begin another, or raise \
             server.body_bytes_max"
        );
        let (status, code) = (StatusCode::BAD_REQUEST, "conversation_too_long");
        Self::new(status, INVALID_REQUEST, code, message).about("previous_response_id")
    }

    /// There is no room for what this key wants kept.
    pub(in crate::http) fn shelf_full(bytes_max: u64) -> Self {
        let message = format!(
            "what is kept for this key may have {bytes_max} bytes in all (server.keep_bytes_max); \
             delete some of it first"
        );
        let (status, code) = (StatusCode::TOO_MANY_REQUESTS, "storage_full");
        Self::new(status, "insufficient_quota", code, message).retry(Retry::Never)
    }

    /// A file can't be read or written.
    pub(in crate::http) fn not_stored(cause: &str) -> Self {
        let message = "the file could not be read or written; the server's log says why";
        let (status, retry) = (StatusCode::INTERNAL_SERVER_ERROR, Retry::Never);
        Self::new(status, SERVER, "not_stored", message)
            .retry(retry)
            .because(format!("a client's file: {cause}"))
    }

    /// As many batches are in work as may be.
    pub(in crate::http) fn no_place_for_batch() -> Self {
        let message = "the server works on as many batches as it may; try again when one is done";
        let (status, retry) = (StatusCode::TOO_MANY_REQUESTS, Retry::AfterSeconds(LATER_S));
        Self::new(status, RATE_LIMIT, "rate_limit_exceeded", message).retry(retry)
    }

    /// The batch has no results yet; or it, or the file of its lines, can't be deleted yet.
    pub(in crate::http) fn batch_in_work() -> Self {
        let message = "a batch has not ended; ask again when it has, or cancel it";
        let (status, code) = (StatusCode::BAD_REQUEST, "batch_in_progress");
        Self::new(status, INVALID_REQUEST, code, message)
    }
}
