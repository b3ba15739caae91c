//! The option `google_account` of a tier.

use secrecy::SecretString;
use upstream::GoogleAccount;

use super::check::Checks;
use super::path::Path;
use super::raw::RawTier;
use super::secret;

/// The account in whose name a tier is asked; `None` where there is none, after a fault, or where
/// secrets are not to be read.
pub(super) fn check(
    checks: &mut Checks<'_, '_>,
    raw: &RawTier,
    tier: &Path,
) -> Option<GoogleAccount> {
    let text = raw.google_account.as_ref()?;
    let path = tier.key("google_account");
    if raw.key.is_some() {
        let fault = "stands beside `key`; an account is asked for tokens, so leave that out";
        checks.faults.add(&path, fault);
        return None;
    }
    let (account, place) = match text.strip_prefix("metadata") {
        Some("") => (GoogleAccount::of_machine(None), text.clone()),
        Some(host) if host.starts_with(':') => {
            (GoogleAccount::of_machine(Some(&host[1..])), text.clone())
        }
        _ => {
            let (file, place) = secret::read(checks, &path, text)?;
            (GoogleAccount::from_key(&SecretString::from(file)), place)
        }
    };
    match account {
        Ok(account) => Some(account),
        Err(fault) => {
            checks.faults.add(&path, format!("{place} {fault}"));
            None
        }
    }
}
