//! Asking a tier inside about labelled records.

use anyhow::bail;
use domain::{LabelProbabilities, TierName};
use futures_util::StreamExt as _;
use ledger::RequestId;
use routing::evidence::Evidence;
use routing::student::Student;

use crate::app::App;
use crate::config::TaskConfig;
use crate::deferral::Heard;
use crate::ready::ReadyTask;
use crate::tenant::Tenant;
use crate::terminal;
use crate::tier::{Question, Tier};

/// What a tier made of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answer {
    /// The index of its label.
    pub(crate) label: usize,
    /// How sure it was.
    pub(crate) confidence: f64,
}

/// What a tier that brings evidence said of a record.
#[derive(Debug)]
pub(crate) struct Given {
    /// The index of its label, in a task with labels.
    pub(crate) label: Option<usize>,
    pub(crate) text: String,
    pub(crate) evidence: Evidence,
}

impl Given {
    /// The likeliest label.
    pub(crate) fn label(probabilities: LabelProbabilities) -> Self {
        Self {
            label: Some(probabilities.top().0),
            text: String::new(),
            evidence: Evidence::Labels(probabilities),
        }
    }

    /// As what it is ranked.
    pub(crate) fn said<'a>(&'a self, tier: &'a TierName) -> Heard<'a> {
        Heard {
            tier,
            evidence: &self.evidence,
            text: &self.text,
        }
    }
}

/// What a task's engine, or its student, which is this one, says of each text, in their order.
///
/// # Errors
/// As [`given`].
pub(crate) async fn inside<'a>(
    app: &App,
    (task, student): (&TaskConfig, Option<&Student>),
    name: &TierName,
    texts: impl ExactSizeIterator<Item = &'a str>,
) -> anyhow::Result<Vec<Option<Given>>> {
    match (&app.tiers[name], student) {
        _ if texts.len() == 0 => Ok(Vec::new()),
        (Tier::Student, Some(student)) => {
            let predict = |text: &str| Some(Given::label(student.predict(text)));
            Ok(tokio::task::block_in_place(|| texts.map(predict).collect()))
        }
        (tier, _) => given(task, (name, tier), texts).await,
    }
}

/// A tier's label for each text, in their order.
///
/// # Errors
/// As [`given`].
pub(crate) async fn labelled<'a>(
    task: &TaskConfig,
    name: &TierName,
    tier: &Tier,
    texts: impl ExactSizeIterator<Item = &'a str>,
) -> anyhow::Result<Vec<Option<Answer>>> {
    let given = given(task, (name, tier), texts).await?;
    let answer = |given: Option<Given>| {
        let given = given?;
        Some(Answer {
            label: given.label?,
            confidence: given.evidence.confidence(),
        })
    };
    Ok(given.into_iter().map(answer).collect())
}

/// A tier's answer to each text, in their order. A text that it fails on, or answers without
/// evidence, has none; if it fails on all, that is told.
///
/// # Errors
/// When it answers none of the texts.
pub(crate) async fn given<'a>(
    task: &TaskConfig,
    (name, tier): (&TierName, &Tier),
    texts: impl ExactSizeIterator<Item = &'a str>,
) -> anyhow::Result<Vec<Option<Given>>> {
    // Enough that no thread of the engine waits for the next record.
    const AT_ONCE: usize = 16;
    let asking = ReadyTask::alone(task, name, tier.kind());
    let at_once = AT_ONCE.min(tier.queue_max().unwrap_or(AT_ONCE));
    let bar = terminal::bar(
        texts.len() as u64,
        "{msg} [{bar:28}] {pos}/{len} · {rate} · {eta} left",
    );
    bar.set_message(format!("asking {name} about labelled records"));
    let ask = |text: &'a str| {
        let (asking, bar) = (&asking, &bar);
        async move {
            let answer = one(asking, name, tier, text).await;
            bar.inc(1);
            answer
        }
    };
    let answers: Vec<Result<Given, String>> = futures_util::stream::iter(texts)
        .map(ask)
        .buffered(at_once)
        .collect()
        .await;
    bar.finish_and_clear();
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    if let Some(Err(reason)) = answers.iter().find(|answer| answer.is_err()) {
        if failed == answers.len() {
            bail!("tier {name} answers none of the records: {reason}");
        }
        tracing::warn!(tier.id = %name, records.failed = failed, reason, "records without an answer");
    }
    Ok(answers.into_iter().map(Result::ok).collect())
}

async fn one(
    asking: &ReadyTask,
    name: &TierName,
    tier: &Tier,
    text: &str,
) -> Result<Given, String> {
    let question = Question {
        request: &RequestId("learn".to_owned()),
        tenant: &Tenant::program(),
        tier: name,
        task: asking,
        prompt: &asking.task.prompt_for(text),
        generation: &asking.generation,
        extra: None,
        live: None,
        early: None,
    };
    let answer = tier.ask(question).await.result;
    let answer = answer.map_err(|failure| failure.reason)?;
    let Some(evidence) = answer.evidence else {
        return Err("the answer brings no evidence".to_owned());
    };
    Ok(Given {
        label: answer.label,
        text: answer.completion.text().into_owned(),
        evidence,
    })
}
