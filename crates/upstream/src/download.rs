//! Files fetched whole or from a place on, for a caller who keeps what has come.

mod error;
mod headers;

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, IF_RANGE, LOCATION, RANGE,
    USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

pub use self::error::{DownloadError, Stop};
use self::headers::{LINKED_SIZE, content_range, linked_sha256, number, strong_etag};
use crate::address::Address;
use crate::egress::{Egress, HttpClient};

/// How often a server may send on to another.
const REDIRECTS_MAX: usize = 10;

/// How files are fetched.
#[derive(Clone, Debug)]
pub struct DownloadOptions {
    /// A token, and the only server (scheme, host and port) that gets it.
    pub token: Option<(Address, SecretString)>,
    /// For name look-up, connection and TLS. Default 10 s.
    pub connect: Duration,
    /// For the head of an answer, and between two pieces of a body. Default 30 s.
    pub idle: Duration,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            token: None,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
        }
    }
}

/// Fetches files. Its `Debug` does not show the token.
#[derive(Clone, Debug)]
pub struct Downloads {
    client: HttpClient,
    token: Option<(Address, HeaderValue)>,
    connect: Duration,
    idle: Duration,
}

/// What is there of a file already, and what is known of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Bytes from its start that are there; 0 for none.
    pub bytes: u64,
    /// The server's mark of the version that they are of.
    pub etag: Option<String>,
    /// The size of the whole.
    pub size_bytes: Option<u64>,
    /// The SHA-256 of the whole, as lower-case hexadecimal digits.
    pub sha256: Option<String>,
}

/// A file on its way. Dropping it ends the connection.
#[derive(Debug)]
pub struct Download {
    /// The server that sends it: host, and port if any.
    pub host: String,
    /// Where in the file it begins: 0, or the [`Begun::bytes`] that were asked for.
    pub start_bytes: u64,
    /// The size of the whole file, where the server says it.
    pub size_bytes: Option<u64>,
    /// The server's strong mark of this version.
    pub etag: Option<String>,
    /// The SHA-256 of the whole, where the first server says it, as lower-case hexadecimal digits.
    pub sha256: Option<String>,
    body: Incoming,
    /// Bytes of the file up to where it has come.
    reached_bytes: u64,
    idle: Duration,
}

/// What the servers on the way said of the file; the first that speaks counts, because it is the
/// one that was asked.
#[derive(Default)]
struct Linked {
    sha256: Option<String>,
    size_bytes: Option<u64>,
}

impl Downloads {
    /// What fetches files through this way out.
    ///
    /// # Errors
    /// [`DownloadError::Token`].
    pub fn new(egress: &Egress, options: &DownloadOptions) -> Result<Self, DownloadError> {
        let token = |(address, token): &(Address, SecretString)| {
            let token = token.expose_secret();
            let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            let value = plain.then(|| HeaderValue::try_from(format!("Bearer {token}")));
            let Some(Ok(mut value)) = value else {
                return Err(DownloadError::Token);
            };
            value.set_sensitive(true);
            Ok((address.clone(), value))
        };
        Ok(Self {
            client: egress.http_client(options.connect),
            token: options.token.as_ref().map(token).transpose()?,
            connect: options.connect,
            idle: options.idle,
        })
    }

    /// The file at this address, from where `begun` ends if the server can do that and the file
    /// is the same still, or else from its start: see [`Download::start_bytes`].
    ///
    /// # Errors
    /// When there is no connection, the server refuses or its answer makes no sense;
    /// [`DownloadError::Changed`] where only starting anew helps.
    ///
    /// # Cancel safety
    /// When dropped midway, nothing is left open.
    pub async fn fetch(&self, address: &Address, begun: &Begun) -> Result<Download, DownloadError> {
        let (host, answer, linked) = self.follow(address, begun).await?;
        let wrong = |fault: &str| DownloadError::Wrong {
            host: host.clone(),
            fault: fault.to_owned(),
        };
        let headers = answer.headers();
        if headers
            .get(CONTENT_ENCODING)
            .is_some_and(|coding| coding != "identity")
        {
            return Err(wrong("the file is packed, and that was not asked for"));
        }
        let (start_bytes, said_bytes) = match answer.status() {
            StatusCode::OK => (0, number(headers, &CONTENT_LENGTH)),
            StatusCode::PARTIAL_CONTENT => match content_range(headers) {
                Some((start, size)) if start == begun.bytes && begun.bytes > 0 => (start, size),
                _ => return Err(wrong("it is another part of the file than was asked for")),
            },
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(DownloadError::Changed { host }),
            status => {
                let status = status.as_u16();
                return Err(DownloadError::Status { host, status });
            }
        };
        if let (Some(linked), Some(said)) = (linked.size_bytes, said_bytes)
            && linked != said
        {
            let fault = format!("the file has {said} bytes, and was said to have {linked}");
            return Err(wrong(&fault));
        }
        let download = Download {
            start_bytes,
            size_bytes: said_bytes.or(linked.size_bytes),
            etag: strong_etag(headers),
            sha256: linked.sha256,
            body: answer.into_body(),
            reached_bytes: start_bytes,
            idle: self.idle,
            host,
        };
        if start_bytes > 0 && download.differs_from(begun) {
            return Err(DownloadError::Changed {
                host: download.host,
            });
        }
        Ok(download)
    }

    /// A small text, at most `bytes_max` of it.
    ///
    /// # Errors
    /// As [`Self::fetch`], and where it has more bytes.
    pub async fn text(
        &self,
        address: &Address,
        bytes_max: usize,
    ) -> Result<Vec<u8>, DownloadError> {
        let mut download = self.fetch(address, &Begun::default()).await?;
        let mut text = Vec::new();
        while let Some(bytes) = download.next().await? {
            if text.len() + bytes.len() > bytes_max {
                let fault = format!("it has more than {bytes_max} bytes");
                let host = download.host;
                return Err(DownloadError::Wrong { host, fault });
            }
            text.extend_from_slice(&bytes);
        }
        Ok(text)
    }

    /// The first answer that is no redirect, with the host that gave it.
    async fn follow(
        &self,
        address: &Address,
        begun: &Begun,
    ) -> Result<(String, Response<Incoming>, Linked), DownloadError> {
        let mut address = address.clone();
        let mut linked = Linked::default();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.ask(&address, begun).await?;
            let headers = answer.headers();
            linked.sha256 = linked.sha256.or_else(|| linked_sha256(headers));
            linked.size_bytes = linked.size_bytes.or_else(|| number(headers, &LINKED_SIZE));
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((address.host(), answer, linked));
            }
            let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let next = match location {
                Some(location) => address.redirect(location),
                None => Err("and does not say to which".to_owned()),
            };
            let host = address.host();
            address = next.map_err(|fault| DownloadError::Redirect { host, fault })?;
        }
        Err(DownloadError::Redirect {
            host: address.host(),
            fault: format!("as {REDIRECTS_MAX} others did before it"),
        })
    }

    async fn ask(
        &self,
        address: &Address,
        begun: &Begun,
    ) -> Result<Response<Incoming>, DownloadError> {
        let host = address.host();
        let mut request = Request::get(address.uri().clone());
        if let Some(headers) = request.headers_mut() {
            self.write_headers(headers, address, begun);
        }
        let request = request
            .body(Full::<Bytes>::default())
            .unwrap_or_else(|_| unreachable!("address and headers are sound"));
        // Connecting has a limit of its own, so that its end is told apart.
        match timeout(self.connect + self.idle, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_connect() => Err(DownloadError::Unreachable {
                host,
                cause: crate::client::unreached(&error, self.connect),
            }),
            Ok(Err(_cut)) => Err(broken(host, Stop::Cut)),
            Err(_elapsed) => Err(broken(host, Stop::Stalled(self.idle))),
        }
    }

    fn write_headers(&self, headers: &mut HeaderMap, address: &Address, begun: &Begun) {
        let agent = concat!("tiergate/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some((origin, token)) = &self.token
            && origin.same_origin(address)
        {
            headers.insert(AUTHORIZATION, token.clone());
        }
        if begun.bytes > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", begun.bytes));
            headers.extend(range.ok().map(|range| (RANGE, range)));
            let etag = begun.etag.as_ref().map(HeaderValue::try_from);
            headers.extend(etag.and_then(Result::ok).map(|etag| (IF_RANGE, etag)));
        }
    }
}

impl Download {
    /// The next bytes; `None` at the end, and then all bytes have come that the server spoke of.
    ///
    /// # Errors
    /// When the connection ends or stalls before, or more comes than was said.
    ///
    /// # Cancel safety
    /// No bytes are lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        loop {
            let frame = match timeout(self.idle, self.body.frame()).await {
                Ok(None) => return self.at_end().map(|()| None),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_cut))) => return Err(broken(self.host.clone(), Stop::Cut)),
                Err(_elapsed) => {
                    return Err(broken(self.host.clone(), Stop::Stalled(self.idle)));
                }
            };
            // What is no data are trailers, and they tell nothing here.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            self.reached_bytes += bytes.len() as u64;
            match self.size_bytes {
                Some(size) if self.reached_bytes > size => {
                    return Err(DownloadError::Wrong {
                        host: self.host.clone(),
                        fault: format!("it goes on after the {size} bytes that the file has"),
                    });
                }
                _ => return Ok(Some(bytes)),
            }
        }
    }

    fn at_end(&self) -> Result<(), DownloadError> {
        match self.size_bytes {
            Some(size) if self.reached_bytes < size => Err(broken(self.host.clone(), Stop::Cut)),
            _ => Ok(()),
        }
    }

    /// Whether what the server says contradicts what is known of the version begun.
    fn differs_from(&self, begun: &Begun) -> bool {
        fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            matches!((one, other), (Some(one), Some(other)) if one != other)
        }
        differ(self.etag.as_ref(), begun.etag.as_ref())
            || differ(self.size_bytes.as_ref(), begun.size_bytes.as_ref())
            || differ(self.sha256.as_ref(), begun.sha256.as_ref())
    }
}

fn broken(host: String, cause: Stop) -> DownloadError {
    DownloadError::Broken { host, cause }
}
