//! Responses that are kept: gone on from, shown, listed, deleted, and never another key's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::{and, document, with};
use crate::recorder::Recorder;
use crate::server::{Response, Server, get};
use crate::workplace::Workplace;

const KEEPS: &str = "[server]\nkeep_days = 30\nkeys = [\"env:TIERGATE_KEY\", \"file:other.key\"]\n";
const MINE: &str = "authorization: Bearer sk-right-3141\r\n";
const YOURS: &str = "authorization: Bearer sk-other\r\n";

/// A server that keeps, with a pool that speaks OpenAI's chat and records what it is asked.
fn start<'p>(place: &'p Workplace, vendor: &Recorder, more: &str) -> Server<'p> {
    place.write("other.key", "sk-other");
    let pool = format!(
        "[tiers.pool]\nkind = \"pool\"\nurl = \"http://{}/v1\"\nmodel = \"x\"\n",
        vendor.address()
    );
    let server = Server::launch(
        place,
        &with(&["llama"], &format!("{KEEPS}{more}{pool}"), ""),
    );
    crate::server::until("it is ready", || server.get("/readyz").status == 200);
    server
}

fn vendor() -> Recorder {
    let answer = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Vienna. 🦀",
            "reasoning_content": "Hm."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}});
    let chunk = |delta: Value, reason: Value| {
        json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    };
    let chunks = [
        chunk(json!({"role": "assistant", "content": "Vien"}), Value::Null),
        chunk(json!({"content": "na. 🦀"}), json!("stop")),
    ];
    let stream = chunks.map(|chunk| format!("data: {chunk}\n\n")).concat();
    Recorder::start(answer.to_string(), format!("{stream}data: [DONE]\n\n"))
}

fn asks(input: &str) -> Value {
    json!({"model": "tier:pool", "input": input})
}

fn create(server: &Server<'_>, request: &Value) -> Response {
    server.post("/v1/responses", request, MINE)
}

fn created(server: &Server<'_>, request: &Value) -> Value {
    let response = create(server, request);
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn fetch(server: &Server<'_>, path: &str, key: &str) -> Response {
    server.send(&get(&format!("/v1/responses/{path}"), key))
}

fn delete(server: &Server<'_>, id: &str, key: &str) -> Response {
    let request = get(&format!("/v1/responses/{id}"), key).replacen("GET", "DELETE", 1);
    server.send(&request)
}

fn id(response: &Value) -> &str {
    response["id"].as_str().unwrap()
}

#[test]
fn a_conversation_goes_on_from_what_is_kept() {
    let (place, vendor) = (Workplace::new(), vendor());
    let server = start(&place, &vendor, "");
    let first = created(
        &server,
        &and(asks("Which capital?"), "instructions", "Be brief."),
    );
    assert_eq!(first["store"], true);
    let mut second = and(asks("Which river?"), "previous_response_id", id(&first));
    second["stream"] = true.into();
    let streamed = create(&server, &second).named_events();
    let (name, last) = streamed.last().unwrap();
    assert_eq!(name, "response.completed");
    let second = last["response"].clone();
    assert_eq!(second["previous_response_id"], first["id"]);
    let third = created(
        &server,
        &and(asks("And?"), "previous_response_id", id(&second)),
    );
    let heard = vendor.heard().pop().unwrap().body;
    let said: Vec<(&str, &str)> = heard["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["role"].as_str().unwrap(),
                it["content"].as_str().unwrap(),
            )
        })
        .collect();
    // Instructions hold for their own request alone; thoughts are not told again.
    let expected = [
        ("user", "Which capital?"),
        ("assistant", "Vienna. 🦀"),
        ("user", "Which river?"),
        ("assistant", "Vienna. 🦀"),
        ("user", "And?"),
    ];
    assert_eq!(said, expected);
    for field in ["store", "previous_response_id"] {
        assert_eq!(heard[field], Value::Null, "{field}");
    }
    let kept = fetch(&server, id(&third), MINE);
    assert_eq!((kept.status, kept.json()), (200, third.clone()));
    let items = format!("{}/input_items?order=asc", id(&third));
    let items = fetch(&server, &items, MINE).json();
    let texts: Vec<&Value> = items["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["type"] == "message")
        .map(|it| &it["content"][0]["text"])
        .collect();
    assert_eq!(texts, expected.map(|(_, text)| text));
    let newest = format!("{}/input_items?limit=1", id(&third));
    let newest = fetch(&server, &newest, MINE).json();
    assert_eq!(newest["data"][0]["content"][0]["text"], "And?");
    assert_eq!(newest["has_more"], true);
    let after = format!(
        "{}/input_items?limit=1&after={}",
        id(&third),
        newest["last_id"].as_str().unwrap()
    );
    let next = fetch(&server, &after, MINE).json();
    assert_eq!(next["data"][0]["content"][0]["text"], "Vienna. 🦀");
    server.stop();
}

#[test]
fn what_is_kept_outlives_the_server_and_is_gone_when_deleted() {
    let (place, vendor) = (Workplace::new(), vendor());
    let server = start(&place, &vendor, "");
    let data = std::fs::metadata(place.path("tiergate-data")).unwrap();
    assert_eq!(data.permissions().mode() & 0o777, 0o700);
    let secret = "Whose account is 4711-0815?";
    let first = created(&server, &asks(secret));
    let second = created(&server, &and(asks("x"), "previous_response_id", id(&first)));
    server.stop();
    let server = start(&place, &vendor, "");
    assert_eq!(fetch(&server, id(&first), MINE).json(), first);
    let deleted = delete(&server, id(&first), MINE);
    assert_eq!(deleted.status, 200);
    assert_eq!(deleted.json()["deleted"], true);
    assert_eq!(fetch(&server, id(&first), MINE).code(), "not_found");
    assert_eq!(delete(&server, id(&first), MINE).status, 404);
    let broken = create(
        &server,
        &and(asks("x"), "previous_response_id", id(&second)),
    );
    assert_eq!(
        (broken.status, broken.code().as_str()),
        (400, "previous_response_not_found")
    );
    server.stop();
    assert!(!lies_in(&place.path("tiergate-data"), secret));
}

/// Whether a text stands in any file of a folder.
pub(super) fn lies_in(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return lies_in(&path, text);
        }
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|it| it == text.as_bytes())
    })
}

#[test]
fn one_key_never_reads_what_anothers_has_had_kept() {
    let (place, vendor) = (Workplace::new(), vendor());
    let server = start(&place, &vendor, "");
    let mine = created(&server, &asks("x"));
    for path in [id(&mine).to_owned(), format!("{}/input_items", id(&mine))] {
        assert_eq!(fetch(&server, &path, YOURS).status, 404, "{path}");
        assert_eq!(fetch(&server, &path, MINE).status, 200, "{path}");
        assert_eq!(fetch(&server, &path, "").status, 401, "{path}");
    }
    assert_eq!(delete(&server, id(&mine), YOURS).status, 404);
    let request = and(asks("x"), "previous_response_id", id(&mine));
    let theirs = server.post("/v1/responses", &request, YOURS);
    assert_eq!(theirs.code(), "previous_response_not_found");
    assert_eq!(fetch(&server, id(&mine), MINE).status, 200);
    server.stop();
}

#[test]
fn a_conversation_never_becomes_less_sensitive_by_being_gone_on_with() {
    let (place, vendor) = (Workplace::new(), vendor());
    let task = |name: &str, sensitivity: &str| {
        format!(
            "[tasks.{name}]\nkind = \"chat\"\nsensitivity = \"{sensitivity}\"\ntiers = [\"pool\"]\n"
        )
    };
    let tasks = [task("open", "internal"), task("secret", "restricted")].concat();
    let server = start(&place, &vendor, &tasks);
    let ask = |model: &str, before: &Value| {
        let request = json!({"model": model, "input": "x"});
        create(&server, &and(request, "previous_response_id", id(before)))
    };
    let open = created(&server, &json!({"model": "task:open", "input": "x"}));
    // Who names a tier has confidential texts.
    let confidential = ask("tier:pool", &open).json();
    assert_eq!(ask("tier:pool", &confidential).status, 200);
    assert_eq!(ask("task:secret", &confidential).status, 200);
    assert_eq!(ask("task:open", &open).status, 200);
    let heard = vendor.heard().len();
    for store in [true, false] {
        let request = json!({"model": "task:open", "input": "x", "store": store});
        let request = and(request, "previous_response_id", id(&confidential));
        let refused = create(&server, &request);
        let error = refused.json()["error"].clone();
        assert_eq!(
            (refused.status, &error["code"], &error["param"]),
            (
                403,
                &json!("sensitivity_not_allowed"),
                &json!("previous_response_id")
            )
        );
        assert!(error["message"].as_str().unwrap().contains("confidential"));
    }
    assert_eq!(vendor.heard().len(), heard);
    server.stop();
}

#[test]
fn what_shall_not_be_kept_is_not() {
    let (place, vendor) = (Workplace::new(), vendor());
    let task =
        "[tasks.secret]\nkind = \"chat\"\nsensitivity = \"restricted\"\ntiers = [\"llama\"]\n";
    let server = start(&place, &vendor, task);
    let unwanted = created(&server, &and(asks("x"), "store", false));
    assert_eq!(unwanted["store"], false);
    assert_eq!(fetch(&server, id(&unwanted), MINE).status, 404);
    let secret = json!({"model": "task:secret", "input": "x", "max_output_tokens": 4});
    let open = created(&server, &secret);
    assert_eq!(open["store"], false);
    assert_eq!(fetch(&server, id(&open), MINE).status, 404);
    let refused = create(&server, &and(secret, "store", true));
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status, &error["param"]), (400, &json!("store")));
    assert!(
        error["message"].as_str().unwrap().contains("task secret"),
        "{error}"
    );
    for (field, value) in [
        ("background", json!(true)),
        ("conversation", json!("conv_1")),
    ] {
        let refused = create(&server, &and(asks("x"), field, value));
        assert_eq!(refused.json()["error"]["param"], field);
    }
    server.stop();
}

#[test]
fn room_is_bounded_for_each_key() {
    let (place, vendor) = (Workplace::new(), vendor());
    let server = start(&place, &vendor, "keep_bytes_max = 1048576\n");
    let text = &document(0).0;
    let long = asks(&text.repeat(300_000 / text.len()));
    let kept: Vec<Value> = (0..4).map(|_| created(&server, &long)).collect();
    let found = kept.iter().map(|it| fetch(&server, id(it), MINE).status);
    assert_eq!(found.collect::<Vec<_>>(), [404, 200, 200, 200]);
    let huge = asks(&"x".repeat(1_100_000));
    let refused = create(&server, &huge);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "storage_full")
    );
    assert_eq!(fetch(&server, id(&kept[3]), MINE).status, 200);
    server.stop();
}

#[test]
fn a_server_that_keeps_nothing_says_so_by_name() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let request = json!({"model": "tier:llama", "input": "x", "max_output_tokens": 4});
    for (field, value) in [
        ("store", json!(true)),
        ("previous_response_id", json!("resp_1")),
    ] {
        let response = server.post("/v1/responses", &and(request.clone(), field, value), "");
        let error = response.json()["error"].clone();
        assert_eq!((response.status, &error["param"]), (400, &json!(field)));
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("server.keep_days"),
            "{error}"
        );
    }
    let response = server.post("/v1/responses", &request, "");
    assert_eq!(response.json()["store"], false);
    assert_eq!(server.get("/v1/responses/resp_1").code(), "nothing_is_kept");
    server.stop();
}
