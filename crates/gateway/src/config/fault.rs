//! Faults of a config, and the report that names them all.

use std::fmt;
use std::path::PathBuf;

use super::options::{Opt, Shape, nearest, siblings};
use super::path::Path;
use super::source::{Source, SyntaxFault};

/// Everything that is wrong with a config file. `Display` is the whole report: a line for each
/// fault in the order of the file, then their count.
#[derive(Debug)]
pub(crate) struct ConfigFaults {
    file: PathBuf,
    faults: Vec<Fault>,
}

#[derive(Clone, Debug)]
struct Fault {
    /// Counted from 1; `None` for a fault of the file as a whole.
    line: Option<usize>,
    /// Counted from 1; only for faults of syntax.
    column: Option<usize>,
    path: Path,
    message: String,
}

impl std::error::Error for ConfigFaults {}

impl ConfigFaults {
    /// The report of a file that can't be read at all.
    pub(super) fn of_file(file: PathBuf, message: String) -> Self {
        let fault = Fault {
            line: None,
            column: None,
            path: Path::default(),
            message,
        };
        Self {
            file,
            faults: vec![fault],
        }
    }

    /// The report of a file that is no TOML.
    pub(super) fn of_syntax(file: PathBuf, faults: Vec<SyntaxFault>) -> Self {
        let faults = faults.into_iter().map(|fault| Fault {
            line: Some(fault.line),
            column: Some(fault.column),
            path: Path::default(),
            message: fault.message,
        });
        Self {
            file,
            faults: faults.collect(),
        }
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for fault in &self.faults {
            write!(f, "{file}:")?;
            for number in [fault.line, fault.column].into_iter().flatten() {
                write!(f, "{number}:")?;
            }
            if fault.path != Path::default() {
                write!(f, " {}:", fault.path)?;
            }
            writeln!(f, " {}", fault.message)?;
        }
        match self.faults.len() {
            1 => write!(f, "1 fault in {file}"),
            count => write!(f, "{count} faults in {file}"),
        }
    }
}

/// The faults found so far, with the source that they are shown from.
pub(super) struct Faults<'s, 'i> {
    source: &'s Source<'i>,
    list: Vec<Fault>,
}

impl<'s, 'i> Faults<'s, 'i> {
    /// No faults yet.
    pub(super) fn new(source: &'s Source<'i>) -> Self {
        Self {
            source,
            list: Vec::new(),
        }
    }

    /// The text whose faults these are.
    pub(super) fn source(&self) -> &'s Source<'i> {
        self.source
    }

    /// Books a fault in its own words. A fault at or inside a place that is known to be faulty is
    /// not booked: it would only be the shadow of the first.
    pub(super) fn add(&mut self, path: &Path, message: impl Into<String>) {
        if self.list.iter().any(|fault| path.is_within(&fault.path)) {
            return;
        }
        self.list.push(Fault {
            line: Some(self.source.line(path)),
            column: None,
            path: path.clone(),
            message: message.into(),
        });
    }

    /// Books that the value at this place breaks a rule, as in "`1.4` is outside 0..=1".
    pub(super) fn add_value(&mut self, path: &Path, complaint: &str) {
        let shown = match self.source.shown(path) {
            Some(value) if !may_hold_secret(path) => value,
            _ => "the value (not shown here)".to_owned(),
        };
        self.add(path, format!("{shown} {complaint}; {}", rule(path)));
    }

    /// Books that a required option is missing.
    pub(super) fn add_missing(&mut self, path: &Path) {
        self.add(path, format!("missing; {}", rule(path)));
    }

    /// Books that the value at this place could not be read into the option's type, or that
    /// there is no such option.
    pub(super) fn add_unreadable(&mut self, path: &Path) {
        match Opt::at(path) {
            Some(option) => self.add_value(path, &complaint(option.shape)),
            None => self.add_unknown(path),
        }
    }

    /// Whether nothing was booked at or inside this place.
    pub(super) fn none_within(&self, path: &Path) -> bool {
        !self.list.iter().any(|fault| fault.path.is_within(path))
    }

    /// The report, or `Ok` when there is nothing to report.
    pub(super) fn into_result(mut self, file: PathBuf) -> Result<(), ConfigFaults> {
        if self.list.is_empty() {
            return Ok(());
        }
        self.list.sort_by_key(|fault| fault.line);
        Err(ConfigFaults {
            file,
            faults: self.list,
        })
    }

    fn add_unknown(&mut self, path: &Path) {
        let known = siblings(path);
        let name = path.last_key().unwrap_or_default();
        let advice = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.add(path, format!("there is no such option; {advice}"));
    }
}

/// Whether a key might stand at this place, rightly or by mistake.
fn may_hold_secret(path: &Path) -> bool {
    let secret = |place: &Path| Opt::at(place).is_none_or(|option| option.shape == Shape::Secret);
    let list = Opt::at(path).is_some_and(|option| option.shape == Shape::List);
    secret(path) || (list && secret(&path.index(0)))
}

/// What the option at this place is, with an example.
fn rule(path: &Path) -> String {
    match Opt::at(path) {
        Some(option) => format!("it is {}, for example {}", option.meaning, option.example),
        None => "it is no known option".to_owned(),
    }
}

/// What is wrong with a value that is not of this shape.
pub(super) fn complaint(shape: Shape) -> String {
    match shape {
        Shape::Text => "is no text in quotes".to_owned(),
        Shape::Word(words) => format!("is none of {}", words.join(", ")),
        Shape::Secret => "is no reference".to_owned(),
        Shape::Money => "is no decimal amount in quotes".to_owned(),
        Shape::Count(least, most) => format!("is no whole number from {least} to {most}"),
        Shape::Number(least, most) => format!("is no number from {least} to {most}"),
        Shape::Switch => "is neither true nor false".to_owned(),
        Shape::List => "is no list".to_owned(),
        Shape::Table => "is no table".to_owned(),
    }
}
