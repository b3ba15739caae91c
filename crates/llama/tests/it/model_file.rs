//! What a file's header tells without its weights.

use crate::support::gguf::{File, Tensor, Value};
use crate::support::tiny::{self, Shape};
use llama::ModelFile;

fn read(file: &File) -> ModelFile {
    ModelFile::from_bytes("some.gguf", &file.bytes()).unwrap()
}

#[test]
fn the_header_tells_what_the_loaded_model_tells() {
    let file = tiny::model(&Shape::default());
    let (about, model) = (read(&file), file.open());
    assert_eq!(about.config, *model.config());
    assert_eq!(about.memory, model.memory());
    assert_eq!(about.tokenizer.len(), model.tokenizer().len());
    assert_eq!(about.tokenizer.special(), model.tokenizer().special());
    assert_eq!(
        about.chat_template.is_some(),
        model.chat_template().is_some()
    );
    assert_eq!(about.file_bytes, file.bytes().len() as u64);
    let count: usize = about.tensors.iter().map(|group| group.count).sum();
    assert_eq!(count, file.tensors.len());
}

#[test]
fn the_tensors_of_all_files_of_a_split_model_are_counted() {
    let whole = tiny::model(&Shape::default());
    let folder = tempfile::tempdir().unwrap();
    let path = |n: usize| folder.path().join(format!("tiny-{n:05}-of-00002.gguf"));
    let write = |n: usize, tensors: &[Tensor]| {
        let mut file = if n == 1 {
            whole.clone()
        } else {
            File::default()
        };
        file.tensors = tensors.to_vec();
        file.set("split.count", Value::U32(2));
        std::fs::write(path(n), file.bytes()).unwrap();
    };
    write(1, &whole.tensors[..7]);
    write(2, &whole.tensors[7..]);
    let (split, one) = (ModelFile::open(&path(1)).unwrap(), read(&whole));
    assert_eq!(split.files, [path(1), path(2)]);
    assert_eq!(
        (split.parameters, &split.tensors),
        (one.parameters, &one.tensors)
    );
    let size = |n: usize| std::fs::metadata(path(n)).unwrap().len();
    assert_eq!(split.file_bytes, size(1) + size(2));
    assert!(ModelFile::open(&path(2)).is_err());
}

#[test]
fn a_header_that_is_wrong_is_an_error_that_says_where() {
    let bytes = tiny::model(&Shape::default()).bytes();
    let cut = ModelFile::from_bytes("some.gguf", &bytes[..bytes.len() - 64]);
    let message = cut.err().unwrap().to_string();
    assert!(message.starts_with("some.gguf: tensor "), "{message}");
    assert!(message.contains("cut off"), "{message}");
}
