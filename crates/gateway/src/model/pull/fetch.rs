//! The fetching itself: it goes on after a connection that was cut, from where it was.

use std::io;
use std::time::Duration;

use indicatif::{DecimalBytes, ProgressBar};
use upstream::{Address, DownloadError, Downloads};

use super::part::Part;
use super::source::explained;
use crate::terminal::{self, complain};

/// How often in a row it may fail without a byte in between.
const FAILURES_MAX: u32 = 5;
/// How long it waits after the first of them; twice as long after each that follows.
const WAIT: Duration = Duration::from_millis(250);
const PROGRESS: &str = "[{bar:40}] {decimal_bytes}/{decimal_total_bytes}, \
                        {decimal_bytes_per_sec}, {eta} left";

/// Why one connection brought no more.
enum Failure {
    /// Another may do better.
    Passing(DownloadError),
    /// None will.
    Lasting(anyhow::Error),
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        Self::Passing(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Lasting(error)
    }
}

/// Fetches what is missing of a part.
///
/// # Errors
/// When the server can't be reached or refuses, the file is not the one expected, or the disk is
/// full; the message says what to do. What has come is kept.
pub(super) async fn fetch(
    (downloads, endpoint): (&Downloads, &Address),
    address: &Address,
    expected: Option<&str>,
    part: &mut Part<'_>,
) -> anyhow::Result<()> {
    let bar = terminal::bar(0, PROGRESS);
    let mut failures = 0;
    let mut begun = false;
    while !part.is_whole() {
        let before = part.bytes();
        let failure = match connection(downloads, address, expected, part, &bar).await {
            Ok(()) => break,
            Err(Failure::Lasting(error)) => return Err(error),
            Err(Failure::Passing(error)) => error,
        };
        let came = part.bytes() > before;
        begun |= came;
        failures = if came { 1 } else { failures + 1 };
        if matches!(failure, DownloadError::Changed { .. }) && failures <= FAILURES_MAX {
            complain(format_args!("{failure}; it is fetched anew"));
            part.forget()?;
            continue;
        }
        // A server that gives nothing at all is told at once: its name may be wrong.
        if !begun || !failure.is_retryable() || failures > FAILURES_MAX {
            return Err(explained(failure, endpoint));
        }
        bar.suspend(|| complain(format_args!("{failure}; trying again")));
        tokio::time::sleep(WAIT * 2_u32.pow(failures - 1)).await;
    }
    bar.finish_and_clear();
    part.check_not_empty()
}

/// Fetches as much as one connection gives.
async fn connection(
    downloads: &Downloads,
    address: &Address,
    expected: Option<&str>,
    part: &mut Part<'_>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut download = downloads.fetch(address, &part.begun()).await?;
    if let (Some(expected), Some(said)) = (expected, &download.sha256)
        && expected != said
    {
        return Err(Failure::Lasting(anyhow::anyhow!(
            "{} says that the file's SHA-256 is {said}, and {expected} was asked for; nothing \
             was fetched",
            download.host
        )));
    }
    let goes_on = download.start_bytes > 0;
    part.begin(&download).map_err(|error| disk(error, part))?;
    part.check_room()?;
    announce(&download.host, goes_on, part);
    bar.set_length(download.size_bytes.unwrap_or(0));
    bar.set_position(part.bytes());
    bar.reset_eta();
    let mut checked = goes_on;
    while let Some(bytes) = download.next().await? {
        part.append(&bytes).map_err(|error| disk(error, part))?;
        if !checked {
            part.check_magic()?;
            checked = part.bytes() >= 4;
        }
        bar.set_position(part.bytes());
    }
    Ok(())
}

fn announce(host: &str, goes_on: bool, part: &Part<'_>) {
    let size = match part.record().size_bytes {
        Some(size) => DecimalBytes(size).to_string(),
        None => "a file of unknown size".to_owned(),
    };
    if goes_on {
        let there = DecimalBytes(part.bytes());
        complain(format_args!("going on at {there} of {size} from {host}"));
    } else {
        complain(format_args!("fetching {size} from {host}"));
    }
}

fn disk(error: io::Error, part: &Part<'_>) -> Failure {
    let there = DecimalBytes(part.bytes());
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("the disk is full; make room, then pull again: the {there} there are kept")
        }
        _ => format!("the file can't be written after {there}"),
    };
    Failure::Lasting(anyhow::Error::new(error).context(advice))
}
