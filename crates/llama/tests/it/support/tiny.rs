//! Small models with random weights and a small byte-level vocabulary.

use super::gguf::{File, Stored, Tensor, Value};
use llama::Model;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) dim: usize,
    pub(crate) n_layers: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) value_dim: usize,
    pub(crate) hidden_dim: usize,
    pub(crate) vocabulary: usize,
    pub(crate) context: usize,
    pub(crate) rope_dim: usize,
    pub(crate) rope_base: f32,
    pub(crate) rope_scale: Option<f32>,
    /// Whether that scale is YaRN's and not all positions'.
    pub(crate) rope_yarn: bool,
    pub(crate) rope_freqs: bool,
    pub(crate) tied: bool,
    pub(crate) stored: Stored,
    pub(crate) seed: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            dim: 64,
            n_layers: 2,
            n_heads: 4,
            n_kv_heads: 2,
            head_dim: 16,
            value_dim: 16,
            hidden_dim: 96,
            vocabulary: VOCABULARY,
            context: 512,
            rope_dim: 16,
            rope_base: 10_000.0,
            rope_scale: None,
            rope_yarn: false,
            rope_freqs: false,
            tied: true,
            stored: Stored::F32,
            seed: 1,
        }
    }
}

/// Positions that a model with YaRN was first trained for.
pub(crate) const YARN_CONTEXT: usize = 256;

/// 256 bytes, the merges below, and the control tokens.
pub(crate) const VOCABULARY: usize = 256 + MERGES.len() + CONTROL.len();

pub(crate) const CONTROL: [&str; 6] = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eot_id|>x",
];

const MERGES: [&str; 20] = [
    "h e", "i n", "t he", "e r", "o n", "a n", "Ġ t", "Ġt he", "l l", "he ll", "hell o", "u p",
    "d o", "do w", "dow n", "Ġ up", "n e", "n o", "no ne", "in g",
];

pub(crate) const TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + \
    message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}\
    {% endif %}";

/// GPT-2's characters for bytes.
pub(crate) fn byte_characters() -> Vec<char> {
    let mut next = 0x100;
    (0..=255u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap()
            }
        })
        .collect()
}

/// The metadata of the small vocabulary.
pub(crate) fn vocabulary(file: &mut File) {
    let mut tokens: Vec<String> = byte_characters().into_iter().map(String::from).collect();
    tokens.extend(MERGES.iter().map(|merge| merge.replace(' ', "")));
    let control = tokens.len();
    tokens.extend(CONTROL.iter().map(|s| (*s).to_owned()));
    let types = (0..tokens.len())
        .map(|i| if i < control { 1 } else { 3 })
        .collect();
    file.set("tokenizer.ggml.model", Value::Text("gpt2".into()));
    file.set("tokenizer.ggml.pre", Value::Text("llama-bpe".into()));
    file.set("tokenizer.ggml.tokens", Value::Texts(tokens));
    file.set("tokenizer.ggml.token_type", Value::I32s(types));
    file.set(
        "tokenizer.ggml.merges",
        Value::Texts(MERGES.iter().map(|s| (*s).into()).collect()),
    );
    file.set("tokenizer.ggml.bos_token_id", Value::U32(control as u32));
    file.set(
        "tokenizer.ggml.eos_token_id",
        Value::U32(control as u32 + 1),
    );
    file.set(
        "tokenizer.ggml.eot_token_id",
        Value::U32(control as u32 + 4),
    );
    file.set("tokenizer.chat_template", Value::Text(TEMPLATE.into()));
}

/// The metadata of a shape.
pub(crate) fn sizes(file: &mut File, shape: &Shape) {
    file.set("general.architecture", Value::Text("llama".into()));
    let numbers = [
        ("context_length", shape.context),
        ("embedding_length", shape.dim),
        ("block_count", shape.n_layers),
        ("feed_forward_length", shape.hidden_dim),
        ("attention.head_count", shape.n_heads),
        ("attention.head_count_kv", shape.n_kv_heads),
        ("attention.key_length", shape.head_dim),
        ("attention.value_length", shape.value_dim),
        ("rope.dimension_count", shape.rope_dim),
    ];
    for (key, n) in numbers {
        file.set(&format!("llama.{key}"), Value::U32(n as u32));
    }
    file.set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5));
    file.set("llama.rope.freq_base", Value::F32(shape.rope_base));
    if let Some(scale) = shape.rope_scale {
        let kind = if shape.rope_yarn { "yarn" } else { "linear" };
        file.set("llama.rope.scaling.type", Value::Text(kind.into()));
        file.set("llama.rope.scaling.factor", Value::F32(scale));
        if shape.rope_yarn {
            let context = Value::U32(YARN_CONTEXT as u32);
            file.set("llama.rope.scaling.original_context_length", context);
        }
    }
}

/// A model of this shape with random weights.
pub(crate) fn model(shape: &Shape) -> File {
    let mut file = File::default();
    sizes(&mut file, shape);
    vocabulary(&mut file);
    let mut random = Random(shape.seed);
    let s = shape;
    let mut matrix = |file: &mut File, name: &str, rows: usize, columns: usize| {
        let size = 1.0 / (columns as f32).sqrt();
        let numbers = (0..rows * columns)
            .map(|_| random.normal() * size)
            .collect();
        let stored = s.stored;
        file.tensors.push(Tensor {
            name: name.into(),
            columns,
            numbers,
            stored,
        });
    };
    matrix(&mut file, "token_embd.weight", s.vocabulary, s.dim);
    for i in 0..s.n_layers {
        let mut part = |part: &str, rows, columns| {
            matrix(&mut file, &format!("blk.{i}.{part}.weight"), rows, columns);
        };
        part("attn_q", s.n_heads * s.head_dim, s.dim);
        part("attn_k", s.n_kv_heads * s.head_dim, s.dim);
        part("attn_v", s.n_kv_heads * s.value_dim, s.dim);
        part("attn_output", s.dim, s.n_heads * s.value_dim);
        part("ffn_gate", s.hidden_dim, s.dim);
        part("ffn_up", s.hidden_dim, s.dim);
        part("ffn_down", s.dim, s.hidden_dim);
    }
    if !s.tied {
        matrix(&mut file, "output.weight", s.vocabulary, s.dim);
    }
    let mut vector = |file: &mut File, name: String, width: usize| {
        let numbers = (0..width).map(|_| 1.0 + 0.2 * random.normal()).collect();
        file.tensors.push(Tensor {
            name,
            columns: width,
            numbers,
            stored: Stored::F32,
        });
    };
    vector(&mut file, "output_norm.weight".into(), s.dim);
    for i in 0..s.n_layers {
        vector(&mut file, format!("blk.{i}.attn_norm.weight"), s.dim);
        vector(&mut file, format!("blk.{i}.ffn_norm.weight"), s.dim);
    }
    if s.rope_freqs {
        let pairs = s.rope_dim / 2;
        let numbers = (0..pairs)
            .map(|i| 1.0 + 7.0 * i as f32 / pairs as f32)
            .collect();
        let name = "rope_freqs.weight".into();
        file.tensors.push(Tensor {
            name,
            columns: pairs,
            numbers,
            stored: Stored::F32,
        });
    }
    file
}

/// Random numbers for tests: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// About normal: the sum of twelve uniform numbers.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12)
            .map(|_| (self.next() >> 11) as f32 / (1u64 << 53) as f32)
            .sum::<f32>()
            - 6.0
    }

    pub(crate) fn tokens(&mut self, count: usize, vocabulary: usize) -> Vec<u32> {
        (0..count).map(|_| self.below(vocabulary) as u32).collect()
    }
}

/// The bits of floats: equal only where the floats are the same in every respect.
pub(crate) fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|x| x.to_bits()).collect()
}

impl File {
    /// The model in this file.
    pub(crate) fn open(&self) -> Arc<Model> {
        Arc::new(Model::from_bytes("tiny", &self.bytes()).unwrap())
    }
}
