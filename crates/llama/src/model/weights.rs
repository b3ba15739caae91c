//! A model's weights, repacked for the kernels.

use super::Config;
use crate::error::{Fault, Parsed, Place};
use crate::gguf::{Gguf, Tensor, TensorType};
use crate::kernels::{LANES, Matrix};
use std::collections::HashSet;

/// All weights, with the names of the Llama papers.
pub(crate) struct Weights {
    /// (vocabulary, dim)
    pub(crate) embedding: Matrix,
    pub(crate) layers: Vec<Layer>,
    /// (dim)
    pub(crate) output_norm: Vec<f32>,
    /// (vocabulary, dim); none where the embedding serves as the head ("tied")
    head: Option<Matrix>,
}

/// One layer's weights.
pub(crate) struct Layer {
    /// (dim)
    pub(crate) attention_norm: Vec<f32>,
    /// (n_heads * head_dim, dim)
    pub(crate) wq: Matrix,
    /// (n_kv_heads * head_dim, dim)
    pub(crate) wk: Matrix,
    /// (n_kv_heads * value_dim, dim)
    pub(crate) wv: Matrix,
    /// (dim, n_heads * value_dim)
    pub(crate) wo: Matrix,
    /// (dim)
    pub(crate) ffn_norm: Vec<f32>,
    /// (hidden_dim, dim)
    pub(crate) w_gate: Matrix,
    /// (hidden_dim, dim)
    pub(crate) w_up: Matrix,
    /// (dim, hidden_dim)
    pub(crate) w_down: Matrix,
}

/// Padding rows to sixteens may cost this much over the file; real models need none.
const PADDING_BYTES_MAX: usize = 32 << 20;

impl Weights {
    pub(super) fn read(file: &Gguf<'_>, config: &Config, tokens: usize) -> Parsed<Self> {
        let mut source = Source {
            file,
            used: HashSet::new(),
            padding_bytes: 0,
        };
        let Config {
            dim, vocabulary, ..
        } = *config;
        if tokens > vocabulary {
            let message = format!("it has {vocabulary} rows for a vocabulary of {tokens} tokens");
            return Err(Fault::malformed(
                Place::Tensor("token_embd.weight".into()),
                message,
            ));
        }
        let embedding = source.matrix("token_embd.weight", vocabulary, dim)?;
        let head = match file.tensor("output.weight") {
            Some(_) => Some(source.matrix("output.weight", vocabulary, dim)?),
            None => None,
        };
        let output_norm = source.vector("output_norm.weight", dim)?;
        let layers = (0..config.n_layers)
            .map(|layer| Layer::read(&mut source, layer, config))
            .collect::<Parsed<Vec<_>>>()?;
        source.check_all_used()?;
        Ok(Self {
            embedding,
            layers,
            output_norm,
            head,
        })
    }

    /// (vocabulary, dim): what turns the last layer's output into logits.
    pub(crate) fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

impl Layer {
    fn read(source: &mut Source<'_, '_>, layer: usize, config: &Config) -> Parsed<Self> {
        let Config {
            dim,
            n_heads,
            n_kv_heads,
            head_dim,
            value_dim,
            hidden_dim,
            ..
        } = *config;
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        Ok(Self {
            attention_norm: source.vector(&name("attn_norm"), dim)?,
            wq: source.matrix(&name("attn_q"), n_heads * head_dim, dim)?,
            wk: source.matrix(&name("attn_k"), n_kv_heads * head_dim, dim)?,
            wv: source.matrix(&name("attn_v"), n_kv_heads * value_dim, dim)?,
            wo: source.matrix(&name("attn_output"), dim, n_heads * value_dim)?,
            ffn_norm: source.vector(&name("ffn_norm"), dim)?,
            w_gate: source.matrix(&name("ffn_gate"), hidden_dim, dim)?,
            w_up: source.matrix(&name("ffn_up"), hidden_dim, dim)?,
            w_down: source.matrix(&name("ffn_down"), dim, hidden_dim)?,
        })
    }
}

/// The file, with a record of what was read from it.
struct Source<'f, 'a> {
    file: &'f Gguf<'a>,
    used: HashSet<String>,
    padding_bytes: usize,
}

impl Source<'_, '_> {
    fn vector(&mut self, name: &str, width: usize) -> Parsed<Vec<f32>> {
        self.used.insert(name.to_owned());
        vector(self.file, name, width)
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Parsed<Matrix> {
        self.used.insert(name.to_owned());
        let tensor = shaped(self.file, name, rows, columns)?;
        let row_bytes = tensor.data.len() / rows;
        let padding_rows = rows.next_multiple_of(LANES) - rows;
        self.padding_bytes = self.padding_bytes.saturating_add(row_bytes * padding_rows);
        if self.padding_bytes > PADDING_BYTES_MAX {
            let message = format!(
                "rows are padded to a multiple of {LANES}, which would take more than {} MiB",
                PADDING_BYTES_MAX >> 20
            );
            return Err(Fault::unsupported(Place::Tensor(name.into()), message));
        }
        Ok(match tensor.kind {
            TensorType::F32 => Matrix::from_f32(rows, columns, tensor.data),
            TensorType::F16 => Matrix::from_f16(rows, columns, tensor.data),
            TensorType::Q8_0 => Matrix::from_q8_0(rows, columns, tensor.data),
        })
    }

    /// A tensor that is not read is a part of the model that would silently not be computed.
    fn check_all_used(&self) -> Parsed<()> {
        // The factors are read with the metadata that they belong to.
        let known = |name: &str| self.used.contains(name) || name == "rope_freqs.weight";
        let unknown = self.file.tensor_names().filter(|name| !known(name)).min();
        match unknown {
            None => Ok(()),
            Some(name) => {
                let message = "this engine does not know the tensor; models of the plain llama \
                               architecture (no biases, no experts) are supported";
                Err(Fault::unsupported(Place::Tensor(name.into()), message))
            }
        }
    }
}

fn shaped<'a>(file: &Gguf<'a>, name: &str, rows: usize, columns: usize) -> Parsed<Tensor<'a>> {
    let fault = |message: String| Fault::malformed(Place::Tensor(name.into()), message);
    let tensor = file
        .tensor(name)
        .ok_or_else(|| fault("the file lacks it; convert the model again".into()))?;
    if (tensor.rows, tensor.columns) != (rows, columns) {
        return Err(fault(format!(
            "it has {} rows of {} numbers; the model's sizes ask for {rows} of {columns}",
            tensor.rows, tensor.columns
        )));
    }
    Ok(*tensor)
}

/// A tensor of one row, as floats.
pub(super) fn vector(file: &Gguf<'_>, name: &str, width: usize) -> Parsed<Vec<f32>> {
    let tensor = shaped(file, name, 1, width)?;
    match tensor.kind {
        TensorType::F32 => {
            let (floats, _) = tensor.data.as_chunks();
            Ok(floats
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect())
        }
        other => {
            let message = format!("it is stored as {other:?}; this tensor must be F32");
            Err(Fault::unsupported(Place::Tensor(name.into()), message))
        }
    }
}
