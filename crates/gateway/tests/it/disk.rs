//! A disk that is full: nothing is lost, and the run goes on when there is room.

use std::process::Command;

use crate::workplace::{LLAMA, Ran, Workplace, config, matters, tally};

/// Runs the program on a small file system of its own that a ballast fills up, then without the
/// ballast. `None` where the system allows no file system of one's own.
fn on_a_small_disk(place: &Workplace, script: &str) -> Option<Ran> {
    let allowed = Command::new("unshare").args(["-rm", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("skipped: `unshare -rm` is not allowed here");
        return None;
    }
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "sh", "-c", script])
        .current_dir(place.path(""));
    command.env("TIERGATE", env!("CARGO_BIN_EXE_tiergate"));
    Some(Ran::from(command.output().unwrap()))
}

fn place(data_dir: &str) -> Workplace {
    let place = Workplace::new();
    let sections = format!("data_dir = \"{data_dir}\"\n{LLAMA}");
    place.write(
        "tiergate.toml",
        config(&["llama"], &sections, "sensitivity = \"internal\""),
    );
    place.write("in.jsonl", matters(300));
    std::fs::create_dir(place.path("disk")).unwrap();
    place
}

#[test]
fn a_ledger_without_room_stops_the_run_and_nothing_is_lost() {
    let place = place("disk/data");
    let script = r#"
        mount -t tmpfs -o size=1m tmpfs disk
        head -c 700k /dev/zero > disk/ballast
        "$TIERGATE" run classify in.jsonl -o out.jsonl; echo "first $?"
        test -e out.jsonl && echo "half-done output"
        rm disk/ballast
        mount -o remount,size=16m disk
        "$TIERGATE" run classify in.jsonl -o out.jsonl --json > summary.json; echo "second $?"
    "#;
    let Some(ran) = on_a_small_disk(&place, script) else {
        return;
    };
    assert!(
        ran.out.contains("first 1") && ran.out.contains("second 0"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("half-done"), "{ran:?}");
    assert!(
        ran.err
            .contains("no space is left for `disk/data/ledger.sqlite`"),
        "{ran:?}"
    );
    let results = place.results("out.jsonl");
    assert_eq!(
        (results.len(), tally(&results, "status")["answered"]),
        (300, 300)
    );
    let summary: serde_json::Value = serde_json::from_str(&place.read("summary.json")).unwrap();
    assert!(
        summary["already"].as_u64().unwrap() > 0,
        "what was booked is not redone: {summary}"
    );
}

#[test]
fn an_output_without_room_is_written_when_there_is_some() {
    let place = place("data");
    let script = r#"
        mount -t tmpfs -o size=64k tmpfs disk
        "$TIERGATE" run classify in.jsonl -o disk/out.jsonl; echo "first $?"
        ls disk
        mount -o remount,size=16m disk
        "$TIERGATE" run classify in.jsonl -o disk/out.jsonl --json > summary.json; echo "second $?"
        wc -l < disk/out.jsonl
    "#;
    let Some(ran) = on_a_small_disk(&place, script) else {
        return;
    };
    assert!(
        ran.out.contains("first 1") && ran.out.contains("second 0"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("\n300\n") && !ran.out.contains("part"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("make room and run the same command again"),
        "{ran:?}"
    );
    let summary: serde_json::Value = serde_json::from_str(&place.read("summary.json")).unwrap();
    assert_eq!(summary["already"], 300, "nothing is asked again");
}
