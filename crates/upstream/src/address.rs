//! The address of a file to fetch, checked.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

use crate::endpoint::is_loopback;

/// An `https` address, or an `http` one of this machine. What follows a `?` may be a key and is
/// never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Uri);

/// Why a text is no address to fetch from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address {0}")]
pub struct AddressError(String);

impl Address {
    /// The address that the text says. What follows a `#` is left out.
    ///
    /// # Errors
    /// When it is none, has a name or password in it, or is unencrypted and leaves this machine.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::check(text).map_err(AddressError)
    }

    fn check(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "for example `https://example.com/model.gguf`";
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let uri: Uri = text
            .parse()
            .map_err(|_invalid| format!("is none; {EXAMPLE}"))?;
        let Some(authority) = uri.authority() else {
            return Err(format!("names no server; {EXAMPLE}"));
        };
        if authority.as_str().contains('@') {
            return Err("has a name or password in it; leave them out".to_owned());
        }
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => Ok(Self(uri)),
            Some(scheme) if *scheme == Scheme::HTTP && is_loopback(authority.host()) => {
                Ok(Self(uri))
            }
            Some(scheme) if *scheme == Scheme::HTTP => {
                Err("is unencrypted and leaves this machine; use https".to_owned())
            }
            _ => Err(format!("is neither https nor http; {EXAMPLE}")),
        }
    }

    /// The address of what lies under this one, at these steps, which may have any characters; a
    /// `/` in one of them parts steps too.
    #[must_use]
    pub fn join(&self, steps: &[&str]) -> Self {
        let mut path = self.0.path().trim_end_matches('/').to_owned();
        for step in steps.iter().flat_map(|steps| steps.split('/')) {
            path.push('/');
            for byte in step.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    path.push(char::from(byte));
                } else {
                    path.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        self.with_path(&path)
            .unwrap_or_else(|_| unreachable!("every character of the path is plain"))
    }

    /// The same address with this question after it, in characters that an address can have.
    ///
    /// # Errors
    /// When it has others.
    pub fn with_query(&self, query: &str) -> Result<Self, AddressError> {
        let path = self.0.path();
        self.with_path(&format!("{path}?{query}"))
            .map_err(AddressError)
    }

    fn with_path(&self, path: &str) -> Result<Self, String> {
        let mut parts = self.0.clone().into_parts();
        let path = path.parse().map_err(|_invalid| "is none".to_owned())?;
        parts.path_and_query = Some(path);
        Uri::from_parts(parts)
            .map(Self)
            .map_err(|_invalid| "is none".to_owned())
    }

    /// `host` or `host:port`, for messages.
    #[must_use]
    pub fn host(&self) -> String {
        self.0
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// What follows the last `/` of its path, where that is anything.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        let (_, name) = self.0.path().rsplit_once('/')?;
        (!name.is_empty()).then_some(name)
    }

    /// Whether both are of the same server: scheme, host and port.
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        let port = |uri: &Uri| {
            let default = if uri.scheme() == Some(&Scheme::HTTPS) {
                443
            } else {
                80
            };
            uri.port_u16().unwrap_or(default)
        };
        let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
        self.0.scheme() == other.0.scheme()
            && host(&self.0) == host(&other.0)
            && port(&self.0) == port(&other.0)
    }

    /// Where a redirect from here leads, or why it is not followed. Nothing that began encrypted
    /// goes on in the clear.
    pub(crate) fn redirect(&self, location: &str) -> Result<Self, String> {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let next = if location.starts_with("//") {
            Self::check(&format!("{scheme}:{location}"))
        } else if location.starts_with('/') {
            self.with_path(location)
        } else if location.contains("://") {
            Self::check(location)
        } else {
            let (folder, _) = self.0.path().rsplit_once('/').unwrap_or_default();
            self.with_path(&format!("{folder}/{location}"))
        };
        let next = next.map_err(|fault| format!("which {fault}"))?;
        if self.0.scheme() == Some(&Scheme::HTTPS) && next.0.scheme() != Some(&Scheme::HTTPS) {
            return Err("which is unencrypted".to_owned());
        }
        Ok(next)
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for Address {
    /// The address without what follows a `?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}{}", self.host(), self.0.path())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn only_encrypted_addresses_leave_this_machine() {
        for right in [
            "https://a/b.gguf",
            "https://a:8443/b?c=d#e",
            "http://127.0.0.1:1/b",
            "http://[::1]/b",
            "http://localhost/b",
        ] {
            assert!(Address::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "a",
            "/a",
            "a/b",
            "ftp://a/b",
            "https://user:word@a/b",
            "http://a/b",
            "http://localhost.example.com/b",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_in_an_address_is_not_shown() {
        let address = address("https://a/b.gguf?signature=secret");
        assert_eq!(address.to_string(), "https://a/b.gguf");
        assert!(!format!("{address:?}").contains("secret"));
        assert_eq!(address.file_name(), Some("b.gguf"));
    }

    #[test]
    fn steps_are_joined_whatever_their_characters() {
        let joined = address("https://a/x/").join(&["o", "n?", "d/ä b.gguf"]);
        assert_eq!(joined.to_string(), "https://a/x/o/n%3F/d/%C3%A4%20b.gguf");
        let asked = joined.with_query("blobs=true").unwrap();
        assert_eq!(asked.uri().query(), Some("blobs=true"));
    }

    #[test]
    fn redirects_are_resolved_and_stay_encrypted() {
        let from = address("https://a/x/y?q");
        for (location, to) in [
            ("https://b/z", "https://b/z"),
            ("//b/z", "https://b/z"),
            ("/z?k", "https://a/z"),
            ("z", "https://a/x/z"),
        ] {
            assert_eq!(from.redirect(location).unwrap().to_string(), to);
        }
        for location in [
            "http://b/z",
            "http://127.0.0.1/z",
            "ftp://b/z",
            "https://u:p@b/z",
        ] {
            assert!(from.redirect(location).is_err(), "{location}");
        }
        let local = address("http://127.0.0.1:1/x");
        assert!(local.redirect("http://127.0.0.1:2/x").is_ok());
        assert!(local.redirect("http://b/x").is_err());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let one = address("https://A.example/x");
        assert!(one.same_origin(&address("https://a.example:443/y")));
        for other in ["https://a.example:444/x", "https://b.example/x"] {
            assert!(!one.same_origin(&address(other)), "{other}");
        }
        let local = address("http://127.0.0.1:443/x");
        assert!(!local.same_origin(&address("https://127.0.0.1/x")));
    }
}
