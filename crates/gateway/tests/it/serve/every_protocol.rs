//! What holds in every protocol alike: what is told of each class of failure, and that who hangs up is
//! not worked for.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use super::{and, document, openly, with};
use crate::recorder::Recorder;
use crate::server::{Response, Server, get, post, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::Workplace;

/// How a surface is asked.
struct Surface {
    name: &'static str,
    /// The path for a model, whole and streamed.
    path: fn(&str) -> String,
    streamed: fn(&str) -> String,
    /// A request for a model with one text.
    request: fn(&str, &str) -> Value,
}

/// Anthropic's types of errors.
const ANTHROPICS: [&str; 10] = [
    "api_error",
    "authentication_error",
    "billing_error",
    "invalid_request_error",
    "not_found_error",
    "overloaded_error",
    "permission_error",
    "rate_limit_error",
    "request_too_large",
    "timeout_error",
];
/// Those of Google's that HTTP has statuses for.
const GOOGLES: [&str; 9] = [
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
];

fn surfaces() -> [Surface; 5] {
    let messages = |model: &str, text: &str| json!({"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": text}]});
    [
        Surface {
            name: "chat",
            path: |_| "/v1/chat/completions".to_owned(),
            streamed: |_| "/v1/chat/completions".to_owned(),
            request: messages,
        },
        Surface {
            name: "completions",
            path: |_| "/v1/completions".to_owned(),
            streamed: |_| "/v1/completions".to_owned(),
            request: |model, text| json!({"model": model, "prompt": text, "max_tokens": 8}),
        },
        Surface {
            name: "responses",
            path: |_| "/v1/responses".to_owned(),
            streamed: |_| "/v1/responses".to_owned(),
            request: |model, text| json!({"model": model, "input": text}),
        },
        Surface {
            name: "anthropic",
            path: |_| "/v1/messages".to_owned(),
            streamed: |_| "/v1/messages".to_owned(),
            request: messages,
        },
        Surface {
            name: "google",
            path: |model| format!("/v1beta/models/{model}:generateContent"),
            streamed: |model| format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            request: |_, text| json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        },
    ]
}

impl Surface {
    /// Checks that an answer of failure has the form of the surface's protocol, with this status,
    /// for which Anthropic's protocol may have a word of its own.
    fn assert_fails(&self, response: &Response, status: u16, what: &str) {
        let name = self.name;
        let status = match (name, status) {
            ("anthropic", 503) => 529,
            (_, status) => status,
        };
        let body = response.json();
        assert_eq!(response.status, status, "{name}, {what}: {body}");
        let error = &body["error"];
        assert!(
            !error["message"].as_str().unwrap().is_empty(),
            "{name}, {what}: {body}"
        );
        match name {
            "anthropic" => {
                assert_eq!(body["type"], "error", "{what}: {body}");
                let kind = error["type"].as_str().unwrap();
                assert!(ANTHROPICS.contains(&kind), "{what}: {body}");
                assert_eq!(body["request_id"], response.id().0, "{what}");
            }
            "google" => {
                assert_eq!(error["code"], status, "{what}: {body}");
                let word = error["status"].as_str().unwrap();
                assert!(GOOGLES.contains(&word), "{what}: {body}");
            }
            _ => {
                assert!(
                    error["type"].is_string() && error["code"].is_string(),
                    "{what}: {body}"
                );
                assert!(error.get("param").is_some(), "{what}: {body}");
            }
        }
    }
}

/// A server with a tier or task for each way to fail, and the keys that it takes.
fn config(vendor: &Vendor, [refuser, strange]: [&Recorder; 2]) -> String {
    let (address, elsewhere) = (refuser.address(), strange.address());
    let server = "[server]\ndirect_sensitivity = \"public\"\nkeys = [\"env:TIERGATE_KEY\"]\n\
                  body_bytes_max = 2048\n";
    let config = vendor.config();
    let dead = standin::own_address();
    format!(
        "{server}{config}\n\
         [tiers.dead]\nkind = \"pool\"\nurl = \"http://{dead}/v1\"\nmodel = \"m\"\nattempts_max = 1\n\
         [tiers.refuses]\nkind = \"pool\"\nurl = \"http://{address}/v1\"\nmodel = \"m\"\n\
         [tiers.gone]\nkind = \"pool\"\nurl = \"http://{elsewhere}/v1\"\nmodel = \"m\"\n\
         [tiers.reviewers]\nkind = \"person\"\n\
         [tasks.poor]\nkind = \"chat\"\ntiers = [\"frontier\"]\nsensitivity = \"public\"\n\
         budget = {{ usd = \"0.000000001\", per = \"day\" }}\n\
         [tasks.doubt]\nkind = \"classify\"\nprompt = \"Is it so?\"\nthreshold = 1.0\n\
         labels = [{{ name = \"yes\" }}, {{ name = \"no\" }}]\ntiers = [\"llama\", \"reviewers\"]\n"
    )
}

#[test]
fn each_class_of_failure_has_its_status_and_the_protocols_form() {
    let place = Workplace::new();
    let busy = Manner {
        faults: &["status:429;retry-after=3600 every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &busy);
    let refusal = json!({"error": {"message": "no", "type": "invalid_request_error"}});
    let refuser = Recorder::refusing("400 Bad Request", refusal.to_string());
    let strange = Recorder::refusing("404 Not Found", refusal.to_string());
    let config = config(&vendor, [&refuser, &strange]);
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let key = "authorization: Bearer sk-right-3141\r\n";
    for surface in surfaces() {
        let ask = |model: &str, text: &str, headers: &str| {
            let request = (surface.request)(model, text);
            server.post(&(surface.path)(model), &request, headers)
        };
        let check = |response: Response, status: u16, what: &str| {
            surface.assert_fails(&response, status, what);
            response
        };
        check(ask("tier:llama", "x", ""), 401, "no key");
        check(ask("gpt-9", "x", key), 404, "no such model");
        check(ask("tier:refuses", "x", key), 400, "a vendor's refusal");
        check(ask("tier:dead", "x", key), 503, "a vendor that is down");
        check(ask("tier:gone", "x", key), 502, "a model that is not there");
        let busy = check(ask("tier:frontier", "x", key), 503, "a busy vendor");
        let wait: u64 = busy.header("retry-after").unwrap().parse().unwrap();
        assert!((3500..=3600).contains(&wait), "{}: {wait}", surface.name);
        let poor = check(ask("task:poor", "x", key), 429, "a spent budget");
        assert_eq!(
            poor.header("x-should-retry"),
            Some("false"),
            "{}",
            surface.name
        );
        check(ask("task:doubt", "x", key), 422, "a person decides");
        check(
            ask("tier:llama", &"x".repeat(4096), key),
            413,
            "a large body",
        );
        let path = (surface.path)("tier:llama");
        let broken = server.send(&post(&path, "{\"model\": ", key));
        check(broken, 400, "no JSON");
        let empty = server.send(&post(&path, "{}", key));
        check(empty, 400, "an empty request");
        let form = post(&path, "x=1", key).replace("application/json", "text/plain");
        check(server.send(&form), 415, "no type of JSON");
        // Google's addresses of methods are read as names of models otherwise.
        let status = if surface.name == "google" { 404 } else { 405 };
        check(server.send(&get(&path, key)), status, "another method");
        // A stream that has shown nothing fails with a status as well.
        let request = (surface.request)("tier:dead", "x");
        let request = match surface.name {
            "google" => request,
            _ => and(request, "stream", true),
        };
        let failed = server.post(&(surface.streamed)("tier:dead"), &request, key);
        check(failed, 503, "a stream from a vendor that is down");
    }
    server.stop();
}

#[test]
fn each_answer_says_in_its_headers_who_gave_it_and_what_it_cost() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let task = "threshold = 1.0\nsensitivity = \"public\"";
    let config = with(&["llama", "frontier"], &openly(&vendor), task);
    let server = Server::start(&place, &config);
    for surface in surfaces() {
        let (name, path) = (surface.name, (surface.path)("task:classify"));
        let request = (surface.request)("task:classify", &document(0).0);
        let answer = server.post(&path, &request, "");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let header = |header: &str| {
            let value = answer.header(header);
            value.unwrap_or_else(|| panic!("{name}: no {header} in {answer:?}"))
        };
        assert_eq!(header("x-request-id"), answer.id().0);
        assert_eq!(header("x-tiergate-tier"), "frontier");
        assert_eq!(header("x-tiergate-escalations"), "1");
        let cost = domain::Picodollars::from_usd(header("x-tiergate-cost-usd")).unwrap();
        assert!(cost > domain::Picodollars::ZERO, "{name}");
        if name == "anthropic" {
            assert_eq!(header("request-id"), answer.id().0);
        }
        let own = (surface.request)("tier:llama", "A letter.");
        let own = server.post(&(surface.path)("tier:llama"), &own, "");
        assert_eq!(own.header("x-tiergate-tier"), Some("llama"), "{name}");
        assert_eq!(own.header("x-tiergate-cost-usd"), Some("0"), "{name}");
    }
    server.stop();
}

#[test]
fn who_hangs_up_stops_the_vendor_whichever_protocols_they_speak() {
    let place = Workplace::new();
    let pings = Manner {
        faults: &["ping-after every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &pings);
    let mut config = openly(&vendor);
    let address = vendor.address();
    let protocols = ["openai", "openai-responses", "anthropic", "google"];
    for protocol in protocols {
        let base = if protocol == "google" { "v1beta" } else { "v1" };
        config += &format!(
            "[tiers.{protocol}]\nkind = \"pool\"\nurl = \"http://{address}/{base}\"\n\
             protocol = \"{protocol}\"\nmodel = \"standin-1\"\n"
        );
    }
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let mut hung_up = 0;
    for surface in surfaces() {
        for protocol in protocols {
            // A text is continued by tiers of one protocol alone.
            if surface.name == "completions" && protocol != "openai" {
                continue;
            }
            let model = format!("tier:{protocol}");
            let request = (surface.request)(&model, "Hello");
            let request = match surface.name {
                "google" => request,
                _ => and(request, "stream", true),
            };
            let path = (surface.streamed)(&model);
            let request = post(&path, &request.to_string(), "");
            let mut connection = server.connect();
            connection.write_all(request.as_bytes()).unwrap();
            let mut heard = Vec::new();
            // Until an event has come, and the vendor is in the midst of its answer.
            while !String::from_utf8_lossy(&heard).contains("data: ") {
                let mut piece = [0; 512];
                let length = connection.read(&mut piece).unwrap();
                let told = String::from_utf8_lossy(&heard);
                assert!(length > 0, "{} of {protocol}: {told}", surface.name);
                heard.extend_from_slice(&piece[..length]);
            }
            drop(connection);
            hung_up += 1;
            until("the vendor's answer is cut", || vendor.cut() == hung_up);
        }
    }
    assert_eq!(hung_up, 17);
    until("nothing is in work", || {
        server.metric("tiergate_requests_in_flight ") == 0
    });
    server.stop();
}
