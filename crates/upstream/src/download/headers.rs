//! What servers say of a file in the headers of their answers.

use http::HeaderMap;
use http::header::{CONTENT_RANGE, ETAG, HeaderName};

/// Where Hugging Face says what a file is before it sends on to where it lies.
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
pub(super) const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A header that is a number.
pub(super) fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// The mark of a version whose bytes are all the same. A weak one (`W/"…"`) is none.
pub(super) fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = text(headers, &ETAG)?;
    (etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2).then(|| etag.to_owned())
}

/// The SHA-256 of the file, where the header is one, as lower-case hexadecimal digits.
pub(super) fn linked_sha256(headers: &HeaderMap) -> Option<String> {
    let digits = text(headers, &LINKED_ETAG)?.trim_matches('"');
    let right = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    right.then(|| digits.to_ascii_lowercase())
}

/// Where a part begins, and the size of the whole: `bytes 100-199/200`.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = text(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (places, size) = range.split_once('/')?;
    let (start, end) = places.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    let size = match size {
        "*" => None,
        size => Some(size.parse().ok()?),
    };
    // A part that stops short of the end would look whole.
    let to_the_end = size.is_none_or(|size: u64| end.checked_add(1) == Some(size));
    (start <= end && to_the_end).then_some((start, size))
}
