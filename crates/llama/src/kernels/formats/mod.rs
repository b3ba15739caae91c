//! How weights are stored, in files and here.
//!
//! A quantised weight is `scale * (value - offset)` or `scale * value + minimum`, where `value`
//! is a few bits and the scale is shared by sixteen or thirty-two weights of a row. A format is
//! thus a way to hold values ([`values`]), a way to hold scales ([`scales`]), and a way to read
//! both from a file's blocks ([`unpack`]). Nothing is rounded on the way.

mod floats;
mod scales;
mod unpack;
mod values;

pub(super) use floats::{BF16, F16, F32, Floats};
pub(super) use scales::Scales;
pub(super) use unpack::{Blocks, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Unpacked};
pub(super) use values::{LINE, Values};

/// Runs a block of code with `$format` as the type that stores numbers like `$kind`:
/// `floats` for what is stored as floats, `blocks` for what is quantised.
macro_rules! with_format {
    ($kind:expr, floats $format:ident => $floats:expr, blocks $same:ident => $blocks:expr $(,)?) => {{
        use $crate::gguf::TensorType;
        use $crate::kernels::formats;
        macro_rules! floats {
            ($type:ty) => {{
                type $format = $type;
                $floats
            }};
        }
        macro_rules! blocks {
            ($type:ty) => {{
                type $same = $type;
                $blocks
            }};
        }
        match $kind {
            TensorType::F32 => floats!(formats::F32),
            TensorType::F16 => floats!(formats::F16),
            TensorType::BF16 => floats!(formats::BF16),
            TensorType::Q4_0 => blocks!(formats::Q4_0),
            TensorType::Q4_1 => blocks!(formats::Q4_1),
            TensorType::Q5_0 => blocks!(formats::Q5_0),
            TensorType::Q5_1 => blocks!(formats::Q5_1),
            TensorType::Q8_0 => blocks!(formats::Q8_0),
            TensorType::Q2K => blocks!(formats::Q2K),
            TensorType::Q3K => blocks!(formats::Q3K),
            TensorType::Q4K => blocks!(formats::Q4K),
            TensorType::Q5K => blocks!(formats::Q5K),
            TensorType::Q6K => blocks!(formats::Q6K),
        }
    }};
}
pub(super) use with_format;

/// The `index`th array of `N` bytes.
#[inline(always)]
fn array<const N: usize>(bytes: &[u8], index: usize) -> &[u8; N] {
    &bytes.as_chunks::<N>().0[index]
}

/// As [`array`], to be written.
fn array_mut<const N: usize>(bytes: &mut [u8], index: usize) -> &mut [u8; N] {
    &mut bytes.as_chunks_mut::<N>().0[index]
}
