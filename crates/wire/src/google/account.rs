//! A service account: the file of its key, and how an access token is asked for with it
//! (<https://developers.google.com/identity/protocols/oauth2/service-account>, after RFC 7523).

use std::fmt;

use serde::Deserialize;

use crate::base64::encode_url;
use crate::json::Fields;

/// What the token is to be good for: Vertex AI knows no narrower one.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long an assertion is good for, in seconds; the vendor takes no longer one.
const ASSERTION_S: u64 = 3_600;
/// What kind of request it is, as a form writes it.
const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

/// What the file of a service account's key says. Its `Debug` shows the account alone.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct AccountKey {
    /// The account's name.
    #[serde(rename = "client_email")]
    pub email: String,
    /// The key's name, where the file has one.
    #[serde(rename = "private_key_id")]
    pub key_id: Option<String>,
    /// The key, PKCS #8 in PEM.
    #[serde(rename = "private_key")]
    pub key_pem: String,
    /// Where tokens are given out.
    pub token_uri: String,
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountKey")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// Why a file is no service account's key. What it says instead is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It is not JSON with the fields of a key.
    #[error(
        "is no service account's key; make one with `gcloud iam service-accounts keys create`, \
         which writes a file of JSON"
    )]
    NotAKey,
    /// It is another kind of credentials.
    #[error(
        "holds credentials of another kind; those of a person or of another identity provider are \
         not taken, only a service account's key (`\"type\": \"service_account\"`)"
    )]
    AnotherKind,
}

impl AccountKey {
    /// The key that a file of JSON holds.
    ///
    /// # Errors
    /// When it holds none.
    pub fn parse(file: &str) -> Result<Self, KeyFileError> {
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
        }
        let kind: Kind = serde_json::from_str(file).map_err(|_other| KeyFileError::NotAKey)?;
        if kind.r#type != "service_account" {
            return Err(KeyFileError::AnotherKind);
        }
        serde_json::from_str(file).map_err(|_lacking| KeyFileError::NotAKey)
    }

    /// What is to be signed with RS256 (RSASSA-PKCS1-v1_5 over SHA-256) to get a token from this
    /// second of Unix time on.
    #[must_use]
    pub fn claim(&self, now_s: u64) -> String {
        let header = Fields::new()
            .with("alg", "RS256")
            .with("typ", "JWT")
            .with_some("kid", self.key_id.as_deref());
        let claims = Fields::new()
            .with("iss", &self.email)
            .with("scope", SCOPE)
            .with("aud", &self.token_uri)
            .with("iat", now_s)
            .with("exp", now_s + ASSERTION_S);
        let part = |fields: Fields<'_>| encode_url(fields.encode().as_bytes());
        format!("{}.{}", part(header), part(claims))
    }
}

/// The form to be posted for a token: a claim with its signature.
#[must_use]
pub fn encode_request(claim: &str, signature: &[u8]) -> String {
    let signature = encode_url(signature);
    format!("grant_type={GRANT}&assertion={claim}.{signature}")
}

/// A token as it was given out. It has no `Debug`, because it is a key.
#[derive(Deserialize)]
pub struct AccessToken {
    /// What is sent as `authorization: Bearer TOKEN`.
    #[serde(rename = "access_token")]
    pub token: String,
    /// How long it is good for, in seconds from now.
    #[serde(rename = "expires_in")]
    pub lifetime_s: u64,
}

/// The token that an answer of success holds; `None` when it holds none.
#[must_use]
pub fn parse_token(body: &[u8]) -> Option<AccessToken> {
    serde_json::from_slice(body).ok()
}

/// The word by which an answer of failure says why there is no token, for example
/// `invalid_grant`.
#[must_use]
pub fn parse_refusal(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_word = refusal.error.len() <= 64 && refusal.error.bytes().all(plain);
    Some(refusal.error).filter(|word| is_word && !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"type": "service_account", "project_id": "p", "private_key_id": "k1",
        "private_key": "-----BEGIN PRIVATE KEY-----\nsecret\n", "client_email": "a@p.example",
        "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token"}"#;

    #[test]
    fn a_key_is_read_and_not_shown() {
        let key = AccountKey::parse(FILE).unwrap();
        assert_eq!(key.email, "a@p.example");
        assert_eq!(
            format!("{key:?}"),
            r#"AccountKey { email: "a@p.example", .. }"#
        );
        for (file, error) in [
            ("", KeyFileError::NotAKey),
            ("{}", KeyFileError::NotAKey),
            (r#"{"type": "service_account"}"#, KeyFileError::NotAKey),
            (r#"{"type": "authorized_user"}"#, KeyFileError::AnotherKind),
        ] {
            assert_eq!(AccountKey::parse(file), Err(error), "{file}");
        }
    }

    #[test]
    fn a_claim_says_who_asks_for_what_and_until_when() {
        let claim = AccountKey::parse(FILE).unwrap().claim(1_700_000_000);
        let read = |part: &str| {
            let standard = part.replace('-', "+").replace('_', "/");
            String::from_utf8(crate::base64::decode(&standard).unwrap()).unwrap()
        };
        let (header, claims) = claim.split_once('.').unwrap();
        assert_eq!(read(header), r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#);
        assert_eq!(
            read(claims),
            "{\"iss\":\"a@p.example\",\"scope\":\"https://www.googleapis.com/auth/cloud-platform\",\
             \"aud\":\"https://oauth2.googleapis.com/token\",\"iat\":1700000000,\"exp\":1700003600}"
        );
        assert_eq!(
            encode_request("a.b", &[0xff]),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b._w"
        );
    }

    #[test]
    fn tokens_and_refusals_are_read() {
        let token = br#"{"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"}"#;
        let token = parse_token(token).unwrap();
        assert_eq!((token.token.as_str(), token.lifetime_s), ("ya29.x", 3_599));
        assert!(parse_token(b"{}").is_none());
        let refusal = br#"{"error": "invalid_grant", "error_description": "Invalid JWT"}"#;
        assert_eq!(parse_refusal(refusal).as_deref(), Some("invalid_grant"));
        for other in [
            &b"<html>"[..],
            br#"{"error": "Mr Smith"}"#,
            br#"{"error": ""}"#,
        ] {
            assert_eq!(parse_refusal(other), None);
        }
    }
}
