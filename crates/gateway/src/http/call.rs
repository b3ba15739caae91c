//! A request that was let in: what its route works with beside the request itself.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::admission::Place;
use super::error::HttpError;
use super::exchange::Exchange;
use super::keep::Owner;
use super::server::Server;
use crate::app::App;
use crate::tenant::Tenant;

/// What the layers before a route have made ready for it.
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    pub(super) app: Arc<App>,
    pub(super) exchange: Exchange,
    /// On whose behalf.
    pub(super) tenant: Tenant,
    pub(super) place: Place,
    pub(super) owner: Owner,
}

impl FromRequestParts<Arc<Server>> for Call {
    type Rejection = HttpError;

    /// # Errors
    /// When a layer is missing before the route, which is our own fault.
    async fn from_request_parts(
        parts: &mut Parts,
        server: &Arc<Server>,
    ) -> Result<Self, HttpError> {
        let mut take = || {
            Some(Self {
                server: Arc::clone(server),
                app: parts.extensions.remove()?,
                exchange: parts.extensions.remove()?,
                tenant: parts.extensions.remove()?,
                place: parts.extensions.remove()?,
                owner: parts.extensions.remove()?,
            })
        };
        take().ok_or_else(HttpError::internal)
    }
}
