//! Opening: ours, new, somebody else's, newer, and by several at once.

use ledger::{Ledger, LedgerError, Reader, TimeRange};
use rusqlite::Connection;

use crate::place::{Place, answered, new_hold, request};

/// Both ways of opening refuse the file, with this in the message, and leave it as it was.
fn check_refused(place: &Place, expected: &str) {
    let before = std::fs::read(place.file()).unwrap();
    for refused in [
        Ledger::open(&place.file()).map(|_| ()),
        Reader::open(&place.file()).map(|_| ()),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, LedgerError::Unfit { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("ledger.db"), "{error}");
    }
    assert_eq!(std::fs::read(place.file()).unwrap(), before);
}

#[test]
fn a_text_file_is_no_ledger() {
    let place = Place::new();
    std::fs::write(
        place.file(),
        "not a database, but long enough to look at".repeat(40),
    )
    .unwrap();
    check_refused(&place, "it is no SQLite database");
}

#[test]
fn another_programs_database_is_no_ledger() {
    let place = Place::new();
    let other = Connection::open(place.file()).unwrap();
    other
        .execute_batch("CREATE TABLE songs (name TEXT)")
        .unwrap();
    other.close().unwrap();
    check_refused(&place, "it is a database of another program");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::new();
    place.open().close().await.unwrap();
    let raw = Connection::open(place.file()).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    raw.close().unwrap();
    check_refused(&place, "its schema has version 99");
}

#[tokio::test]
async fn an_earlier_schema_is_brought_up_to_date_with_its_books() {
    let place = Place::new();
    let ledger = place.open();
    ledger.record(answered("a")).await.unwrap();
    ledger.close().await.unwrap();
    let raw = Connection::open(place.file()).unwrap();
    // The first schema; its view of attempts was made anew since, and is made anew again.
    raw.execute_batch(
        "DROP TABLE kept; DROP TABLE kept_sizes; DROP TABLE lessons; DROP TABLE audits; DROP TABLE monitors; DROP TABLE records;
         PRAGMA user_version = 1",
    )
    .unwrap();
    raw.close().unwrap();
    let error = Reader::open(&place.file()).unwrap_err();
    assert!(error.to_string().contains("earlier version"), "{error}");
    let ledger = place.open();
    let decisions = place.reader().decisions(TimeRange::ALL).unwrap();
    assert_eq!(decisions[0].requests, 1);
    assert_eq!(place.reader().record(&request("a")).unwrap(), None);
    ledger.close().await.unwrap();
}

#[test]
fn a_missing_file_is_not_made_by_a_reader() {
    let place = Place::new();
    let error = Reader::open(&place.file()).unwrap_err();
    assert!(matches!(error, LedgerError::Storage { .. }), "{error}");
    assert!(!place.file().exists());
    let nowhere = place.dir().join("missing").join("ledger.db");
    let error = Ledger::open(&nowhere).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn a_reader_needs_no_writer() {
    let place = Place::new();
    let ledger = place.open();
    let hold = ledger.hold(new_hold(1, "a", 10, 100)).await.unwrap();
    assert_eq!(place.day_sums(), [0, 10, 0], "beside a writer");
    drop(hold);
    ledger.close().await.unwrap();
    assert_eq!(place.day_sums(), [0, 0, 0], "after it");
}

#[tokio::test]
async fn a_closed_ledger_says_so() {
    let place = Place::new();
    let ledger = place.open();
    ledger.close().await.unwrap();
    for error in [
        ledger
            .hold(new_hold(1, "a", 10, 100))
            .await
            .map(drop)
            .unwrap_err(),
        ledger.close().await.unwrap_err(),
    ] {
        assert!(matches!(error, LedgerError::Closed), "{error}");
    }
}

#[test]
fn many_may_open_a_new_file_at_once() {
    let place = Place::new();
    let path = place.file();
    let ledgers: Vec<Ledger> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| Ledger::open(&path).unwrap()))
            .collect();
        openers
            .into_iter()
            .map(|opener| opener.join().unwrap())
            .collect()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        for (number, ledger) in (0..).zip(&ledgers) {
            drop(
                ledger
                    .hold(new_hold(number, "r", 1, 100))
                    .await
                    .unwrap()
                    .keep(),
            );
        }
        for ledger in &ledgers {
            ledger.close().await.unwrap();
        }
    });
    assert_eq!(place.day_sums(), [0, 0, 16]);
}

/// What is written once stays so, also against a hand on the file itself.
#[tokio::test]
async fn entries_resist_change() {
    let place = Place::new();
    let ledger = place.open();
    let hold = ledger.hold(new_hold(1, "a", 10, 100)).await.unwrap();
    ledger.record(crate::place::answered("a")).await.unwrap();
    drop(hold);
    ledger.close().await.unwrap();
    let raw = Connection::open(place.file()).unwrap();
    for table in ["attempts", "entries", "debits", "decisions"] {
        let rows: i64 = raw
            .query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| {
                row.get(0)
            })
            .unwrap();
        assert!(rows > 0, "{table}");
        for sql in [
            format!("DELETE FROM {table}"),
            format!("UPDATE {table} SET rowid = rowid"),
            format!(
                "UPDATE {table} SET {} = 0",
                if table == "debits" {
                    "balance"
                } else if table == "attempts" {
                    "worst_case"
                } else {
                    "at"
                }
            ),
        ] {
            // Tables without a row id refuse the second for want of a column.
            assert!(raw.execute(&sql, []).is_err(), "{sql}");
        }
    }
}

/// A balance that somebody edited is found by adding up again.
#[tokio::test]
async fn verify_finds_a_tampered_balance() {
    let place = Place::new();
    let ledger = place.open();
    let _hold = ledger.hold(new_hold(1, "a", 10, 100)).await.unwrap();
    let raw = Connection::open(place.file()).unwrap();
    raw.execute("UPDATE balances SET held = 3", []).unwrap();
    raw.execute("DELETE FROM open_holds", []).unwrap();
    let faults = place.reader().verify().unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("budget `day`"), "{faults:?}");
    assert!(
        faults[1].contains("is held but not among the open holds"),
        "{faults:?}"
    );
}
