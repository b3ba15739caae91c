//! Checks of the sections `[prices.NAME]` and `[tiers.NAME]`.

use std::collections::BTreeMap;
use std::num::NonZero;

use domain::{Picodollars, Price, PromptTokens, TierKind, TierName, TokenRate};
use upstream::{KeyHeader, Protocol};

use super::check::Checks;
use super::checked::{LocalTier, MaxTokensField, ModelSource, RemoteTier, Tier};
use super::path::Path;
use super::raw::{RawPrice, RawTier};
use super::secret;
use super::tier_url::{check_url, is_loopback};
use super::{aws_account, google_account};
use crate::model::{ModelFolder, STARTER};

/// Options that only a tier of kind local has.
const LOCAL_ONLY: &[&str] = &["threads", "queue_max", "kv_bytes", "machine_usd_per_hour"];
/// Options that only a tier of kind pool or frontier has.
const REMOTE_ONLY: &[&str] = &[
    "url",
    "urls",
    "protocol",
    "key",
    "key_header",
    "google_account",
    "aws_account",
    "aws_scope",
    "api_version",
    "price",
    "media_tokens_max",
    "connect_seconds",
    "first_token_seconds",
    "idle_seconds",
    "total_seconds",
    "attempts_max",
    "concurrency_max",
    "max_tokens_field",
    "sends_sampling",
    "drops_unsupported",
    "allow_unpriced",
    "ca_file",
    "allow_plain_http",
];

/// More than vendors make of one picture; a file of many pages is more.
const MEDIA_TOKENS_MAX: usize = 20_000;

/// The price lists that have no fault.
pub(super) fn check_prices(
    checks: &mut Checks<'_, '_>,
    raw: &BTreeMap<String, RawPrice>,
) -> BTreeMap<String, Price> {
    let mut prices = BTreeMap::new();
    for (name, raw) in raw {
        let path = Path::top("prices").key(name);
        let mut rate = |option: &str, raw: Option<&String>| {
            checks.money(&path.key(option), raw, TokenRate::from_usd_per_million)
        };
        let input = rate("input", raw.input.as_ref());
        let cached_input = rate("cached_input", raw.cached_input.as_ref());
        let cache_write = rate("cache_write", raw.cache_write.as_ref());
        let output = rate("output", raw.output.as_ref());
        for (option, raw) in [("input", &raw.input), ("output", &raw.output)] {
            if raw.is_none() {
                checks.faults.add_missing(&path.key(option));
            }
        }
        if let (Some(input), Some(output)) = (input, output) {
            let cached_input = cached_input.unwrap_or(input);
            prices.insert(
                name.clone(),
                Price {
                    input,
                    cached_input,
                    cache_write: cache_write.unwrap_or(input),
                    output,
                },
            );
        }
    }
    prices
}

/// The tiers that have no fault.
pub(super) fn check_tiers(
    checks: &mut Checks<'_, '_>,
    raw: &BTreeMap<String, RawTier>,
    prices: &BTreeMap<String, Price>,
) -> BTreeMap<TierName, Tier> {
    let mut tiers = BTreeMap::new();
    for (name, raw) in raw {
        let path = Path::top("tiers").key(name);
        let name = TierName::new(name);
        if let Err(fault) = &name {
            checks.faults.add(&path, fault.to_string());
        }
        let tier = check_tier(checks, raw, &path, prices);
        if let (Ok(name), Some(tier)) = (name, tier) {
            tiers.insert(name, tier);
        }
    }
    tiers
}

fn check_tier(
    checks: &mut Checks<'_, '_>,
    raw: &RawTier,
    path: &Path,
    prices: &BTreeMap<String, Price>,
) -> Option<Tier> {
    if raw.kind.is_none() {
        checks.faults.add_missing(&path.key("kind"));
    }
    let kind = checks.word(&path.key("kind"), raw.kind.as_ref(), TierKind::from_name)?;
    refuse_options_of_other_kinds(checks, path, kind);
    match kind {
        TierKind::Student => Some(Tier::Student),
        TierKind::Person => Some(Tier::Person),
        TierKind::Local => check_local(checks, raw, path).map(Tier::Local),
        TierKind::Pool => check_remote(checks, raw, path, prices).map(Tier::Pool),
        TierKind::Frontier => {
            require_price_and_key(checks, raw, path);
            require_cache_price(checks, raw, path);
            check_remote(checks, raw, path, prices).map(Tier::Frontier)
        }
    }
}

fn refuse_options_of_other_kinds(checks: &mut Checks<'_, '_>, path: &Path, kind: TierKind) {
    let refused: Vec<&str> = match kind {
        TierKind::Student | TierKind::Person => [LOCAL_ONLY, REMOTE_ONLY, &["model"]].concat(),
        TierKind::Local => REMOTE_ONLY.to_vec(),
        TierKind::Pool | TierKind::Frontier => LOCAL_ONLY.to_vec(),
    };
    for option in refused {
        let place = path.key(option);
        if checks.faults.source().has(&place) {
            let kind = kind.as_str();
            let fault = format!("a tier of kind {kind} has no such option; leave it out");
            checks.faults.add(&place, fault);
        }
    }
}

fn check_local(checks: &mut Checks<'_, '_>, raw: &RawTier, path: &Path) -> Option<LocalTier> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let cost = path.key("machine_usd_per_hour");
    let cost = checks.usd(&cost, raw.machine_usd_per_hour.as_ref());
    // What may be missing stands last, so that everything before it is checked in any case.
    Some(LocalTier {
        threads: checks.count(&path.key("threads"), raw.threads, cores),
        queue_max: checks.count(&path.key("queue_max"), raw.queue_max, 64),
        kv_bytes: raw
            .kv_bytes
            .map(|bytes| checks.count(&path.key("kv_bytes"), Some(bytes), 0) as u64),
        machine_usd_per_hour: cost.unwrap_or(Picodollars::ZERO),
        model: check_model_source(checks, raw, &path.key("model"))?,
    })
}

fn check_model_source(
    checks: &mut Checks<'_, '_>,
    raw: &RawTier,
    path: &Path,
) -> Option<ModelSource> {
    let model = checks.required(path, raw.model.as_ref())?;
    if model == STARTER {
        return Some(ModelSource::Starter);
    }
    let there = checks.folder.join(&model).is_file();
    let folder = checks
        .machine
        .filter(|_| !there)
        .and_then(ModelFolder::of_user);
    match folder.and_then(|folder| folder.find(&model)) {
        Some(fetched) => Some(ModelSource::File(fetched)),
        None => checks.file(path, raw.model.as_ref()).map(ModelSource::File),
    }
}

/// What a frontier needs beyond a pool: nothing is bought at an unknown price.
fn require_price_and_key(checks: &mut Checks<'_, '_>, raw: &RawTier, path: &Path) {
    if raw.price.is_none() {
        checks.faults.add_missing(&path.key("price"));
    }
    let loopback = raw
        .url
        .as_ref()
        .and_then(|url| url.parse().ok())
        .is_some_and(|u| is_loopback(&u));
    let account = raw.google_account.as_ref().or(raw.aws_account.as_ref());
    if raw.key.is_none() && account.is_none() && !loopback {
        checks.faults.add_missing(&path.key("key"));
    }
}

/// A vendor with a price of its own for what it puts into its cache is not paid from a list
/// without one: less would be booked than it bills.
fn require_cache_price(checks: &mut Checks<'_, '_>, raw: &RawTier, path: &Path) {
    let Some(price) = &raw.price else { return };
    let list = Path::top("prices").key(price);
    let source = checks.faults.source();
    let lacks = source.has(&list) && !source.has(&list.key("cache_write"));
    if raw.protocol.as_deref() == Some("anthropic") && lacks {
        let fault = format!(
            "the price list {price} has no cache_write, which vendors of the protocol anthropic \
             charge for what they put into their cache, for example cache_write = \"6.00\" where \
             input = \"3.00\""
        );
        checks.faults.add(&path.key("price"), fault);
    }
}

fn check_remote(
    checks: &mut Checks<'_, '_>,
    raw: &RawTier,
    path: &Path,
    prices: &BTreeMap<String, Price>,
) -> Option<RemoteTier> {
    let frontier = raw.kind.as_deref() == Some(TierKind::Frontier.as_str());
    let urls = check_urls(checks, raw, path);
    let mut urls = urls.into_iter();
    let model = checks.text(&path.key("model"), raw.model.as_ref());
    if raw.model.is_none() {
        let fault =
            "missing; it is the name that the server gives the model, for example \"gpt-5-mini\"";
        checks.faults.add(&path.key("model"), fault);
    }
    let key_path = path.key("key");
    let key = raw
        .key
        .as_ref()
        .and_then(|text| secret::resolve(checks, &key_path, text));
    let field = checks.word(
        &path.key("max_tokens_field"),
        raw.max_tokens_field.as_ref(),
        field_named,
    );
    let default_field = if frontier {
        MaxTokensField::MaxCompletionTokens
    } else {
        MaxTokensField::MaxTokens
    };
    let protocol = path.key("protocol");
    let protocol = checks.word(&protocol, raw.protocol.as_ref(), protocol_named);
    let key_header = path.key("key_header");
    let attempts_max = checks.count(&path.key("attempts_max"), raw.attempts_max, 3);
    let media = path.key("media_tokens_max");
    let media_tokens_max = checks.count(&media, raw.media_tokens_max, MEDIA_TOKENS_MAX);
    // What may be missing stands last, so that everything before it is checked in any case.
    Some(RemoteTier {
        key,
        google_account: google_account::check(checks, raw, path),
        aws_account: aws_account::check(checks, raw, path),
        key_header: checks.word(&key_header, raw.key_header.as_ref(), key_header_named),
        api_version: checks.text(&path.key("api_version"), raw.api_version.as_ref()),
        protocol: protocol.unwrap_or(Protocol::OpenAiChat),
        price: check_price_name(checks, raw, path, prices),
        media_tokens_max: PromptTokens(media_tokens_max as u64),
        connect: checks.seconds(&path.key("connect_seconds"), raw.connect_seconds, 5),
        first_token: checks.seconds(
            &path.key("first_token_seconds"),
            raw.first_token_seconds,
            120,
        ),
        idle: checks.seconds(&path.key("idle_seconds"), raw.idle_seconds, 30),
        total: checks.seconds(&path.key("total_seconds"), raw.total_seconds, 600),
        attempts_max: u32::try_from(attempts_max).unwrap_or(1),
        concurrency_max: checks.count(&path.key("concurrency_max"), raw.concurrency_max, 16),
        max_tokens_field: field.unwrap_or(default_field),
        sends_sampling: raw.sends_sampling.unwrap_or(!frontier),
        drops_unsupported: raw.drops_unsupported.unwrap_or(false),
        allow_unpriced: raw.allow_unpriced.unwrap_or(false),
        ca_file: checks.file(&path.key("ca_file"), raw.ca_file.as_ref()),
        allow_plain_http: raw.allow_plain_http.unwrap_or(false),
        url: urls.next()?,
        other_urls: urls.collect(),
        model: model?,
    })
}

fn check_price_name(
    checks: &mut Checks<'_, '_>,
    raw: &RawTier,
    path: &Path,
    prices: &BTreeMap<String, Price>,
) -> Option<Price> {
    let path = path.key("price");
    let name = checks.text(&path, raw.price.as_ref())?;
    if !checks.faults.source().has(&Path::top("prices").key(&name)) {
        checks.add_unknown_name(&path, &name, "prices");
    }
    // A price list with a fault of its own is not complained about twice.
    prices.get(&name).copied()
}

/// The addresses of the tier's servers; none where one has a fault.
fn check_urls(checks: &mut Checks<'_, '_>, raw: &RawTier, path: &Path) -> Vec<String> {
    let place = path.key("urls");
    let Some(urls) = &raw.urls else {
        let place = path.key("url");
        let url = checks.required(&place, raw.url.as_ref());
        let url = url.and_then(|url| check_url(checks, raw, (&place, &url)));
        return url.into_iter().collect();
    };
    if raw.url.is_some() {
        let fault = "stands beside `url`; write all addresses here and leave that out";
        checks.faults.add(&place, fault);
    } else if raw.kind.as_deref() != Some(TierKind::Pool.as_str()) {
        let fault = "only a tier of kind pool has several servers; give one address as `url`";
        checks.faults.add(&place, fault);
    } else if urls.is_empty() {
        checks
            .faults
            .add(&place, "is empty; give at least one address");
    }
    let each = urls.iter().enumerate();
    let checked: Vec<Option<String>> = each
        .map(|(index, url)| check_url(checks, raw, (&place.index(index), url)))
        .collect();
    checked
        .into_iter()
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// The protocol of this name.
pub(super) fn protocol_named(name: &str) -> Option<Protocol> {
    match name {
        "openai" => Some(Protocol::OpenAiChat),
        "openai-responses" => Some(Protocol::OpenAiResponses),
        "anthropic" => Some(Protocol::Anthropic),
        "google" => Some(Protocol::Google),
        _ => None,
    }
}

fn key_header_named(name: &str) -> Option<KeyHeader> {
    match name {
        "authorization" => Some(KeyHeader::Bearer),
        "api-key" => Some(KeyHeader::ApiKey),
        "x-api-key" => Some(KeyHeader::XApiKey),
        "x-goog-api-key" => Some(KeyHeader::XGoogApiKey),
        _ => None,
    }
}

fn field_named(name: &str) -> Option<MaxTokensField> {
    match name {
        "max_tokens" => Some(MaxTokensField::MaxTokens),
        "max_completion_tokens" => Some(MaxTokensField::MaxCompletionTokens),
        _ => None,
    }
}
