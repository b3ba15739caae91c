//! The rules of sampling on the socket, all but those that no request can set.

use llama::{Grammar, Sampling};

use super::count;
use crate::engine::codec::{Decoder, Encoder, Malformed};

pub(super) fn encode(rules: &Sampling, to: &mut Encoder) {
    to.number(rules.top_k as u64);
    for share in [rules.top_p, rules.min_p] {
        to.float(share);
    }
    for penalty in [rules.frequency_penalty, rules.presence_penalty] {
        to.float(penalty.into());
    }
    to.number(rules.alternatives as u64);
    to.list(&rules.logit_bias, |to, (token, bias)| {
        to.number((*token).into());
        to.float((*bias).into());
    });
    let (kind, text) = match &rules.grammar {
        Some(Grammar::JsonObject) => (1, ""),
        Some(Grammar::JsonSchema(schema)) => (2, schema.as_str()),
        Some(Grammar::Regex(regex)) => (3, regex.as_str()),
        Some(Grammar::Lark(grammar)) => (4, grammar.as_str()),
        _ => (0, ""),
    };
    to.byte(kind);
    to.text(text);
}

pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Sampling, Malformed> {
    let mut rules = Sampling {
        top_k: count(from)?,
        top_p: from.float()?,
        min_p: from.float()?,
        frequency_penalty: from.float()? as f32,
        presence_penalty: from.float()? as f32,
        alternatives: count(from)?,
        ..Sampling::default()
    };
    rules.logit_bias = from.list(16, |from| {
        let token = u32::try_from(from.number()?).map_err(|_| Malformed)?;
        Ok((token, from.float()? as f32))
    })?;
    let kind = from.byte()?;
    let text = from.text()?;
    rules.grammar = match kind {
        0 => None,
        1 => Some(Grammar::JsonObject),
        2 => Some(Grammar::JsonSchema(text)),
        3 => Some(Grammar::Regex(text)),
        4 => Some(Grammar::Lark(text)),
        _ => return Err(Malformed),
    };
    Ok(rules)
}
