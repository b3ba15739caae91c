//! Files that cannot be used: the message says which file, where, and what to do.

use crate::support::gguf::{File, Stored, Tensor, Value};
use crate::support::tiny::{self, Shape};
use llama::{LoadOptions, Model, ModelError};
use std::path::Path;

fn message(bytes: &[u8]) -> String {
    let error = Model::from_bytes("some.gguf", bytes).err().unwrap();
    let message = error.to_string();
    assert!(message.starts_with("some.gguf: "), "{message}");
    message
}

/// The message for the small model after a change says all of `expected`.
fn check(change: impl FnOnce(&mut File), expected: &[&str]) {
    let mut file = tiny::model(&Shape::default());
    change(&mut file);
    let message = message(&file.bytes());
    for words in expected {
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
}

#[test]
fn not_a_gguf_file() {
    assert!(message(b"").contains("byte 0: the magic bytes needs 4 bytes"));
    assert!(message(b"PK\x03\x04 and so on").contains("byte 0: this is not a GGUF file"));
    let mut bytes = tiny::model(&Shape::default()).bytes();
    bytes[4] = 1;
    assert!(message(&bytes).contains("byte 4: GGUF version 1"));
    bytes[4..8].copy_from_slice(&3u32.to_be_bytes());
    assert!(message(&bytes).contains("big-endian"));
}

#[test]
fn version_2_is_read_like_version_3() {
    let file = tiny::model(&Shape::default());
    assert!(Model::from_bytes("two", &file.bytes_of_version(2)).is_ok());
}

#[test]
fn no_such_file() {
    let error = Model::open(Path::new("no/such/file.gguf")).err().unwrap();
    assert!(matches!(error, ModelError::Io { .. }));
    assert!(error.to_string().starts_with("no/such/file.gguf: "));
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        Model::open(folder.path()),
        Err(ModelError::Io { .. })
    ));
    let empty = folder.path().join("empty.gguf");
    std::fs::write(&empty, b"").unwrap();
    assert!(Model::open(&empty).is_err());
}

#[test]
fn a_file_on_disk_is_the_same_model() {
    let file = tiny::model(&Shape::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, file.bytes()).unwrap();
    let opened = std::sync::Arc::new(Model::open(&path).unwrap());
    assert_eq!(
        opened.logits(&[1, 2]).unwrap(),
        file.open().logits(&[1, 2]).unwrap()
    );
}

#[test]
fn models_of_another_kind() {
    let text = |s: &str| Value::Text(s.into());
    let expected = [
        "key \"general.architecture\"",
        "\"qwen2\" is not supported; llama is",
    ];
    check(
        |file| file.set("general.architecture", text("qwen2")),
        &expected,
    );
    check(
        |file| file.remove("general.architecture"),
        &["key \"general.architecture\"", "lacks"],
    );
    check(
        |file| file.set("llama.expert_count", Value::U32(8)),
        &["mixture of 8 experts"],
    );
    check(
        |file| file.set("split.count", Value::U32(3)),
        &["split into 3 files", "merge"],
    );
    check(
        |file| file.set("llama.pooling_type", Value::U32(2)),
        &["llama.pooling_type", "pooling 2"],
    );
    check(
        |file| file.set("llama.rope.scaling.type", text("longrope")),
        &["rope scaling \"longrope\"", "none, linear and yarn are"],
    );
    let yarn = |key: &'static str, value: Value| {
        move |file: &mut File| {
            file.set("llama.rope.scaling.type", text("yarn"));
            file.set(key, value);
        }
    };
    let multiplier = "llama.rope.scaling.yarn_log_multiplier";
    check(yarn(multiplier, Value::F32(1.0)), &[multiplier]);
    let context = "llama.rope.scaling.original_context_length";
    check(yarn(context, Value::U32(0)), &[context, "0 is outside 1"]);
    check(
        yarn("llama.rope.freq_base", Value::F32(1.0)),
        &["llama.rope.freq_base", "nothing to go by"],
    );
    check(
        |file| file.set("tokenizer.ggml.model", text("bert")),
        &["\"bert\" is not supported; gpt2 and llama are"],
    );
    check(
        |file| file.set("tokenizer.ggml.pre", text("qwen2")),
        &["pre-tokenizer \"qwen2\""],
    );
    check(
        |file| file.set("llama.attention.head_count_kv", Value::I32s(vec![1, 2])),
        &["each layer"],
    );
}

#[test]
fn tensors_that_do_not_fit() {
    let name = "blk.1.ffn_up.weight";
    let place = "tensor \"blk.1.ffn_up.weight\"";
    check(
        |file| file.tensors.retain(|t| t.name != name),
        &[place, "lacks it"],
    );
    check(
        |file| file.tensor(name).columns = 32,
        &[place, "192 rows of 32 numbers", "ask for 96 of 64"],
    );
    check(
        |file| file.tensor("blk.0.attn_norm.weight").stored = Stored::F16,
        &["tensor \"blk.0.attn_norm.weight\"", "must be F32"],
    );
    check(
        |file| {
            let numbers = vec![0.0; 64];
            let name = "blk.0.attn_q.bias".into();
            file.tensors.push(Tensor {
                name,
                columns: 64,
                numbers,
                stored: Stored::F32,
            });
        },
        &["tensor \"blk.0.attn_q.bias\"", "does not know"],
    );
    check(
        |file| file.tensors.push(file.tensors[0].clone()),
        &["two tensors of this name"],
    );
    check(
        |file| file.tensors.remove(0).columns = 0,
        &["token_embd.weight", "lacks it"],
    );
}

#[test]
fn a_tensor_type_that_is_not_supported_is_named() {
    let file = tiny::model(&Shape::default());
    let mut bytes = file.bytes();
    let name = b"blk.0.ffn_gate.weight";
    let at = bytes
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    // The name, the number of dimensions, two dimensions.
    let kind = at + name.len() + 4 + 16;
    for (id, expected) in [(16u32, "IQ2_XXS"), (28, "F64"), (4711, "type 4711")] {
        bytes[kind..kind + 4].copy_from_slice(&id.to_le_bytes());
        let message = message(&bytes);
        assert!(
            message.contains("tensor \"blk.0.ffn_gate.weight\""),
            "{message}"
        );
        assert!(
            message.contains(&format!("stored as {expected};")),
            "{message}"
        );
    }
}

#[test]
fn a_machine_too_small_is_told_the_numbers() {
    let file = tiny::model(&Shape::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, file.bytes()).unwrap();
    let open = |memory_bytes_max| {
        let options = LoadOptions {
            memory_bytes_max: Some(memory_bytes_max),
            ..LoadOptions::default()
        };
        Model::open_with(&path, &options)
    };
    let need = open(1 << 30).unwrap().memory();
    assert!(need.weights_bytes as usize <= file.bytes().len() * 115 / 100);
    // Two layers of two heads, keys and values of sixteen numbers of four bytes.
    assert_eq!(need.position_bytes, 2 * 2 * 2 * 16 * 4);
    assert!(open(need.total_bytes()).is_ok());
    let error = open(need.total_bytes() - 1).err().unwrap();
    let ModelError::Memory {
        need: told,
        available_bytes,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((*told, *available_bytes), (need, need.total_bytes() - 1));
    let message = error.to_string();
    assert!(
        message.contains("tiny.gguf: it needs 0.00 GB of memory"),
        "{message}"
    );
}

#[test]
fn a_model_in_several_files() {
    let whole = tiny::model(&Shape::default());
    let folder = tempfile::tempdir().unwrap();
    let path = |n: usize| folder.path().join(format!("tiny-{n:05}-of-00003.gguf"));
    let write = |n: usize, tensors: &[Tensor]| {
        let mut file = File::default();
        if n == 1 {
            file = whole.clone();
        }
        file.tensors = tensors.to_vec();
        file.set("split.no", Value::U32(n as u32 - 1));
        file.set("split.count", Value::U32(3));
        std::fs::write(path(n), file.bytes()).unwrap();
    };
    write(1, &[]);
    write(2, &whole.tensors[..7]);
    write(3, &whole.tensors[7..]);
    let opened = std::sync::Arc::new(Model::open(&path(1)).unwrap());
    assert_eq!(
        opened.logits(&[1, 2]).unwrap(),
        whole.open().logits(&[1, 2]).unwrap()
    );
    let message = |n: usize| Model::open(&path(n)).err().unwrap().to_string();
    assert!(message(2).contains("name ends in -00001-of-00003.gguf"));
    write(3, &whole.tensors[6..]);
    assert!(message(1).contains("two tensors of this name"));
    std::fs::remove_file(path(3)).unwrap();
    assert!(message(1).contains("tiny-00003-of-00003.gguf: No such file"));
}

#[test]
fn sizes_that_cannot_be() {
    let set = |key: &'static str, n| move |file: &mut File| file.set(key, Value::U32(n));
    check(
        set("llama.block_count", 0),
        &["key \"llama.block_count\"", "0 is outside 1 to"],
    );
    check(
        set("llama.block_count", 3),
        &["tensor \"blk.2.attn_norm.weight\"", "lacks it"],
    );
    check(
        set("llama.attention.head_count_kv", 3),
        &["3 key heads do not divide 4 query heads"],
    );
    check(set("llama.rope.dimension_count", 7), &["7 must be even"]);
    check(
        set("llama.rope.dimension_count", 18),
        &["no greater than the head's 16"],
    );
    check(
        set("general.alignment", 48),
        &["general.alignment", "power of two"],
    );
    check(
        set("general.alignment", 1 << 30),
        &["general.alignment", "power of two"],
    );
    check(
        set("tokenizer.ggml.bos_token_id", 5000),
        &["token 5000 is outside the vocabulary"],
    );
    let text = Value::Text("four".into());
    check(
        |file| file.set("llama.block_count", text),
        &["a whole number was expected", "a string"],
    );
    check(
        |file| file.set("llama.rope.freq_base", Value::F32(f32::NAN)),
        &["finite number"],
    );
    check(
        |file| file.set("llama.rope.freq_base", Value::F32(-1.0)),
        &["greater than 0"],
    );
    check(
        |file| file.remove("llama.context_length"),
        &["llama.context_length", "lacks it"],
    );
}

#[test]
fn vocabularies_that_cannot_encode() {
    let tokens = |change: fn(&mut Vec<String>)| {
        move |file: &mut File| {
            let known = file
                .values
                .iter_mut()
                .find(|(key, _)| key == "tokenizer.ggml.tokens");
            let Some((_, Value::Texts(tokens))) = known else {
                panic!("no tokens")
            };
            change(tokens);
        }
    };
    check(
        tokens(|tokens| tokens[65] = "AA".into()),
        &["no token stands for the byte 0x41"],
    );
    check(
        tokens(|tokens| tokens[256] = "zz".into()),
        &["merge 0", "vocabulary lacks"],
    );
    check(tokens(|tokens| tokens.push("x".into())), &["types for"]);
    check(tokens(Vec::clear), &["0 tokens"]);
    let merges = |merge: &str| Value::Texts(vec![merge.into()]);
    check(
        |file| file.set("tokenizer.ggml.merges", merges("he")),
        &["merge 0 is not two"],
    );
    check(
        |file| file.set("tokenizer.ggml.merges", Value::U32(1)),
        &["an array was expected"],
    );
    check(
        |file| file.remove("tokenizer.ggml.merges"),
        &["tokenizer.ggml.merges", "lacks it"],
    );
    let types = Value::I32s(vec![-1; tiny::VOCABULARY]);
    check(
        |file| file.set("tokenizer.ggml.token_type", types),
        &["negative"],
    );
}
