//! What a tier would lose of a request: it is refused by name, and never left out in silence.

use domain::{Protocol, TierName};
use wire::chat::{ChatRequest, Lossy};
use wire::fault::{Fault, FaultKind};

use super::Tier;

/// The first thing in a request that this tier could not make anything of; `None` where it takes
/// everything.
pub(crate) fn of(name: &TierName, tier: &Tier, asked: &ChatRequest) -> Option<Fault> {
    match tier {
        Tier::Remote(remote) => by_protocol(name, remote.protocol(), asked),
        Tier::Student | Tier::Local(_) => {
            by_text_alone(&format!("tier {name}, which may answer,"), asked)
        }
        // Nothing is told to a person in a protocol.
        Tier::Person => None,
    }
}

/// The first thing in a request that is lost on somebody who reads text and nothing else.
pub(crate) fn by_text_alone(who: &str, asked: &ChatRequest) -> Option<Fault> {
    if let Some(refusal) = asked.extra.refusal(&asked.prompt) {
        return Some(refusal);
    }
    if let Some((kind, path)) = asked.prompt.beyond_text() {
        let found = format!("there is {kind}, and {who} reads text alone");
        return Some(unsupported(path, found));
    }
    let option = asked.generation.options.beyond_plain()?;
    let found = format!("{who} does not offer it");
    Some(unsupported(option.to_owned(), found))
}

/// What a tier of another protocol than the client's would lose.
fn by_protocol(name: &TierName, protocol: Protocol, asked: &ChatRequest) -> Option<Fault> {
    let loss = asked.loss(protocol, Lossy::Nothing)?;
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
