//! The address of a tier elsewhere.

use std::net::IpAddr;

use domain::TierKind;

use super::check::Checks;
use super::path::Path;
use super::raw::RawTier;

/// Where vendors of models are asked. A tier there is outside, whatever its section says: one wrong
/// word would send them confidential texts. Not all vendors are named here, nor could be.
const VENDORS: &[&str] = &[
    "ai21.com",
    "aliyuncs.com",
    "anthropic.com",
    "bigmodel.cn",
    "cerebras.ai",
    "cloudflare.com",
    "cognitiveservices.azure.com",
    "cohere.ai",
    "cohere.com",
    "deepinfra.com",
    "deepseek.com",
    "fireworks.ai",
    "googleapis.com",
    "groq.com",
    "huggingface.cloud",
    "huggingface.co",
    "hyperbolic.xyz",
    "mistral.ai",
    "models.ai.azure.com",
    "models.github.ai",
    "moonshot.ai",
    "moonshot.cn",
    "nebius.com",
    "novita.ai",
    "openai.azure.com",
    "openai.com",
    "openrouter.ai",
    "perplexity.ai",
    "replicate.com",
    "sambanova.ai",
    "services.ai.azure.com",
    "together.ai",
    "together.xyz",
    "x.ai",
    "z.ai",
];
/// How a step of a host's name begins at which AWS is asked for models.
const BEDROCK: &str = "bedrock";

/// A tier's base URL, where nothing is wrong with it.
pub(super) fn check_url(
    checks: &mut Checks<'_, '_>,
    raw: &RawTier,
    (place, text): (&Path, &str),
) -> Option<String> {
    if text.contains(['@', '?', '#']) {
        let fault = "the value (not shown here) has a user, a query or a fragment; it is the base \
                     URL alone, for example \"https://api.openai.com/v1\"; a key goes into `key`";
        checks.faults.add(place, fault);
        return None;
    }
    let url = match text.parse::<http::Uri>() {
        Ok(url) if url.host().is_some() => url,
        _ => {
            checks.faults.add_value(place, "is no URL");
            return None;
        }
    };
    let is_pool = raw.kind.as_deref() == Some(TierKind::Pool.as_str());
    let wrong = match url.scheme_str() {
        _ if is_pool && is_vendors(&url) => Some(
            "is a vendor's address, and a pool is servers of your own, which confidential texts may \
             reach (write kind = \"frontier\")",
        ),
        Some("https") => None,
        Some("http") if is_loopback(&url) || raw.allow_plain_http == Some(true) => None,
        Some("http") => Some(
            "would carry prompts and the key unencrypted to another machine (write https://, or \
             allow_plain_http = true)",
        ),
        _ => Some("begins with neither https:// nor http://"),
    };
    if let Some(wrong) = wrong {
        checks.faults.add_value(place, wrong);
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// Whether it is this machine's own.
pub(super) fn is_loopback(url: &http::Uri) -> bool {
    let Some(host) = url.host() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn is_vendors(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_end_matches('.');
    let host = host.to_ascii_lowercase();
    let is_under = |domain: &&str| {
        let before = host.strip_suffix(domain);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let is_aws = ["amazonaws.com", "api.aws"].iter().any(is_under);
    let is_bedrock = || host.split('.').any(|step| step.starts_with(BEDROCK));
    VENDORS.iter().any(is_under) || is_aws && is_bedrock()
}
