//! GGUF files (versions 2 and 3, little-endian) in safe Rust: every count, length, offset and size
//! is checked against the bytes that are there before anything is allocated for it.
//!
//! ```text
//! "GGUF" version tensor_count key_count
//! key_count    x { key, value type, value }
//! tensor_count x { name, dimension count, dimensions, type, offset }
//! padding to the alignment
//! tensor data; each tensor at its offset from here
//! ```
//!
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod reader;
mod tensor;
mod value;

pub(crate) use tensor::{Tensor, TensorType};
pub(crate) use value::{Array, Value};

use crate::error::{Fault, Parsed, Place};
use reader::Reader;
use std::collections::HashMap;

const MAGIC: [u8; 4] = *b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
const ALIGNMENT_MAX: u64 = 1 << 20;
/// Real files have a few dozen keys and, for the largest models, a few thousand tensors.
const KEYS_MAX: u64 = 1 << 14;
const TENSORS_MAX: u64 = 1 << 16;

/// A parsed header; names and strings are views of its bytes.
pub(crate) struct Gguf<'a> {
    metadata: HashMap<&'a str, Value<'a>>,
    tensors: HashMap<&'a str, Tensor>,
}

impl<'a> Gguf<'a> {
    /// Parses the header at the start of `bytes` and places every tensor in a file of
    /// `file_bytes`. Where `bytes` is only a part of the file and ends within the header, the
    /// fault says that it is cut off.
    pub(crate) fn parse(bytes: &'a [u8], file_bytes: u64) -> Parsed<Self> {
        let mut reader = Reader::new(bytes);
        check_magic_and_version(&mut reader)?;
        let tensor_count = reader.count("tensors", TENSORS_MAX)?;
        let key_count = reader.count("metadata keys", KEYS_MAX)?;
        let metadata = read_metadata(&mut reader, key_count)?;
        let alignment = alignment(&metadata)?;
        let headers = (0..tensor_count)
            .map(|_| tensor::Header::read(&mut reader))
            .collect::<Parsed<Vec<_>>>()?;
        let data_start = reader.position().next_multiple_of(alignment);
        let mut tensors = HashMap::with_capacity(headers.len());
        for header in headers {
            let tensor = header.place((data_start, file_bytes), alignment)?;
            insert(&mut tensors, header.name, tensor)?;
        }
        Ok(Self { metadata, tensors })
    }

    /// Takes in the tensors of another file of a split model.
    pub(crate) fn add_part(&mut self, part: usize, other: Self) -> Parsed<()> {
        for (name, tensor) in other.tensors {
            insert(&mut self.tensors, name, Tensor { part, ..tensor })?;
        }
        Ok(())
    }

    pub(crate) fn value(&self, key: &str) -> Option<Value<'a>> {
        self.metadata.get(key).copied()
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// All tensors with their names, in no particular order.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&'a str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (*name, tensor))
    }

    /// A whole number that fits a `usize`.
    pub(crate) fn usize(&self, key: &str) -> Parsed<Option<usize>> {
        let wrong = |found: &str| {
            let message = format!("a whole number was expected here, found {found}");
            Fault::malformed(Place::Key(key.into()), message)
        };
        match self.value(key) {
            None => Ok(None),
            Some(Value::Unsigned(n)) => usize::try_from(n)
                .map(Some)
                .map_err(|_| wrong(&n.to_string())),
            Some(Value::Signed(n)) => usize::try_from(n)
                .map(Some)
                .map_err(|_| wrong(&n.to_string())),
            Some(other) => Err(wrong(other.kind())),
        }
    }

    /// A finite number.
    pub(crate) fn float(&self, key: &str) -> Parsed<Option<f64>> {
        let wrong = |found: &str| {
            let message = format!("a finite number was expected here, found {found}");
            Fault::malformed(Place::Key(key.into()), message)
        };
        match self.value(key) {
            None => Ok(None),
            Some(Value::Float(x)) if x.is_finite() => Ok(Some(x)),
            Some(Value::Float(x)) => Err(wrong(&x.to_string())),
            Some(Value::Unsigned(n)) => Ok(Some(n as f64)),
            Some(Value::Signed(n)) => Ok(Some(n as f64)),
            Some(other) => Err(wrong(other.kind())),
        }
    }

    pub(crate) fn bool(&self, key: &str) -> Parsed<Option<bool>> {
        self.typed(key, "true or false", |value| match value {
            Value::Bool(b) => Some(b),
            _ => None,
        })
    }

    pub(crate) fn string(&self, key: &str) -> Parsed<Option<&'a str>> {
        self.typed(key, "a string", |value| match value {
            Value::String(s) => Some(s),
            _ => None,
        })
    }

    pub(crate) fn array(&self, key: &str) -> Parsed<Option<Array<'a>>> {
        self.typed(key, "an array", |value| match value {
            Value::Array(array) => Some(array),
            _ => None,
        })
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        take: impl Fn(Value<'a>) -> Option<T>,
    ) -> Parsed<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let wrong = || {
            let message = format!("{expected} was expected here, found {}", value.kind());
            Fault::malformed(Place::Key(key.into()), message)
        };
        take(value).map(Some).ok_or_else(wrong)
    }
}

fn insert<'a>(tensors: &mut HashMap<&'a str, Tensor>, name: &'a str, tensor: Tensor) -> Parsed<()> {
    match tensors.insert(name, tensor) {
        None => Ok(()),
        Some(_) => {
            let message = "the file has two tensors of this name";
            Err(Fault::malformed(Place::Tensor(name.into()), message))
        }
    }
}

fn check_magic_and_version(reader: &mut Reader<'_>) -> Parsed<()> {
    if reader.array::<4>("the magic bytes")? != MAGIC {
        let message = "this is not a GGUF file (those begin with the letters GGUF); \
                       give a model in GGUF format";
        return Err(Fault::malformed(Place::Byte(0), message));
    }
    match reader.u32("the version")? {
        2 | 3 => Ok(()),
        version if matches!(version.swap_bytes(), 1..=3) => {
            let message = "the file is big-endian; convert it to little-endian";
            Err(Fault::unsupported(Place::Byte(4), message))
        }
        version => {
            let message = format!(
                "GGUF version {version}; versions 2 and 3 are supported, convert the model again"
            );
            Err(Fault::unsupported(Place::Byte(4), message))
        }
    }
}

fn read_metadata<'a>(reader: &mut Reader<'a>, count: usize) -> Parsed<HashMap<&'a str, Value<'a>>> {
    let mut metadata = HashMap::new();
    for _ in 0..count {
        let key = reader.name("a metadata key")?;
        let value = value::read(reader, key)?;
        if metadata.insert(key, value).is_some() {
            let message = "the file has this key twice";
            return Err(Fault::malformed(Place::Key(key.into()), message));
        }
    }
    Ok(metadata)
}

fn alignment(metadata: &HashMap<&str, Value<'_>>) -> Parsed<u64> {
    const KEY: &str = "general.alignment";
    match metadata.get(KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::Unsigned(n)) if n.is_power_of_two() && *n <= ALIGNMENT_MAX => Ok(*n),
        Some(_) => {
            let message =
                format!("the alignment must be a power of two no greater than {ALIGNMENT_MAX}");
            Err(Fault::malformed(Place::Key(KEY.into()), message))
        }
    }
}
