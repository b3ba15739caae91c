//! What is proven, and what is not, in words for the person who answers for it.

use domain::TaskName;
use routing::certificate::Risk;

use super::{Certificate, Extent, Reference, Standing};
use crate::clock::date_of;
use crate::config::Config;
use crate::terminal::{count, percent_short};

impl Certificate {
    /// `≤ 2 % wrong, 95 % sure, 1,200 records`.
    pub(crate) fn in_short(&self) -> String {
        let wrong = match self.reference {
            Reference::Gold => "wrong".to_owned(),
            Reference::Tier(ref tier) => format!("other than {tier}'s"),
        };
        let of = match self.risk {
            Risk::Selective => "",
            Risk::Marginal => " of all",
        };
        let missed = self
            .max_missed
            .iter()
            .map(|(label, share)| format!(" ≤ {} of {label} missed,", percent_short(*share)));
        let by_label = self.max_wrong.iter();
        let by_label =
            by_label.map(|(label, share)| format!(" ≤ {} of {label},", percent_short(*share)));
        format!(
            "≤ {}{of} {wrong},{}{} {} sure, {} records",
            percent_short(self.goal.alpha()),
            by_label.collect::<String>(),
            missed.collect::<String>(),
            percent_short(self.confidence()),
            count(self.records),
        )
    }

    /// The claim in a sentence for the person who answers for it.
    pub(crate) fn statement(&self) -> String {
        let keeping: Vec<&str> = self
            .tiers
            .iter()
            .filter(|tier| tier.proof.threshold.is_some())
            .map(|tier| tier.tier.as_str())
            .collect();
        if keeping.is_empty() {
            return "Nothing could be proven: every document goes on to the tiers behind."
                .to_owned();
        }
        let than = match (&self.reference, self.risk) {
            (Reference::Gold, Risk::Selective) => "are wrong".to_owned(),
            (Reference::Gold, Risk::Marginal) => "wrong answers".to_owned(),
            (Reference::Tier(tier), Risk::Selective) => format!("differ from what {tier} answers"),
            (Reference::Tier(tier), Risk::Marginal) => {
                format!("answers that differ from what {tier} answers")
            }
        };
        let missed = self.max_missed.iter().map(|(label, share)| {
            let share = percent_short(*share);
            format!(
                " and at most {share} of the documents that are {label} are kept as something else,"
            )
        });
        let wrong = self.max_wrong.iter().map(|(label, share)| {
            let share = percent_short(*share);
            format!(" and at most {share} of those that are kept as {label},")
        });
        let keeps = match self.extent {
            Extent::Whole => "keeps".to_owned(),
            Extent::First(tokens) => {
                format!("keeps after {tokens} tokens of a streamed answer")
            }
        };
        let (sure, most) = (
            percent_short(self.confidence()),
            percent_short(self.goal.alpha()),
        );
        let keeping = keeping.join(" or ");
        let claim = match self.risk {
            Risk::Selective => {
                format!("at most {most} of the answers that {keeping} {keeps} {than}")
            }
            Risk::Marginal => {
                format!("of all documents {keeping} {keeps} at most {most} with {than}")
            }
        };
        let records = count(self.records);
        let like = match self.known {
            // Records of live traffic became known by lot, the unsure ones more often.
            Some(_) => format!("the requests did of which {records} are the records"),
            None => format!("the {records} records did"),
        };
        format!(
            "With {sure} confidence, {claim},{}{} as long as documents come as {like} and nothing \
             listed under provenance changes.",
            wrong.collect::<String>(),
            missed.collect::<String>(),
        )
    }
}

impl Standing {
    /// Where the thresholds come from, for the ledger's notes.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Stated => "thresholds stand in the config".to_owned(),
            Self::Estimated => {
                "thresholds were found on held-out records and are not certified".to_owned()
            }
            Self::Certified(certificate) if certificate.proves_something() => format!(
                "certified on {}: {}",
                certificate.day(),
                certificate.in_short()
            ),
            Self::Certified(certificate) => format!(
                "the certificate of {} proves nothing, and nothing is kept in house",
                certificate.day()
            ),
            Self::Revoked(certificate, at) => format!(
                "audits have revoked the certificate of {} on {}, and nothing is kept in house",
                certificate.day(),
                date_of(*at)
            ),
            Self::Unproven(why) => {
                format!("a certificate is demanded and {why}, and nothing is kept in house")
            }
        }
    }

    /// What a person should know before documents are answered, with the command that helps.
    pub(crate) fn warning(&self, config: &Config, task: &TaskName) -> Option<String> {
        let (why, records) = match self {
            Self::Unproven(why) => (why.clone(), "LABELLED.jsonl"),
            Self::Revoked(certificate, at) => {
                let (made, revoked) = (certificate.day(), date_of(*at));
                let why = format!("audits have revoked the one of {made} on {revoked}");
                (why, "NEW.jsonl")
            }
            Self::Certified(certificate) if !certificate.proves_something() => {
                let wanting = certificate.records_wanting().map_or_else(
                    || "more records alone would not help".to_owned(),
                    |wanting| format!("about {} records more would do", count(wanting)),
                );
                let day = certificate.day();
                (
                    format!("the one of {day} proves nothing: {wanting}"),
                    "MORE.jsonl",
                )
            }
            _ => return None,
        };
        let file = config.file.display();
        Some(format!(
            "task {task} keeps nothing in house: its target demands a certificate, and {why}; \
             make one with: tiergate calibrate {task} --records {records} --config {file}"
        ))
    }
}
