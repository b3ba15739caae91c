//! What becomes of an attempt: once, exactly, and the same again without harm.

use ledger::{AttemptState, Booked, End, LedgerError, Resolution};

use crate::place::{Place, at, attempt, new_hold, pico, usage};

const SETTLED: End = End::Settle {
    usage: domain::Usage {
        prompt: domain::PromptTokens(900),
        cached_prompt: domain::PromptTokens(100),
        cache_write_prompt: domain::PromptTokens(0),
        completion: domain::CompletionTokens(12),
        reasoning: domain::CompletionTokens(0),
        aside: domain::Aside {
            prompt: domain::PromptTokens(0),
            cached_prompt: domain::PromptTokens(0),
            cache_write_prompt: domain::PromptTokens(0),
            completion: domain::CompletionTokens(0),
            of_another_model: false,
        },
    },
    cost: domain::Picodollars::new(70),
};

/// Books a hold of 100 and then these ends, and gives back what came of the last.
async fn after(place: &Place, ends: &[End]) -> Result<Booked, LedgerError> {
    let ledger = place.open();
    let hold = ledger.hold(new_hold(1, "r", 100, 1_000)).await.unwrap();
    let mut last = ledger.resolve(hold.settle_as(ends[0]), at(2_000)).await;
    for &end in &ends[1..] {
        assert!(last.is_ok());
        last = ledger
            .resolve(Resolution::of(attempt(1), end), at(3_000))
            .await;
    }
    ledger.close().await.unwrap();
    last
}

/// Ends a hold as a value says.
trait SettleAs {
    fn settle_as(self, end: End) -> Resolution;
}

impl SettleAs for ledger::Hold {
    fn settle_as(self, end: End) -> Resolution {
        match end {
            End::Settle { usage, cost } => self.settle(usage, cost),
            End::Release => self.release(),
            End::Keep => self.keep(),
        }
    }
}

#[tokio::test]
async fn every_end_moves_the_hold_to_its_account() {
    let settled = AttemptState::Settled {
        usage: usage(900, 100, 12),
        cost: pico(70),
    };
    for (ends, sums, state) in [
        (&[SETTLED][..], [70, 0, 0], settled),
        (&[End::Release], [0, 0, 0], AttemptState::Released),
        (&[End::Keep], [0, 0, 100], AttemptState::Unknown),
        (&[End::Keep, SETTLED], [70, 0, 0], settled),
        (
            &[End::Keep, End::Release],
            [0, 0, 0],
            AttemptState::Released,
        ),
    ] {
        let place = Place::new();
        assert_eq!(after(&place, ends).await.unwrap().over_hold, None);
        assert_eq!(place.day_sums(), sums, "{ends:?}");
        assert_eq!(place.states("r"), [state], "{ends:?}");
    }
}

#[tokio::test]
async fn the_same_end_again_changes_nothing() {
    for (ends, sums) in [
        (&[SETTLED, SETTLED][..], [70, 0, 0]),
        (&[End::Release, End::Release], [0, 0, 0]),
        (&[End::Keep, End::Keep], [0, 0, 100]),
        // The message of an earlier step may arrive again after a later one.
        (&[End::Keep, SETTLED, End::Keep, SETTLED], [70, 0, 0]),
    ] {
        let place = Place::new();
        after(&place, ends).await.unwrap();
        assert_eq!(place.day_sums(), sums, "{ends:?}");
    }
}

#[tokio::test]
async fn another_end_is_refused_and_changes_nothing() {
    let dearer = End::Settle {
        usage: usage(900, 100, 12),
        cost: pico(71),
    };
    let other_usage = End::Settle {
        usage: usage(901, 100, 12),
        cost: pico(70),
    };
    for (ends, sums) in [
        (&[SETTLED, dearer][..], [70, 0, 0]),
        (&[SETTLED, other_usage], [70, 0, 0]),
        (&[SETTLED, End::Release], [70, 0, 0]),
        (&[SETTLED, End::Keep], [70, 0, 0]),
        (&[End::Release, SETTLED], [0, 0, 0]),
        (&[End::Release, End::Keep], [0, 0, 0]),
        (&[End::Keep, End::Release, SETTLED], [0, 0, 0]),
    ] {
        let place = Place::new();
        let error = after(&place, ends).await.unwrap_err();
        assert!(
            matches!(error, LedgerError::Contradiction { .. }),
            "{ends:?}: {error}"
        );
        assert!(!error.is_retryable());
        assert_eq!(place.day_sums(), sums, "{ends:?}");
    }
}

#[tokio::test]
async fn a_cost_above_the_hold_is_booked_exactly_and_reported() {
    let place = Place::new();
    let dear = End::Settle {
        usage: usage(1, 0, 1),
        cost: pico(130),
    };
    let booked = after(&place, &[dear]).await.unwrap();
    assert_eq!(booked.over_hold, Some(pico(30)));
    assert_eq!(place.day_sums(), [130, 0, 0]);
}

#[tokio::test]
async fn what_cannot_be_booked_is_refused_with_a_reason() {
    let place = Place::new();
    let ledger = place.open();
    let unknown = Resolution::of(attempt(9), End::Keep);
    let error = ledger.resolve(unknown, at(0)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unknown(_)), "{error}");

    let hold = ledger.hold(new_hold(1, "r", 100, 1_000)).await.unwrap();
    for (cost, tokens) in [(-1, 1), (1, u64::MAX)] {
        let end = End::Settle {
            usage: usage(tokens, 0, 0),
            cost: pico(cost),
        };
        let error = ledger
            .resolve(Resolution::of(hold.attempt(), end), at(0))
            .await
            .unwrap_err();
        assert!(matches!(error, LedgerError::Invalid(_)), "{error}");
    }
    assert_eq!(place.day_sums(), [0, 100, 0]);
    drop(hold);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_window_beyond_64_bits_is_refused_and_not_rounded() {
    let place = Place::new();
    let ledger = place.open();
    let most = i64::MAX;
    for number in [1, 2] {
        let hold = ledger.hold(new_hold(number, "r", 0, most)).await.unwrap();
        let resolution = hold.settle(usage(1, 0, 1), pico(most));
        let booked = ledger.resolve(resolution, at(0)).await;
        if number == 1 {
            assert_eq!(booked.unwrap().over_hold, Some(pico(most)));
        } else {
            assert!(matches!(booked, Err(LedgerError::Invalid(_))), "{booked:?}");
        }
        // A hold of nothing asks for no room, so the second one is given.
    }
    assert_eq!(place.day_sums(), [most, 0, 0]);
    ledger.close().await.unwrap();
}
