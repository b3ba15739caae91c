//! What a certificate depends on, as digests and versions.

use std::collections::BTreeMap;

use anyhow::Context as _;
use domain::TierName;
use routing::certificate::{Provenance, Risk};
use routing::student::Student;
use sha2::{Digest as _, Sha256};

use super::{Extent, Reference, certifiable, weights};
use crate::config::{self, Config, TaskConfig};
use crate::learn::stored::hex;
use crate::tier::Tier;

/// What there is to look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) config: &'a Config,
    /// The task's student, if it has learned.
    pub(crate) student: Option<&'a Student>,
    /// The tiers at work; none where only the config is read, and then what only they know is
    /// passed over.
    pub(crate) tiers: Option<&'a BTreeMap<TierName, Tier>>,
}

impl Circumstances<'_> {
    /// The names of what differs between then and now, of all that can be seen.
    pub(super) fn changed(&self, then: &Provenance, now: &Provenance) -> Vec<String> {
        let mut changed = then.changed(now);
        if self.tiers.is_none() {
            // What belongs to a tier has its name and a dot before it.
            changed.retain(|name| now.parts.contains_key(name) || !name.contains('.'));
        }
        changed
    }
}

/// What a certificate of this task depends on, as it is now.
///
/// # Errors
/// When a model's file can't be read.
pub(crate) fn now(
    task: &TaskConfig,
    circumstances: &Circumstances<'_>,
    (reference, extent): (&Reference, Extent),
) -> anyhow::Result<Provenance> {
    let config = circumstances.config;
    let mut parts = BTreeMap::new();
    let mut part = |name: String, value: String| {
        parts.insert(name, value);
    };
    part("program".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    part("engine".to_owned(), llama::VERSION.to_owned());
    part(
        "prompt".to_owned(),
        digest([task.task.kind.as_str(), &task.task.prompt]),
    );
    part("labels".to_owned(), labels(task));
    part("target".to_owned(), target(task));
    if task.task.labels.is_none() {
        let (tokens, temperature) = (task.max_completion_tokens.0, task.temperature);
        let checked = if task.self_check {
            ", self-checked"
        } else {
            ""
        };
        let writing = format!("at most {tokens} tokens, temperature {temperature}{checked}");
        part("writing".to_owned(), writing);
    }
    if let Extent::First(tokens) = extent {
        part(
            "decided".to_owned(),
            format!("on the first {tokens} tokens"),
        );
    }
    if task.router && extent == Extent::Whole {
        part("router".to_owned(), "lets requests through".to_owned());
    }
    part("reference".to_owned(), reference_now(config, reference));
    let tiers = certifiable(config, task);
    let names: Vec<&str> = tiers.iter().map(TierName::as_str).collect();
    part("tiers".to_owned(), names.join(", "));
    for tier in &tiers {
        match &config.tiers[tier] {
            config::Tier::Student => {
                if let Some(student) = circumstances.student {
                    part(
                        format!("{tier}.learned"),
                        hex(&Sha256::digest(student.to_bytes())),
                    );
                }
            }
            config::Tier::Local(local) => {
                let sha256 = weights::sha256(config, &local.model);
                let sha256 = sha256.with_context(|| format!("tiers.{tier}.model"))?;
                part(format!("{tier}.model"), sha256);
            }
            _ => {}
        }
        if let Some(Tier::Local(local)) = circumstances.tiers.map(|tiers| &tiers[tier]) {
            part(
                format!("{tier}.quantisation"),
                local.quantisation().to_owned(),
            );
        }
    }
    Ok(Provenance { parts })
}

/// What a part is, for a reader who doesn't know the program.
pub(crate) fn meaning(part: &str) -> &'static str {
    match part {
        "program" => "the version of Tiergate",
        "engine" => "the version of the engine that computes the models",
        "prompt" => "the kind of task and the instruction that models are given (SHA-256)",
        "labels" => "the labels with their definitions (SHA-256)",
        "target" => "what was asked to be proven",
        "writing" => "how answers in free text are written",
        "router" => "whether local tiers are asked all requests",
        "decided" => "how much of an answer decides whether it is kept",
        "reference" => "what the answers were compared with",
        "tiers" => "the tiers that it is about, in the order in which they are asked",
        _ if part.ends_with(".model") => "the model's weights (SHA-256 of its file)",
        _ if part.ends_with(".quantisation") => "how the model's weights are stored",
        _ if part.ends_with(".learned") => "what it learned from the task's own records (SHA-256)",
        _ => "a thing that this version of Tiergate doesn't know",
    }
}

fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hex(&hash.finalize())
}

fn labels(task: &TaskConfig) -> String {
    let labels = task.task.labels.iter().flat_map(|labels| labels.iter());
    digest(labels.flat_map(|label| {
        // Of a label without a definition another part is hashed than of one with an empty one.
        let (defined, definition) = match &label.definition {
            Some(definition) => ("defined", definition.as_str()),
            None => ("undefined", ""),
        };
        [label.name.as_str(), defined, definition]
    }))
}

fn target(task: &TaskConfig) -> String {
    task.target.map_or_else(String::new, |target| {
        let sure = target.confidence.map_or_else(String::new, |confidence| {
            format!(", confidence {confidence}")
        });
        let missed = task.max_missed.iter().map(|(label, share)| {
            let labels = task.task.labels.as_ref();
            let name = labels.map_or("", |labels| labels.name(*label));
            format!(", max_missed {name} {share}")
        });
        let missed: String = missed.collect();
        let wrong = task.max_wrong.iter().map(|(label, share)| {
            let labels = task.task.labels.as_ref();
            let name = labels.map_or("", |labels| labels.name(*label));
            format!(", max_wrong {name} {share}")
        });
        let wrong: String = wrong.collect();
        let of = match target.risk {
            Risk::Selective => "",
            Risk::Marginal => " of all",
        };
        format!("max_error {}{of}{sure}{missed}{wrong}", target.max_error)
    })
}

fn reference_now(config: &Config, reference: &Reference) -> String {
    match reference {
        Reference::Gold => "gold".to_owned(),
        Reference::Tier(name) => match config.tiers.get(name) {
            Some(config::Tier::Frontier(remote) | config::Tier::Pool(remote)) => {
                format!("tier {name}: {} at {}", remote.model, remote.url)
            }
            Some(tier) => format!("tier {name}: {}", tier.kind().as_str()),
            None => format!("tier {name}: gone"),
        },
    }
}
