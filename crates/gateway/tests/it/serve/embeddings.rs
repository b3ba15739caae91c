//! Vectors of texts: by the engine, by a vendor, in OpenAI's protocol and in Google's.

use domain::Picodollars;
use ledger::{AttemptLine, AttemptState};
use serde_json::{Value, json};

use super::{and, asks, ok, with};
use crate::server::{Response, Server, attempts};
use crate::vendor::{Manner, Vendor};
use crate::workplace::Workplace;

const TEXT: &str = "Grüße aus Wien 🦀, und noch viel mehr.";

fn embed(server: &Server, model: &str, input: impl Into<Value>) -> Response {
    let request = json!({"model": model, "input": input.into()});
    server.post("/v1/embeddings", &request, "")
}

fn vectors(answer: &Value) -> Vec<Vec<f64>> {
    let entries = answer["data"].as_array().unwrap().iter().enumerate();
    let vector = |(index, entry): (usize, &Value)| {
        assert_eq!(
            (&entry["object"], &entry["index"]),
            (&json!("embedding"), &json!(index))
        );
        numbers(&entry["embedding"])
    };
    entries.map(vector).collect()
}

fn numbers(list: &Value) -> Vec<f64> {
    let numbers = list.as_array().unwrap().iter();
    numbers.map(|it| it.as_f64().unwrap()).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What a refusal says: its status, code and field.
fn refusal(response: &Response) -> (u16, String, Value) {
    let param = response.json()["error"]["param"].clone();
    (response.status, response.code(), param)
}

/// The tokens read and the cost of the one attempt that is booked for a request.
fn booked(place: &Workplace, response: &Response) -> (u64, Picodollars) {
    match &attempts(place, &response.id())[..] {
        [
            AttemptLine {
                state: AttemptState::Settled { usage, cost },
                ..
            },
        ] => {
            assert_eq!(usage.completion.0, 0);
            (usage.prompt.0, *cost)
        }
        others => panic!("not one settled attempt: {others:?}"),
    }
}

/// The numbers of the text's tokens to the starter model, as the program tells them.
fn tokens(place: &Workplace, text: &str) -> Vec<u64> {
    let ran = place.run(&["model", "tokenize", "--model", "starter", "--json", text]);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let ids = told["tokens"].as_array().unwrap().iter();
    ids.map(|it| it["id"].as_u64().unwrap()).collect()
}

#[test]
fn the_engine_makes_vectors_of_texts() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let response = embed(&server, "tier:llama", TEXT);
    let answer = ok(&response);
    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&json!("list"), &json!("tier:llama"))
    );
    assert_eq!(response.header("x-tiergate-tier"), Some("llama"));
    let read = answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(booked(&place, &response), (read, Picodollars::ZERO));
    assert_eq!(answer["usage"]["total_tokens"], read);
    let one = &vectors(&answer)[0];
    assert_eq!(one.len(), 192);
    assert!((product(one, one) - 1.0).abs() < 1e-5);
    // More texts than the engine takes at once, and than may wait for it.
    let texts: Vec<String> = (0..100).map(|it| format!("text {}", it % 7)).collect();
    let answer = ok(&embed(&server, "tier:llama", texts));
    let all = vectors(&answer);
    assert_eq!(all.len(), 100);
    assert_eq!((&all[0], &all[1]), (&all[98], &all[99]));
    assert!(product(&all[0], &all[1]) < 0.9999);
    let metric = |name: &str| server.metric(name);
    assert_eq!(metric("tiergate_requests_in_flight "), 0);
    assert_eq!(
        metric("tiergate_requests_total{task=\"tier.llama\",outcome=\"answered\"} "),
        2
    );
    server.stop();
}

#[test]
fn vectors_come_in_the_form_that_was_asked_for() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let whole = ok(&embed(&server, "tier:llama", TEXT));
    let packed = json!({"model": "tier:llama", "input": [TEXT], "encoding_format": "base64",
        "dimensions": 192, "user": "u"});
    let packed = ok(&server.post("/v1/embeddings", &packed, ""));
    let text = packed["data"][0]["embedding"].as_str().unwrap();
    assert_eq!(text.len(), (192 * 4_usize).div_ceil(3) * 4);
    assert_eq!(packed["usage"], whole["usage"]);
    let read = wire::openai::embeddings::parse_embeddings(packed.to_string().as_bytes());
    let vector: Vec<f64> = read.unwrap().vectors[0]
        .iter()
        .map(|it| f64::from(*it))
        .collect();
    let plain = &vectors(&whole)[0];
    assert!(vector.iter().zip(plain).all(|(a, b)| (a - b).abs() < 1e-7));
    // A text's tokens are as good as the text.
    let ids = tokens(&place, TEXT);
    let read = whole["usage"]["prompt_tokens"].as_u64().unwrap();
    let begin = usize::try_from(read).unwrap() - ids.len();
    let all = [vec![0; begin], ids].concat();
    let both = ok(&embed(&server, "tier:llama", json!([all, TEXT])));
    assert_eq!(vectors(&both)[0], vectors(&both)[1]);
    let alone = ok(&embed(&server, "tier:llama", all));
    assert_eq!(vectors(&alone)[0], vectors(&both)[0]);
    // Google's clients get the same ones.
    let content = json!({"parts": [{"text": TEXT}]});
    let one = json!({"model": "models/tier:llama", "content": content});
    let one = ok(&server.post("/v1beta/models/tier:llama:embedContent", &one, ""));
    assert_eq!(&numbers(&one["embedding"]["values"]), plain);
    assert_eq!(one["usageMetadata"]["promptTokenCount"], read);
    let asked = json!({"content": content, "outputDimensionality": 192});
    let batch = json!({"requests": [asked, asked]});
    let batch = ok(&server.post("/v1beta/models/tier:llama:batchEmbedContents", &batch, ""));
    assert_eq!(batch["embeddings"].as_array().unwrap().len(), 2);
    assert_eq!(&numbers(&batch["embeddings"][1]["values"]), plain);
    assert_eq!(batch["usageMetadata"]["promptTokenCount"], 2 * read);
    server.stop();
}

/// A pool at the vendor's address that speaks this protocol.
fn pool(name: &str, vendor: &Vendor, version: &str, protocol: &str) -> String {
    let address = vendor.address();
    format!(
        "[tiers.{name}]\nkind = \"pool\"\nurl = \"http://{address}/{version}\"\n\
         protocol = \"{protocol}\"\nmodel = \"standin-1\"\nprice = \"standin\"\n"
    )
}

#[test]
fn a_vendor_is_asked_and_paid_for_vectors() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let mut config = super::openly(&vendor);
    for (name, version, protocol) in [
        ("chat", "v1", "openai"),
        ("responses", "v1", "openai-responses"),
        ("google", "v1beta", "google"),
    ] {
        config += &pool(name, &vendor, version, protocol);
    }
    config += "[tasks.index]\nkind = \"embed\"\ntiers = [\"frontier\"]\n\
               sensitivity = \"internal\"\nbudget = { usd = \"0.00005\", per = \"day\" }\n";
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let request = |model: &str| json!({"model": model, "input": [TEXT, "b"], "dimensions": 16});
    let mut all = Vec::new();
    for model in ["tier:frontier", "tier:chat", "tier:responses", "task:index"] {
        let response = server.post("/v1/embeddings", &request(model), "");
        let answer = ok(&response);
        let (read, cost) = booked(&place, &response);
        assert_eq!(answer["usage"]["prompt_tokens"], read);
        assert_eq!(
            response.header("x-tiergate-cost-usd"),
            Some(&*cost.to_usd())
        );
        all.push(vectors(&answer));
    }
    let google = ok(&server.post("/v1/embeddings", &request("tier:google"), ""));
    all.push(vectors(&google));
    assert!(
        all.iter().all(|it| it == &all[0] && it[0].len() == 16),
        "{all:?}"
    );
    let tokens = ok(&embed(&server, "tier:chat", json!([1, 2, 3])));
    assert_eq!(tokens["usage"]["prompt_tokens"], 3);
    let google = json!({"content": {"parts": [{"text": TEXT}]}, "taskType": "RETRIEVAL_QUERY"});
    let told = server.post("/v1beta/models/tier:google:embedContent", &google, "");
    assert_eq!(numbers(&ok(&told)["embedding"]["values"]).len(), 8);
    // What the budget may still be charged is less than the most that so long a text can cost.
    let long = json!({"model": "task:index", "input": "x".repeat(400)});
    let refused = server.post("/v1/embeddings", &long, "");
    let spent = (429, "insufficient_quota".to_owned(), json!(null));
    assert_eq!(refusal(&refused), spent);
    let sent = vendor.requests();
    assert_eq!(sent, 7, "a spent budget refuses before anything is sent");
    server.stop();
    let ledger = place.ledger();
    let spent = ledger["spend"].as_array().unwrap().iter().map(|line| {
        assert_eq!(
            (&line["held_usd"], &line["kept_usd"]),
            (&json!("0"), &json!("0"))
        );
        Picodollars::from_usd(line["settled_usd"].as_str().unwrap()).unwrap()
    });
    let spent = spent.fold(Picodollars::ZERO, |sum, it| sum.plus(it).unwrap());
    assert_eq!(vendor.close(), (spent, 7));
}

#[test]
fn texts_go_where_policy_lets_them() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let server = Server::start(&place, &with(&["llama"], &vendor.config(), ""));
    let refused = embed(&server, "tier:frontier", TEXT);
    let barred = (403, "sensitivity_not_allowed".to_owned(), json!("model"));
    assert_eq!(refusal(&refused), barred);
    server.stop();
    assert_eq!(vendor.requests(), 0);
}

#[test]
fn what_nobody_can_make_a_vector_of_is_refused_by_name() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let mut config = super::openly(&vendor);
    config += &pool("claude", &vendor, "v1", "anthropic").replace("price = \"standin\"\n", "");
    config += &pool("google", &vendor, "v1beta", "google");
    config += "[tasks.index]\nkind = \"embed\"\ntiers = [\"llama\"]\n";
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let with_model = |model: &str| json!({"model": model, "input": TEXT});
    let unsupported = "unsupported_parameter";
    for (request, code, param) in [
        (with_model("tier:claude"), unsupported, "model"),
        (with_model("task:classify"), unsupported, "model"),
        (with_model("tier:nobody"), "model_not_found", "model"),
        (
            and(with_model("tier:llama"), "dimensions", 64),
            unsupported,
            "dimensions",
        ),
        (
            and(with_model("tier:llama"), "truncate", true),
            unsupported,
            "truncate",
        ),
        (
            and(with_model("tier:google"), "input", vec![1, 2]),
            unsupported,
            "input",
        ),
        (
            and(with_model("tier:llama"), "input", vec![""]),
            "invalid_value",
            "input[0]",
        ),
    ] {
        let refused = server.post("/v1/embeddings", &request, "");
        assert_eq!(refused.code(), code, "{request}");
        assert_eq!(refused.json()["error"]["param"], param, "{request}");
    }
    let beyond = embed(&server, "tier:llama", vec![1, 3072]);
    assert_eq!(
        (beyond.status, beyond.code()),
        (400, "request_not_answerable".into())
    );
    assert!(beyond.text().contains("token 3072"), "{}", beyond.text());
    let long = embed(&server, "tier:llama", "x ".repeat(2_000));
    assert_eq!(
        (long.status, long.code()),
        (400, "request_not_answerable".into())
    );
    let google = json!({"content": {"parts": [{"text": "x"}]}, "taskType": "CLUSTERING"});
    let refused = server.post("/v1beta/models/tier:llama:embedContent", &google, "");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("taskType"), "{}", refused.text());
    let chat = server.chat(&asks("task:index", "x"));
    assert_eq!(
        refusal(&chat),
        (400, unsupported.to_owned(), json!("model"))
    );
    assert_eq!(
        ok(&embed(&server, "task:index", "x"))["model"],
        "tier:llama"
    );
    server.stop();
    assert_eq!(vendor.requests(), 0);
    let ran = place.run(&["run", "index", "x.jsonl", "--output", "out.jsonl"]);
    assert!(ran.err.contains("/v1/embeddings"), "{ran:?}");
}
