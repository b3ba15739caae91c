//! Clients that stop reading while a vendor has much to say: the vendor waits, nothing piles up, and
//! nothing is lost.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{and, asks, with};
use crate::server::{DEADLINE, Response, Server, chat, streamed};
use crate::workplace::Workplace;

/// How much text each event has, and how many there are: more than all sockets on the way hold.
const PIECE_BYTES: usize = 32 << 10;
const PIECES: usize = 2_048;

/// Most bytes that the server's memory may grow by for one reader.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

/// How long a write must wait before it counts as held up.
const HELD_UP: Duration = Duration::from_secs(2);

/// A vendor that tells when it could not write for [`HELD_UP`], with the bytes written until then.
struct Flood {
    address: SocketAddr,
    held_up: mpsc::Receiver<usize>,
}

impl Flood {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, held_up) = mpsc::channel();
        std::thread::spawn(move || {
            let mut connection = listener.accept().unwrap().0;
            let mut piece = [0; 8192];
            let asked = connection.read(&mut piece).unwrap();
            assert!(piece[..asked].starts_with(b"POST "));
            connection.set_write_timeout(Some(HELD_UP)).unwrap();
            write(&mut connection, &stream(), &tell);
        });
        Self { address, held_up }
    }
}

/// Writes all of it, however long that takes.
fn write(connection: &mut TcpStream, bytes: &[u8], tell: &mpsc::Sender<usize>) {
    let mut written = 0;
    while written < bytes.len() {
        match connection.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // The test may have heard enough.
                let _heard = tell.send(written);
            }
            Err(error) => panic!("the gateway hung up after {written} bytes: {error}"),
        }
    }
}

fn piece(index: usize) -> String {
    format!("{index:<PIECE_BYTES$}")
}

fn stream() -> Vec<u8> {
    let event = |it: Value| format!("data: {it}\n\n");
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        event(
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [choice]}),
        )
    };
    let mut body = String::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
    );
    for index in 0..PIECES {
        body += &chunk(json!({"content": piece(index)}), Value::Null);
    }
    body += &chunk(json!({}), json!("stop"));
    body += &event(json!({"choices": [], "usage":
        {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}}));
    body += "data: [DONE]\n\n";
    body.into_bytes()
}

#[test]
fn a_reader_that_stops_holds_up_its_vendor_alone_and_loses_nothing() {
    let place = Workplace::new();
    let flood = Flood::start();
    let address = flood.address;
    let tier = format!(
        "[tiers.flood]\nkind = \"pool\"\nurl = \"http://{address}/v1\"\nmodel = \"m\"\n\
         idle_seconds = 60\n"
    );
    let server = Server::start(&place, &with(&["llama"], &tier, ""));
    let before = server.resident_bytes();
    let request = and(asks("tier:flood", "x"), "stream", true);
    let mut connection = server.connect();
    let request = chat(&request.to_string(), "");
    connection.write_all(request.as_bytes()).unwrap();
    let written = flood.held_up.recv_timeout(DEADLINE).unwrap();
    assert!(written < PIECES * PIECE_BYTES, "all was taken");
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(
        growth < GROWTH_BYTES_MAX,
        "{growth} bytes wait for one reader"
    );
    // Others are served meanwhile.
    assert_eq!(server.get("/healthz").status, 200);
    let answer = Response::read(connection);
    let text = streamed(&answer.chunks());
    assert_eq!(text.len(), PIECES * PIECE_BYTES);
    for (index, said) in text.as_bytes().chunks(PIECE_BYTES).enumerate() {
        assert_eq!(said, piece(index).as_bytes(), "piece {index}");
    }
    server.stop();
}
