//! A task's students on disk: the one learned from its file, and those that were taught since.
//!
//! Each has a number and is kept with its certificate, so that one can go back. Number 0 is the
//! one from the file. Which one is in use stands in a file of its own; it counts only as long as
//! what the file's student was shaped by is as it was.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use domain::{Labels, TaskName};
use routing::student::Student;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::certificate::{self, Extent};
use crate::config::Config;
use crate::data_folder;
use crate::learn::stored::{hex, replace};

/// Raised when the meaning of a file changes.
const VERSION: u32 = 1;

/// A taught student, and what it was taught.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Taught {
    version: u32,
    /// What the file's student was shaped by, as hexadecimal digits.
    key: String,
    /// RFC 3339, in UTC.
    pub(crate) made: String,
    /// Of persons.
    pub(crate) gold: usize,
    /// Of the tier whose answers count as right.
    pub(crate) reference: usize,
    /// The beginnings of the SHA-256 of the texts, so that none of them certifies it.
    texts: HashSet<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InUse {
    version: u32,
    key: String,
    number: u32,
}

/// Where a task's students stand.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
    certificates: PathBuf,
    task: TaskName,
}

impl Shelf {
    pub(crate) fn of(config: &Config, task: &TaskName) -> Self {
        let learned = config.data_dir.join("learned").join(task.as_str());
        Self {
            folder: learned.join("taught"),
            certificates: config.certificates.clone(),
            task: task.clone(),
        }
    }

    /// The number of the student in use, beside a file's student that was shaped by `key`.
    pub(crate) fn in_use(&self, key: [u8; 32]) -> u32 {
        let read = || -> Option<InUse> {
            let text = std::fs::read_to_string(self.file("in-use.json")).ok()?;
            serde_json::from_str(&text).ok()
        };
        let current = |it: &InUse| it.version == VERSION && it.key == hex(&key);
        read().filter(current).map_or(0, |it| it.number)
    }

    /// The taught student in use, if one is.
    pub(crate) fn student(&self, key: [u8; 32], labels: &Labels) -> Option<Student> {
        let number = self.in_use(key);
        let bytes = std::fs::read(self.file(&format!("{number}.student"))).ok()?;
        let student = Student::from_bytes(&bytes).ok()?;
        (number > 0 && student.labels() == labels).then_some(student)
    }

    /// All taught students by their number.
    pub(crate) fn all(&self) -> BTreeMap<u32, Taught> {
        let files = std::fs::read_dir(&self.folder).into_iter().flatten();
        let numbered = |file: std::fs::DirEntry| {
            let name = file.file_name().into_string().ok()?;
            let number = name.strip_suffix(".json")?.parse().ok()?;
            let text = std::fs::read_to_string(file.path()).ok()?;
            Some((number, serde_json::from_str(&text).ok()?))
        };
        files.filter_map(Result::ok).filter_map(numbered).collect()
    }

    /// Whether the taught student in use learned from any of these texts; how many.
    pub(crate) fn learned_from<'a>(
        &self,
        key: [u8; 32],
        texts: impl Iterator<Item = &'a str>,
    ) -> usize {
        let all = self.all();
        let Some(taught) = all.get(&self.in_use(key)) else {
            return 0;
        };
        texts
            .filter(|text| taught.texts.contains(&beginning(text)))
            .count()
    }

    /// Puts a new student there, with its certificate's file, and takes it into use; its number.
    /// When the program dies midway, either nothing has changed or the present certificate is
    /// void, because it is about another student.
    ///
    /// # Errors
    /// When a file can't be written.
    pub(crate) fn add<'a>(
        &self,
        (key, student): ([u8; 32], &Student),
        (gold, reference, texts): (usize, usize, impl Iterator<Item = &'a str>),
        certificate: &str,
    ) -> anyhow::Result<u32> {
        let folder = self.folder.display();
        data_folder::make(&self.folder)
            .with_context(|| format!("the folder {folder} can't be made"))?;
        let number = self.all().keys().max().copied().unwrap_or(0) + 1;
        let taught = Taught {
            version: VERSION,
            key: hex(&key),
            made: jiff::Timestamp::now().to_string(),
            gold,
            reference,
            texts: texts.map(beginning).collect(),
        };
        let about = serde_json::to_string(&taught).context("it can't be encoded")?;
        replace(
            &self.file(&format!("{number}.student")),
            &student.to_bytes(),
        )?;
        replace(&self.certificate_of(number), certificate.as_bytes())?;
        replace(&self.file(&format!("{number}.json")), about.as_bytes())?;
        self.take(key, number)?;
        Ok(number)
    }

    /// Takes a student into use, with the certificate that is kept with it. The present one's
    /// certificate is kept with that.
    ///
    /// # Errors
    /// When there is no such student, or a file can't be read or written.
    pub(crate) fn take(&self, key: [u8; 32], number: u32) -> anyhow::Result<()> {
        let is_there = |it: &Taught| it.key == hex(&key);
        if number > 0 && !self.all().get(&number).is_some_and(is_there) {
            bail!(
                "task {} has no student {number}, or its records have changed since that was \
                 taught; `tiergate student list {}` shows those there are",
                self.task,
                self.task
            );
        }
        let certificate = certificate::path(&self.certificates, &self.task, Extent::Whole);
        if let Ok(present) = std::fs::read(&certificate) {
            data_folder::make(&self.folder)?;
            let present_number = self.in_use(key);
            if present_number != number {
                replace(&self.certificate_of(present_number), &present)?;
            }
        }
        let in_use = InUse {
            version: VERSION,
            key: hex(&key),
            number,
        };
        let text = serde_json::to_string(&in_use).context("it can't be encoded")?;
        replace(&self.file("in-use.json"), text.as_bytes())?;
        let own = std::fs::read(self.certificate_of(number)).with_context(|| {
            format!("student {number} is in use, and has no certificate: certify it")
        })?;
        replace(&certificate, &own)
    }

    fn certificate_of(&self, number: u32) -> PathBuf {
        self.file(&format!("{number}.certificate"))
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }
}

fn beginning(text: &str) -> u64 {
    let hash = Sha256::digest(text.trim());
    let first = hash.iter().take(8);
    first.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
