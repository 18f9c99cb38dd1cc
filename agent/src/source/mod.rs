//! Desk of the sources of base credentials besides the vault's access keys: the container endpoint, the instance
//! metadata service, and commands that the user has allowed.
//!
//! [`SourceRules`] decide without I/O what a profile may use and give a [`Source`]; [`Sources`] ask it. A command that
//! is not listed has no [`Command`], so none can be run. Nothing here obeys the environment, keeps credentials, or puts
//! what a source said into an error.

mod answer;
mod command;
mod container;
mod error;
#[cfg(any(test, feature = "test-seams"))]
pub mod fake;
mod imds;
#[cfg(test)]
mod mutations;
mod process;
mod rules;
mod spawn;

pub use command::{Command, CommandRefused};
pub use error::{Ending, Error, Kind};
pub use rules::{ContainerPlace, Source, SourceRules};
pub use spawn::{CommandRunner, Spawner};

use crate::aws::Http;
use crate::world::{BoxFuture, WallTime, World};
use claviger::model::{AccessKeyId, AccountId};
use claviger::secret::{SecretAccessKey, SessionToken};
use std::sync::{Arc, PoisonError, RwLock};

/// Where base credentials come from: one implementation a source.
pub trait CredentialSource: Send + Sync {
    /// Asks once. Ends by itself; whoever drops it has ended what it began.
    fn fetch(&self) -> BoxFuture<'_, Result<SourceCredentials, Error>>;
}

/// What a source gave.
pub struct SourceCredentials {
    /// The id of the key.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    pub secret: SecretAccessKey,
    /// The token of a session; long-lived keys have none.
    pub token: Option<SessionToken>,
    /// When they end, where the source says it.
    pub expiration: Option<WallTime>,
    /// The account they act in, where the source says it.
    pub account: Option<AccountId>,
    /// Who they act as, as well as the source says it.
    pub principal: String,
}

/// Asks sources. A clone asks by the same rules.
#[derive(Clone)]
pub struct Sources {
    world: World,
    http: Arc<dyn Http>,
    runner: Arc<dyn CommandRunner>,
    metadata_token: Arc<imds::Token>,
    rules: Arc<RwLock<Arc<SourceRules>>>,
}

impl Sources {
    /// `http` reaches this machine and its link: it obeys no proxy.
    pub fn new(world: World, http: Arc<dyn Http>, runner: Arc<dyn CommandRunner>) -> Self {
        Self {
            world,
            http,
            runner,
            metadata_token: Arc::default(),
            rules: Arc::new(RwLock::new(Arc::new(SourceRules::none()))),
        }
    }

    /// From now on by these rules. Until then only the metadata service at AWS's own address is allowed.
    pub fn settle(&self, rules: SourceRules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// What a profile may use.
    pub fn rules(&self) -> Arc<SourceRules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The source, ready to be asked.
    pub fn open(&self, source: &Source) -> Box<dyn CredentialSource> {
        match source {
            Source::Container(place) => {
                Box::new(container::Container::new(self.world.clone(), self.http.clone(), place.clone()))
            }
            Source::InstanceMetadata(endpoint) => Box::new(imds::InstanceMetadata::new(
                self.world.clock.clone(),
                self.http.clone(),
                endpoint.clone(),
                self.metadata_token.clone(),
            )),
            Source::Process(command) => Box::new(process::Process::new(self.runner.clone(), command.clone())),
        }
    }
}
