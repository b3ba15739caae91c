//! What texts are about, as vectors.

use crate::support::gguf::{File, Value};
use crate::support::tiny::{self, Shape};
use llama::{Pooling, RequestError, Session, Work};
use std::sync::Arc;

const PROMPT: [u32; 4] = [72, 101, 257, 9];

#[test]
fn embeddings_have_length_one_and_do_not_depend_on_the_session() {
    let model = tiny::model(&Shape::default()).open();
    let mut session = Session::new(Arc::clone(&model));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    for pooling in [Pooling::Mean, Pooling::Last] {
        let first = session.embed(&PROMPT, pooling).unwrap();
        let other = session.embed(&[9, 8, 7], pooling).unwrap();
        assert!((dot(&first, &first) - 1.0).abs() < 1e-5);
        assert!(dot(&first, &other) < 0.999);
        assert_eq!(session.embed(&PROMPT, pooling).unwrap(), first);
    }
    assert_eq!(
        session.embed(&[], Pooling::Last),
        Err(RequestError::EmptyPrompt)
    );
}

#[test]
fn the_file_says_how_its_embeddings_are_made() {
    let embedding = |file: &File, text: &str| {
        let model = file.open();
        let Work::Embed { tokens, pooling } = Work::embed_text(&model, text) else {
            panic!("it is an embedding's work");
        };
        (tokens, pooling)
    };
    let mut file = tiny::model(&Shape::default());
    let (plain, pooling) = embedding(&file, "the word");
    assert_eq!(pooling, Pooling::Mean);
    file.set("llama.pooling_type", Value::U32(3));
    file.set("tokenizer.ggml.add_eos_token", Value::Bool(true));
    let (ended, pooling) = embedding(&file, "the word");
    assert_eq!(pooling, Pooling::Last);
    let end = file.open().tokenizer().special().eos.unwrap();
    assert_eq!(ended, [plain, vec![end]].concat());
}
