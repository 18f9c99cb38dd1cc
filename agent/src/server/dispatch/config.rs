//! Requests about settings: what is in force, what waits to be accepted, and the acceptance.

use crate::config::{Accepted, Config};
use crate::server::Server;
use crate::server::conversation::Conversation;
use crate::server::fault::{self, Subject};
use crate::server::lock::blocking;
use crate::session::ProfileChange;
use crate::vault;
use claviger::wire::{ConfigChange, ConfigScope, ConfigSetting, ConfigView, Fault, Reply, SlotProof};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Most profiles of one answer: with the longest lines they fill half a line of the protocol.
const CHANGES_LIMIT: usize = 200;
/// Most characters of a line of a difference; with its digest it is shown whole by a client.
const LINE_LIMIT: usize = 200;

/// Everything that would be accepted.
struct Pending {
    /// The security settings, where they differ from what is in force.
    settings: Option<(Arc<Accepted>, Accepted)>,
    profiles: Vec<ProfileChange>,
}

impl Server {
    pub(super) async fn config_show(self: &Arc<Self>, scope: ConfigScope) -> Result<Reply, Fault> {
        let server = self.clone();
        let pending = blocking_fault(move || server.pending(&scope)).await?;
        let (changes, more) = pending.changes();
        Ok(Reply::Config(ConfigView {
            settings: self.rows(),
            changes,
            more,
            digest: pending.digest(),
            compared: self.settings.in_force().is_some(),
            mistake: self.settings.asked().err(),
        }))
    }

    /// Exactly what was shown, by a person who opens a slot afresh.
    pub(super) async fn config_accept(
        self: &Arc<Self>,
        proof: SlotProof,
        (scope, digest): (ConfigScope, String),
        conversation: &Conversation,
    ) -> Result<Reply, Fault> {
        self.custody.require_unlocked().map_err(fault::vault)?;
        if matches!(scope, ConfigScope::All {} | ConfigScope::Settings {}) {
            self.settings.asked().map_err(fault::config_invalid)?;
        }
        self.prove(proof, conversation).await?;
        self.refresh_settings();
        let server = self.clone();
        let pending = blocking_fault(move || server.pending(&scope)).await?;
        if pending.digest() != digest {
            return Err(fault::config_changed());
        }
        let server = self.clone();
        blocking(None, move || server.put_in_force(pending)).await.map_err(fault::vault)?;
        Ok(Reply::Done {})
    }

    /// Takes the settings of config.toml for a vault that has none: at init, and once for one of an older claviger.
    pub(in crate::server) fn take_settings(&self) {
        let (Some(in_force), Ok(asked)) = (self.settings.in_force(), self.settings.asked()) else { return };
        if self.custody.knowledge().pins.settings.is_some() || *in_force != asked {
            return;
        }
        let text: Arc<str> = asked.to_text().into();
        let taken = self.custody.edit(self.world.clock.wall(), |items| -> vault::Result<()> {
            items.pins.settings = Some(text);
            Ok(())
        });
        match taken {
            Ok(()) => self.settings.set_taken_at_unlock(true),
            Err(error) => tracing::warn!(%error, "the security settings are not in the vault yet"),
        }
    }

    fn put_in_force(&self, pending: Pending) -> vault::Result<()> {
        if let Some((_, asked)) = pending.settings {
            let text: Arc<str> = asked.to_text().into();
            self.custody.edit(self.world.clock.wall(), |items| -> vault::Result<()> {
                items.pins.settings = Some(text);
                Ok(())
            })?;
            tracing::info!("other security settings were accepted");
        }
        if !pending.profiles.is_empty() {
            self.office.accept_profiles(pending.profiles)?;
        }
        self.settings.set_taken_at_unlock(false);
        Ok(())
    }

    fn pending(&self, scope: &ConfigScope) -> Result<Pending, Fault> {
        let settings = match (scope, self.settings.in_force(), self.settings.asked()) {
            (ConfigScope::All {} | ConfigScope::Settings {}, Some(in_force), Ok(asked)) if *in_force != asked => {
                Some((in_force, asked))
            }
            _ => None,
        };
        let profiles = match scope {
            ConfigScope::Settings {} => Vec::new(),
            ConfigScope::All {} => self.office.changed_profiles(&*self.files.load().map_err(fault::files)?),
            ConfigScope::Profile(profile) => {
                if self.custody.never_opened() {
                    return Err(fault::closed(&self.custody));
                }
                let profiles = self.files.load().map_err(fault::files)?;
                let reads = self.config().aws_config_file.clone();
                let subject = Subject { profile: profile.clone(), reads, client_reads: None };
                let change = self.office.changed_profile(&profiles, profile);
                change.map_err(|error| fault::session(&error, &subject))?.into_iter().collect()
            }
        };
        Ok(Pending { settings, profiles })
    }

    /// The settings as they are: security ones as accepted, the others as config.toml has them or by default.
    fn rows(&self) -> Vec<ConfigSetting> {
        let config = self.config();
        let default = Config::resolve(None, Path::new("/")).ok();
        let mut rows = Vec::new();
        let named = |config: &Config| {
            [
                ("[aws] config_file", config.aws_config_file.display().to_string()),
                ("[aws] credentials_file", config.aws_credentials_file.display().to_string()),
                ("[aws] region", config.region.as_ref().map(ToString::to_string).unwrap_or_default()),
                ("[lock] idle", written(config.idle_lock_millis / 1000)),
                ("[lock] screen", config.lock_on_screen_lock.to_string()),
                ("[lock] suspend", config.lock_on_suspend.to_string()),
                ("[mfa] presence", written(config.presence_millis / 1000)),
                ("[mfa] session", written(config.session_seconds.into())),
                ("[vault] argon2_memory_mib", config.argon2_memory_mib.to_string()),
            ]
        };
        let defaults = default.as_ref().map(named);
        for (key, value) in named(&config) {
            let by_default = defaults.iter().flatten().any(|(known, default)| {
                // The default paths lie in a home; its own folder tells.
                *known == key && (*default == value || (key.ends_with("_file") && value.ends_with(default.as_str())))
            });
            let source = if by_default { "default" } else { "config.toml" };
            rows.push(ConfigSetting { key: key.to_owned(), value, source: source.to_owned() });
        }
        if let Some(accepted) = self.settings.in_force() {
            rows.extend(accepted.rows().into_iter().map(|(key, value)| ConfigSetting {
                key,
                value: cut(value),
                source: "accepted".to_owned(),
            }));
        }
        rows.sort_by(|one, other| one.key.cmp(&other.key));
        rows
    }
}

impl Pending {
    fn changes(&self) -> (Vec<ConfigChange>, usize) {
        let settings = self.settings.iter().map(|(in_force, asked)| {
            let lines = |accepted: &Accepted| -> BTreeSet<String> {
                accepted.rows().into_iter().map(|(key, value)| cut(format!("{key}: {value}"))).collect()
            };
            let (was, now) = (lines(in_force), lines(asked));
            ConfigChange {
                subject: "security settings".to_owned(),
                before: was.difference(&now).cloned().collect(),
                after: now.difference(&was).cloned().collect(),
            }
        });
        let profiles = self.profiles.iter().take(CHANGES_LIMIT).map(|change| ConfigChange {
            subject: cut(format!("profile {}", change.profile)),
            before: change.was.lines().into_iter().map(cut).collect(),
            after: change.now.lines().into_iter().map(cut).collect(),
        });
        (settings.chain(profiles).collect(), self.profiles.len().saturating_sub(CHANGES_LIMIT))
    }

    /// Of all of it, uncut.
    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let mut field = |text: &str| {
            digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(text.as_bytes());
        };
        if let Some((in_force, asked)) = &self.settings {
            field("settings");
            field(&in_force.to_text());
            field(&asked.to_text());
        }
        for change in &self.profiles {
            field("profile");
            field(&change.profile);
            for lines in [change.was.lines(), change.now.lines()] {
                field(&lines.len().to_string());
                lines.iter().for_each(|line| field(line));
            }
        }
        HEXLOWER.encode(&digest.finalize())
    }
}

/// A duration as config.toml has it.
fn written(seconds: u64) -> String {
    match seconds {
        _ if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Two lines that differ differ also where they are cut.
fn cut(text: String) -> String {
    match text.char_indices().nth(LINE_LIMIT) {
        Some((end, _)) => {
            let begin = text.get(..end).unwrap_or_default();
            format!("{begin}… (SHA-256 {})", HEXLOWER.encode(&Sha256::digest(&text)))
        }
        None => text,
    }
}

async fn blocking_fault<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(fault::internal()))
}
