//! The life of the engine's thread: who waits, who takes part, what the next step computes.

use super::inbox::{Inbox, News};
use super::job::Job;
use super::prefix_tree::PrefixTree;
use super::request::Tenant;
use super::shares::{Turn, Want, share};
use super::steps::{Planned, Steps};
use super::{EngineOptions, EngineStats};
use crate::cancel::Cancel;
use crate::error::RequestError;
use crate::kernels::Team;
use crate::kv_cache::PageCount;
use crate::model::Model;
use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// All that the engine's thread owns.
pub(super) struct Scheduler {
    model: Arc<Model>,
    inbox: Arc<Inbox>,
    options: EngineOptions,
    team: Team,
    steps: Steps,
    tree: PrefixTree,
    count: PageCount,
    pages_max: usize,
    /// Jobs that take part in steps, the oldest first.
    running: Vec<Job>,
    tenants: BTreeMap<Tenant, Waiting>,
    /// The tenant whose turn is the first in the next step.
    first: Option<Tenant>,
    speed: Speed,
    stats: EngineStats,
}

/// What a tenant has outside the running jobs.
#[derive(Default)]
struct Waiting {
    /// By number.
    jobs: BTreeMap<u64, Job>,
    turn: Turn,
}

/// Tokens a second, of the last steps above all.
#[derive(Default)]
struct Speed {
    tokens: f64,
    seconds: f64,
}

impl Speed {
    fn add(&mut self, tokens: usize, seconds: f64) {
        /// What of the steps before counts still.
        const KEPT: f64 = 0.95;
        self.tokens = self.tokens * KEPT + tokens as f64;
        self.seconds = self.seconds * KEPT + seconds;
    }

    fn tokens_per_second(&self) -> f64 {
        if self.seconds > 0.0 {
            self.tokens / self.seconds
        } else {
            0.0
        }
    }
}

impl Scheduler {
    pub(super) fn new(
        (model, inbox): (Arc<Model>, Arc<Inbox>),
        options: EngineOptions,
        (count, pages_max): (PageCount, usize),
    ) -> Self {
        let threads = options.threads.get();
        Self {
            team: Team::new(threads),
            steps: Steps::new(&model, &options),
            model,
            inbox,
            options,
            tree: PrefixTree::default(),
            count,
            pages_max,
            running: Vec::new(),
            tenants: BTreeMap::new(),
            first: None,
            speed: Speed::default(),
            stats: EngineStats::default(),
        }
    }

    /// Works until the inbox is closed.
    pub(super) fn run(mut self) {
        let mut idle = true;
        while let Some(new) = self.inbox.fetch(idle) {
            self.sort_in(new);
            self.admit();
            // Before a step whose answers bring new requests: those find the places free.
            self.inbox.set_waiting(self.waiting().count());
            let shares = self.plan();
            idle = shares.iter().all(|share| *share == 0);
            if !idle {
                self.step(&shares);
                self.settle();
            }
            self.publish();
        }
        let waiting = self
            .tenants
            .into_values()
            .flat_map(|waiting| waiting.jobs.into_values());
        for job in self
            .running
            .into_iter()
            .chain(waiting)
            .chain(self.inbox.rest())
        {
            job.fail(RequestError::Cancelled);
        }
    }

    /// Puts new jobs to their tenants, and lets go of all whose reader has gone.
    fn sort_in(&mut self, new: Vec<Job>) {
        for job in new {
            self.put_back(job);
        }
        self.running.retain(|job| !job.outbox.is_gone());
        for waiting in self.tenants.values_mut() {
            waiting.jobs.retain(|_, job| !job.outbox.is_gone());
        }
        let running: HashSet<&Tenant> = self.running.iter().map(|job| &job.tenant).collect();
        self.tenants
            .retain(|tenant, waiting| !waiting.jobs.is_empty() || running.contains(tenant));
    }

    fn put_back(&mut self, job: Job) {
        let waiting = self.tenants.entry(job.tenant.clone()).or_default();
        waiting.jobs.insert(job.number, job);
    }

    /// Lets waiting jobs take part, while there are places and memory.
    fn admit(&mut self) {
        while self.running.len() < self.options.running_max.get() {
            let Some((tenant, number)) = self.next_waiting() else {
                return;
            };
            let waiting = self
                .tenants
                .get_mut(&tenant)
                .map(|waiting| &mut waiting.jobs);
            let Some(mut job) = waiting.and_then(|jobs| jobs.remove(&number)) else {
                return;
            };
            job.borrow_from(&mut self.tree);
            // What those before it need for their prompts is theirs.
            let to_come: usize = self
                .running
                .iter()
                .map(|job| job.new_pages(job.wants()))
                .sum();
            let needed = job.new_pages(job.wants()) + to_come;
            if !self.running.is_empty() && !self.make_room(needed) {
                job.give_back();
                self.put_back(job);
                return;
            }
            let at = self
                .running
                .partition_point(|other| other.number < job.number);
            self.running.insert(at, job);
        }
    }

    /// The oldest job of the tenant that has the fewest running. Who waits for a reader waits.
    fn next_waiting(&self) -> Option<(Tenant, u64)> {
        let running = |tenant: &Tenant| {
            self.running
                .iter()
                .filter(|job| job.tenant == *tenant)
                .count()
        };
        let oldest = |waiting: &Waiting| {
            let mut jobs = waiting.jobs.iter();
            jobs.find(|(_, job)| !job.is_parked())
                .map(|(number, _)| *number)
        };
        let candidates = self.tenants.iter().filter_map(|(tenant, waiting)| {
            let number = oldest(waiting)?;
            Some((running(tenant), number, tenant))
        });
        let (_, number, tenant) = candidates.min()?;
        Some((tenant.clone(), number))
    }

    /// Evicts what nobody uses until `pages` more can be made.
    fn make_room(&mut self, pages: usize) -> bool {
        while self.count.get() + pages > self.pages_max {
            if !self.tree.evict() {
                return false;
            }
        }
        true
    }

    /// How many tokens each running job reads in the next step.
    fn plan(&mut self) -> Vec<usize> {
        for job in &mut self.running {
            job.borrow_from(&mut self.tree);
        }
        let mut turns: Vec<(Tenant, Turn)> = self
            .tenants
            .iter()
            .map(|(tenant, waiting)| (tenant.clone(), waiting.turn))
            .collect();
        let first = turns
            .iter()
            .position(|(tenant, _)| Some(tenant) == self.first.as_ref());
        turns.rotate_left(first.unwrap_or(0));
        let wants = self.wants(&turns);
        let writers = wants.iter().filter(|want| want.writes).count();
        let step = self.options.step_tokens.get();
        // Who writes waits for a quarter of a step at most between two tokens.
        let budget = if writers > 0 {
            writers + step.div_ceil(4)
        } else {
            step
        };
        let (tenants, mut turns): (Vec<Tenant>, Vec<Turn>) = turns.into_iter().unzip();
        let (mut shares, next) = share(&wants, &mut turns, budget);
        self.first = tenants.get(next).cloned();
        for (tenant, turn) in tenants.into_iter().zip(turns) {
            self.tenants.entry(tenant).or_default().turn = turn;
        }
        let victims = self.find_memory(&mut shares);
        for number in victims {
            if let Some(at) = self.running.iter().position(|job| job.number == number) {
                shares.remove(at);
                let job = self.running.remove(at);
                self.put_back(job);
            }
        }
        shares
    }

    fn wants(&self, turns: &[(Tenant, Turn)]) -> Vec<Want> {
        let mut pages_ahead = HashSet::new();
        let want = |job: &Job| {
            // Who comes to a page that an older job is reading waits to be given it.
            let mut waits = || {
                let page = job.page_ahead();
                page.is_some_and(|page| !pages_ahead.insert(page))
            };
            let tokens = if job.is_parked() || waits() {
                0
            } else {
                job.wants()
            };
            Want {
                tenant: turns
                    .iter()
                    .position(|(tenant, _)| *tenant == job.tenant)
                    .unwrap_or(0),
                tokens,
                writes: job.writes(),
            }
        };
        self.running.iter().map(want).collect()
    }

    /// Makes sure that there is memory for what is to be read: the oldest come first, and the
    /// youngest give up their pages where that is not enough. The oldest always gets its share,
    /// because no request is taken that needs more than there is. Gives back the numbers of those
    /// that gave up.
    fn find_memory(&mut self, shares: &mut [usize]) -> Vec<u64> {
        let mut victims = Vec::new();
        let mut granted = 0;
        for i in 0..shares.len() {
            if shares[i] == 0 {
                continue;
            }
            let needed = self.running[i].new_pages(shares[i]);
            while !self.make_room(granted + needed) {
                let Some(victim) = self.victim(i) else {
                    shares[i] = 0;
                    break;
                };
                self.running[victim].give_back();
                self.stats.preempted += 1;
                victims.push(self.running[victim].number);
                shares[victim] = 0;
            }
            if shares[i] > 0 {
                granted += needed;
            }
        }
        victims
    }

    /// Who gives up its pages for job `i`: one whose reader is slow, else the youngest behind it.
    fn victim(&self, i: usize) -> Option<usize> {
        let jobs = self.running.iter().enumerate().rev();
        let mut holding = jobs.filter(|(other, job)| *other != i && job.holds_pages());
        let parked = holding.clone().find(|(_, job)| job.is_parked());
        let (victim, _) = parked.or_else(|| holding.find(|(other, _)| *other > i))?;
        Some(victim)
    }

    /// Computes a step. One that breaks fails the jobs that were in it, and nobody else.
    fn step(&mut self, shares: &[usize]) {
        let start = Instant::now();
        let planned: Vec<Planned<'_>> = self
            .running
            .iter_mut()
            .zip(shares)
            .filter(|(_, share)| **share > 0)
            .map(|(job, share)| (job, *share))
            .collect();
        // Who is alone can be stopped in the middle.
        let cancel = match planned.as_slice() {
            [(job, _)] => job.outbox.gone.clone(),
            _ => Cancel::new(),
        };
        let (model, team, steps) = (&*self.model, &self.team, &self.steps);
        let run = || steps.run((model, team), planned, &cancel);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => {
                let tokens = shares.iter().sum();
                self.stats.computed_tokens += tokens as u64;
                self.stats.steps += 1;
                self.speed.add(tokens, start.elapsed().as_secs_f64());
            }
            // It leaves with the next look at who has gone.
            Ok(Err(_cancelled)) => {}
            Err(_panic) => {
                self.steps = Steps::new(model, &self.options);
                let mut shares = shares.iter();
                self.running.retain(|job| {
                    let took_part = shares.next().is_some_and(|share| *share > 0);
                    if took_part {
                        job.fail(RequestError::Broken);
                    }
                    !took_part
                });
            }
        }
    }

    /// Gives out what the step brought, and lets go of who came to an end.
    fn settle(&mut self) {
        let mut left = Vec::new();
        for mut job in std::mem::take(&mut self.running) {
            job.lend_to(&mut self.tree);
            if job.deliver() {
                self.stats.cached_tokens += job.cached_tokens() as u64;
            } else {
                left.push(job);
            }
        }
        self.running = left;
    }

    fn waiting(&self) -> impl Iterator<Item = &Job> {
        let tenants = self.tenants.values();
        tenants.flat_map(|waiting| waiting.jobs.values())
    }

    fn publish(&mut self) {
        self.stats.running = self.running.len();
        let bytes = |pages: usize| (pages * self.model.page_shape().page_bytes()) as u64;
        self.stats.kv_bytes = bytes(self.count.get());
        self.stats.kv_bytes_max = bytes(self.pages_max);
        self.stats.prefix_bytes = bytes(self.tree.pages());
        self.stats.tokens_per_second = self.speed.tokens_per_second();
        let tokens_ahead = self
            .running
            .iter()
            .chain(self.waiting())
            .map(Job::tokens_left);
        self.inbox.publish(News {
            waiting: self.waiting().count(),
            tokens_ahead: tokens_ahead.sum(),
            tokens_per_second: self.speed.tokens_per_second(),
            stats: self.stats,
        });
    }
}
