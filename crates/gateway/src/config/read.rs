//! From the tree of a config file to its raw layer, past every fault on the way.

use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::fault::Faults;
use super::options::{Opt, Shape};
use super::path::{Path, Step};
use super::raw::RawConfig;

/// The raw layer without the values that could not be read; each of them is booked as a fault.
///
/// Reading stops at its first error. To find them all, the value at fault is taken out of the
/// tree and the rest is read again; every round removes a value, so it ends.
pub(super) fn read(faults: &mut Faults<'_, '_>) -> RawConfig {
    let mut tree = faults.source().tree();
    loop {
        let reader = Deserializer::from(tree.clone());
        let error = match serde_path_to_error::deserialize(reader) {
            Ok(raw) => return raw,
            Err(error) => error,
        };
        let path = Path::from(error.path());
        faults.add_unreadable(&path);
        if !take_out(tree.get_mut(), &path) {
            return RawConfig::default();
        }
    }
}

/// Takes the value at this place out of the tree; `false` when there is none.
fn take_out(tree: &mut DeTable<'_>, path: &Path) -> bool {
    let Some((last, way)) = path.steps().split_last() else {
        return false;
    };
    let Some((Step::Key(first), way)) = way.split_first() else {
        // The value stands at the top of the file.
        return matches!(last, Step::Key(key) if tree.remove(key.as_str()).is_some());
    };
    let mut place = tree.get_mut(first.as_str()).map(Spanned::get_mut);
    for step in way {
        place = match (step, place) {
            (Step::Key(key), Some(DeValue::Table(table))) => {
                table.get_mut(key.as_str()).map(Spanned::get_mut)
            }
            (Step::Index(index), Some(DeValue::Array(list))) => {
                list.get_mut(*index).map(Spanned::get_mut)
            }
            _ => None,
        };
    }
    match (last, place) {
        (Step::Key(key), Some(DeValue::Table(table))) => table.remove(key.as_str()).is_some(),
        (Step::Index(index), Some(DeValue::Array(list))) => list.get_mut(*index).is_some_and(|v| {
            // A list keeps its length, so that the places of later entries stay right.
            *v.get_mut() = match Opt::at(path).map(|option| option.shape) {
                Some(Shape::Table) => DeValue::Table(DeTable::new()),
                _ => DeValue::String("".into()),
            };
            true
        }),
        _ => false,
    }
}
