//! The ledger against a model of it in memory, under random operations and restarts.

use std::collections::BTreeMap;

use ledger::{AttemptState, BudgetLimit, End, Hold, Ledger, LedgerError, Resolution};
use proptest::prelude::*;

use crate::place::{Place, answered, at, attempt, new_hold, pico, request, usage};

const BUDGETS: usize = 3;

#[derive(Clone, Debug)]
enum Operation {
    /// A hold of a new attempt (or of an old one, by mistake) in these budgets.
    Hold {
        attempt: u8,
        worst_case: i64,
        budgets: [bool; BUDGETS],
        limit: i64,
    },
    /// An end of whatever attempt that is.
    Resolve { attempt: u8, end: Ending },
    /// The owner goes away.
    Drop { attempt: u8, sent: bool },
    /// All ends of one request at once.
    Record { ends: Vec<(u8, Ending)> },
    /// Closed and opened again.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Settle(i64),
    Release,
    Keep,
}

impl Ending {
    fn end(self) -> End {
        match self {
            Self::Settle(cost) => End::Settle {
                usage: usage(cost.unsigned_abs(), 0, 1),
                cost: pico(cost),
            },
            Self::Release => End::Release,
            Self::Keep => End::Keep,
        }
    }
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        3 => (0_i64..130).prop_map(Ending::Settle),
        1 => Just(Ending::Release),
        1 => Just(Ending::Keep),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let ends = proptest::collection::vec((0_u8..24, ending()), 0..3);
    prop_oneof![
        6 => (0_u8..24, 0_i64..120, any::<[bool; BUDGETS]>(), 100_i64..500).prop_map(
            |(attempt, worst_case, budgets, limit)| Operation::Hold {
                attempt, worst_case, budgets, limit,
            }
        ),
        5 => (0_u8..24, ending()).prop_map(|(attempt, end)| Operation::Resolve { attempt, end }),
        2 => (0_u8..24, any::<bool>()).prop_map(|(attempt, sent)| Operation::Drop { attempt, sent }),
        2 => ends.prop_map(|ends| Operation::Record { ends }),
        1 => Just(Operation::Restart),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct ModelAttempt {
    worst_case: i64,
    budgets: [bool; BUDGETS],
    kept: bool,
    last: Option<Ending>,
}

/// What the books should say.
#[derive(Clone, Debug, Default)]
struct Model {
    attempts: BTreeMap<u8, ModelAttempt>,
}

impl Model {
    /// Settled, held and kept, added up from all lines.
    fn sums(&self, budget: usize) -> [i64; 3] {
        let mut sums = [0; 3];
        for attempt in self.attempts.values().filter(|it| it.budgets[budget]) {
            match attempt.last {
                None => sums[1] += attempt.worst_case,
                Some(Ending::Settle(cost)) => sums[0] += cost,
                Some(Ending::Keep) => sums[2] += attempt.worst_case,
                Some(Ending::Release) => {}
            }
        }
        sums
    }

    /// Whether the hold is given.
    fn hold(&mut self, id: u8, new: ModelAttempt, limit: i64) -> bool {
        let fits = |budget: usize| {
            !new.budgets[budget] || self.sums(budget).iter().sum::<i64>() + new.worst_case <= limit
        };
        let given = !self.attempts.contains_key(&id) && (0..BUDGETS).all(fits);
        if given {
            self.attempts.insert(id, new);
        }
        given
    }

    /// Whether the end is taken.
    fn resolve(&mut self, id: u8, end: Ending) -> bool {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return false;
        };
        match attempt.last {
            None | Some(Ending::Keep) => {
                attempt.kept |= end == Ending::Keep;
                attempt.last = Some(end);
                true
            }
            Some(last) => last == end || (attempt.kept && end == Ending::Keep),
        }
    }

    /// The owner of a hold goes away, which says nothing about an attempt that has ended.
    fn drop_hold(&mut self, id: u8, sent: bool) {
        if self.attempts[&id].last.is_none() {
            self.resolve(id, if sent { Ending::Keep } else { Ending::Release });
        }
    }

    fn state(&self, id: u8) -> AttemptState {
        match self.attempts[&id].last {
            None => AttemptState::Held,
            Some(Ending::Release) => AttemptState::Released,
            Some(Ending::Keep) => AttemptState::Unknown,
            Some(Ending::Settle(cost)) => AttemptState::Settled {
                usage: usage(cost.unsigned_abs(), 0, 1),
                cost: pico(cost),
            },
        }
    }
}

/// The ledger under test, and the holds that are in the test's hands.
struct Subject {
    place: Place,
    ledger: Ledger,
    holds: BTreeMap<u8, Hold>,
    requests: u32,
}

impl Subject {
    async fn apply(&mut self, model: &mut Model, operation: Operation) {
        match operation {
            Operation::Hold {
                attempt,
                worst_case,
                budgets,
                limit,
            } => {
                let new = ModelAttempt {
                    worst_case,
                    budgets,
                    kept: false,
                    last: None,
                };
                let given = self.hold(attempt, &new, limit).await;
                assert_eq!(given, model.hold(attempt, new, limit));
            }
            Operation::Resolve { attempt: id, end } => {
                let expected = model.resolve(id, end);
                let resolution = Resolution::of(attempt(id.into()), end.end());
                let booked = self.ledger.resolve(resolution, at(2)).await;
                assert_eq!(booked.is_ok(), expected, "{booked:?}");
            }
            Operation::Drop { attempt, sent } => {
                if let Some(mut hold) = self.holds.remove(&attempt) {
                    if sent {
                        hold.mark_sent();
                    }
                    drop(hold);
                    model.drop_hold(attempt, sent);
                }
            }
            Operation::Record { ends } => self.record(model, &ends).await,
            Operation::Restart => {
                // Holds in hand are dropped first: they would be adopted otherwise.
                for (id, hold) in std::mem::take(&mut self.holds) {
                    drop(hold);
                    model.drop_hold(id, false);
                }
                self.ledger.close().await.unwrap();
                self.ledger = self.place.open();
            }
        }
    }

    /// Whether the hold is given.
    async fn hold(&mut self, id: u8, asked: &ModelAttempt, limit: i64) -> bool {
        let mut new = new_hold(id.into(), &id.to_string(), asked.worst_case, limit);
        let named = (0..BUDGETS).filter(|&budget| asked.budgets[budget]);
        new.budgets = named
            .map(|budget| BudgetLimit {
                name: budget.to_string(),
                limit: pico(limit),
                window_start: at(0),
            })
            .collect();
        match self.ledger.hold(new).await {
            Ok(hold) => {
                self.holds.insert(id, hold);
                true
            }
            Err(LedgerError::OverBudget(_) | LedgerError::Contradiction { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// All of the ends are taken or none.
    async fn record(&mut self, model: &mut Model, ends: &[(u8, Ending)]) {
        let mut after = model.clone();
        let expected = ends.iter().all(|&(id, end)| after.resolve(id, end));
        self.requests += 1;
        let mut outcome = answered(&format!("request {}", self.requests));
        for &(id, end) in ends {
            let resolution = Resolution::of(attempt(id.into()), end.end());
            outcome.resolutions.push(resolution);
        }
        let recorded = self.ledger.record(outcome).await;
        assert_eq!(recorded.is_ok(), expected, "{recorded:?}");
        if expected {
            *model = after;
        }
    }

    fn check(&self, model: &Model) {
        let reader = self.place.reader();
        assert_eq!(reader.verify().unwrap(), Vec::<String>::new());
        for balance in reader.balances().unwrap() {
            let sums = [balance.settled, balance.held, balance.kept].map(|sum| sum.get());
            let budget = balance.budget.parse().unwrap();
            assert_eq!(sums, model.sums(budget), "budget {budget}");
        }
        for &id in model.attempts.keys() {
            let lines = reader.attempts_of(&request(&id.to_string())).unwrap();
            assert_eq!(lines.len(), 1);
            assert_eq!(lines[0].state, model.state(id), "attempt {id}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_books_agree_with_the_model(
        operations in proptest::collection::vec(operation(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let mut subject = Subject {
                ledger: place.open(),
                place,
                holds: BTreeMap::new(),
                requests: 0,
            };
            let mut model = Model::default();
            for operation in operations {
                subject.apply(&mut model, operation).await;
            }
            subject.apply(&mut model, Operation::Restart).await;
            subject.check(&model);
            subject.ledger.close().await.unwrap();
        });
    }
}
