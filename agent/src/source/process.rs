//! `credential_process` (AWS SDKs reference, process credential provider): a command that the user has allowed.

use super::answer;
use super::command::Command;
use super::error::Error;
use super::spawn::CommandRunner;
use super::{CredentialSource, SourceCredentials};
use crate::world::BoxFuture;
use std::sync::Arc;

/// One command. There is no [`Command`] that is not allowed.
pub(super) struct Process {
    runner: Arc<dyn CommandRunner>,
    command: Command,
}

impl Process {
    pub(super) fn new(runner: Arc<dyn CommandRunner>, command: Command) -> Self {
        Self { runner, command }
    }
}

impl CredentialSource for Process {
    fn fetch(&self) -> BoxFuture<'_, Result<SourceCredentials, Error>> {
        Box::pin(async { answer::printed(&self.runner.run(&self.command).await?) })
    }
}
