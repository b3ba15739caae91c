//! `tiergate model inspect`: what a model file holds, read without its weights.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use indicatif::DecimalBytes;
use llama::{ModelFile, TokenId};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::learn::stored::hex;
use crate::terminal::{self, count, say};
use crate::tier::local;

/// `tiergate model inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A GGUF file (the first, where the model is split), the name of a fetched model, or
    /// `starter`.
    #[arg(value_name = "FILE|NAME")]
    model: String,
    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let file = super::open_file(&args.model)?;
    let hashes = if file.files.is_empty() {
        vec![hex(&Sha256::digest(local::STARTER))]
    } else {
        let hashes = file.files.iter().map(|path| sha256(path));
        hashes.collect::<anyhow::Result<_>>()?
    };
    if args.json {
        say(report(&args.model, &file, &hashes));
    } else {
        for (name, value) in lines(&args.model, &file, &hashes) {
            say(format_args!("{name:<12}{value}"));
        }
    }
    Ok(())
}

/// The SHA-256 of a file as hexadecimal digits, with progress for the large.
///
/// # Errors
/// When it can't be read.
pub(crate) fn sha256(path: &Path) -> anyhow::Result<String> {
    let unreadable = || format!("{} can't be read", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let size_bytes = file.metadata().with_context(unreadable)?.len();
    let template = "hashing [{bar:40}] {decimal_bytes}/{decimal_total_bytes}";
    let bar = terminal::bar(size_bytes, template);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).with_context(unreadable)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    Ok(hex(&hash.finalize()))
}

/// The tokens with a meaning of their own, by what they mean.
fn special(file: &ModelFile) -> Vec<(&'static str, TokenId)> {
    let ids = file.tokenizer.special();
    let named = [
        ("beginning_of_text", ids.bos),
        ("end_of_text", ids.eos),
        ("end_of_turn", ids.eot),
    ];
    let known = named.into_iter();
    known.filter_map(|(name, id)| Some((name, id?))).collect()
}

/// Bytes of the keys and values of a conversation as long as the context.
fn kv_bytes(file: &ModelFile) -> u64 {
    let context = file.config.context_tokens as u64;
    file.memory.position_bytes.saturating_mul(context)
}

fn total_bytes(file: &ModelFile) -> u64 {
    let memory = file.memory;
    memory
        .weights_bytes
        .saturating_add(kv_bytes(file))
        .saturating_add(memory.scratch_bytes)
}

fn report(model: &str, file: &ModelFile, hashes: &[String]) -> Value {
    let config = &file.config;
    let tokenizer = &file.tokenizer;
    let special = special(file).into_iter().map(|(name, id)| {
        let token = json!({ "id": id, "name": tokenizer.decode(&[id]) });
        (name.to_owned(), token)
    });
    let tensors: Vec<Value> = file
        .tensors
        .iter()
        .map(|group| {
            json!({
                "type": group.kind, "count": group.count,
                "parameters": group.parameters, "bytes": group.bytes,
            })
        })
        .collect();
    json!({
        "model": model,
        "title": file.title,
        "files": file.files,
        "file_bytes": file.file_bytes,
        "sha256": hashes,
        "architecture": file.architecture,
        "layers": config.n_layers,
        "heads": config.n_heads,
        "kv_heads": config.n_kv_heads,
        "head_width": config.head_dim,
        "embedding_width": config.dim,
        "feed_forward_width": config.hidden_dim,
        "context_tokens": config.context_tokens,
        "rope": {
            "dimensions": config.rope_dim,
            "base": file.rope.base,
            "scaling": file.rope.scaling,
            "scaling_factor": file.rope.scaling_factor,
            "has_factors": file.rope.has_factors,
        },
        "parameters": file.parameters,
        "tensors": tensors,
        "tokenizer": {
            "kind": file.vocabulary_kind,
            "pre_tokenizer": file.pre_tokenizer,
            "tokens": tokenizer.len(),
            "rows": config.vocabulary,
            "adds_beginning_of_text": tokenizer.special().add_bos,
            "special": special.collect::<serde_json::Map<_, _>>(),
        },
        "chat_template": file.chat_template,
        "memory": {
            "weights_bytes": file.memory.weights_bytes,
            "kv_bytes": kv_bytes(file),
            "kv_bytes_each_token": file.memory.position_bytes,
            "scratch_bytes": file.memory.scratch_bytes,
            "total_bytes": total_bytes(file),
        },
    })
}

/// The names of vocabulary kinds as people say them.
fn vocabulary_kind(file: &ModelFile) -> String {
    let kind = match file.vocabulary_kind.as_str() {
        "gpt2" => "byte-level BPE",
        "llama" => "SentencePiece",
        other => other,
    };
    match &file.pre_tokenizer {
        Some(rule) => format!("{kind} ({rule})"),
        None => kind.to_owned(),
    }
}

fn lines(model: &str, file: &ModelFile, hashes: &[String]) -> Vec<(String, String)> {
    let config = &file.config;
    let mut lines = vec![("model", shape_title(model, file))];
    lines.push(("size", DecimalBytes(file.file_bytes).to_string()));
    lines.extend(hashes.iter().map(|hash| ("sha256", hash.clone())));
    lines.push((
        "shape",
        format!(
            "{}: {} layers; {} heads of {}, {} for keys and values; width {}, feed-forward {}",
            file.architecture,
            config.n_layers,
            config.n_heads,
            config.head_dim,
            config.n_kv_heads,
            count(config.dim),
            count(config.hidden_dim)
        ),
    ));
    lines.push(("context", context(file)));
    let special = special(file).into_iter().map(|(name, id)| {
        let token = file.tokenizer.decode(&[id]);
        format!("; {} {id} {}", name.replace('_', " "), token.escape_debug())
    });
    let special: String = special.collect();
    let kind = vocabulary_kind(file);
    let tokens = count(file.tokenizer.len());
    lines.push(("vocabulary", format!("{tokens} tokens, {kind}{special}")));
    lines.push((
        "chat",
        match &file.chat_template {
            Some(template) => format!("a template of {} bytes", count(template.len())),
            None => "no template: prompts only".to_owned(),
        },
    ));
    lines.push(("parameters", large_count(file.parameters)));
    let mut lines: Vec<(String, String)> = lines
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    lines.extend(file.tensors.iter().map(|group| {
        let numbers = large_count(group.parameters);
        let bytes = DecimalBytes(group.bytes);
        let line = format!("{} tensors, {numbers} parameters, {bytes}", group.count);
        (format!("  {}", group.kind), line)
    }));
    lines.push(("memory".to_owned(), memory(file)));
    lines
}

fn shape_title(model: &str, file: &ModelFile) -> String {
    match &file.title {
        Some(title) => format!("{model} ({})", title.escape_debug()),
        None => model.to_owned(),
    }
}

fn context(file: &ModelFile) -> String {
    let (config, rope) = (&file.config, &file.rope);
    let mut line = format!(
        "{} tokens; rope over {} of {} dimensions, base {}",
        count(config.context_tokens),
        config.rope_dim,
        config.head_dim,
        rope.base
    );
    if let Some(scaling) = &rope.scaling {
        line.push_str(&format!(", scaling {}", scaling.escape_debug()));
    }
    if let Some(factor) = rope.scaling_factor {
        line.push_str(&format!(" by {factor}"));
    }
    if rope.has_factors {
        line.push_str(", a factor for each frequency");
    }
    line
}

fn memory(file: &ModelFile) -> String {
    let memory = file.memory;
    format!(
        "{} with a full context: weights {}, keys and values {} ({} each token), computing {}",
        DecimalBytes(total_bytes(file)),
        DecimalBytes(memory.weights_bytes),
        DecimalBytes(kv_bytes(file)),
        DecimalBytes(memory.position_bytes),
        DecimalBytes(memory.scratch_bytes)
    )
}

fn large_count(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX))
}
