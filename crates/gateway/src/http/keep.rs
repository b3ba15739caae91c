//! What is kept for clients: whose it is, how long, and how it is found again.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Sensitivity;
use ledger::{Kept, KeptKind, KeptPage, Ledger, LedgerError, Reader, Timestamp};
use serde_json::{Value, json};

use super::error::HttpError;
use super::google::query;
use super::server::Server;
use crate::app::App;
use crate::clock;
use crate::config::Keeping;

/// Whose something is: everybody's who presents the same key. It says nothing about the key
/// itself, and lies beside what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner(pub(super) String);

/// A client's own shelf.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    ledger: Ledger,
    keeping: Keeping,
    owner: Owner,
}

impl Shelf {
    /// This owner's, if the server keeps anything.
    pub(super) fn of(app: &App, owner: &Owner) -> Option<Self> {
        Some(Self {
            ledger: app.ledger.clone(),
            keeping: app.config.server.keeping?,
            owner: owner.clone(),
        })
    }

    /// How long and how much is kept.
    pub(super) fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// Whose it is.
    pub(super) fn owner(&self) -> &str {
        &self.owner.0
    }

    /// The most that lies here, in bytes.
    pub(super) fn bytes_max(&self) -> u64 {
        self.keeping.bytes_max
    }

    /// When what comes here now is to be deleted.
    fn expiry(&self) -> Timestamp {
        self.keeping.expiry(clock::now())
    }

    /// Keeps something under a name, in the place of what had it before.
    ///
    /// # Errors
    /// When there is no room for it, or the ledger can't be written.
    ///
    /// # Cancel safety
    /// When dropped midway it is kept or not, and never half.
    pub(super) async fn put(
        &self,
        kind: KeptKind,
        id: &str,
        (body, size_bytes): (String, u64),
    ) -> Result<(), HttpError> {
        let kept = Kept {
            id: id.to_owned(),
            owner: self.owner.0.clone(),
            at: clock::now(),
            expires_at: self.expiry(),
            size_bytes,
            body,
        };
        let kept = self.ledger.keep(kind, kept, self.keeping.bytes_max).await;
        kept.map_err(|error| match error {
            LedgerError::TooMuchKept { bytes_max } => HttpError::shelf_full(bytes_max),
            error => HttpError::not_recorded(&error),
        })
    }

    /// What is kept under a name.
    ///
    /// # Errors
    /// 404 when there is nothing of this owner's, 500 when the ledger can't be read.
    ///
    /// # Cancel safety
    /// Nothing changes when it is dropped.
    pub(super) async fn get(&self, kind: KeptKind, id: &str) -> Result<Kept, HttpError> {
        let found = self.find(kind, id).await?;
        found.ok_or_else(|| HttpError::not_kept(noun(kind), id))
    }

    /// What is kept under a name, if there is anything.
    ///
    /// # Errors
    /// 500 when the ledger can't be read.
    ///
    /// # Cancel safety
    /// Nothing changes when it is dropped.
    pub(super) async fn find(&self, kind: KeptKind, id: &str) -> Result<Option<Kept>, HttpError> {
        let (id, owner) = (id.to_owned(), self.owner.0.clone());
        self.read(move |reader| reader.kept(kind, &id, &owner))
            .await
    }

    /// A part of the list of what is kept.
    ///
    /// # Errors
    /// 500 when the ledger can't be read.
    ///
    /// # Cancel safety
    /// Nothing changes when it is dropped.
    pub(super) async fn page(
        &self,
        kind: KeptKind,
        asked: &Asked,
    ) -> Result<Page<Kept>, HttpError> {
        let page = KeptPage {
            owner: self.owner.0.clone(),
            after: asked.after.clone(),
            before: asked.before.clone(),
            newest_first: asked.newest_first,
            most: u32::try_from(asked.limit + 1).unwrap_or(u32::MAX),
        };
        let found = self
            .read(move |reader| reader.kept_page(kind, &page))
            .await?;
        Ok(Page::cut(found, asked.limit))
    }

    /// Deletes what is kept under a name.
    ///
    /// # Errors
    /// 404 when there is nothing of this owner's, 500 when the ledger can't be written.
    ///
    /// # Cancel safety
    /// When dropped midway it is deleted or not.
    pub(super) async fn delete(&self, kind: KeptKind, id: &str) -> Result<(), HttpError> {
        let (name, owner) = (id.to_owned(), self.owner.0.clone());
        let deleted = self.ledger.drop_kept(kind, name, owner).await;
        match deleted.map_err(|error| HttpError::not_recorded(&error))? {
            true => Ok(()),
            false => Err(HttpError::not_kept(noun(kind), id)),
        }
    }

    /// Reads the ledger on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, HttpError> {
        let ledger = self.ledger.clone();
        let reading = tokio::task::spawn_blocking(move || read(&ledger.reader()?));
        let read = reading.await.map_err(|_broken| HttpError::internal())?;
        read.map_err(|error| HttpError::not_recorded(&error))
    }
}

impl FromRequestParts<Arc<Server>> for Shelf {
    type Rejection = HttpError;

    /// # Errors
    /// When the server keeps nothing; and when a layer is missing before the route, which is our
    /// own fault.
    async fn from_request_parts(
        parts: &mut Parts,
        _server: &Arc<Server>,
    ) -> Result<Self, HttpError> {
        let extensions = &parts.extensions;
        let (app, owner) = (extensions.get::<Arc<App>>(), extensions.get::<Owner>());
        let (app, owner) = app.zip(owner).ok_or_else(HttpError::internal)?;
        Self::of(app, owner).ok_or_else(HttpError::keeps_nothing)
    }
}

fn noun(kind: KeptKind) -> &'static str {
    match kind {
        KeptKind::Response => "response",
        KeptKind::File => "file",
        KeptKind::Batch => "batch",
    }
}

/// A response that will be kept when it is whole.
#[derive(Debug)]
pub(super) struct Keep {
    pub(super) shelf: Shelf,
    /// Whether the client said so, and not only left it open.
    pub(super) demanded: bool,
    /// The response before it.
    pub(super) previous: Option<String>,
    /// How sensitive its task's texts are: a conversation is only gone on with as such.
    pub(super) sensitivity: Sensitivity,
    /// The items of its own input.
    pub(super) input: Vec<Value>,
}

impl Keep {
    /// Keeps the response with this name and body.
    ///
    /// # Errors
    /// As [`Shelf::put`].
    ///
    /// # Cancel safety
    /// As [`Shelf::put`].
    pub(super) async fn response(&self, id: &str, body: &str) -> Result<(), HttpError> {
        let response: Value =
            serde_json::from_str(body).map_err(|_no_json| HttpError::internal())?;
        let body = json!({
            "response": response, "input": self.input, "previous": self.previous,
            "sensitivity": self.sensitivity.as_str(),
        });
        let body = body.to_string();
        let size = body.len() as u64;
        self.shelf.put(KeptKind::Response, id, (body, size)).await
    }
}

/// A part of a list, as a request's query asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
    pub(super) newest_first: bool,
    pub(super) limit: usize,
}

impl Asked {
    /// Reads it. `names` are what the protocol calls what stands after and before something.
    ///
    /// # Errors
    /// When `limit` is no number from 1 to `most`, or `order` neither `asc` nor `desc`.
    pub(super) fn of(
        request: &axum::extract::Request,
        names: [&str; 2],
        (usual, most): (usize, usize),
    ) -> Result<Self, HttpError> {
        let text = |name| query(request, name).filter(|it| !it.is_empty());
        let limit = match text("limit") {
            None => Some(usual),
            Some(digits) => digits.parse().ok(),
        };
        let limit = limit.filter(|limit| (1..=most).contains(limit));
        let limit = limit.ok_or_else(|| {
            let rule = format!("limit is a whole number from 1 to {most}");
            HttpError::wrong_query("limit", &rule)
        })?;
        let newest_first = match text("order") {
            None | Some("desc") => true,
            Some("asc") => false,
            Some(_) => return Err(HttpError::wrong_query("order", "order is asc or desc")),
        };
        Ok(Self {
            after: text(names[0]).map(str::to_owned),
            before: text(names[1]).map(str::to_owned),
            newest_first,
            limit,
        })
    }
}

/// A part of a list, and whether more follows.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) has_more: bool,
}

impl<T> Page<T> {
    /// The first of these.
    pub(super) fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self { items, has_more }
    }
}

impl<T> Page<T> {
    /// The same list with each item told so.
    pub(super) fn map(&self, tell: impl Fn(&T) -> Value) -> Page<Value> {
        Page {
            items: self.items.iter().map(tell).collect(),
            has_more: self.has_more,
        }
    }
}

impl Page<Value> {
    /// The list as JSON, as OpenAI and Anthropic have it.
    pub(super) fn encode(&self) -> String {
        let id = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
        json!({
            "object": "list",
            "data": self.items,
            "first_id": id(self.items.first()),
            "last_id": id(self.items.last()),
            "has_more": self.has_more,
        })
        .to_string()
    }
}
