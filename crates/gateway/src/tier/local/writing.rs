//! Free text by the engine.

use domain::{Completion, CompletionTokens, FinishReason, Usage};
use futures_util::future::try_join_all;
use llama::ToolReader;
use routing::evidence::{Evidence, TokenLogProbabilities};

use super::conversation::{engine_prompt, tools};
use super::rules::{calls_max, rules};
use super::telling::Telling;
use super::{LocalTier, broken, counted, ended, failed};
use crate::engine::{End, Work, Writing, Written};
use crate::tier::showing::{Refused, Showing, Shown};
use crate::tier::{Question, TierAnswer, TierFailure};

impl LocalTier {
    /// Writes as many completions as are asked for, side by side: they share the prompt, which
    /// the engine reads once.
    pub(super) async fn write(&self, question: &Question<'_>) -> Result<TierAnswer, TierFailure> {
        let generation = question.generation;
        let options = &generation.options;
        let tools = tools(question.prompt, options);
        let writing = Writing {
            rules: rules(options, &tools, self.about.calls)?,
            prompt: engine_prompt(question.prompt, options),
            max_tokens: usize::try_from(generation.max_completion_tokens.0).unwrap_or(usize::MAX),
            temperature: f64::from(generation.temperature),
            seed: generation.seed,
            stop: generation.stop.clone(),
            streams: question.live.is_some(),
            tells_tokens: options.logprobs.is_some(),
        };
        let completions = options.completions.unwrap_or(1).max(1);
        let question = &Question {
            // Whether several are accepted is known when the first is whole.
            live: question
                .live
                .filter(|_| question.early.is_none() || completions == 1),
            ..*question
        };
        let reader = ToolReader::new(tools).at_most(calls_max(options, self.about.calls));
        let each = (0..completions)
            .map(|number| self.write_one(question, (&writing, reader.clone()), number));
        let mut all = Vec::new();
        for written in try_join_all(each).await? {
            match written {
                Wrote::Whole(whole) => all.push(*whole),
                Wrote::Beginning(refused) => return Ok(self.begun(refused)),
            }
        }
        let mut all = all.into_iter();
        let Some((first, mut completion)) = all.next() else {
            return Err(broken());
        };
        let mut evidence = TokenLogProbabilities::new(&first.log_probabilities).ok();
        // Of what is shown while it is written nothing is decided any more.
        if question.task.self_check && question.live.is_none() {
            let checked = self.self_check(question, &completion.text()).await;
            evidence = evidence.map(|tokens| tokens.with_self_check(checked));
        }
        let mut usage = counted(first.usage, first.log_probabilities.len());
        for (written, other) in all {
            usage.completion.0 += written.log_probabilities.len() as u64;
            completion.others.push(other);
        }
        completion.usage = Some(usage);
        Ok(TierAnswer {
            completion,
            label: None,
            evidence: evidence.map(Evidence::Tokens),
            is_whole: true,
        })
    }

    async fn write_one(
        &self,
        question: &Question<'_>,
        (writing, reader): (&Writing, ToolReader),
        number: u32,
    ) -> Result<Wrote, TierFailure> {
        let writing = Writing {
            // The first is the one that would be written alone.
            seed: writing.seed.wrapping_add(number.into()),
            ..writing.clone()
        };
        let mut telling = Telling::new(number as usize, question.live, reader);
        let mut call = self
            .put(question.tenant, Work::Write(Box::new(writing)))
            .await?;
        let mut showing = Showing::new(question);
        while let Some(piece) = call.next_piece().await {
            match showing.piece(piece) {
                Shown::Now(piece) => telling.piece(piece).await,
                Shown::Later => {}
                // The call, dropped, takes the request out of the engine.
                Shown::Never(refused) => return Ok(Wrote::Beginning(refused)),
            }
        }
        match ended(&mut call).await? {
            End::Written(mut written) => {
                let completion = telling.end(&mut written, &self.about.model).await;
                Ok(Wrote::Whole(Box::new((written, completion))))
            }
            other => Err(failed(other)),
        }
    }

    /// The beginning of an answer that was not gone on with.
    fn begun(&self, Refused { text, evidence }: Refused) -> TierAnswer {
        let usage = Usage {
            completion: CompletionTokens(evidence.len() as u64),
            ..Usage::default()
        };
        TierAnswer {
            completion: Completion {
                usage: Some(usage),
                model: self.about.model.clone(),
                ..Completion::new(text, FinishReason::Length)
            },
            label: None,
            evidence: Some(Evidence::Tokens(evidence)),
            is_whole: false,
        }
    }
}

/// What came of writing.
enum Wrote {
    Whole(Box<(Written, Completion)>),
    /// It was not gone on with.
    Beginning(Refused),
}
