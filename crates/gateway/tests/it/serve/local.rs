//! What the embedded engine does beside answering: it is asked of the real binary with the starter
//! model.

use serde_json::{Value, json};

use super::{and, asks, document, ok, with};
use crate::server::{Server, signal, streamed, until};
use crate::workplace::Workplace;

/// A text of so many tokens, which the model's end of the answer does not cut short.
fn long(tokens: u32) -> Value {
    let asked = asks("tier:llama", &document(0).0);
    and(
        and(asked, "max_tokens", tokens),
        "logit_bias",
        json!({"4": -100}),
    )
}

#[test]
fn probabilities_of_tokens_are_told_whole_and_streamed() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let asked = long(12);
    let told = and(and(asked.clone(), "logprobs", true), "top_logprobs", 3);
    let plain = ok(&server.chat(&asked));
    let answer = ok(&server.chat(&told));
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(plain["choices"][0]["message"]["content"], text);
    assert_eq!(plain["choices"][0]["logprobs"], Value::Null);
    let tokens = answer["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    let bytes = tokens.iter().flat_map(|it| it["bytes"].as_array().unwrap());
    let bytes: Vec<u8> = bytes
        .map(|it| u8::try_from(it.as_u64().unwrap()).unwrap())
        .collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
    for token in tokens {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        let of = |choice: &Value| choice["logprob"].as_f64().unwrap();
        assert!(of(token) <= of(&top[0]));
        assert!(of(&top[0]) <= 0.0 && of(&top[0]) >= of(&top[1]) && of(&top[1]) >= of(&top[2]));
    }
    let chunks = server.chat(&and(told.clone(), "stream", true)).chunks();
    let parts = chunks
        .iter()
        .flat_map(|it| it["choices"][0]["logprobs"]["content"].as_array());
    assert_eq!(&parts.flatten().cloned().collect::<Vec<Value>>(), tokens);
    let stopped = and(
        told,
        "stop",
        text.chars().skip(6).take(3).collect::<String>(),
    );
    let answer = ok(&server.chat(&stopped));
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let tokens = answer["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    let without_last = tokens[..tokens.len() - 1].iter();
    let length: usize = without_last
        .map(|it| it["bytes"].as_array().unwrap().len())
        .sum();
    assert!(
        length < text.len(),
        "no token lies behind the text's end: {answer}"
    );
    server.stop();
}

#[test]
fn several_completions_share_their_prompt() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let asked = and(and(long(16), "temperature", 1.0), "seed", 7);
    let one = ok(&server.chat(&asked));
    let several = and(asked.clone(), "n", 4);
    let before = server.metric("tiergate_engine_tokens_total{tier=\"llama\"} ");
    let answer = ok(&server.chat(&several));
    let computed = server.metric("tiergate_engine_tokens_total{tier=\"llama\"} ") - before;
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    assert_eq!(choices[0]["message"], one["choices"][0]["message"]);
    let texts: Vec<&Value> = choices.iter().map(|it| &it["message"]["content"]).collect();
    assert!(texts.iter().any(|text| *text != texts[0]), "{texts:?}");
    let index = choices.iter().map(|it| it["index"].as_u64().unwrap());
    assert_eq!(index.collect::<Vec<_>>(), [0, 1, 2, 3]);
    let usage = &answer["usage"];
    assert_eq!(usage["prompt_tokens"], one["usage"]["prompt_tokens"]);
    let prompt = usage["prompt_tokens"].as_u64().unwrap();
    let written = usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(written, 64);
    assert!(
        computed < 2 * prompt + written,
        "the prompt is read once: {computed} of {prompt}"
    );
    let chunks = server.chat(&and(several.clone(), "stream", true)).chunks();
    for (index, text) in texts.iter().enumerate() {
        let of_it: Vec<Value> = chunks
            .iter()
            .filter(|it| it["choices"][0]["index"] == index)
            .cloned()
            .collect();
        assert_eq!(streamed(&of_it), text.as_str().unwrap());
        assert!(of_it.last().unwrap()["choices"][0]["finish_reason"].is_string());
    }
    for (n, code) in [(0, "invalid_value"), (17, "invalid_value")] {
        let refused = server.chat(&and(asked.clone(), "n", n));
        assert_eq!((refused.status, refused.code().as_str()), (400, code));
    }
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "The bank"}]}],
        "generationConfig": {"candidateCount": 2, "maxOutputTokens": 8, "temperature": 1.0}});
    let answer = ok(&server.post("/v1beta/models/tier:llama:generateContent", &google, ""));
    assert_eq!(answer["candidates"][1]["index"], 1);
    assert_eq!(answer["candidates"].as_array().unwrap().len(), 2);
    let labels = server.chat(&and(asks("task:classify", "x"), "n", 2));
    assert_eq!(
        (labels.status, labels.json()["error"]["param"].as_str()),
        (400, Some("n"))
    );
    server.stop();
}

#[test]
fn one_keys_prompts_are_not_found_by_another() {
    let place = Workplace::new();
    place.write("second.key", "sk-second-1618");
    let sections = "[server]\nkeys = [\"env:TIERGATE_KEY\", \"file:second.key\"]\n";
    let server = Server::start(&place, &with(&["llama"], sections, ""));
    let request = asks("tier:llama", &document(0).0).to_string();
    let cached = |key: &str| {
        let header = format!("authorization: Bearer {key}\r\n");
        let answer = ok(&server.send(&crate::server::chat(&request, &header)));
        answer["usage"]["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap_or(0)
    };
    let (first, second) = ("sk-right-3141", "sk-second-1618");
    assert_eq!(cached(first), 0);
    assert!(cached(first) > 16);
    assert_eq!(cached(second), 0);
    assert!(cached(second) > 16);
    server.stop();
}

#[test]
fn the_engine_is_seen_in_the_metrics() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let metric = |name: &str| server.metric(&format!("tiergate_engine_{name}{{tier=\"llama\"}} "));
    assert_eq!(metric("steps_total"), 0);
    let request = long(8);
    for _ in 0..2 {
        ok(&server.chat(&request));
    }
    assert!(metric("tokens_total") > metric("steps_total"));
    assert!(metric("steps_total") > 8);
    assert!(metric("cached_tokens_total") > 16);
    let (prefix, now, most) = (
        metric("prefix_bytes"),
        metric("kv_bytes"),
        metric("kv_bytes_max"),
    );
    assert!(0 < prefix && prefix <= now && now < most);
    assert_eq!(
        (metric("requests_running"), metric("requests_waiting")),
        (0, 0)
    );
    assert_eq!(metric("restarts_total"), 0);
    let engine = server.engine().unwrap();
    signal(engine, "-KILL");
    until("it is up again", || metric("restarts_total") == 1);
    ok(&server.chat(&request));
    assert!(
        metric("cached_tokens_total") < 16,
        "another process has begun to count"
    );
    server.stop();
}

#[test]
fn tokens_are_counted_by_the_models_own_tokenizer() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let text = "Grüße aus Wien 🦀, und noch viel mehr.";
    let answer = ok(&server.chat(&and(asks("tier:llama", text), "max_tokens", 1)));
    let read = answer["usage"]["prompt_tokens"].clone();
    let count = server.post("/v1/messages/count_tokens", &asks("tier:llama", text), "");
    assert_eq!(ok(&count)["input_tokens"], read);
    let google = json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
    let count = server.post("/v1beta/models/tier:llama:countTokens", &google, "");
    assert_eq!(ok(&count)["totalTokens"], read);
    server.stop();
}

#[test]
fn the_memory_for_keys_and_values_is_what_the_config_says() {
    let place = Workplace::new();
    let kv = |bytes: u64| {
        with(&["llama"], "", "").replace(
            "\"starter\"\n",
            &format!("\"starter\"\nkv_bytes = {bytes}\n"),
        )
    };
    let server = Server::start(&place, &kv(8 << 20));
    let most = server.metric("tiergate_engine_kv_bytes_max{tier=\"llama\"} ");
    ok(&server.chat(&and(asks("tier:llama", "x"), "max_tokens", 1)));
    let after = server.metric("tiergate_engine_kv_bytes_max{tier=\"llama\"} ");
    assert!(
        most.max(after) > 7 << 20 && most.max(after) <= 8 << 20,
        "{most} {after}"
    );
    server.stop();
    place.write("tiergate.toml", kv(1 << 50));
    let ran = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_ne!(ran.code, Some(0));
    assert!(
        ran.err.contains("kv_bytes") && ran.err.contains("tiers.llama"),
        "{ran:?}"
    );
}
