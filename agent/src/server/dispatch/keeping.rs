//! Requests about backups and the trash.

use super::vault::mismatch;
use crate::jobs::trash;
use crate::server::Server;
use crate::server::conversation::Conversation;
use crate::server::fault;
use crate::server::lock::{By, blocking};
use crate::vault::{KdfCost, Leave, TRASH_MILLIS, check_passphrase};
use crate::world::rfc3339;
use claviger::secret::Passphrase;
use claviger::wire::{Code, Fault, Reply, Request, SlotProof, TrashKind, TrashRow};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Server {
    pub(super) async fn keeping_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let now = self.world.clock.wall();
        match request {
            Request::Backup { file, proof } => self.back_up(file, proof, conversation).await,
            Request::Restore { file, proof, passphrase, replace } => {
                self.restore(file, (proof, passphrase), replace, conversation.leave.clone()).await
            }
            Request::VaultAccept { proof, digest } => {
                self.accept_older(proof, digest, conversation.leave.clone()).await
            }
            Request::TrashEmpty { proof } => {
                self.prove(proof, conversation).await?;
                trash::empty(self.custody.clone(), now).await.map_err(fault::job)?;
                Ok(Reply::Done {})
            }
            Request::TrashList {} => self.trash_rows(),
            Request::TrashRestore { name, kind, new_name } => {
                let kind = kind.map(|kind| match kind {
                    TrashKind::AccessKey => trash::Kind::AccessKey,
                    TrashKind::Authenticator => trash::Kind::Authenticator,
                    TrashKind::SshKey => trash::Kind::SshKey,
                });
                trash::restore(self.custody.clone(), name, kind, new_name, now).await.map_err(fault::job)?;
                Ok(Reply::Done {})
            }
            _ => Err(fault::internal()),
        }
    }

    async fn back_up(
        self: &Arc<Self>,
        file: PathBuf,
        proof: SlotProof,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        absolute(&file)?;
        // Before the code is shown: one that is written down must count.
        self.prove(proof, conversation).await?;
        let code = self.confirmed_code(conversation).await?;
        let code = code.ok_or_else(|| mismatch("no backup was made").hint("claviger backup FILE"))?;
        let (custody, now) = (self.custody.clone(), self.world.clock.wall());
        blocking(conversation.leave.clone(), move || custody.back_up(&file, &code, now)).await.map_err(fault::vault)?;
        Ok(Reply::Done {})
    }

    /// Sessions in memory were had with what may no longer be in the vault: they go.
    async fn restore(
        self: &Arc<Self>,
        file: PathBuf,
        (proof, passphrase): (SlotProof, Option<Passphrase>),
        replace: bool,
        leave: Option<Leave>,
    ) -> Result<Reply, Fault> {
        absolute(&file)?;
        if let Some(passphrase) = &passphrase {
            check_passphrase(passphrase).map_err(fault::vault)?;
        }
        let (server, now) = (self.clone(), self.world.clock.wall());
        let cost = self.passphrase_cost();
        let restore = move || {
            let passphrase: Option<(&Passphrase, KdfCost)> = passphrase.as_ref().map(|passphrase| (passphrase, cost));
            let between = || server.office.leave_vault();
            server.custody.restore(&file, &proof, passphrase, replace, now, between)
        };
        self.opening(By::Person, leave, restore).await.map_err(fault::vault)?;
        Ok(Reply::Done {})
    }

    /// The vault is used as it is from now on; what waited for that is done.
    async fn accept_older(
        self: &Arc<Self>,
        proof: SlotProof,
        digest: String,
        leave: Option<Leave>,
    ) -> Result<Reply, Fault> {
        let (server, now) = (self.clone(), self.world.clock.wall());
        let accept = move || {
            server.custody.accept_older(&proof, &digest, now)?;
            server.office.mark_presence();
            server.take_settings();
            server.office.save_pins();
            Ok(())
        };
        blocking(leave, accept).await.map_err(fault::vault)?;
        Ok(Reply::Done {})
    }

    fn trash_rows(&self) -> Result<Reply, Fault> {
        let rows = self.custody.with_items(|items| {
            let row = |entry: &crate::vault::Trashed| TrashRow {
                name: entry.name.clone(),
                kind: trash::kind(&entry.item).map(|kind| match kind {
                    trash::Kind::AccessKey => TrashKind::AccessKey,
                    trash::Kind::Authenticator => TrashKind::Authenticator,
                    trash::Kind::SshKey => TrashKind::SshKey,
                }),
                removed: rfc3339(entry.removed),
                until: rfc3339(entry.removed.plus_millis(TRASH_MILLIS)),
            };
            items.trash.iter().rev().map(row).collect()
        });
        rows.map(Reply::Trash).map_err(fault::vault)
    }
}

/// The agent has a working folder of its own.
fn absolute(file: &Path) -> Result<(), Fault> {
    if file.is_absolute() { Ok(()) } else { Err(Fault::new(Code::Usage, "the path of the file is not absolute")) }
}
