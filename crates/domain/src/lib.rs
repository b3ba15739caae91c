//! The values that Tiergate's other crates speak in.
//!
//! Everything here is plain data without input or output: no clock, file, network or random
//! source, and no serialisation (each edge has wire types of its own and converts them).

#![forbid(unsafe_code)]

pub mod completion;
pub mod generation;
pub mod label;
pub mod message;
pub mod money;
pub mod name;
pub mod part;
pub mod price;
pub mod protocol;
pub mod sensitivity;
pub mod stream;
pub mod task;
pub mod tier;
pub mod tokens;
pub mod tool;

pub use completion::{Completion, FinishReason, TokenChoice, TokenLogprob};
pub use generation::{AnswerSchema, Generation, GenerationOptions, ReasoningDepth, ResponseFormat};
pub use label::{Label, LabelProbabilities, Labels, LabelsError};
pub use message::{Message, Prompt, PromptKind, Role};
pub use money::{MoneyError, Picodollars};
pub use name::{NameError, TaskName, TierName};
pub use part::{Content, Media, Part, Reasoning, Signature, Source, ToolCall, ToolResult};
pub use price::{Price, TokenRate};
pub use protocol::{Opaque, Protocol};
pub use sensitivity::Sensitivity;
pub use stream::{Accumulator, StreamEnd, StreamEvent};
pub use task::{Task, TaskKind};
pub use tier::{TierKind, Zone};
pub use tokens::{Aside, CompletionTokens, PromptTokens, Usage};
pub use tool::{Tool, ToolChoice, ToolKind};
