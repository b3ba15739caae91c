//! A certificate on disk: a claim in JSON, and the signature over it.

use std::path::Path;

use anyhow::Context as _;
use domain::TaskName;
use ring::hmac;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::claim::{ClaimJson, VERSION, certificate, claim};
use super::signing::SigningKey;
use super::{Certificate, Extent, path};
use crate::data_folder;
use crate::learn::stored::{hex, replace};

/// Why there is no certificate, in words that follow "and".
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateFault {
    /// None was made.
    #[error("there is none")]
    None,
    /// The file, or the key that it is checked with, can't be used.
    #[error("it can't be read: {0}")]
    Unreadable(String),
    /// Somebody else's key.
    #[error("it was signed with another key than this data folder's")]
    Stranger,
    /// The claim is not the one that was signed.
    #[error("its signature is wrong: the file was changed after it was made")]
    Forged,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateFile {
    claim: ClaimJson,
    /// Ed25519, as hexadecimal digits.
    public_key: String,
    /// Over the claim as JSON without space.
    signature: String,
}

/// The certificate of a task in a folder, if it was signed with the folder's key and is about
/// answers of which so much decides.
///
/// # Errors
/// When there is none, or it can't be relied on.
pub(crate) fn read(
    folder: &Path,
    task: &TaskName,
    extent: Extent,
) -> Result<Certificate, CertificateFault> {
    let text = match std::fs::read_to_string(path(folder, task, extent)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CertificateFault::None);
        }
        Err(error) => return Err(CertificateFault::Unreadable(error.to_string())),
    };
    let unreadable = |fault: String| CertificateFault::Unreadable(fault);
    let file: CertificateFile =
        serde_json::from_str(&text).map_err(|fault| unreadable(fault.to_string()))?;
    let key = SigningKey::open(folder).map_err(|fault| unreadable(format!("{fault:#}")))?;
    let key = key.ok_or_else(|| {
        unreadable("the data folder's signing key, with which it is checked, is gone".to_owned())
    })?;
    if key.public() != file.public_key {
        return Err(CertificateFault::Stranger);
    }
    if !key.verifies(&bytes(&file.claim), &file.signature) {
        return Err(CertificateFault::Forged);
    }
    if file.claim.version != VERSION || file.claim.task != task.as_str() {
        let fault = "it is of another task or of another version of the program";
        return Err(unreadable(fault.to_owned()));
    }
    // A change of the number is told as every other change of circumstances.
    if file.claim.early_tokens.is_some() != (extent != Extent::Whole) {
        let fault = "it was proven of answers of which another part decides";
        return Err(unreadable(fault.to_owned()));
    }
    certificate(file.claim).map_err(|fault| unreadable(format!("{fault:#}")))
}

/// Signs a certificate and writes it; the public key as hexadecimal digits.
///
/// # Errors
/// When the key can't be made or a file can't be written.
pub(crate) fn write(folder: &Path, certificate: &Certificate) -> anyhow::Result<String> {
    let text = encode(folder, certificate)?;
    let path = path(folder, &certificate.task, certificate.extent);
    if let Some(folder) = path.parent() {
        data_folder::make(folder)
            .with_context(|| format!("the folder {} can't be made", folder.display()))?;
    }
    replace(&path, text.as_bytes())?;
    Ok(SigningKey::open_or_make(folder)?.public())
}

/// A certificate's file as text, signed with a folder's key.
///
/// # Errors
/// When the key can't be made.
pub(crate) fn encode(folder: &Path, certificate: &Certificate) -> anyhow::Result<String> {
    data_folder::make(folder)
        .with_context(|| format!("the folder {} can't be made", folder.display()))?;
    let key = SigningKey::open_or_make(folder)?;
    let claim = claim(certificate);
    let file = CertificateFile {
        public_key: key.public(),
        signature: key.sign(&bytes(&claim)),
        claim,
    };
    let text = serde_json::to_string_pretty(&file).context("a certificate can't be encoded")?;
    Ok(format!("{text}\n"))
}

/// The name of a certificate: SHA-256 of what it claims, as hexadecimal digits.
pub(crate) fn id(certificate: &Certificate) -> String {
    hex(&Sha256::digest(bytes(&claim(certificate))))
}

/// The secret by which it is chosen which answers of a task are audited: who doesn't have it
/// can't tell in advance, and who has it can show afterwards that the choice was fair. `None` in
/// a folder without a key, which has no valid certificate either.
///
/// # Errors
/// When the key can't be read.
pub(crate) fn audit_key(folder: &Path, task: &TaskName) -> anyhow::Result<Option<hmac::Key>> {
    let key = SigningKey::open(folder)?;
    Ok(key.map(|key| key.secret(&format!("audits of task {task}"))))
}

/// What is signed.
fn bytes(claim: &ClaimJson) -> Vec<u8> {
    serde_json::to_vec(claim).unwrap_or_else(|_| unreachable!("its keys are texts"))
}

#[cfg(test)]
mod tests {
    use super::super::{LabelProof, MissProof, Reference, TierProof};
    use super::*;
    use crate::deferral::TierHead;
    use crate::precall::TierRouter;
    use domain::TierName;
    use proptest::prelude::*;
    use routing::certificate::{Goal, Proof, Provenance, Risk, Start, Weighing};
    use routing::deferral::Deferral;
    use routing::precall::{Foreknown, PrecallRouter};
    use std::collections::BTreeMap;

    /// A router that lets through what is about orders.
    fn router() -> PrecallRouter {
        let known = |i: usize| {
            let text = ["a note of law", "an order of goods"][i % 2];
            let earlier = Vec::new();
            (Foreknown { text, earlier }, i % 2 == 1)
        };
        PrecallRouter::fit(&(0..300).map(known).collect::<Vec<_>>()).unwrap()
    }

    fn proof(threshold: f64) -> Proof {
        Proof {
            threshold: Some(threshold),
            records: 1_200,
            kept: 700,
            errors: 5,
            bound: 0.0149,
            starts: vec![Start {
                kept: 100,
                delta: 0.005,
            }],
            records_wanting: None,
            weighing: Some(Weighing {
                effective: 800.5,
                share_kept: 0.6,
                risk: 1.0 / 300.0,
                bet: 0.3,
            }),
        }
    }

    fn of_label(label: Option<&str>, threshold: f64) -> LabelProof {
        LabelProof {
            label: label.map(str::to_owned),
            alpha: 0.01,
            delta: 0.0125,
            proof: proof(threshold),
        }
    }

    fn made(threshold: f64) -> Certificate {
        Certificate {
            task: TaskName::new("letters").unwrap(),
            extent: Extent::Whole,
            made: "2026-11-23T10:00:00Z".parse().unwrap(),
            goal: Goal::new(0.02, 0.05).unwrap(),
            risk: Risk::Marginal,
            reference: Reference::Gold,
            max_missed: vec![("money".to_owned(), 0.1)],
            max_wrong: vec![("money".to_owned(), 0.01)],
            records: 1_200,
            known: Some(1_500),
            records_sha256: "ab".to_owned(),
            tiers: vec![TierProof {
                tier: TierName::new("student").unwrap(),
                delta: 0.025,
                missed: vec![MissProof {
                    label: "money".to_owned(),
                    alpha: 0.1,
                    delta: 0.025,
                    records: 300,
                    errors: 4,
                    bound: 0.034,
                    weighing: None,
                    records_wanting: None,
                }],
                head: Some(TierHead {
                    heard: vec![TierName::new("other").unwrap()],
                    records: 250,
                    deferral: Deferral::from_parts(vec![0.1, 2.0 / 3.0], vec![-0.7, -1.1]).unwrap(),
                }),
                router: Some(TierRouter {
                    heard: vec![TierName::new("other").unwrap()],
                    records: 250,
                    router: router(),
                }),
                proof: proof(threshold),
                by_label: vec![
                    of_label(Some("money"), threshold),
                    of_label(None, 2.0 * threshold),
                ],
            }],
            provenance: Provenance {
                parts: BTreeMap::from([("prompt".to_owned(), "cd".to_owned())]),
            },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_read_is_what_was_written_to_the_last_bit(threshold in 0.0_f64..1.0) {
            let folder = tempfile::tempdir().unwrap();
            let written = made(threshold);
            write(folder.path(), &written).unwrap();
            let read = read(folder.path(), &written.task, Extent::Whole).unwrap();
            let bits = |c: &Certificate| c.tiers[0].proof.threshold.unwrap().to_bits();
            prop_assert_eq!(bits(&read), bits(&written));
            prop_assert_eq!(bytes(&claim(&read)), bytes(&claim(&written)));
        }
    }

    #[test]
    fn whatever_is_edited_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let task = TaskName::new("letters").unwrap();
        assert!(matches!(
            read(folder.path(), &task, Extent::Whole),
            Err(CertificateFault::None)
        ));
        write(folder.path(), &made(0.75)).unwrap();
        let file = path(folder.path(), &task, Extent::Whole);
        let good = std::fs::read_to_string(&file).unwrap();
        for (part, other) in [
            ("0.75", "0.70"),
            ("\"max_error\": 0.02", "\"max_error\": 0.01"),
            ("\"prompt\": \"cd\"", "\"prompt\": \"ce\""),
            ("\"records\": 1200", "\"records\": 1201"),
        ] {
            assert!(good.contains(part), "{part}");
            std::fs::write(&file, good.replace(part, other)).unwrap();
            let fault = read(folder.path(), &task, Extent::Whole).unwrap_err();
            assert!(matches!(fault, CertificateFault::Forged), "{part}: {fault}");
        }
        std::fs::write(&file, &good[..good.len() / 2]).unwrap();
        let fault = read(folder.path(), &task, Extent::Whole).unwrap_err();
        assert!(matches!(fault, CertificateFault::Unreadable(_)), "{fault}");

        // Space between the values is no part of the claim.
        std::fs::write(&file, good.replace("  ", " ")).unwrap();
        assert!(read(folder.path(), &task, Extent::Whole).is_ok());
        // A certificate under another task's name, and one of another folder.
        let other = TaskName::new("notes").unwrap();
        std::fs::copy(&file, path(folder.path(), &other, Extent::Whole)).unwrap();
        assert!(read(folder.path(), &other, Extent::Whole).is_err());
        let elsewhere = tempfile::tempdir().unwrap();
        write(elsewhere.path(), &made(0.5)).unwrap();
        std::fs::copy(&file, path(elsewhere.path(), &task, Extent::Whole)).unwrap();
        let fault = read(elsewhere.path(), &task, Extent::Whole).unwrap_err();
        assert!(matches!(fault, CertificateFault::Stranger), "{fault}");
    }

    #[test]
    fn what_is_proven_of_whole_answers_says_nothing_of_their_beginnings() {
        let folder = tempfile::tempdir().unwrap();
        let whole = made(0.75);
        let early = Certificate {
            extent: Extent::First(16),
            ..made(0.5)
        };
        for certificate in [&whole, &early] {
            write(folder.path(), certificate).unwrap();
        }
        let task = &whole.task;
        let of = |extent| read(folder.path(), task, extent).map(|read| read.extent);
        assert_eq!(of(Extent::Whole).unwrap(), Extent::Whole);
        assert_eq!(of(Extent::First(16)).unwrap(), Extent::First(16));
        let file = |extent| path(folder.path(), task, extent);
        let (a, b) = (file(Extent::Whole), file(Extent::First(16)));
        let kept = std::fs::read(&a).unwrap();
        std::fs::copy(&b, &a).unwrap();
        std::fs::write(&b, kept).unwrap();
        for extent in [Extent::Whole, Extent::First(16)] {
            let fault = of(extent).unwrap_err().to_string();
            assert!(fault.contains("another part decides"), "{fault}");
        }
    }
}
