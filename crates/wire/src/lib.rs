//! Translation between vendors' protocols and the domain: bytes in, values out, and back.
//!
//! One module for each protocol and surface. *Inward* is what clients send us and what we answer
//! them; *outward* is what we send to a vendor and what it answers us. Nothing here does input or
//! output, reads a clock or draws a random number, and no message of an error here contains text
//! of a prompt or a completion.

#![forbid(unsafe_code)]

pub mod anthropic;
mod base64;
pub mod chat;
pub mod embedding;
pub mod fault;
pub mod google;
mod json;
mod map;
pub mod multipart;
mod object;
pub mod openai;
pub mod sse;
