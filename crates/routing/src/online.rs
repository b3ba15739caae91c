//! A student that learns while it works: from the teacher's answers to what it was unsure of.
//!
//! It keeps to a budget of calls. What is unsure enough to be worth a call is judged against the
//! uncertainty of recent requests, so that the share of calls holds whatever the texts are like.
//! A few of the sure ones are called as audits, so that its agreement with the teacher can be
//! measured without bias and it does not only ever see what it finds hard.

use domain::{LabelProbabilities, Labels};

use crate::random::Random;
use crate::student::{Example, Student, StudentOptions};

/// How an online student works.
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineOptions {
    /// Share of requests for which the teacher may be called; 0 to 1.
    pub calls: f64,
    /// Share of kept requests that are called as audits; 0 to 1.
    pub audits: f64,
    /// The label whose misses weigh more, and how much more; 1 is no more.
    pub flag: Option<(usize, f64)>,
    /// Labels before the first student is trained.
    pub labels_first: usize,
    /// How the student learns.
    pub student: StudentOptions,
    /// Seed of the audits.
    pub seed: u64,
}

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The student's answer is good enough.
    Keep(LabelProbabilities),
    /// The teacher is to be called, and its answer given to [`OnlineStudent::learn`].
    Call,
    /// As `Call`, to measure how good the student is, which would have answered so.
    Audit(LabelProbabilities),
}

/// The student with what it has learned from.
#[derive(Clone, Debug)]
pub struct OnlineStudent {
    labels: Labels,
    options: OnlineOptions,
    examples: Vec<(String, usize)>,
    student: Option<Student>,
    /// Labels at which it is trained again.
    train_at: usize,
    /// Uncertainty of recent requests, oldest overwritten first.
    recent: Vec<f64>,
    requests: usize,
    calls: usize,
    random: Random,
}

/// How many recent requests are compared with.
const RECENT: usize = 1_000;

/// It is trained again when it has so many times the labels.
const RETRAIN_RATIO: f64 = 1.3;

impl OnlineStudent {
    /// A student that knows nothing yet.
    #[must_use]
    pub fn new(labels: Labels, options: OnlineOptions) -> Self {
        let (train_at, random) = (options.labels_first, Random::new(options.seed));
        Self {
            labels,
            options,
            examples: Vec::new(),
            student: None,
            train_at,
            recent: Vec::new(),
            requests: 0,
            calls: 0,
            random,
        }
    }

    /// What to do with this text.
    pub fn decide(&mut self, text: &str) -> Verdict {
        self.requests += 1;
        let Some(student) = &self.student else {
            self.calls += 1;
            return Verdict::Call;
        };
        let probabilities = student.predict(text);
        let uncertainty = self.uncertainty(&probabilities);
        let unsure = uncertainty >= self.call_from();
        let place = self.requests % RECENT;
        match self.recent.get_mut(place) {
            Some(oldest) => *oldest = uncertainty,
            None => self.recent.push(uncertainty),
        }
        if unsure {
            self.calls += 1;
            return Verdict::Call;
        }
        if self.random.unit() < self.options.audits {
            self.calls += 1;
            return Verdict::Audit(probabilities);
        }
        Verdict::Keep(probabilities)
    }

    /// Takes the right label, or the teacher's, of a text. The student is trained again when its
    /// labels have grown by 30 %; until two different labels are known there is none.
    ///
    /// # Panics
    /// When the label is none of the labels.
    pub fn learn(&mut self, text: &str, label: usize) {
        assert!(
            label < self.labels.len(),
            "label {label} is none of the labels"
        );
        self.examples.push((text.to_owned(), label));
        if self.examples.len() < self.train_at {
            return;
        }
        self.train_at = (self.examples.len() as f64 * RETRAIN_RATIO).ceil() as usize + 1;
        let examples: Vec<Example<'_>> = self
            .examples
            .iter()
            .map(|(text, label)| Example {
                text,
                label: *label,
            })
            .collect();
        // Too few different labels so far: the next training may have them.
        if let Ok(student) = Student::train(&self.labels, &examples, &self.options.student) {
            self.student = Some(student);
        }
    }

    /// Calls of the teacher so far in relation to requests; 0 before any.
    #[must_use]
    pub fn call_share(&self) -> f64 {
        self.calls as f64 / self.requests.max(1) as f64
    }

    /// The expected cost of a wrong answer: the probability that it is wrong, where missing the
    /// flagged label counts more.
    fn uncertainty(&self, probabilities: &LabelProbabilities) -> f64 {
        let (top, p) = probabilities.top();
        match self.options.flag {
            Some((flag, weight)) if top != flag => {
                let missed = probabilities.as_slice()[flag];
                (1.0 - p - missed) + weight * missed
            }
            _ => 1.0 - p,
        }
    }

    /// The uncertainty from which a call is worth it, so that about the budget is called.
    fn call_from(&self) -> f64 {
        if self.recent.len() < RECENT / 10 {
            return 0.0;
        }
        // Audits are calls too, and what the start spent beyond the budget is won back slowly.
        let overspent = self.call_share() - self.options.calls;
        let share = (self.options.calls - self.options.audits - overspent).clamp(0.0, 1.0);
        let mut sorted = self.recent.clone();
        sorted.sort_by(f64::total_cmp);
        let kept = ((1.0 - share) * sorted.len() as f64) as usize;
        sorted.get(kept).copied().unwrap_or(f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Label;

    fn online(calls: f64) -> OnlineStudent {
        let label = |name: &str| Label {
            name: name.to_owned(),
            definition: None,
        };
        let options = OnlineOptions {
            calls,
            audits: 0.02,
            flag: Some((1, 2.0)),
            labels_first: 50,
            student: StudentOptions::default(),
            seed: 1,
        };
        OnlineStudent::new(
            Labels::new(vec![label("fine"), label("fraud")]).unwrap(),
            options,
        )
    }

    #[test]
    fn it_keeps_to_its_budget_and_agrees_where_it_keeps() {
        let mut online = online(0.3);
        let mut random = Random::new(5);
        let (mut kept, mut agreed) = (0, 0);
        for _ in 0..4_000 {
            let gold = random.below(2);
            let sign = [["thanks", "lunch"], ["urgent", "prize"]][gold][random.below(2)];
            let vague = random.below(5) == 0;
            let text = format!(
                "{} mail {}",
                if vague { "some" } else { sign },
                random.below(40)
            );
            match online.decide(&text) {
                Verdict::Keep(p) => {
                    kept += 1;
                    agreed += usize::from(p.top().0 == gold);
                }
                Verdict::Call | Verdict::Audit(_) => online.learn(&text, gold),
            }
        }
        assert!(online.call_share() < 0.32, "{}", online.call_share());
        assert!(agreed as f64 > 0.98 * f64::from(kept), "{agreed} of {kept}");
    }

    #[test]
    fn one_label_alone_teaches_nothing_and_all_is_called() {
        let mut online = online(0.1);
        for _ in 0..120 {
            assert_eq!(online.decide("a text"), Verdict::Call);
            online.learn("a text", 0);
        }
    }
}
