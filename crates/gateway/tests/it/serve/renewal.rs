//! Certificates that are written while the server runs.

use serde_json::Value;

use super::asks;
use crate::server::{Server, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{Workplace, config, documents, labelled, lines};

fn calibrate(place: &Workplace, rows: &str) {
    let command = [
        "calibrate",
        "classify",
        "--records",
        "proof.jsonl",
        "--rows",
        rows,
    ];
    let ran = place.run(&command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn read(server: &Server, outcome: &str) -> u64 {
    let labels = format!("{{task=\"classify\",outcome=\"{outcome}\"}}");
    server.metric(&format!("tiergate_certificates_read_total{labels}"))
}

/// How many of some documents the student answers.
fn kept(server: &Server) -> usize {
    let documents = documents();
    let by_student = |document: &&Value| {
        let response = server.chat(&asks("task:classify", document["text"].as_str().unwrap()));
        assert_eq!(response.status, 200, "{}", response.text());
        response.header("x-tiergate-tier") == Some("student")
    };
    documents[1_500..1_520].iter().filter(by_student).count()
}

#[test]
fn a_new_certificate_is_taken_up_and_a_broken_one_never() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    place.write("labelled.jsonl", lines(&labelled()[..600]));
    place.write("proof.jsonl", lines(&documents()[..1_200]));
    let sections = format!("[tiers.student]\nkind = \"student\"\n{}", vendor.config());
    let task = "sensitivity = \"internal\"\nrecords = { path = \"labelled.jsonl\" }\n\
                target = { max_error = 0.1, confidence = 0.9 }";
    let server = Server::start(&place, &config(&["student", "frontier"], &sections, task));
    assert_eq!(kept(&server), 0);

    calibrate(&place, "..800");
    until("the certificate is taken up", || {
        read(&server, "taken") == 1
    });
    let with_first = kept(&server);
    assert!(with_first > 0);

    // Half a file, another's, and none: what stands stands.
    let file = place.path("tiergate-data/certificates/classify.json");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    until("half a file is refused", || read(&server, "refused") == 1);
    std::fs::write(&file, good.replace("0.1", "0.2")).unwrap();
    until("a forged one is refused", || read(&server, "refused") == 2);
    std::fs::remove_file(&file).unwrap();
    until("its loss is noticed", || read(&server, "refused") == 3);
    assert_eq!(kept(&server), with_first);

    // The same one again is no news; another one is.
    std::fs::write(&file, &good).unwrap();
    calibrate(&place, "400..1200");
    until("the next one is taken up", || read(&server, "taken") == 2);
    assert!(kept(&server) > 0);
    assert_eq!(read(&server, "refused"), 3);
    let log = server.stop();
    assert!(
        log.contains("what stood before still stands") && log.contains("taken up"),
        "{log}"
    );
}
