//! Holds whose owner goes away: no room is taken for ever, and no bill goes unseen.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use ledger::{AttemptState, End, Ledger, Resolution};

use crate::place::{Place, answered, at, new_hold, pico, usage};

/// Lets the ledger book what was dropped before.
async fn settle_down(ledger: &Ledger) {
    // The first answer comes after all earlier ones were given, or had nobody to be given to;
    // what was dropped until then is booked before the second.
    for _ in 0..2 {
        ledger.adopt_orphans(at(0)).await.unwrap();
    }
}

/// LiteLLM #30522: a client that leaves before its request is sent takes its room along.
#[tokio::test]
async fn a_hold_dropped_before_sending_is_released() {
    let place = Place::new();
    let ledger = place.open();
    drop(ledger.hold(new_hold(1, "a", 100, 100)).await.unwrap());
    // The next attempt finds the room already: there is no window of phantom refusals.
    let _hold = ledger.hold(new_hold(2, "b", 100, 100)).await.unwrap();
    assert_eq!(place.states("a"), [AttemptState::Released]);
}

/// LiteLLM #37558: a stream that is cut counts as free.
#[tokio::test]
async fn a_hold_dropped_after_sending_is_kept() {
    let place = Place::new();
    let ledger = place.open();
    let mut hold = ledger.hold(new_hold(1, "a", 60, 100)).await.unwrap();
    hold.mark_sent();
    drop(hold);
    settle_down(&ledger).await;
    assert_eq!(place.states("a"), [AttemptState::Unknown]);
    assert_eq!(place.day_sums(), [0, 0, 60]);
}

#[tokio::test]
async fn a_resolution_dropped_on_its_way_is_booked_as_it_says() {
    let place = Place::new();
    let ledger = place.open();
    let mut hold = ledger.hold(new_hold(1, "a", 60, 100)).await.unwrap();
    hold.mark_sent();
    drop(hold.settle(usage(9, 0, 9), pico(11)));
    // Inside an outcome that is never awaited, it is the same.
    let hold = ledger.hold(new_hold(2, "b", 60, 100)).await.unwrap();
    let mut outcome = answered("b");
    outcome
        .resolutions
        .push(hold.settle(usage(9, 0, 9), pico(12)));
    drop(ledger.record(outcome));
    settle_down(&ledger).await;
    assert_eq!(place.day_sums(), [23, 0, 0]);
}

/// The caller goes away while the hold is on its way to the disk: nobody will ever send.
#[tokio::test]
async fn a_hold_nobody_waits_for_any_more_is_released() {
    let place = Place::new();
    let ledger = place.open();
    for number in 0..50 {
        let mut hold = pin!(ledger.hold(new_hold(number, "r", 100, 5_000)));
        poll_fn(|context| {
            // Handed in, and not waited for.
            assert!(hold.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    settle_down(&ledger).await;
    assert_eq!(place.states("r").len(), 50);
    assert!(
        place
            .states("r")
            .iter()
            .all(|&state| state == AttemptState::Released)
    );
    assert_eq!(place.day_sums(), [0, 0, 0]);
}

/// What was said of an attempt by its id outweighs what its dropped hold would say.
#[tokio::test]
async fn a_dropped_hold_takes_nothing_back() {
    let place = Place::new();
    let ledger = place.open();
    let unsent = ledger.hold(new_hold(1, "a", 60, 200)).await.unwrap();
    let mut sent = ledger.hold(new_hold(2, "b", 70, 200)).await.unwrap();
    sent.mark_sent();
    for (hold, end) in [(unsent, End::Keep), (sent, End::Release)] {
        let resolution = Resolution::of(hold.attempt(), end);
        ledger.resolve(resolution, at(0)).await.unwrap();
        drop(hold);
    }
    settle_down(&ledger).await;
    assert_eq!(place.day_sums(), [0, 0, 60]);
}

/// A record that is refused still books what its attempts cost.
#[tokio::test]
async fn the_money_of_a_refused_record_is_booked() {
    let place = Place::new();
    let ledger = place.open();
    ledger.record(answered("a")).await.unwrap();
    let hold = ledger.hold(new_hold(1, "a", 60, 100)).await.unwrap();
    let mut other = answered("a");
    other.decision.escalations += 1;
    other
        .resolutions
        .push(hold.settle(usage(9, 0, 9), pico(11)));
    ledger.record(other).await.unwrap_err();
    settle_down(&ledger).await;
    assert_eq!(place.day_sums(), [11, 0, 0]);
}

#[tokio::test]
async fn closing_books_what_was_dropped() {
    let place = Place::new();
    let ledger = place.open();
    let hold = ledger.hold(new_hold(1, "a", 60, 100)).await.unwrap();
    drop(hold.keep());
    ledger.close().await.unwrap();
    assert_eq!(place.day_sums(), [0, 0, 60]);
}
