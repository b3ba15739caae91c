//! What clients have asked to be kept: whose it is, how much of it, and for how long.

use ledger::{Forgetting, Kept, KeptKind, KeptPage, Ledger, LedgerError};

use crate::place::{Place, at};

const MUCH: u64 = 1 << 20;

fn kept(id: &str, owner: &str, (ms, size_bytes): (i64, u64)) -> Kept {
    Kept {
        id: id.to_owned(),
        owner: owner.to_owned(),
        at: at(ms),
        expires_at: at(ms + 1_000),
        size_bytes,
        body: format!("{{\"of\":\"{id}\"}}"),
    }
}

fn page(owner: &str) -> KeptPage {
    KeptPage {
        owner: owner.to_owned(),
        after: None,
        before: None,
        newest_first: false,
        most: 100,
    }
}

fn ids(ledger: &Ledger, kind: KeptKind, page: &KeptPage) -> Vec<String> {
    let list = ledger.reader().unwrap().kept_page(kind, page).unwrap();
    list.into_iter().map(|kept| kept.id).collect()
}

#[tokio::test]
async fn nobody_sees_or_touches_what_is_anothers() {
    let place = Place::new();
    let ledger = place.open();
    let mine = kept("a", "me", (1, 10));
    ledger
        .keep(KeptKind::Response, mine.clone(), MUCH)
        .await
        .unwrap();
    let reader = ledger.reader().unwrap();
    let find = |kind, id, owner| reader.kept(kind, id, owner).unwrap();
    assert_eq!(find(KeptKind::Response, "a", "me"), Some(mine));
    assert_eq!(find(KeptKind::Response, "a", "you"), None);
    assert_eq!(find(KeptKind::File, "a", "me"), None);
    assert_eq!(ids(&ledger, KeptKind::Response, &page("you")), [""; 0]);
    let theirs = kept("a", "you", (2, 10));
    let taken = ledger.keep(KeptKind::Response, theirs, MUCH).await;
    assert!(matches!(taken, Err(LedgerError::Unknown(_))), "{taken:?}");
    let gone = |owner: &str| ledger.drop_kept(KeptKind::Response, "a".into(), owner.into());
    assert!(!gone("you").await.unwrap());
    assert!(gone("me").await.unwrap());
    assert!(!gone("me").await.unwrap());
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn the_oldest_responses_make_room_and_files_do_not() {
    let place = Place::new();
    let ledger = place.open();
    let put = |kind, id: &str, ms, size| ledger.keep(kind, kept(id, "me", (ms, size)), 100);
    put(KeptKind::File, "file", 1, 40).await.unwrap();
    for (ms, id) in (2..).zip(["a", "b", "c"]) {
        put(KeptKind::Response, id, ms, 20).await.unwrap();
    }
    ledger
        .keep(KeptKind::Response, kept("x", "you", (9, 90)), 100)
        .await
        .unwrap();
    put(KeptKind::Response, "d", 9, 30).await.unwrap();
    assert_eq!(ids(&ledger, KeptKind::Response, &page("me")), ["c", "d"]);
    assert_eq!(ids(&ledger, KeptKind::Response, &page("you")), ["x"]);
    let full = put(KeptKind::File, "more", 10, 70).await;
    assert!(
        matches!(full, Err(LedgerError::TooMuchKept { bytes_max: 100 })),
        "{full:?}"
    );
    // Nothing of what failed has happened.
    assert_eq!(ids(&ledger, KeptKind::Response, &page("me")), ["c", "d"]);
    assert_eq!(ids(&ledger, KeptKind::File, &page("me")), ["file"]);
    // What is put again counts once.
    put(KeptKind::File, "file", 1, 50).await.unwrap();
    assert_eq!(ids(&ledger, KeptKind::Response, &page("me")), ["c", "d"]);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_list_is_read_in_parts_from_both_ends() {
    let place = Place::new();
    let ledger = place.open();
    for (ms, id) in [(1, "a"), (2, "c"), (2, "b"), (3, "d")] {
        ledger
            .keep(KeptKind::Batch, kept(id, "me", (ms, 1)), MUCH)
            .await
            .unwrap();
    }
    let check = |page: KeptPage, expected: &[&str]| {
        assert_eq!(ids(&ledger, KeptKind::Batch, &page), expected, "{page:?}");
    };
    check(page("me"), &["a", "b", "c", "d"]);
    let newest = KeptPage {
        newest_first: true,
        most: 2,
        ..page("me")
    };
    check(newest.clone(), &["d", "c"]);
    check(
        KeptPage {
            after: Some("c".into()),
            ..newest.clone()
        },
        &["b", "a"],
    );
    check(
        KeptPage {
            before: Some("b".into()),
            ..newest
        },
        &["d", "c"],
    );
    check(
        KeptPage {
            after: Some("nothing".into()),
            ..page("me")
        },
        &[],
    );
    let all = ledger.reader().unwrap().all_kept(KeptKind::Batch).unwrap();
    assert_eq!(all.len(), 4);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn what_is_over_is_forgotten_and_its_room_is_free() {
    let place = Place::new();
    let ledger = place.open();
    ledger
        .keep(KeptKind::Response, kept("old", "me", (1, 60)), 100)
        .await
        .unwrap();
    ledger
        .keep(KeptKind::File, kept("new", "me", (500, 30)), 100)
        .await
        .unwrap();
    assert_eq!(
        ledger.forget(Forgetting::Expired(at(1_001))).await.unwrap(),
        1
    );
    assert_eq!(ids(&ledger, KeptKind::Response, &page("me")), [""; 0]);
    ledger
        .keep(KeptKind::File, kept("next", "me", (501, 70)), 100)
        .await
        .unwrap();
    ledger.close().await.unwrap();
}
