//! Forms with files, cut anywhere.

use std::collections::VecDeque;

use proptest::prelude::*;
use wire::multipart::{Piece, Reader};

const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"x y\"";

/// Name, file and content.
type Field = (String, Option<String>, Vec<u8>);

/// The fields of a form that comes in pieces of so many bytes.
fn read(body: &[u8], chunk_bytes: usize) -> Option<Vec<Field>> {
    let mut reader = Reader::of(TYPE).unwrap();
    let (mut pieces, mut fields) = (VecDeque::new(), Vec::new());
    for chunk in body.chunks(chunk_bytes) {
        reader.push(chunk, &mut pieces).ok()?;
        for piece in pieces.drain(..) {
            match piece {
                Piece::Field { name, file } => fields.push((name, file, Vec::new())),
                Piece::Bytes(bytes) => fields.last_mut().unwrap().2.extend(bytes),
                Piece::End => {}
            }
        }
    }
    reader.is_whole().then_some(fields)
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend(format!("--x y\r\n{head}\r\n\r\n").bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--x y--\r\n");
    body
}

#[test]
fn fields_and_files_are_told_wherever_the_form_is_cut() {
    let body = form(&[
        ("Content-Disposition: form-data; name=\"purpose\"", b"batch"),
        (
            "content-type: application/jsonl\r\n\
             CONTENT-DISPOSITION: form-data; filename=\"a; \\\"b\\\".jsonl\"; name=file",
            "Größe\r\n--x\r\n🦀\r\n".as_bytes(),
        ),
        ("Content-Disposition: form-data; name=\"empty\"", b""),
    ]);
    let expected = vec![
        ("purpose".to_owned(), None, b"batch".to_vec()),
        (
            "file".to_owned(),
            Some("a; \"b\".jsonl".to_owned()),
            "Größe\r\n--x\r\n🦀\r\n".as_bytes().to_vec(),
        ),
        ("empty".to_owned(), None, Vec::new()),
    ];
    for chunk_bytes in 1..=body.len() {
        assert_eq!(read(&body, chunk_bytes).as_ref(), Some(&expected));
        let preamble = [b"It may have one.\r\n", body.as_slice()].concat();
        assert_eq!(read(&preamble, chunk_bytes).as_ref(), Some(&expected));
    }
    for cut in 0..body.len() - 4 {
        assert_eq!(read(&body[..cut], 7), None, "{cut}");
    }
}

#[test]
fn what_is_no_form_is_refused() {
    for wrong in [
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
        "multipart/form-data; boundary=",
    ] {
        assert!(Reader::of(wrong).is_none(), "{wrong}");
    }
    let nameless = form(&[("Content-Type: text/plain", b"x")]);
    assert_eq!(read(&nameless, 9), None);
    assert_eq!(read(b"--x yz\r\n", 9), None);
    let endless = [b"--x y\r\n".as_slice(), &[b'a'; 20_000]].concat();
    assert_eq!(read(&endless, 100), None);
}

proptest! {
    #[test]
    fn a_content_comes_back_as_it_was(
        content in prop::collection::vec(prop::sample::select(b"\r\n-x ya".to_vec()), 0..60),
        chunk_bytes in 1_usize..20,
    ) {
        let boundary = b"\r\n--x y";
        let inside = content.windows(boundary.len()).any(|it| it == boundary);
        prop_assume!(!inside);
        let body = form(&[("Content-Disposition: form-data; name=a", &content)]);
        let fields = read(&body, chunk_bytes).unwrap();
        prop_assert_eq!(&fields[0].2, &content);
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _no_form = read(&bytes, 3);
        let head = b"--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n";
        let _no_form = read(&[head, bytes.as_slice()].concat(), 5);
    }
}
