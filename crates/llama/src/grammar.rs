//! What a generated text must be: JSON of a schema, a match of a regular expression, a sentence
//! of a grammar.
//!
//! Before each token is chosen, those that no such text can go on with are forbidden. The masks
//! are computed by llguidance over a trie of the vocabulary's bytes, which each model builds once.

use crate::error::RequestError;
use crate::model::Model;
use crate::tokenizer::{TokenId, Tokenizer};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What a generated text must be. When the text is complete the generation ends; where it could
/// end or go on, the model decides.
///
/// A generation that ends for another reason ([`crate::GenerationOptions::max_tokens`], a stop
/// text) leaves the beginning of such a text. Its `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grammar {
    /// Any JSON object.
    JsonObject,
    /// JSON that this JSON Schema describes. References must lead into the schema itself.
    JsonSchema(String),
    /// The whole text matches this regular expression, in the syntax of Rust's `regex` without
    /// look-around and back-references.
    Regex(String),
    /// A sentence of this context-free grammar in the syntax of Lark, which begins at `start`.
    Lark(String),
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JsonObject => "JsonObject",
            Self::JsonSchema(_) => "JsonSchema(…)",
            Self::Regex(_) => "Regex(…)",
            Self::Lark(_) => "Lark(…)",
        })
    }
}

impl Grammar {
    fn compiled(&self) -> Result<TopLevelGrammar, String> {
        Ok(match self {
            Self::JsonObject => {
                TopLevelGrammar::from_json_schema(serde_json::json!({"type": "object"}))
            }
            Self::JsonSchema(schema) => {
                let schema = serde_json::from_str(schema)
                    .map_err(|error| format!("the schema is no JSON: {error}"))?;
                TopLevelGrammar::from_json_schema(schema)
            }
            Self::Regex(regex) => TopLevelGrammar::from_regex(regex),
            Self::Lark(grammar) => TopLevelGrammar::from_lark(grammar.clone()),
        })
    }
}

/// A model's vocabulary, made ready for grammars when the first one is asked for.
#[derive(Default)]
pub(crate) struct GrammarVocabulary(OnceLock<Result<Arc<ParserFactory>, String>>);

impl GrammarVocabulary {
    fn factory(&self, tokenizer: &Tokenizer) -> Result<Arc<ParserFactory>, String> {
        let make = || factory(tokenizer).map(Arc::new);
        self.0.get_or_init(make).clone()
    }
}

fn factory(tokenizer: &Tokenizer) -> Result<ParserFactory, String> {
    let ends: Vec<TokenId> = tokenizer.ends().collect();
    let first = *ends
        .first()
        .ok_or("the vocabulary has no token that ends a text")?;
    let words: Vec<Vec<u8>> = (0..tokenizer.len())
        .map(|token| word(tokenizer, token as TokenId))
        .collect();
    let info = TokRxInfo::new(words.len() as u32, first);
    let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
    let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&environment).map_err(|error| error.to_string())?;
    // Its messages would hold what was generated.
    factory.quiet().limits_mut().verbose_errors = false;
    Ok(factory)
}

/// A token's bytes in the trie: what stands for no text is marked, and never allowed.
fn word(tokenizer: &Tokenizer, token: TokenId) -> Vec<u8> {
    let bytes = tokenizer.bytes(token);
    let marker = TokTrie::SPECIAL_TOKEN_MARKER;
    if tokenizer.is_control(token) || bytes.contains(&marker) {
        return [&[marker], format!("<{token}>").as_bytes()].concat();
    }
    bytes.to_vec()
}

/// A text under a grammar, as far as it is written.
pub(crate) struct Constrained {
    matcher: Matcher,
    model: String,
    /// What the text may begin with, until that is asked for.
    first: Option<Allowed>,
}

/// The tokens that the text may go on with.
pub(crate) struct Allowed(SimpleVob);

impl Allowed {
    /// Makes all other tokens impossible.
    pub(crate) fn apply(&self, logits: &mut [f32]) {
        for (token, logit) in logits.iter_mut().enumerate() {
            if !self.0.get(token) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}

impl Constrained {
    /// The empty text.
    ///
    /// # Errors
    ///
    /// [`RequestError::Grammar`] where the grammar is wrong or too large.
    pub(crate) fn new(model: &Model, grammar: &Grammar) -> Result<Self, RequestError> {
        let fault = |message| fault(model.name(), message);
        let factory = model.grammar_vocabulary().factory(model.tokenizer());
        let factory = factory.map_err(fault)?;
        let grammar = grammar.compiled().map_err(fault)?;
        let matcher = Matcher::new(factory.create_parser(grammar));
        if let Some(message) = matcher.get_error() {
            return Err(fault(message));
        }
        let mut constrained = Self {
            matcher,
            model: model.name().to_owned(),
            first: None,
        };
        // A grammar without any sentence is better told before something is computed.
        constrained.first = Some(constrained.allowed()?);
        Ok(constrained)
    }

    /// What may come next; at least one token.
    ///
    /// # Errors
    ///
    /// [`RequestError::Grammar`] where that takes more than the parser's limits.
    pub(crate) fn allowed(&mut self) -> Result<Allowed, RequestError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let mask = self.matcher.compute_mask_or_eos();
        let mask = mask.map_err(|error| fault(&self.model, error.to_string()))?;
        if mask.is_zero() {
            let message = "no token of the vocabulary can go on".to_owned();
            return Err(fault(&self.model, message));
        }
        Ok(Allowed(mask))
    }

    /// Adds an allowed token. True where the text is complete and nothing can follow.
    ///
    /// # Errors
    ///
    /// As [`Constrained::allowed`].
    pub(crate) fn push(&mut self, token: TokenId) -> Result<bool, RequestError> {
        let pushed = self.matcher.consume_token(token);
        pushed.map_err(|error| fault(&self.model, error.to_string()))?;
        Ok(self.matcher.is_stopped())
    }
}

fn fault(model: &str, message: String) -> RequestError {
    // The parser's own words go over many lines, the first says what is wrong.
    let first = message.lines().next().unwrap_or_default().to_owned();
    RequestError::Grammar {
        model: model.to_owned(),
        message: first,
    }
}
