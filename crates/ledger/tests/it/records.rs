//! Records: kept with the decision or not at all, and forgotten for good.

use ledger::{
    Correction, Forgetting, KeptRecord, NewRecord, Outcome, RecordOrder, RecordQuery, RecordsOnly,
    TimeRange, Verdict,
};

use crate::place::{Place, answered, at, count_up, request, task};

/// An answered request whose text is kept until `expires`.
fn kept(name: &str, time: i64, expires: i64) -> Outcome {
    Outcome {
        at: at(time),
        record: Some(NewRecord {
            text: format!("the text of {name}"),
            content: "{}".to_owned(),
            expires_at: at(expires),
        }),
        ..answered(name)
    }
}

fn query(only: RecordsOnly, order: RecordOrder) -> RecordQuery {
    RecordQuery {
        task: task("flag"),
        range: TimeRange::ALL,
        only,
        order,
    }
}

fn read(place: &Place, query: &RecordQuery) -> Vec<KeptRecord> {
    let records = place.reader().records(query).unwrap();
    records.collect::<Result<_, _>>().unwrap()
}

fn names(records: &[KeptRecord]) -> Vec<&str> {
    records.iter().map(|it| it.request.0.as_str()).collect()
}

fn correction(name: &str, gold: &str) -> Correction {
    Correction {
        request: request(name),
        gold: gold.to_owned(),
        compared: gold.to_owned(),
    }
}

#[tokio::test]
async fn a_record_is_there_exactly_when_its_decision_is() {
    let place = Place::new();
    let ledger = place.open();
    let mut faulty = kept("a", 1_000, 9_000);
    faulty.decision.confidence = Some(f64::NAN);
    ledger.record(faulty).await.unwrap_err();
    assert_eq!(place.reader().record(&request("a")).unwrap(), None);
    ledger.record(kept("a", 1_000, 9_000)).await.unwrap();
    // The same again changes nothing.
    ledger.record(kept("a", 1_000, 9_000)).await.unwrap();
    ledger.record(answered("b")).await.unwrap();
    let record = place.reader().record(&request("a")).unwrap().unwrap();
    assert_eq!(record.text, "the text of a");
    assert_eq!(
        (record.at, record.expires_at, record.confidence),
        (at(1_000), at(9_000), Some(0.93))
    );
    assert_eq!((record.verdict.as_str(), &record.gold), ("answered", &None));
    assert_eq!(place.reader().record(&request("b")).unwrap(), None);
    assert!(!format!("{record:?}").contains("the text"));
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn all_of_many_are_read_in_their_order_from_either_end() {
    let place = Place::new();
    let ledger = place.open();
    // Several of one moment, and more than are read at a time.
    let name = |i: i64| format!("r{i:04}");
    for i in 0..700 {
        ledger
            .record(kept(&name(i), 1_000 + i / 3, 9_000))
            .await
            .unwrap();
    }
    let all: Vec<String> = (0..700).map(name).collect();
    let oldest = read(&place, &query(RecordsOnly::All, RecordOrder::OldestFirst));
    assert_eq!(names(&oldest), all);
    let newest = read(&place, &query(RecordsOnly::All, RecordOrder::NewestFirst));
    assert!(names(&newest).iter().rev().eq(&all));
    let part = RecordQuery {
        range: TimeRange::from(at(1_001)..at(1_003)),
        ..query(RecordsOnly::All, RecordOrder::OldestFirst)
    };
    assert_eq!(names(&read(&place, &part)), &all[3..9]);
    let counts = place.reader().record_counts(&part.task, part.range);
    assert_eq!(counts.unwrap().records, 6);
    let other = RecordQuery {
        task: task("other"),
        ..part
    };
    assert_eq!(read(&place, &other), []);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn right_answers_are_booked_for_known_requests_and_the_unknown_are_told() {
    let place = Place::new();
    let ledger = place.open();
    for name in ["a", "b"] {
        let mut outcome = kept(name, 1_000, 9_000);
        outcome.decision.verdict = Verdict::Review;
        ledger.record(outcome).await.unwrap();
    }
    let awaiting = query(RecordsOnly::AwaitingReview, RecordOrder::OldestFirst);
    assert_eq!(names(&read(&place, &awaiting)), ["a", "b"]);
    let given = vec![correction("a", "fraud"), correction("x", "fine")];
    let label = async |given, task| {
        let labelled = ledger.label(task, given, (count_up(), at(2_000))).await;
        labelled.unwrap().unknown
    };
    let unknown = label(given, task("flag")).await;
    assert_eq!(unknown, [request("x")]);
    assert_eq!(names(&read(&place, &awaiting)), ["b"]);
    let labelled = query(RecordsOnly::Labelled, RecordOrder::OldestFirst);
    assert_eq!(
        read(&place, &labelled)[0].gold.as_deref(),
        Some("fraud"),
        "a person's word"
    );
    // Another one corrects it; another task's requests are not touched.
    label(vec![correction("a", "fine")], task("flag")).await;
    let other = label(vec![correction("b", "fine")], task("other")).await;
    assert_eq!(other, [request("b")]);
    let labelled = read(&place, &labelled);
    assert_eq!(
        (names(&labelled), labelled[0].gold.as_deref()),
        (vec!["a"], Some("fine"))
    );
    ledger.close().await.unwrap();
}

/// Whether a text stands anywhere in the ledger's files.
fn on_disk(place: &Place, text: &str) -> bool {
    let files = std::fs::read_dir(place.dir()).unwrap();
    files.into_iter().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

#[tokio::test]
async fn what_is_forgotten_is_nowhere_on_the_disk() {
    let place = Place::new();
    let ledger = place.open();
    let long = |name: &str, time, expires| {
        let mut outcome = kept(name, time, expires);
        if let Some(record) = &mut outcome.record {
            record.text = format!("secret-of-{name} ").repeat(2_000);
        }
        outcome
    };
    for (name, time, expires) in [
        ("a", 1_000, 5_000),
        ("b", 2_000, 9_000),
        ("c", 3_000, 9_000),
    ] {
        ledger.record(long(name, time, expires)).await.unwrap();
        assert!(on_disk(&place, &format!("secret-of-{name}")));
    }
    let forget = async |what| ledger.forget(what).await.unwrap();
    assert_eq!(forget(Forgetting::Expired(at(4_999))).await, 0);
    assert_eq!(forget(Forgetting::Expired(at(5_000))).await, 1);
    assert!(!on_disk(&place, "secret-of-a") && on_disk(&place, "secret-of-b"));
    let before = |name| Forgetting::Before(task(name), at(3_000));
    assert_eq!(forget(before("other")).await, 0);
    assert_eq!(forget(before("flag")).await, 1);
    assert!(!on_disk(&place, "secret-of-b") && on_disk(&place, "secret-of-c"));
    let these = |names: &[&str]| {
        Forgetting::Requests(task("flag"), names.iter().map(|it| request(it)).collect())
    };
    assert_eq!(forget(these(&["c", "x"])).await, 1);
    assert!(!on_disk(&place, "secret-of-c"));
    let decisions = place.reader().decisions(TimeRange::ALL).unwrap();
    assert_eq!(decisions[0].requests, 3, "decisions stay");
    ledger.close().await.unwrap();
}
