//! What all checks share: the faults so far, the machine to look at, and how an option's value
//! is taken from the raw layer.

use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use domain::{MoneyError, Picodollars};

use super::fault::{Faults, complaint};
use super::options::{Opt, Shape, nearest};
use super::path::Path;

/// The value of an environment variable by its name.
pub(super) type Variables<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The state of a check in progress.
pub(super) struct Checks<'s, 'i> {
    /// What was wrong so far.
    pub(super) faults: Faults<'s, 'i>,
    /// What should be looked at.
    pub(super) warnings: Vec<String>,
    /// Where relative paths start.
    pub(super) folder: &'s FilePath,
    /// The environment of this machine; `None` when the config is for another one, and neither
    /// secrets nor files are to be looked at.
    pub(super) machine: Option<Variables<'s>>,
}

impl Checks<'_, '_> {
    /// A whole number in its option's range, or the default where none stands.
    pub(super) fn count(&mut self, path: &Path, raw: Option<u64>, default: usize) -> usize {
        let Some(raw) = raw else { return default };
        let in_range =
            matches!(shape(path), Some(Shape::Count(least, most)) if (least..=most).contains(&raw));
        match usize::try_from(raw) {
            Ok(count) if in_range => count,
            _ => {
                self.faults.add_unreadable(path);
                default
            }
        }
    }

    /// A number in its option's range.
    pub(super) fn number(&mut self, path: &Path, raw: Option<f64>) -> Option<f64> {
        let raw = raw?;
        match shape(path) {
            Some(Shape::Number(least, most)) if !(least..=most).contains(&raw) => {
                self.faults
                    .add_value(path, &format!("is outside {least:?}..={most:?}"));
                None
            }
            _ => Some(raw),
        }
    }

    /// A time in its option's range, or the default where none stands.
    pub(super) fn seconds(&mut self, path: &Path, raw: Option<f64>, default: u64) -> Duration {
        self.number(path, raw)
            .map_or(Duration::from_secs(default), Duration::from_secs_f64)
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, path: &Path, raw: Option<&String>) -> Option<String> {
        let raw = raw?;
        if raw.trim().is_empty() {
            self.faults.add_value(path, "is empty");
            return None;
        }
        Some(raw.clone())
    }

    /// A text that must stand there and is not empty.
    pub(super) fn required(&mut self, path: &Path, raw: Option<&String>) -> Option<String> {
        if raw.is_none() {
            self.faults.add_missing(path);
        }
        self.text(path, raw)
    }

    /// One of the words that may stand there, as the type that it names.
    pub(super) fn word<T>(
        &mut self,
        path: &Path,
        raw: Option<&String>,
        from_name: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let raw = raw?;
        let value = from_name(raw);
        if value.is_none() {
            let Some(Shape::Word(words)) = shape(path) else {
                return None;
            };
            let advice = match nearest(raw, words.iter().copied()) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => String::new(),
            };
            let wrong = complaint(Shape::Word(words));
            self.faults.add_value(path, &format!("{wrong}{advice}"));
        }
        value
    }

    /// An amount that is not negative.
    pub(super) fn money<T>(
        &mut self,
        path: &Path,
        raw: Option<&String>,
        from_text: impl Fn(&str) -> Result<T, MoneyError>,
    ) -> Option<T> {
        let raw = raw?;
        let wrong = match from_text(raw) {
            Ok(_) if raw.starts_with('-') => "is below 0",
            Ok(amount) => return Some(amount),
            Err(MoneyError::NotAnAmount(_)) if raw.starts_with('-') => "is below 0 or no amount",
            Err(MoneyError::NotAnAmount(_)) => "is no decimal amount",
            Err(MoneyError::TooFine { .. }) => "has more decimal places than can be booked",
            Err(MoneyError::OutOfRange) => "is more than can be booked",
        };
        self.faults.add_value(path, wrong);
        None
    }

    /// An amount in US dollars that is not negative.
    pub(super) fn usd(&mut self, path: &Path, raw: Option<&String>) -> Option<Picodollars> {
        self.money(path, raw, Picodollars::from_usd)
    }

    /// The path of a file that is there.
    pub(super) fn file(&mut self, path: &Path, raw: Option<&String>) -> Option<PathBuf> {
        let file = self.folder.join(self.text(path, raw)?);
        if self.machine.is_some() && !file.is_file() {
            let place = file.display();
            self.faults
                .add_value(path, &format!("is no file (looked at {place})"));
            return None;
        }
        Some(file)
    }

    /// Books that a name is not among those of a section, with the nearest that is.
    pub(super) fn add_unknown_name(&mut self, path: &Path, name: &str, section: &str) {
        let known = self.faults.source().keys(&Path::top(section));
        let advice = match (nearest(name, known.iter().copied()), known.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => format!("there is no section under `{section}` at all"),
            (None, known) => format!("there are: {}", known.join(", ")),
        };
        let missing = Path::top(section).key(name);
        self.faults
            .add(path, format!("there is no `{missing}`; {advice}"));
    }
}

fn shape(path: &Path) -> Option<Shape> {
    Opt::at(path).map(|option| option.shape)
}
