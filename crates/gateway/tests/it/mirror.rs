//! A server of files as models are fetched from, and what such servers do wrong.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// A server at work; it ends with the test's process.
pub(crate) struct Mirror {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    paths: BTreeMap<String, Served>,
    asked: Vec<Asked>,
}

/// What is at a path.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) status: u16,
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) etag: &'static str,
    /// Headers beside.
    pub(crate) headers: Vec<String>,
    /// What is done in the midst of each answer in turn, and in those that follow nothing.
    pub(crate) trouble: VecDeque<Trouble>,
    /// Whether a part is given even if the file has changed since.
    pub(crate) ignores_if_range: bool,
}

/// What happens to an answer after so many bytes.
#[derive(Clone, Copy)]
pub(crate) enum Trouble {
    /// The connection is cut.
    Cut(usize),
    /// Nothing more comes, until the one who asked has gone.
    Silence(usize),
}

/// A request that came, and what went back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
    /// Bytes of the file that were sent.
    pub(crate) sent: usize,
}

impl Served {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            bytes: Arc::new(bytes.into()),
            etag: "\"v1\"",
            headers: Vec::new(),
            trouble: VecDeque::new(),
            ignores_if_range: false,
        }
    }

    /// An answer that sends on.
    pub(crate) fn redirect(to: &str, headers: &[String]) -> Self {
        let mut served = Self::new("");
        served.status = 302;
        served.headers = headers.to_vec();
        served.headers.push(format!("location: {to}"));
        served
    }
}

impl Mirror {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let state = Arc::clone(&mirror.state);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let state = Arc::clone(&state);
                std::thread::spawn(move || answer(&connection.unwrap(), &state));
            }
        });
        mirror
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn put(&self, path: &str, served: Served) {
        self.state().paths.insert(path.to_owned(), served);
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn answer(connection: &TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    let (index, served, trouble) = {
        let mut state = state.lock().unwrap();
        state.asked.push(Asked {
            path: path.clone(),
            range: headers.get("range").cloned(),
            token: headers.get("authorization").cloned(),
            sent: 0,
        });
        let index = state.asked.len() - 1;
        let bare = path.split('?').next().unwrap();
        let served = state.paths.get_mut(bare);
        let trouble = served
            .as_ref()
            .and_then(|served| served.trouble.front().copied());
        let served = served.map(|served| {
            served.trouble.pop_front();
            served.clone()
        });
        (index, served, trouble)
    };
    let mut missing = Served::new("no");
    missing.status = 404;
    let served = served.unwrap_or(missing);
    let same = served.ignores_if_range
        || headers
            .get("if-range")
            .is_none_or(|etag| etag == served.etag);
    let start = headers
        .get("range")
        .filter(|_| same && served.status == 200);
    let start: Option<usize> = start.map(|range| {
        let range = range
            .strip_prefix("bytes=")
            .unwrap()
            .strip_suffix('-')
            .unwrap();
        range.parse().unwrap()
    });
    let sent = send(connection, &served, start, trouble);
    state.lock().unwrap().asked[index].sent = sent;
    if let Some(Trouble::Silence(_)) = trouble {
        // It ends when the other side does.
        let _gone = (&*connection).read(&mut [0]);
    }
}

/// Writes head and body; gives back how many bytes of the body.
fn send(
    mut connection: &TcpStream,
    served: &Served,
    start: Option<usize>,
    trouble: Option<Trouble>,
) -> usize {
    let size = served.bytes.len();
    let body = &served.bytes[start.unwrap_or(0)..];
    let mut head = match start {
        Some(start) => format!(
            "HTTP/1.1 206 Part\r\ncontent-range: bytes {start}-{}/{size}\r\n",
            size - 1
        ),
        None => format!("HTTP/1.1 {} Here\r\n", served.status),
    };
    if !served
        .headers
        .iter()
        .any(|header| header.starts_with("content-length"))
    {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for header in &served.headers {
        head.push_str(&format!("{header}\r\n"));
    }
    head.push_str(&format!(
        "etag: {}\r\nconnection: close\r\n\r\n",
        served.etag
    ));
    let body = match trouble {
        Some(Trouble::Cut(bytes) | Trouble::Silence(bytes)) => &body[..bytes.min(body.len())],
        None => body,
    };
    // Who has read enough hangs up.
    let written = connection
        .write_all(head.as_bytes())
        .and_then(|()| connection.write_all(body));
    written.map_or(0, |()| body.len())
}
