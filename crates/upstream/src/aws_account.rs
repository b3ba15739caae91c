//! AWS's accounts, in whose name requests to Bedrock are signed instead of carrying a key.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};

use crate::signature::{Scope, Signing};

/// The moment of a signature.
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// The token that goes with a key that is not for ever.
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// A region and a service of AWS's, for which a signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsScope {
    region: String,
    service: String,
}

/// A key of AWS's with what it is used for. Its `Debug` shows the name of the key alone.
#[derive(Clone)]
pub struct AwsAccount(Arc<Account>);

struct Account {
    key_id: String,
    secret: SecretString,
    token: Option<HeaderValue>,
    scope: AwsScope,
}

/// Why there is no such account. Its message has no secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AwsAccountError(String);

impl AwsScope {
    /// The scope of the addresses of Bedrock at this host: `bedrock-mantle.REGION.api.aws` or
    /// `bedrock-runtime.REGION.amazonaws.com`; `None` for another host.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let (server, rest) = host.split_once('.')?;
        let (region, domain) = rest.split_once('.')?;
        // The names of the service in signatures, as the clients of OpenAI and Anthropic sign.
        let service = match (server, domain) {
            ("bedrock-mantle", "api.aws") => "bedrock-mantle",
            ("bedrock-runtime" | "bedrock-runtime-fips", "amazonaws.com" | "api.aws") => "bedrock",
            _ => return None,
        };
        Self::parse(&format!("{region}/{service}"))
    }

    /// The scope that `REGION/SERVICE` says; `None` when it says none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (region, service) = text.split_once('/')?;
        let is_name = |name: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !name.is_empty() && name.bytes().all(is_plain)
        };
        (is_name(region) && is_name(service)).then(|| Self {
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

impl AwsAccount {
    /// The account whose key a text holds in the form of AWS's file of credentials: the profile
    /// `default`, or the one that there is.
    ///
    /// # Errors
    /// When there is none, or a part of it is missing or can't be sent.
    pub fn from_credentials(text: &SecretString, scope: AwsScope) -> Result<Self, AwsAccountError> {
        let error = |fault: &str| AwsAccountError(fault.to_owned());
        let text = text.expose_secret();
        let mut profiles: Vec<(&str, Vec<(&str, &str)>)> = Vec::new();
        for line in text.lines().map(str::trim) {
            let name = line.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            match (name, line.split_once('=')) {
                (Some(name), _) => profiles.push((name.trim(), Vec::new())),
                (None, Some((option, value))) if !line.starts_with(['#', ';']) => {
                    if let Some((_, options)) = profiles.last_mut() {
                        options.push((option.trim(), value.trim()));
                    }
                }
                _ => {}
            }
        }
        let default = profiles.iter().position(|(name, _)| *name == "default");
        let profile = match (default, profiles.len()) {
            (Some(index), _) => &profiles[index].1,
            (None, 1) => &profiles[0].1,
            (None, 0) => return Err(error("holds no profile such as `[default]`")),
            (None, _) => return Err(error("holds several profiles and none that is `default`")),
        };
        let option = |name: &str| {
            let found = profile.iter().find(|(option, _)| *option == name);
            found.map(|(_, value)| *value)
        };
        let key_id = option("aws_access_key_id").unwrap_or_default();
        let secret = option("aws_secret_access_key").unwrap_or_default();
        Self::new(
            (key_id, &SecretString::from(secret)),
            option("aws_session_token").map(SecretString::from).as_ref(),
            scope,
        )
    }

    /// The account of a key: its id, its secret, and the token that goes with one that is not for
    /// ever.
    ///
    /// # Errors
    /// When a part of it is empty or can't be sent.
    pub fn new(
        (key_id, secret): (&str, &SecretString),
        token: Option<&SecretString>,
        scope: AwsScope,
    ) -> Result<Self, AwsAccountError> {
        let is_sent = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_graphic());
        let missing = |what: &str| AwsAccountError(format!("holds no {what}, or a broken one"));
        if !is_sent(key_id) || key_id.contains(['/', ',']) {
            return Err(missing("aws_access_key_id"));
        }
        if !is_sent(secret.expose_secret()) {
            return Err(missing("aws_secret_access_key"));
        }
        let token = token.map(|token| {
            let token = Some(token.expose_secret()).filter(|token| is_sent(token));
            let value = token.and_then(|token| HeaderValue::from_str(token).ok());
            let mut value = value.ok_or_else(|| missing("aws_session_token"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self(Arc::new(Account {
            key_id: key_id.to_owned(),
            secret: secret.clone(),
            token: token.transpose()?,
            scope,
        })))
    }

    /// Signs a request with this body, which is sent now.
    pub(crate) fn sign(&self, request: &mut Request<Full<Bytes>>, body: &[u8]) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.sign_at(request, body, since.map_or(0, |since| since.as_secs()));
    }

    fn sign_at(&self, request: &mut Request<Full<Bytes>>, body: &[u8], unix_s: u64) {
        let Account {
            key_id,
            secret,
            token,
            scope,
        } = &*self.0;
        let scope = Scope {
            region: &scope.region,
            service: &scope.service,
        };
        let signing = Signing::new((key_id, secret.expose_secret()), scope, unix_s);
        if let Ok(date) = HeaderValue::from_str(signing.stamp()) {
            request.headers_mut().insert(DATE, date);
        }
        if let Some(token) = token {
            request.headers_mut().insert(TOKEN, token.clone());
        }
        if let Ok(mut signed) = HeaderValue::from_str(&signing.authorization(request, body)) {
            signed.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, signed);
        }
    }
}

impl fmt::Debug for AwsAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAccount")
            .field("key_id", &self.0.key_id)
            .field("scope", &self.0.scope)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    const KEY: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// 2015-08-30 12:36:00, the moment of all of AWS's examples.
    const MOMENT: u64 = 1_440_938_160;

    fn account(scope: &str, token: Option<&str>) -> AwsAccount {
        let token = token.map(SecretString::from);
        let scope = AwsScope::parse(scope).unwrap();
        AwsAccount::new((KEY, &SECRET.into()), token.as_ref(), scope).unwrap()
    }

    fn signed(account: &AwsAccount, (method, uri): (&str, &str), body: &str, kind: &str) -> String {
        let mut request = Request::new(Full::from(body.to_owned()));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = uri.parse().unwrap();
        if !kind.is_empty() {
            let kind = HeaderValue::from_str(kind).unwrap();
            request.headers_mut().insert(CONTENT_TYPE, kind);
        }
        account.sign_at(&mut request, body.as_bytes(), MOMENT);
        assert_eq!(request.headers()[DATE], "20150830T123600Z");
        let header = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert!(!header.contains(SECRET));
        header.to_owned()
    }

    /// The first four stand in AWS's published suite (get-vanilla, post-vanilla,
    /// post-x-www-form-urlencoded, get-vanilla-query-order-key-case); the others were made with
    /// botocore 1.44, AWS's own library.
    #[test]
    fn signatures_are_those_of_awss_own_examples() {
        let check = |asked: (&str, &str), (kind, body): (&str, &str), expected: (&str, &str)| {
            let header = signed(&account("us-east-1/service", None), asked, body, kind);
            let (names, signature) = expected;
            assert_eq!(
                header,
                format!(
                    "AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders={names}, Signature={signature}"
                )
            );
        };
        let home = "https://example.amazonaws.com/";
        let plain = "host;x-amz-date";
        check(
            ("GET", home),
            ("", ""),
            (
                plain,
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
        );
        check(
            ("POST", home),
            ("", ""),
            (
                plain,
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
        );
        check(
            ("POST", home),
            ("application/x-www-form-urlencoded", "Param1=value1"),
            (
                "content-type;host;x-amz-date",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        );
        check(
            (
                "GET",
                "https://example.amazonaws.com/?Param2=value2&Param1=value1",
            ),
            ("", ""),
            (
                plain,
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        );
        let mantle = account("us-east-1/bedrock-mantle", Some("T/x+="));
        let uri = "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages";
        let header = signed(
            &mantle,
            ("POST", uri),
            r#"{"model":"m"}"#,
            "application/json",
        );
        assert!(
            header.ends_with(
                "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=\
                 cf47643db3ca492b191d5f8ff710282f78bfb910fad022bb0f89e0c4d498c08a"
            ),
            "{header}"
        );
        let uri = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/a.b-v1%3A0/invoke";
        let runtime = account("eu-west-1/bedrock", None);
        let header = signed(&runtime, ("POST", uri), "{}", "application/json");
        assert!(
            header.ends_with("07d406c55a9ce55088ccbd2958cb685d8cbedc6bc89f2d7faca3a1a891425fbc"),
            "{header}"
        );
    }

    #[test]
    fn bedrocks_addresses_say_region_and_service() {
        let scope = |text: &str| AwsScope::parse(text);
        for (host, said) in [
            (
                "bedrock-mantle.us-east-1.api.aws",
                "us-east-1/bedrock-mantle",
            ),
            (
                "bedrock-runtime.eu-west-1.amazonaws.com",
                "eu-west-1/bedrock",
            ),
            (
                "Bedrock-Runtime-FIPS.us-gov-west-1.amazonaws.com",
                "us-gov-west-1/bedrock",
            ),
        ] {
            assert_eq!(AwsScope::of_host(host), scope(said), "{host}");
        }
        for host in ["127.0.0.1", "api.openai.com", "s3.us-east-1.amazonaws.com"] {
            assert_eq!(AwsScope::of_host(host), None, "{host}");
        }
        for wrong in [
            "",
            "us-east-1",
            "/bedrock",
            "us-east-1/",
            "a/b/c",
            "us east/bedrock",
        ] {
            assert_eq!(scope(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_file_of_credentials_is_read_and_its_secret_is_not_shown() {
        let read = |text: &str| {
            let scope = AwsScope::parse("us-east-1/bedrock").unwrap();
            AwsAccount::from_credentials(&text.into(), scope)
        };
        let right = [
            "[default]\naws_access_key_id = AKID\naws_secret_access_key = geheim/+=\n",
            "# x = y\n[other]\naws_access_key_id=X\n[ default ]\naws_access_key_id=AKID\n\
             region = us-east-1\naws_secret_access_key=geheim/+=\naws_session_token=geheim\n",
            "[work]\r\naws_access_key_id = AKID\r\naws_secret_access_key = geheim/+=\r\n",
        ];
        for text in right {
            let account = read(text).unwrap();
            assert_eq!(account.0.key_id, "AKID");
            assert_eq!(account.0.secret.expose_secret(), "geheim/+=");
            assert_eq!(account.0.token.is_some(), text.contains("session"));
            assert!(!format!("{account:?}").contains("geheim"), "{account:?}");
        }
        for (text, words) in [
            ("", "no profile"),
            ("[a]\n[b]\n", "several profiles"),
            (
                "[default]\naws_secret_access_key = geheim\n",
                "aws_access_key_id",
            ),
            (
                "[default]\naws_access_key_id = A\n",
                "aws_secret_access_key",
            ),
            (
                "[default]\naws_access_key_id = A\naws_secret_access_key = geheim b\n",
                "aws_secret_access_key",
            ),
            (
                "[default]\naws_access_key_id = A\naws_secret_access_key = geheim\n\
                 aws_session_token = \n",
                "aws_session_token",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains(words) && !error.contains("geheim"),
                "{error}"
            );
        }
    }
}
