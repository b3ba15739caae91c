//! The options `aws_account` and `aws_scope` of a tier.

use secrecy::SecretString;
use upstream::{AwsAccount, AwsAccountError, AwsScope};

use super::check::Checks;
use super::path::Path;
use super::raw::RawTier;
use super::secret;

/// Where AWS's own programs look for a key.
const ENVIRONMENT: &str = "environment";

/// The account in whose name requests to a tier are signed; `None` where there is none, after a
/// fault, or where secrets are not to be read.
pub(super) fn check(checks: &mut Checks<'_, '_>, raw: &RawTier, tier: &Path) -> Option<AwsAccount> {
    let scope = scope(checks, raw, tier);
    let text = raw.aws_account.as_ref()?;
    let path = tier.key("aws_account");
    if raw.key.is_some() || raw.google_account.is_some() {
        let fault = "stands beside another way in; leave that out";
        checks.faults.add(&path, fault);
        return None;
    }
    let scope = scope?;
    let (account, place) = if text == ENVIRONMENT {
        (of_environment(checks, scope)?, ENVIRONMENT.to_owned())
    } else {
        let (file, place) = secret::read(checks, &path, text)?;
        let file = SecretString::from(file);
        (AwsAccount::from_credentials(&file, scope), place)
    };
    match account {
        Ok(account) => Some(account),
        Err(fault) => {
            checks.faults.add(&path, format!("{place} {fault}"));
            None
        }
    }
}

fn of_environment(
    checks: &Checks<'_, '_>,
    scope: AwsScope,
) -> Option<Result<AwsAccount, AwsAccountError>> {
    let variable = checks.machine?;
    let secret = |name: &str| variable(name).map(SecretString::from);
    let key_id = variable("AWS_ACCESS_KEY_ID").unwrap_or_default();
    let key = secret("AWS_SECRET_ACCESS_KEY").unwrap_or_default();
    // One that is set and empty is meant to be none.
    let token = variable("AWS_SESSION_TOKEN").filter(|token| !token.is_empty());
    let token = token.map(SecretString::from);
    Some(AwsAccount::new((&key_id, &key), token.as_ref(), scope))
}

/// What is signed for: as the option says, or the host of all addresses.
fn scope(checks: &mut Checks<'_, '_>, raw: &RawTier, tier: &Path) -> Option<AwsScope> {
    let path = tier.key("aws_scope");
    if let Some(text) = &raw.aws_scope {
        if raw.aws_account.is_none() {
            let fault = "nothing is signed without an `aws_account`; leave it out";
            checks.faults.add(&path, fault);
            return None;
        }
        let scope = AwsScope::parse(text);
        if scope.is_none() {
            checks.faults.add_value(&path, "is no REGION/SERVICE");
        }
        return scope;
    }
    raw.aws_account.as_ref()?;
    let urls = raw.url.iter().chain(raw.urls.iter().flatten());
    let of_url = |url: &String| {
        let url: http::Uri = url.parse().ok()?;
        AwsScope::of_host(url.host()?)
    };
    let mut scopes = urls.map(of_url);
    let first = scopes.next()?;
    match first {
        Some(first) if scopes.all(|scope| scope.as_ref() == Some(&first)) => Some(first),
        _ => {
            let fault = "missing; the host of the URL does not say what to sign for, so give it, for \
                         example \"us-east-1/bedrock-mantle\"";
            checks.faults.add(&path, fault);
            None
        }
    }
}
