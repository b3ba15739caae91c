//! AVX-512 with VNNI: one register holds the sixteen lanes, and `vpdpbusd` multiplies 64 bytes
//! and adds them to sixteen sums in one instruction.
#![expect(unsafe_code, reason = "instructions beyond the target's base line")]

use super::simd::{Kernel, LANES, Lanes, ROUND, Simd};
use std::arch::x86_64::*;

/// Proof that the machine has AVX-512 F, BW, VL and VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// `Some` where the machine has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists only where `detect` found every feature that `enabled` enables.
        unsafe { enabled(self, kernel) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn enabled<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Simd for Avx512 {
    type Float = __m512;
    type Int = __m512i;
    type Bytes = __m512i;
    type Wide = __m512i;

    const TOKENS: usize = 12;
    const QUERIES: usize = 4;
    const PAGES: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; `Lanes` is 64 bytes at a multiple of 64.
        unsafe { _mm512_load_ps(from.0.as_ptr()) }
    }

    #[inline(always)]
    fn load_f32(self, from: &[u8; 64]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the array is the 64 bytes that the load reads.
        unsafe { _mm512_loadu_ps(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u8; 32]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the array is the 32 bytes that the load reads.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u8; 32]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the array is the 32 bytes that the load reads.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    fn load_u8(self, from: &[u8; 16]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the array is the 16 bytes that the load reads.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn load_i8(self, from: &[u8; 16]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the array is the 16 bytes that the load reads.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn store(self, value: __m512, to: &mut Lanes) {
        // SAFETY: `self` proves AVX-512 F; `Lanes` is 64 bytes at a multiple of 64.
        unsafe { _mm512_store_ps(to.0.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_abs_ps(a) }
    }

    #[inline(always)]
    fn largest(self, value: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_reduce_max_ps(value) }
    }

    #[inline(always)]
    fn to_i8(self, value: __m512) -> ([i8; LANES], i32) {
        let mut bytes = [0; LANES];
        // SAFETY: `self` proves AVX-512 F; the array is the 16 bytes that the store writes.
        unsafe {
            let whole = _mm512_cvtps_epi32(value);
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(whole));
            (bytes, _mm512_reduce_add_epi32(whole))
        }
    }

    #[inline(always)]
    fn power_of_two(self, n_plus_round: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            let bias = _mm512_set1_epi32(127i32.wrapping_sub(ROUND.to_bits() as i32));
            let exponent = _mm512_add_epi32(_mm512_castps_si512(n_plus_round), bias);
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; 64]) -> __m512i {
        // SAFETY: `self` proves AVX-512 F; the array is the 64 bytes that the load reads.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn shift_right(self, bytes: __m512i, shift: u32, mask: u8) -> __m512i {
        // SAFETY: `self` proves AVX-512 F and BW. Bits that come over from a neighbouring byte
        // are masked out.
        unsafe {
            let shifted = _mm512_srl_epi16(bytes, _mm_cvtsi32_si128(shift.cast_signed()));
            _mm512_and_si512(shifted, _mm512_set1_epi8(mask.cast_signed()))
        }
    }

    #[inline(always)]
    fn shift_left(self, bytes: __m512i, shift: u32, mask: u8) -> __m512i {
        // SAFETY: as in `shift_right`.
        unsafe {
            let shifted = _mm512_sll_epi16(bytes, _mm_cvtsi32_si128(shift.cast_signed()));
            _mm512_and_si512(shifted, _mm512_set1_epi8(mask.cast_signed()))
        }
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn dot_start(self, value: i32) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    fn dot4(self, sums: __m512i, weights: __m512i, activations: [i8; 4]) -> __m512i {
        let four = i32::from_le_bytes(activations.map(i8::cast_unsigned));
        // SAFETY: `self` proves AVX-512 F and VNNI.
        unsafe { _mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(four)) }
    }

    #[inline(always)]
    fn dot_start_wide(self, value: i32) -> __m512i {
        self.dot_start(value)
    }

    #[inline(always)]
    fn load_wide(self, from: &[u8; 64]) -> __m512i {
        self.load_bytes(from)
    }

    #[inline(always)]
    fn dot4_wide(self, sums: __m512i, weights: __m512i, activations: [i8; 4]) -> __m512i {
        self.dot4(sums, weights, activations)
    }

    #[inline(always)]
    fn to_float(self, sums: __m512i) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn prefetch(self, from: &[u8], ahead: usize) {
        // SAFETY: a prefetch reads nothing that the program sees and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(ahead).cast()) }
    }
}
