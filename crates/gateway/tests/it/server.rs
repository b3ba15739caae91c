//! The real server as a process of its own, and a client that says no more than it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ledger::{AttemptLine, Reader, RequestId};
use serde_json::Value;

use crate::workplace::Workplace;

/// Longer than anything here takes, on any machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A server at work in a folder. It is killed when it is dropped.
pub(crate) struct Server<'a> {
    place: &'a Workplace,
    child: Child,
    pub(crate) address: SocketAddr,
}

impl<'a> Server<'a> {
    /// A server with this config that is ready.
    pub(crate) fn start(place: &'a Workplace, config: &str) -> Self {
        let server = Self::launch(place, config);
        until("it is ready", || server.get("/readyz").status == 200);
        server
    }

    /// A server with this config that listens.
    pub(crate) fn launch(place: &'a Workplace, config: &str) -> Self {
        place.write("tiergate.toml", config);
        let log = std::fs::File::create(place.path("serve.log")).unwrap();
        let mut child = serve(place, &standin::own_address().to_string())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{line}{}", place.read("serve.log")));
        Self {
            place,
            child,
            address: address.parse().unwrap(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(&get(path, ""))
    }

    /// Sends JSON to a path, with these headers.
    pub(crate) fn post(&self, path: &str, body: &Value, headers: &str) -> Response {
        self.send(&post(path, &body.to_string(), headers))
    }

    /// Asks for a completion.
    pub(crate) fn chat(&self, request: &Value) -> Response {
        self.send(&chat(&request.to_string(), ""))
    }

    /// Sends these bytes and reads the response.
    pub(crate) fn send(&self, request: &str) -> Response {
        let mut connection = self.connect();
        connection.write_all(request.as_bytes()).unwrap();
        Response::read(connection)
    }

    /// A connection on which the server has [`DEADLINE`] for each byte.
    pub(crate) fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(self.address).unwrap();
        connection.set_read_timeout(Some(DEADLINE)).unwrap();
        connection
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// How much memory the process holds, without its engine.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kilobytes.parse::<u64>().unwrap() << 10
    }

    /// The process of its engine, while there is one.
    pub(crate) fn engine(&self) -> Option<u32> {
        let parent = self.child.id();
        std::fs::read_dir("/proc").unwrap().find_map(|entry| {
            let pid: u32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
            let (state, started_by) = state_and_parent(pid)?;
            (state != 'Z' && started_by == parent).then_some(pid)
        })
    }

    /// Waits for the process to end; its exit code and all that it logged.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        until("it ends", || self.child.try_wait().unwrap().is_some());
        let code = self.child.wait().unwrap().code();
        (code, self.log())
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(self) -> String {
        self.signal("-TERM");
        let (code, log) = self.ended();
        assert_eq!(code, Some(0), "{log}");
        log
    }

    pub(crate) fn log(&self) -> String {
        self.place.read("serve.log")
    }

    /// The value of a line of `/metrics`; 0 where it isn't there yet.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // It may have ended before.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A process's state, by its letter, and who started it.
fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether a process is there and has not ended.
pub(crate) fn lives(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// Sends a process a signal.
pub(crate) fn signal(pid: u32, signal: &str) {
    let command = format!("kill {signal} {pid}");
    let sent = Command::new("sh").args(["-c", &command]).status();
    assert!(sent.unwrap().success());
}

/// The command, with a key that configs may name.
pub(crate) fn serve(place: &Workplace, listen: &str) -> Command {
    let mut command = place.tiergate(&["serve", "--listen", listen]);
    command.env("TIERGATE_KEY", "sk-right-3141");
    command
}

/// A request for what is at a path.
pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
}

/// A request for a completion with this body.
pub(crate) fn chat(body: &str, headers: &str) -> String {
    post("/v1/chat/completions", body, headers)
}

/// A request to a path with this body of JSON.
pub(crate) fn post(path: &str, body: &str, headers: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    body: Vec<u8>,
}

impl Response {
    /// Reads one until the connection ends.
    pub(crate) fn read(mut connection: TcpStream) -> Self {
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no response but {:?}", bytes.escape_ascii()));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        };
        if response.header("transfer-encoding") == Some("chunked") {
            response.body = without_chunks(&response.body);
        }
        response
    }

    /// The value of a header, named in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer's text.
    pub(crate) fn content(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        let content = self.json()["choices"][0]["message"]["content"].clone();
        content.as_str().unwrap().to_owned()
    }

    /// The `code` of an error in OpenAI's shape.
    pub(crate) fn code(&self) -> String {
        let error = &self.json()["error"];
        assert!(
            error["message"].is_string() && error["type"].is_string(),
            "{error}"
        );
        error["code"].as_str().unwrap().to_owned()
    }

    /// The id that the server gave the request.
    pub(crate) fn id(&self) -> RequestId {
        RequestId(self.header("x-request-id").unwrap().to_owned())
    }

    /// The data of each event of a stream.
    pub(crate) fn events(&self) -> Vec<String> {
        assert_eq!(
            self.header("content-type"),
            Some("text/event-stream"),
            "{self:?}"
        );
        let text = self.text();
        let events = text.split_terminator("\n\n");
        events
            .filter(|event| !event.starts_with(':'))
            .map(|event| event.strip_prefix("data: ").unwrap().to_owned())
            .collect()
    }

    /// Each event of a stream with its name.
    pub(crate) fn named_events(&self) -> Vec<(String, Value)> {
        assert_eq!(
            self.header("content-type"),
            Some("text/event-stream"),
            "{self:?}"
        );
        let text = self.text();
        let events = text
            .split_terminator("\n\n")
            .filter(|event| !event.starts_with(':'));
        let read = |event: &str| {
            let (name, data) = event.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        };
        events.map(read).collect()
    }

    /// The chunks of a stream that ended well.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{}", self.text());
        let read = |event: &String| serde_json::from_str(event).unwrap();
        events.iter().map(read).collect()
    }
}

/// The text of a stream's chunks.
pub(crate) fn streamed(chunks: &[Value]) -> String {
    let text = |chunk: &Value| {
        chunk["choices"][0]["delta"]["content"]
            .as_str()
            .map(str::to_owned)
    };
    chunks.iter().filter_map(text).collect()
}

fn without_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return body; // the connection was cut
        };
        let length = std::str::from_utf8(&rest[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        let start = line + 2;
        let end = (start + length).min(rest.len());
        body.extend_from_slice(&rest[start..end]);
        rest = rest.get(end + 2..).unwrap_or_default();
    }
}

/// A reader of the server's ledger; the books must add up.
pub(crate) fn books(place: &Workplace) -> Reader {
    let reader = Reader::open(&place.path("tiergate-data/ledger.sqlite")).unwrap();
    assert_eq!(reader.verify().unwrap(), Vec::<String>::new());
    reader
}

/// The attempts that were made for a request.
pub(crate) fn attempts(place: &Workplace, request: &RequestId) -> Vec<AttemptLine> {
    books(place).attempts_of(request).unwrap()
}
