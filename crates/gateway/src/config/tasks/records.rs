//! Checks of a task's records: the labelled ones it is given, and whether new ones are kept.

use std::ops::Range;

use domain::Sensitivity;

use super::Draft;
use crate::config::check::Checks;
use crate::config::checked::RecordsSource;
use crate::config::path::Path;
use crate::config::raw::{RawRecords, RawTask};

/// Where labelled records are, if any are named.
pub(super) fn check_source(
    checks: &mut Checks<'_, '_>,
    raw: &RawTask,
    path: &Path,
) -> Option<RecordsSource> {
    let path = path.key("records");
    let RawRecords {
        path: file,
        rows,
        text,
        gold,
        keep,
        days: _,
    } = raw.records.as_ref()?;
    if file.is_none() && *keep != Some(true) {
        checks.faults.add_missing(&path.key("path"));
    }
    let place = path.key("rows");
    let range = rows.as_deref().map_or(Some(0..usize::MAX), parse_rows);
    if range.is_none() {
        checks
            .faults
            .add_value(&place, "is no range of rows with at least one row");
    }
    let text = checks.text(&path.key("text"), text.as_ref());
    let gold = checks.text(&path.key("gold"), gold.as_ref());
    Some(RecordsSource {
        path: checks.file(&path.key("path"), file.as_ref())?,
        rows: range?,
        text: text.unwrap_or_else(|| "text".to_owned()),
        gold: gold.unwrap_or_else(|| "gold".to_owned()),
    })
}

/// For how many days new records are kept, if they are.
pub(super) fn check_keep(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<u16> {
    let path = draft.path.key("records");
    let records = draft.raw.records.as_ref()?;
    let days = checks.count(&path.key("days"), records.days, 30);
    if records.keep != Some(true) {
        return None;
    }
    if draft.sensitivity == Sensitivity::Restricted {
        let fault = "a restricted text is never kept; leave it out";
        checks.faults.add(&path.key("keep"), fault);
    }
    u16::try_from(days).ok()
}

/// The range that a text like `..4000` names; `None` when it is none, or empty.
fn parse_rows(text: &str) -> Option<Range<usize>> {
    let (start, end) = text.split_once("..")?;
    let bound = |text: &str, open: usize| match text {
        "" => Some(open),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    let rows = bound(start, 0)?..bound(end, usize::MAX)?;
    (!rows.is_empty()).then_some(rows)
}
