//! OpenAI's files: given, listed, read and deleted. They are there for batches.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::BodyDataStream;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use ledger::{Kept, KeptKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use wire::multipart::{Piece, Reader};

use super::error::HttpError;
use super::file_folder::{FileFolder, NewFile};
use super::google;
use super::keep::{Asked, Page, Shelf};
use super::models;
use super::server::Server;
use crate::app::App;

/// What files are given for.
pub(super) const BATCH: &str = "batch";
/// What results of batches are there for.
pub(super) const BATCH_OUTPUT: &str = "batch_output";
/// Longest text of a field that is no file, in bytes.
const FIELD_BYTES_MAX: usize = 4 << 10;
/// Most fields of a form.
const FIELDS_MAX: usize = 16;
/// Most files of a list.
const LIST_MAX: usize = 10_000;

/// What is kept of a file beside its content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) filename: String,
    pub(super) purpose: String,
    pub(super) bytes: u64,
}

/// Takes a file.
///
/// # Errors
/// When the request is no form with a file, its purpose is another than a batch, or there is no
/// room for it.
///
/// # Cancel safety
/// When dropped midway nothing is left of the file.
pub(super) async fn upload(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    shelf: Shelf,
    request: Request,
) -> Result<impl IntoResponse, HttpError> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let reader = content_type.and_then(|it| Reader::of(it.to_str().ok()?));
    let reader = reader.ok_or_else(HttpError::no_form)?;
    let id = new_id();
    let folder = FileFolder::of(&app.config);
    let form = Form {
        id: &id,
        folder: &folder,
        bytes_max: shelf.bytes_max(),
        texts: BTreeMap::new(),
        file: None,
    };
    let bytes = request.into_body().into_data_stream();
    let form = form.read(reader, bytes, server.body_timeout).await?;
    let Form { texts, file, .. } = form;
    match texts.get("purpose").map(String::as_str) {
        Some(BATCH) => {}
        Some(_) => {
            return Err(HttpError::wrong_field(
                "purpose",
                "the purpose here is batch",
            ));
        }
        None => return Err(HttpError::wrong_field("purpose", "say the purpose: batch")),
    }
    let (filename, file) = file.ok_or_else(|| {
        let rule = "send the file as the field `file`, with a filename";
        HttpError::wrong_field("file", rule)
    })?;
    keep((&shelf, &folder), &id, (filename, file)).await?;
    let kept = shelf.get(KeptKind::File, &id).await?;
    Ok(models::json(object(&kept)?.to_string()))
}

/// The name of a new file.
pub(super) fn new_id() -> String {
    format!("file-{}", Uuid::now_v7().simple())
}

/// Keeps a file of this name for batches, whose last byte was written.
///
/// # Errors
/// When it can't be written, or there is no room for it; then nothing is left of it.
pub(super) async fn keep(
    (shelf, folder): (&Shelf, &FileFolder),
    id: &str,
    (filename, file): (String, NewFile),
) -> Result<(), HttpError> {
    let bytes = file.settle().await.map_err(|error| not_written(&error))?;
    let about = About {
        filename,
        purpose: BATCH.to_owned(),
        bytes,
    };
    let kept = shelf.put(KeptKind::File, id, (encode(&about), bytes)).await;
    if kept.is_err() {
        // What has no entry is removed later at the latest.
        let _left = folder.remove(id).await;
    }
    kept
}

/// What is kept of a file, as JSON text.
pub(super) fn encode(about: &About) -> String {
    serde_json::to_string(about).unwrap_or_else(|_| unreachable!("texts and numbers encode"))
}

/// A client's file can't be read or written.
pub(super) fn not_written(error: &io::Error) -> HttpError {
    HttpError::not_stored(&error.to_string())
}

/// A form on its way in.
struct Form<'u> {
    id: &'u str,
    folder: &'u FileFolder,
    bytes_max: u64,
    /// The fields that are no files.
    texts: BTreeMap<String, String>,
    /// The file with its name.
    file: Option<(String, NewFile)>,
}

impl Form<'_> {
    async fn read(
        mut self,
        mut reader: Reader,
        mut bytes: BodyDataStream,
        patience: Duration,
    ) -> Result<Self, HttpError> {
        let (mut pieces, mut field) = (VecDeque::new(), None);
        while !reader.is_whole() {
            let next = tokio::time::timeout(patience, bytes.next()).await;
            let next = next.map_err(|_elapsed| HttpError::body_too_slow())?;
            let chunk = next.ok_or_else(HttpError::body_broken)?;
            let chunk = chunk.map_err(|_broken| HttpError::body_broken())?;
            let pushed = reader.push(&chunk, &mut pieces);
            pushed.map_err(|error| HttpError::broken_form(&error.to_string()))?;
            while let Some(piece) = pieces.pop_front() {
                self.take(piece, &mut field).await?;
            }
        }
        Ok(self)
    }

    async fn take(&mut self, piece: Piece, field: &mut Option<String>) -> Result<(), HttpError> {
        match piece {
            Piece::Field { name, file } if name == "file" && self.file.is_none() => {
                let new = self.folder.create(self.id);
                let new = new.map_err(|error| not_written(&error))?;
                self.file = Some((file.unwrap_or_default(), new));
                *field = None;
            }
            Piece::Field { name, .. } => {
                if self.texts.len() == FIELDS_MAX || name == "file" {
                    return Err(HttpError::broken_form("it has too many fields"));
                }
                self.texts.insert(name.clone(), String::new());
                *field = Some(name);
            }
            Piece::Bytes(bytes) => match field {
                Some(name) => self.text(name, &bytes)?,
                None => self.content(bytes).await?,
            },
            Piece::End => {}
        }
        Ok(())
    }

    fn text(&mut self, name: &str, bytes: &[u8]) -> Result<(), HttpError> {
        let text = self.texts.entry(name.to_owned()).or_default();
        text.push_str(&String::from_utf8_lossy(bytes));
        match text.len() <= FIELD_BYTES_MAX {
            true => Ok(()),
            false => Err(HttpError::broken_form("a field is too long")),
        }
    }

    async fn content(&mut self, bytes: Vec<u8>) -> Result<(), HttpError> {
        let Some((_, file)) = &mut self.file else {
            return Ok(());
        };
        if file.bytes() + bytes.len() as u64 > self.bytes_max {
            return Err(HttpError::shelf_full(self.bytes_max));
        }
        let written = file.take(bytes).await;
        written.map_err(|error| not_written(&error))
    }
}

/// A file as OpenAI describes it.
fn object(kept: &Kept) -> Result<Value, HttpError> {
    let about = about(kept)?;
    Ok(json!({
        "id": kept.id,
        "object": "file",
        "bytes": about.bytes,
        "created_at": kept.at.unix_ms() / 1_000,
        "expires_at": kept.expires_at.unix_ms() / 1_000,
        "filename": about.filename,
        "purpose": about.purpose,
        "status": "processed",
    }))
}

/// What is kept of a file.
///
/// # Errors
/// When it is nothing of ours, which is our own fault.
pub(super) fn about(kept: &Kept) -> Result<About, HttpError> {
    serde_json::from_str(&kept.body).map_err(|_no_json| HttpError::internal())
}

/// All files of the key.
///
/// # Errors
/// When the query is wrong.
pub(super) async fn list(shelf: Shelf, request: Request) -> Result<impl IntoResponse, HttpError> {
    let asked = Asked::of(&request, ["after", "before"], (LIST_MAX, LIST_MAX))?;
    let all = Asked {
        limit: LIST_MAX,
        ..asked.clone()
    };
    let page = shelf.page(KeptKind::File, &all).await?;
    let files: Result<Vec<Value>, HttpError> = page.items.iter().map(object).collect();
    let mut files = files?;
    if let Some(purpose) = google::query(&request, "purpose") {
        files.retain(|file| file["purpose"] == purpose);
    }
    Ok(models::json(Page::cut(files, asked.limit).encode()))
}

/// One file.
///
/// # Errors
/// 404 when the key has none of this name.
pub(super) async fn one(
    shelf: Shelf,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let kept = shelf.get(KeptKind::File, &id).await?;
    Ok(models::json(object(&kept)?.to_string()))
}

/// A file's content.
///
/// # Errors
/// As [`one`].
pub(super) async fn content(
    Extension(app): Extension<Arc<App>>,
    shelf: Shelf,
    Path(id): Path<String>,
) -> Result<Response, HttpError> {
    let kept = shelf.get(KeptKind::File, &id).await?;
    send(&app, &kept.id, "application/octet-stream").await
}

/// The content of a file that is kept, as this type.
///
/// # Errors
/// When it can't be read.
pub(super) async fn send(
    app: &App,
    id: &str,
    content_type: &'static str,
) -> Result<Response, HttpError> {
    let read = FileFolder::of(&app.config).body(id).await;
    let (bytes, body) = read.map_err(|error| not_written(&error))?;
    let headers = [
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_LENGTH, bytes.to_string()),
    ];
    Ok((headers, body).into_response())
}

/// Deletes a file.
///
/// # Errors
/// As [`one`], and while a batch works on it.
pub(super) async fn delete(
    State(server): State<Arc<Server>>,
    Extension(app): Extension<Arc<App>>,
    shelf: Shelf,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let kept = shelf.get(KeptKind::File, &id).await?;
    if server.batches.uses(&kept.id) {
        return Err(HttpError::batch_in_work());
    }
    shelf.delete(KeptKind::File, &id).await?;
    let removed = FileFolder::of(&app.config).remove(&id).await;
    removed.map_err(|error| not_written(&error))?;
    let deleted = json!({"id": id, "object": "file", "deleted": true});
    Ok(models::json(deleted.to_string()))
}
