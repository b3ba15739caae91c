//! Tasks: named pieces of work, and how they are put to a model.

use std::fmt::Write as _;

use crate::label::Labels;
use crate::message::{Message, Prompt, Role};
use crate::name::{TaskName, TierName};
use crate::sensitivity::Sensitivity;

/// What a task asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// One label of several.
    Classify,
    /// One label of several, of which some call for a person's attention.
    Flag,
    /// Named values found in the text.
    Extract,
    /// A shorter text.
    Summarise,
    /// An answer from given text.
    Answer,
    /// A reply to a customer.
    Support,
    /// Program text.
    Code,
    /// A free conversation.
    Chat,
    /// A vector for each text.
    Embed,
}

impl TaskKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Classify,
        Self::Flag,
        Self::Extract,
        Self::Summarise,
        Self::Answer,
        Self::Support,
        Self::Code,
        Self::Chat,
        Self::Embed,
    ];

    /// Whether the answer is one of the task's labels, and not free text.
    #[must_use]
    pub fn has_labels(self) -> bool {
        matches!(self, Self::Classify | Self::Flag)
    }

    /// The name in config and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Flag => "flag",
            Self::Extract => "extract",
            Self::Summarise => "summarise",
            Self::Answer => "answer",
            Self::Support => "support",
            Self::Code => "code",
            Self::Chat => "chat",
            Self::Embed => "embed",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A named piece of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its name.
    pub name: TaskName,
    /// What it asks for.
    pub kind: TaskKind,
    /// The instruction that a model is given.
    pub prompt: String,
    /// The labels; present exactly when the kind has labels.
    pub labels: Option<Labels>,
    /// The tiers that may answer, in the order in which they are asked; at least one.
    pub tiers: Vec<TierName>,
    /// What its texts are taken to be.
    pub sensitivity: Sensitivity,
}

impl Task {
    /// The instruction as a model is shown it: the prompt and, for a task with labels, the list
    /// of labels with their definitions. It is the same for every document, so that an engine
    /// can keep it in its cache.
    #[must_use]
    pub fn instruction(&self) -> String {
        let mut text = self.prompt.clone();
        if let Some(labels) = &self.labels {
            text.push_str("\n\nAnswer with one of these labels:");
            for label in labels.iter() {
                let _infallible = match &label.definition {
                    Some(definition) => write!(text, "\n- {}: {definition}", label.name),
                    None => write!(text, "\n- {}", label.name),
                };
            }
        }
        text
    }

    /// What a model is asked about this text.
    #[must_use]
    pub fn prompt_for(&self, text: &str) -> Prompt {
        Prompt::new(vec![
            Message::new(Role::System, self.instruction()),
            Message::new(Role::User, text),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;

    #[test]
    fn the_prompt_lists_labels_with_their_definitions() {
        let label = |name: &str, definition: Option<&str>| Label {
            name: name.into(),
            definition: definition.map(Into::into),
        };
        let labels = vec![label("up", Some("the price rose")), label("none", None)];
        let task = Task {
            name: TaskName::new("headlines").unwrap(),
            kind: TaskKind::Classify,
            prompt: "Where did gold go?".into(),
            labels: Some(Labels::new(labels).unwrap()),
            tiers: vec![TierName::new("llama").unwrap()],
            sensitivity: Sensitivity::Public,
        };
        let prompt = task.prompt_for("gold gains $2");
        assert_eq!(
            prompt.messages[0].text(),
            "Where did gold go?\n\nAnswer with one of these labels:\n- up: the price rose\n- none"
        );
        assert_eq!(
            prompt.messages[1],
            Message::new(Role::User, "gold gains $2")
        );
    }
}
