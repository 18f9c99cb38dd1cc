//! Requests about the vault's SSH keys.

use crate::jobs;
use crate::jobs::ssh_key::{self, Surroundings};
use crate::server::Server;
use crate::server::conversation::Conversation;
use crate::server::fault;
use crate::server::lock::blocking;
use crate::vault::SshKey;
use claviger::model::Name;
use claviger::wire::{Fault, Reply, Request, SshKeyExport};
use std::sync::Arc;

impl Server {
    pub(super) async fn ssh_key_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        // What carries a proof is a person's, who opens the vault as one.
        if !matches!(request, Request::SshKeyExport { .. }) {
            self.open_by_keyring().await;
        }
        match request {
            Request::SshKeyAdd { name, key, key_passphrase, certificate, options } => {
                let (around, named) = (self.surroundings(), name.clone());
                let make = move || {
                    let file = (&key, key_passphrase.as_ref());
                    ssh_key::import(file, certificate.as_deref(), &named, &options, &around)
                };
                self.ssh_key_store(name, make, conversation).await
            }
            Request::SshKeyNew { name, kind, options } => {
                let (around, named) = (self.surroundings(), name.clone());
                self.ssh_key_store(name, move || ssh_key::generate(kind, &named, &options, &around), conversation).await
            }
            Request::SshKeyExport { name, format, key_passphrase, proof } => {
                self.prove(proof, conversation).await?;
                let (key, world) = (self.with_ssh_key(&name, SshKey::clone)?, self.world.clone());
                let work = move || Ok(ssh_key::export(&key, (format, key_passphrase.as_ref()), &*world.entropy));
                let (key, certificate) =
                    blocking(conversation.leave.clone(), work).await.map_err(fault::vault)?.map_err(fault::job)?;
                Ok(Reply::SshKeyExport(SshKeyExport { key, certificate }))
            }
            Request::SshKeyList { skip } => {
                let rows = self.custody.with_items(|items| ssh_key::page(items, skip));
                rows.map(Reply::SshKeys).map_err(fault::vault)
            }
            Request::SshKeyPublic { name } => {
                self.with_ssh_key(&name, |key| ssh_key::row(&name, key)).map(Reply::SshKey)
            }
            Request::SshKeyRemove { name } => {
                let now = self.world.clock.wall();
                ssh_key::remove(self.custody.clone(), name, now).await.map_err(fault::job)?;
                Ok(Reply::Done {})
            }
            _ => Err(fault::internal()),
        }
    }

    /// A name that is taken is told before any work is done.
    pub(super) async fn ssh_key_store(
        self: &Arc<Self>,
        name: Name,
        make: impl FnOnce() -> Result<SshKey, jobs::Error> + Send + 'static,
        conversation: &Conversation,
    ) -> Result<Reply, Fault> {
        self.ssh_key_is_free(&name)?;
        let (leave, now) = (conversation.leave.clone(), self.world.clock.wall());
        ssh_key::add(self.custody.clone(), leave, name, make, now).await.map(Reply::SshKey).map_err(fault::job)
    }

    /// Whether a name is free.
    pub(super) fn ssh_key_is_free(&self, name: &Name) -> Result<(), Fault> {
        match self.custody.with_items(|items| items.ssh_keys.contains_key(name)).map_err(fault::vault)? {
            true => Err(fault::job(jobs::Error::SshKeyExists(name.clone()))),
            false => Ok(()),
        }
    }

    pub(super) fn with_ssh_key<R>(&self, name: &Name, read: impl FnOnce(&SshKey) -> R) -> Result<R, Fault> {
        let found = self.custody.with_items(|items| items.ssh_keys.get(name).map(read)).map_err(fault::vault)?;
        found.ok_or_else(|| fault::job(jobs::Error::SshKeyNotFound(name.clone())))
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        Surroundings { world: self.world.clone(), home: self.home.clone() }
    }
}
