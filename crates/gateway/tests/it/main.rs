//! The program as its users meet it: the real binary, a real ledger, a real small Llama. Only the
//! paid vendor is stood in for.

mod demo;
mod disk;
mod eval;
mod input;
mod killed;
mod run;
mod spend;
mod vendor;
mod workplace;
