//! Outward: what a vendor is asked, whatever its protocol.

use domain::{Generation, Prompt};

use super::extra::Extra;
use super::request::Delivery;

/// What servers of this protocol differ in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The name of the limit of completion tokens.
    pub max_tokens: MaxTokensField,
    /// Whether sampling may be asked for.
    pub sampling: Sampling,
    /// Where the model is named.
    pub naming: Naming,
}

/// Where a request names its model, and with it the version of its protocol. Google's protocol has
/// both in its addresses in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Naming {
    /// In its body, as the protocol's own vendor wants it.
    #[default]
    InBody,
    /// In its address, and the version in its body, as Vertex wants it of Anthropic's protocol.
    InAddress,
}

/// The name of the limit of completion tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MaxTokensField {
    /// `max_completion_tokens`, the name that OpenAI's newer models demand.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`, the name that older compatible servers know.
    MaxTokens,
}

/// Whether temperature and seed are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// They are.
    #[default]
    Sent,
    /// They are left out, because the model refuses them, as OpenAI's reasoning models do.
    Omitted,
}

/// A request to a vendor.
#[derive(Clone, Copy, Debug)]
pub struct OutwardRequest<'a> {
    /// The vendor's name of the model.
    pub model: &'a str,
    /// The conversation.
    pub prompt: &'a Prompt,
    /// How to write.
    pub generation: &'a Generation,
    /// How this server differs.
    pub dialect: Dialect,
    /// How the answer shall come. A stream is always asked for its usage.
    pub delivery: Delivery,
    /// What the client's request of this protocol carries beside.
    pub extra: Option<&'a Extra>,
}
