//! Text to tokens and back, by the vocabulary in the model's file.
//!
//! Text is cut into pieces ([`pre_tokenizer`]), each piece's bytes are merged into tokens
//! ([`merges`]); or its characters are merged by score ([`sentence_piece`]). Control tokens (beginning of text, end of turn) are found only where the caller
//! says that the text may contain them: text from a user is always [`SpecialTokens::Plain`], and
//! then no control token can come out, whatever the text says.

mod bytes;
mod gap;
mod load;
mod merges;
mod names;
mod pre_tokenizer;
mod sentence_piece;
mod stream;

pub use gap::GapIds;
pub use pre_tokenizer::PreTokenizer;
pub use stream::TextStream;

pub(crate) use load::load;

use merges::Merges;
use names::Names;
use sentence_piece::SentencePiece;

/// A token's number, an index into the vocabulary.
pub type TokenId = u32;

/// What the text given to [`Tokenizer::encode`] may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialTokens {
    /// Text only: the name of a control token is letters like any others.
    Plain,
    /// The names of control tokens stand for these tokens. For text that the caller wrote.
    Parse,
}

/// How plain text becomes tokens.
enum Encoder {
    /// Byte-level byte-pair encoding (Llama 3).
    BytePairs {
        merges: Merges,
        pre_tokenizer: PreTokenizer,
    },
    /// Llama 1 and 2.
    SentencePiece(SentencePiece),
}

/// The vocabulary of a model.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    encoder: Encoder,
    control_names: Names,
    /// Tokens that a model's makers added to the vocabulary, no control tokens.
    added_names: Names,
    special: SpecialIds,
}

/// The tokens with a meaning of their own, where the file names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Beginning of text.
    pub bos: Option<TokenId>,
    /// End of text.
    pub eos: Option<TokenId>,
    /// End of a turn of a conversation.
    pub eot: Option<TokenId>,
    /// End of a message after which the model's turn goes on when a tool has answered.
    pub eom: Option<TokenId>,
    /// Whether a plain prompt should begin with `bos`, as the file says.
    pub add_bos: bool,
    /// Whether a plain text that is whole should end with `eos`, as the file says.
    pub add_eos: bool,
    /// By which a model is told of a gap to be filled.
    pub gap: Option<GapIds>,
}

impl SpecialIds {
    /// What a plain prompt begins with.
    fn bos_of_plain(&self) -> impl Iterator<Item = TokenId> + use<> {
        self.bos.filter(|_| self.add_bos).into_iter()
    }
}

/// Every token's bytes, end to end.
struct Vocabulary {
    bytes: Vec<u8>,
    /// Where each token's bytes end.
    ends: Vec<usize>,
    control: Vec<bool>,
}

impl Vocabulary {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn bytes(&self, token: TokenId) -> &[u8] {
        let token = token as usize;
        let Some(&end) = self.ends.get(token) else {
            return &[];
        };
        let start = token.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }
}

impl Tokenizer {
    /// The tokens of `text`, without a beginning-of-text token.
    ///
    /// ```text
    /// decode(encode(text, Plain)) == text, for every text
    /// ```
    pub fn encode(&self, text: &str, special: SpecialTokens) -> Vec<TokenId> {
        let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
        match special {
            SpecialTokens::Plain => self.encode_plain(text, &mut tokens),
            SpecialTokens::Parse => {
                let mut rest = text;
                while let Some((before, token, after)) = self.split_at_control(rest) {
                    self.encode_plain(before, &mut tokens);
                    tokens.push(token);
                    rest = after;
                }
                self.encode_plain(rest, &mut tokens);
            }
        }
        tokens
    }

    /// The tokens of a text that is to be continued, with the beginning-of-text token where the
    /// file wants it.
    pub fn encode_text(&self, text: &str) -> Vec<TokenId> {
        let mut tokens: Vec<TokenId> = self.special.bos_of_plain().collect();
        tokens.extend(self.encode(text, SpecialTokens::Plain));
        tokens
    }

    /// The tokens of a text that is whole: as [`Tokenizer::encode_text`], with the end-of-text
    /// token behind them where the file wants it.
    pub fn encode_whole_text(&self, text: &str) -> Vec<TokenId> {
        let mut tokens = self.encode_text(text);
        tokens.extend(self.special.eos.filter(|_| self.special.add_eos));
        tokens
    }

    fn encode_plain(&self, text: &str, tokens: &mut Vec<TokenId>) {
        let mut rest = text;
        while let Some((before, token, after)) = self.added_names.split(rest) {
            self.encode_pieces(before, tokens);
            tokens.push(token);
            rest = after;
        }
        self.encode_pieces(rest, tokens);
    }

    fn encode_pieces(&self, text: &str, tokens: &mut Vec<TokenId>) {
        match &self.encoder {
            Encoder::BytePairs {
                merges,
                pre_tokenizer,
            } => {
                for piece in pre_tokenizer.pieces(text) {
                    merges.encode(piece.as_bytes(), tokens);
                }
            }
            Encoder::SentencePiece(pieces) => pieces.encode(text, tokens),
        }
    }

    /// The first control token's name in `text`: what is before it, the token, what is after it.
    /// Where several begin at one place the longest counts.
    pub(crate) fn split_at_control<'t>(
        &self,
        text: &'t str,
    ) -> Option<(&'t str, TokenId, &'t str)> {
        self.control_names.split(text)
    }

    /// The bytes that `token` stands for: the name, for a control token; none, for an id outside
    /// the vocabulary. One token need not be valid UTF-8.
    pub fn bytes(&self, token: TokenId) -> &[u8] {
        self.vocabulary.bytes(token)
    }

    /// The bytes of all of `tokens`, without the space that encoding puts before a text where the
    /// vocabulary wants one.
    pub fn decode_bytes(&self, tokens: &[TokenId]) -> Vec<u8> {
        let mut bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|token| self.bytes(*token))
            .copied()
            .collect();
        if let Encoder::SentencePiece(pieces) = &self.encoder
            && pieces.space_first
            && bytes.first() == Some(&b' ')
        {
            bytes.remove(0);
        }
        bytes
    }

    /// The text of `tokens`; what is not valid UTF-8 becomes U+FFFD.
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        String::from_utf8_lossy(&self.decode_bytes(tokens)).into_owned()
    }

    /// Whether `token` is a control token, which no plain text encodes to.
    pub fn is_control(&self, token: TokenId) -> bool {
        self.vocabulary
            .control
            .get(token as usize)
            .copied()
            .unwrap_or(false)
    }

    /// The control token of this name.
    pub fn control_token(&self, name: &str) -> Option<TokenId> {
        self.control_names.token(name)
    }

    /// The tokens with a meaning of their own.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// The token that ends an answer: end of turn, or else end of text.
    pub fn end_of_answer(&self) -> Option<TokenId> {
        self.special.eot.or(self.special.eos)
    }

    /// Whether `token` ends what a model writes.
    pub fn ends_answer(&self, token: TokenId) -> bool {
        self.ends().any(|end| end == token)
    }

    /// The tokens that end what a model writes.
    pub(crate) fn ends(&self) -> impl Iterator<Item = TokenId> {
        let SpecialIds { eos, eot, eom, .. } = self.special;
        eot.into_iter().chain(eos).chain(eom)
    }

    /// Tokens in the vocabulary.
    pub fn len(&self) -> usize {
        self.vocabulary.len()
    }

    /// Whether the vocabulary is empty, which it never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
