//! Files and batches: given, worked on over a kill, read, cancelled, and never another key's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kept::lies_in;
use super::{asks, document, with};
use crate::server::{Response, Server, books, get, post, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{MATTERS, Workplace};

const KEEPS: &str = "[server]\nkeep_days = 30\nkeys = [\"env:TIERGATE_KEY\", \"file:other.key\"]\n";
const MINE: &str = "authorization: Bearer sk-right-3141\r\n";
const YOURS: &str = "authorization: Bearer sk-other\r\n";

fn start<'p>(place: &'p Workplace, more: &str, task: &str) -> Server<'p> {
    place.write("other.key", "sk-other");
    let tiers: &[&str] = match more.contains("[tiers.frontier]") {
        true => &["frontier"],
        false => &["llama"],
    };
    let server = Server::launch(place, &with(tiers, &format!("{KEEPS}{more}"), task));
    until("it is ready", || server.get("/readyz").status == 200);
    server
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(head, content): &(&str, &str)| {
        format!("--xyz\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("{parts}--xyz--\r\n")
}

fn upload(server: &Server<'_>, content: &str, purpose: &str) -> Response {
    let body = form(&[
        ("name=\"purpose\"", purpose),
        ("name=\"file\"; filename=\"lines.jsonl\"", content),
    ]);
    let request = post("/v1/files", &body, MINE);
    let kind = "multipart/form-data; boundary=xyz";
    server.send(&request.replacen("application/json", kind, 1))
}

fn uploaded(server: &Server<'_>, content: &str) -> String {
    let response = upload(server, content, "batch");
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["id"].as_str().unwrap().to_owned()
}

fn fetch(server: &Server<'_>, path: &str, key: &str) -> Response {
    server.send(&get(path, key))
}

fn line(name: &str, body: &Value) -> String {
    line_for("/v1/chat/completions", name, body)
}

fn line_for(endpoint: &str, name: &str, body: &Value) -> String {
    let line = json!({"custom_id": name, "method": "POST", "url": endpoint, "body": body});
    format!("{line}\n")
}

fn begin(server: &Server<'_>, file: &str) -> Response {
    begin_for(server, "/v1/chat/completions", file)
}

fn begin_for(server: &Server<'_>, endpoint: &str, file: &str) -> Response {
    let request = json!({"input_file_id": file, "endpoint": endpoint,
        "completion_window": "24h", "metadata": {"of": "night"}});
    server.post("/v1/batches", &request, MINE)
}

fn begun(server: &Server<'_>, lines: &str) -> String {
    let response = begin(server, &uploaded(server, lines));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["id"].as_str().unwrap().to_owned()
}

/// The batch when it has come to one of these.
fn when(server: &Server<'_>, id: &str, states: &[&str]) -> Value {
    let mut batch = Value::Null;
    until("the batch is there", || {
        batch = fetch(server, &format!("/v1/batches/{id}"), MINE).json();
        states.contains(&batch["status"].as_str().unwrap())
    });
    batch
}

fn content(server: &Server<'_>, file: &Value) -> Vec<Value> {
    let Some(file) = file.as_str() else {
        return Vec::new();
    };
    let response = fetch(server, &format!("/v1/files/{file}/content"), MINE);
    assert_eq!(response.status, 200, "{}", response.text());
    let text = response.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|it| it["custom_id"].as_str().unwrap())
        .collect()
}

/// The lines that ask for the labels of so many documents, the first as `d0`.
fn asked(documents: usize) -> String {
    (0..documents)
        .map(|index| {
            let request = asks("task:classify", &document(index).0);
            line(&format!("d{index}"), &request)
        })
        .collect()
}

#[test]
fn a_file_is_given_listed_read_and_deleted_by_its_own_key() {
    let place = Workplace::new();
    let server = start(&place, "", "");
    let text = "Größe\r\n--xy 🦀\n";
    let file = upload(&server, text, "batch").json();
    assert_eq!(
        (&file["object"], &file["purpose"]),
        (&json!("file"), &json!("batch"))
    );
    assert_eq!(file["bytes"], text.len());
    assert_eq!(file["filename"], "lines.jsonl");
    let id = file["id"].as_str().unwrap();
    let path = format!("/v1/files/{id}");
    let whole = format!("{path}/content");
    assert_eq!(fetch(&server, &whole, MINE).text(), text);
    assert_eq!(fetch(&server, &path, MINE).json(), file);
    assert_eq!(
        fetch(&server, "/v1/files", MINE).json()["data"],
        json!([file])
    );
    let of_results = fetch(&server, "/v1/files?purpose=batch_output", MINE).json();
    assert_eq!(of_results["data"], json!([]));
    for path in [&path, &whole] {
        assert_eq!(fetch(&server, path, YOURS).status, 404, "{path}");
    }
    assert_eq!(fetch(&server, "/v1/files", YOURS).json()["data"], json!([]));
    let delete = |key| server.send(&get(&path, key).replacen("GET", "DELETE", 1));
    assert_eq!(delete(YOURS).status, 404);
    assert_eq!(delete(MINE).json()["deleted"], true);
    assert_eq!(delete(MINE).status, 404);
    assert_eq!(fetch(&server, &whole, MINE).status, 404);
    let left = std::fs::read_dir(place.path("tiergate-data/files")).unwrap();
    assert_eq!(left.count(), 0);
    server.stop();
}

#[test]
fn what_is_no_file_for_a_batch_is_refused_and_leaves_nothing() {
    let place = Workplace::new();
    let server = start(&place, "keep_bytes_max = 1048576\n", "");
    let purpose = upload(&server, "x", "fine-tune");
    assert_eq!(
        (purpose.status, &purpose.json()["error"]["param"]),
        (400, &json!("purpose"))
    );
    let huge = upload(&server, &"x".repeat(1_100_000), "batch");
    assert_eq!((huge.status, huge.code().as_str()), (429, "storage_full"));
    let no_form = server.post("/v1/files", &json!({}), MINE);
    assert_eq!(no_form.status, 415);
    assert_eq!(
        begin(&server, "file-none").json()["error"]["param"],
        "input_file_id"
    );
    until("nothing is left", || {
        std::fs::read_dir(place.path("tiergate-data/files"))
            .unwrap()
            .count()
            == 0
    });
    server.stop();
}

#[test]
fn a_batch_answers_each_line_once_by_the_way_of_every_request() {
    let place = Workplace::new();
    let server = start(&place, "", "");
    let mut lines = asked(5);
    lines += &line("unknown", &asks("gpt-9", "x"));
    lines += &line(
        "stream",
        &super::and(asks("task:classify", "x"), "stream", true),
    );
    let id = begun(&server, &lines);
    let batch = when(&server, &id, &["completed"]);
    let counts = json!({"total": 7, "completed": 5, "failed": 2});
    assert_eq!(
        (&batch["request_counts"], &batch["metadata"]),
        (&counts, &json!({"of": "night"}))
    );
    let answers = content(&server, &batch["output_file_id"]);
    assert_eq!(names(&answers), ["d0", "d1", "d2", "d3", "d4"]);
    for answer in &answers {
        let response = &answer["response"];
        assert_eq!(
            (&response["status_code"], &answer["error"]),
            (&json!(200), &Value::Null)
        );
        let text = response["body"]["choices"][0]["message"]["content"]
            .as_str()
            .unwrap();
        assert!(MATTERS.contains(&text), "{answer}");
        let request = ledger::RequestId(response["request_id"].as_str().unwrap().to_owned());
        assert_eq!(books(&place).attempts_of(&request).unwrap().len(), 1);
    }
    let failures = content(&server, &batch["error_file_id"]);
    assert_eq!(names(&failures), ["unknown", "stream"]);
    assert_eq!(failures[0]["response"]["status_code"], 404);
    assert_eq!(
        failures[0]["response"]["body"]["error"]["code"],
        "model_not_found"
    );
    assert_eq!(failures[1]["response"]["body"]["error"]["param"], "stream");
    let listed = fetch(&server, "/v1/batches?limit=1", MINE).json();
    assert_eq!(listed["data"][0]["id"], id.as_str());
    for path in [
        format!("/v1/batches/{id}"),
        format!("/v1/batches/{id}/cancel"),
    ] {
        assert!(
            matches!(fetch(&server, &path, YOURS).status, 404 | 405),
            "{path}"
        );
    }
    assert_eq!(
        fetch(&server, "/v1/batches", YOURS).json()["data"],
        json!([])
    );
    server.stop();
}

#[test]
fn lines_that_are_none_fail_the_batch_with_their_numbers() {
    let place = Workplace::new();
    let server = start(&place, "", "");
    let good = line("a", &asks("task:classify", "x"));
    let other = good.replace("/v1/chat/completions", "/v1/embeddings");
    for (lines, code, number) in [
        (format!("{good}geheim\n"), "invalid_json_line", json!(2)),
        (format!("{good}\n{good}"), "duplicate_custom_id", json!(2)),
        (other.replace("\"a\"", "\"b\""), "invalid_url", json!(1)),
        (good.replace("POST", "GET"), "invalid_method", json!(1)),
        (
            good.replace("custom_id", "id"),
            "missing_required_parameter",
            json!(1),
        ),
        ("\n".to_owned(), "empty_file", Value::Null),
    ] {
        let batch = when(&server, &begun(&server, &lines), &["failed"]);
        let fault = &batch["errors"]["data"][0];
        assert_eq!(
            (&fault["code"], &fault["line"]),
            (&json!(code), &number),
            "{batch}"
        );
        assert!(!batch.to_string().contains("geheim"));
    }
    let request =
        json!({"input_file_id": "x", "endpoint": "/v1/audio", "completion_window": "24h"});
    let refused = server.post("/v1/batches", &request, MINE);
    assert_eq!(refused.json()["error"]["param"], "endpoint");
    server.stop();
}

#[test]
fn a_killed_batch_goes_on_and_has_one_result_for_each_line() {
    let place = Workplace::new();
    let manner = Manner {
        first_token_ms: 150,
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let lines = asked(40);
    let (config, task) = (vendor.config(), "sensitivity = \"internal\"");
    let few = format!("batch_concurrency = 4\n{config}");
    let server = start(&place, &few, task);
    let id = begun(&server, &lines);
    until("some are answered", || {
        let batch = fetch(&server, &format!("/v1/batches/{id}"), MINE).json();
        batch["request_counts"]["completed"].as_u64() >= Some(8)
    });
    server.signal("-KILL");
    let _killed = server.ended();
    let server = start(&place, &few, task);
    let batch = when(&server, &id, &["completed"]);
    let counts = json!({"total": 40, "completed": 40, "failed": 0});
    assert_eq!(batch["request_counts"], counts, "{batch}");
    let answers = content(&server, &batch["output_file_id"]);
    let told: BTreeMap<&str, &str> = answers
        .iter()
        .map(|it| {
            let text = &it["response"]["body"]["choices"][0]["message"]["content"];
            (it["custom_id"].as_str().unwrap(), text.as_str().unwrap())
        })
        .collect();
    assert_eq!((answers.len(), told.len()), (40, 40));
    for index in 0..40 {
        assert_eq!(told[format!("d{index}").as_str()], document(index).1);
    }
    server.stop();
    // What was under way at the kill was asked again, and nothing else.
    let (_, asked) = vendor.close();
    assert!((40..=44).contains(&asked), "{asked}");
}

#[test]
fn a_stopped_server_leaves_the_rest_to_its_next_start() {
    let place = Workplace::new();
    let manner = Manner {
        first_token_ms: 150,
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let lines = asked(30);
    let (config, task) = (vendor.config(), "sensitivity = \"internal\"");
    let few = format!("batch_concurrency = 2\n{config}");
    let server = start(&place, &few, task);
    let id = begun(&server, &lines);
    when(&server, &id, &["in_progress"]);
    until("one is asked", || vendor.requests() > 0);
    server.stop();
    assert!(vendor.requests() < 30);
    let server = start(&place, &few, task);
    let batch = when(&server, &id, &["completed"]);
    assert_eq!(batch["request_counts"]["completed"], 30);
    server.stop();
    assert_eq!(vendor.close().1, 30, "each was asked once");
}

#[test]
fn a_cancelled_batch_keeps_what_is_done_and_says_so_of_the_rest() {
    let place = Workplace::new();
    let manner = Manner {
        first_token_ms: 150,
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let lines = asked(30);
    let few = format!("batch_concurrency = 1\n{}", vendor.config());
    let server = start(&place, &few, "sensitivity = \"internal\"");
    let id = begun(&server, &lines);
    until("one is asked", || vendor.requests() > 0);
    let lines_of = fetch(&server, &format!("/v1/batches/{id}"), MINE).json();
    let file = format!("/v1/files/{}", lines_of["input_file_id"].as_str().unwrap());
    let delete = || server.send(&get(&file, MINE).replacen("GET", "DELETE", 1));
    assert_eq!(delete().code(), "batch_in_progress");
    let path = format!("/v1/batches/{id}/cancel");
    assert_eq!(server.post(&path, &json!({}), YOURS).status, 404);
    let cancelled = server.post(&path, &json!({}), MINE).json();
    assert!(
        ["cancelling", "finalizing", "cancelled"].contains(&cancelled["status"].as_str().unwrap())
    );
    let batch = when(&server, &id, &["cancelled"]);
    let done = content(&server, &batch["output_file_id"]);
    let left = content(&server, &batch["error_file_id"]);
    assert_eq!(done.len() + left.len(), 30);
    assert!(left.len() > 10, "{batch}");
    assert_eq!(left[0]["error"]["code"], "batch_cancelled");
    until("the file can be deleted", || delete().status == 200);
    // Once it has ended nothing changes.
    assert_eq!(server.post(&path, &json!({}), MINE).json(), batch);
    server.stop();
}

#[test]
fn anthropics_batches_have_its_form() {
    let place = Workplace::new();
    let server = start(&place, "", "");
    let request = |name: &str, model: &str, text: &str| {
        json!({"custom_id": name, "params": {"model": model, "max_tokens": 9,
            "messages": [{"role": "user", "content": text}]}})
    };
    let body = json!({"requests": [request("line-4711-0815", "task:classify", &document(0).0),
        request("b", "gpt-9", "x")]});
    let response = server.post("/v1/messages/batches", &body, MINE);
    assert_eq!(response.status, 200, "{}", response.text());
    let batch = response.json();
    assert_eq!(
        (&batch["type"], &batch["results_url"]),
        (&json!("message_batch"), &Value::Null)
    );
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let mut ended = Value::Null;
    until("it has ended", || {
        ended = fetch(&server, &path, MINE).json();
        ended["processing_status"] == "ended"
    });
    assert_eq!(
        ended["request_counts"],
        json!({"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 0})
    );
    let results = fetch(&server, ended["results_url"].as_str().unwrap(), MINE).text();
    let results: Vec<Value> = results
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let (first, second) = (&results[0]["result"], &results[1]["result"]);
    assert_eq!(
        (&first["type"], &first["message"]["type"]),
        (&json!("succeeded"), &json!("message"))
    );
    assert_eq!(second["error"]["error"]["type"], "not_found_error");
    assert_eq!(fetch(&server, &path, YOURS).json()["type"], "error");
    let listed = fetch(&server, "/v1/messages/batches", MINE).json();
    assert_eq!(listed["data"], json!([ended]));
    assert_eq!(
        fetch(&server, "/v1/batches", MINE).json()["data"],
        json!([])
    );
    until("it can be deleted", || {
        let deleted = server.send(&get(&path, MINE).replacen("GET", "DELETE", 1));
        deleted.status == 200 && deleted.json()["type"] == "message_batch_deleted"
    });
    assert_eq!(fetch(&server, &path, MINE).status, 404);
    let twice = json!({"requests": [request("a", "auto", "x"), request("a", "auto", "x")]});
    assert_eq!(
        server.post("/v1/messages/batches", &twice, MINE).status,
        400
    );
    server.stop();
    let data = place.path("tiergate-data");
    for gone in ["line-4711-0815", &document(0).0] {
        assert!(!lies_in(&data, gone), "{gone}");
    }
}

#[test]
fn restricted_texts_are_in_no_batch_and_a_server_that_keeps_nothing_has_none() {
    let place = Workplace::new();
    let task =
        "[tasks.secret]\nkind = \"chat\"\nsensitivity = \"restricted\"\ntiers = [\"llama\"]\n";
    let server = start(&place, task, "");
    let batch = when(
        &server,
        &begun(&server, &line("a", &asks("task:secret", "x"))),
        &["completed"],
    );
    let failures = content(&server, &batch["error_file_id"]);
    let error = &failures[0]["response"]["body"]["error"];
    assert!(
        error["message"].as_str().unwrap().contains("task secret"),
        "{error}"
    );
    server.stop();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    for path in ["/v1/files", "/v1/batches", "/v1/messages/batches"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    server.stop();
}

#[test]
fn a_batchs_lines_may_ask_for_vectors() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let tasks = format!(
        "{}[tasks.index]\nkind = \"embed\"\ntiers = [\"frontier\"]\nsensitivity = \"public\"\n\
         [tasks.secret]\nkind = \"embed\"\ntiers = [\"llama\"]\nsensitivity = \"restricted\"\n",
        vendor.config()
    );
    let server = start(&place, &tasks, "sensitivity = \"public\"");
    let endpoint = "/v1/embeddings";
    let texts =
        |model: &str, more: Value| json!({"model": model, "input": ["a", "b"], "dimensions": more});
    let lines = [
        ("one", texts("task:index", json!(4))),
        ("two", texts("task:index", json!(4))),
        ("wrong", texts("task:index", json!(0))),
        ("chat", asks("task:index", "x")),
        ("secret", json!({"model": "task:secret", "input": "x"})),
    ];
    let lines = lines.map(|(name, body)| line_for(endpoint, name, &body));
    let file = uploaded(&server, &lines.concat());
    let batch = begin_for(&server, endpoint, &file);
    assert_eq!(batch.json()["endpoint"], endpoint, "{}", batch.text());
    let id = batch.json()["id"].as_str().unwrap().to_owned();
    let batch = when(&server, &id, &["completed"]);
    let answers = content(&server, &batch["output_file_id"]);
    assert_eq!(names(&answers), ["one", "two"]);
    let direct = json!({"model": "task:index", "input": ["a", "b"], "dimensions": 4});
    let direct = server.post(endpoint, &direct, MINE).json();
    for answer in &answers {
        assert_eq!(answer["response"]["status_code"], 200);
        assert_eq!(answer["response"]["body"]["data"], direct["data"]);
        assert_eq!(answer["response"]["body"]["usage"], direct["usage"]);
    }
    let errors = content(&server, &batch["error_file_id"]);
    assert_eq!(names(&errors), ["wrong", "chat", "secret"]);
    let param = |error: &Value| error["response"]["body"]["error"]["param"].clone();
    assert_eq!(param(&errors[0]), "dimensions");
    assert_eq!(param(&errors[1]), "input");
    server.stop();
    assert_eq!(vendor.close().1, 3);
}
