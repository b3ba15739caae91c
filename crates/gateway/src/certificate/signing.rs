//! The key with which a data folder signs its certificates (Ed25519, RFC 8032).
//!
//! It is made on first use and readable by its owner alone. Who can read it can sign; the
//! signature shows that a certificate was not edited, copied from elsewhere or half restored.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use sha2::{Digest as _, Sha256};

use crate::data_folder;
use crate::learn::stored::hex;

/// A key pair.
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    /// SHA-256 of its file, from which secrets for other purposes are made.
    seed: [u8; 32],
}

impl SigningKey {
    /// The folder's key; it is made if there is none.
    ///
    /// # Errors
    /// When it can't be made or read.
    pub(super) fn open_or_make(folder: &Path) -> anyhow::Result<Self> {
        let file = file(folder);
        if !file.exists() {
            make(folder, &file)
                .with_context(|| format!("the signing key {} can't be made", file.display()))?;
        }
        Self::open(folder)?
            .with_context(|| format!("the signing key {} is gone again", file.display()))
    }

    /// The folder's key, if there is one.
    ///
    /// # Errors
    /// When it can't be read or is no key.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Option<Self>> {
        let file = file(folder);
        let fault = || format!("the signing key {} can't be read", file.display());
        let pkcs8 = match std::fs::read(&file) {
            Ok(pkcs8) => pkcs8,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(fault),
        };
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8)
            .map_err(|rejected| anyhow!("{rejected}; remove it and certify again"))
            .with_context(fault)?;
        let seed = Sha256::digest(&pkcs8).into();
        Ok(Some(Self { pair, seed }))
    }

    /// The public key as hexadecimal digits.
    pub(super) fn public(&self) -> String {
        hex(self.pair.public_key().as_ref())
    }

    /// A secret for a purpose: the same each time, another for each purpose, and of no use to find
    /// the key (HMAC-SHA-256 of the purpose).
    pub(super) fn secret(&self, purpose: &str) -> hmac::Key {
        let seed = hmac::Key::new(hmac::HMAC_SHA256, &self.seed);
        let secret = hmac::sign(&seed, purpose.as_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref())
    }

    /// The signature of a message as hexadecimal digits.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex(self.pair.sign(message).as_ref())
    }

    /// Whether a signature is this key's of this message.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let public = UnparsedPublicKey::new(&ED25519, self.pair.public_key());
        unhex(signature).is_some_and(|signature| public.verify(message, &signature).is_ok())
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("signing-key.pk8")
}

/// Makes the key's file whole or not at all; another program's, made meanwhile, is left alone.
fn make(folder: &Path, file: &Path) -> anyhow::Result<()> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_unspecified| anyhow!("the system gives no random numbers"))?;
    data_folder::make(folder)?;
    let part = folder.join(format!("signing-key.{}.part", std::process::id()));
    let mut new = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    new.write_all(pkcs8.as_ref())?;
    new.sync_all()?;
    let linked = std::fs::hard_link(&part, file);
    std::fs::remove_file(&part)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// The bytes that these hexadecimal digits stand for; `None` of anything else.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_has_one_key_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        assert!(SigningKey::open(folder.path()).unwrap().is_none());
        let key = SigningKey::open_or_make(folder.path()).unwrap();
        let again = SigningKey::open_or_make(folder.path()).unwrap();
        assert_eq!(key.public(), again.public());
        let about = std::fs::metadata(file(folder.path())).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_the_signed_message_verifies_and_only_with_its_key() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = SigningKey::open_or_make(folder.path()).unwrap();
        let signature = key.sign(b"claim");
        assert!(key.verifies(b"claim", &signature));
        assert!(!key.verifies(b"claims", &signature));
        let stranger = SigningKey::open_or_make(other.path()).unwrap();
        assert!(!stranger.verifies(b"claim", &signature));
        // Secrets of the same purpose are the same, and others differ.
        let tag = |key: &SigningKey, purpose| hmac::sign(&key.secret(purpose), b"id");
        let again = SigningKey::open(folder.path()).unwrap().unwrap();
        let own = tag(&key, "audits");
        assert_eq!(own.as_ref(), tag(&again, "audits").as_ref());
        assert_ne!(own.as_ref(), tag(&key, "other").as_ref());
        assert_ne!(own.as_ref(), tag(&stranger, "audits").as_ref());
        for nonsense in ["", "zz", "abc", &signature[2..]] {
            assert!(!key.verifies(b"claim", nonsense), "{nonsense}");
        }
    }

    #[test]
    fn a_broken_key_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(file(folder.path()), "no key").unwrap();
        let fault = SigningKey::open(folder.path()).err().unwrap();
        assert!(format!("{fault:#}").contains("certify again"), "{fault:#}");
    }
}
