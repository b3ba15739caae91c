//! Files fetched from servers written by hand: from the start, from a place on, sent on, cut off
//! and lied about.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use upstream::{
    Address, Begun, Download, DownloadError, DownloadOptions, Downloads, Egress, EgressOptions,
    SecretString, Stop, Unreached,
};

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A server, and what fetches from it.
struct Place {
    listener: TcpListener,
    address: Address,
}

impl Place {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/d/f.gguf", listener.local_addr().unwrap());
        Self {
            listener,
            address: Address::parse(&address).unwrap(),
        }
    }

    /// Gives each of these answers to one request, on a connection of its own; gives back the
    /// requests.
    async fn serve(&self, answers: &[&str]) -> Vec<String> {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut connection, request) = self.accept().await;
            requests.push(request);
            let answer = answer.replacen("\r\n", "\r\nconnection: close\r\n", 1);
            // Who has read enough hangs up.
            let _hung_up = connection.write_all(answer.as_bytes()).await;
        }
        requests
    }

    /// The next connection, and the request that came over it.
    async fn accept(&self) -> (TcpStream, String) {
        let (mut connection, _) = self.listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            connection.read_buf(&mut request).await.unwrap();
        }
        (connection, String::from_utf8(request).unwrap())
    }

    /// What comes of fetching while these answers are given, and the requests.
    async fn fetch(
        &self,
        downloads: &Downloads,
        begun: &Begun,
        answers: &[&str],
    ) -> (Result<Download, DownloadError>, Vec<String>) {
        tokio::join!(downloads.fetch(&self.address, begun), self.serve(answers))
    }
}

fn downloads(options: &DownloadOptions) -> Downloads {
    let egress = Egress::new(&EgressOptions::default()).unwrap();
    Downloads::new(&egress, options).unwrap()
}

fn plain() -> Downloads {
    downloads(&DownloadOptions::default())
}

/// All that comes, and how it ends.
async fn all(mut download: Download) -> (String, Result<(), DownloadError>) {
    let mut text = String::new();
    loop {
        match download.next().await {
            Ok(Some(bytes)) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Ok(None) => return (text, Ok(())),
            Err(error) => return (text, Err(error)),
        }
    }
}

fn begun(bytes: u64) -> Begun {
    Begun {
        bytes,
        etag: Some("\"v1\"".to_owned()),
        size_bytes: Some(10),
        sha256: None,
    }
}

#[tokio::test]
async fn a_whole_file_comes_with_what_is_said_of_it() {
    let place = Place::new().await;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\netag: \"v1\"\r\nx-linked-etag: \"{HASH}\"\r\n\
         x-linked-size: 10\r\n\r\n0123456789"
    );
    let (download, requests) = place.fetch(&plain(), &Begun::default(), &[&answer]).await;
    let download = download.unwrap();
    assert_eq!((download.start_bytes, download.size_bytes), (0, Some(10)));
    assert_eq!(download.etag.as_deref(), Some("\"v1\""));
    assert_eq!(download.sha256.as_deref(), Some(HASH));
    assert_eq!(all(download).await, ("0123456789".to_owned(), Ok(())));
    let request = &requests[0];
    assert!(
        request.starts_with("GET /d/f.gguf HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("accept-encoding: identity\r\n"),
        "{request}"
    );
    assert!(!request.contains("range"), "{request}");
}

#[tokio::test]
async fn a_part_is_gone_on_with_where_the_file_is_the_same() {
    let place = Place::new().await;
    let answer = "HTTP/1.1 206 Partial Content\r\ncontent-length: 6\r\netag: \"v1\"\r\n\
                  content-range: bytes 4-9/10\r\n\r\n456789";
    let (download, requests) = place.fetch(&plain(), &begun(4), &[answer]).await;
    let download = download.unwrap();
    assert_eq!((download.start_bytes, download.size_bytes), (4, Some(10)));
    assert_eq!(all(download).await, ("456789".to_owned(), Ok(())));
    assert!(requests[0].contains("range: bytes=4-\r\n"), "{requests:?}");
    assert!(requests[0].contains("if-range: \"v1\"\r\n"), "{requests:?}");
}

#[tokio::test]
async fn a_file_that_has_changed_is_never_patched_together() {
    let place = Place::new().await;
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\netag: \"v2\"\r\n\r\nnew";
    let (download, _) = place.fetch(&plain(), &begun(4), &[whole]).await;
    assert_eq!(download.unwrap().start_bytes, 0);

    let part = |headers: &str| {
        format!("HTTP/1.1 206 Partial Content\r\ncontent-length: 6\r\n{headers}\r\n456789")
    };
    let linked = format!("x-linked-etag: \"{HASH}\"\r\ncontent-range: bytes 4-9/10\r\n");
    let known = Begun {
        sha256: Some("f".repeat(64)),
        ..begun(4)
    };
    for (begun, answer) in [
        (
            begun(4),
            part("etag: \"v2\"\r\ncontent-range: bytes 4-9/10\r\n"),
        ),
        (
            begun(4),
            "HTTP/1.1 416 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
        (known, part(&linked)),
    ] {
        let (download, _) = place.fetch(&plain(), &begun, &[&answer]).await;
        let error = download.unwrap_err();
        assert!(matches!(error, DownloadError::Changed { .. }), "{error:?}");
    }
    // Another size than was said before is a change, and another place is nonsense.
    for (range, changed) in [
        ("4-11/12", true),
        ("0-9/10", false),
        ("4-8/10", false),
        ("x", false),
    ] {
        let answer = part(&format!("content-range: bytes {range}\r\n"));
        let (download, _) = place.fetch(&plain(), &begun(4), &[&answer]).await;
        let error = download.unwrap_err();
        let found = matches!(error, DownloadError::Changed { .. });
        let nonsense = matches!(error, DownloadError::Wrong { .. });
        assert_eq!((found, nonsense), (changed, !changed), "{range}: {error:?}");
    }
}

#[tokio::test]
async fn the_token_goes_to_its_server_and_to_no_other() {
    let (first, second) = (Place::new().await, Place::new().await);
    let downloads = downloads(&DownloadOptions {
        token: Some((first.address.clone(), SecretString::from("hush"))),
        ..DownloadOptions::default()
    });
    let away = format!(
        "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nx-linked-etag: \"{HASH}\"\r\nlocation: \
         http://{}/other?key=k\r\n\r\n",
        second.address.host()
    );
    let near = "HTTP/1.1 307 Near\r\ncontent-length: 0\r\nlocation: /near\r\n\r\n";
    let file = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nx-linked-etag: \"{}\"\r\n\r\nx",
        "f".repeat(64)
    );
    let nothing = Begun::default();
    let (at_first, at_second) = ([near, away.as_str()], [file.as_str()]);
    let (download, at_first, at_second) = tokio::join!(
        downloads.fetch(&first.address, &nothing),
        first.serve(&at_first),
        second.serve(&at_second)
    );
    let download = download.unwrap();
    // What the first server says of the hash counts; the other could say anything.
    assert_eq!(download.sha256.as_deref(), Some(HASH));
    assert_eq!(download.host, second.address.host());
    assert!(
        at_first
            .iter()
            .all(|request| request.contains("authorization: Bearer hush\r\n"))
    );
    assert!(at_first[1].starts_with("GET /near "), "{at_first:?}");
    assert!(
        at_second[0].starts_with("GET /other?key=k "),
        "{at_second:?}"
    );
    assert!(!at_second[0].contains("hush"), "{at_second:?}");
    let shown = format!("{downloads:?}");
    assert!(!shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_good_is_not_followed() {
    let place = Place::new().await;
    for location in [
        "location: http://example.com/f\r\n",
        "location: ftp://127.0.0.1/f\r\n",
        "",
    ] {
        let answer = format!("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n{location}\r\n");
        let (download, _) = place.fetch(&plain(), &Begun::default(), &[&answer]).await;
        let error = download.unwrap_err();
        assert!(matches!(error, DownloadError::Redirect { .. }), "{error:?}");
        assert!(!error.is_retryable());
    }
    let round = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: f.gguf\r\n\r\n";
    let (download, _) = place.fetch(&plain(), &Begun::default(), &[round; 11]).await;
    let error = download.unwrap_err().to_string();
    assert!(error.contains("as 10 others did"), "{error}");
}

#[tokio::test]
async fn a_file_that_stops_coming_is_told() {
    let place = Place::new().await;
    for (answer, came) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123", "0123"),
        (
            "HTTP/1.1 200 OK\r\nx-linked-size: 10\r\ntransfer-encoding: chunked\r\n\r\n\
             4\r\n0123\r\n0\r\n\r\n",
            "0123",
        ),
    ] {
        let (download, _) = place.fetch(&plain(), &Begun::default(), &[answer]).await;
        let (text, end) = all(download.unwrap()).await;
        let error = end.unwrap_err();
        assert_eq!(text, came);
        assert!(error.is_retryable());
        let host = place.address.host();
        let cause = Stop::Cut;
        assert_eq!(error, DownloadError::Broken { host, cause });
    }
}

#[tokio::test]
async fn a_server_that_goes_quiet_is_left() {
    let place = Place::new().await;
    let idle = Duration::from_secs(2);
    let downloads = downloads(&DownloadOptions {
        idle,
        ..DownloadOptions::default()
    });
    let nothing = Begun::default();
    let fetched = async {
        let download = downloads.fetch(&place.address, &nothing).await.unwrap();
        all(download).await
    };
    let serve = async {
        let (mut connection, _) = place.accept().await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123";
        connection.write_all(head).await.unwrap();
        connection
    };
    let ((text, end), _still_open) = tokio::join!(fetched, serve);
    assert_eq!(text, "0123");
    let host = place.address.host();
    let cause = Stop::Stalled(idle);
    assert_eq!(end, Err(DownloadError::Broken { host, cause }));
}

#[tokio::test]
async fn a_lie_about_the_size_is_found() {
    let place = Place::new().await;
    let lie = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-linked-size: 10\r\n\r\n0123";
    let (download, _) = place.fetch(&plain(), &Begun::default(), &[lie]).await;
    let error = download.unwrap_err();
    assert!(matches!(error, DownloadError::Wrong { .. }), "{error:?}");

    let more = "HTTP/1.1 200 OK\r\nx-linked-size: 3\r\ntransfer-encoding: chunked\r\n\r\n\
                4\r\n0123\r\n0\r\n\r\n";
    let (download, _) = place.fetch(&plain(), &Begun::default(), &[more]).await;
    let (_, end) = all(download.unwrap()).await;
    let error = end.unwrap_err();
    assert!(matches!(error, DownloadError::Wrong { .. }), "{error:?}");

    let packed = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-encoding: gzip\r\n\r\nx";
    let (download, _) = place.fetch(&plain(), &Begun::default(), &[packed]).await;
    assert!(download.unwrap_err().to_string().contains("packed"));
}

#[tokio::test]
async fn a_weak_mark_is_no_mark() {
    let place = Place::new().await;
    for (etag, found) in [("W/\"v1\"", None), ("v1", None), ("\"v1\"", Some("\"v1\""))] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\netag: {etag}\r\n\r\nx");
        let (download, _) = place.fetch(&plain(), &Begun::default(), &[&answer]).await;
        assert_eq!(download.unwrap().etag.as_deref(), found, "{etag}");
    }
}

#[tokio::test]
async fn a_refusal_has_its_status_and_a_dead_server_its_reason() {
    let place = Place::new().await;
    for (status, retryable) in [(401, false), (404, false), (429, true), (503, true)] {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        let (download, _) = place.fetch(&plain(), &Begun::default(), &[&answer]).await;
        let error = download.unwrap_err();
        assert_eq!(
            (error.status(), error.is_retryable()),
            (Some(status), retryable)
        );
    }
    let address = place.address.clone();
    drop(place);
    let error = plain()
        .fetch(&address, &Begun::default())
        .await
        .unwrap_err();
    let DownloadError::Unreachable { cause, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(cause, Unreached::Failed(_)) && error.is_retryable());
}

#[tokio::test]
async fn a_text_has_a_limit() {
    let place = Place::new().await;
    let answers = ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789"];
    for (bytes_max, right) in [(10, true), (9, false)] {
        let fetching = plain();
        let (text, _) = tokio::join!(
            fetching.text(&place.address, bytes_max),
            place.serve(&answers)
        );
        assert_eq!(text.is_ok(), right);
    }
}
