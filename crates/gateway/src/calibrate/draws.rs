//! Records of live traffic that don't count equally.
//!
//! Where there were many requests, records are not thinned out to an even chance for each, which
//! throws most of them away: all are put to the tiers, and each claim is proven on them as
//! [`Grounds`](routing::certificate::Grounds) chooses. Whatever else is said of them, shares, costs
//! and curves, counts each record as often as it was improbable.

use routing::certificate::{ALLOWED_MIN, Draw};
use sha2::{Digest as _, Sha256};

use super::live::Row;

/// How the records of a sample became known.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    /// (n_records).
    pub(super) of: Vec<Draw>,
    /// How many of each record are expected to stay when they are thinned out: by counts alone, so
    /// that what is chosen by it depends on nothing that is right or wrong.
    pub(super) rate: f64,
}

/// Whether there were so many requests, the rarest of which became known with this chance, that
/// weighing records may prove more than thinning them out.
pub(super) fn are_many((requests, lowest): (usize, f64), alpha: f64) -> bool {
    requests as f64 * lowest * alpha >= ALLOWED_MIN
}

impl Draws {
    /// The texts and labels of these rows that aren't too light to be asked about, with how they
    /// became known.
    pub(super) fn of(
        rows: Vec<Row>,
        (requests, lowest): (usize, f64),
    ) -> (Vec<(String, usize)>, Self) {
        let drawn = |row: Row| Some(((row.draw(lowest)?), (row.text, row.label)));
        let (of, records): (Vec<Draw>, Vec<(String, usize)>) =
            rows.into_iter().filter_map(drawn).unzip();
        let rate = requests as f64 * lowest / of.len().max(1) as f64;
        (records, Self { of, rate })
    }

    /// Takes the draws into a digest of the records.
    pub(super) fn update(&self, hash: &mut Sha256) {
        for draw in &self.of {
            hash.update(draw.weight().to_bits().to_le_bytes());
            hash.update([u8::from(draw.stays()), u8::from(draw.is_pilot())]);
        }
    }
}
