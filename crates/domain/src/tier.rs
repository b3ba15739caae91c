//! The kinds of place that can answer.

/// A kind of tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TierKind {
    /// A classifier learned from the task's own labels.
    Student,
    /// The embedded Llama engine.
    Local,
    /// Self-hosted servers that speak the OpenAI protocol.
    Pool,
    /// A paid API.
    Frontier,
    /// The review queue.
    Person,
}

/// On which side of the organisation's boundary a tier stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// On machines of the organisation.
    Inside,
    /// With a vendor.
    Outside,
}

impl TierKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Student,
        Self::Local,
        Self::Pool,
        Self::Frontier,
        Self::Person,
    ];

    /// The side on which tiers of this kind stand.
    #[must_use]
    pub fn zone(self) -> Zone {
        match self {
            Self::Frontier => Zone::Outside,
            Self::Student | Self::Local | Self::Pool | Self::Person => Zone::Inside,
        }
    }

    /// The name in config and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Local => "local",
            Self::Pool => "pool",
            Self::Frontier => "frontier",
            Self::Person => "person",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
