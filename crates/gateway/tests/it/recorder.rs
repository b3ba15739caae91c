//! A server that answers every request with the same bytes and keeps what it was sent: for what
//! the stand-in doesn't say.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A server at work until the test ends.
pub(crate) struct Recorder {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// A request as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The request line and the headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Value,
}

impl Recorder {
    /// One that answers whole answers and streams with these bodies.
    pub(crate) fn start(whole: String, stream: String) -> Self {
        Self::answering("200 OK", whole, stream)
    }

    /// One that answers with this status of failure and this body.
    pub(crate) fn refusing(status: &'static str, body: String) -> Self {
        Self::answering(status, body.clone(), body)
    }

    fn answering(status: &'static str, whole: String, stream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&heard);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Some(request) = hear(&mut connection.as_ref().unwrap()) else {
                    continue;
                };
                let streams = request.body["stream"] == true || request.head.contains("alt=sse");
                let (kind, body) = match streams {
                    true => ("text/event-stream", &stream),
                    false => ("application/json", &whole),
                };
                keep.lock().unwrap().push(request);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
                     connection: close\r\n\r\n{body}"
                );
                // Who hung up reads nothing.
                let _gone = connection.unwrap().write_all(answer.as_bytes());
            }
        });
        Self { address, heard }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that it was sent, in order.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

impl Heard {
    /// The value of a header, named in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }
}

fn hear(connection: &mut &TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let heard = Heard {
                head,
                body: Value::Null,
            };
            let length: usize = heard
                .header("content-length")
                .unwrap_or("0")
                .parse()
                .unwrap();
            if bytes.len() >= end + 4 + length {
                let body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or_default();
                return Some(Heard { body, ..heard });
            }
        }
        match connection.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}
