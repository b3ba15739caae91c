//! The tokenizer from a file's metadata.

use super::bytes::{Table, bytes_of};
use super::gap::{GapIds, named};
use super::merges::{Merge, Merges};
use super::names::Names;
use super::sentence_piece::{SPACE, Scored, SentencePiece};
use super::{Encoder, PreTokenizer, SpecialIds, TokenId, Tokenizer, Vocabulary};
use crate::error::{Fault, Parsed, Place, quoted};
use crate::gguf::Gguf;
use std::collections::HashMap;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// `tokenizer.ggml.token_type` of a token of text, of a control token, of one that a user added to
/// the vocabulary, and of one that stands for a byte.
const NORMAL: u64 = 1;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

/// Reads the tokenizer that the file describes.
pub(crate) fn load(file: &Gguf<'_>) -> Parsed<Tokenizer> {
    let key = |key: &str| Place::Key(key.into());
    match file.string(MODEL)? {
        Some("gpt2") => byte_pairs(file),
        Some("llama") => sentence_piece(file),
        Some(other) => {
            let message = format!(
                "vocabulary kind {} is not supported; gpt2 and llama are",
                quoted(other)
            );
            Err(Fault::unsupported(key(MODEL), message))
        }
        None => {
            let message = "the file lacks it; convert the model again";
            Err(Fault::malformed(key(MODEL), message))
        }
    }
}

/// The tokens' names and types.
pub(super) struct Listed<'a> {
    names: Vec<&'a str>,
    types: Option<Vec<u64>>,
}

impl<'a> Listed<'a> {
    fn read(file: &Gguf<'a>) -> Parsed<Self> {
        let (types, names) = (token_types(file)?, token_names(file)?);
        if let Some(types) = &types
            && types.len() != names.len()
        {
            let message = format!("{} types for {} tokens", types.len(), names.len());
            return Err(Fault::malformed(Place::Key(TOKEN_TYPES.into()), message));
        }
        Ok(Self { names, types })
    }

    /// Token, name and type.
    fn iter(&self) -> impl Iterator<Item = (TokenId, &'a str, u64)> {
        self.names.iter().enumerate().map(|(token, name)| {
            let kind = self.types.as_ref().map_or(NORMAL, |types| types[token]);
            (token as TokenId, *name, kind)
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The names of control tokens, and of those that a model's makers added.
    pub(super) fn marks(&self) -> (Names, Names) {
        (self.names_of(CONTROL), self.names_of(USER_DEFINED))
    }

    fn names_of(&self, wanted: u64) -> Names {
        let of_kind = self.iter().filter(|(_, _, kind)| *kind == wanted);
        Names::new(of_kind.map(|(token, name, _)| (name, token)))
    }

    /// The vocabulary, given what each token that is no control token stands for.
    fn vocabulary(&self, bytes_of: impl Fn(&'a str, u64) -> Option<Vec<u8>>) -> Vocabulary {
        let mut vocabulary = Vocabulary {
            bytes: Vec::new(),
            ends: Vec::new(),
            control: Vec::new(),
        };
        for (_, name, kind) in self.iter() {
            let spelled = bytes_of(name, kind);
            let bytes = spelled.as_deref().unwrap_or(name.as_bytes());
            vocabulary.bytes.extend_from_slice(bytes);
            vocabulary.ends.push(vocabulary.bytes.len());
            vocabulary.control.push(kind == CONTROL);
        }
        vocabulary
    }
}

fn byte_pairs(file: &Gguf<'_>) -> Parsed<Tokenizer> {
    let (pre_tokenizer, whole_pieces) = pre_tokenizer(file.string(PRE)?)?;
    let listed = Listed::read(file)?;
    let table = Table::new();
    let spelled = |name: &str, kind: u64| match kind {
        CONTROL | USER_DEFINED => None,
        _ => bytes_of(&table, name),
    };
    let mut mergeable: HashMap<Box<[u8]>, TokenId> = HashMap::with_capacity(listed.names.len());
    for (token, name, kind) in listed.iter() {
        if let Some(bytes) = spelled(name, kind) {
            mergeable.entry(bytes.into()).or_insert(token);
        }
    }
    let merges = Merges::new(
        byte_tokens(&mergeable)?,
        read_merges(file, &table, &mergeable)?.into_iter(),
        whole_pieces.then_some(mergeable),
    );
    Ok(Tokenizer {
        vocabulary: listed.vocabulary(spelled),
        encoder: Encoder::BytePairs {
            merges,
            pre_tokenizer,
        },
        control_names: listed.names_of(CONTROL),
        added_names: listed.names_of(USER_DEFINED),
        special: special_ids(file, &listed, false)?,
    })
}

fn sentence_piece(file: &Gguf<'_>) -> Parsed<Tokenizer> {
    let listed = Listed::read(file)?;
    let scores = scores(file, listed.names.len())?;
    let text_of = |name: &str| name.replace(SPACE, " ").into_bytes();
    let mut tokens = HashMap::with_capacity(listed.names.len());
    let mut of_byte = [None; 256];
    for ((token, name, kind), score) in listed.iter().zip(scores) {
        match kind {
            NORMAL => {
                let scored = Scored { token, score };
                tokens.entry(text_of(name).into()).or_insert(scored);
            }
            BYTE => {
                if let Some(byte) = named_byte(name) {
                    of_byte[usize::from(byte)].get_or_insert(token);
                }
            }
            _ => {}
        }
    }
    let mut all_bytes = [0; 256];
    for (byte, (to, token)) in all_bytes.iter_mut().zip(of_byte).enumerate() {
        *to = token.ok_or_else(|| no_token_for(byte as u8))?;
    }
    let space_first = file
        .bool("tokenizer.ggml.add_space_prefix")?
        .unwrap_or(true);
    let spelled = |name: &str, kind: u64| match kind {
        BYTE => named_byte(name).map(|byte| vec![byte]),
        CONTROL | USER_DEFINED => None,
        _ => Some(text_of(name)),
    };
    Ok(Tokenizer {
        vocabulary: listed.vocabulary(spelled),
        encoder: Encoder::SentencePiece(SentencePiece::new(tokens, all_bytes, space_first)),
        control_names: listed.names_of(CONTROL),
        added_names: listed.names_of(USER_DEFINED),
        special: special_ids(file, &listed, true)?,
    })
}

/// The byte of a name like `<0x0A>`.
fn named_byte(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok()
}

fn scores(file: &Gguf<'_>, count: usize) -> Parsed<Vec<f32>> {
    const SCORES: &str = "tokenizer.ggml.scores";
    let fault = |message: String| Fault::malformed(Place::Key(SCORES.into()), message);
    let array = file
        .array(SCORES)?
        .ok_or_else(|| fault("the file lacks it; convert the model again".into()))?;
    let scores: Vec<f32> = array
        .floats()
        .ok_or_else(|| fault("it must be an array of fractions".into()))?
        .collect();
    if scores.len() != count || scores.iter().any(|score| score.is_nan()) {
        return Err(fault(format!(
            "{} scores for {count} tokens, or one that is no number",
            scores.len()
        )));
    }
    Ok(scores)
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
        *token = *mergeable
            .get([byte].as_slice())
            .ok_or_else(|| no_token_for(byte))?;
    }
    Ok(tokens)
}

fn no_token_for(byte: u8) -> Fault {
    let message =
        format!("no token stands for the byte {byte:#04x}; a vocabulary needs all 256 of them");
    Fault::malformed(Place::Key(TOKENS.into()), message)
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

fn special_ids(file: &Gguf<'_>, listed: &Listed, add_bos: bool) -> Parsed<SpecialIds> {
    let control = listed.names_of(CONTROL);
    let id = |name: &str| named(file, &format!("tokenizer.ggml.{name}"), listed.len());
    Ok(SpecialIds {
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        // Many files don't say which these are, but have Llama's names for them.
        eot: id("eot_token_id")?.or_else(|| control.token("<|eot_id|>")),
        eom: id("eom_token_id")?.or_else(|| control.token("<|eom_id|>")),
        add_bos: file
            .bool("tokenizer.ggml.add_bos_token")?
            .unwrap_or(add_bos),
        add_eos: file
            .bool("tokenizer.ggml.add_eos_token")?
            .unwrap_or_default(),
        gap: GapIds::read(file, listed)?,
    })
}
