//! One step: some tokens of several jobs, computed together.
//!
//! A large model's step is one batch on all threads, so that its weights are read from memory once.
//! Of a small model, whose weights stay in the cache of each core, threads compute parts of the
//! step by themselves, a few jobs each: its matrices are so small that cutting each of them between
//! threads would cost more than it gains. There are more parts than threads, so that nobody waits
//! for long for a thread that was held up. None of this changes a bit of any result.

use super::EngineOptions;
use super::job::Job;
use crate::cancel::Cancel;
use crate::error::RequestError;
use crate::forward::{Forward, Logits, Scratch};
use crate::kernels::{Panel, Team};
use crate::model::Model;
use std::cmp::Reverse;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A job and how many tokens it reads.
pub(super) type Planned<'a> = (&'a mut Job, usize);

/// Parts of a small model's step for each thread, and the tokens that a part is worth it for.
const PARTS: usize = 4;
const PART_TOKENS: usize = 48;

/// The buffers that steps need.
pub(super) struct Steps {
    parts_max: usize,
    /// Those that no thread has at the moment.
    scratch: Mutex<Vec<Scratch>>,
}

impl Steps {
    pub(super) fn new(model: &Model, options: &EngineOptions) -> Self {
        let small = model.memory().weights_bytes < options.small_model_bytes;
        Self {
            parts_max: if small && options.threads.get() > 1 {
                options.threads.get() * PARTS
            } else {
                1
            },
            scratch: Mutex::default(),
        }
    }

    /// Computes a step.
    ///
    /// # Errors
    ///
    /// `cancel` was set; the jobs are then as they were.
    pub(super) fn run(
        &self,
        (model, team): (&Model, &Team),
        jobs: Vec<Planned<'_>>,
        cancel: &Cancel,
    ) -> Result<(), RequestError> {
        let tokens: usize = jobs.iter().map(|(_, tokens)| tokens).sum();
        let parts = (tokens / PART_TOKENS).clamp(1, self.parts_max);
        let mut parts = divided(jobs, parts);
        if let [part] = parts.as_mut_slice() {
            let forward = Forward {
                model,
                team,
                cancel,
            };
            return read(&forward, part, &mut self.borrow().scratch);
        }
        let alone = Team::alone();
        let forward = Forward {
            model,
            team: &alone,
            cancel,
        };
        let mut results = vec![Ok(()); parts.len()];
        let work = parts.iter_mut().zip(&mut results);
        team.each(
            work,
            || self.borrow(),
            |borrowed, (part, result)| *result = read(&forward, part, &mut borrowed.scratch),
        );
        results.into_iter().collect()
    }

    fn free(&self) -> MutexGuard<'_, Vec<Scratch>> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn borrow(&self) -> Borrowed<'_> {
        Borrowed {
            scratch: self.free().pop().unwrap_or_default(),
            from: self,
        }
    }
}

/// Buffers in the hands of one thread.
struct Borrowed<'a> {
    scratch: Scratch,
    from: &'a Steps,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        self.from.free().push(scratch);
    }
}

/// The jobs in at most `parts` parts that have about as many tokens each, the largest first.
fn divided(mut jobs: Vec<Planned<'_>>, parts: usize) -> Vec<Vec<Planned<'_>>> {
    let mut divided: Vec<(usize, Vec<Planned<'_>>)> = Vec::new();
    divided.resize_with(parts.min(jobs.len()), Default::default);
    jobs.sort_by_key(|(_, tokens)| Reverse(*tokens));
    for (job, tokens) in jobs {
        if let Some((sum, part)) = divided.iter_mut().min_by_key(|(sum, _)| *sum) {
            *sum += tokens;
            part.push((job, tokens));
        }
    }
    divided.sort_by_key(|(sum, _)| Reverse(*sum));
    divided.into_iter().map(|(_, part)| part).collect()
}

/// Reads tokens of some jobs together, and gives each job what came of its own.
fn read(
    forward: &Forward<'_>,
    jobs: &mut [Planned<'_>],
    scratch: &mut Scratch,
) -> Result<(), RequestError> {
    let dim = forward.model.config().dim;
    let mut batch = Vec::new();
    let mut rows = Vec::new();
    for (job, tokens) in jobs.iter_mut() {
        let sequences = job.sequences(*tokens);
        rows.push(sequences.iter().map(|s| s.wanted.len()).sum::<usize>());
        batch.extend(sequences);
    }
    let outputs = forward.run(&mut batch, scratch)?;
    drop(batch);
    let mut headed = Vec::new();
    let mut shares = Vec::new();
    let mut rest = outputs.as_slice();
    for ((job, _), rows) in jobs.iter_mut().zip(rows) {
        let (own, later) = rest.split_at(rows * dim);
        rest = later;
        let first = headed.len() / dim;
        if job.wants_logits() {
            headed.extend_from_slice(own);
        }
        shares.push((&mut **job, own, first));
    }
    let none = Panel::default();
    let panel = if headed.is_empty() {
        &none
    } else {
        forward.logits(&headed, scratch)
    };
    let take = |(): &mut (), (job, outputs, first): (&mut Job, &[f32], usize)| {
        let logits = Logits {
            panel,
            first,
            instructions: forward.model.instructions,
            team: forward.team,
        };
        job.take(forward.model, outputs, logits);
    };
    forward.team.each(shares.into_iter(), || (), take);
    Ok(())
}
