//! A hash of everything in the config that shapes a task's answers.

use domain::Protocol;
use routing::certificate::Risk;
use sha2::{Digest as _, Sha256};

use super::checked::{Config, LocalTier, ModelSource, RecordsSource, RemoteTier, TaskConfig, Tier};

/// The encoding that is hashed. It is raised whenever the meaning of a field changes, so that
/// old fingerprints never stand for new answers.
const VERSION: &str = "tiergate task 2";

impl TaskConfig {
    /// The SHA-256 of everything in the config that shapes this task's answers: its kind, prompt,
    /// labels, sensitivity, generation settings, target or threshold, records, and its tiers with
    /// their models and servers. Two configs with the same fingerprint answer alike, as far as
    /// the config decides it; the *contents* of model files and records are not in it.
    ///
    /// Secrets, prices, budgets, limits of time and load, and the server's settings are left out:
    /// they decide whether an answer comes, not which. Paths count from the config's folder, so
    /// that a config that is moved together with its files, or is named from another folder,
    /// keeps its fingerprint.
    pub(crate) fn fingerprint(&self, config: &Config) -> [u8; 32] {
        let mut hash = Encoder(Sha256::new());
        hash.text(VERSION);
        hash.text(self.task.kind.as_str());
        hash.text(&self.task.prompt);
        hash.text(self.task.sensitivity.as_str());
        hash.list(
            self.task.labels.iter().flat_map(|labels| labels.iter()),
            |hash, label| {
                hash.text(&label.name);
                hash.option(label.definition.as_ref(), |hash, text| hash.text(text));
            },
        );
        hash.list(self.flagged.iter(), |hash, index| {
            hash.number(*index as u64)
        });
        hash.option(self.target.as_ref(), |hash, target| {
            hash.number(target.max_error.to_bits());
            if target.risk == Risk::Marginal {
                hash.text("of all");
            }
            hash.option(target.confidence, |hash, confidence| {
                hash.number(confidence.to_bits())
            });
        });
        hash.list(self.max_missed.iter(), |hash, (label, share)| {
            hash.number(*label as u64);
            hash.number(share.to_bits());
        });
        // What came later is told only where it is used.
        if !self.max_wrong.is_empty() {
            hash.text("max_wrong");
            hash.list(self.max_wrong.iter(), |hash, (label, share)| {
                hash.number(*label as u64);
                hash.number(share.to_bits());
            });
        }
        hash.option(self.threshold.as_ref(), |hash, share| {
            hash.number(share.to_bits())
        });
        hash.option(self.records.as_ref(), |hash, records| {
            hash.records(records, config)
        });
        hash.number(self.max_completion_tokens.0);
        hash.number(u64::from(self.temperature.to_bits()));
        hash.text(&self.text_field);
        hash.text(&self.id_field);
        hash.list(self.task.tiers.iter(), |hash, name| {
            hash.text(name.as_str());
            hash.option(config.tiers.get(name), |hash, tier| hash.tier(tier, config));
        });
        if self.self_check {
            hash.text("self-check");
        }
        if self.router {
            hash.text("router");
        }
        hash.0.finalize().into()
    }
}

/// Feeds values to the hash so that different sequences of values never read alike: every text
/// and list begins with its length, and every choice with its number.
struct Encoder(Sha256);

impl Encoder {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, encode: impl Fn(&mut Self, T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            encode(self, value);
        }
    }

    fn list<T>(&mut self, values: impl Iterator<Item = T>, encode: impl Fn(&mut Self, T)) {
        let values: Vec<T> = values.collect();
        self.number(values.len() as u64);
        for value in values {
            encode(self, value);
        }
    }

    fn path(&mut self, path: &std::path::Path, config: &Config) {
        let folder = config.folder();
        self.text(&path.strip_prefix(folder).unwrap_or(path).to_string_lossy());
    }

    fn records(&mut self, records: &RecordsSource, config: &Config) {
        self.path(&records.path, config);
        self.number(records.rows.start as u64);
        self.number(records.rows.end as u64);
        self.text(&records.text);
        self.text(&records.gold);
    }

    fn tier(&mut self, tier: &Tier, config: &Config) {
        self.text(tier.kind().as_str());
        match tier {
            Tier::Student | Tier::Person => {}
            Tier::Local(LocalTier { model, .. }) => match model {
                ModelSource::Starter => self.number(0),
                ModelSource::File(path) => {
                    self.number(1);
                    self.path(path, config);
                }
            },
            Tier::Pool(remote) | Tier::Frontier(remote) => {
                let RemoteTier {
                    url,
                    model,
                    other_urls,
                    protocol,
                    sends_sampling,
                    ..
                } = remote;
                self.text(url);
                self.text(model);
                self.number(u64::from(*sends_sampling));
                // What came later is told only where it is used, so that results of before are
                // still known. No kind of tier, which else follows, has such a name.
                if *protocol != Protocol::OpenAiChat || !other_urls.is_empty() {
                    self.text("protocol and urls");
                    self.text(protocol.name());
                    self.list(other_urls.iter(), |hash, url| hash.text(url));
                }
            }
        }
    }
}
