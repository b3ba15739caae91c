//! `tiergate model pull`: fetches a model's file, whole and proven, or not at all.

mod fetch;
mod part;
mod source;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use indicatif::DecimalBytes;
use llama::ModelFile;
use upstream::{Address, DownloadOptions, Downloads, Egress, EgressOptions, SecretString};

use self::part::Part;
use self::source::Source;
use super::folder::{FolderArgs, ModelFolder, ModelName, Record};
use super::inspect::sha256;
use crate::signal::Stopping;
use crate::terminal::{complain, say};

/// The variable with the token for gated repositories.
const TOKEN_VARIABLE: &str = "HF_TOKEN";

/// The exit code of a program that an interrupt ended, as shells count.
const EXIT_INTERRUPTED: u8 = 130;

/// `tiergate model pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The https address of a .gguf file, or a Hugging Face repository: owner/name, with :file.gguf
    /// or :a part of its name, for example :Q4_K_M. The token in $HF_TOKEN is sent to the
    /// repository's server and to no other.
    source: String,
    /// The name of the model here; by default its file's, without .gguf.
    #[arg(long)]
    name: Option<String>,
    /// The SHA-256 that the file must have; by default the one that the repository states.
    #[arg(long, value_name = "HEX", value_parser = parse_sha256)]
    sha256: Option<String>,
    /// Which file of the repository.
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// The server of repositories.
    #[arg(long, value_name = "URL", default_value = "https://huggingface.co")]
    endpoint: String,
    /// A PEM file with certificate authorities to trust beside the public ones.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    folder: FolderArgs,
}

fn parse_sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a SHA-256 has 64 hexadecimal digits".to_owned())
    }
}

pub(super) fn run(args: &PullArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(pull(args))
}

async fn pull(args: &PullArgs) -> anyhow::Result<ExitCode> {
    let folder = args.folder.folder()?;
    let source = Source::parse(&args.source, args.file.as_deref())?;
    let endpoint = Address::parse(&args.endpoint).context("--endpoint")?;
    let downloads = downloads(args, &endpoint)?;
    let address = source.address(&downloads, &endpoint).await?;
    let name = name(args, &address)?;
    let file = folder.file(&name);
    if file.exists() {
        return already_there(args, (&folder, &name), &address);
    }
    let expected = args.sha256.as_deref();
    let mut part = Part::open((&folder, &name), &address.to_string(), expected)?;
    // Another pull may have ended while this one waited for its lock.
    if file.exists() {
        return already_there(args, (&folder, &name), &address);
    }
    let mut stopping = Stopping::listen()?;
    let fetched = tokio::select! {
        fetched = fetch::fetch((&downloads, &endpoint), &address, expected, &mut part) => {
            fetched.map(|()| true)
        }
        () = stopping.recv() => Ok(false),
    };
    if !matches!(fetched, Ok(true)) {
        part.tidy()?;
        fetched?;
        complain("stopped; what has come is kept, and the same command goes on from there");
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    let stated = part.record().sha256.clone();
    let record = part.finish(expected.or(stated.as_deref()))?;
    report(&name, &record, expected.is_some() || stated.is_some());
    look_into(&file);
    Ok(ExitCode::SUCCESS)
}

fn downloads(args: &PullArgs, endpoint: &Address) -> anyhow::Result<Downloads> {
    let egress = Egress::new(&EgressOptions {
        extra_roots_pem: args.ca_file.clone(),
    })?;
    let token = std::env::var(TOKEN_VARIABLE).ok();
    let token = token.filter(|token| !token.is_empty());
    let token = token.map(|token| (endpoint.clone(), SecretString::from(token)));
    let options = DownloadOptions {
        token,
        ..DownloadOptions::default()
    };
    Downloads::new(&egress, &options).context(TOKEN_VARIABLE)
}

fn name(args: &PullArgs, address: &Address) -> anyhow::Result<ModelName> {
    if let Some(name) = &args.name {
        return ModelName::new(name).context("--name");
    }
    let stem = address
        .file_name()
        .and_then(|file| file.strip_suffix(".gguf"));
    let stem = stem.with_context(|| {
        format!(
            "{address} does not end in the name of a .gguf file; give the model one with --name"
        )
    })?;
    ModelName::new(stem).context("give the model another with --name")
}

/// Says that there is nothing to do, if what is there is what was asked for.
fn already_there(
    args: &PullArgs,
    (folder, name): (&ModelFolder, &ModelName),
    address: &Address,
) -> anyhow::Result<ExitCode> {
    let record = Record::read(&folder.record(name)).unwrap_or_default();
    let same = match &args.sha256 {
        Some(expected) => *expected == sha256(&folder.file(name))?,
        None => record.source == address.to_string(),
    };
    ensure!(
        same,
        "there is another model {name}; give this one another name with --name, or delete that \
         one with `tiergate model remove {name}`"
    );
    say(format_args!("{name} is there already"));
    Ok(ExitCode::SUCCESS)
}

fn report(name: &ModelName, record: &Record, proven: bool) {
    let size = DecimalBytes(record.size_bytes.unwrap_or_default());
    let sha256 = record.sha256.as_deref().unwrap_or_default();
    let proof = if proven {
        "as it should be"
    } else {
        "which nobody stated: compare it with the publisher's"
    };
    say(format_args!("{name}: {size}, SHA-256 {sha256}, {proof}"));
    say(format_args!(
        "to use it in a local tier: model = \"{name}\"; to try it: tiergate model chat --model {name}"
    ));
}

/// Says at once what would be found out only when the model is used.
fn look_into(file: &Path) {
    if let Err(error) = ModelFile::open(file) {
        complain(format_args!(
            "the engine can't use it as it stands: {error}"
        ));
    }
}
