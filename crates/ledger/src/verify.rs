//! Adding the books up again from their lines.

use std::collections::BTreeMap;

use domain::Picodollars;
use rusqlite::Connection;

use crate::budgets::balances;
use crate::ids::{AttemptId, Timestamp};
use crate::total::Total;

const DEBITED: &str = "
    SELECT b.budget, b.window_start, a.state, a.worst_case, a.cost
    FROM debits d
    JOIN attempt_states a ON a.id = d.attempt
    JOIN balances b ON b.id = d.balance";
const HELD_BUT_NOT_OPEN: &str = "
    SELECT id FROM attempts
    WHERE NOT EXISTS (SELECT 1 FROM entries WHERE attempt = id)
      AND NOT EXISTS (SELECT 1 FROM open_holds WHERE attempt = id)";
const OPEN_BUT_NOT_HELD: &str = "
    SELECT o.attempt FROM open_holds o
    WHERE EXISTS (SELECT 1 FROM entries e WHERE e.attempt = o.attempt)";
const ENDED_TWICE: &str = "
    SELECT s.attempt FROM entries s
    JOIN entries r ON r.attempt = s.attempt AND r.kind = 'release'
    WHERE s.kind = 'settle'";
const INTEGRITY: &str = "PRAGMA integrity_check";
const FOREIGN_KEYS: &str = "PRAGMA foreign_key_check";

/// What doesn't agree.
pub(crate) fn verify(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut faults = Vec::new();
    check_file(connection, &mut faults)?;
    check_balances(connection, &mut faults)?;
    for (sql, what) in [
        (HELD_BUT_NOT_OPEN, "is held but not among the open holds"),
        (OPEN_BUT_NOT_HELD, "is among the open holds but not held"),
        (ENDED_TWICE, "is both settled and released"),
    ] {
        let mut statement = connection.prepare(sql)?;
        let attempts = statement.query_map([], |row| row.get(0).map(AttemptId::from_bytes))?;
        for attempt in attempts {
            faults.push(format!("attempt {} {what}", attempt?));
        }
    }
    Ok(faults)
}

fn check_file(connection: &Connection, faults: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(INTEGRITY)?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    for line in lines {
        let line = line?;
        if line != "ok" {
            faults.push(line);
        }
    }
    let mut statement = connection.prepare(FOREIGN_KEYS)?;
    let tables = statement.query_map([], |row| row.get::<_, String>(0))?;
    for table in tables {
        faults.push(format!("a row of `{}` refers to nothing", table?));
    }
    Ok(())
}

fn check_balances(connection: &Connection, faults: &mut Vec<String>) -> rusqlite::Result<()> {
    // Settled, held, kept.
    let mut sums: BTreeMap<(String, Timestamp), [Total; 3]> = BTreeMap::new();
    let mut statement = connection.prepare(DEBITED)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let window = (row.get(0)?, Timestamp::from_unix_ms(row.get(1)?));
        let sums = sums.entry(window).or_default();
        let worst_case = Picodollars::new(row.get(3)?);
        match row.get_ref(2)?.as_str()? {
            "settled" => sums[0] += Picodollars::new(row.get(4)?).into(),
            "held" => sums[1] += worst_case.into(),
            "unknown" => sums[2] += worst_case.into(),
            _released => {}
        }
    }
    for balance in balances(connection)? {
        let booked = [balance.settled, balance.held, balance.kept].map(Total::from);
        let window = (balance.budget, balance.window_start);
        let sums = sums.remove(&window).unwrap_or_default();
        if booked != sums {
            let show = |sums: [Total; 3]| sums.map(Total::to_usd).join(", ");
            faults.push(format!(
                "budget `{}` from {} on: settled, held and kept are booked as {} USD, but its lines add up to {}",
                window.0,
                window.1.unix_ms(),
                show(booked),
                show(sums)
            ));
        }
    }
    Ok(())
}
