//! A model's weights, repacked for the kernels.

use super::source::Source;
use super::{Config, LoadProgress};
use crate::error::{Fault, Parsed, Place};
use crate::gguf::{Gguf, Tensor, TensorType};
use crate::kernels::{LANES, Matrix, MatrixPart, Team};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Why weights could not be read.
pub(super) enum ReadFault {
    File(Fault),
    Io(std::io::Error),
}

impl From<Fault> for ReadFault {
    fn from(fault: Fault) -> Self {
        Self::File(fault)
    }
}

impl From<std::io::Error> for ReadFault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Weights {
    /// Bytes that the matrices of a file will take.
    pub(super) fn bytes(file: &Gguf<'_>) -> u64 {
        file.tensors().fold(0u64, |sum, (_, tensor)| {
            let bytes = Matrix::bytes(tensor.kind, tensor.rows, tensor.columns);
            sum.saturating_add(bytes.map_or(u64::MAX, |bytes| bytes as u64))
        })
    }

    pub(super) fn read(
        (file, source): (&Gguf<'_>, &Source<'_>),
        (config, tokens): (&Config, usize),
        team: &Team,
        progress: &(dyn Fn(LoadProgress) + Sync),
    ) -> Result<Self, ReadFault> {
        let mut plan = Plan {
            file,
            source,
            used: HashSet::new(),
            tensors: Vec::new(),
            padding_bytes: 0,
        };
        let mut weights = Self::plan(&mut plan, config, tokens)?;
        let tensors = plan.tensors;
        let bytes_of = |tensor: &Tensor| tensor.row_bytes as u64 * tensor.rows as u64;
        let total_bytes = tensors.iter().map(bytes_of).sum();
        let done_bytes = AtomicU64::new(0);
        let failed: Mutex<Option<std::io::Error>> = Mutex::new(None);
        let jobs = weights
            .matrices_mut()
            .zip(&tensors)
            .flat_map(|(matrix, tensor)| matrix.parts().map(move |part| (part, tensor)));
        team.each(jobs, Vec::new, |buffer, (part, tensor)| {
            match fill(part, tensor, source, buffer) {
                Ok(bytes) => {
                    let done_bytes = done_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
                    progress(LoadProgress {
                        done_bytes,
                        total_bytes,
                    });
                }
                Err(error) => {
                    let mut failed = failed
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    failed.get_or_insert(error);
                }
            }
        });
        let failed = failed
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.map_or(Ok(weights), |error| Err(error.into()))
    }

    /// The weights with matrices of zeros; what they are to be filled from is in the plan.
    fn plan(plan: &mut Plan<'_, '_>, config: &Config, tokens: usize) -> Result<Self, ReadFault> {
        let Config {
            dim, vocabulary, ..
        } = *config;
        if tokens > vocabulary {
            let message = format!("it has {vocabulary} rows for a vocabulary of {tokens} tokens");
            let place = Place::Tensor("token_embd.weight".into());
            return Err(Fault::malformed(place, message).into());
        }
        let embedding = plan.matrix("token_embd.weight", vocabulary, dim)?;
        let head = match plan.file.tensor("output.weight") {
            Some(_) => Some(plan.matrix("output.weight", vocabulary, dim)?),
            None => None,
        };
        let output_norm = plan.vector("output_norm.weight", dim)?;
        let layers = (0..config.n_layers)
            .map(|layer| Layer::plan(plan, layer, config))
            .collect::<Result<Vec<_>, _>>()?;
        plan.check_all_used()?;
        Ok(Self {
            embedding,
            layers,
            output_norm,
            head,
        })
    }

    /// In the order in which they are planned.
    fn matrices_mut(&mut self) -> impl Iterator<Item = &mut Matrix> + Send {
        let layers = self.layers.iter_mut().flat_map(Layer::matrices_mut);
        std::iter::once(&mut self.embedding)
            .chain(&mut self.head)
            .chain(layers)
    }

    /// How each matrix is stored.
    pub(super) fn formats(&self) -> impl Iterator<Item = TensorType> {
        std::iter::once(&self.embedding)
            .chain(&self.head)
            .chain(self.layers.iter().flat_map(Layer::matrices))
            .map(Matrix::kind)
    }

    /// The matrices that each token is multiplied by.
    pub(super) fn of_a_token(&self) -> impl Iterator<Item = &Matrix> + Clone + Send {
        let layers = self.layers.iter().flat_map(Layer::matrices);
        layers.chain(std::iter::once(self.head()))
    }

    /// (vocabulary, dim): what turns the last layer's output into logits.
    pub(crate) fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

impl Layer {
    fn plan(plan: &mut Plan<'_, '_>, layer: usize, config: &Config) -> Result<Self, ReadFault> {
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
            attention_norm: plan.vector(&name("attn_norm"), dim)?,
            wq: plan.matrix(&name("attn_q"), n_heads * head_dim, dim)?,
            wk: plan.matrix(&name("attn_k"), n_kv_heads * head_dim, dim)?,
            wv: plan.matrix(&name("attn_v"), n_kv_heads * value_dim, dim)?,
            wo: plan.matrix(&name("attn_output"), dim, n_heads * value_dim)?,
            ffn_norm: plan.vector(&name("ffn_norm"), dim)?,
            w_gate: plan.matrix(&name("ffn_gate"), hidden_dim, dim)?,
            w_up: plan.matrix(&name("ffn_up"), hidden_dim, dim)?,
            w_down: plan.matrix(&name("ffn_down"), dim, hidden_dim)?,
        })
    }

    fn matrices(&self) -> [&Matrix; 7] {
        [
            &self.wq,
            &self.wk,
            &self.wv,
            &self.wo,
            &self.w_gate,
            &self.w_up,
            &self.w_down,
        ]
    }

    fn matrices_mut(&mut self) -> [&mut Matrix; 7] {
        [
            &mut self.wq,
            &mut self.wk,
            &mut self.wv,
            &mut self.wo,
            &mut self.w_gate,
            &mut self.w_up,
            &mut self.w_down,
        ]
    }
}

/// Reads and repacks some rows; gives back how many bytes of the file they were.
fn fill(
    part: MatrixPart<'_>,
    tensor: &Tensor,
    source: &Source<'_>,
    buffer: &mut Vec<u8>,
) -> std::io::Result<u64> {
    let range = (
        part.first_row * tensor.row_bytes,
        part.rows * tensor.row_bytes,
    );
    let bytes = source.read(tensor, range, buffer)?;
    part.fill(bytes);
    Ok(bytes.len() as u64)
}

/// The file, with a record of what is to be read from it.
struct Plan<'f, 'a> {
    file: &'f Gguf<'a>,
    source: &'f Source<'f>,
    used: HashSet<String>,
    /// The matrices' tensors, in order.
    tensors: Vec<Tensor>,
    padding_bytes: usize,
}

impl Plan<'_, '_> {
    fn vector(&mut self, name: &str, width: usize) -> Result<Vec<f32>, ReadFault> {
        self.used.insert(name.to_owned());
        vector(self.file, self.source, name, width)
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix, ReadFault> {
        self.used.insert(name.to_owned());
        let tensor = shaped(self.file, name, rows, columns)?;
        let padding_rows = rows.next_multiple_of(LANES) - rows;
        let padding_bytes = tensor.row_bytes.saturating_mul(padding_rows);
        self.padding_bytes = self.padding_bytes.saturating_add(padding_bytes);
        if self.padding_bytes > PADDING_BYTES_MAX {
            let message = format!(
                "rows are padded to a multiple of {LANES}, which would take more than {} MiB",
                PADDING_BYTES_MAX >> 20
            );
            return Err(Fault::unsupported(Place::Tensor(name.into()), message).into());
        }
        self.tensors.push(tensor);
        Ok(Matrix::zeroed(tensor.kind, rows, columns)?)
    }

    /// A tensor that is not read is a part of the model that would silently not be computed.
    fn check_all_used(&self) -> Parsed<()> {
        // The factors are read with the metadata that they belong to.
        let known = |name: &str| self.used.contains(name) || name == "rope_freqs.weight";
        let names = self.file.tensors().map(|(name, _)| name);
        let unknown = names.filter(|name| !known(name)).min();
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

fn shaped(file: &Gguf<'_>, name: &str, rows: usize, columns: usize) -> Parsed<Tensor> {
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
pub(super) fn vector(
    file: &Gguf<'_>,
    source: &Source<'_>,
    name: &str,
    width: usize,
) -> Result<Vec<f32>, ReadFault> {
    let tensor = shaped(file, name, 1, width)?;
    if tensor.kind != TensorType::F32 {
        let message = format!("it is stored as {}; this tensor must be F32", tensor.kind);
        return Err(Fault::unsupported(Place::Tensor(name.into()), message).into());
    }
    let mut buffer = Vec::new();
    let bytes = source.read(&tensor, (0, tensor.row_bytes), &mut buffer)?;
    let (floats, _) = bytes.as_chunks();
    Ok(floats
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}
