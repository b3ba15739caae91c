//! Memory for packed weights.

use memmap2::MmapMut;

/// Zeroed bytes at the start of a page; in huge pages where there are many, because a decoded
/// token reads all weights once and would otherwise look up a page's address every 4 KiB.
pub(super) struct Room(MmapMut);

/// Below this a huge page would be mostly empty.
const HUGE_BYTES: usize = 4 << 20;

impl Room {
    /// # Errors
    ///
    /// The system has no such memory.
    pub(super) fn new(bytes: usize) -> std::io::Result<Self> {
        let map = MmapMut::map_anon(bytes)?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_BYTES {
            // Refused where the kernel has no huge pages: slower, and nothing else.
            let _refused = map.advise(memmap2::Advice::HugePage);
        }
        Ok(Self(map))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
