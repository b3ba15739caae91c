//! Small models made here: a GGUF writer, random weights, and a forward pass in double precision
//! written apart from the engine's.

pub(crate) mod blocks;
pub(crate) mod gguf;
pub(crate) mod hostile;
pub(crate) mod reference;
pub(crate) mod tiny;
