//! Giving up a computation from another thread.

use crate::error::RequestError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A switch shared by who computes and who may want to stop it. Clones are the same switch.
///
/// It is looked at in every layer of every block of tokens, so that a computation ends a few
/// milliseconds after it is set, even with a large model.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A switch that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the computation; once set it stays set.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn check(&self) -> Result<(), RequestError> {
        if self.0.load(Ordering::Relaxed) {
            Err(RequestError::Cancelled)
        } else {
            Ok(())
        }
    }
}
