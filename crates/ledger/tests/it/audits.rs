//! Audits: each is counted once, with its exact money, whoever asks and whatever dies.

use ledger::{
    AuditEnd, AuditOutcome, AuditTally, Correction, DueAudit, Finding, Forgetting, Ledger,
    LedgerError, Monitored, NewAudit, NewHold, NewMonitor, Outcome, PassedOn, Purpose, TimeRange,
};

use crate::place::{
    Place, answered, at, count_up, new_hold, pico, request, task, tier, total, usage,
};

/// An answer that was chosen to be audited by the frontier, or by a person.
fn chosen(name: &str, by_person: bool) -> Outcome {
    Outcome {
        audit: Some(NewAudit {
            certificate: "cert".to_owned(),
            tier: tier("student"),
            answer: "fraud".to_owned(),
            confidence: 0.97,
            threshold: 0.9,
            probability: 0.1,
            probability_min: 0.02,
            auditor: (!by_person).then(|| tier("frontier")),
            text: format!("the text of {name}"),
            expires_at: at(9_000),
        }),
        ..answered(name)
    }
}

async fn opened(place: &Place) -> Ledger {
    let ledger = place.open();
    let monitored = monitor(&ledger, "cert").await;
    assert_eq!(monitored.state, "0 0");
    ledger
}

async fn monitor(ledger: &Ledger, certificate: &str) -> Monitored {
    monitor_beside(ledger, certificate, None).await
}

async fn monitor_beside(ledger: &Ledger, certificate: &str, beside: Option<&str>) -> Monitored {
    let new = NewMonitor {
        certificate: certificate.to_owned(),
        task: task("flag"),
        beside: beside.map(str::to_owned),
        state: "0 0".to_owned(),
    };
    ledger.open_monitor(new, at(100)).await.unwrap()
}

async fn claim(ledger: &Ledger, now: i64) -> Vec<DueAudit> {
    let claimed = ledger.claim_audits(vec![task("flag")], 10, at(now)).await;
    claimed.unwrap()
}

fn end(name: &str, outcome: AuditOutcome) -> AuditEnd {
    AuditEnd {
        request: request(name),
        outcome,
        resolutions: Vec::new(),
        unpaid: Vec::new(),
        at: at(5_000),
    }
}

fn says(answer: &str) -> AuditOutcome {
    AuditOutcome::Answered(answer.to_owned())
}

#[tokio::test]
async fn an_audit_is_booked_with_its_money_and_moves_its_monitor() {
    let place = Place::new();
    let ledger = opened(&place).await;
    ledger.record(chosen("a", false)).await.unwrap();
    let due = claim(&ledger, 3_000).await;
    assert_eq!(due.len(), 1);
    assert_eq!(
        (&due[0].request, due[0].text.as_str()),
        (&request("a"), "the text of a")
    );
    assert!(!format!("{due:?}").contains("the text"));
    assert_eq!(claim(&ledger, 3_000).await, [], "it is claimed");

    let new = NewHold {
        request: due[0].ask.clone(),
        ..new_hold(1, "ignored", 100, 1_000)
    };
    let hold = ledger.hold(new).await.unwrap();
    let mut ended = end("a", says("fine"));
    ended
        .resolutions
        .push(hold.settle(usage(10, 0, 2), pico(70)));
    let moved = ledger.end_audit(ended, count_up()).await.unwrap().unwrap();
    assert_eq!((moved.state.as_str(), moved.revoked_at), ("1 1", None));

    let reader = place.reader();
    let tally = AuditTally {
        done: 1,
        wrong: 1,
        cost: total(70),
        ..AuditTally::default()
    };
    assert_eq!(reader.audit_tally("cert").unwrap(), tally);
    let finding = Finding {
        probability: 0.1,
        probability_min: 0.02,
        wrong: true,
    };
    assert_eq!(reader.findings("cert").unwrap(), [finding]);
    let spend = reader.spend(TimeRange::ALL).unwrap();
    assert_eq!(
        (spend[0].purpose, spend[0].settled),
        (Purpose::Audit, total(70))
    );
    let decisions = reader.decisions(TimeRange::ALL).unwrap();
    assert_eq!(decisions[0].cost, total(0), "it is no cost of answering");
    let line = reader.audit(&request("a")).unwrap().unwrap();
    assert_eq!((line.text, line.reference.as_deref()), (None, Some("fine")));
    ledger.close().await.unwrap();
    assert_eq!(place.day_sums(), [70, 0, 0]);
}

#[tokio::test]
async fn a_monitor_hears_once_of_what_was_passed_on() {
    let place = Place::new();
    let ledger = opened(&place).await;
    let passed = |name: &str, certificate: &str| Outcome {
        passed_on: Some(PassedOn {
            certificate: certificate.to_owned(),
            answer: "fraud".to_owned(),
            probability_min: 0.02,
            advance: count_up(),
        }),
        ..answered(name)
    };
    for (name, certificate) in [("a", "cert"), ("b", "cert"), ("b", "cert"), ("c", "other")] {
        ledger.record(passed(name, certificate)).await.unwrap();
    }
    assert_eq!(monitor(&ledger, "cert").await.state, "2 0");
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn who_comes_late_is_paid_and_counts_nothing() {
    let place = Place::new();
    let ledger = opened(&place).await;
    ledger.record(chosen("a", false)).await.unwrap();
    let first = ledger.end_audit(end("a", says("fraud")), count_up()).await;
    assert_eq!(first.unwrap().unwrap().state, "1 0");
    let new = NewHold {
        request: request("audit-a"),
        ..new_hold(1, "ignored", 100, 1_000)
    };
    let hold = ledger.hold(new).await.unwrap();
    let mut late = end("a", says("fine"));
    late.resolutions.push(hold.settle(usage(1, 0, 1), pico(5)));
    assert_eq!(ledger.end_audit(late, count_up()).await.unwrap(), None);
    let tally = place.reader().audit_tally("cert").unwrap();
    assert_eq!((tally.done, tally.wrong, tally.cost), (1, 0, total(5)));
    let unknown = ledger.end_audit(end("x", says("fine")), count_up()).await;
    assert!(
        matches!(unknown, Err(LedgerError::Unknown(_))),
        "{unknown:?}"
    );
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn what_is_claimed_belongs_to_one_ledger_until_that_is_closed() {
    let place = Place::new();
    let (ledger, other) = (opened(&place).await, place.open());
    for name in ["a", "b"] {
        ledger.record(chosen(name, false)).await.unwrap();
    }
    let one = ledger.claim_audits(vec![task("flag")], 1, at(3_000)).await;
    assert_eq!(one.unwrap().len(), 1);
    assert_eq!(claim(&other, 3_000).await.len(), 1);
    assert_eq!(claim(&other, 3_000).await, []);
    ledger.close().await.unwrap();
    assert_eq!(claim(&other, 3_000).await.len(), 1);
    // What is put off comes again when its time is there, and what is handed over never.
    let put_off = end("a", AuditOutcome::PutOff(at(6_000)));
    other.end_audit(put_off, count_up()).await.unwrap();
    other
        .end_audit(end("b", AuditOutcome::HandedOver), count_up())
        .await
        .unwrap();
    assert_eq!(claim(&other, 5_999).await, []);
    let again = claim(&other, 6_000).await;
    assert_eq!((again.len(), again[0].tries), (1, 1));
    let waiting = place.reader().audits_awaiting_person(&task("flag"));
    assert_eq!(waiting.unwrap(), [request("b")]);
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_persons_word_ends_an_audit_and_the_third_wrong_one_revokes() {
    let place = Place::new();
    let ledger = opened(&place).await;
    for name in ["a", "b", "c", "d"] {
        ledger.record(chosen(name, true)).await.unwrap();
    }
    assert_eq!(claim(&ledger, 3_000).await, [], "no tier is asked");
    let label = async |names: &[&str], gold: &str| {
        let correction = |name: &&str| Correction {
            request: request(name),
            gold: gold.to_owned(),
            compared: gold.to_owned(),
        };
        let given = names.iter().map(correction).collect();
        let labelled = ledger.label(task("flag"), given, (count_up(), at(7_000)));
        labelled.await.unwrap()
    };
    let labelled = label(&["a", "b", "x"], "fine").await;
    assert_eq!(
        (labelled.audits, &labelled.unknown),
        (2, &vec![request("x")])
    );
    assert_eq!(labelled.monitors.len(), 1);
    assert_eq!(labelled.monitors[0].state, "2 2");
    assert_eq!(labelled.monitors[0].revoked_at, None);
    assert_eq!(label(&["a"], "fine").await.audits, 0, "it is done");
    assert_eq!(
        label(&["c"], "fine").await.monitors[0].revoked_at,
        Some(at(7_000))
    );
    // It stays revoked, and its first moment stands.
    let later = label(&["d"], "fraud").await;
    assert_eq!(
        (
            later.monitors[0].state.as_str(),
            later.monitors[0].revoked_at
        ),
        ("4 3", Some(at(7_000)))
    );
    assert_eq!(monitor(&ledger, "cert").await.revoked_at, Some(at(7_000)));
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_monitor_that_cant_go_on_keeps_the_audit_out() {
    let place = Place::new();
    let ledger = place.open();
    let damaged = NewMonitor {
        certificate: "cert".to_owned(),
        task: task("flag"),
        beside: None,
        state: "what?".to_owned(),
    };
    ledger.open_monitor(damaged, at(100)).await.unwrap();
    ledger.record(chosen("a", false)).await.unwrap();
    let fault = ledger.end_audit(end("a", says("fine")), count_up()).await;
    assert!(fault.unwrap_err().to_string().contains("it is damaged"));
    let tally = place.reader().audit_tally("cert").unwrap();
    assert_eq!((tally.due, tally.done), (1, 0));
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn what_waits_too_long_or_for_another_certificate_is_given_up() {
    let place = Place::new();
    let ledger = opened(&place).await;
    for name in ["a", "b", "c"] {
        ledger.record(chosen(name, name == "a")).await.unwrap();
    }
    let forget = async |what| ledger.forget(what).await.unwrap();
    let one = Forgetting::Requests(task("flag"), vec![request("a"), request("x")]);
    assert_eq!(forget(one).await, 1);
    assert_eq!(forget(Forgetting::Expired(at(8_999))).await, 0);
    ledger
        .end_audit(end("b", says("fraud")), count_up())
        .await
        .unwrap();
    let beside = monitor_beside(&ledger, "other", Some("cert")).await;
    assert_eq!(beside.state, "0 0");
    assert_eq!(place.reader().audit_tally("cert").unwrap().lapsed, 1);
    assert_eq!(monitor(&ledger, "newer").await.state, "0 0");
    let tally = place.reader().audit_tally("cert").unwrap();
    assert_eq!(
        (tally.due, tally.awaiting_person, tally.done, tally.lapsed),
        (0, 0, 1, 2)
    );
    assert_eq!(claim(&ledger, 3_000).await, []);
    let reader = place.reader();
    assert_eq!(reader.audit(&request("c")).unwrap().unwrap().text, None);
    assert_eq!(reader.monitors().unwrap().len(), 3);
    ledger.close().await.unwrap();
}
