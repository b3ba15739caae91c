//! The list of models.

use crate::json::{Fields, Json, list};

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// The name to put in a request's `model`.
    pub id: String,
    /// The name to show to people.
    pub display_name: String,
    /// Since when, as a moment of RFC 3339.
    pub created_at: String,
}

/// The answer to `GET /v1/models` as JSON.
#[must_use]
pub fn encode_models(models: &[ModelEntry]) -> String {
    let end = |model: Option<&ModelEntry>| {
        let id = model.map(|model| Json::from(model.id.clone()));
        id.unwrap_or(Json::Null)
    };
    Fields::new()
        .with("data", list(models.iter().map(entry)))
        .with("has_more", false)
        .with("first_id", end(models.first()))
        .with("last_id", end(models.last()))
        .encode()
}

/// The answer to `GET /v1/models/{id}` as JSON.
#[must_use]
pub fn encode_model(model: &ModelEntry) -> String {
    entry(model).encode()
}

fn entry(model: &ModelEntry) -> Fields<'_> {
    Fields::new()
        .with("type", "model")
        .with("id", &model.id)
        .with("display_name", &model.display_name)
        .with("created_at", &model.created_at)
}
