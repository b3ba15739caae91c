//! Tensors: their headers, and where their data lies.

use super::reader::Reader;
use crate::error::{Fault, Parsed, Place};

/// How a tensor's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TensorType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
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
    /// The types with their numbers, and how many numbers a block has in how many bytes.
    const ALL: [(Self, u32, u64, u64); 13] = [
        (Self::F32, 0, 1, 4),
        (Self::F16, 1, 1, 2),
        (Self::BF16, 30, 1, 2),
        (Self::Q4_0, 2, 32, 18),
        (Self::Q4_1, 3, 32, 20),
        (Self::Q5_0, 6, 32, 22),
        (Self::Q5_1, 7, 32, 24),
        (Self::Q8_0, 8, 32, 34),
        (Self::Q2K, 10, 256, 84),
        (Self::Q3K, 11, 256, 110),
        (Self::Q4K, 12, 256, 144),
        (Self::Q5K, 13, 256, 176),
        (Self::Q6K, 14, 256, 210),
    ];

    fn from_id(id: u32, name: &str) -> Parsed<Self> {
        let supported = Self::ALL.iter().find(|(_, known, ..)| *known == id);
        if let Some((kind, ..)) = supported {
            return Ok(*kind);
        }
        let names: Vec<String> = Self::ALL
            .iter()
            .map(|(kind, ..)| kind.to_string())
            .collect();
        let message = format!(
            "its numbers are stored as {}; supported are {}; convert the model to one of them",
            type_name(id),
            names.join(", ")
        );
        Err(Fault::unsupported(Place::Tensor(name.into()), message))
    }

    /// Numbers in a block and bytes of a block.
    fn block(self) -> (u64, u64) {
        let found = Self::ALL.iter().find(|(kind, ..)| *kind == self);
        found.map_or((1, 1), |(_, _, numbers, bytes)| (*numbers, *bytes))
    }
}

fn type_name(id: u32) -> String {
    let known = TYPE_NAMES.iter().find(|(known, _)| *known == id);
    known.map_or_else(|| format!("type {id}"), |(_, name)| (*name).to_owned())
}

impl std::fmt::Display for TensorType {
    /// The name that ggml gives it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let found = Self::ALL.iter().find(|(kind, ..)| kind == self);
        f.write_str(&type_name(found.map_or(0, |(_, id, ..)| *id)))
    }
}

/// A tensor, and where its bytes are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensor {
    pub(crate) kind: TensorType,
    /// Numbers in a row: the first dimension.
    pub(crate) columns: usize,
    /// The product of the other dimensions.
    pub(crate) rows: usize,
    /// Which file of a split model.
    pub(crate) part: usize,
    /// From the start of the file.
    pub(crate) start: u64,
    pub(crate) row_bytes: usize,
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

    /// Finds the tensor's bytes in the file's `file_bytes`, of which the data part starts at
    /// `data_start`.
    pub(crate) fn place(
        &self,
        (data_start, file_bytes): (u64, u64),
        alignment: u64,
    ) -> Parsed<Tensor> {
        let fault = |message: String| Fault::malformed(Place::Tensor(self.name.into()), message);
        let (numbers, bytes) = self.kind.block();
        if !self.columns.is_multiple_of(numbers) {
            return Err(fault(format!(
                "a row has {} numbers; {} needs a multiple of {numbers}",
                self.columns, self.kind
            )));
        }
        if !self.offset.is_multiple_of(alignment) {
            return Err(fault(format!(
                "its offset {} is not a multiple of the alignment {alignment}",
                self.offset
            )));
        }
        let row_bytes = (self.columns / numbers).checked_mul(bytes);
        let start = self.offset.checked_add(data_start);
        let end = row_bytes
            .and_then(|row| row.checked_mul(self.rows))
            .and_then(|size| size.checked_add(start?));
        let there = end.is_some_and(|end| end <= file_bytes);
        match (start, row_bytes.map(usize::try_from)) {
            (Some(start), Some(Ok(row_bytes))) if there => Ok(Tensor {
                kind: self.kind,
                // No more than the file has bytes, times eight.
                columns: self.columns as usize,
                rows: self.rows as usize,
                part: 0,
                start,
                row_bytes,
            }),
            _ => Err(fault(format!(
                "{} rows of {} numbers at offset {} end beyond the file, whose data part has {} \
                 bytes; it is damaged or was cut off, fetch it again",
                self.rows,
                self.columns,
                self.offset,
                file_bytes.saturating_sub(data_start)
            ))),
        }
    }
}
