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
    /// What the tier did beside, which all of the above leave out.
    pub aside: Aside,
}

/// What a vendor did in steps of its own that its counts leave out and its bill does not, such as
/// summing up a conversation that had grown too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Aside {
    /// All tokens read in them.
    pub prompt: PromptTokens,
    /// Of these, those from the vendor's prompt cache.
    pub cached_prompt: PromptTokens,
    /// Of these, those put into it.
    pub cache_write_prompt: PromptTokens,
    /// All tokens written in them.
    pub completion: CompletionTokens,
    /// Whether another model took some of the steps, which are not counted here: what they cost is
    /// not known.
    pub of_another_model: bool,
}
