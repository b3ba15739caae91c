//! The project's own chores: `cargo run -p xtask -- tidy`.

#![forbid(unsafe_code)]

mod tidy;
mod tree;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::tree::Tree;

const USAGE: &str = "usage: cargo run -p xtask -- tidy";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments != ["tidy"] {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.context("xtask stands directly under the root of the workspace")?;
    let report = tidy::check(&Tree::read(root)?);
    for note in &report.notes {
        eprintln!("note: {note}");
    }
    for fault in &report.faults {
        eprintln!("{fault}");
    }
    eprintln!(
        "tidy: {} files, {} faults",
        report.files,
        report.faults.len()
    );
    Ok(if report.faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
