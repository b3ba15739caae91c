//! The quantised blocks of GGUF files in double precision, written as ggml describes them: value
//! after value, apart from the engine's way of reading them.

use half::f16;

/// A quantised format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantised {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

impl Quantised {
    pub(crate) const ALL: [Self; 10] = [
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// ggml's number of the type, numbers in a block, bytes of a block.
    pub(crate) fn shape(self) -> (u32, usize, usize) {
        match self {
            Self::Q4_0 => (2, 32, 18),
            Self::Q4_1 => (3, 32, 20),
            Self::Q5_0 => (6, 32, 22),
            Self::Q5_1 => (7, 32, 24),
            Self::Q8_0 => (8, 32, 34),
            Self::Q2K => (10, 256, 84),
            Self::Q3K => (11, 256, 110),
            Self::Q4K => (12, 256, 144),
            Self::Q5K => (13, 256, 176),
            Self::Q6K => (14, 256, 210),
        }
    }

    /// Where a block's half-precision scales are.
    fn halves(self) -> &'static [usize] {
        match self {
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => &[0],
            Self::Q4_1 | Self::Q5_1 | Self::Q4K | Self::Q5K => &[0, 2],
            Self::Q2K => &[80, 82],
            Self::Q3K => &[108],
            Self::Q6K => &[208],
        }
    }

    /// How large a weight of random bits is, in units of the block's scale.
    fn typical(self) -> f32 {
        match self {
            Self::Q4_0 | Self::Q4_1 => 8.0,
            Self::Q5_0 | Self::Q5_1 => 16.0,
            Self::Q8_0 => 100.0,
            Self::Q2K => 20.0,
            Self::Q3K => 60.0,
            Self::Q4K => 400.0,
            Self::Q5K => 800.0,
            Self::Q6K => 2000.0,
        }
    }

    /// Blocks of random bits whose weights are about as large as `size`.
    pub(crate) fn random(self, blocks: usize, size: f32, mut byte: impl FnMut() -> u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..blocks {
            let mut block: Vec<u8> = (0..self.shape().2).map(|_| byte()).collect();
            for (i, at) in self.halves().iter().enumerate() {
                // A minimum takes away about what a scale gives.
                let sign = match self {
                    Self::Q4_1 | Self::Q5_1 if i == 1 => -self.typical(),
                    _ => 1.0,
                };
                let scale = sign * size / self.typical() * (0.5 + f32::from(byte()) / 256.0);
                block[*at..][..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
            }
            bytes.extend(block);
        }
        bytes
    }

    /// The weights of blocks.
    pub(crate) fn weights(self, bytes: &[u8]) -> Vec<f64> {
        let (_, numbers, size) = self.shape();
        let mut weights = Vec::new();
        for block in bytes.chunks_exact(size) {
            let mut y = vec![0.0; numbers];
            match self {
                Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => {
                    small_block(self, block, &mut y);
                }
                Self::Q2K => q2_k(block, &mut y),
                Self::Q3K => q3_k(block, &mut y),
                Self::Q4K | Self::Q5K => q4_k_or_q5_k(self, block, &mut y),
                Self::Q6K => q6_k(block, &mut y),
            }
            weights.extend(y);
        }
        weights
    }
}

fn half_at(block: &[u8], at: usize) -> f64 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f64()
}

fn small_block(kind: Quantised, block: &[u8], y: &mut [f64]) {
    let d = half_at(block, 0);
    if kind == Quantised::Q8_0 {
        for j in 0..32 {
            y[j] = d * f64::from(block[2 + j].cast_signed());
        }
        return;
    }
    let with_minimum = matches!(kind, Quantised::Q4_1 | Quantised::Q5_1);
    let m = if with_minimum { half_at(block, 2) } else { 0.0 };
    let mut at = if with_minimum { 4 } else { 2 };
    let five = matches!(kind, Quantised::Q5_0 | Quantised::Q5_1);
    let mut qh = 0;
    if five {
        qh = u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
        at += 4;
    }
    let offset = match kind {
        Quantised::Q4_0 => 8.0,
        Quantised::Q5_0 => 16.0,
        _ => 0.0,
    };
    for j in 0..16 {
        let high_0 = ((qh >> j) & 1) << 4;
        let high_1 = ((qh >> (j + 16)) & 1) << 4;
        let x0 = u32::from(block[at + j] & 0x0f) | high_0;
        let x1 = u32::from(block[at + j] >> 4) | high_1;
        y[j] = d * (f64::from(x0) - offset) + m;
        y[j + 16] = d * (f64::from(x1) - offset) + m;
    }
}

fn q2_k(block: &[u8], y: &mut [f64]) {
    let (d, min) = (half_at(block, 80), half_at(block, 82));
    let (mut is, mut at, mut out) = (0, 16, 0);
    for _ in 0..2 {
        for shift in [0, 2, 4, 6] {
            for half in 0..2 {
                let sc = block[is];
                is += 1;
                let (dl, ml) = (d * f64::from(sc & 0xf), min * f64::from(sc >> 4));
                for l in 0..16 {
                    let q = (block[at + half * 16 + l] >> shift) & 3;
                    y[out] = dl * f64::from(q) - ml;
                    out += 1;
                }
            }
        }
        at += 32;
    }
}

fn q3_k(block: &[u8], y: &mut [f64]) {
    let d = half_at(block, 108);
    let word = |i: usize| u32::from_le_bytes(block[96 + 4 * i..][..4].try_into().unwrap());
    let (a0, a1, tmp) = (word(0), word(1), word(2));
    let (two, four) = (0x0303_0303, 0x0f0f_0f0f);
    let aux = [
        (a0 & four) | ((tmp & two) << 4),
        (a1 & four) | (((tmp >> 2) & two) << 4),
        ((a0 >> 4) & four) | (((tmp >> 4) & two) << 4),
        ((a1 >> 4) & four) | (((tmp >> 6) & two) << 4),
    ];
    let scales: Vec<f64> = aux
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .map(|s| f64::from(s.cast_signed()) - 32.0)
        .collect();
    let (mut is, mut at, mut out, mut m) = (0, 32, 0, 1u8);
    for _ in 0..2 {
        for shift in [0, 2, 4, 6] {
            for half in 0..2 {
                let dl = d * scales[is];
                is += 1;
                for l in 0..16 {
                    let q = (block[at + half * 16 + l] >> shift) & 3;
                    let less = if block[half * 16 + l] & m == 0 {
                        4.0
                    } else {
                        0.0
                    };
                    y[out] = dl * (f64::from(q) - less);
                    out += 1;
                }
            }
            m = m.rotate_left(1);
        }
        at += 32;
    }
}

/// `get_scale_min_k4` of ggml.
fn scale_and_minimum(j: usize, q: &[u8]) -> (f64, f64) {
    let (sc, m) = if j < 4 {
        (q[j] & 63, q[j + 4] & 63)
    } else {
        (
            (q[j + 4] & 0xf) | ((q[j - 4] >> 6) << 4),
            (q[j + 4] >> 4) | ((q[j] >> 6) << 4),
        )
    };
    (f64::from(sc), f64::from(m))
}

fn q4_k_or_q5_k(kind: Quantised, block: &[u8], y: &mut [f64]) {
    let (d, min) = (half_at(block, 0), half_at(block, 2));
    let scales = &block[4..16];
    let five = kind == Quantised::Q5K;
    let mut at = if five { 48 } else { 16 };
    let (mut u1, mut u2) = (1u8, 2u8);
    for j in 0..4 {
        let (sc1, m1) = scale_and_minimum(2 * j, scales);
        let (sc2, m2) = scale_and_minimum(2 * j + 1, scales);
        for l in 0..32 {
            let high = |u: u8| {
                if five && block[16 + l] & u != 0 {
                    16
                } else {
                    0
                }
            };
            let low = (block[at + l] & 0xf) + high(u1);
            let upper = (block[at + l] >> 4) + high(u2);
            y[64 * j + l] = d * sc1 * f64::from(low) - min * m1;
            y[64 * j + 32 + l] = d * sc2 * f64::from(upper) - min * m2;
        }
        at += 32;
        u1 = u1.rotate_left(2);
        u2 = u2.rotate_left(2);
    }
}

fn q6_k(block: &[u8], y: &mut [f64]) {
    let d = half_at(block, 208);
    for n in 0..2 {
        let (ql, qh, sc) = (
            &block[64 * n..],
            &block[128 + 32 * n..],
            &block[192 + 8 * n..],
        );
        for l in 0..32 {
            let is = l / 16;
            let q = [
                (ql[l] & 0xf) | ((qh[l] & 3) << 4),
                (ql[l + 32] & 0xf) | (((qh[l] >> 2) & 3) << 4),
                (ql[l] >> 4) | (((qh[l] >> 4) & 3) << 4),
                (ql[l + 32] >> 4) | (((qh[l] >> 6) & 3) << 4),
            ];
            for (i, q) in q.into_iter().enumerate() {
                let scale = f64::from(sc[is + 2 * i].cast_signed());
                y[128 * n + 32 * i + l] = d * scale * (f64::from(q) - 32.0);
            }
        }
    }
}
