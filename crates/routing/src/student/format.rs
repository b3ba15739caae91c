//! A student as a file.
//!
//! Little-endian, in this order: magic `TGSTUDNT`, version (u32), options (f64, u32, u32, u32,
//! u8, u64), number of labels (u32) and for each its name, a byte that says whether a definition
//! follows, the definition, and its support (u32); number of features (u32), their hashes (u32
//! each, ascending), their rarities (f32 each), the weights (f32 each, features + 1 rows of
//! labels); last a 64-bit FNV-1a checksum of all bytes before it. Texts are a length (u32) and
//! UTF-8. No length is believed before as many bytes are there, so a hostile file can make no
//! allocation larger than itself.

use domain::{Label, Labels};

use super::vocabulary::Vocabulary;
use super::{Student, StudentOptions};

const MAGIC: &[u8; 8] = b"TGSTUDNT";
const VERSION: u32 = 2;

/// Largest size of a weight or rarity that is believed; keeps every score finite.
const WEIGHT_MAX: f32 = 1e6;

/// Why bytes are no student.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StudentFileError {
    /// They are something else.
    #[error("not a student file; train the student again")]
    NotAStudent,
    /// Another version of the format.
    #[error("student file of version {0}, but only version 2 can be read; train the student again")]
    Version(u32),
    /// They were cut or changed.
    #[error("student file is damaged: {0}; train the student again")]
    Damaged(&'static str),
}

impl Student {
    /// The student as bytes for [`Student::from_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.weights.len() * 4 + self.vocabulary.len() * 8);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.options.inverse_regularisation.to_le_bytes());
        bytes.extend_from_slice(&self.options.rounds_max.to_le_bytes());
        bytes.extend_from_slice(&self.options.min_documents.to_le_bytes());
        bytes.extend_from_slice(&self.options.features_max.to_le_bytes());
        bytes.push(u8::from(self.options.near_pairs));
        bytes.extend_from_slice(&self.options.seed.to_le_bytes());
        put_count(&mut bytes, self.labels.len());
        for (label, support) in self.labels.iter().zip(&self.support) {
            put_text(&mut bytes, &label.name);
            bytes.push(u8::from(label.definition.is_some()));
            if let Some(definition) = &label.definition {
                put_text(&mut bytes, definition);
            }
            bytes.extend_from_slice(&support.to_le_bytes());
        }
        put_count(&mut bytes, self.vocabulary.len());
        for hash in &self.vocabulary.hashes {
            bytes.extend_from_slice(&hash.to_le_bytes());
        }
        for number in self.vocabulary.rarity.iter().chain(&self.weights) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The student that [`Student::to_bytes`] wrote. Any bytes are safe to pass.
    ///
    /// # Errors
    /// When the bytes are no student file, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StudentFileError> {
        let rest = bytes
            .strip_prefix(MAGIC)
            .ok_or(StudentFileError::NotAStudent)?;
        let version = Reader { rest }.u32()?;
        if version != VERSION {
            return Err(StudentFileError::Version(version));
        }
        let (body, stored) = bytes
            .split_last_chunk::<8>()
            .ok_or(StudentFileError::Damaged("it ends too soon"))?;
        if checksum(body) != u64::from_le_bytes(*stored) {
            return Err(StudentFileError::Damaged("its checksum differs"));
        }
        let start = MAGIC.len() + size_of::<u32>();
        let rest = body
            .get(start..)
            .ok_or(StudentFileError::Damaged("it ends too soon"))?;
        Reader { rest }.student()
    }
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&(count as u32).to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_count(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn checksum(bytes: &[u8]) -> u64 {
    let step = |state: u64, &byte: &u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// What is left to read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], StudentFileError> {
        let (head, tail) = self
            .rest
            .split_at_checked(n)
            .ok_or(StudentFileError::Damaged("it ends too soon"))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StudentFileError> {
        let (head, tail) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(StudentFileError::Damaged("it ends too soon"))?;
        self.rest = tail;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, StudentFileError> {
        self.array().map(u32::from_le_bytes)
    }

    fn flag(&mut self, otherwise: &'static str) -> Result<bool, StudentFileError> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(StudentFileError::Damaged(otherwise)),
        }
    }

    fn count(&mut self) -> Result<usize, StudentFileError> {
        self.u32().map(|count| count as usize)
    }

    fn text(&mut self) -> Result<String, StudentFileError> {
        let n = self.count()?;
        let text = std::str::from_utf8(self.take(n)?)
            .map_err(|_| StudentFileError::Damaged("a label is no UTF-8"))?;
        Ok(text.to_owned())
    }

    /// `n` numbers of four bytes each; the bytes are there before anything is allocated.
    fn words(&mut self, n: usize) -> Result<impl Iterator<Item = [u8; 4]> + 'a, StudentFileError> {
        let n_bytes = n
            .checked_mul(4)
            .ok_or(StudentFileError::Damaged("it ends too soon"))?;
        let (words, _) = self.take(n_bytes)?.as_chunks::<4>();
        Ok(words.iter().copied())
    }

    fn numbers(&mut self, n: usize) -> Result<Vec<f32>, StudentFileError> {
        let numbers: Vec<f32> = self.words(n)?.map(f32::from_le_bytes).collect();
        if numbers
            .iter()
            .any(|number| number.is_nan() || number.abs() > WEIGHT_MAX)
        {
            return Err(StudentFileError::Damaged("a weight is no usable number"));
        }
        Ok(numbers)
    }

    fn student(mut self) -> Result<Student, StudentFileError> {
        let options = StudentOptions {
            inverse_regularisation: f64::from_le_bytes(self.array()?),
            rounds_max: self.u32()?,
            min_documents: self.u32()?,
            features_max: self.u32()?,
            near_pairs: self.flag("an option is neither yes nor no")?,
            seed: u64::from_le_bytes(self.array()?),
        };
        options
            .check()
            .map_err(|_| StudentFileError::Damaged("an option is out of range"))?;
        let (labels, support) = self.labels()?;
        let n_features = self.count()?;
        let hashes: Vec<u32> = self.words(n_features)?.map(u32::from_le_bytes).collect();
        if !hashes.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(StudentFileError::Damaged("its n-grams are out of order"));
        }
        let rarity = self.numbers(n_features)?;
        let n_weights = (n_features + 1)
            .checked_mul(labels.len())
            .ok_or(StudentFileError::Damaged("it ends too soon"))?;
        let weights = self.numbers(n_weights)?;
        if !self.rest.is_empty() {
            return Err(StudentFileError::Damaged("it goes on after its end"));
        }
        let vocabulary = Vocabulary { hashes, rarity };
        Ok(Student {
            labels,
            options,
            support,
            vocabulary,
            weights,
        })
    }

    fn labels(&mut self) -> Result<(Labels, Vec<u32>), StudentFileError> {
        let n_labels = self.count()?;
        let (mut labels, mut support) = (Vec::new(), Vec::new());
        for _ in 0..n_labels {
            let name = self.text()?;
            let defined = self.flag("a label's definition is neither there nor not")?;
            let definition = defined.then(|| self.text()).transpose()?;
            labels.push(Label { name, definition });
            support.push(self.u32()?);
        }
        let labels = Labels::new(labels)
            .map_err(|_| StudentFileError::Damaged("its labels are no set of labels"))?;
        Ok((labels, support))
    }
}
