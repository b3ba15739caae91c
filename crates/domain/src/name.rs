//! Names of tasks and tiers, as they stand in the config, in a request's `model` and in reports.

use std::fmt;

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is no name; a name has 1 to 64 ASCII letters, digits, `-`, `_` or `.`, for example `invoice-flags`"
)]
pub struct NameError {
    name: String,
}

fn checked(name: &str) -> Result<String, NameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed);
    fits.then(|| name.to_owned()).ok_or_else(|| NameError {
        name: name.to_owned(),
    })
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The checked name.
            ///
            /// # Errors
            /// When the text is empty, longer than 64 bytes or has a character outside ASCII
            /// letters, digits, `-`, `_` and `.`.
            pub fn new(name: &str) -> Result<Self, NameError> {
                checked(name).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// The name of a task, for example `flag`.
    TaskName
}
name_type! {
    /// The name of a tier, for example `llama`.
    TierName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(
            TaskName::new("invoice-flags_2.0").unwrap().as_str(),
            "invoice-flags_2.0"
        );
        for bad in ["", "two words", "tier:x", "é", &"x".repeat(65)] {
            assert!(
                TierName::new(bad)
                    .unwrap_err()
                    .to_string()
                    .contains("is no name")
            );
        }
    }
}
