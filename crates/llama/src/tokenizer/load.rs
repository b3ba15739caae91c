//! The tokenizer from a file's metadata.

use super::bytes::{Table, bytes_of};
use super::merges::{Merge, Merges};
use super::names::Names;
use super::{PreTokenizer, SpecialIds, TokenId, Tokenizer, Vocabulary};
use crate::error::{Fault, Parsed, Place, quoted};
use crate::gguf::Gguf;
use std::collections::HashMap;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// `tokenizer.ggml.token_type` of a control token and of one that a user added to the vocabulary.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// Reads the tokenizer that the file describes.
pub(crate) fn load(file: &Gguf<'_>) -> Parsed<Tokenizer> {
    let fault = |key: &str, message: String| Fault::malformed(Place::Key(key.into()), message);
    let missing = |key: &str| fault(key, "the file lacks it; convert the model again".into());
    check_kind(file.string(MODEL)?.ok_or_else(|| missing(MODEL))?)?;
    let (pre_tokenizer, whole_pieces) = pre_tokenizer(file.string(PRE)?)?;
    let types = token_types(file)?;
    let names = token_names(file)?;
    if let Some(types) = &types
        && types.len() != names.len()
    {
        let message = format!("{} types for {} tokens", types.len(), names.len());
        return Err(fault(TOKEN_TYPES, message));
    }
    let type_of = |token: usize| types.as_ref().map_or(1, |types| types[token]);
    let table = Table::new();
    let mut vocabulary = Vocabulary {
        bytes: Vec::new(),
        ends: Vec::new(),
        control: Vec::new(),
    };
    let mut mergeable: HashMap<Box<[u8]>, TokenId> = HashMap::with_capacity(names.len());
    let (mut control_names, mut added_names) = (Vec::new(), Vec::new());
    for (token, name) in names.iter().enumerate() {
        let kind = type_of(token);
        let literal = matches!(kind, CONTROL | USER_DEFINED);
        let spelled = if literal {
            None
        } else {
            bytes_of(&table, name)
        };
        if let Some(bytes) = &spelled {
            mergeable
                .entry(bytes.clone().into())
                .or_insert(token as TokenId);
        }
        match kind {
            CONTROL => control_names.push((*name, token as TokenId)),
            USER_DEFINED => added_names.push((*name, token as TokenId)),
            _ => {}
        }
        vocabulary
            .bytes
            .extend_from_slice(spelled.as_deref().unwrap_or(name.as_bytes()));
        vocabulary.ends.push(vocabulary.bytes.len());
        vocabulary.control.push(kind == CONTROL);
    }
    let merges = Merges::new(
        byte_tokens(&mergeable)?,
        read_merges(file, &table, &mergeable)?.into_iter(),
        whole_pieces.then_some(mergeable),
    );
    let special = special_ids(file, names.len())?;
    Ok(Tokenizer {
        vocabulary,
        merges,
        pre_tokenizer,
        control_names: Names::new(control_names.into_iter()),
        added_names: Names::new(added_names.into_iter()),
        special,
    })
}

fn check_kind(model: &str) -> Parsed<()> {
    let message = match model {
        "gpt2" => return Ok(()),
        "llama" => "a SentencePiece vocabulary (llama) is not supported yet; byte-level BPE \
                    vocabularies (gpt2) are, for example those of Llama 3"
            .to_owned(),
        other => format!(
            "vocabulary kind {} is not supported; gpt2 is",
            quoted(other)
        ),
    };
    Err(Fault::unsupported(Place::Key(MODEL.into()), message))
}

/// The rule for pieces, and whether a piece that is a token is taken whole.
fn pre_tokenizer(name: Option<&str>) -> Parsed<(PreTokenizer, bool)> {
    match name {
        Some("llama-bpe" | "llama3" | "llama-v3") => Ok((PreTokenizer::Llama3, true)),
        Some("gpt-2" | "gpt2" | "default") | None => Ok((PreTokenizer::Gpt2, false)),
        Some(other) => {
            let message = format!(
                "pre-tokenizer {} is not supported; llama-bpe and gpt-2 are",
                quoted(other)
            );
            Err(Fault::unsupported(Place::Key(PRE.into()), message))
        }
    }
}

fn token_names<'a>(file: &Gguf<'a>) -> Parsed<Vec<&'a str>> {
    let fault = |message: String| Fault::malformed(Place::Key(TOKENS.into()), message);
    let array = file
        .array(TOKENS)?
        .ok_or_else(|| fault("the file lacks it".into()))?;
    let strings = array
        .strings()
        .ok_or_else(|| fault("it must be an array of strings".into()))?;
    let names = strings
        .enumerate()
        .map(|(token, name)| {
            std::str::from_utf8(name).map_err(|_| fault(format!("token {token} is not UTF-8")))
        })
        .collect::<Parsed<Vec<_>>>()?;
    if names.is_empty() || u32::try_from(names.len()).is_err() {
        return Err(fault(format!(
            "a vocabulary of {} tokens is not possible",
            names.len()
        )));
    }
    Ok(names)
}

fn token_types(file: &Gguf<'_>) -> Parsed<Option<Vec<u64>>> {
    let Some(array) = file.array(TOKEN_TYPES)? else {
        return Ok(None);
    };
    let fault = |message: &str| Fault::malformed(Place::Key(TOKEN_TYPES.into()), message);
    let numbers = array
        .unsigned()
        .ok_or_else(|| fault("it must be an array of whole numbers"))?;
    let types: Vec<u64> = numbers.collect();
    if types.len() != array.len() {
        return Err(fault("a token's type is negative"));
    }
    Ok(Some(types))
}

/// The token of each byte: without all of them some text could not be encoded.
fn byte_tokens(mergeable: &HashMap<Box<[u8]>, TokenId>) -> Parsed<[TokenId; 256]> {
    let mut tokens = [0; 256];
    for (byte, token) in (0..=u8::MAX).zip(&mut tokens) {
        *token = *mergeable.get([byte].as_slice()).ok_or_else(|| {
            let message = format!(
                "no token stands for the byte {byte:#04x}; a byte-level vocabulary needs all 256"
            );
            Fault::malformed(Place::Key(TOKENS.into()), message)
        })?;
    }
    Ok(tokens)
}

fn read_merges(
    file: &Gguf<'_>,
    table: &Table,
    mergeable: &HashMap<Box<[u8]>, TokenId>,
) -> Parsed<Vec<((TokenId, TokenId), Merge)>> {
    let fault = |message: String| Fault::malformed(Place::Key(MERGES.into()), message);
    let array = file
        .array(MERGES)?
        .ok_or_else(|| fault("the file lacks it".into()))?;
    let rules = array
        .strings()
        .ok_or_else(|| fault("it must be an array of strings".into()))?;
    let token_of = |spelled: &[u8]| mergeable.get(spelled).copied();
    rules
        .enumerate()
        .map(|(rank, rule)| {
            let pair = std::str::from_utf8(rule)
                .ok()
                .and_then(|rule| rule.split_once(' '));
            let (left, right) = pair
                .and_then(|(l, r)| Some((bytes_of(table, l)?, bytes_of(table, r)?)))
                .ok_or_else(|| fault(format!("merge {rank} is not two spelled tokens")))?;
            let whole = [left.as_slice(), right.as_slice()].concat();
            let tokens = token_of(&left).zip(token_of(&right)).zip(token_of(&whole));
            let (pair, token) = tokens.ok_or_else(|| {
                fault(format!(
                    "merge {rank} speaks of a token that the vocabulary lacks"
                ))
            })?;
            Ok((
                pair,
                Merge {
                    rank: rank as u32,
                    token,
                },
            ))
        })
        .collect()
}

fn special_ids(file: &Gguf<'_>, vocabulary: usize) -> Parsed<SpecialIds> {
    let id = |name: &str| {
        let key = format!("tokenizer.ggml.{name}");
        match file.usize(&key)? {
            Some(token) if token < vocabulary => Ok(Some(token as TokenId)),
            Some(token) => {
                let message = format!("token {token} is outside the vocabulary of {vocabulary}");
                Err(Fault::malformed(Place::Key(key), message))
            }
            None => Ok(None),
        }
    };
    Ok(SpecialIds {
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        eot: id("eot_token_id")?,
        add_bos: file.bool("tokenizer.ggml.add_bos_token")?.unwrap_or(false),
    })
}
