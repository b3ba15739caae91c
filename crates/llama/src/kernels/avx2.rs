//! AVX2 with FMA and F16C: two registers hold the sixteen lanes.
#![expect(unsafe_code, reason = "instructions beyond the target's base line")]

use super::simd::{Kernel, LANES, Lanes, ROUND, Simd};
use std::arch::x86_64::*;

/// Proof that the machine has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// Eight weight rows of four columns: the signed bytes, and their absolute values, because
/// `vpmaddubsw` wants one side unsigned. |weight| <= 128 and |activation| <= 127, so that a pair
/// sums to 32,512 at most and its 16-bit saturation is never reached.
#[derive(Clone, Copy)]
pub(crate) struct SignedAndAbsolute {
    signed: [__m256i; 2],
    absolute: [__m256i; 2],
}

impl Avx2 {
    /// `Some` where the machine has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists only where `detect` found every feature that `enabled` enables.
        unsafe { enabled(self, kernel) }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn enabled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Simd for Avx2 {
    type Float = [__m256; 2];
    type Int = [__m256i; 2];
    type Bytes = [__m256i; 2];
    type Wide = SignedAndAbsolute;

    const TOKENS: usize = 4;
    const QUERIES: usize = 2;
    const PAGES: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> [__m256; 2] {
        let (low, high) = from.0.split_at(8);
        // SAFETY: `self` proves AVX2; each half is the 32 bytes that a load reads.
        unsafe {
            [
                _mm256_loadu_ps(low.as_ptr()),
                _mm256_loadu_ps(high.as_ptr()),
            ]
        }
    }

    #[inline(always)]
    fn load_f32(self, from: &[u8; 64]) -> [__m256; 2] {
        let (low, high) = from.split_at(32);
        // SAFETY: `self` proves AVX2; each half is the 32 bytes that a load reads.
        unsafe {
            [
                _mm256_loadu_ps(low.as_ptr().cast()),
                _mm256_loadu_ps(high.as_ptr().cast()),
            ]
        }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u8; 32]) -> [__m256; 2] {
        let (low, high) = from.split_at(16);
        // SAFETY: `self` proves F16C; each half is the 16 bytes that a load reads.
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(low.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(high.as_ptr().cast())),
            ]
        }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u8; 32]) -> [__m256; 2] {
        let (low, high) = from.split_at(16);
        [low, high].map(|half| {
            // SAFETY: `self` proves AVX2; the half is the 16 bytes that the load reads.
            unsafe {
                let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(half.as_ptr().cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
            }
        })
    }

    #[inline(always)]
    fn load_u8(self, from: &[u8; 16]) -> [__m256; 2] {
        let (low, high) = from.split_at(8);
        [low, high].map(|half| {
            // SAFETY: `self` proves AVX2; the half is the 8 bytes that the load reads.
            unsafe {
                let bytes = _mm_loadl_epi64(half.as_ptr().cast());
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))
            }
        })
    }

    #[inline(always)]
    fn load_i8(self, from: &[u8; 16]) -> [__m256; 2] {
        let (low, high) = from.split_at(8);
        [low, high].map(|half| {
            // SAFETY: `self` proves AVX2; the half is the 8 bytes that the load reads.
            unsafe {
                let bytes = _mm_loadl_epi64(half.as_ptr().cast());
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))
            }
        })
    }

    #[inline(always)]
    fn store(self, value: [__m256; 2], to: &mut Lanes) {
        let (low, high) = to.0.split_at_mut(8);
        // SAFETY: `self` proves AVX2; each half is the 32 bytes that a store writes.
        unsafe {
            _mm256_storeu_ps(low.as_mut_ptr(), value[0]);
            _mm256_storeu_ps(high.as_mut_ptr(), value[1]);
        }
    }

    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn div(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves FMA.
        unsafe {
            [
                _mm256_fmadd_ps(a[0], b[0], c[0]),
                _mm256_fmadd_ps(a[1], b[1], c[1]),
            ]
        }
    }

    #[inline(always)]
    fn max(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn min(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn abs(self, a: [__m256; 2]) -> [__m256; 2] {
        a.map(|half| {
            // SAFETY: `self` proves AVX2.
            unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), half) }
        })
    }

    #[inline(always)]
    fn largest(self, value: [__m256; 2]) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let eight = _mm256_max_ps(value[0], value[1]);
            let four = _mm_max_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn to_i8(self, value: [__m256; 2]) -> ([i8; LANES], i32) {
        let mut bytes = [0i8; LANES];
        // SAFETY: `self` proves AVX2; the array is the 16 bytes that the store writes.
        unsafe {
            let (low, high) = (_mm256_cvtps_epi32(value[0]), _mm256_cvtps_epi32(value[1]));
            // Packing works within halves of a register; the permutation puts them in order.
            let shorts = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
            let both = _mm_packs_epi16(
                _mm256_castsi256_si128(shorts),
                _mm256_extracti128_si256::<1>(shorts),
            );
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), both);
        }
        (bytes, bytes.iter().map(|byte| i32::from(*byte)).sum())
    }

    #[inline(always)]
    fn power_of_two(self, n_plus_round: [__m256; 2]) -> [__m256; 2] {
        n_plus_round.map(|half| {
            // SAFETY: `self` proves AVX2.
            unsafe {
                let bias = _mm256_set1_epi32(127i32.wrapping_sub(ROUND.to_bits() as i32));
                let exponent = _mm256_add_epi32(_mm256_castps_si256(half), bias);
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
            }
        })
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; 64]) -> [__m256i; 2] {
        let (low, high) = from.split_at(32);
        // SAFETY: `self` proves AVX2; each half is the 32 bytes that a load reads.
        unsafe {
            [
                _mm256_loadu_si256(low.as_ptr().cast()),
                _mm256_loadu_si256(high.as_ptr().cast()),
            ]
        }
    }

    #[inline(always)]
    fn shift_right(self, bytes: [__m256i; 2], shift: u32, mask: u8) -> [__m256i; 2] {
        bytes.map(|half| {
            // SAFETY: `self` proves AVX2. Bits that come over from a neighbouring byte are masked
            // out.
            unsafe {
                let shifted = _mm256_srl_epi16(half, _mm_cvtsi32_si128(shift.cast_signed()));
                _mm256_and_si256(shifted, _mm256_set1_epi8(mask.cast_signed()))
            }
        })
    }

    #[inline(always)]
    fn shift_left(self, bytes: [__m256i; 2], shift: u32, mask: u8) -> [__m256i; 2] {
        bytes.map(|half| {
            // SAFETY: as in `shift_right`.
            unsafe {
                let shifted = _mm256_sll_epi16(half, _mm_cvtsi32_si128(shift.cast_signed()));
                _mm256_and_si256(shifted, _mm256_set1_epi8(mask.cast_signed()))
            }
        })
    }

    #[inline(always)]
    fn or(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
    }

    #[inline(always)]
    fn dot_start(self, value: i32) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_set1_epi32(value); 2] }
    }

    #[inline(always)]
    fn dot4(self, sums: [__m256i; 2], weights: [__m256i; 2], activations: [i8; 4]) -> [__m256i; 2] {
        let four = i32::from_le_bytes(activations.map(i8::cast_unsigned));
        // SAFETY: `self` proves AVX2. 63 * 127 * 2 = 16,002: the 16-bit sums do not saturate.
        unsafe {
            let four = _mm256_set1_epi32(four);
            let ones = _mm256_set1_epi16(1);
            let low = _mm256_maddubs_epi16(weights[0], four);
            let high = _mm256_maddubs_epi16(weights[1], four);
            [
                _mm256_add_epi32(sums[0], _mm256_madd_epi16(low, ones)),
                _mm256_add_epi32(sums[1], _mm256_madd_epi16(high, ones)),
            ]
        }
    }

    #[inline(always)]
    fn dot_start_wide(self, _value: i32) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    fn load_wide(self, from: &[u8; 64]) -> SignedAndAbsolute {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let offset = _mm256_set1_epi8(-128);
            let signed = self
                .load_bytes(from)
                .map(|half| _mm256_xor_si256(half, offset));
            SignedAndAbsolute {
                signed,
                absolute: signed.map(|half| _mm256_abs_epi8(half)),
            }
        }
    }

    #[inline(always)]
    fn dot4_wide(
        self,
        sums: [__m256i; 2],
        weights: SignedAndAbsolute,
        activations: [i8; 4],
    ) -> [__m256i; 2] {
        let four = i32::from_le_bytes(activations.map(i8::cast_unsigned));
        // SAFETY: `self` proves AVX2.
        unsafe {
            let four = _mm256_set1_epi32(four);
            let ones = _mm256_set1_epi16(1);
            let low = _mm256_maddubs_epi16(
                weights.absolute[0],
                _mm256_sign_epi8(four, weights.signed[0]),
            );
            let high = _mm256_maddubs_epi16(
                weights.absolute[1],
                _mm256_sign_epi8(four, weights.signed[1]),
            );
            [
                _mm256_add_epi32(sums[0], _mm256_madd_epi16(low, ones)),
                _mm256_add_epi32(sums[1], _mm256_madd_epi16(high, ones)),
            ]
        }
    }

    #[inline(always)]
    fn to_float(self, sums: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] }
    }

    #[inline(always)]
    fn prefetch(self, from: &[u8], ahead: usize) {
        // SAFETY: a prefetch reads nothing that the program sees and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(ahead).cast()) }
    }
}
