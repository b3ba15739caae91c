//! What is kept for a while, and deleted for good.

use tokio::sync::oneshot;

use super::Ledger;
use crate::error::LedgerError;
use crate::keeping::{self, Kept, KeptKind};
use crate::records::{self, Forgetting};
use crate::writer::Message;

impl Ledger {
    /// Deletes records for good, in the database and in the log before it, and gives back how
    /// many there were. Decisions and money stay. Where another process is reading at that
    /// moment, the log is emptied by a later call or when the last process closes the books.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn forget(&self, what: Forgetting) -> Result<u64, LedgerError> {
        let deleted = self
            .call(what, records::forget, |_, deleted| deleted)
            .await?;
        self.overwrite(deleted).await?;
        Ok(deleted)
    }

    /// Empties the log where anything was deleted: what was may stand in it.
    pub(super) async fn overwrite(&self, deleted: u64) -> Result<(), LedgerError> {
        if deleted > 0 {
            let (reply, emptied) = oneshot::channel();
            self.send(Message::ShortenLog(reply)).await?;
            emptied.await.map_err(|_| LedgerError::Closed)?;
        }
        Ok(())
    }

    /// Keeps something for an owner, in the place of what the owner has called the same. Where the
    /// owner's things would have more bytes than `bytes_max`, the oldest of its responses are
    /// dropped.
    ///
    /// # Errors
    /// [`LedgerError::TooMuchKept`] when there is no room even so, [`LedgerError::Unknown`] when
    /// another owner has something of that name; and when the books can't be written. Nothing is
    /// kept or dropped then.
    pub async fn keep(
        &self,
        kind: KeptKind,
        kept: Kept,
        bytes_max: u64,
    ) -> Result<(), LedgerError> {
        self.call(
            (kind, kept, bytes_max),
            |books, (kind, kept, bytes_max)| keeping::put(books, (*kind, kept, *bytes_max)),
            |_, ()| (),
        )
        .await
    }

    /// Deletes something of an owner's for good, as [`Ledger::forget`] does, and gives back whether
    /// there was any.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn drop_kept(
        &self,
        kind: KeptKind,
        id: String,
        owner: String,
    ) -> Result<bool, LedgerError> {
        let deleted = self
            .call(
                (kind, id, owner),
                |books, (kind, id, owner)| keeping::delete(books, (*kind, id, owner)),
                |_, deleted| deleted,
            )
            .await?;
        self.overwrite(u64::from(deleted)).await?;
        Ok(deleted)
    }
}
