//! A writer of GGUF files.

use super::blocks::Quantised;
use super::tiny::Random;
use half::{bf16, f16};

/// A metadata value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    F32,
    F16,
    BF16,
    Q8_0,
    /// Blocks of random bits, about as large as the numbers would be; which, follows from the
    /// name. (A tensor of one row has no blocks.)
    Blocks(Quantised),
}

/// A tensor's numbers, rows of `columns`, and how to store them.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) columns: usize,
    pub(crate) numbers: Vec<f32>,
    pub(crate) stored: Stored,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) values: Vec<(String, Value)>,
    pub(crate) tensors: Vec<Tensor>,
}

impl File {
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.values.retain(|(known, _)| known != key);
        self.values.push((key.to_owned(), value));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.values.retain(|(known, _)| known != key);
    }

    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors
            .iter_mut()
            .find(|tensor| tensor.name == name)
            .unwrap()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_of_version(3)
    }

    pub(crate) fn bytes_of_version(&self, version: u32) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.values.len() as u64).to_le_bytes());
        for (key, value) in &self.values {
            text(&mut out, key);
            write_value(&mut out, value);
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            let rows = tensor.numbers.len() / tensor.columns;
            let dimensions: Vec<u64> = if rows == 1 {
                vec![tensor.columns as u64]
            } else {
                vec![tensor.columns as u64, rows as u64]
            };
            out.extend((dimensions.len() as u32).to_le_bytes());
            dimensions.iter().for_each(|d| out.extend(d.to_le_bytes()));
            let kind: u32 = match tensor.stored {
                Stored::F32 => 0,
                Stored::F16 => 1,
                Stored::BF16 => 30,
                Stored::Q8_0 => 8,
                Stored::Blocks(kind) => kind.shape().0,
            };
            out.extend(kind.to_le_bytes());
            data.resize(usize::next_multiple_of(data.len(), 32), 0u8);
            out.extend((data.len() as u64).to_le_bytes());
            data.extend(stored(tensor));
        }
        out.resize(usize::next_multiple_of(out.len(), 32), 0);
        out.extend(data);
        out
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U32(n) => {
            out.extend(4u32.to_le_bytes());
            out.extend(n.to_le_bytes());
        }
        Value::F32(x) => {
            out.extend(6u32.to_le_bytes());
            out.extend(x.to_le_bytes());
        }
        Value::Bool(b) => {
            out.extend(7u32.to_le_bytes());
            out.push(u8::from(*b));
        }
        Value::Text(s) => {
            out.extend(8u32.to_le_bytes());
            text(out, s);
        }
        Value::Texts(texts) => {
            out.extend(9u32.to_le_bytes());
            out.extend(8u32.to_le_bytes());
            out.extend((texts.len() as u64).to_le_bytes());
            texts.iter().for_each(|s| text(out, s));
        }
        Value::I32s(numbers) => {
            out.extend(9u32.to_le_bytes());
            out.extend(5u32.to_le_bytes());
            out.extend((numbers.len() as u64).to_le_bytes());
            numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
        }
        Value::F32s(numbers) => {
            out.extend(9u32.to_le_bytes());
            out.extend(6u32.to_le_bytes());
            out.extend((numbers.len() as u64).to_le_bytes());
            numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
        }
    }
}

fn stored(tensor: &Tensor) -> Vec<u8> {
    match tensor.stored {
        Stored::F32 => tensor
            .numbers
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
        Stored::F16 => tensor
            .numbers
            .iter()
            .flat_map(|x| f16::from_f32(*x).to_le_bytes())
            .collect(),
        Stored::BF16 => tensor
            .numbers
            .iter()
            .flat_map(|x| bf16::from_f32(*x).to_le_bytes())
            .collect(),
        Stored::Blocks(kind) => tensor.random_blocks(kind),
        Stored::Q8_0 => tensor
            .numbers
            .chunks(32)
            .flat_map(|block| q8_0(block).0)
            .collect(),
    }
}

/// A Q8_0 block and the numbers that it stands for.
pub(crate) fn q8_0(block: &[f32]) -> (Vec<u8>, Vec<f32>) {
    assert_eq!(block.len(), 32);
    let most = block.iter().fold(0f32, |most, x| most.max(x.abs()));
    let scale = f16::from_f32(most / 127.0);
    let inverse = if scale.to_f32() > 0.0 {
        1.0 / scale.to_f32()
    } else {
        0.0
    };
    let values: Vec<i8> = block
        .iter()
        .map(|x| (x * inverse).round().clamp(-127.0, 127.0) as i8)
        .collect();
    let mut bytes = scale.to_le_bytes().to_vec();
    bytes.extend(values.iter().map(|v| v.cast_unsigned()));
    (
        bytes,
        values
            .iter()
            .map(|v| scale.to_f32() * f32::from(*v))
            .collect(),
    )
}

impl Tensor {
    /// The numbers as they are after storing.
    pub(crate) fn read_back(&self) -> Vec<f64> {
        if let Stored::Blocks(kind) = self.stored {
            return kind.weights(&self.random_blocks(kind));
        }
        let floats: Vec<f32> = match self.stored {
            Stored::F32 => self.numbers.clone(),
            Stored::F16 => self
                .numbers
                .iter()
                .map(|x| f16::from_f32(*x).to_f32())
                .collect(),
            Stored::BF16 => self
                .numbers
                .iter()
                .map(|x| bf16::from_f32(*x).to_f32())
                .collect(),
            Stored::Blocks(_) => unreachable!("told above"),
            Stored::Q8_0 => self
                .numbers
                .chunks(32)
                .flat_map(|block| q8_0(block).1)
                .collect(),
        };
        floats.into_iter().map(f64::from).collect()
    }

    fn random_blocks(&self, kind: Quantised) -> Vec<u8> {
        let seed = self
            .name
            .bytes()
            .fold(7, |seed, b| seed * 31 % 65_521 + u64::from(b));
        let mut random = Random(seed);
        let size = 1.0 / (self.columns as f32).sqrt();
        let blocks = self.numbers.len() / kind.shape().1;
        kind.random(blocks, size, || random.below(256) as u8)
    }
}
