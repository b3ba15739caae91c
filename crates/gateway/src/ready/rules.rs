//! By which rules answers are kept, and what proves them.

use domain::{Sensitivity, TaskKind, TierKind, TierName};
use routing::cascade::{Cascade, Rule, Rung};

use crate::audit::Watch;
use crate::certificate::{self, Extent, Standing};
use crate::deferral::{Heads, Ranking};
use crate::precall::Routers;

/// What is proven of a task, and how that is watched.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) whole: (Standing, Option<Watch>),
    /// Of answers whose beginning decides.
    pub(crate) early: Option<(Standing, Option<Watch>)>,
}

/// A cascade with what its thresholds come from.
#[derive(Debug)]
pub(crate) struct Rules {
    /// How much of an answer decides.
    pub(crate) extent: Extent,
    pub(crate) cascade: Cascade,
    /// The same cascade without a certificate: nothing is kept before the last word.
    pub(super) escalating: Cascade,
    /// Where the thresholds come from.
    pub(crate) standing: Standing,
    /// By which answers are ranked, where it is not by their raw confidence.
    heads: Heads,
    /// What lets requests through to tiers that are not asked all.
    pub(crate) routers: Routers,
    /// The certificate that proves them: SHA-256 of what it claims.
    pub(crate) certificate: Option<String>,
    /// How that certificate is watched, if it is.
    pub(crate) watch: Option<Watch>,
}

impl Rules {
    /// The rules of these tiers, whose thresholds are stated.
    pub(super) fn new(rungs: Vec<Rung>, sensitivity: Sensitivity, extent: Extent) -> Self {
        let escalating = rungs.iter().cloned().map(without_threshold).collect();
        Self {
            extent,
            cascade: Cascade::new(rungs, sensitivity),
            escalating: Cascade::new(escalating, sensitivity),
            standing: Standing::Stated,
            heads: Heads::new(),
            routers: Routers::new(),
            certificate: None,
            watch: None,
        }
    }

    /// The rules of one tier whose answer is taken as it is.
    pub(super) fn always(tier: &TierName, kind: TierKind, sensitivity: Sensitivity) -> Self {
        let rung = Rung {
            tier: tier.clone(),
            kind,
            rule: Rule::Always,
        };
        Self::new(vec![rung], sensitivity, Extent::Whole)
    }

    /// The same rules where their thresholds come from elsewhere.
    pub(super) fn under(self, standing: Standing, watch: Option<Watch>) -> Self {
        Self {
            certificate: standing.certificate().map(certificate::id),
            heads: standing.heads(),
            routers: standing.routers(),
            standing,
            watch,
            ..self
        }
    }

    /// By what answers of a kind of task are ranked.
    pub(crate) fn ranking(&self, kind: TaskKind) -> Ranking<'_> {
        Ranking {
            kind,
            extent: self.extent,
            heads: &self.heads,
            routers: &self.routers,
        }
    }

    /// The cascade that holds now; a request that has begun under one ends under it.
    pub(crate) fn cascade_now(&self) -> &Cascade {
        match &self.watch {
            Some(watch) if watch.is_revoked() => &self.escalating,
            _ => &self.cascade,
        }
    }

    /// Where the thresholds that hold now come from, in a word.
    pub(crate) fn standing_now(&self) -> &'static str {
        match &self.watch {
            Some(watch) if watch.is_revoked() => "revoked",
            _ => self.standing.word(),
        }
    }

    /// Whether a tier that has others behind it keeps anything now.
    pub(super) fn keep_something(&self) -> bool {
        let mut rungs = self.cascade_now().rungs().iter();
        rungs.any(|rung| rung.rule.is_by_confidence())
    }

    /// The tiers with the confidence from which each is accepted, and whether that is proven, for
    /// the log and reports.
    pub(crate) fn in_words(&self) -> String {
        let proven = match &self.standing {
            Standing::Stated | Standing::Unproven(_) | Standing::Revoked(..) => String::new(),
            Standing::Estimated => " (not certified)".to_owned(),
            Standing::Certified(certificate) => format!(" (certified: {})", certificate.in_short()),
        };
        let rung = |rung: &Rung| match &rung.rule {
            _ if rung.kind == TierKind::Person => format!("{} reviews", rung.tier),
            Rule::Threshold(threshold) => format!("{} from {threshold:.4}{proven}", rung.tier),
            Rule::ByLabel(thresholds) => {
                let lowest = thresholds.iter().fold(f64::INFINITY, |a, b| a.min(*b));
                let tier = &rung.tier;
                format!("{tier} from {lowest:.4} or more, by label{proven}")
            }
            Rule::Always => format!("{} always", rung.tier),
            Rule::Heard => format!("{} never, but heard", rung.tier),
            Rule::Never => format!("{} never", rung.tier),
        };
        let rungs: Vec<String> = self.cascade.rungs().iter().map(rung).collect();
        rungs.join(", ")
    }
}

fn without_threshold(rung: Rung) -> Rung {
    let rule = match rung.rule {
        Rule::Threshold(_) | Rule::ByLabel(_) | Rule::Heard => Rule::Never,
        rule => rule,
    };
    Rung { rule, ..rung }
}
