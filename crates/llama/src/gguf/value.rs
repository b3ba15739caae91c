//! Metadata values.

use super::reader::Reader;
use crate::error::{Fault, Parsed, Place};

/// A metadata value. Numbers are widened, which is exact.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(&'a str),
    Array(Array<'a>),
}

impl Value<'_> {
    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "a whole number",
            Self::Signed(_) => "a signed whole number",
            Self::Float(_) => "a fraction",
            Self::Bool(_) => "true or false",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
        }
    }
}

/// An array, still in the file's bytes: it was walked once, so that its elements are known to be
/// there, and costs no memory however many they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array<'a> {
    element: Element,
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The elements' bytes where they are strings.
    pub(crate) fn strings(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let mut reader = Reader::new(self.bytes);
        let strings = (0..self.count).map_while(move |_| reader.string_bytes("a string").ok());
        (self.element == Element::String).then_some(strings)
    }

    /// The elements where they are single-precision numbers.
    pub(crate) fn floats(&self) -> Option<impl Iterator<Item = f32> + use<'a>> {
        let (numbers, _) = self.bytes.as_chunks::<4>();
        let floats = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes));
        (self.element == Element::F32).then_some(floats)
    }

    /// The elements where they are whole numbers, not negative.
    pub(crate) fn unsigned(&self) -> Option<impl Iterator<Item = u64> + use<'a>> {
        let (element, count) = (self.element, self.count);
        let mut reader = Reader::new(self.bytes);
        let mut number = move || match element.read(&mut reader) {
            Ok(Value::Unsigned(n)) => Some(n),
            Ok(Value::Signed(n)) => u64::try_from(n).ok(),
            _ => None,
        };
        element
            .is_whole_number()
            .then_some((0..count).map_while(move |_| number()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl Element {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// Bytes of a value of fixed size.
    fn size(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }

    fn is_whole_number(self) -> bool {
        !matches!(
            self,
            Self::F32 | Self::F64 | Self::Bool | Self::String | Self::Array
        )
    }

    /// Reads a value that is not an array.
    fn read<'a>(self, reader: &mut Reader<'a>) -> Parsed<Value<'a>> {
        const WHAT: &str = "a metadata value";
        let place = reader.place();
        Ok(match self {
            Self::U8 => Value::Unsigned(reader.array::<1>(WHAT)?[0].into()),
            Self::I8 => Value::Signed(i8::from_le_bytes(reader.array(WHAT)?).into()),
            Self::U16 => Value::Unsigned(u16::from_le_bytes(reader.array(WHAT)?).into()),
            Self::I16 => Value::Signed(i16::from_le_bytes(reader.array(WHAT)?).into()),
            Self::U32 => Value::Unsigned(reader.u32(WHAT)?.into()),
            Self::I32 => Value::Signed(i32::from_le_bytes(reader.array(WHAT)?).into()),
            Self::F32 => Value::Float(f32::from_le_bytes(reader.array(WHAT)?).into()),
            Self::U64 => Value::Unsigned(reader.u64(WHAT)?),
            Self::I64 => Value::Signed(i64::from_le_bytes(reader.array(WHAT)?)),
            Self::F64 => Value::Float(f64::from_le_bytes(reader.array(WHAT)?)),
            Self::Bool => match reader.array::<1>(WHAT)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => {
                    let message = format!("a truth value is {other}; it must be 0 or 1");
                    return Err(Fault::malformed(place, message));
                }
            },
            Self::String => {
                let bytes = reader.string_bytes(WHAT)?;
                let text = std::str::from_utf8(bytes)
                    .map_err(|_| Fault::malformed(place, "a string is not valid UTF-8"))?;
                Value::String(text)
            }
            Self::Array => return Err(Fault::unsupported(place, "an array of arrays")),
        })
    }
}

/// Reads a type and a value of it.
pub(crate) fn read<'a>(reader: &mut Reader<'a>, key: &str) -> Parsed<Value<'a>> {
    match element(reader, key)? {
        Element::Array => read_array(reader, key).map(Value::Array),
        scalar => scalar.read(reader),
    }
}

fn element(reader: &mut Reader<'_>, key: &str) -> Parsed<Element> {
    let id = reader.u32("a value type")?;
    Element::from_id(id).ok_or_else(|| {
        let message = format!("value type {id} does not exist; types 0 to 12 do");
        Fault::malformed(Place::Key(key.into()), message)
    })
}

fn read_array<'a>(reader: &mut Reader<'a>, key: &str) -> Parsed<Array<'a>> {
    let element = element(reader, key)?;
    let place = || Place::Key(key.into());
    let count = reader.u64("an array length")?;
    let too_long = || {
        let message = format!("the array claims {count} elements, more than the file has bytes");
        Fault::malformed(place(), message).cut_off()
    };
    let fits = usize::try_from(count)
        .ok()
        .filter(|count| *count <= reader.remaining());
    let count = fits.ok_or_else(too_long)?;
    let bytes = if let Some(size) = element.size() {
        let length = (count as u64).checked_mul(size).ok_or_else(too_long)?;
        reader.take(length, "an array")?
    } else if element == Element::Array {
        return Err(Fault::unsupported(
            place(),
            "an array of arrays is not supported",
        ));
    } else {
        let mut ahead = reader.clone();
        for _ in 0..count {
            ahead.string_bytes("a string of an array")?;
        }
        let length = reader.remaining() - ahead.remaining();
        reader.take(length as u64, "an array")?
    };
    Ok(Array {
        element,
        count,
        bytes,
    })
}
