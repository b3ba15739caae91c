//! Seeded random numbers that are the same on every machine.
//!
//! A generator of our own keeps results stable when a dependency changes its algorithm.

/// xoshiro256++ (Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2021),
/// whose state is filled from a seed by SplitMix64, as its authors advise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator of this seed; any seed is good.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut splitmix = seed;
        let state = std::array::from_fn(|_| {
            splitmix = splitmix.wrapping_add(0x9e37_79b9_7f4a_7c15);
            scramble(splitmix)
        });
        Self { state }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `bound`, each equally likely (Lemire's method with rejection).
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "no number is below zero");
        let bound = bound as u64;
        let reject_below = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.bits()) * u128::from(bound);
            if (wide as u64) >= reject_below {
                return (wide >> 64) as usize;
            }
        }
    }

    /// A number in `0.0..1.0`, a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Puts the items into a random order, each order equally likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The finaliser of SplitMix64: a mixing of 64 bits that maps different inputs to different
/// outputs.
pub(crate) fn scramble(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // SplitMix64 of seed 0 as in its authors' test vector; then xoshiro256++ over it.
        let random = Random::new(0);
        assert_eq!(random.state[0], 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.state[1], 0x6e78_9e6a_a1b9_65f4);
        let mut random = Random {
            state: [1, 2, 3, 4],
        };
        assert_eq!(
            [random.bits(), random.bits(), random.bits()],
            [41_943_041, 58_720_359, 3_588_806_011_781_223]
        );
    }

    #[test]
    fn every_face_of_a_die_comes_up_a_sixth_of_the_time() {
        let mut random = Random::new(7);
        let mut counts = [0_i32; 6];
        for _ in 0..60_000 {
            counts[random.below(6)] += 1;
        }
        // Five standard deviations of Binomial(60000, 1/6) are 457.
        assert!(
            counts.iter().all(|c| (c - 10_000).abs() < 457),
            "{counts:?}"
        );
    }

    proptest! {
        #[test]
        fn a_shuffle_keeps_every_item(seed: u64, n in 0_usize..200) {
            let mut items: Vec<usize> = (0..n).collect();
            Random::new(seed).shuffle(&mut items);
            items.sort_unstable();
            prop_assert_eq!(items, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn draws_keep_their_bounds(seed: u64, bound in 1_usize..1_000_000) {
            let mut random = Random::new(seed);
            prop_assert!(random.below(bound) < bound);
            let unit = random.unit();
            prop_assert!((0.0..1.0).contains(&unit));
        }
    }
}
