//! A model's file while it grows. It is locked, so that two pulls never write to it, and a record
//! beside it says which version of which file it is a part of.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use indicatif::DecimalBytes;
use sha2::{Digest as _, Sha256};
use upstream::{Begun, Download};

use super::super::folder::{ModelFolder, ModelName, Record};
use crate::learn::stored::hex;
use crate::terminal;

/// How a GGUF file begins.
const MAGIC: &[u8] = b"GGUF";

/// The part of a file that has come, locked until this is dropped.
pub(super) struct Part<'f> {
    folder: &'f ModelFolder,
    name: &'f ModelName,
    file: File,
    bytes: u64,
    hash: Sha256,
    record: Record,
}

impl<'f> Part<'f> {
    /// The part of `source` that is there, or an empty one. What is there of another source is
    /// forgotten, and so is what is of an unknown version, unless a hash is `expected` that will
    /// prove the whole.
    ///
    /// # Errors
    /// When another pull of this name is under way, or the folder can't be written.
    pub(super) fn open(
        (folder, name): (&'f ModelFolder, &'f ModelName),
        source: &str,
        expected: Option<&str>,
    ) -> anyhow::Result<Self> {
        let path = folder.part(name);
        std::fs::create_dir_all(folder.path())
            .and_then(|()| lock(&path))
            .and_then(|file| match file {
                Some(file) => Ok(Self {
                    folder,
                    name,
                    bytes: file.metadata()?.len(),
                    file,
                    hash: Sha256::new(),
                    record: Record::read(&folder.part_record(name)).unwrap_or_default(),
                }),
                None => Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "another pull of this name is under way; let it end",
                )),
            })
            .and_then(|mut part| {
                let record = &part.record;
                let proven = record.etag.is_some() || record.sha256.is_some() || expected.is_some();
                if record.source == source && proven {
                    part.hash_what_is_there()?;
                } else {
                    part.forget()?;
                    source.clone_into(&mut part.record.source);
                }
                Ok(part)
            })
            .with_context(|| path.display().to_string())
    }

    /// What is there, as a server is told it.
    pub(super) fn begun(&self) -> Begun {
        Begun {
            bytes: self.bytes,
            etag: self.record.etag.clone(),
            size_bytes: self.record.size_bytes,
            sha256: self.record.sha256.clone(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// Whether all of the file is there, as far as its size tells.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes > 0 && self.record.size_bytes == Some(self.bytes)
    }

    /// Takes note of the version that is coming, and forgets what it does not go on from.
    pub(super) fn begin(&mut self, download: &Download) -> io::Result<()> {
        if download.start_bytes != self.bytes {
            self.forget()?;
        }
        let sha256 = download.sha256.clone().or(match self.bytes {
            0 => None,
            _ => self.record.sha256.take(),
        });
        self.record = Record {
            source: std::mem::take(&mut self.record.source),
            size_bytes: download.size_bytes,
            sha256,
            etag: download.etag.clone(),
        };
        self.record.write(&self.folder.part_record(self.name))
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Empties the file.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.bytes = 0;
        self.hash = Sha256::new();
        Ok(())
    }

    /// Makes the whole part the model's file, if its hash is the one expected. Gives back its
    /// record.
    ///
    /// # Errors
    /// When the hash is another, and then the part is deleted, because no more of the file can
    /// mend it; or when the disk fails.
    pub(super) fn finish(mut self, expected: Option<&str>) -> anyhow::Result<Record> {
        let sha256 = hex(&self.hash.clone().finalize());
        if let Some(expected) = expected.filter(|expected| **expected != sha256) {
            self.discard()?;
            bail!(
                "the file that came has the SHA-256 {sha256}, and it should have {expected}; it \
                 was deleted: see whether the source is the one you meant, then pull again"
            );
        }
        let path = self.folder.file(self.name);
        let record = Record {
            size_bytes: Some(self.bytes),
            sha256: Some(sha256),
            ..std::mem::take(&mut self.record)
        };
        let keep = || -> io::Result<()> {
            self.file.sync_all()?;
            record.write(&self.folder.record(self.name))?;
            std::fs::rename(self.folder.part(self.name), &path)?;
            File::open(self.folder.path())?.sync_all()?;
            std::fs::remove_file(self.folder.part_record(self.name))
        };
        keep().with_context(|| path.display().to_string())?;
        Ok(record)
    }

    /// Says so if what has come is no model, before more of it comes.
    ///
    /// # Errors
    /// When the first bytes are not those of a GGUF file; the part is deleted.
    pub(super) fn check_magic(&mut self) -> anyhow::Result<()> {
        let mut head = [0; MAGIC.len()];
        let length = usize::try_from(self.bytes).map_or(MAGIC.len(), |n| n.min(MAGIC.len()));
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut head[..length], 0)?;
        if head[..length] == MAGIC[..length] {
            return Ok(());
        }
        self.discard()?;
        bail!(
            "what comes is no GGUF file but begins with \"{}\"; give the address of the file \
             itself, not that of a page about it",
            head[..length].escape_ascii()
        );
    }

    /// Says so if the whole file is too short for a model.
    ///
    /// # Errors
    /// When it is; the part is deleted.
    pub(super) fn check_not_empty(&mut self) -> anyhow::Result<()> {
        if self.bytes >= MAGIC.len() as u64 {
            return Ok(());
        }
        let bytes = self.bytes;
        self.discard()?;
        bail!("the file has {bytes} bytes and is no model; see whether the source is right");
    }

    /// Deletes the part if nothing has come.
    pub(super) fn tidy(mut self) -> io::Result<()> {
        if self.bytes == 0 && self.folder.part(self.name).exists() {
            self.discard()?;
        }
        Ok(())
    }

    fn discard(&mut self) -> io::Result<()> {
        self.forget()?;
        let record = self.folder.part_record(self.name);
        // It is only there once something has come.
        let _absent = std::fs::remove_file(record);
        std::fs::remove_file(self.folder.part(self.name))
    }

    /// Whether the folder's disk has room for what is still to come.
    ///
    /// # Errors
    /// When it has not; the message says how much is missing.
    pub(super) fn check_room(&self) -> anyhow::Result<()> {
        let Some(size_bytes) = self.record.size_bytes else {
            return Ok(());
        };
        let to_come = size_bytes.saturating_sub(self.bytes);
        let disk = rustix::fs::fstatvfs(&self.file)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        ensure!(
            to_come <= free,
            "{} has no room: {} are to come and {} are free; make room, or name a folder on \
             another disk with --models",
            self.folder.path().display(),
            DecimalBytes(to_come),
            DecimalBytes(free)
        );
        Ok(())
    }

    fn hash_what_is_there(&mut self) -> io::Result<()> {
        let template = "checking what is there [{bar:40}] {decimal_bytes}/{decimal_total_bytes}";
        let bar = terminal::bar(self.bytes, template);
        let mut buffer = vec![0; 1 << 20];
        self.file.seek(SeekFrom::Start(0))?;
        let mut bytes = 0;
        loop {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            self.hash.update(&buffer[..read]);
            bytes += read as u64;
            bar.set_position(bytes);
        }
        bar.finish_and_clear();
        self.bytes = bytes;
        Ok(())
    }
}

/// The file at `path`, new if there was none, locked; `None` where another has it locked.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Who had it before may have made it the model's file, or deleted it, in between.
        let here = std::fs::metadata(path).map(|about| (about.dev(), about.ino()));
        let opened = file.metadata()?;
        match here {
            Ok(here) if here == (opened.dev(), opened.ino()) => return Ok(Some(file)),
            Ok(_another) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}
