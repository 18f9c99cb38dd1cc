//! The settings that the agent runs by: config.toml as last read well, and of the security settings what was accepted.

use crate::aws::{AwsEdge, EndpointRules, HyperHttp, Service, Unplugged};
use crate::config::{Accepted, Config, ConfigSource, ConfigStamps};
use crate::source::{SourceRules, Sources};
use crate::world::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Both, and what keeps them up to date.
pub struct Settings {
    source: ConfigSource,
    config: RwLock<Arc<Config>>,
    reading: Mutex<Reading>,
    /// None until the vault has been opened.
    in_force: RwLock<Option<Arc<Accepted>>>,
    /// The vault had none, so those of the file were taken when it was opened.
    taken_at_unlock: AtomicBool,
}

/// The last look at the files.
struct Reading {
    stamps: ConfigStamps,
    /// Why config.toml is not used as it stands.
    mistake: Option<String>,
    /// The security settings that it asks for, or why there are none: the CA bundle.
    asked: Result<Accepted, String>,
}

impl Settings {
    /// Reads config.toml. Refuses a mistake in it; a CA bundle that cannot be read is told later, since the accepted
    /// one is in the vault.
    pub fn read(source: ConfigSource, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let config = source.read().map_err(|error| error.to_string())?;
        rules(&Accepted { security: config.security.clone(), ca_bundle: None })?;
        let asked = asked(&source, &config, clock);
        let reading = Mutex::new(Reading { stamps: source.stamps(&config), mistake: None, asked });
        let config = RwLock::new(Arc::new(config));
        Ok(Self { source, config, reading, in_force: RwLock::default(), taken_at_unlock: AtomicBool::new(false) })
    }

    /// What config.toml says. Of its security settings only [`Settings::in_force`] counts.
    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The accepted security settings; None until the vault has been opened.
    pub fn in_force(&self) -> Option<Arc<Accepted>> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The security settings that config.toml asks for, or why they cannot be.
    pub fn asked(&self) -> Result<Accepted, String> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match &reading.mistake {
            Some(mistake) => Err(mistake.clone()),
            None => reading.asked.clone(),
        }
    }

    /// Looks whether the files have changed, and reads them if so: the settings other than security where they did.
    /// One with a mistake changes nothing.
    pub fn refresh(&self, clock: &Arc<dyn Clock>) -> Option<Arc<Config>> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.config();
        let stamps = self.source.stamps(&before);
        if stamps == reading.stamps {
            return None;
        }
        let read = self.source.read().map_err(|error| error.to_string());
        let checked = read
            .and_then(|config| rules(&Accepted { security: config.security.clone(), ca_bundle: None }).map(|_| config));
        match checked {
            Ok(config) => {
                // Looked at before it was read: what changes in between is seen at the next look.
                let stamps = [stamps.first().copied().flatten(), self.source.stamps(&config).last().copied().flatten()];
                let asked = asked(&self.source, &config, clock.clone());
                *reading = Reading { stamps, mistake: None, asked };
                let changed = Arc::new(config);
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = changed.clone();
                (*changed != *before).then_some(changed)
            }
            Err(mistake) => {
                (reading.stamps, reading.mistake) = (stamps, Some(mistake));
                None
            }
        }
    }

    /// Puts the settings of the vault in force, or those of the file where it has none yet.
    pub fn settle(&self, pinned: Option<&str>, aws: &AwsEdge, sources: &Sources, clock: Arc<dyn Clock>) {
        let accepted = match pinned {
            Some(text) => Accepted::from_text(text),
            // Without its bundle where that cannot be read: fewer are trusted, not more.
            None => {
                self.asked().unwrap_or_else(|_| Accepted { security: self.config().security.clone(), ca_bundle: None })
            }
        };
        let network = rules(&accepted).and_then(|(rules, allowed)| {
            sources.settle(allowed);
            HyperHttp::new(&accepted, clock).map(|http| (rules, http)).map_err(|error| error.to_string())
        });
        match network {
            Ok((rules, http)) => aws.settle(Arc::new(http), rules),
            Err(error) => {
                tracing::error!(error, "the accepted settings cannot be used: AWS is not called");
                aws.settle(Arc::new(Unplugged), EndpointRules::default());
                sources.settle(SourceRules::none());
            }
        }
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(accepted));
    }

    /// Notes that the vault had no accepted settings when it was opened, or that a person knows.
    pub fn set_taken_at_unlock(&self, taken: bool) {
        self.taken_at_unlock.store(taken, Ordering::Relaxed);
    }

    /// What a person should look at.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match (&reading.mistake, &reading.asked, self.in_force()) {
            (Some(mistake), ..) => {
                warnings.push(format!("config.toml is not used as it stands ({mistake}): claviger config check"));
            }
            (None, Err(why), _) => warnings.push(format!("{why}: claviger config check")),
            (None, Ok(asked), Some(in_force)) if *asked != *in_force => {
                warnings.push("config.toml asks for other security settings: claviger config accept".to_owned());
            }
            _ => {}
        }
        if self.taken_at_unlock.load(Ordering::Relaxed) {
            warnings.push(
                "the vault had no accepted security settings: those of config.toml were taken: claviger config show"
                    .to_owned(),
            );
        }
        warnings
    }
}

fn rules(accepted: &Accepted) -> Result<(EndpointRules, SourceRules), String> {
    let security = &accepted.security;
    let sources = SourceRules::new(&security.sources, &security.commands_allowed)
        .map_err(|error| format!("[sources]: {error}"))?;
    let endpoints = EndpointRules::new(
        &security.endpoints_allowed,
        &[
            (Service::Ec2, security.ec2_endpoint.as_deref()),
            (Service::Ec2InstanceConnect, security.ec2_instance_connect_endpoint.as_deref()),
            (Service::Iam, security.iam_endpoint.as_deref()),
            (Service::Sts, security.sts_endpoint.as_deref()),
        ],
    )
    .map_err(|error| format!("[endpoints]: {error}"))?;
    Ok((endpoints, sources))
}

/// With the bundle read and tried.
fn asked(source: &ConfigSource, config: &Config, clock: Arc<dyn Clock>) -> Result<Accepted, String> {
    let asked = source.asked(config).map_err(|error| format!("[network] ca_bundle cannot be read: {error}"))?;
    if asked.ca_bundle.is_some() {
        HyperHttp::new(&asked, clock).map_err(|error| error.to_string())?;
    }
    Ok(asked)
}
