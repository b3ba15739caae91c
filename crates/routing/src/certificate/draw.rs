//! How a record came to be known, where not every one had the same chance.

use crate::threshold::Scored;

/// What the lightest record weighs. One that is lighter stays with a chance that makes up for it:
/// what became known with certainty would otherwise be fifty times as much as what was audited
/// with 2 %, and have to be put to every tier, for hardly any evidence.
const WEIGHT_MIN: f64 = 0.1;

/// The part of the records, by lot, that proves nothing and says how the others should prove.
const PILOT: f64 = 0.1;

/// How a record came to be known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    weight: f64,
    stays: bool,
    is_pilot: bool,
}

/// A record with how it came to be known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// How sure its tier was, and whether it was right.
    pub scored: Scored,
    /// How it came to be known.
    pub draw: Draw,
}

impl Draw {
    /// That of a record that had the same chance as every other one.
    pub const EVEN: Self = Self {
        weight: 1.0,
        stays: true,
        is_pilot: false,
    };

    /// That of a record of this weight: the lowest chance that any record had to become known,
    /// divided by its own. The lots, by which it stays and is of the pilot, are two numbers drawn
    /// evenly from `0.0..1.0`. `None` of one that is left out, by lot, because it is so light.
    ///
    /// # Panics
    /// When `weight` is not above 0 and at most 1.
    #[must_use]
    pub fn of(weight: f64, (stays, pilot): (f64, f64)) -> Option<Self> {
        assert!(
            weight > 0.0 && weight <= 1.0,
            "no chance is below the lowest, and none is 0"
        );
        (stays * WEIGHT_MIN < weight).then(|| Self {
            weight: weight.max(WEIGHT_MIN),
            stays: stays < weight,
            is_pilot: pilot < PILOT,
        })
    }

    /// How much it counts beside the rarest; above 0, at most 1.
    #[must_use]
    pub fn weight(self) -> f64 {
        self.weight
    }

    /// Whether it stays when records are thinned out until each had the lowest chance.
    #[must_use]
    pub fn stays(self) -> bool {
        self.stays
    }

    /// Whether it is one of those that say how the others should prove.
    #[must_use]
    pub fn is_pilot(self) -> bool {
        self.is_pilot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn however_light_a_record_is_it_counts_for_its_weight(weight in 0.001_f64..=1.0) {
            const LOTS: usize = 10_000;
            let lots = (0..LOTS).map(|i| (i as f64 + 0.5) / LOTS as f64);
            let draws: Vec<Draw> = lots.filter_map(|lot| Draw::of(weight, (lot, 0.5))).collect();
            let counted: f64 = draws.iter().map(|it| it.weight()).sum();
            let stay = draws.iter().filter(|it| it.stays()).count();
            prop_assert!((counted / LOTS as f64 - weight).abs() < 2e-4);
            prop_assert!((stay as f64 / LOTS as f64 - weight).abs() < 2e-4);
            prop_assert!(draws.iter().all(|it| it.weight() >= WEIGHT_MIN && !it.is_pilot()));
        }
    }
}
