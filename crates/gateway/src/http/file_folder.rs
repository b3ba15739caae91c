//! The contents of files that clients gave, each under its id in a folder of the data folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::stream::unfold;

use crate::config::Config;
use crate::data_folder;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// What stands behind a name until its file is whole.
const PART: &str = ".part";
/// A file that nobody knows is left for so long: it may be on its way in.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct FileFolder(PathBuf);

impl FileFolder {
    /// That of a config.
    pub(super) fn of(config: &Config) -> Self {
        Self(config.data_dir.join("files"))
    }

    /// Where the file of this id is. Ids are made here and hold no character of a path.
    pub(super) fn path(&self, id: &str) -> PathBuf {
        self.0.join(id)
    }

    /// A new file, to be written. Blocks.
    ///
    /// # Errors
    /// When it can't be made.
    pub(super) fn create(&self, id: &str) -> io::Result<NewFile> {
        data_folder::make(&self.0)?;
        let part = self.0.join(format!("{id}{PART}"));
        Ok(NewFile {
            file: Arc::new(File::create(&part)?),
            part: Part(part),
            path: self.path(id),
            bytes: 0,
        })
    }

    /// The content of a file as a body of so many bytes.
    ///
    /// # Errors
    /// When it isn't there or can't be read.
    ///
    /// # Cancel safety
    /// Nothing changes when it is dropped.
    pub(super) async fn body(&self, id: &str) -> io::Result<(u64, Body)> {
        let path = self.path(id);
        let (file, bytes) = blocking(move || {
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        })
        .await?;
        let chunks = unfold(Some(Arc::new(file)), |file| async move {
            let file = file?;
            let reading = Arc::clone(&file);
            match blocking(move || chunk(&reading)).await {
                Ok(chunk) if chunk.is_empty() => None,
                Ok(chunk) => Some((Ok(chunk), Some(file))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok((bytes, Body::from_stream(chunks)))
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// When it can't be removed.
    ///
    /// # Cancel safety
    /// When dropped midway it is removed all the same.
    pub(super) async fn remove(&self, id: &str) -> io::Result<()> {
        let path = self.path(id);
        blocking(move || gone(fs::remove_file(path))).await
    }

    /// Removes the files that are none of these any more. Blocks.
    ///
    /// # Errors
    /// When the folder can't be read or a file can't be removed.
    pub(super) fn tidy(&self, kept: &BTreeSet<String>) -> io::Result<()> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let is_kept = name.to_str().is_some_and(|name| kept.contains(name));
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if !is_kept && age > PATIENCE {
                gone(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn chunk(mut file: &File) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let length = file.read(&mut chunk)?;
    chunk.truncate(length);
    Ok(chunk)
}

/// Does what waits for the disk on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|broken| Err(io::Error::other(broken)))
}

/// A file that is being written. When it is dropped before it is whole, it is removed.
#[derive(Debug)]
pub(super) struct NewFile {
    file: Arc<File>,
    part: Part,
    path: PathBuf,
    bytes: u64,
}

/// The path of an unfinished file, which is removed when this is dropped.
#[derive(Debug)]
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Once it is whole it has another name.
        let _gone = fs::remove_file(&self.0);
    }
}

impl NewFile {
    /// Writes on. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        (&*self.file).write_all(bytes)
    }

    /// Writes on, without keeping the caller's thread.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// When dropped midway the file is not to be used any more.
    pub(super) async fn take(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        let file = Arc::clone(&self.file);
        blocking(move || (&*file).write_all(&bytes)).await
    }

    /// How many bytes it has.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the file whole: it is on disk, and has its name. Gives back its bytes. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn finish(self) -> io::Result<u64> {
        self.file.sync_all()?;
        fs::rename(&self.part.0, &self.path)?;
        Ok(self.bytes)
    }

    /// As [`NewFile::finish`], without keeping the caller's thread.
    ///
    /// # Errors
    /// As [`NewFile::finish`].
    ///
    /// # Cancel safety
    /// When dropped midway the file becomes whole all the same.
    pub(super) async fn settle(self) -> io::Result<u64> {
        blocking(move || self.finish()).await
    }
}
