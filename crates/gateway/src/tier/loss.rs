//! What a tier would lose of a request: it is refused by name, and never left out in silence.

use domain::TierName;
use wire::chat::ChatRequest;
use wire::embedding::EmbeddingRequest;
use wire::fault::{Fault, FaultKind};

use super::Tier;
use super::remote::RemoteTier;
use crate::engine::CallsAtOnce;

/// The first thing in a request that this tier could not make anything of; `None` where it takes
/// everything.
pub(crate) fn of(name: &TierName, tier: &Tier, asked: &ChatRequest) -> Option<Fault> {
    match tier {
        Tier::Remote(remote) => {
            several(&who(name), asked).or_else(|| by_protocol(name, remote, asked))
        }
        Tier::Student => by_text_alone(&who(name), asked),
        Tier::Local(local) => by_engine(&who(name), local.calls(), asked),
        // Nothing is told to a person in a protocol.
        Tier::Person => None,
    }
}

/// The first thing in a request for vectors that this tier could not make anything of.
pub(crate) fn of_texts(name: &TierName, tier: &Tier, asked: &EmbeddingRequest) -> Option<Fault> {
    let who = who(name);
    match tier {
        Tier::Remote(remote) => asked.loss(remote.protocol(), &who),
        Tier::Local(local) => {
            let dimensions = local.dimensions();
            let others = |wanted: &u32| *wanted as usize != dimensions;
            asked.task_lost(&who).or_else(|| {
                let wanted = asked.dimensions.filter(others)?;
                let found = format!("{wanted}; {who} makes vectors of {dimensions} numbers alone");
                Some(unsupported("dimensions".to_owned(), found))
            })
        }
        Tier::Student | Tier::Person => {
            let found = format!("{who} makes no vectors of texts");
            Some(unsupported("model".to_owned(), found))
        }
    }
}

fn who(name: &TierName) -> String {
    format!("tier {name}, which may answer,")
}

/// The first thing in a request that is lost on somebody who reads text and writes it plainly.
pub(crate) fn by_text_alone(who: &str, asked: &ChatRequest) -> Option<Fault> {
    let suffix = asked.prompt.suffix().map(|_| "suffix");
    let option = suffix.or(asked.generation.options.beyond_plain());
    beyond_text(who, asked).or(option.map(|option| not_offered(who, option)))
}

/// The first thing in a request that is lost on the embedded engine.
fn by_engine(who: &str, calls: CallsAtOnce, asked: &ChatRequest) -> Option<Fault> {
    let tools = || match calls {
        CallsAtOnce::None => beyond_text(who, asked),
        CallsAtOnce::One | CallsAtOnce::Several => None,
    };
    let beyond = |(kind, path)| unreadable(who, kind, path);
    let option = asked.generation.options.beyond_sampling();
    asked
        .extra
        .refusal(&asked.prompt)
        .or_else(|| asked.prompt.beyond_tools().map(beyond))
        .or_else(tools)
        .or_else(|| asked.lost_call())
        .or(option.map(|option| not_offered(who, option)))
}

/// A server elsewhere is asked for one completion at a time.
fn several(who: &str, asked: &ChatRequest) -> Option<Fault> {
    let options = &asked.generation.options;
    options.asks_for_several().then(|| not_offered(who, "n"))
}

fn beyond_text(who: &str, asked: &ChatRequest) -> Option<Fault> {
    if let Some(refusal) = asked.extra.refusal(&asked.prompt) {
        return Some(refusal);
    }
    let (kind, path) = asked.prompt.beyond_text()?;
    Some(unreadable(who, kind, path))
}

fn unreadable(who: &str, kind: &str, path: String) -> Fault {
    let found = format!("there is {kind}, and {who} reads text alone");
    unsupported(path, found)
}

fn not_offered(who: &str, option: &str) -> Fault {
    unsupported(option.to_owned(), format!("{who} does not offer it"))
}

/// What a tier of another protocol than the client's would lose, or what one of the same would
/// do at a price that is not known.
fn by_protocol(name: &TierName, remote: &RemoteTier, asked: &ChatRequest) -> Option<Fault> {
    let protocol = remote.protocol();
    let loss = asked.loss(protocol, remote.lossy());
    let priced_whole = remote.is_priced_whole();
    let loss = loss.or_else(|| asked.unpriced(protocol).filter(|_| priced_whole))?;
    let found = format!("{} (tier {name})", loss.found);
    Some(Fault { found, ..loss })
}

fn unsupported(path: String, found: String) -> Fault {
    Fault {
        kind: FaultKind::Unsupported,
        path,
        found,
        rule: "leave it out, or ask for a tier that takes it".to_owned(),
        example: None,
    }
}
