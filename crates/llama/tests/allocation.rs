//! How much memory a hostile file can make the engine take. A test of its own, because the count is
//! that of the whole process.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "the other tests use the rest")]
#[path = "it/support/mod.rs"]
mod support;

use llama::Model;
use peak_alloc::PeakAlloc;
use support::hostile::{for_each_mutated, mutated_count};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What opening may take beside as much as the file has.
const BESIDE_THE_FILE: usize = 32 << 20;

#[test]
fn a_mutated_file_takes_no_more_than_its_size_and_32_mib() {
    let (mut opened, count) = (0, mutated_count());
    for_each_mutated(count, |bytes| {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let model = Model::from_bytes("hostile", bytes);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        let allowed = bytes.len() + BESIDE_THE_FILE;
        assert!(
            taken <= allowed,
            "{taken} bytes for a file of {}",
            bytes.len()
        );
        opened += usize::from(model.is_ok());
    });
    // Both kinds must come up, or this tests nothing.
    assert!((count / 50..count).contains(&opened), "{opened} of {count}");
    assert!(MEMORY.peak_usage() > 0, "nothing was counted");
}
