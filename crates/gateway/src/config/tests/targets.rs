//! What a target may ask for.

use super::report;

/// The faults of a config whose task has this target.
fn faults(tiers: &str, target: &str) -> Vec<String> {
    report(&format!(
        r#"
tiers.llama = {{ kind = "local", model = "starter" }}
tiers.pool = {{ kind = "pool", url = "http://127.0.0.1:1/v1", model = "m" }}
tiers.reviewer = {{ kind = "person" }}
tiers.student = {{ kind = "student" }}
[tasks.letters]
kind = "flag"
prompt = "Is it urgent?"
labels = [{{ name = "urgent" }}, {{ name = "not" }}]
flagged = ["urgent"]
tiers = {tiers}
target = {target}
"#
    ))
}

fn check(tiers: &str, target: &str, fault: &str) {
    let found = faults(tiers, target);
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    let one = matches!(found[..], [line] if line.ends_with(fault));
    assert!(
        one,
        "{target}: {found:#?} is not one fault that ends: {fault}"
    );
}

const TIERS: &str = "[\"llama\", \"reviewer\"]";

#[test]
fn a_certificate_takes_the_place_of_records() {
    let found = faults(
        TIERS,
        "{ max_error = 0.02, confidence = 0.95, max_missed = { urgent = 0.1 } }",
    );
    assert_eq!(found, Vec::<String>::new());
    check(
        TIERS,
        "{ max_error = 0.02 }",
        "tasks.letters.target: no `records` to find the threshold on; add records = { path = \
         \"labelled.jsonl.gz\" }, or state a threshold instead",
    );
}

#[test]
fn only_what_can_be_proven_may_be_asked_for() {
    check(
        TIERS,
        "{ max_error = 0, confidence = 0.95 }",
        "target.max_error: no number of records proves that; with a confidence it lies between 0 \
         and 1, for example 0.02",
    );
    for tiers in ["[\"llama\"]", "[\"pool\", \"reviewer\"]"] {
        check(
            tiers,
            "{ max_error = 0.02, confidence = 0.95 }",
            "target.confidence: there is nothing to certify: no student or local tier stands \
             before another tier; leave it out, or add such a tier",
        );
    }
}

#[test]
fn labels_may_have_shares_of_their_own() {
    for (target, fault) in [
        (
            "{ max_error = 0.02, confidence = 0.9, max_wrong = { urgent = 0.03 } }",
            "target.max_wrong.urgent: it is more than max_error, which holds of all that is kept; \
             make it less, or leave it out",
        ),
        (
            "{ max_error = 0.02, confidence = 0.9, of = \"all\", max_wrong = { urgent = 0.01 } }",
            "target.max_wrong: it is about kept answers, and max_error here about all documents; \
             leave one of them out",
        ),
        (
            "{ max_error = 0.02, confidence = 0.9, max_wrong = { late = 0.01 } }",
            "target.max_wrong.late: `late` is none of the labels urgent, not",
        ),
        (
            "{ max_error = 0.02, of = \"label\" }\nrecords = { path = \"r\" }",
            "target.of: it is proven or nothing; add a confidence beside it, for example \
             confidence = 0.95",
        ),
    ] {
        check(TIERS, target, fault);
    }
    for target in [
        "{ max_error = 0.02, confidence = 0.9, of = \"label\" }",
        "{ max_error = 0.02, confidence = 0.9, of = \"label\", max_wrong = { urgent = 0.01 } }",
        "{ max_error = 0.02, confidence = 0.9, max_wrong = { urgent = 0.02 } }",
    ] {
        assert_eq!(faults(TIERS, target), Vec::<String>::new(), "{target}");
    }
}

#[test]
fn a_router_needs_a_certificate_and_a_tier_that_takes_what_it_skips() {
    check(
        "[\"llama\", \"pool\"]",
        "{ max_error = 0.02 }\nrouter = true\nrecords = { path = \"r\" }",
        "tasks.letters.router: a router is fitted and signed with a certificate; add a target with \
         a confidence, for example target = { max_error = 0.02, confidence = 0.95 }",
    );
    let certified = "{ max_error = 0.02, confidence = 0.95 }\nrouter = true";
    let fault = "tasks.letters.router: no local tier has a tier behind it that takes what it would \
                 skip, and a person is helped by its answer; leave it out, or add a pool or \
                 frontier";
    check(TIERS, certified, fault);
}

#[test]
fn only_free_text_is_checked_by_its_own_model() {
    let target = "{ max_error = 0.02, confidence = 0.95 }\nself_check = true";
    check(
        TIERS,
        target,
        "tasks.letters.self_check: a task of kind flag answers with a label, whose probability is \
         known without asking; leave it out",
    );
}

#[test]
fn an_error_is_a_share_of_what_is_kept_or_of_all() {
    let of = |of: &str| format!("{{ max_error = 0.02, confidence = 0.95, of = \"{of}\" }}");
    for name in ["kept", "all"] {
        assert_eq!(faults(TIERS, &of(name)), Vec::<String>::new());
    }
    let unknown = faults(TIERS, &of("some"));
    assert!(
        unknown[0].contains("target.of") && unknown[0].contains("kept, label, all"),
        "{unknown:?}"
    );
    let unproven = "{ max_error = 0.02, of = \"all\" }\nrecords = { path = \"r\" }";
    check(
        TIERS,
        unproven,
        "target.of: it is proven or nothing; add a confidence beside it, for example confidence = \
         0.95",
    );
}

#[test]
fn labels_that_must_not_be_missed_are_known_and_have_a_share() {
    for (max_missed, fault) in [
        (
            "{ urg = 0.1 }",
            ".urg: `urg` is none of the labels urgent, not",
        ),
        (
            "{ urgent = 0 }",
            ".urgent: it lies between 0 and 1, for example 0.05",
        ),
        (
            "{ urgent = 7 }",
            ".urgent: 7 is outside 0.0..=1.0; it is the share of this label's documents that may \
             be kept with another label, for example 0.05",
        ),
    ] {
        check(
            TIERS,
            &format!("{{ max_error = 0.02, confidence = 0.9, max_missed = {max_missed} }}"),
            &format!("tasks.letters.target.max_missed{fault}"),
        );
    }
    let target = "{ max_error = 0.02, max_missed = { urgent = 0.1 } }\nrecords = { path = \"r\" }";
    let found = faults(TIERS, target).join("\n");
    assert!(
        found.contains("it is proven or nothing; add a confidence beside it"),
        "{found}"
    );
}

#[test]
fn an_audit_has_a_certificate_to_watch_a_share_and_somebody_who_can_judge() {
    let sure = "{ max_error = 0.02, confidence = 0.9 }";
    let with = |audit: &str| format!("{sure}\naudit = {audit}");
    assert_eq!(
        faults(TIERS, &with("{ share = 0.02 }")),
        Vec::<String>::new()
    );
    let judged = "[\"llama\", \"pool\", \"reviewer\"]";
    let by_pool = with("{ share = 0.02, near = 1, by = \"pool\" }");
    assert_eq!(faults(judged, &by_pool), Vec::<String>::new());
    for (audit, fault) in [
        (
            "{ near = 0.2 }",
            "tasks.letters.audit.share: missing; it is the share of the surest accepted \
             answers that are audited, for example 0.02",
        ),
        (
            "{ share = 0.1, near = 0.05 }",
            "audit.near: 0.05 is below the share 0.1; take at least that; it is the share of \
             accepted answers at the threshold that are audited, for example 0.1",
        ),
        (
            "{ share = 0.1, by = \"llama\" }",
            "audit.by: \"llama\" is no tier of this task that can judge those before it: none of \
             this task's can; leave it out, and a person does; it is one of the task's tiers, \
             behind those that the certificate is about, for example \"llama\"",
        ),
    ] {
        check(TIERS, &with(audit), fault);
    }
    check(
        TIERS,
        &format!("{}\nsensitivity = \"restricted\"", with("{ share = 0.1 }")),
        "audit: a restricted text is never kept, and an audit keeps its text until it is done; \
         leave it out",
    );
    let estimated = "{ max_error = 0.02 }\nrecords = { path = \"r\" }\naudit = { share = 0.1 }";
    let found = faults(TIERS, estimated).join("\n");
    assert!(
        found.contains("there is no certificate to watch"),
        "{found}"
    );
}

#[test]
fn lessons_take_a_student_a_certificate_and_records() {
    let learns = "learn = { online = true }";
    let taught = "[\"student\", \"reviewer\"]";
    for (tiers, target, fault) in [
        (
            TIERS,
            "{ max_error = 0.02, confidence = 0.9 }\nrecords = { path = \"r\", keep = true }",
            "learn.online: no tier of this task is a student; leave it out, or add one",
        ),
        (
            taught,
            "{ max_error = 0.02 }\nrecords = { path = \"r\", keep = true }",
            "learn.online: only a certificate says whether a new student is as good; add a \
             confidence to the target, for example target = { max_error = 0.02, confidence = 0.95 }",
        ),
        (
            taught,
            "{ max_error = 0.02, confidence = 0.9 }\nrecords = { path = \"r\" }",
            "learn.online: it learns from records that are kept; add keep = true to the task's \
             records",
        ),
    ] {
        check(tiers, &format!("{target}\n{learns}"), fault);
        let off = format!("{target}\n{}", learns.replace("true", "false"));
        assert_eq!(faults(tiers, &off), Vec::<String>::new());
    }
}
