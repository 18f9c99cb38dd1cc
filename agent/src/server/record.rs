//! What the doors write to the audit record: acts around requests, hand-outs, refusals, the vault opening and closing.

use super::Server;
use super::conversation::Conversation;
use super::fault;
use crate::audit::{Access, Act, Entry, Event, Head, Journal, Key};
use crate::session::Session;
use crate::vault::{LockedBy, Version, Witness};
use crate::world::{WallTime, rfc3339};
use claviger::model::{AuditAws, AuditPeer, AuditSubject, AuditVault, Name, OathName, SlotKind, SlotProof};
use claviger::wire::{
    AccessKeyExport, AccessKeyRotate, Change, ConfigScope, Fault, KeypairCreate, KeypairDelete, KeypairImport,
    KeypairPassword, KeypairRotate, KeypairScope, MfaEnroll, MfaOnDevice, OathAccount, OathRename, PasswordChange,
    PivCertificate, PivCertificateDeed, PivChange, PivManagementKey, PivNew, PivReference, Reply, Request,
};
use data_encoding::HEXLOWER;
use std::sync::Arc;

impl Server {
    /// Opens the act that a request is, if it is one: what cannot be recorded is not done.
    pub(super) async fn begin_act(&self, request: &Request, conversation: &Conversation) -> Result<Option<Act>, Fault> {
        let Some((event, subject, export)) = act(request) else { return Ok(None) };
        // Who takes a secret out is worth a longer look.
        let peer = if export { conversation.peer.with_parents() } else { conversation.peer.seen() };
        let begun = self.journal.begin(Entry::new(event).subject(subject).peer(peer)).await;
        begun.map(Some).map_err(|error| fault::audit::audit(&error))
    }

    /// Closes it before the answer leaves.
    pub(super) async fn end_act(
        &self,
        act: Option<Act>,
        outcome: &Result<Reply, Fault>,
        conversation: &mut Conversation,
    ) {
        let Some(act) = act else { return };
        let told = conversation.aws.take();
        match outcome {
            Ok(Reply::AccessKeyExport(AccessKeyExport { access_key_id, .. })) => {
                let aws = AuditAws { access_key_id: Some(access_key_id.to_string()), ..AuditAws::default() };
                act.done(Some(aws), None).await;
            }
            Ok(_) => act.done(told, None).await,
            Err(fault) => act.failed(fault.code.to_string()).await,
        }
    }

    /// Credentials were handed out: one record, durable within a second.
    pub(super) fn record_served(&self, profile: &str, session: &Session, peer: AuditPeer) {
        let subject = AuditSubject {
            profile: Some(profile.to_owned()),
            principal: Some(session.principal.clone()),
            ..AuditSubject::default()
        };
        let aws = AuditAws {
            access_key_id: Some(session.access_key_id.to_string()),
            expires: Some(rfc3339(session.expiration)),
            ..AuditAws::default()
        };
        self.journal.note(Entry::new(Event::SessionServed).subject(subject).aws(aws).peer(peer));
    }

    /// Credentials were asked for and not given.
    pub(super) fn record_refused(&self, profile: &str, fault: &Fault, peer: AuditPeer) {
        let subject = AuditSubject { profile: Some(profile.to_owned()), ..AuditSubject::default() };
        let entry = Entry::new(Event::SessionRefused).failed(fault.code.to_string());
        self.journal.note(entry.subject(subject).peer(peer));
    }

    /// The vault was opened, or was not.
    pub(super) async fn record_unlock(&self, kind: &'static str, failed: Option<&Fault>, peer: AuditPeer) {
        let subject = AuditSubject { slot: Some(kind.to_owned()), ..AuditSubject::default() };
        let entry = Entry::new(Event::VaultUnlock).subject(subject).peer(peer);
        self.journal.note(match failed {
            Some(fault) => entry.failed(fault.code.to_string()),
            None => entry,
        });
        self.flush_record(false).await;
    }

    /// The vault is about to be locked: the record so far is durable, its head too, before the state closes.
    pub(super) async fn record_lock(&self, by: LockedBy) {
        if self.custody.is_unlocked() {
            self.journal.note(Entry::new(Event::VaultLock).reason(by.as_str()));
        }
        if by == LockedBy::Stop {
            self.journal.note(Entry::new(Event::AgentStop));
        }
        self.flush_record(true).await;
    }

    /// The vault has been opened: its record too, and what is wrong with the state goes into it. Blocks.
    pub(super) fn open_record(&self) {
        let Ok(access) = self.custody.audit_access() else { return };
        let head = access.head.map(|head| Head { seq: head.seq, mac: head.mac });
        let vault = HEXLOWER.encode(&access.vault_id);
        let recorded = self.journal.last_saved(&vault, &access.key);
        self.journal.open(Access { vault: vault.clone(), key: access.key, head });
        match (self.custody.newest(), self.custody.older()) {
            (Some((_, version)), _) if recorded != Some(spelled(&version)) => {
                self.journal.note_of(&vault, saved(&version));
            }
            (_, Some(older)) => {
                let reason =
                    format!("save {}, where save {} was known", older.found.generation, older.known.generation);
                self.journal.note_of(&vault, Entry::new(Event::VaultRolledBack).reason(reason));
            }
            _ => {}
        }
        if !self.custody.warnings().is_empty() {
            self.journal.note(Entry::new(Event::LedgerIncomplete));
        }
    }

    async fn flush_record(&self, durable: bool) {
        let journal = self.journal.clone();
        drop(tokio::task::spawn_blocking(move || journal.flush(durable)).await);
    }
}

/// The audit record as one of the vault's anchors.
pub(crate) struct RecordAnchor(pub(crate) Arc<Journal>);

impl Witness for RecordAnchor {
    fn last(&self, vault_id: &[u8; 16], key: &Key) -> Option<Version> {
        let found = self.0.last_saved(&HEXLOWER.encode(vault_id), key)?;
        let mac = HEXLOWER.decode(found.mac.as_bytes()).ok()?.try_into().ok()?;
        Some(Version { generation: found.generation, mac, saved: WallTime(found.saved) })
    }

    fn remember(&self, vault_id: &[u8; 16], version: &Version) {
        self.0.note_of(&HEXLOWER.encode(vault_id), saved(version));
    }
}

fn saved(version: &Version) -> Entry {
    Entry::new(Event::VaultSaved).vault(spelled(version))
}

fn spelled(version: &Version) -> AuditVault {
    AuditVault { generation: version.generation, mac: HEXLOWER.encode(&version.mac), saved: version.saved.0 }
}

/// The kind of a proof, as a slot is called.
pub(super) fn proof_kind(proof: &SlotProof) -> &'static str {
    match proof {
        SlotProof::Passphrase(_) => SlotKind::Passphrase.as_str(),
        SlotProof::Recovery(_) => SlotKind::Recovery.as_str(),
        SlotProof::Answered(answer) => answer.kind.as_str(),
        // None was found that would do.
        SlotProof::Device(_) => "device",
    }
}

/// The requests that are acts: event, subject, and whether a long-lived secret leaves.
fn act(request: &Request) -> Option<(Event, AuditSubject, bool)> {
    let named = |name: &Name| AuditSubject { name: Some(name.to_string()), ..AuditSubject::default() };
    let any = |name: &Option<Name>| name.as_ref().map(named).unwrap_or_default();
    let slot = |slot: String| AuditSubject { slot: Some(slot), ..AuditSubject::default() };
    Some(match request {
        Request::AccessKeyAdd { name, .. } => (Event::AccessKeyAdd, named(name), false),
        Request::AccessKeyExport { name, .. } => (Event::AccessKeyExport, named(name), true),
        Request::AccessKeyImport { change, .. } if change.apply.is_some() => {
            (Event::AccessKeyImport, about(change), false)
        }
        Request::AccessKeyRemove { name } => (Event::AccessKeyRemove, named(name), false),
        Request::AccessKeyRotate(AccessKeyRotate { name, .. }) => (Event::AccessKeyRotate, named(name), false),
        Request::Backup { .. } => (Event::VaultBackup, AuditSubject::default(), true),
        Request::ConfigAccept { scope, .. } => (Event::ConfigAccept, accepted(scope), false),
        Request::Init { .. } => (Event::VaultCreate, AuditSubject::default(), false),
        Request::KeypairCreate(KeypairCreate { profile, name, .. }) => {
            (Event::KeypairCreate, of_profile(profile, name.as_str()), false)
        }
        Request::KeypairDelete(KeypairDelete { scope, name, .. }) => {
            (Event::KeypairDelete, of_profile(&scope.profile, name.as_str()), false)
        }
        Request::KeypairImport(KeypairImport { scope, name, .. }) => {
            (Event::KeypairImport, of_profile(&scope.profile, name.as_str()), false)
        }
        Request::KeypairPassword(KeypairPassword { profile, instance, .. }) => {
            (Event::KeypairPassword, of_profile(profile, instance.as_str()), true)
        }
        Request::KeypairRotate(KeypairRotate { scope, name, .. }) => {
            (Event::KeypairRotate, of_profile(&scope.profile, name.as_str()), false)
        }
        Request::Logout { profile } => {
            let profile = profile.clone();
            (Event::SessionLogout, AuditSubject { profile, ..AuditSubject::default() }, false)
        }
        Request::MfaAdd { access_key, name, .. } | Request::MfaAddOnDevice(MfaOnDevice { access_key, name, .. }) => {
            (Event::MfaAdd, name.as_ref().map_or_else(|| named(access_key), named), false)
        }
        Request::MfaCode { name, .. } => (Event::MfaCode, any(name), true),
        Request::MfaDeactivate { name, .. } => (Event::MfaDeactivate, named(name), false),
        Request::MfaEnroll(MfaEnroll { profile, show, .. }) => (Event::MfaEnroll, by_profile(profile), *show),
        Request::MfaExport { name, .. } => (Event::MfaExport, named(name), true),
        Request::MfaRemove { name } => (Event::MfaRemove, named(name), false),
        Request::MfaRename { name, .. } => (Event::MfaRename, named(name), false),
        Request::MfaResync { name } => (Event::MfaResync, named(name), false),
        Request::OathCode(OathAccount { device, account }) => (Event::OathCode, in_oath(*device, account), true),
        Request::OathDelete(OathAccount { device, account }) => (Event::OathDelete, in_oath(*device, account), false),
        Request::OathRename(OathRename { device, account, .. }) => {
            (Event::OathRename, in_oath(*device, account), false)
        }
        Request::PasswordChange(PasswordChange { profile, .. }) => (Event::PasswordChange, by_profile(profile), false),
        Request::PivCertificate(PivCertificate {
            device,
            slot,
            deed: PivCertificateDeed::Import(_) | PivCertificateDeed::Remove {},
            ..
        }) => (Event::PivCertificate, on_card("piv", *device, &slot.to_string()), false),
        Request::PivChange(PivChange { device, reference, .. }) => {
            let what = if *reference == PivReference::Puk { "PUK" } else { "PIN" };
            (Event::PivChange, on_card("piv", *device, what), false)
        }
        Request::PivManagementKey(PivManagementKey { device, .. }) => {
            (Event::PivManagementKey, on_card("piv", *device, "management key"), false)
        }
        Request::PivNew(PivNew { device, slot, .. }) => {
            (Event::PivNew, on_card("piv", *device, &slot.to_string()), false)
        }
        Request::ProfileAdopt { change, .. } if change.apply.is_some() => (Event::ProfileAdopt, about(change), false),
        Request::ProfileRelease { change, .. } if change.apply.is_some() => {
            (Event::ProfileRelease, about(change), false)
        }
        Request::Restore { .. } => (Event::VaultRestore, AuditSubject::default(), false),
        Request::SlotAdd { slot: new, .. } => (Event::SlotAdd, slot(new.kind().as_str().to_owned()), false),
        Request::SlotRemove { slot: id, .. } => (Event::SlotRemove, slot(id.to_string()), false),
        Request::SshKeyAdd { name, .. } => (Event::SshKeyAdd, named(name), false),
        Request::SshKeyExport { name, .. } => (Event::SshKeyExport, named(name), true),
        Request::FidoNew { name, .. } => (Event::SshKeyNew, named(name), false),
        Request::SshKeyNew { name, .. } => (Event::SshKeyNew, named(name), false),
        Request::SshKeyRemove { name } => (Event::SshKeyRemove, named(name), false),
        Request::TrashEmpty { .. } => (Event::TrashEmpty, AuditSubject::default(), false),
        Request::TrashRestore { name, .. } => (Event::TrashRestore, named(name), false),
        Request::VaultAccept { .. } => (Event::VaultAccept, AuditSubject::default(), false),
        _ => return None,
    })
}

/// The user of a profile.
fn by_profile(profile: &str) -> AuditSubject {
    AuditSubject { profile: Some(profile.to_owned()), ..AuditSubject::default() }
}

/// A place of an applet of a card, which is the only one where no serial number is given.
fn on_card(applet: &str, serial: Option<u32>, place: &str) -> AuditSubject {
    let serial = serial.map(|serial| format!("{serial} ")).unwrap_or_default();
    AuditSubject { name: Some(format!("{applet} {serial}{place}")), ..AuditSubject::default() }
}

/// An account of a card.
fn in_oath(serial: Option<u32>, account: &OathName) -> AuditSubject {
    on_card("oath", serial, &account.to_string())
}

/// What is done with the credentials of a profile.
fn of_profile(profile: &str, name: &str) -> AuditSubject {
    AuditSubject { name: Some(name.to_owned()), profile: Some(profile.to_owned()), ..AuditSubject::default() }
}

/// The profile of a change, or all.
fn about(change: &Change) -> AuditSubject {
    AuditSubject { profile: change.profile.clone(), ..AuditSubject::default() }
}

/// The profile whose change is accepted; None for settings.
fn accepted(scope: &ConfigScope) -> AuditSubject {
    let profile = match scope {
        ConfigScope::Profile(profile) => Some(profile.clone()),
        ConfigScope::All {} | ConfigScope::Settings {} => None,
    };
    AuditSubject { profile, ..AuditSubject::default() }
}

/// The profile of a request for credentials.
pub(super) fn profile_of(request: &Request) -> Option<String> {
    match request {
        Request::KeypairList(KeypairScope { profile, .. })
        | Request::Credentials { profile, .. }
        | Request::EndpointOpen { profile, .. }
        | Request::Login { profile }
        | Request::Whoami { profile, .. } => Some(profile.clone()),
        _ => None,
    }
}

/// Who asks, for work that outlives the request: it looks when the work begins.
pub(super) fn asker(conversation: &Conversation) -> crate::ask::Asker {
    let peer = conversation.peer.clone();
    Arc::new(move || peer.with_parents())
}
