//! A request on its way through the worker.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use crate::engine::protocol::{End, Piece, ToWorker, WINDOW};

/// A request in the worker. Dropping it withdraws the request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) id: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) text: mpsc::Receiver<Piece>,
    /// Pieces that were fetched and that the worker was not told of.
    pub(super) untold: usize,
    /// What came of it. An error stands for a worker that has ended.
    pub(crate) end: oneshot::Receiver<End>,
}

impl Call {
    /// The next piece of text, if the request wants any. `None` at the text's end.
    ///
    /// # Cancel safety
    /// Dropped midway, no piece is lost.
    pub(crate) async fn next_piece(&mut self) -> Option<Piece> {
        let piece = self.text.recv().await?;
        self.untold += 1;
        if self.untold >= WINDOW / 2 {
            let fetched = ToWorker::Fetched(self.id, std::mem::take(&mut self.untold));
            self.shared.lock().tell(fetched);
        }
        Some(piece)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut line = self.shared.lock();
        if line.waiting.remove(&self.id).is_some() {
            line.tell(ToWorker::Withdraw(self.id));
        }
    }
}
