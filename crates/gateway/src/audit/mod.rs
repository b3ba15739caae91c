//! Audits: accepted answers that are asked again, so that a certificate that no longer holds is
//! withdrawn.
//!
//! [`choice`] says which answers, by chance and before anything is known of them; [`work`] asks,
//! after the answer went out; [`watch`] weighs what comes of it and revokes.

pub(crate) mod choice;
pub(crate) mod estimate;
mod state;
pub(crate) mod watch;
pub(crate) mod work;

pub(crate) use self::watch::Watch;
