//! A task with all that answering it takes: its cascade, its student, its limits.

use domain::{
    CompletionTokens, Generation, Picodollars, Prompt, Task, TaskKind, TaskName, TierKind, TierName,
};
use ledger::Counterfactual;
use routing::cascade::{Cascade, Decision, Outcome, Rule, Rung, Step, replay};
use routing::student::Student;
use wire::chat::RequestedGeneration;

use crate::answer::{End, counterfactual};
use crate::app::App;
use crate::audit::Watch;
use crate::certificate::{self, Standing};
use crate::config::{Budget, Config, TaskConfig};
use crate::learn::Learned;
use crate::tier::remote::estimated_cost;

/// The most tokens written where neither a task nor the client says.
const DIRECT_COMPLETION_TOKENS: u64 = 1024;

/// A task that can be answered.
#[derive(Debug)]
pub(crate) struct ReadyTask {
    pub(crate) task: Task,
    pub(crate) cascade: Cascade,
    /// The same cascade without a certificate: nothing is kept before the last word.
    escalating: Cascade,
    pub(crate) student: Option<Student>,
    pub(crate) budget: Option<Budget>,
    /// How tiers write unless the client says otherwise.
    pub(crate) generation: Generation,
    /// The tier beside which the cascade's cost is shown.
    pub(crate) frontier: Option<TierName>,
    /// Where the thresholds come from.
    pub(crate) standing: Standing,
    /// The certificate that proves them: SHA-256 of what it claims.
    pub(crate) certificate: Option<String>,
    /// How that certificate is watched, if it is.
    pub(crate) watch: Option<Watch>,
    /// For how many days texts and answers are kept; `None` where they are not.
    pub(crate) keep_days: Option<u16>,
}

impl ReadyTask {
    /// A task of the config with what was learned for it and what is proven of it.
    pub(crate) fn new(
        config: &Config,
        task: &TaskConfig,
        learned: Option<Learned>,
        (standing, watch): (Standing, Option<Watch>),
    ) -> Self {
        let last = task.task.tiers.len() - 1;
        let rung = |(index, tier): (usize, &TierName)| {
            let kind = config.tiers[tier].kind();
            let rule = match (&learned, task.threshold, standing.rule(tier)) {
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
        let rungs: Vec<Rung> = task.task.tiers.iter().enumerate().map(rung).collect();
        let escalating = rungs.iter().cloned().map(without_threshold).collect();
        let is_frontier = |tier: &&TierName| config.tiers[*tier].kind() == TierKind::Frontier;
        Self {
            cascade: Cascade::new(rungs, task.task.sensitivity),
            escalating: Cascade::new(escalating, task.task.sensitivity),
            student: learned.and_then(|learned| learned.student),
            budget: task.budget,
            generation: generation(task),
            frontier: task.task.tiers.iter().rfind(is_frontier).cloned(),
            certificate: standing.certificate().map(certificate::id),
            standing,
            watch,
            keep_days: task.keep_days,
            task: task.task.clone(),
        }
    }

    /// A task of the config put to one tier alone, whose answer is taken as it is.
    pub(crate) fn alone(task: &TaskConfig, tier: &TierName, kind: TierKind) -> Self {
        let rung = Rung {
            tier: tier.clone(),
            kind,
            rule: Rule::Always,
        };
        Self {
            cascade: Cascade::new(vec![rung.clone()], task.task.sensitivity),
            escalating: Cascade::new(vec![rung], task.task.sensitivity),
            student: None,
            budget: task.budget,
            generation: generation(task),
            frontier: None,
            standing: Standing::Stated,
            certificate: None,
            watch: None,
            keep_days: None,
            task: task.task.clone(),
        }
    }

    /// A free conversation with one tier, which no task describes.
    pub(crate) fn direct(config: &Config, tier: &TierName, kind: TierKind) -> Self {
        let rung = Rung {
            tier: tier.clone(),
            kind,
            rule: Rule::Always,
        };
        let sensitivity = config.server.direct_sensitivity;
        let name = TaskName::new(&format!("tier.{tier}")).unwrap_or_else(|_| direct_name());
        Self {
            cascade: Cascade::new(vec![rung.clone()], sensitivity),
            escalating: Cascade::new(vec![rung], sensitivity),
            student: None,
            budget: None,
            generation: Generation::new(CompletionTokens(DIRECT_COMPLETION_TOKENS)),
            frontier: None,
            standing: Standing::Stated,
            certificate: None,
            watch: None,
            keep_days: None,
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

    /// The cascade that holds now; a request that has begun under one ends under it.
    pub(crate) fn cascade_now(&self) -> &Cascade {
        match &self.watch {
            Some(watch) if watch.is_revoked() => &self.escalating,
            _ => &self.cascade,
        }
    }

    /// The cascade for a request. What is proven of free text is proven of text written as the
    /// task says; who asks for another way of writing gets none of it in house.
    pub(crate) fn cascade_for(&self, asked: &RequestedGeneration) -> &Cascade {
        let is_as_proven = || {
            let asked = asked.or(&self.generation);
            let Generation {
                max_completion_tokens,
                temperature,
                stop,
                options,
                ..
            } = &self.generation;
            asked.temperature == *temperature
                && asked.stop == *stop
                && asked.options == *options
                // A longer answer than the task's longest was not among those that were judged.
                && asked.max_completion_tokens == *max_completion_tokens
        };
        let proven = self.standing.certificate().is_some() && self.task.labels.is_none();
        if proven && !is_as_proven() {
            return &self.escalating;
        }
        self.cascade_now()
    }

    /// Where the thresholds that hold now come from, in a word.
    pub(crate) fn standing_now(&self) -> &'static str {
        match &self.watch {
            Some(watch) if watch.is_revoked() => "revoked",
            _ => self.standing.word(),
        }
    }

    /// Whether its texts may reach any of its tiers.
    pub(crate) fn asks_somebody(&self) -> bool {
        matches!(decide(self.cascade_now(), &[]).step, Step::Ask { .. })
    }

    /// Whether this rung's answer will be accepted whatever it is.
    pub(crate) fn accepts_always(&self, rung: usize) -> bool {
        self.cascade.rungs()[rung].rule == Rule::Always
    }

    /// What a request costs with the frontier alone.
    pub(crate) fn counterfactual(
        &self,
        app: &App,
        prompt: &Prompt,
        end: &End,
        cost: Picodollars,
    ) -> Option<Counterfactual> {
        let frontier = self.frontier.as_ref()?;
        let answered_by_it = matches!(end, End::Accepted { tier, .. } if tier == frontier);
        let answer_bytes = match end {
            End::Accepted { completion, .. }
            | End::Review {
                suggestion: Some(completion),
            } => completion.text().len(),
            End::Review { suggestion: None } | End::Failed { .. } => self.answer_bytes_likely(),
        };
        counterfactual(answered_by_it.then_some(cost), || {
            estimated_cost(app.tiers[frontier].price()?, prompt, answer_bytes)
        })
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

    /// The length of an answer nobody gave: the longest label, or a short paragraph.
    fn answer_bytes_likely(&self) -> usize {
        const PARAGRAPH: usize = 400;
        let longest = |labels: &domain::Labels| labels.iter().map(|label| label.name.len()).max();
        self.task
            .labels
            .as_ref()
            .and_then(longest)
            .unwrap_or(PARAGRAPH)
    }

    /// The tiers with the confidence from which each is accepted, and whether that is proven, for
    /// the log and reports.
    pub(crate) fn rules(&self) -> String {
        let proven = match &self.standing {
            Standing::Stated | Standing::Unproven(_) | Standing::Revoked(..) => String::new(),
            Standing::Estimated => " (not certified)".to_owned(),
            Standing::Certified(certificate) => format!(" (certified: {})", certificate.in_short()),
        };
        let rung = |rung: &routing::cascade::Rung| match rung.rule {
            _ if rung.kind == TierKind::Person => format!("{} reviews", rung.tier),
            Rule::Threshold(threshold) => format!("{} from {threshold:.4}{proven}", rung.tier),
            Rule::Always => format!("{} always", rung.tier),
            Rule::Never => format!("{} never", rung.tier),
        };
        self.cascade
            .rungs()
            .iter()
            .map(rung)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// What is to be done after these outcomes of a cascade.
pub(crate) fn decide(cascade: &Cascade, outcomes: &[Outcome]) -> Decision {
    replay(cascade, outcomes)
        .unwrap_or_else(|_| unreachable!("the outcomes are those the cascade asked for"))
}

fn without_threshold(rung: Rung) -> Rung {
    let rule = match rung.rule {
        Rule::Threshold(_) => Rule::Never,
        rule => rule,
    };
    Rung { rule, ..rung }
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
