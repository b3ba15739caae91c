//! Proving by records that weigh unequally.
//!
//! A gambler bets that the risk above a threshold is below α. Each record that became known and
//! is kept multiplies his wealth by 1 + λ w (α − L), where L is 1 if it is wrong, and w the lowest
//! probability with which any record became known divided by its own (Horvitz & Thompson 1952).
//! As often as a record of weight w becomes known, w makes up for it: if the risk is at least α,
//! no factor is above 1 on average, and neither is their product, so by Markov's inequality it
//! reaches 1/δ with a probability of at most δ (Waudby-Smith & Ramdas, "Estimating means of
//! bounded random variables by betting", 2024). For 0/1 losses of a fair sample, where all weigh
//! 1, this is Chernoff's bound, which the exact binomial tail is never above.
//!
//! The best stake λ depends on how many records there are and how much they weigh, and tests have
//! to begin at thresholds that weren't found on the records that they test. The pilot, which
//! proves nothing, says both. From a start the thresholds are tested down to the first that fails
//! (fixed-sequence testing); every number between two scores has the wealth of the upper one, so
//! that all thresholds are tested and not only some.

use super::wanting::{KEPT_MIN, more, times};
use super::{Drawn, Effect, Goal, Proof, Risk, Start, Weighing};
use crate::elementary::ln;

/// Where runs start, as a share of what the pilot would keep, with each start's part of δ.
const STARTS: [(f64, f64); 2] = [(0.25, 0.1), (0.5, 0.9)];

/// The largest part of the wealth that is staked; with all of it one error would end the game.
const BET_MAX: f64 = 0.95;

/// More are never needed: each doubles the digits that are right.
const NEWTON_STEPS: usize = 60;

/// How the records that prove shall do so, by what the pilot says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// Thresholds from which tests run, from the highest down, with their parts of δ.
    starts: Vec<(f64, f64)>,
    /// The part of the wealth that the heaviest record, if it is wrong, costs; 0 to 1.
    bet: f64,
    /// So many times as much all records say than those that would stay if they were thinned.
    pub(super) spread: f64,
}

/// Records that prove, each as it weighs.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    /// The surest first, those without a score last.
    records: Vec<One>,
    /// How many have a score.
    ranked: usize,
    plan: Plan,
    risk: Risk,
    goal: Goal,
}

#[derive(Clone, Copy, Debug)]
struct One {
    score: f64,
    correct: bool,
    weight: f64,
}

/// What records come to.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: usize,
    errors: usize,
    weight: f64,
    squares: f64,
    /// The weight of those that are wrong.
    wrong: f64,
}

impl Sums {
    fn add(&mut self, one: &One) {
        self.count += 1;
        self.errors += usize::from(!one.correct);
        self.weight += one.weight;
        self.squares += one.weight * one.weight;
        self.wrong += if one.correct { 0.0 } else { one.weight };
    }

    fn of<'a>(records: impl IntoIterator<Item = &'a One>) -> Self {
        let mut sums = Self::default();
        records.into_iter().for_each(|one| sums.add(one));
        sums
    }

    /// So many records of one weight would say as much (Kish 1965).
    fn effective(&self) -> f64 {
        self.weight * self.weight / self.squares
    }
}

/// The records, the surest first, and how many have a score.
fn sorted(records: &[&Drawn]) -> (Vec<One>, usize) {
    let one = |it: &&Drawn| One {
        score: it.scored.confidence,
        correct: it.scored.correct,
        weight: it.draw.weight(),
    };
    let (unranked, mut ranked): (Vec<One>, Vec<One>) =
        records.iter().map(one).partition(|it| it.score.is_nan());
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    let n_ranked = ranked.len();
    ranked.extend(unranked);
    (ranked, n_ranked)
}

impl Plan {
    /// The plan for so many other records; `None` where the pilot says that no threshold has few
    /// enough errors.
    pub(super) fn new(pilot: &[&Drawn], n_rest: usize, risk: Risk, goal: Goal) -> Option<Self> {
        let (records, ranked) = sorted(pilot);
        let all = Sums::of(&records);
        let of = |kept: &Sums| match risk {
            Risk::Selective => *kept,
            Risk::Marginal => all,
        };
        let (mut sums, mut kept) = (Sums::default(), Vec::new());
        for one in &records[..ranked] {
            sums.add(one);
            kept.push((one.score, sums));
        }
        let is_good = |(_, kept): &&(f64, Sums)| {
            kept.count >= KEPT_MIN && kept.wrong <= goal.alpha() * of(kept).weight
        };
        let (_, lowest) = kept.iter().rev().find(is_good)?;
        let start = |&(share, part): &(f64, f64)| {
            let wanted = share * lowest.weight;
            let at = kept.partition_point(|(_, kept)| kept.weight < wanted);
            (kept[at].0, part * goal.delta())
        };
        let (alpha, delta) = (goal.alpha(), goal.delta());
        let expected = of(lowest).squares * n_rest as f64 / pilot.len() as f64;
        // The stake that wins with the fewest records where the risk is just below α.
        let bet = (2.0 * ln(1.0 / delta) * (1.0 - alpha) / (alpha * expected)).sqrt();
        Some(Self {
            starts: match risk {
                Risk::Selective => STARTS.iter().map(start).collect(),
                // More kept can only mean more kept errors: one run from the top suffices.
                Risk::Marginal => vec![(f64::INFINITY, delta)],
            },
            bet: bet.min(BET_MAX),
            spread: of(lowest).weight / of(lowest).squares,
        })
    }
}

impl Weighed {
    pub(super) fn new(records: &[&Drawn], plan: Plan, risk: Risk, goal: Goal) -> Self {
        let (records, ranked) = sorted(records);
        Self {
            records,
            ranked,
            plan,
            risk,
            goal,
        }
    }

    pub(super) fn scores(&self) -> impl Iterator<Item = f64> {
        self.records[..self.ranked].iter().map(|it| it.score)
    }

    pub(super) fn prove(&self, floor: f64) -> Proof {
        let passed = self.lowest(floor);
        let (kept, level) = passed.unwrap_or((0, self.goal.delta()));
        let effect = self.effect_of(kept, level);
        let start = |&(from, delta): &(f64, f64)| Start {
            kept: self.scores().take_while(|score| *score >= from).count(),
            delta,
        };
        Proof {
            threshold: passed.map(|_| self.records[kept - 1].score),
            records: self.records.len(),
            kept: effect.kept,
            errors: effect.errors,
            bound: passed.map_or(1.0, |_| effect.bound),
            starts: self.plan.starts.iter().map(start).collect(),
            records_wanting: match passed {
                Some(_) => None,
                None => self.wanting(),
            },
            weighing: Some(Weighing {
                effective: Sums::of(&self.records).effective(),
                share_kept: effect.share_kept,
                risk: effect.risk,
                bet: self.plan.bet,
            }),
        }
    }

    pub(super) fn effect(&self, threshold: f64, delta: f64) -> Effect {
        let kept = self.records[..self.ranked].partition_point(|it| it.score >= threshold);
        self.effect_of(kept, delta)
    }

    /// How many records the lowest threshold keeps that passes, and the level at which it does.
    fn lowest(&self, floor: f64) -> Option<(usize, f64)> {
        let odds = self.goal.alpha() / (1.0 - self.goal.alpha());
        let won = |one: &One| ln(1.0 + self.plan.bet * one.weight * odds);
        let lost = |one: &One| ln(1.0 - self.plan.bet * one.weight);
        let mut wealth: f64 = match self.risk {
            Risk::Selective => 0.0,
            Risk::Marginal => self.records.iter().map(won).sum(),
        };
        let mut starts = self.plan.starts.iter().peekable();
        let (mut level, mut passed, mut kept) = (0.0, None, 0);
        let passes = |wealth: f64, level: f64| level > 0.0 && wealth >= ln(1.0 / level);
        for equals in self.records[..self.ranked].chunk_by(|a, b| a.score == b.score) {
            let score = equals[0].score;
            // At a start above this score the wealth is that of what lies above it.
            while let Some((_, delta)) = starts.next_if(|(from, _)| *from > score) {
                level += delta;
                level = if passes(wealth, level) { level } else { 0.0 };
            }
            for one in equals {
                wealth += match (self.risk, one.correct) {
                    (Risk::Selective, true) => won(one),
                    (Risk::Selective, false) => lost(one),
                    (Risk::Marginal, true) => 0.0,
                    (Risk::Marginal, false) => lost(one) - won(one),
                };
            }
            kept += equals.len();
            while let Some((_, delta)) = starts.next_if(|(from, _)| *from == score) {
                level += delta;
            }
            level = if passes(wealth, level) { level } else { 0.0 };
            if level > 0.0 && score >= floor {
                passed = Some((kept, level));
            }
        }
        passed
    }

    /// What keeping the surest so many does.
    fn effect_of(&self, n_kept: usize, delta: f64) -> Effect {
        let kept = Sums::of(&self.records[..n_kept]);
        let all = Sums::of(&self.records);
        let of = match self.risk {
            Risk::Selective => kept.weight,
            Risk::Marginal => all.weight,
        };
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        Effect {
            kept: kept.count,
            errors: kept.errors,
            share_kept: share(kept.weight, all.weight),
            risk: share(kept.wrong, of),
            bound: self.bound(n_kept, delta),
        }
    }

    /// The lowest risk at which the wealth reaches 1/δ, were it α: the true one is above it with
    /// a probability of at most δ. In the odds u of the risk, with the bet b, the logarithm of the
    /// wealth is Σ ln(1 + b w u) over the right, and Σ ln(1 − b w) over the wrong. It rises and
    /// bends down, so that Newton's steps from 0 come up to where it is ln(1/δ) and never pass it.
    fn bound(&self, n_kept: usize, delta: f64) -> f64 {
        let bet = self.plan.bet;
        let (kept, others) = self.records.split_at(n_kept);
        let wrong = kept.iter().filter(|it| !it.correct);
        let lost: f64 = wrong.map(|it| ln(1.0 - bet * it.weight)).sum();
        let right = kept.iter().filter(|it| it.correct);
        let right: Vec<f64> = match self.risk {
            Risk::Selective => right.map(|it| bet * it.weight).collect(),
            Risk::Marginal => right.chain(others).map(|it| bet * it.weight).collect(),
        };
        let mut odds = 0.0;
        for _ in 0..NEWTON_STEPS {
            let (mut wealth, mut slope) = (lost, 0.0);
            for stake in &right {
                let factor = 1.0 + stake * odds;
                wealth += ln(factor);
                slope += stake / factor;
            }
            if slope == 0.0 {
                return 1.0;
            }
            let step = (ln(1.0 / delta) - wealth) / slope;
            odds += step.max(0.0);
            if step <= 1e-12 * odds {
                break;
            }
        }
        odds / (1.0 + odds)
    }

    /// How many more records would prove something, by what as many equal ones would want.
    fn wanting(&self) -> Option<usize> {
        let all = Sums::of(&self.records);
        let mut kept = Sums::default();
        let mut least: Option<f64> = None;
        for one in &self.records[..self.ranked] {
            kept.add(one);
            let of = match self.risk {
                Risk::Selective => kept,
                Risk::Marginal => all,
            };
            if kept.count >= KEPT_MIN {
                let (errors, n) = (kept.wrong / of.weight * of.effective(), of.effective());
                let times = times(errors, n, (self.goal.alpha(), self.goal.delta()));
                least = least.into_iter().chain(times).reduce(f64::min);
            }
        }
        least.map(|least| more(least, self.records.len()))
    }
}

#[cfg(test)]
mod tests;
