//! AWS's signatures of requests, version 4 (AWS, "Create a signed AWS API request"): an HMAC chain
//! over the day, the region and the service gives the key, and it signs a digest of the request.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;
use ring::digest::{SHA256, digest};
use ring::hmac;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a signature is good for.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// Signs requests of one moment.
pub(crate) struct Signing<'a> {
    key_id: &'a str,
    key: hmac::Tag,
    /// `YYYYMMDDThhmmssZ`.
    stamp: String,
    /// `YYYYMMDD/REGION/SERVICE/aws4_request`.
    scope: String,
}

impl<'a> Signing<'a> {
    /// What signs with this key, of which the id and the secret are given, at a moment in seconds
    /// since 1970.
    pub(crate) fn new((key_id, secret): (&'a str, &str), scope: Scope<'_>, unix_s: u64) -> Self {
        let seconds = i64::try_from(unix_s).unwrap_or_default();
        let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let stamp = moment.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = stamp.split('T').next().unwrap_or_default();
        let Scope { region, service } = scope;
        let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        let day_key = hmac::sign(&first, day.as_bytes());
        let key = [region, service, "aws4_request"]
            .iter()
            .fold(day_key, |key, part| sign(&key, part));
        Self {
            key_id,
            key,
            scope: format!("{day}/{region}/{service}/aws4_request"),
            stamp,
        }
    }

    /// The moment, for the header `x-amz-date`, which has to be there before signing.
    pub(crate) fn stamp(&self) -> &str {
        &self.stamp
    }

    /// The value of the header `authorization` for a request with this body.
    pub(crate) fn authorization(&self, request: &Request<Full<Bytes>>, body: &[u8]) -> String {
        let (names, headers) = signed_headers(request.uri(), request.headers());
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{names}\n{}",
            request.method(),
            path(request.uri()),
            query(request.uri()),
            hex(digest(&SHA256, body).as_ref()),
        );
        let canonical = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
        let Self {
            key_id,
            stamp,
            scope,
            ..
        } = self;
        let text = format!("{ALGORITHM}\n{stamp}\n{scope}\n{canonical}");
        let signature = hex(sign(&self.key, &text).as_ref());
        format!(
            "{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
    }
}

fn sign(key: &hmac::Tag, text: &str) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    hmac::sign(&key, text.as_bytes())
}

/// The names of the headers that are signed, and their lines: the host, the content type and AWS's
/// own. Others may be changed on the way.
fn signed_headers(uri: &Uri, headers: &HeaderMap) -> (String, String) {
    let mut signed = vec![(HOST.as_str(), host(uri))];
    for (name, value) in headers {
        if *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-") {
            let value = String::from_utf8_lossy(value.as_bytes());
            signed.push((name.as_str(), value.trim().to_owned()));
        }
    }
    signed.sort_unstable();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let lines = signed
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"));
    (names.join(";"), lines.collect())
}

/// The host as the connection tells it: without the port that its scheme has anyway.
fn host(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match (uri.scheme_str(), uri.port_u16()) {
        (Some("https"), Some(443)) | (Some("http"), Some(80)) | (_, None) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    }
}

/// The path with its characters encoded once more than they are sent, which every service but one
/// wants.
fn path(uri: &Uri) -> String {
    let mut encoded = String::new();
    for byte in uri.path().bytes() {
        match byte {
            b'/' => encoded.push('/'),
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// The parts of the query in order. What stands in them is plain.
fn query(uri: &Uri) -> String {
    let mut parts: Vec<&str> = uri.query().map_or(Vec::new(), |it| it.split('&').collect());
    parts.sort_unstable();
    parts.join("&")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
