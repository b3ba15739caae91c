//! The one place that reads the clock for what is stored.

use std::time::SystemTime;

use ledger::Timestamp;

use crate::config::Window;

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// A moment in seconds since 1970 as RFC 3339 writes it.
pub(crate) fn rfc3339(unix_s: u64) -> String {
    let seconds = i64::try_from(unix_s).unwrap_or_default();
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_string()
}

/// When a budget's window that is open at `at` began (UTC).
pub(crate) fn window_start(window: Window, at: Timestamp) -> Timestamp {
    let date = date_of(at);
    let first = match window {
        Window::Total => return Timestamp::from_unix_ms(0),
        Window::Day => date,
        Window::Month => date.first_of_month(),
    };
    midnight(first)
}

/// The day (UTC) of a moment.
pub(crate) fn date_of(at: Timestamp) -> jiff::civil::Date {
    jiff::Timestamp::from_millisecond(at.unix_ms())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}

/// The moment at which a day (UTC) begins.
pub(crate) fn midnight(date: jiff::civil::Date) -> Timestamp {
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC);
    Timestamp::from_unix_ms(zoned.map_or(0, |zoned| zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_at_utc_midnight() {
        let at = Timestamp::from_unix_ms(1_795_424_321_987); // 2026-11-23T08:58:41.987Z
        let start = |window| window_start(window, at).unix_ms();
        assert_eq!(date_of(at), jiff::civil::date(2026, 11, 23));
        assert_eq!(start(Window::Total), 0);
        assert_eq!(
            start(Window::Day),
            midnight(jiff::civil::date(2026, 11, 23)).unix_ms()
        );
        assert_eq!(
            start(Window::Month),
            midnight(jiff::civil::date(2026, 11, 1)).unix_ms()
        );
        assert_eq!(start(Window::Day) % 86_400_000, 0);
    }
}
