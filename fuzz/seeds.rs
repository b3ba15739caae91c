//! Writes sound model files of all formats into `corpus/gguf`, as small as they can be, for the
//! fuzzer to begin with.

#[path = "../crates/llama/tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod support;

use std::path::Path;

use support::blocks::Quantised;
use support::gguf::Stored;
use support::hostile::small;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/gguf");
    std::fs::create_dir_all(&folder)?;
    let plain = [Stored::F32, Stored::F16, Stored::BF16, Stored::Q8_0];
    let all = plain.into_iter().chain(Quantised::ALL.map(Stored::Blocks));
    for stored in all {
        std::fs::write(folder.join(format!("{stored:?}.gguf")), small(stored))?;
    }
    Ok(())
}
