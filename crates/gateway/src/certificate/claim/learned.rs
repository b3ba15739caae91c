//! What a certificate holds that was learned: heads and routers.

use anyhow::Context as _;
use domain::TierName;
use routing::deferral::Deferral;
use routing::precall::PrecallRouter;
use serde::{Deserialize, Serialize};

use crate::certificate::signing::unhex;
use crate::deferral::TierHead;
use crate::learn::stored::hex;
use crate::precall::TierRouter;

/// A pre-call router.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouterJson {
    heard: Vec<String>,
    records: usize,
    /// From this probability of being kept down a request is skipped.
    skips_to: f64,
    weights: Vec<f64>,
    /// What it has learned of texts, as hexadecimal digits.
    text: String,
}

/// A deferral head.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadJson {
    heard: Vec<String>,
    records: usize,
    weights: Vec<f64>,
    prior: Vec<f64>,
}

pub(super) fn head_json(head: &TierHead) -> HeadJson {
    let (weights, prior) = head.deferral.parts();
    HeadJson {
        heard: head.heard.iter().map(TierName::to_string).collect(),
        records: head.records,
        weights: weights.to_vec(),
        prior: prior.to_vec(),
    }
}

pub(super) fn router_json(router: &TierRouter) -> RouterJson {
    let (text, weights) = router.router.parts();
    RouterJson {
        heard: router.heard.iter().map(TierName::to_string).collect(),
        records: router.records,
        skips_to: router.router.skips_to(),
        weights: weights.to_vec(),
        text: hex(&text),
    }
}

pub(super) fn router(json: RouterJson) -> anyhow::Result<TierRouter> {
    let heard = json.heard.iter().map(|name| TierName::new(name));
    let text = unhex(&json.text).unwrap_or_default();
    let router = PrecallRouter::from_parts(&text, json.weights, json.skips_to);
    Ok(TierRouter {
        heard: heard.collect::<Result<_, _>>()?,
        records: json.records,
        router: router.context("a router's parts are none of a router")?,
    })
}

pub(super) fn head(json: HeadJson) -> anyhow::Result<TierHead> {
    let heard = json.heard.iter().map(|name| TierName::new(name));
    let deferral = Deferral::from_parts(json.weights, json.prior);
    Ok(TierHead {
        heard: heard.collect::<Result<_, _>>()?,
        records: json.records,
        deferral: deferral.context("a head's weights are no finite numbers")?,
    })
}
