//! The list of models.

use serde::Serialize;

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// The name to put in a request's `model`.
    pub id: String,
    /// Since when, in seconds since 1970.
    pub created_s: u64,
    /// Who offers it.
    pub owned_by: String,
}

#[derive(Serialize)]
struct ListBody<'a> {
    object: &'static str,
    data: Vec<EntryBody<'a>>,
}

#[derive(Serialize)]
struct EntryBody<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

impl<'a> From<&'a ModelEntry> for EntryBody<'a> {
    fn from(model: &'a ModelEntry) -> Self {
        Self {
            id: &model.id,
            object: "model",
            created: model.created_s,
            owned_by: &model.owned_by,
        }
    }
}

/// The answer to `GET /v1/models` as JSON.
#[must_use]
pub fn encode_models(models: &[ModelEntry]) -> String {
    crate::json::text(&ListBody {
        object: "list",
        data: models.iter().map(EntryBody::from).collect(),
    })
}

/// The answer to `GET /v1/models/{id}` as JSON.
#[must_use]
pub fn encode_model(model: &ModelEntry) -> String {
    crate::json::text(&EntryBody::from(model))
}
