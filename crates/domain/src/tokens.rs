//! Counts of tokens.

/// Tokens that a model read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptTokens(pub u64);

/// Tokens that a model wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompletionTokens(pub u64);

/// What one attempt consumed, as the tier reported it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// All tokens read, cached ones included.
    pub prompt: PromptTokens,
    /// Of these, the tokens that a vendor's prompt cache supplied; at most `prompt`.
    pub cached_prompt: PromptTokens,
    /// All tokens written, reasoning included.
    pub completion: CompletionTokens,
}
