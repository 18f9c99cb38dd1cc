//! What other rooms hand in, and how it becomes a record: stamped, bounded, printable.

use crate::world::{WallTime, World, rfc3339};
use claviger::model::{AuditAws, AuditPeer, AuditRecord, AuditSsh, AuditSubject, AuditVault, Label};

/// Longest line in bytes, seal and newline included: a page of the disk, so that it is written whole or torn once.
pub const RECORD_LIMIT: usize = 4096;
/// Longest text of a record that did not fit at first, in characters.
const SHORT_LIMIT: usize = 40;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident, $text:literal;)*) => {
        /// What is recorded. Names are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $name,)*
        }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Event] = &[$(Event::$name,)*];

            /// The name in the record.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

impl Event {
    /// Whether an event has this name, or a group of them: what stands before the dot.
    pub fn is_known(name: &str) -> bool {
        let matches = |event: &Self| {
            event.as_str().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        Self::ALL.iter().any(matches)
    }

    /// The event, or the group, whose name is the most like this; None where none is.
    pub fn nearest(name: &str) -> Option<&'static str> {
        let wanted: String = name.chars().take(SHORT_LIMIT).collect::<String>().to_lowercase();
        let groups = Self::groups();
        let names = Self::ALL.iter().map(|event| event.as_str()).chain(groups);
        let near = names.filter_map(|name| {
            let distance = strsim::osa_distance(&wanted, name);
            (distance * 2 <= name.len().max(wanted.chars().count())).then_some((distance, name))
        });
        near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
    }

    /// The groups, in order.
    pub fn groups() -> Vec<&'static str> {
        let mut groups: Vec<_> = Self::ALL.iter().filter_map(|event| event.as_str().split('.').next()).collect();
        groups.dedup();
        groups
    }
}

events! {
    /// An access key was stored.
    AccessKeyAdd, "access_key.add";
    /// An access key was handed out.
    AccessKeyExport, "access_key.export";
    /// Access keys were taken out of the AWS files into the vault.
    AccessKeyImport, "access_key.import";
    /// An access key went to the trash.
    AccessKeyRemove, "access_key.remove";
    /// An access key was replaced at AWS.
    AccessKeyRotate, "access_key.rotate";
    /// The agent began.
    AgentStart, "agent.start";
    /// The agent ends.
    AgentStop, "agent.stop";
    /// Records are missing for a reason that is known: `count` of them.
    AuditGap, "audit.gap";
    /// A line that a crash tore was cut off: `count` bytes.
    AuditRecovered, "audit.recovered";
    /// Old files were deleted: records up to `through`.
    AuditRetired, "audit.retired";
    /// Settings or a changed profile were accepted.
    ConfigAccept, "config.accept";
    /// A setting or a file is not what it was, or not as it should be.
    ConfigWarning, "config.warning";
    /// Another user tried to connect.
    ConnectionRefused, "connection.refused";
    /// An endpoint was closed.
    EndpointClose, "endpoint.close";
    /// An endpoint was opened.
    EndpointOpen, "endpoint.open";
    /// A key pair was made by AWS, and its private half stored.
    KeypairCreate, "keypair.create";
    /// Key pairs were deleted.
    KeypairDelete, "keypair.delete";
    /// A public key was imported as a key pair.
    KeypairImport, "keypair.import";
    /// The password of a Windows instance was handed out.
    KeypairPassword, "keypair.password";
    /// Key pairs were given another key.
    KeypairRotate, "keypair.rotate";
    /// The ledger was lost or cut off: every step up to the next counts as burned.
    LedgerIncomplete, "ledger.incomplete";
    /// An authenticator was stored.
    MfaAdd, "mfa.add";
    /// A code was shown.
    MfaCode, "mfa.code";
    /// A device was taken from its user at AWS.
    MfaDeactivate, "mfa.deactivate";
    /// A device was made at AWS.
    MfaEnroll, "mfa.enroll";
    /// A seed was handed out.
    MfaExport, "mfa.export";
    /// An authenticator went to the trash.
    MfaRemove, "mfa.remove";
    /// An authenticator was renamed.
    MfaRename, "mfa.rename";
    /// AWS was told how far the clock of a device is off.
    MfaResync, "mfa.resync";
    /// A code of an account of a card was shown.
    OathCode, "oath.code";
    /// An account of a card was deleted.
    OathDelete, "oath.delete";
    /// An account of a card was renamed.
    OathRename, "oath.rename";
    /// The console password of a user was changed.
    PasswordChange, "password.change";
    /// The certificate beside a key of a PIV card was written or removed.
    PivCertificate, "piv.certificate";
    /// The PIN or the PUK of a PIV card was changed.
    PivChange, "piv.change";
    /// The management key of a PIV card was changed.
    PivManagementKey, "piv.management_key";
    /// A PIV card made a key.
    PivNew, "piv.new";
    /// Profiles were adopted.
    ProfileAdopt, "profile.adopt";
    /// Profiles were given back.
    ProfileRelease, "profile.release";
    /// Sessions were forgotten.
    SessionLogout, "session.logout";
    /// A session was asked of STS.
    SessionNew, "session.new";
    /// Credentials were asked for and not given.
    SessionRefused, "session.refused";
    /// Credentials were handed to a program.
    SessionServed, "session.served";
    /// A vault slot was added.
    SlotAdd, "slot.add";
    /// A vault slot was removed.
    SlotRemove, "slot.remove";
    /// An EC2 instance was to take an SSH key for a minute.
    SshPush, "ssh.push";
    /// A signature was asked of the SSH agent and not made.
    SshRefused, "ssh.refused";
    /// The SSH agent signed.
    SshSigned, "ssh.signed";
    /// An SSH key was stored.
    SshKeyAdd, "ssh_key.add";
    /// An SSH key was handed out.
    SshKeyExport, "ssh_key.export";
    /// An SSH key was made.
    SshKeyNew, "ssh_key.new";
    /// An SSH key went to the trash.
    SshKeyRemove, "ssh_key.remove";
    /// The vault's trash was emptied.
    TrashEmpty, "trash.empty";
    /// Something came back from the vault's trash.
    TrashRestore, "trash.restore";
    /// An older vault was accepted.
    VaultAccept, "vault.accept";
    /// A backup was written.
    VaultBackup, "vault.backup";
    /// The vault was made.
    VaultCreate, "vault.create";
    /// The vault is being locked.
    VaultLock, "vault.lock";
    /// A backup took the vault's place.
    VaultRestore, "vault.restore";
    /// The vault that was opened is older than one that is remembered.
    VaultRolledBack, "vault.rolled_back";
    /// The vault was saved, or a version that is not on record was opened: `vault` names it.
    VaultSaved, "vault.saved";
    /// The vault was opened, or was not.
    VaultUnlock, "vault.unlock";
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Whoever asked left, or a lock came, before the end.
    Abandoned,
    /// It begins.
    Begun,
    /// Done.
    Done,
    /// Not done.
    Failed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What happened, as the room that did it knows it. Texts may come from outside: they are made printable here. Never
/// put a secret, a code or an argument list in.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) event: Event,
    pub(super) outcome: Outcome,
    pub(super) act: Option<String>,
    pub(super) aws: Option<AuditAws>,
    pub(super) count: Option<u64>,
    pub(super) error: Option<String>,
    pub(super) peer: Option<AuditPeer>,
    pub(super) reason: Option<String>,
    pub(super) ssh: Option<AuditSsh>,
    pub(super) subject: AuditSubject,
    pub(super) through: Option<u64>,
    pub(super) vault: Option<AuditVault>,
}

impl Entry {
    /// An event that went well, and nothing more.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            outcome: Outcome::Done,
            act: None,
            aws: None,
            count: None,
            error: None,
            peer: None,
            reason: None,
            ssh: None,
            subject: AuditSubject::default(),
            through: None,
            vault: None,
        }
    }

    /// With what AWS was asked and gave.
    pub fn aws(mut self, aws: AuditAws) -> Self {
        self.aws = Some(aws);
        self
    }

    /// That failed, and why: a fault's code.
    pub fn failed(mut self, error: impl Into<String>) -> Self {
        (self.outcome, self.error) = (Outcome::Failed, Some(error.into()));
        self
    }

    /// By whom.
    pub fn peer(mut self, peer: AuditPeer) -> Self {
        self.peer = Some(peer);
        self
    }

    /// With the vault's version.
    pub fn vault(mut self, vault: AuditVault) -> Self {
        self.vault = Some(vault);
        self
    }

    /// With a reason.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// With what the SSH agent was asked to sign.
    pub fn ssh(mut self, ssh: AuditSsh) -> Self {
        self.ssh = Some(ssh);
        self
    }

    /// About what.
    pub fn subject(mut self, subject: AuditSubject) -> Self {
        self.subject = subject;
        self
    }

    pub(super) fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// The record, as of now; its number comes later.
    pub(super) fn stamp(self, world: &World, boot: &str) -> AuditRecord {
        let mut record = AuditRecord {
            act: self.act,
            aws: self.aws,
            boot: boot.to_owned(),
            boot_ms: world.clock.boot().0,
            count: self.count,
            error: self.error,
            event: self.event.as_str().to_owned(),
            outcome: self.outcome.as_str().to_owned(),
            peer: self.peer,
            reason: self.reason,
            seq: 0,
            ssh: self.ssh,
            subject: Some(self.subject).filter(|subject| *subject != AuditSubject::default()),
            through: self.through,
            time: timestamp(world.clock.wall()),
            v: 1,
            vault: self.vault,
        };
        each_text(&mut record, &mut |text| {
            if !Label(text).is_plain() {
                *text = Label(text).to_string();
            }
        });
        record
    }
}

/// A wall time with its milliseconds, so that times as text are in order.
pub(super) fn timestamp(time: WallTime) -> String {
    let whole = rfc3339(time);
    let whole = whole.strip_suffix('Z').unwrap_or(&whole);
    format!("{whole}.{:03}Z", time.0.rem_euclid(1000))
}

/// The same record, shorter: without the chain of processes the first time, with short texts the second.
pub(super) fn shorten(record: &mut AuditRecord) {
    if let Some(peer) = record.peer.as_mut().filter(|peer| !peer.chain.is_empty()) {
        peer.chain.clear();
        return;
    }
    each_text(record, &mut |text| {
        if let Some((end, _)) = text.char_indices().nth(SHORT_LIMIT) {
            text.truncate(end);
            text.push('…');
        }
    });
}

/// Every text that can come from outside.
fn each_text(record: &mut AuditRecord, change: &mut dyn FnMut(&mut String)) {
    let mut texts: Vec<&mut String> = Vec::with_capacity(32);
    texts.extend([record.error.as_mut(), record.reason.as_mut()].into_iter().flatten());
    if let Some(AuditAws {
        access_key_id,
        endpoint,
        expires,
        mfa_serial,
        operation,
        request_id,
        session_name,
        source_identity,
        totp_step: _,
    }) = record.aws.as_mut()
    {
        let named =
            [access_key_id, endpoint, expires, mfa_serial, operation, request_id, session_name, source_identity];
        texts.extend(named.into_iter().flatten());
    }
    if let Some(AuditSubject { name, principal, profile, role, slot }) = record.subject.as_mut() {
        texts.extend([name, principal, profile, role, slot].into_iter().flatten());
    }
    if let Some(AuditSsh {
        binding: _,
        comment,
        confirmed: _,
        host,
        host_key: _,
        key: _,
        name,
        namespace,
        payload: _,
        user,
    }) = record.ssh.as_mut()
    {
        texts.extend([comment, host, name, namespace, user].into_iter().flatten());
    }
    if let Some(peer) = record.peer.as_mut() {
        texts.extend([peer.exe.as_mut(), peer.tty.as_mut()].into_iter().flatten());
        for process in &mut peer.chain {
            texts.extend(process.exe.as_mut());
            texts.push(&mut process.name);
        }
    }
    texts.into_iter().for_each(change);
}
