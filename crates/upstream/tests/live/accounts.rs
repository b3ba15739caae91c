//! Vertex AI's way in: tokens of an account of Google's instead of a key.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use upstream::{
    Billing, Client, EndpointOptions, GoogleAccount, Protocol, Refusal, SecretString, UpstreamError,
};

use crate::vendor::{ANSWER, Question, Vendor, client};

const KEY: &str = include_str!("../fixtures/account-key.pem");

/// Where tokens are given out. It ends with the test's process.
struct TokenServer {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    /// A server that gives these answers in turn, and then the last of them again and again.
    fn start(answers: &[(u16, &'static str)]) -> Self {
        let listener = TcpListener::bind(standin::own_address()).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
        };
        let (heard, answers) = (Arc::clone(&server.heard), answers.to_vec());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let Some(request) = hear(&mut connection) else {
                    continue;
                };
                let mut heard = heard.lock().unwrap();
                let (status, body) = answers[heard.len().min(answers.len() - 1)];
                heard.push(request);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                // Who hung up reads nothing.
                let _gone = connection.write_all(answer.as_bytes());
            }
        });
        server
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The service account whose tokens it gives out.
    fn account(&self) -> GoogleAccount {
        GoogleAccount::from_key(&key_file(&format!("http://{}/token", self.address))).unwrap()
    }

    /// A client of this vendor that asks in the account's name.
    fn client(&self, vendor: &Vendor) -> Client {
        client(options(vendor, self.account()))
    }
}

/// A whole request, its head in lower case.
fn hear(connection: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| {
                let line = rest.lines().next().unwrap();
                line.parse().unwrap()
            });
            if body.len() >= length {
                return Some(format!("{head}\r\n\r\n{body}"));
            }
        }
        let mut piece = [0; 4096];
        match connection.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

fn key_file(token_uri: &str) -> SecretString {
    let key = KEY.replace('\n', "\\n");
    let file = format!(
        r#"{{"type": "service_account", "private_key_id": "k1", "private_key": "{key}",
            "client_email": "tiergate@p.example", "token_uri": "{token_uri}"}}"#
    );
    file.into()
}

fn options(vendor: &Vendor, account: GoogleAccount) -> EndpointOptions {
    let path = "projects/p/locations/l/publishers/google";
    EndpointOptions {
        url: format!("{}/{path}", vendor.running.url()),
        protocol: Protocol::Google,
        key: None,
        google_account: Some(account),
        ..vendor.options()
    }
}

/// The token that the vendors of these tests take.
const RIGHT: &str = r#"{"access_token": "sk-test", "expires_in": 3600, "token_type": "Bearer"}"#;
const WRONG: &str = r#"{"access_token": "sk-old", "expires_in": 3600, "token_type": "Bearer"}"#;

#[tokio::test]
async fn one_token_serves_many_requests_and_is_asked_for_with_a_signed_claim() {
    let vendor = Vendor::start(&[]).await;
    let tokens = TokenServer::start(&[(200, RIGHT)]);
    let client = tokens.client(&vendor);
    let question = Question::new();
    let (one, other, third) = tokio::join!(
        question.ask(&client),
        question.ask(&client),
        question.ask_streamed(&client)
    );
    assert_eq!(one.unwrap().text(), ANSWER);
    assert_eq!(other.unwrap().text(), ANSWER);
    third.unwrap();
    let heard = tokens.heard();
    assert_eq!(heard.len(), 1, "all three wait for one token");
    let (head, form) = heard[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("post /token "), "{head}");
    assert!(head.contains("application/x-www-form-urlencoded"), "{head}");
    let assertion = form
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .unwrap();
    let (claim, signature) = assertion.rsplit_once('.').unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
    public.verify(claim.as_bytes(), &bytes(signature)).unwrap();
    let claims = String::from_utf8(bytes(claim.split_once('.').unwrap().1)).unwrap();
    assert!(claims.contains(r#""iss":"tiergate@p.example""#), "{claims}");
    let aud = format!(r#""aud":"http://{}/token""#, tokens.address);
    assert!(claims.contains(&aud), "{claims}");
    let issued = claims.split("\"iat\":").nth(1).unwrap();
    let issued: u64 = issued.split(',').next().unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!(now.as_secs().abs_diff(issued) < 300, "{claims}");
}

/// The bytes that a text of base64 for addresses has.
fn bytes(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => panic!("{text}"),
    };
    let mut bits = (0_u32, 0);
    let mut bytes = Vec::new();
    for letter in text.bytes() {
        bits = (bits.0 << 6 | u32::from(value(letter)), bits.1 + 6);
        if bits.1 >= 8 {
            bits.1 -= 8;
            bytes.push((bits.0 >> bits.1 & 0xff) as u8);
        }
    }
    bytes
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_serves_while_that_fails() {
    let vendor = Vendor::start(&[]).await;
    let tokens = TokenServer::start(&[(200, RIGHT), (503, ""), (200, RIGHT)]);
    let client = tokens.client(&vendor);
    let question = Question::new();
    // The clock jumps; nothing waits by it while it stands.
    let later = async |seconds| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    let asked = async |tokens_given| {
        assert_eq!(question.ask(&client).await.unwrap().text(), ANSWER);
        assert_eq!(tokens.heard().len(), tokens_given);
    };
    asked(1).await;
    later(3_300).await;
    asked(1).await;
    later(100).await;
    asked(2).await;
    asked(2).await;
    later(20).await;
    asked(3).await;
    asked(3).await;
    later(7_200).await;
    asked(4).await;
}

#[tokio::test]
async fn a_token_that_the_vendor_does_not_take_is_asked_for_anew() {
    let vendor = Vendor::start(&[]).await;
    let tokens = TokenServer::start(&[(200, WRONG), (200, RIGHT)]);
    let client = tokens.client(&vendor);
    let error = Question::new().ask(&client).await.unwrap_err();
    let UpstreamError::Refused { reason, answer, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((*reason, answer.status), (Refusal::Credentials, 401));
    assert_eq!(Question::new().ask(&client).await.unwrap().text(), ANSWER);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_nothing_billed() {
    let invalid = r#"{"error": "invalid_grant", "error_description": "Mr Smith"}"#;
    for (status, body, retryable, words) in [
        (400, invalid, false, "(invalid_grant)"),
        (403, "no", false, "status 403"),
        (429, "", true, "gave no access token but status 429"),
        (503, "", true, "gave no access token but status 503"),
        (200, "{}", true, "something else than an access token"),
        (
            200,
            r#"{"access_token": "a\nb", "expires_in": 1}"#,
            true,
            "something else",
        ),
    ] {
        let vendor = Vendor::start(&[]).await;
        let tokens = TokenServer::start(&[(status, body)]);
        let error = Question::new()
            .ask(&tokens.client(&vendor))
            .await
            .unwrap_err();
        assert_eq!(error.is_retryable(), retryable, "{status} {body}");
        assert_eq!(error.billing(), Billing::NotBilled);
        let told = error.to_string();
        assert!(told.contains(words) && !told.contains("Smith"), "{told}");
        assert!(told.contains(&tokens.address.to_string()), "{told}");
        assert_eq!(vendor.running.requests(), 0);
    }
    let vendor = Vendor::start(&[]).await;
    let nobody = key_file(&format!("http://{}/token", standin::own_address()));
    let account = GoogleAccount::from_key(&nobody).unwrap();
    let error = Question::new()
        .ask(&client(options(&vendor, account)))
        .await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, UpstreamError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_machine_of_googles_has_an_account_of_its_own() {
    let vendor = Vendor::start(&[]).await;
    let metadata = TokenServer::start(&[(200, RIGHT)]);
    let account = GoogleAccount::of_machine(Some(&metadata.address.to_string())).unwrap();
    let client = client(options(&vendor, account));
    assert_eq!(Question::new().ask(&client).await.unwrap().text(), ANSWER);
    let heard = metadata.heard().pop().unwrap();
    let path = "get /computemetadata/v1/instance/service-accounts/default/token ";
    assert!(heard.starts_with(path), "{heard}");
    assert!(heard.contains("metadata-flavor: google"), "{heard}");
    assert!(GoogleAccount::of_machine(Some("no host")).is_err());
}

#[test]
fn a_file_that_is_no_key_is_told_and_a_key_is_never_shown() {
    let account = GoogleAccount::from_key(&key_file("https://a.example/token")).unwrap();
    let shown = format!("{account:?}");
    assert!(
        shown.contains("tiergate@p.example") && !shown.contains("PRIVATE"),
        "{shown}"
    );
    let broken = r#"{"type": "service_account", "private_key": "geheim", "client_email": "a",
        "token_uri": "https://a.example/token"}"#;
    for (file, words) in [
        ("{}".to_owned(), "gcloud iam service-accounts keys create"),
        (r#"{"type": "authorized_user"}"#.to_owned(), "another kind"),
        (broken.to_owned(), "no RSA key"),
    ] {
        let error = GoogleAccount::from_key(&file.into())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(words) && !error.contains("geheim"),
            "{error}"
        );
    }
    let far = GoogleAccount::from_key(&key_file("http://a.example/token"));
    assert!(far.unwrap_err().to_string().contains("token_uri"));
}
