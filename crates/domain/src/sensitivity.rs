//! How far a text may travel.

use crate::tier::Zone;

/// What a text is, and so where it may go; ordered from the least to the most sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitivity {
    /// Published, or fit to be.
    Public,
    /// For members of the organisation; a contracted vendor may process it.
    Internal,
    /// Must stay inside.
    Confidential,
    /// Must stay inside, and be seen by as few as possible.
    Restricted,
}

impl Sensitivity {
    /// All values in order.
    pub const ALL: [Self; 4] = [
        Self::Public,
        Self::Internal,
        Self::Confidential,
        Self::Restricted,
    ];

    /// Whether a text of this sensitivity may reach a tier in this zone.
    #[must_use]
    pub fn may_reach(self, zone: Zone) -> bool {
        match zone {
            Zone::Inside => true,
            Zone::Outside => self <= Self::Internal,
        }
    }

    /// The name in config and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
        }
    }

    /// The value of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidential_text_never_reaches_the_outside() {
        for value in Sensitivity::ALL {
            assert!(value.may_reach(Zone::Inside));
            assert_eq!(
                value.may_reach(Zone::Outside),
                value < Sensitivity::Confidential
            );
            assert_eq!(Sensitivity::from_name(value.as_str()), Some(value));
        }
    }
}
