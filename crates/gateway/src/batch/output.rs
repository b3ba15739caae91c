//! The output file, made from a finished job.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ledger::{JobId, Reader};

/// The output's full path, by which its run is known from wherever it is started.
pub(super) fn resolved(output: &Path) -> anyhow::Result<PathBuf> {
    let name = output.file_name().with_context(|| {
        format!(
            "{} names no file; give the output a name, for example out.jsonl",
            output.display()
        )
    })?;
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = folder
        .canonicalize()
        .with_context(|| format!("the output's folder {} can't be found", folder.display()))?;
    Ok(folder.join(name))
}

/// Writes every result of a job in the order of its input. The file is replaced when all of it
/// is on disk, so that it is never seen half-written.
pub(super) fn write(reader: &Reader, job: JobId, output: &Path) -> anyhow::Result<()> {
    let mut part = output.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write_part(reader, job, &part)
        .and_then(|()| std::fs::rename(&part, output).map_err(anyhow::Error::from));
    written.with_context(|| {
        let _leftover = std::fs::remove_file(&part);
        format!(
            "{} can't be written; the results are kept: make room and run the same command again",
            output.display()
        )
    })
}

fn write_part(reader: &Reader, job: JobId, part: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(part)?);
    for item in reader.job_results(job)? {
        writeln!(file, "{}", item?.result)?;
    }
    file.into_inner()
        .map_err(|error| error.into_error())?
        .sync_all()?;
    Ok(())
}
