//! Tensors: their headers, and where their data lies.

use super::reader::Reader;
use crate::error::{Fault, Parsed, Place};

/// How a tensor's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TensorType {
    F32,
    F16,
    /// Blocks of 32 along a row: a half-precision scale and 32 signed bytes.
    Q8_0,
}

/// Names of the types by number, as ggml counts them; those without a name were removed.
const TYPE_NAMES: [(u32, &str); 27] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (8, "Q8_0"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (12, "Q4_K"),
    (13, "Q5_K"),
    (14, "Q6_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (28, "F64"),
    (30, "BF16"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
];

impl TensorType {
    fn from_id(id: u32, name: &str) -> Parsed<Self> {
        match id {
            0 => Ok(Self::F32),
            1 => Ok(Self::F16),
            8 => Ok(Self::Q8_0),
            _ => {
                let known = TYPE_NAMES.iter().find(|(known, _)| *known == id);
                let type_name = known.map_or_else(|| format!("type {id}"), |(_, n)| (*n).into());
                let message = format!(
                    "its numbers are stored as {type_name}; F32, F16 and Q8_0 are supported, \
                     convert the model to one of them"
                );
                Err(Fault::unsupported(Place::Tensor(name.into()), message))
            }
        }
    }

    /// Numbers in a block and bytes of a block.
    fn block(self) -> (u64, u64) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 => (1, 2),
            Self::Q8_0 => (32, 34),
        }
    }
}

/// A tensor and its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'a> {
    pub(crate) kind: TensorType,
    /// Numbers in a row: the first dimension.
    pub(crate) columns: usize,
    /// The product of the other dimensions.
    pub(crate) rows: usize,
    pub(crate) data: &'a [u8],
}

/// What the file says of a tensor before its data.
pub(crate) struct Header<'a> {
    pub(crate) name: &'a str,
    kind: TensorType,
    columns: u64,
    rows: u64,
    offset: u64,
}

const DIMENSIONS_MAX: u32 = 4;

impl<'a> Header<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Parsed<Self> {
        let name = reader.name("a tensor's name")?;
        let fault = |message: String| Fault::malformed(Place::Tensor(name.into()), message);
        let dimensions = reader.u32("a tensor's number of dimensions")?;
        if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
            return Err(fault(format!(
                "it has {dimensions} dimensions; 1 to 4 are possible"
            )));
        }
        let columns = reader.u64("a tensor's dimension")?;
        let mut rows = 1u64;
        for _ in 1..dimensions {
            let dimension = reader.u64("a tensor's dimension")?;
            rows = rows
                .checked_mul(dimension)
                .ok_or_else(|| fault("the product of its dimensions is too large".into()))?;
        }
        let kind = TensorType::from_id(reader.u32("a tensor's type")?, name)?;
        if columns == 0 || rows == 0 {
            return Err(fault("one of its dimensions is 0".into()));
        }
        let offset = reader.u64("a tensor's offset")?;
        Ok(Self {
            name,
            kind,
            columns,
            rows,
            offset,
        })
    }

    /// Finds the tensor's bytes in the data part of the file.
    pub(crate) fn place(&self, data: &'a [u8], alignment: u64) -> Parsed<Tensor<'a>> {
        let fault = |message: String| Fault::malformed(Place::Tensor(self.name.into()), message);
        let (numbers, bytes) = self.kind.block();
        if !self.columns.is_multiple_of(numbers) {
            return Err(fault(format!(
                "a row has {} numbers; {:?} needs a multiple of {numbers}",
                self.columns, self.kind
            )));
        }
        if !self.offset.is_multiple_of(alignment) {
            return Err(fault(format!(
                "its offset {} is not a multiple of the alignment {alignment}",
                self.offset
            )));
        }
        let size = (self.columns / numbers).checked_mul(bytes);
        let end = size
            .and_then(|row| row.checked_mul(self.rows))
            .and_then(|size| size.checked_add(self.offset));
        let range = end
            .and_then(|end| Some(usize::try_from(self.offset).ok()?..usize::try_from(end).ok()?));
        match (
            range.and_then(|range| data.get(range)),
            self.columns,
            self.rows,
        ) {
            (Some(data), columns, rows) => Ok(Tensor {
                kind: self.kind,
                columns: columns as usize,
                rows: rows as usize,
                data,
            }),
            (None, columns, rows) => Err(fault(format!(
                "{rows} rows of {columns} numbers at offset {} end beyond the file, whose data \
                 part has {} bytes; it is damaged or was cut off, fetch it again",
                self.offset,
                data.len()
            ))),
        }
    }
}
