//! The headers of an endpoint's requests, and by which of them it is let in.

use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::{EndpointError, EndpointOptions, error};
use crate::speech::{KeyHeader, Speech};

/// Headers that the client itself writes.
const OWN_HEADERS: [HeaderName; 9] = [
    AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    CONTENT_TYPE,
    http::header::CONTENT_LENGTH,
    http::header::TRANSFER_ENCODING,
    http::header::HOST,
    http::header::ACCEPT_ENCODING,
];

/// The headers that every request to the endpoint has.
pub(super) fn headers(
    options: &EndpointOptions,
    speech: Speech,
) -> Result<HeaderMap, EndpointError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let agent = concat!("tiergate/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    for (name, value) in &options.headers {
        let bad = |fault: &str| error("headers", format!("`{}`: {fault}", name.escape_debug()));
        let parsed: HeaderName = name
            .parse()
            .map_err(|_invalid| bad("is no name of a header"))?;
        if OWN_HEADERS.contains(&parsed) {
            return Err(bad("is written by the program itself; leave it out"));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_invalid| bad("has a character that no header can carry"))?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    headers.extend(speech.header());
    if let Some(key) = &options.key {
        let header = options.key_header.unwrap_or_else(|| speech.key_header());
        headers.insert(header.name(), key_value(key, header)?);
    }
    Ok(headers)
}

fn key_value(key: &SecretString, header: KeyHeader) -> Result<HeaderValue, EndpointError> {
    let key = key.expose_secret();
    if key.is_empty() {
        return Err(error("key", "is empty; give the vendor's key, or none"));
    }
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    let value = plain.then(|| match header {
        KeyHeader::Bearer => HeaderValue::try_from(format!("Bearer {key}")),
        _ => HeaderValue::try_from(key),
    });
    let Some(Ok(mut value)) = value else {
        let fault = "has a character that no key has, often a space or line break at its end";
        return Err(error("key", fault));
    };
    value.set_sensitive(true);
    Ok(value)
}

/// A server is asked by a key or in the name of one account.
pub(super) fn check_way_in(options: &EndpointOptions) -> Result<(), EndpointError> {
    let (google, aws) = (&options.google_account, &options.aws_account);
    let fault = "stands beside another way in; give one";
    if google.is_some() && options.key.is_some() {
        return Err(error("google_account", fault));
    }
    if aws.is_some() && (options.key.is_some() || google.is_some()) {
        return Err(error("aws_account", fault));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn a_key_is_never_shown_and_must_be_sendable() {
        let with_key = |key: &str| {
            let mut options = EndpointOptions::new("https://a/v1", "m");
            options.key = Some(key.to_owned().into());
            Endpoint::new(options)
        };
        let shown = format!(
            "{:?} {:?}",
            with_key("sk-1"),
            with_key("sk-1").unwrap().headers
        );
        assert!(!shown.contains("sk-1"), "{shown}");
        for bad in ["", "sk-1\n", "sk 1", "sk-é"] {
            let error = with_key(bad).unwrap_err();
            assert_eq!(error.field, "key");
            assert!(!error.to_string().contains("sk"), "{error}");
        }
    }

    #[test]
    fn headers_are_checked() {
        let with_header = |name: &str, value: &str| {
            let mut options = EndpointOptions::new("https://a/v1", "m");
            options.headers = vec![(name.into(), value.into())];
            Endpoint::new(options)
        };
        assert!(with_header("openai-project", "p1").is_ok());
        for (name, value) in [
            ("a b", "x"),
            ("x", "a\nb"),
            ("Authorization", "x"),
            ("host", "x"),
        ] {
            assert_eq!(
                with_header(name, value).unwrap_err().field,
                "headers",
                "{name}"
            );
        }
    }
}
