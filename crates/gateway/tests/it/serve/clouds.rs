//! Vendors' models in the clouds of others: Azure, Vertex AI and AWS Bedrock, each with addresses and
//! ways in of its own.

use domain::Picodollars;
use serde_json::{Value, json};

use super::outward::tier;
use super::{and, asks, document, ok, with};
use crate::recorder::Recorder;
use crate::server::{Server, attempts, streamed};
use crate::vendor::{Manner, Vendor};
use crate::workplace::Workplace;

#[test]
fn azures_addresses_and_keys_are_its_own() {
    let place = Workplace::new();
    let answer = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."},
            "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}});
    let vendor = Recorder::start(answer.to_string(), String::new());
    let options = "key_header = \"api-key\"\napi_version = \"2024-10-21\"";
    let config = tier(vendor.address(), options)
        .replace("/v1\"", "/openai/deployments/mine\"")
        .replace("\"anthropic\"", "\"openai\"");
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    assert_eq!(server.chat(&asks("tier:claude", "x")).content(), "Yes.");
    let heard = vendor.heard().pop().unwrap();
    let path = "/openai/deployments/mine/chat/completions?api-version=2024-10-21";
    assert!(
        heard.head.starts_with(&format!("POST {path} ")),
        "{}",
        heard.head
    );
    assert_eq!(heard.header("api-key"), Some("sk-right-3141"));
    assert_eq!(heard.header("authorization"), None);
    server.stop();
}

#[test]
fn vertex_is_asked_with_the_token_of_an_account() {
    let place = Workplace::new();
    let token = json!({"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"});
    let metadata = Recorder::start(token.to_string(), String::new());
    let answer = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "Yes."}]},
        "finishReason": "STOP", "index": 0}], "modelVersion": "gemini-x",
        "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 3, "totalTokenCount": 11}});
    let vendor = Recorder::start(answer.to_string(), String::new());
    let account = format!("google_account = \"metadata:{}\"", metadata.address());
    let config = tier(vendor.address(), "")
        .replace("key = \"env:TIERGATE_KEY\"", &account)
        .replace("/v1\"", "/v1/projects/p/locations/l/publishers/google\"")
        .replace("\"anthropic\"", "\"google\"");
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    for _ in 0..2 {
        assert_eq!(server.chat(&asks("tier:claude", "x")).content(), "Yes.");
    }
    server.stop();
    for heard in vendor.heard() {
        let path = "/v1/projects/p/locations/l/publishers/google/models/claude-x:generateContent";
        assert!(
            heard.head.starts_with(&format!("POST {path} ")),
            "{}",
            heard.head
        );
        assert_eq!(heard.header("authorization"), Some("Bearer ya29.x"));
        assert_eq!(heard.header("x-goog-api-key"), None);
    }
    assert_eq!(metadata.heard().len(), 1);
}

#[test]
fn an_account_is_checked_with_the_config_and_its_key_is_not_shown() {
    let place = Workplace::new();
    let vendor = Recorder::start(String::new(), String::new());
    place.write(
        "account.json",
        "{\"type\": \"authorized_user\", \"x\": \"geheim\"}",
    );
    for (key, words) in [
        (
            "google_account = \"file:account.json\"",
            "credentials of another kind",
        ),
        ("google_account = \"file:nowhere.json\"", "nowhere.json"),
        ("google_account = \"geheim\"", "is no reference"),
        (
            "google_account = \"metadata\"\nkey = \"env:TIERGATE_KEY\"",
            "stands beside `key`",
        ),
    ] {
        let config = tier(vendor.address(), "").replace("key = \"env:TIERGATE_KEY\"", key);
        place.write("tiergate.toml", with(&["llama"], &config, ""));
        let ran = place.run(&["check-config"]);
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(
            ran.err.contains(words) && !ran.err.contains("geheim"),
            "{ran:?}"
        );
    }
}

/// A server of metadata that gives out one token.
fn metadata() -> Recorder {
    let token = json!({"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"});
    Recorder::start(token.to_string(), String::new())
}

/// A config with a pool at the stand-in's address, under this path, of this protocol.
fn pool(vendor: &Vendor, path: &str, (protocol, more): (&str, &str)) -> String {
    let address = vendor.address();
    format!(
        "{}cache_write = \"0.25\"\n[tiers.cloud]\nkind = \"pool\"\nmodel = \"standin-1\"\n\
         url = \"http://{address}{path}\"\nprotocol = \"{protocol}\"\nprice = \"standin\"\n{more}\n",
        super::openly(vendor)
    )
}

/// What the headers of these answers say that they cost together.
fn told(answers: &[&crate::server::Response]) -> Picodollars {
    let costs = answers.iter().map(|answer| {
        let usd = answer.header("x-tiergate-cost-usd").unwrap();
        Picodollars::from_usd(usd).unwrap()
    });
    costs.fold(Picodollars::ZERO, |sum, cost| sum.plus(cost).unwrap())
}

#[test]
fn each_clouds_own_addresses_lead_to_answers_that_are_paid_to_the_picodollar() {
    let vertex = "/v1/projects/p/locations/l/publishers";
    let (google, anthropic) = (format!("{vertex}/google"), format!("{vertex}/anthropic"));
    for (path, protocol) in [
        (&*google, "google"),
        (&*anthropic, "anthropic"),
        ("/openai/v1", "openai"),
        ("/openai/v1", "openai-responses"),
        ("/anthropic/v1", "anthropic"),
    ] {
        let place = Workplace::new();
        let vendor = Vendor::start(&place, &Manner::default());
        let config = pool(&vendor, path, (protocol, ""));
        let server = Server::start(&place, &with(&["llama"], &config, ""));
        let (text, matter) = document(3);
        let whole = server.chat(&asks("tier:cloud", &text));
        let answer = whole.content();
        assert!(answer.contains(&matter), "{path} {protocol}: {answer}");
        let written = server.chat(&and(asks("tier:cloud", &text), "stream", true));
        assert_eq!(streamed(&written.chunks()), answer, "{path} {protocol}");
        server.stop();
        let spent = place.ledger();
        let (billed, answers) = vendor.close();
        assert_eq!(answers, 2, "{path} {protocol}: {spent}");
        let line = &spent["spend"][0];
        let settled = Picodollars::from_usd(line["settled_usd"].as_str().unwrap()).unwrap();
        assert_eq!(
            (settled, &line["kept_usd"]),
            (billed, &json!("0")),
            "{path}"
        );
    }
}

#[test]
fn vertex_is_told_claudes_model_in_the_address_and_the_version_in_the_body() {
    let place = Workplace::new();
    let account = metadata();
    let vendor = Recorder::start(
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
            "content": [{"type": "text", "text": "Yes."}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1}})
        .to_string(),
        String::new(),
    );
    let account = format!("google_account = \"metadata:{}\"", account.address());
    let path = "/v1/projects/p/locations/l/publishers/anthropic";
    let config = tier(vendor.address(), "")
        .replace("key = \"env:TIERGATE_KEY\"", &account)
        .replace("/v1\"", &format!("{path}\""));
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let request = json!({"model": "tier:claude", "max_tokens": 9, "a_field_of_next_year": 1,
        "messages": [{"role": "user", "content": "x"}]});
    let beta = "anthropic-beta: context-1m-2025-08-07\r\n";
    assert_eq!(server.post("/v1/messages", &request, beta).status, 200);
    server.post("/v1/messages", &and(request, "stream", true), "");
    server.stop();
    let heard = vendor.heard();
    for (heard, method) in heard.iter().zip(["rawPredict", "streamRawPredict"]) {
        let line = format!("POST {path}/models/claude-x:{method} ");
        assert!(heard.head.starts_with(&line), "{}", heard.head);
        assert_eq!(heard.body["anthropic_version"], "vertex-2023-10-16");
        assert_eq!(heard.body["model"], Value::Null);
        assert_eq!(heard.body["a_field_of_next_year"], 1);
        assert_eq!(heard.header("authorization"), Some("Bearer ya29.x"));
        assert_eq!(heard.header("anthropic-version"), None);
    }
    assert_eq!(heard.len(), 2);
    assert_eq!(
        heard[0].header("anthropic-beta"),
        Some("context-1m-2025-08-07")
    );
    assert_eq!(
        (&heard[0].body["stream"], &heard[1].body["stream"]),
        (&Value::Null, &json!(true))
    );
}

#[test]
fn vertex_makes_vectors_of_as_many_texts_at_once_as_its_models_take() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let path = "/v1/projects/p/locations/l/publishers/google";
    let config = pool(&vendor, path, ("google", ""));
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let texts: Vec<String> = (0..600).map(|it| format!("text {}", it % 599)).collect();
    let request = json!({"model": "tier:cloud", "input": texts, "dimensions": 4});
    let response = server.post("/v1/embeddings", &request, "");
    let answer = ok(&response);
    let vectors = answer["data"].as_array().unwrap();
    assert_eq!((vectors.len(), &vectors[599]["index"]), (600, &json!(599)));
    assert_eq!(vectors[0]["embedding"], vectors[599]["embedding"]);
    assert_ne!(vectors[0]["embedding"], vectors[598]["embedding"]);
    // Three requests, each an attempt of its own.
    assert_eq!(attempts(&place, &response.id()).len(), 3);
    let cost = told(&[&response]);
    server.stop();
    assert_eq!(vendor.close(), (cost, 3));
}

#[test]
fn vertex_is_asked_by_the_method_that_its_model_has() {
    let one = json!({"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 2}});
    let several = json!({"embeddings": [{"values": [0.5]}, {"values": [0.25]}]});
    let answers = [("gemini-embedding-2", &several, 1), ("e5-maas", &one, 2)];
    for (model, answer, requests) in answers {
        let place = Workplace::new();
        let vendor = Recorder::start(answer.to_string(), String::new());
        let config = tier(vendor.address(), "")
            .replace("/v1\"", "/v1/publishers/google\"")
            .replace("claude-x", model)
            .replace("\"anthropic\"", "\"google\"");
        let server = Server::start(&place, &with(&["llama"], &config, ""));
        let request = json!({"model": "tier:claude", "input": ["a", "b"], "dimensions": 1});
        let answer = ok(&server.post("/v1/embeddings", &request, ""));
        assert_eq!(answer["data"].as_array().unwrap().len(), 2);
        server.stop();
        let heard = vendor.heard();
        assert_eq!(heard.len(), requests, "{model}");
        let method = if requests == 1 {
            "batchEmbedContents"
        } else {
            "embedContent"
        };
        let line = format!("POST /v1/publishers/google/models/{model}:{method} ");
        for heard in heard {
            assert!(heard.head.starts_with(&line), "{}", heard.head);
            assert_eq!(heard.header("x-goog-api-key"), Some("sk-right-3141"));
        }
    }
}

#[test]
fn where_one_group_of_texts_has_no_vectors_none_has_and_what_came_is_paid() {
    let place = Workplace::new();
    let faults = Manner {
        faults: &["status:400 every 2"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &faults);
    let path = "/v1/projects/p/locations/l/publishers/google";
    let config = pool(&vendor, path, ("google", "attempts_max = 1"));
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let texts: Vec<String> = (0..2_000).map(|it| format!("text {it}")).collect();
    let request = json!({"model": "tier:cloud", "input": texts});
    let response = server.post("/v1/embeddings", &request, "");
    assert_eq!(response.status, 400, "{}", response.text());
    let (cost, asked) = (told(&[&response]), vendor.requests());
    server.stop();
    assert_eq!(vendor.close().0, cost);
    // Of four that begin at once two fail; behind those before the first, two more have begun.
    assert!(asked <= 6, "{asked} of 8 groups were asked about");
}

const CREDENTIALS: &str = "[default]\naws_access_key_id = AKIDEXAMPLE\n\
                           aws_secret_access_key = geheim/+=\naws_session_token = geheim\n";

#[test]
fn bedrock_is_let_in_by_a_signature_that_names_no_secret() {
    let place = Workplace::new();
    place.write("credentials", CREDENTIALS);
    let vendor = Recorder::start(
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
            "content": [{"type": "text", "text": "Yes."}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1}})
        .to_string(),
        String::new(),
    );
    let account = "aws_account = \"file:credentials\"\naws_scope = \"us-east-1/bedrock-mantle\"";
    let config = tier(vendor.address(), "")
        .replace("key = \"env:TIERGATE_KEY\"", account)
        .replace("/v1\"", "/anthropic/v1\"");
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    assert_eq!(server.chat(&asks("tier:claude", "x")).content(), "Yes.");
    server.stop();
    let heard = vendor.heard().pop().unwrap();
    assert!(heard.head.starts_with("POST /anthropic/v1/messages "));
    let day = &heard.header("x-amz-date").unwrap()[..8];
    let signed = heard.header("authorization").unwrap();
    let begin = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{day}/us-east-1/bedrock-mantle/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
    );
    assert!(signed.starts_with(&begin), "{signed}");
    assert!(!signed.contains("geheim"), "{signed}");
    assert_eq!(heard.header("x-amz-security-token"), Some("geheim"));
    assert_eq!(heard.header("x-api-key"), None);
    assert_eq!(heard.body["model"], "claude-x");
}

#[test]
fn an_account_of_awss_is_checked_with_the_config_and_its_key_is_not_shown() {
    let place = Workplace::new();
    place.write("credentials", CREDENTIALS);
    place.write("broken", CREDENTIALS.replace("aws_access_key_id", "x"));
    let mantle = "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1";
    let check = |url: &str, way_in: &str| {
        let address = "127.0.0.1:9".parse().unwrap();
        let config = tier(address, "")
            .replace("http://127.0.0.1:9/v1", url)
            .replace("key = \"env:TIERGATE_KEY\"", way_in);
        place.write("tiergate.toml", with(&["llama"], &config, ""));
        let ran = place.run(&["check-config"]);
        assert!(!ran.err.contains("geheim"), "{ran:?}");
        ran
    };
    let right = check(mantle, "aws_account = \"file:credentials\"");
    assert_eq!(right.code, Some(0), "{right:?}");
    let far = "https://gateway.example.com/v1";
    for (url, way_in, words) in [
        (
            far,
            "aws_account = \"file:credentials\"",
            "aws_scope: missing",
        ),
        (
            far,
            "aws_account = \"file:credentials\"\naws_scope = \"bedrock\"",
            "is no REGION/SERVICE",
        ),
        (
            mantle,
            "aws_account = \"file:credentials\"\nkey = \"env:TIERGATE_KEY\"",
            "stands beside another way in",
        ),
        (mantle, "aws_account = \"file:broken\"", "aws_access_key_id"),
        (
            mantle,
            "aws_account = \"environment\"",
            "environment holds no",
        ),
        (
            mantle,
            "key = \"env:TIERGATE_KEY\"\naws_scope = \"a/b\"",
            "nothing is signed",
        ),
    ] {
        let ran = check(url, way_in);
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.err.contains(words), "{words}: {ran:?}");
    }
}
