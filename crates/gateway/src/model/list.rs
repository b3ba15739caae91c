//! `tiergate model list`: the models that were fetched.

use clap::Args;
use indicatif::DecimalBytes;
use serde_json::{Value, json};

use super::folder::{FolderArgs, ModelFolder, ModelName, Record};
use crate::terminal::{say, table};

/// `tiergate model list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// A model in the folder.
struct Listed {
    name: ModelName,
    /// Bytes that are there.
    bytes: u64,
    whole: bool,
    record: Record,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<()> {
    let folder = args.folder.folder()?;
    let names = folder.names()?;
    let models: Vec<Listed> = names
        .into_iter()
        .filter_map(|name| listed(&folder, name))
        .collect();
    if args.json {
        say(Value::Array(
            models.iter().map(|model| json(&folder, model)).collect(),
        ));
    } else if models.is_empty() {
        say(format_args!(
            "no models in {}; `tiergate model pull` fetches one",
            folder.path().display()
        ));
    } else {
        let mut rows = table(&["name", "size", "sha256", "from"]);
        for model in &models {
            let hash = model.record.sha256.as_deref().unwrap_or("unknown");
            rows.add_row([
                model.name.to_string(),
                size(model),
                hash.chars().take(12).collect(),
                model.record.source.clone(),
            ]);
        }
        say(rows);
    }
    Ok(())
}

/// None where the files have gone since they were listed.
fn listed(folder: &ModelFolder, name: ModelName) -> Option<Listed> {
    let whole = std::fs::metadata(folder.file(&name)).ok();
    let (about, record) = match &whole {
        Some(about) => (about.clone(), folder.record(&name)),
        None => {
            let about = std::fs::metadata(folder.part(&name)).ok()?;
            (about, folder.part_record(&name))
        }
    };
    Some(Listed {
        name,
        bytes: about.len(),
        whole: whole.is_some(),
        record: Record::read(&record).unwrap_or_default(),
    })
}

fn size(model: &Listed) -> String {
    let bytes = DecimalBytes(model.bytes);
    match (model.whole, model.record.size_bytes) {
        (true, _) => bytes.to_string(),
        (false, Some(whole)) => format!("{bytes} of {}, unfinished", DecimalBytes(whole)),
        (false, None) => format!("{bytes}, unfinished"),
    }
}

fn json(folder: &ModelFolder, model: &Listed) -> Value {
    let path = if model.whole {
        folder.file(&model.name)
    } else {
        folder.part(&model.name)
    };
    json!({
        "name": model.name.to_string(),
        "path": path,
        "finished": model.whole,
        "bytes": model.bytes,
        "size_bytes": if model.whole { Some(model.bytes) } else { model.record.size_bytes },
        "sha256": model.record.sha256,
        "source": if model.record.source.is_empty() { None } else { Some(&model.record.source) },
    })
}
