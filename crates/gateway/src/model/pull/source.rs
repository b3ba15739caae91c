//! Where a model is fetched from: an address, or a repository of Hugging Face.

use anyhow::{Context as _, bail, ensure};
use indicatif::DecimalBytes;
use serde::Deserialize;
use upstream::{Address, DownloadError, Downloads};

/// The most of a repository's list of files that is read; the largest have some hundred kilobytes.
const LIST_BYTES_MAX: usize = 16 << 20;

/// What a person named.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file's address.
    Address(Address),
    /// A repository, and which of its files.
    Repository {
        /// `owner/name`.
        repository: String,
        /// The file, or a part of its name that no other file has.
        file: Option<String>,
    },
}

impl Source {
    /// Reads `https://…` or `owner/name[:file]`.
    pub(super) fn parse(text: &str, file: Option<&str>) -> anyhow::Result<Self> {
        if text.contains("://") {
            ensure!(
                file.is_none(),
                "--file chooses from a repository; an address names its file itself"
            );
            let address = Address::parse(text)?;
            ensure!(
                !address.to_string().contains("/blob/"),
                "{address} is the page about a file; the file itself is where `/blob/` is \
                 `/resolve/`"
            );
            return Ok(Self::Address(address));
        }
        let (repository, named) = match text.split_once(':') {
            Some((repository, file)) => (repository, Some(file)),
            None => (text, None),
        };
        let step = |step: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !step.is_empty() && !step.starts_with('.') && step.bytes().all(plain)
        };
        let right = repository
            .split_once('/')
            .is_some_and(|(owner, name)| step(owner) && step(name));
        ensure!(
            right,
            "`{}` is neither an address (https://…) nor a repository (owner/name or \
             owner/name:file.gguf)",
            text.escape_debug()
        );
        ensure!(
            named.is_none() || file.is_none(),
            "the file is named twice, after `:` and with --file"
        );
        let file = named.or(file).map(str::to_owned);
        let climbs = |file: &String| file.split('/').any(|step| step.is_empty() || step == "..");
        ensure!(
            !file.as_ref().is_some_and(climbs),
            "the file's name must be that of a file in the repository"
        );
        let repository = repository.to_owned();
        Ok(Self::Repository { repository, file })
    }

    /// The address of the one file that is meant.
    pub(super) async fn address(
        &self,
        downloads: &Downloads,
        endpoint: &Address,
    ) -> anyhow::Result<Address> {
        let (repository, file) = match self {
            Self::Address(address) => return Ok(address.clone()),
            Self::Repository { repository, file } => (repository, file.as_deref()),
        };
        let file = match file {
            Some(file) if file.ends_with(".gguf") => file.to_owned(),
            wanted => {
                let list = endpoint.join(&["api/models", repository]);
                let list = list.with_query("blobs=true")?;
                let files = downloads.text(&list, LIST_BYTES_MAX).await;
                let files = files.map_err(|error| explained(error, endpoint))?;
                let files: Repository = serde_json::from_slice(&files)
                    .with_context(|| format!("{list} is no list of a repository's files"))?;
                files.choose(repository, wanted)?
            }
        };
        Ok(endpoint.join(&[repository, "resolve/main", &file]))
    }
}

/// The error with what to do about it.
pub(super) fn explained(error: DownloadError, endpoint: &Address) -> anyhow::Error {
    let host = endpoint.host();
    let advice = match error.status() {
        Some(401 | 403) => format!(
            "the model may be gated or private: accept its terms on {host}, and give a token \
             that may read it in the variable HF_TOKEN"
        ),
        Some(404) => "there is no such file; look at its name and its owner's once more".to_owned(),
        Some(429) => "it is asked too often; wait, then pull again".to_owned(),
        _ if error.is_retryable() => {
            "see whether this machine may reach it (a mirror is named with --endpoint), then \
             pull again: what has come is kept"
                .to_owned()
        }
        _ => return error.into(),
    };
    anyhow::anyhow!("{error}; {advice}")
}

/// What the repository's server says of it.
#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    siblings: Vec<RepositoryFile>,
}

#[derive(Deserialize)]
struct RepositoryFile {
    rfilename: String,
    size: Option<u64>,
}

impl Repository {
    /// The name of the one model file that has `wanted` in it.
    fn choose(self, repository: &str, wanted: Option<&str>) -> anyhow::Result<String> {
        let mut models = self.siblings;
        models.retain(|file| {
            let name = &file.rfilename;
            name.ends_with(".gguf") && name.split('/').all(|step| !matches!(step, "" | "." | ".."))
        });
        ensure!(
            !models.is_empty(),
            "{repository} has no GGUF file; look for a repository of this model whose name ends \
             in GGUF"
        );
        let fits = |file: &&RepositoryFile| {
            let name = file.rfilename.to_ascii_lowercase();
            wanted.is_none_or(|wanted| name.contains(&wanted.to_ascii_lowercase()))
        };
        let mut fitting = models.iter().filter(fits);
        if let (Some(file), None) = (fitting.next(), fitting.next()) {
            return Ok(file.rfilename.clone());
        }
        let list: String = models
            .iter()
            .map(|file| {
                let size = file.size.map(|size| format!("  {}", DecimalBytes(size)));
                let name = file.rfilename.escape_debug();
                format!("\n  {repository}:{name}{}", size.unwrap_or_default())
            })
            .collect();
        bail!("which file of {repository}? It has{list}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_or_a_repository() {
        let repository = |text: &str, file: Option<&str>| match Source::parse(text, file) {
            Ok(Source::Repository { repository, file }) => (repository, file),
            other => panic!("{other:?}"),
        };
        assert_eq!(repository("o/n", None), ("o/n".into(), None));
        let named = ("o/n.GGUF".into(), Some("d/f.gguf".into()));
        assert_eq!(repository("o/n.GGUF:d/f.gguf", None), named);
        assert_eq!(repository("o/n.GGUF", Some("d/f.gguf")), named);
        assert!(Source::parse("https://a/b.gguf", None).is_ok());
        for (text, file) in [
            ("n", None),
            ("o/n/f.gguf", None),
            ("../n", None),
            ("o/n:../f.gguf", None),
            ("o/n:a.gguf", Some("b.gguf")),
            ("https://a/b.gguf", Some("c.gguf")),
            ("https://a/o/n/blob/main/b.gguf", None),
            ("http://a/b.gguf", None),
        ] {
            assert!(Source::parse(text, file).is_err(), "{text}");
        }
    }

    #[test]
    fn a_repositorys_file_is_chosen_only_where_one_is_meant() {
        let choose = |wanted: Option<&str>| {
            let text = r#"{"siblings": [{"rfilename": "README.md"}, {"rfilename": "a-Q4_K_M.gguf",
                "size": 2000000}, {"rfilename": "a-Q8_0.gguf"}, {"rfilename": "../x-q8.gguf"}]}"#;
            let files: Repository = serde_json::from_str(text).unwrap();
            files.choose("o/n", wanted)
        };
        assert_eq!(choose(Some("q8_0")).unwrap(), "a-Q8_0.gguf");
        for unclear in [None, Some("a-"), Some("F16")] {
            let message = choose(unclear).unwrap_err().to_string();
            assert!(message.contains("o/n:a-Q4_K_M.gguf  2.00 MB"), "{message}");
            assert!(message.contains("o/n:a-Q8_0.gguf"), "{message}");
        }
    }
}
