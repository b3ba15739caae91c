//! Runs: holds of the dead are kept, those of the living left alone.

use ledger::{Adopted, AttemptState};

use crate::place::{Place, at, new_hold, total};

#[tokio::test]
async fn holds_of_living_runs_are_left_alone() {
    let place = Place::new();
    let (ledger, other) = (place.open(), place.open());
    let _own = ledger.hold(new_hold(1, "a", 10, 100)).await.unwrap();
    let _others = other.hold(new_hold(2, "b", 20, 100)).await.unwrap();
    for ledger in [&ledger, &other] {
        let adopted = ledger.adopt_orphans(at(0)).await.unwrap();
        assert_eq!(adopted, Adopted::default());
    }
    assert_eq!(place.day_sums(), [0, 30, 0]);
}

/// A ledger that is closed with an attempt still in somebody's hands leaves it to the next run.
#[tokio::test]
async fn holds_left_at_the_close_are_adopted_once() {
    let place = Place::new();
    let ledger = place.open();
    let mut hold = ledger.hold(new_hold(1, "a", 10, 100)).await.unwrap();
    hold.mark_sent();
    ledger.close().await.unwrap();
    drop(hold);
    assert_eq!(place.states("a"), [AttemptState::Held]);

    let ledger = place.open();
    let adopted = ledger.adopt_orphans(at(5_000)).await.unwrap();
    let expected = Adopted {
        attempts: 1,
        kept: total(10),
    };
    assert_eq!(adopted, expected);
    assert_eq!(place.day_sums(), [0, 0, 10]);
    assert_eq!(
        ledger.adopt_orphans(at(6_000)).await.unwrap(),
        Adopted::default()
    );
}

#[tokio::test]
async fn a_run_leaves_no_file_behind() {
    let place = Place::new();
    for _ in 0..3 {
        let ledger = place.open();
        drop(ledger.hold(new_hold(1, "a", 10, 100)).await);
        ledger.close().await.unwrap();
    }
    let names: Vec<String> = std::fs::read_dir(place.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["ledger.db"]);
}
