//! A task's student at work. It answers in 20 to 50 microseconds, so it needs no thread.

use std::time::Instant;

use domain::Usage;
use ledger::{AttemptId, UnpaidAttempt};
use routing::evidence::Evidence;

use super::{Asked, Bill, Fault, Question, TierAnswer, TierFailure, label_completion};
use crate::clock;

/// What the student's answers are said to come from.
const MODEL: &str = "student";

/// Asks the task's student.
pub(super) fn ask(question: Question<'_>) -> Asked {
    let start = Instant::now();
    let Some(student) = &question.task.student else {
        let result = Err(TierFailure {
            reason: "the task has no student; give it labelled records".to_owned(),
            retryable: false,
            fault: Fault::Tier,
        });
        return Asked {
            result,
            bill: Bill::default(),
            elapsed: start.elapsed(),
        };
    };
    let probabilities = student.predict(&question.text());
    let (top, _) = probabilities.top();
    let usage = Usage::default();
    let name = student.labels().name(top);
    let answer = TierAnswer {
        completion: label_completion(name, MODEL.to_owned(), Some(usage)),
        label: Some(top),
        evidence: Some(Evidence::Labels(probabilities)),
        is_whole: true,
    };
    let mut bill = Bill::default();
    bill.unpaid.push(UnpaidAttempt {
        attempt: AttemptId::generate(clock::now()),
        tier: question.tier.clone(),
        model: MODEL.to_owned(),
        usage,
    });
    Asked {
        result: Ok(answer),
        bill,
        elapsed: start.elapsed(),
    }
}
