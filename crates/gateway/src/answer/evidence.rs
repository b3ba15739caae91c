//! What a tier's answer says for itself, and what earlier answers say of it before it is given.

use crate::deferral::Heard;
use crate::records::content::text_of;
use crate::tier::{Asked, TierAnswer};

use super::Way;

impl Way<'_> {
    /// The probability with which a rung's answer would be kept, after those of other tiers, where
    /// it is so low that its tier need not be asked.
    pub(super) fn foretold(&self, rung: usize, earlier: &[(usize, Asked)]) -> Option<f64> {
        let tier = &self.rules.cascade.rungs()[rung].tier;
        let text = || text_of(self.task, &self.request.prompt);
        let ranking = self.rules.ranking(self.task.task.kind);
        ranking.foretold(tier, text, &self.heard(earlier))
    }

    /// How sure a rung's answer is, after those of other tiers; `None` where it brings no evidence.
    pub(super) fn confidence(
        &self,
        rung: usize,
        answer: &TierAnswer,
        earlier: &[(usize, Asked)],
    ) -> Option<f64> {
        let text = answer.completion.text();
        let said = Heard {
            tier: &self.rules.cascade.rungs()[rung].tier,
            evidence: answer.evidence.as_ref()?,
            text: &text,
        };
        let ranking = self.rules.ranking(self.task.task.kind);
        // The source is only looked into for what free text says.
        let source = match (ranking.has_head(said.tier), &self.task.task.labels) {
            (true, None) => text_of(self.task, &self.request.prompt),
            _ => String::new(),
        };
        Some(ranking.confidence(&source, said, &self.heard(earlier)))
    }

    /// What the tiers said that were asked so far.
    fn heard<'a>(&'a self, earlier: &'a [(usize, Asked)]) -> Vec<Heard<'a>> {
        let rungs = self.rules.cascade.rungs();
        let said = |(rung, asked): &'a (usize, Asked)| {
            Some(Heard {
                tier: &rungs[*rung].tier,
                evidence: asked.result.as_ref().ok()?.evidence.as_ref()?,
                text: "",
            })
        };
        earlier.iter().filter_map(said).collect()
    }
}
