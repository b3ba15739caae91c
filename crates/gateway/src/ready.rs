//! A task with all that answering it takes: its rules, its student, its limits.

mod rules;

use domain::{CompletionTokens, Generation, Labels, Task, TaskKind, TaskName, TierKind, TierName};
use routing::cascade::{Cascade, Decision, Outcome, Rule, Rung, Step, replay};
use routing::student::Student;
use wire::chat::{Delivery, RequestedGeneration};

pub(crate) use self::rules::{Proven, Rules};
use crate::app::App;
use crate::audit::Watch;
use crate::certificate::{Extent, Standing};
use crate::config::{Budget, Config, TaskConfig};
use crate::learn::Learned;

/// The most tokens written where neither a task nor the client says.
const DIRECT_COMPLETION_TOKENS: u64 = 1024;

/// A task that can be answered.
#[derive(Debug)]
pub(crate) struct ReadyTask {
    pub(crate) task: Task,
    /// By which answers are kept.
    pub(crate) rules: Rules,
    /// By which streamed answers are kept after their first tokens.
    pub(crate) early: Option<Rules>,
    pub(crate) student: Option<Student>,
    pub(crate) budget: Option<Budget>,
    /// How tiers write unless the client says otherwise.
    pub(crate) generation: Generation,
    /// The tier beside which the cascade's cost is shown.
    pub(crate) frontier: Option<TierName>,
    /// For how many days texts and answers are kept; `None` where they are not.
    pub(crate) keep_days: Option<u16>,
    /// Whether a local tier is asked about its own answers in free text.
    pub(crate) self_check: bool,
}

impl ReadyTask {
    /// A task of the config with what was learned for it and what is proven of it: of whole
    /// answers, and where the task wants it of their beginnings.
    pub(crate) fn new(
        config: &Config,
        task: &TaskConfig,
        learned: Option<Learned>,
        proven: Proven,
    ) -> Self {
        let rules = |extent, (standing, watch): (Standing, Option<Watch>)| {
            let rungs = rungs(config, task, (learned.as_ref(), &standing));
            Rules::new(rungs, task.task.sensitivity, extent).under(standing, watch)
        };
        let early = task.early_tokens.zip(proven.early);
        let is_frontier = |tier: &&TierName| config.tiers[*tier].kind() == TierKind::Frontier;
        Self {
            rules: rules(Extent::Whole, proven.whole),
            early: early.map(|(tokens, proven)| rules(Extent::First(tokens), proven)),
            student: learned.and_then(|learned| learned.student),
            budget: task.budget,
            generation: generation(task),
            frontier: task.task.tiers.iter().rfind(is_frontier).cloned(),
            keep_days: task.keep_days,
            self_check: task.self_check,
            task: task.task.clone(),
        }
    }

    /// A task of the config put to one tier alone, whose answer is taken as it is.
    pub(crate) fn alone(task: &TaskConfig, tier: &TierName, kind: TierKind) -> Self {
        Self {
            rules: Rules::always(tier, kind, task.task.sensitivity),
            early: None,
            student: None,
            budget: task.budget,
            generation: generation(task),
            frontier: None,
            keep_days: None,
            self_check: task.self_check,
            task: task.task.clone(),
        }
    }

    /// A free conversation with one tier, which no task describes.
    pub(crate) fn direct(config: &Config, tier: &TierName, kind: TierKind) -> Self {
        let sensitivity = config.server.direct_sensitivity;
        let name = TaskName::new(&format!("tier.{tier}")).unwrap_or_else(|_| direct_name());
        Self {
            rules: Rules::always(tier, kind, sensitivity),
            early: None,
            student: None,
            budget: None,
            generation: Generation::new(CompletionTokens(DIRECT_COMPLETION_TOKENS)),
            frontier: None,
            keep_days: None,
            self_check: false,
            task: Task {
                name,
                kind: TaskKind::Chat,
                prompt: String::new(),
                labels: None,
                tiers: vec![tier.clone()],
                sensitivity,
            },
        }
    }

    /// A question with these labels that is put to one tier alone, which no task describes.
    pub(crate) fn question(
        config: &Config,
        (tier, kind): (&TierName, TierKind),
        (instruction, labels): (String, Labels),
    ) -> Self {
        let mut ready = Self::direct(config, tier, kind);
        ready.task.kind = TaskKind::Classify;
        ready.task.prompt = instruction;
        ready.task.labels = Some(labels);
        ready
    }

    /// The rules for a request, and the cascade that they now come to. What is proven of free
    /// text is proven of text written as the task says: who asks for another way of writing gets
    /// none of it in house.
    pub(crate) fn rules_for(
        &self,
        asked: &RequestedGeneration,
        delivery: Delivery,
    ) -> (&Rules, &Cascade) {
        let is_as_proven = self.is_as_proven(asked);
        let streamed = self
            .early
            .as_ref()
            .filter(|_| delivery == Delivery::Streamed);
        match streamed.filter(|early| early.keep_something()) {
            Some(early) if is_as_proven => (early, early.cascade_now()),
            _ if is_as_proven || self.rules.standing.certificate().is_none() => {
                (&self.rules, self.rules.cascade_now())
            }
            _ => (&self.rules, &self.rules.escalating),
        }
    }

    /// Whether an answer is written as those were that prove something.
    fn is_as_proven(&self, asked: &RequestedGeneration) -> bool {
        let asked = asked.or(&self.generation);
        let proven = Generation {
            seed: asked.seed,
            ..self.generation.clone()
        };
        self.task.labels.is_some() || asked == proven
    }

    /// Both sets of rules, where there are two.
    pub(crate) fn all_rules(&self) -> impl Iterator<Item = &Rules> {
        std::iter::once(&self.rules).chain(&self.early)
    }

    /// Whether its texts may reach any of its tiers.
    pub(crate) fn asks_somebody(&self) -> bool {
        matches!(decide(self.rules.cascade_now(), &[]).step, Step::Ask { .. })
    }

    /// How many requests of this task can be in work at once without one being refused.
    pub(crate) fn queue_max(&self, app: &App) -> usize {
        let queues = self
            .task
            .tiers
            .iter()
            .filter_map(|tier| app.tiers.get(tier)?.queue_max());
        queues.min().unwrap_or(usize::MAX)
    }
}

/// What is to be done after these outcomes of a cascade.
pub(crate) fn decide(cascade: &Cascade, outcomes: &[Outcome]) -> Decision {
    replay(cascade, outcomes)
        .unwrap_or_else(|_| unreachable!("the outcomes are those the cascade asked for"))
}

/// The rungs of a task's tiers, in order.
fn rungs(
    config: &Config,
    task: &TaskConfig,
    (learned, standing): (Option<&Learned>, &Standing),
) -> Vec<Rung> {
    let last = task.task.tiers.len() - 1;
    let rung = |(index, tier): (usize, &TierName)| {
        let kind = config.tiers[tier].kind();
        let rule = match (
            learned,
            task.threshold,
            standing.rule(tier, task.task.labels.as_ref()),
        ) {
            // What a frontier says is the reference; nobody behind it could know better.
            _ if index == last || kind == TierKind::Frontier => Rule::Always,
            (_, Some(threshold), _) => Rule::Threshold(threshold),
            (_, None, Some(rule)) => rule,
            (Some(learned), None, None) => learned.rule(tier),
            (None, None, None) => Rule::Never,
        };
        Rung {
            tier: tier.clone(),
            kind,
            rule,
        }
    };
    task.task.tiers.iter().enumerate().map(rung).collect()
}

fn generation(task: &TaskConfig) -> Generation {
    Generation {
        temperature: task.temperature,
        ..Generation::new(task.max_completion_tokens)
    }
}

/// The name of direct requests to a tier whose own name leaves no room for more.
fn direct_name() -> TaskName {
    TaskName::new("direct").unwrap_or_else(|_| unreachable!("it is a name"))
}
