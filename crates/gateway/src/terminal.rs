//! What a person at the terminal reads.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Prints a line of what was asked for.
pub(crate) fn say(text: impl Display) {
    // A reader who has closed the pipe wants no more.
    let _closed = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line about how it went.
pub(crate) fn complain(text: impl Display) {
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}

/// An empty table with this header, in the style of all reports.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header(header.to_vec());
    table
}

/// An empty table whose first column holds names and whose others hold figures.
pub(crate) fn figures(header: &[&str]) -> Table {
    let mut table = table(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A bar on the terminal, if there is one, after this template of indicatif; `{rate}` is the
/// number of steps a second.
pub(crate) fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| unreachable!("the templates are right"))
        .with_key(
            "rate",
            |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                let _infallible = write!(text, "{:.0}/s", state.per_sec());
            },
        )
        .progress_chars("=> ");
    ProgressBar::new(length).with_style(style)
}

/// A sign on the terminal, if there is one, that work of unknown length goes on.
pub(crate) fn spinner(what: String) -> ProgressBar {
    const TICK: Duration = Duration::from_millis(100);
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(TICK);
    spinner
}

/// A share, 0 to 1, as percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A share, 0 to 1, as percent with as few digits as it has: `2 %`, `0.5 %`, `99.9 %`.
pub(crate) fn percent_short(share: f64) -> String {
    // What binary fractions add to a share such as 0.07 is far below this.
    const DIGITS: f64 = 1e6;
    format!("{} %", (share * 100.0 * DIGITS).round() / DIGITS)
}

/// A count with its thousands parted.
pub(crate) fn count(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_shown_with_its_own_digits() {
        for (share, text) in [
            (0.02, "2 %"),
            (0.07, "7 %"),
            (0.005, "0.5 %"),
            (1.0 - 0.05, "95 %"),
        ] {
            assert_eq!(percent_short(share), text);
        }
    }

    #[test]
    fn counts_are_parted_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
    }
}
