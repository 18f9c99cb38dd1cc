//! Requests about the vault itself.

use crate::server::Server;
use crate::server::conversation::Conversation;
use crate::server::fault;
use crate::server::lock::{By, blocking};
use crate::vault::{self, ConfirmedCode, DeviceSlot, FreshCode, KdfCost, check_passphrase};
use crate::world::rfc3339;
use claviger::secret::{Passphrase, RecoveryCode, SecretText};
use claviger::wire::{Code, Fault, NewSlot, Reply, Request, SlotProof, SlotRow};
use std::sync::Arc;

/// How often a recovery code may be typed back wrong.
const RECOVERY_TRIES: u32 = 3;

pub(super) fn mismatch(outcome: &str) -> Fault {
    Fault::new(Code::VaultRecoveryMismatch, format!("the recovery code did not come back as shown; {outcome}"))
}

impl Server {
    pub(super) async fn vault_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let now = self.world.clock.wall();
        let custody = self.custody.clone();
        match request {
            Request::Init { passphrase, keyring } => {
                check_passphrase(&passphrase).map_err(fault::vault)?;
                // What is there is accepted: it must be whole.
                self.settings.asked().map_err(fault::config_invalid)?;
                if custody.exists().map_err(fault::vault)? {
                    return Err(fault::vault(vault::Error::Exists));
                }
                let keyring = self.wants_keyring(keyring, conversation).await?;
                let code = self
                    .confirmed_code(conversation)
                    .await?
                    .ok_or_else(|| mismatch("no vault was made").hint("claviger init"))?;
                let cost = self.passphrase_cost();
                let passphrase = Arc::new(passphrase);
                let first = passphrase.clone();
                self.opening(By::Person, conversation.leave.clone(), move || custody.create(&first, cost, &code, now))
                    .await
                    .map_err(fault::vault)?;
                self.settings.set_taken_at_unlock(false);
                if keyring {
                    self.add_keyring(
                        SlotProof::Passphrase(Passphrase::from_text(passphrase.expose().to_owned())),
                        conversation,
                        now,
                    )
                    .await
                    .map_err(|fault| Fault { message: format!("the vault is made, but {}", fault.message), ..fault })?;
                }
                Ok(Reply::Done {})
            }
            Request::SlotAdd { proof, slot } => {
                match slot {
                    new @ (NewSlot::Fido2(_) | NewSlot::Piv(_)) => {
                        self.add_device_slot(proof, new, conversation).await?;
                    }
                    NewSlot::Keyring {} => self.add_keyring(proof, conversation, now).await?,
                    NewSlot::Passphrase(passphrase) => {
                        let cost = self.passphrase_cost();
                        blocking(conversation.leave.clone(), move || {
                            custody.add_passphrase(&proof, &passphrase, cost, now)
                        })
                        .await
                        .map_err(fault::vault)?;
                    }
                    NewSlot::Recovery {} => {
                        // Before the code is shown: one that is written down must count.
                        let (shown, proved) = (custody.clone(), Arc::new(proof));
                        let proof = proved.clone();
                        blocking(conversation.leave.clone(), move || shown.prove(&proved))
                            .await
                            .map_err(fault::vault)?;
                        let code = self.confirmed_code(conversation).await?;
                        let code =
                            code.ok_or_else(|| mismatch("no slot was added").hint("claviger slot add recovery"))?;
                        blocking(conversation.leave.clone(), move || custody.add_recovery(&proof, &code, now))
                            .await
                            .map_err(fault::vault)?;
                    }
                }
                self.office.mark_presence();
                self.slot_rows()
            }
            Request::SlotList {} => self.slot_rows(),
            Request::SlotRemove { proof, slot, only_devices } => {
                let place = custody.keyring_place(slot).map_err(fault::vault)?;
                let (server, leave) = (self.clone(), conversation.leave.clone());
                // In a task of its own: a lock, or a client that hangs up, does not leave an item that opens nothing.
                let removing = tokio::spawn(async move {
                    let remove = move || match only_devices {
                        true => custody.remove_slot_leaving_devices(&proof, slot, now),
                        false => custody.remove_slot(&proof, slot, now),
                    };
                    let removed = blocking(leave, remove).await;
                    // Also after this error it is gone.
                    if let (Some(place), Ok(()) | Err(vault::Error::CopiesLeft { .. })) = (place, &removed) {
                        server.forget_in_keyring(place).await;
                    }
                    removed
                });
                let removed = removing.await.unwrap_or(Err(vault::Error::Interrupted));
                removed.map_err(fault::vault)?;
                self.office.mark_presence();
                Ok(Reply::Done {})
            }
            _ => Err(fault::internal()),
        }
    }

    pub(super) fn passphrase_cost(&self) -> KdfCost {
        KdfCost::new(self.config().argon2_memory_mib.saturating_mul(1024), 3, 4).unwrap_or(KdfCost::DEFAULT)
    }

    /// Draws a recovery code and shows it until it has come back as shown; None where the client declines, or three
    /// tries went wrong.
    pub(super) async fn confirmed_code(&self, conversation: &mut Conversation) -> Result<Option<ConfirmedCode>, Fault> {
        let mut fresh = FreshCode::draw(&self.world).map_err(fault::vault)?;
        for _ in 0..RECOVERY_TRIES {
            let Some(typed) = conversation.confirm_recovery(fresh.code()).await else { break };
            match fresh.confirm(&RecoveryCode::from_text(typed.expose().to_owned())) {
                Ok(confirmed) => return Ok(Some(confirmed)),
                Err(again) => fresh = again,
            }
        }
        Ok(None)
    }

    fn slot_rows(&self) -> Result<Reply, Fault> {
        let slots = self.custody.slots().map_err(fault::vault)?;
        Ok(Reply::Slots(
            slots
                .into_iter()
                .map(|slot| SlotRow {
                    id: slot.id,
                    kind: slot.kind,
                    added: rfc3339(slot.added),
                    device: slot.device.as_ref().map(DeviceSlot::shown),
                })
                .collect(),
        ))
    }
}
