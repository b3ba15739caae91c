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
    /// All tokens read: fresh ones, those from a cache, and those put into one.
    pub prompt: PromptTokens,
    /// Of these, the tokens that a vendor's prompt cache supplied. With `cache_write_prompt` at
    /// most `prompt`.
    pub cached_prompt: PromptTokens,
    /// Of these, the tokens that were put into a vendor's prompt cache, at a price of their own.
    pub cache_write_prompt: PromptTokens,
    /// All tokens written, reasoning included.
    pub completion: CompletionTokens,
    /// Of these, the tokens of reasoning; at most `completion`.
    pub reasoning: CompletionTokens,
}
