//! Google's protocol: answers, streams, errors, keys and counts.

use serde_json::{Value, json};

use super::{asks, document, with};
use crate::server::{Response, Server, get};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{MATTERS, Workplace};

fn says(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}],
           "generationConfig": {"maxOutputTokens": 12}})
}

fn ask(server: &Server<'_>, end: &str, request: &Value) -> Response {
    server.post(&format!("/v1beta/models/{end}"), request, "")
}

fn text(body: &Value) -> &str {
    let part = &body["candidates"][0]["content"]["parts"][0]["text"];
    part.as_str().unwrap_or_default()
}

/// The name of an error in Google's form.
fn status(response: &Response) -> String {
    let error = &response.json()["error"];
    assert_eq!(error["code"], response.status, "{error}");
    assert!(error["message"].is_string(), "{error}");
    error["status"].as_str().unwrap().to_owned()
}

#[test]
fn content_is_generated_whole_and_as_either_stream() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    for (model, said) in [
        ("tier:llama", "The card was stolen in Vienna.".to_owned()),
        ("task:classify", document(0).0),
    ] {
        let request = says(&said);
        let response = ask(&server, &format!("{model}:generateContent"), &request);
        assert_eq!(response.status, 200, "{}", response.text());
        let whole = response.json();
        assert_eq!(whole["modelVersion"], "tier:llama");
        assert!(whole["usageMetadata"]["promptTokenCount"].as_u64().unwrap() > 0);
        assert_eq!(response.header("x-tiergate-tier"), Some("llama"));
        let stream = format!("{model}:streamGenerateContent");
        let events = ask(&server, &format!("{stream}?alt=sse"), &request).events();
        let chunks: Vec<Value> = events
            .iter()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        let array = ask(&server, &stream, &request).json();
        for chunks in [chunks.as_slice(), array.as_array().unwrap()] {
            assert_eq!(chunks.iter().map(text).collect::<String>(), text(&whole));
            let last = chunks.last().unwrap();
            let reason = |body: &Value| body["candidates"][0]["finishReason"].clone();
            assert_eq!(reason(last), reason(&whole));
            let total = |body: &Value| body["usageMetadata"]["totalTokenCount"].clone();
            assert_eq!(total(last), total(&whole));
        }
    }
    let label = ask(
        &server,
        "task:classify:generateContent",
        &says(&document(0).0),
    )
    .json();
    assert!(MATTERS.contains(&text(&label)), "{label}");
    server.stop();
}

#[test]
fn googles_errors_keys_and_lists_have_their_form() {
    let place = Workplace::new();
    let sections = "[server]\nkeys = [\"env:TIERGATE_KEY\"]\n";
    let server = Server::start(&place, &with(&["llama"], sections, ""));
    let end = "/v1beta/models/task:classify:generateContent";
    let request = says(&document(0).0);
    let header = "x-goog-api-key: sk-right-3141\r\n";
    assert_eq!(server.post(end, &request, header).status, 200);
    let in_query = format!("{end}?key=sk-right-3141");
    assert_eq!(server.post(&in_query, &request, "").status, 200);
    let wrong = server.post(&format!("{end}?key=sk-right"), &request, "");
    assert_eq!(
        (wrong.status, status(&wrong).as_str()),
        (401, "UNAUTHENTICATED")
    );
    // Only Google's clients put keys into addresses.
    assert_eq!(
        server.send(&get("/v1/models?key=sk-right-3141", "")).status,
        401
    );
    let cases = [
        (format!("{end}Now"), request.clone(), 404, "NOT_FOUND"),
        (
            "/v1beta/models/gpt-9:generateContent".to_owned(),
            request,
            404,
            "NOT_FOUND",
        ),
        (end.to_owned(), json!({}), 400, "INVALID_ARGUMENT"),
    ];
    for (path, request, code, name) in cases {
        let response = server.post(&path, &request, header);
        assert_eq!(
            (response.status, status(&response).as_str()),
            (code, name),
            "{path}"
        );
    }
    let list = server.send(&get("/v1beta/models", header)).json();
    assert_eq!(list["models"][0]["name"], "models/task:classify");
    let one = server
        .send(&get("/v1beta/models/tier:llama", header))
        .json();
    assert_eq!(one, list["models"][1]);
    // Google's newer clients say another version, and the key tells whose they are.
    let newer = end.replace("v1beta", "v1");
    assert_eq!(
        server.post(&newer, &says(&document(0).0), header).status,
        200
    );
    assert_eq!(server.send(&get("/v1/models", header)).json(), list);
    let count = server.post(
        &end.replace("generateContent", "countTokens"),
        &says("x y"),
        header,
    );
    assert!(
        count.json()["totalTokens"].as_u64().unwrap() > 0,
        "{count:?}"
    );
    server.stop();
}

#[test]
fn a_vendor_of_another_protocol_answers_googles_clients() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let task = "sensitivity = \"internal\"";
    let server = Server::start(&place, &with(&["frontier"], &vendor.config(), task));
    let (said, matter) = document(3);
    let response = ask(&server, "task:classify:generateContent", &says(&said));
    assert_eq!(text(&response.json()), matter, "{}", response.text());
    assert_eq!(server.chat(&asks("task:classify", &said)).content(), matter);
    server.stop();
    assert_eq!(vendor.close().1, 2);
}

#[test]
fn the_list_of_models_names_the_methods_that_each_has() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let claude = vendor
        .config()
        .replace("[tiers.frontier]", "protocol = \"anthropic\"\n")
        .replace("[prices.standin]", "[prices.claude]\ncache_write = \"1\"")
        .replace("\"standin\"", "\"claude\"");
    let config = format!(
        "{}[tiers.claude]\n{claude}[tasks.index]\nkind = \"embed\"\ntiers = [\"llama\"]\n",
        super::openly(&vendor)
    );
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let list = server.send(&get("/v1beta/models", "")).json();
    let models = list["models"].as_array().unwrap().iter();
    let methods: std::collections::BTreeMap<&str, Value> = models
        .map(|it| {
            let name = it["name"].as_str().unwrap();
            (name, it["supportedGenerationMethods"].clone())
        })
        .collect();
    let texts = json!(["generateContent", "countTokens"]);
    let vectors = json!(["embedContent", "batchEmbedContents"]);
    let both = json!([texts[0], texts[1], vectors[0], vectors[1]]);
    let expected = [
        ("models/task:classify", &texts),
        ("models/task:index", &vectors),
        ("models/tier:claude", &texts),
        ("models/tier:frontier", &both),
        ("models/tier:llama", &both),
    ];
    assert_eq!(methods.len(), expected.len(), "{list}");
    for (name, expected) in expected {
        assert_eq!(&methods[name], expected, "{name}");
    }
    // What is named is there.
    let content = json!({"content": {"parts": [{"text": "x"}]}});
    for (name, methods) in &methods {
        for method in methods.as_array().unwrap() {
            let method = method.as_str().unwrap();
            let request = match method {
                "embedContent" => content.clone(),
                "batchEmbedContents" => json!({"requests": [content]}),
                _ => json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]}),
            };
            let response = server.post(&format!("/v1beta/{name}:{method}"), &request, "");
            assert_eq!(response.status, 200, "{name} {method} {}", response.text());
        }
    }
    server.stop();
}
