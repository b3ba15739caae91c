//! Embeddings of OpenAI and Google.

use domain::{PromptTokens, Protocol};
use wire::chat::DecodeError;
use wire::embedding::{EmbeddingRequest, EmbeddingText, Embeddings, Encoding, TEXTS_MAX};
use wire::fault::Fault;
use wire::google::embed::{self, Manner};
use wire::google::path::{Method, Target};
use wire::openai::embeddings;

use crate::values::json;

fn vectors() -> Embeddings {
    Embeddings {
        vectors: vec![vec![0.25, -1.5], vec![1e-7, 3.0]],
        prompt: Some(PromptTokens(7)),
        model: "embed-x".into(),
    }
}

fn request() -> EmbeddingRequest {
    EmbeddingRequest {
        model: "embed-x".into(),
        texts: vec!["geheim".into(), "x".into()],
        dimensions: Some(2),
        task: None,
        encoding: Encoding::Numbers,
    }
}

fn read(body: &str) -> Result<EmbeddingRequest, Fault> {
    embeddings::parse_request(body.as_bytes())
}

#[test]
fn openais_requests_are_read_and_written() {
    let sent = embeddings::encode_request("embed-x", &request());
    insta::assert_snapshot!(sent, @r#"{"model":"embed-x","input":["geheim","x"],"dimensions":2,"encoding_format":"float"}"#);
    assert_eq!(
        embeddings::parse_request(sent.as_bytes()).unwrap(),
        request()
    );
    let one = br#"{"model": "m", "input": "x", "encoding_format": "base64", "user": "u"}"#;
    let one = embeddings::parse_request(one).unwrap();
    assert_eq!((one.texts.len(), one.encoding), (1, Encoding::Base64));
    let tokens = |numbers: &[u32]| EmbeddingText::Tokens(numbers.to_vec());
    let one = read(r#"{"model": "m", "input": [1, 2]}"#).unwrap();
    assert_eq!((&one.texts, one.tokens_max()), (&vec![tokens(&[1, 2])], 2));
    let several = read(r#"{"model": "m", "input": [[1, 2], "ab", [4294967295]]}"#).unwrap();
    let texts = [tokens(&[1, 2]), "ab".into(), tokens(&[u32::MAX])];
    assert_eq!(
        (several.texts.as_slice(), several.tokens_max()),
        (&texts[..], 5)
    );
    let sent = embeddings::encode_request("m", &several);
    assert_eq!(
        json(&sent)["input"],
        json(r#"[[1, 2], "ab", [4294967295]]"#)
    );
    let many = |count: usize| {
        let texts = vec![r#""x""#; count].join(",");
        read(&format!(r#"{{"model": "m", "input": [{texts}]}}"#))
    };
    assert!(many(TEXTS_MAX).is_ok());
    assert_eq!(many(TEXTS_MAX + 1).unwrap_err().path, "input");
    let wrong = [
        r#"{"model": "m"}"#,
        r#"{"model": "m", "input": []}"#,
        r#"{"model": "m", "input": [[]]}"#,
        r#"{"model": "m", "input": [1, "geheim"]}"#,
        r#"{"model": "m", "input": [[1, -2]]}"#,
        r#"{"model": "m", "input": [4294967296]}"#,
        r#"{"model": "m", "input": ["geheim", ""]}"#,
        r#"{"model": "m", "input": "geheim", "dimensions": 0}"#,
        r#"{"model": "m", "input": "geheim", "truncate": true}"#,
    ];
    let faults = wrong.map(|it| read(it).unwrap_err().to_string());
    insta::assert_snapshot!(faults.join("\n"));
    assert!(!format!("{:?}", request()).contains("geheim"));
}

#[test]
fn openais_answers_are_read_back_in_both_encodings() {
    for encoding in [Encoding::Numbers, Encoding::Base64] {
        let body = embeddings::encode_embeddings("embed-x", &vectors(), encoding);
        let read = embeddings::parse_embeddings(body.as_bytes()).unwrap();
        assert_eq!(read, vectors(), "{body}");
    }
    let turned = br#"{"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]}"#;
    let turned = embeddings::parse_embeddings(turned).unwrap();
    assert_eq!(turned.vectors, [[1.0], [2.0]]);
    let none = embeddings::parse_embeddings(br#"{"data": []}"#);
    assert_eq!(none, Err(DecodeError::NoChoice));
    let error = embeddings::parse_embeddings(br#"{"error": {"code": "busy"}}"#);
    assert!(matches!(error, Err(DecodeError::Vendor(_))));
}

#[test]
fn googles_requests_are_read_and_written() {
    let target = |method| Target {
        model: "embed-x".into(),
        method,
    };
    let mut asked = request();
    asked.task = Some("RETRIEVAL_QUERY".into());
    let sent = Manner::AiStudio.encode_request("embed-x", &asked);
    let batch = target(Method::BatchEmbedContents);
    assert_eq!(
        embed::parse_batch_request(&batch, sent.as_bytes()).unwrap(),
        asked
    );
    let one =
        br#"{"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "output_dimensionality": 2}"#;
    let one = embed::parse_request(&target(Method::EmbedContent), one).unwrap();
    assert_eq!((one.texts, one.dimensions), (vec!["a\nb".into()], Some(2)));
    let mixed = r#"{"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}, "taskType": "X"}]}"#;
    let fault = embed::parse_batch_request(&batch, mixed.as_bytes()).unwrap_err();
    assert_eq!(fault.path, "requests[1]");
    let wrong = [
        r#"{"requests": []}"#,
        r#"{"requests": [{"content": {"parts": [{"text": ""}]}}]}"#,
        r#"{"requests": [{"content": {"parts": [{"text": "a"}]}, "title": "geheim"}]}"#,
    ];
    let faults = wrong.map(|it| {
        let fault = embed::parse_batch_request(&batch, it.as_bytes()).unwrap_err();
        fault.to_string()
    });
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn vertex_is_asked_as_each_of_its_models_wants_it() {
    let mut several = request();
    several.task = Some("RETRIEVAL_QUERY".into());
    let one = several.in_groups(1).remove(0);
    let sent = ["gemini-embedding-2", "e5-maas", "text-embedding-005"].map(|model| {
        let manner = Manner::at_vertex(model);
        let group = several.in_groups(manner.texts_max()).remove(0);
        [one.clone(), group].map(|asked| {
            let method = manner.method(asked.texts.len());
            let body = manner.encode_request(model, &asked);
            let target = Target {
                model: "embed-x".into(),
                method,
            };
            let read = match method {
                Method::Predict => embed::parse_predict_request(&target, body.as_bytes()),
                Method::EmbedContent => embed::parse_request(&target, body.as_bytes()),
                _ => embed::parse_batch_request(&target, body.as_bytes()),
            };
            assert_eq!(read, Ok(asked), "{body}");
            format!("{model}:{} {body}", method.name())
        })
    });
    insta::assert_snapshot!(sent.concat().join("\n"));
    let mixed = r#"{"instances": [{"content": "geheim"}, {"content": "b", "task_type": "X"}]}"#;
    let target = Target {
        model: "m".into(),
        method: Method::Predict,
    };
    let fault = embed::parse_predict_request(&target, mixed.as_bytes()).unwrap_err();
    assert_eq!(fault.path, "instances[1]");
}

#[test]
fn a_request_is_cut_into_groups_and_their_vectors_put_together() {
    let mut asked = request();
    asked.texts = (0..5).map(|it| format!("{it}").as_str().into()).collect();
    let groups = asked.in_groups(2);
    assert_eq!(
        groups.iter().map(|it| it.texts.len()).collect::<Vec<_>>(),
        [2, 2, 1]
    );
    let texts: Vec<EmbeddingText> = groups.into_iter().flat_map(|it| it.texts).collect();
    assert_eq!(texts, asked.texts);
    let both = vectors().followed_by(vectors());
    assert_eq!(
        (both.vectors.len(), both.prompt),
        (4, Some(PromptTokens(14)))
    );
    let untold = Embeddings {
        prompt: None,
        ..vectors()
    };
    assert_eq!(vectors().followed_by(untold).prompt, None);
}

#[test]
fn what_a_vendor_could_not_make_anything_of_is_named() {
    let loss = |asked: &EmbeddingRequest| {
        let of = |protocol| {
            asked
                .loss(protocol, "tier x")
                .map(|fault| fault.to_string())
        };
        Protocol::ALL.map(of)
    };
    let plain = loss(&request());
    assert_eq!(
        plain.each_ref().map(Option::is_some),
        [false, false, true, false]
    );
    let mut tokens = request();
    tokens.texts[0] = EmbeddingText::Tokens(vec![7]);
    let mut task = request();
    task.task = Some("geheim".into());
    let all = [plain, loss(&tokens), loss(&task)];
    let told: Vec<String> = all.into_iter().flatten().flatten().collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn googles_answers_are_read_back() {
    let expected = Embeddings {
        model: String::new(),
        ..vectors()
    };
    let body = embed::encode_embeddings(&vectors());
    assert_eq!(embed::parse_embeddings(body.as_bytes()).unwrap(), expected);
    let one = embed::encode_embedding(&vectors());
    let one = embed::parse_embeddings(one.as_bytes()).unwrap();
    assert_eq!(one.vectors, expected.vectors[..1]);
    assert_eq!(one.prompt, expected.prompt);
    let vertex =
        br#"{"predictions": [{"embeddings": {"values": [1], "statistics": {"token_count": 5}}}]}"#;
    let vertex = embed::parse_embeddings(vertex).unwrap();
    assert_eq!(
        (vertex.vectors.len(), vertex.prompt),
        (1, Some(PromptTokens(5)))
    );
    assert_eq!(json(&body)["embeddings"][0]["values"][0], 0.25);
    let predicted = embed::encode_predictions(&vectors());
    let predicted = embed::parse_embeddings(predicted.as_bytes());
    assert_eq!(predicted.unwrap(), expected);
}
