//! The fault catalogue: every code, its exit code, what it means, and the command that usually helps.
//! `docs/reference/faults.md` is this table.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Exit codes, one table for every verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// A fault with no more specific code.
    Fault = 1,
    /// The command line or an input is wrong.
    Usage = 2,
    /// The vault is locked.
    Locked = 3,
    /// A person is needed.
    Person = 4,
    /// Refused, by AWS or by a rule here.
    Refused = 5,
    /// No such thing.
    NotFound = 6,
    /// A device.
    Device = 7,
    /// The network, or AWS beyond it.
    Network = 8,
    /// Done in some of several places, and not in others.
    Partial = 9,
}

macro_rules! catalogue {
    ($($variant:ident, $code:literal, $exit:ident, $meaning:literal, $hint:expr;)*) => {
        /// A stable fault code. Alphabetical; a code is never reused for another meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
            /// A code of a newer agent.
            Unknown,
        }

        impl Code {
            /// Every code of this build.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown => "unknown",
                }
            }

            /// Its exit code.
            pub fn exit(self) -> Exit {
                match self {
                    $(Self::$variant => Exit::$exit,)*
                    Self::Unknown => Exit::Fault,
                }
            }

            /// What it means, one line.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                    Self::Unknown => "a code of a newer agent",
                }
            }

            /// The command that usually helps.
            pub fn hint(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => $hint,)*
                    Self::Unknown => None,
                }
            }

            fn parse(text: &str) -> Self {
                match text {
                    $($code => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }
        }
    };
}

catalogue! {
    AccessKeyExists, "access_key.exists", Refused, "an access key of that name is already stored", Some("claviger access-key list");
    AccessKeyInUse, "access_key.in_use", Refused, "an authenticator still belongs to the access key, or it is the one in use", Some("claviger mfa list");
    AccessKeyInvalid, "access_key.invalid", Usage, "the access key is not well formed", None;
    AccessKeyNotFound, "access_key.not_found", NotFound, "no access key of that name is stored", Some("claviger access-key list");
    AccessKeyNotUser, "access_key.not_user", Refused, "the access key belongs to no IAM user", None;
    AccessKeyTemporary, "access_key.temporary", Refused, "the keys in the profile are a session's, not an access key", None;
    AccessKeyNotAccepted, "access_key.not_accepted", Network, "AWS does not take the key that it has just made", None;
    AccessKeyTwo, "access_key.two", Refused, "the user has two access keys, which is as many as AWS allows", Some("claviger access-key list");
    AgentBusy, "agent.busy", Fault, "the agent has as many connections or requests as it takes", None;
    AgentNotRunning, "agent.not_running", Fault, "no agent is running", Some("claviger agent start");
    AgentRestartFailed, "agent.restart_failed", Fault, "the agent was not restarted and goes on as it was", Some("claviger status");
    AgentRuntimeFolder, "agent.runtime_folder", Fault, "the folder of the agent's socket is missing or not private", None;
    AgentStartFailed, "agent.start_failed", Fault, "the agent did not start", Some("claviger agent run");
    AgentStopping, "agent.stopping", Fault, "the agent is stopping", Some("claviger agent start");
    AuditEventUnknown, "audit.event_unknown", Usage, "no event has this name", Some("claviger audit log");
    AuditFull, "audit.full", Fault, "the disk is full, and so is what was set aside for the audit record", Some("df -h ~/.local/share/claviger");
    AuditNotFound, "audit.not_found", NotFound, "the audit record does not know the id", Some("claviger audit log");
    AuditTampered, "audit.tampered", Fault, "the audit record is not what was written", None;
    AuditUnreadable, "audit.unreadable", Fault, "the audit record cannot be read", Some("claviger status");
    AuditUnwritable, "audit.unwritable", Fault, "the audit record cannot be written, so nothing that belongs in it is done", Some("claviger status");
    AwsAccessDenied, "aws.access_denied", Refused, "AWS denied the call", None;
    AwsBadAnswer, "aws.bad_answer", Network, "the answer was not one that AWS gives", None;
    AwsClockSkew, "aws.clock_skew", Network, "this machine's clock is too far from AWS's", Some("timedatectl status");
    AwsInvalidCredentials, "aws.invalid_credentials", Refused, "AWS does not accept the access key or session", None;
    AwsInvalidRequest, "aws.invalid_request", Refused, "AWS finds a setting of the profile invalid", None;
    AwsRefused, "aws.refused", Refused, "what stands at AWS does not let it be done", None;
    AwsRegionDisabled, "aws.region_disabled", Refused, "STS is not enabled in the region", None;
    AwsServiceError, "aws.service_error", Network, "AWS failed on its side", None;
    AwsThrottled, "aws.throttled", Network, "AWS is throttling this account", None;
    AwsTimedOut, "aws.timed_out", Network, "AWS did not answer in time", None;
    AwsUnreachable, "aws.unreachable", Network, "AWS cannot be reached", None;
    BackupDamaged, "backup.damaged", Fault, "the file to restore is no vault, or a damaged one; it was left untouched", None;
    BackupExists, "backup.exists", Refused, "there is a file where the backup should be", None;
    BackupPassphraseNeeded, "backup.passphrase_needed", Usage, "what is restored opens with its recovery code alone, so it needs a new passphrase", None;
    BackupUnreadable, "backup.unreadable", NotFound, "the file to restore cannot be read", None;
    BackupUnsaved, "backup.unsaved", Fault, "the backup cannot be written", None;
    CommandFailed, "command.failed", Fault, "the profile's credential_process failed", None;
    CommandNotAllowed, "command.not_allowed", Refused, "the profile's credential_process is not in [commands] allow", None;
    ConfigChanged, "config.changed", Refused, "the settings have changed since they were shown", Some("claviger config accept");
    ConfigInvalid, "config.invalid", Usage, "config.toml has a mistake", None;
    DeviceAlreadyThere, "device.already_there", Refused, "the device holds one of that name, or a key in that slot, already", None;
    DeviceAmbiguous, "device.ambiguous", Usage, "more than one device could be meant", Some("claviger device list");
    DeviceAppletMissing, "device.applet_missing", Device, "the device does not have what is asked of it, or it is switched off", Some("claviger device list");
    DeviceBadAnswer, "device.bad_answer", Device, "the device answers what its specification does not have", Some("claviger device list");
    DeviceCertificateRefused, "device.certificate_refused", Refused, "this cannot be the certificate of the key in the slot", None;
    DeviceFailed, "device.failed", Device, "the device, or the helper that speaks to it, failed", Some("claviger device list");
    DeviceFull, "device.full", Device, "the device is full", None;
    DeviceHeld, "device.held", Device, "another program holds the device", Some("claviger device list");
    DeviceHelperMissing, "device.helper_missing", Device, "claviger was installed without its device helper", None;
    DeviceLastTry, "device.last_try", Person, "one try of the PIN or PUK is left, and nobody here has said that it may be used", None;
    DeviceManagementKeyRefused, "device.management_key_refused", Usage, "this cannot be a management key of the device", None;
    DeviceManagementKeyWrong, "device.management_key_wrong", Refused, "the PIV management key is not the right one", Some("claviger piv management-key --help");
    DeviceNameRefused, "device.name_refused", Usage, "under that name the account would make other codes", None;
    DeviceNotPermitted, "device.not_permitted", Device, "this user may not open the device", None;
    DeviceNotPresent, "device.not_present", Device, "the device is not plugged in, or was pulled out", Some("claviger device list");
    DeviceNotThere, "device.not_there", NotFound, "the device holds no such account, key or credential", None;
    DevicePasswordNeeded, "device.password_needed", Person, "the OATH applet has a password, and nobody here can be asked for it", None;
    DevicePasswordWrong, "device.password_wrong", Refused, "the password is not that of the OATH applet", None;
    DevicePinBlocked, "device.pin_blocked", Device, "the PIN or PUK of the device is blocked", None;
    DevicePinNeeded, "device.pin_needed", Person, "the device wants its PIN, and nobody here can be asked for it", None;
    DevicePinNotSet, "device.pin_not_set", Device, "the device has no PIN yet", Some("claviger fido pin --set");
    DevicePinRefused, "device.pin_refused", Usage, "this cannot be a PIN or PUK of the device", None;
    DevicePinWrong, "device.pin_wrong", Refused, "the PIN or PUK is wrong", None;
    DeviceServiceMissing, "device.service_missing", Device, "pcscd, which speaks to cards, does not run", Some("sudo systemctl start pcscd.socket");
    DeviceTimedOut, "device.timed_out", Device, "the device did not answer in time", Some("claviger device list");
    DeviceTouchTimeout, "device.touch_timeout", Person, "the device was not touched in time", None;
    DeviceUnsupported, "device.unsupported", Device, "the device cannot do this", Some("claviger device list");
    DeviceWeakRsa, "device.weak_rsa", Refused, "RSA keys made by this firmware can be broken (YSA-2017-01, ROCA)", None;
    EndpointNoOwner, "endpoint.no_owner", Fault, "the process that asks for an endpoint cannot be watched", None;
    EndpointNotAllowed, "endpoint.not_allowed", Refused, "the endpoint is neither AWS's nor in [endpoints] allow", None;
    EndpointNotOpened, "endpoint.not_opened", Fault, "the endpoint could not be opened", None;
    EndpointRefused, "endpoint.refused", Refused, "an endpoint refused an HTTP request, and does not say why", None;
    FileChanged, "file.changed", Fault, "a file was changed since it was read", None;
    FileUnsaved, "file.unsaved", Fault, "a file cannot be written; the old one stands", None;
    InstanceAmbiguous, "instance.ambiguous", Usage, "several instances could be meant", None;
    InstanceHostKeyChanged, "instance.host_key_changed", Refused, "the instance shows another host key than at the first login", None;
    InstanceKeyUnusable, "instance.key_unusable", Usage, "the SSH key is of a type that EC2 Instance Connect does not take", Some("claviger ssh-key new NAME");
    InstanceNoAddress, "instance.no_address", Refused, "the instance has no address that ssh could connect to", None;
    InstanceNotFound, "instance.not_found", NotFound, "the account has no such instance in the region", Some("claviger whoami");
    InstanceNotRunning, "instance.not_running", Refused, "the instance does not run", None;
    InstancePluginMissing, "instance.plugin_missing", NotFound, "the programs that the session manager needs are not installed", None;
    InstanceUnreachable, "instance.unreachable", Network, "the instance does not answer at its address", None;
    Internal, "internal", Fault, "a defect of claviger", None;
    KeypairExists, "keypair.exists", Refused, "a key pair of that name has another key", Some("claviger keypair list");
    KeypairInUse, "keypair.in_use", Refused, "instances were launched with the key pair, and nobody has agreed that it goes", Some("claviger keypair list");
    KeypairInstanceNotFound, "keypair.instance_not_found", NotFound, "the instance is not in the account and region", None;
    KeypairInvalid, "keypair.invalid", Usage, "a tag, or the name for the vault, is not valid", Some("claviger keypair --help");
    KeypairKeyMissing, "keypair.key_missing", NotFound, "the private half of the key pair is neither in the vault nor on a card that is plugged in", Some("claviger keypair list");
    KeypairLimit, "keypair.limit", Refused, "the region has as many key pairs as the account may have", Some("claviger keypair list");
    KeypairNoPassword, "keypair.no_password", Refused, "the instance has no password that a key could decrypt", None;
    KeypairNoRegion, "keypair.no_region", Usage, "neither the request nor the profile names a region", None;
    KeypairNotFound, "keypair.not_found", NotFound, "no key pair of that name is in the region", Some("claviger keypair list");
    KeypairPasswordNotReady, "keypair.password_not_ready", Fault, "the instance has not made its password yet", None;
    KeypairRegionUnknown, "keypair.region_unknown", NotFound, "the region does not exist, or the account has not enabled it", Some("claviger keypair list --all-regions");
    KeypairStranded, "keypair.stranded", Fault, "a key pair may stand at AWS whose private half nobody has", None;
    KeypairUnsupported, "keypair.unsupported", Refused, "no key of that type or size is taken by EC2", Some("claviger ssh-key new NAME");
    KeyringUnavailable, "keyring.unavailable", Fault, "the desktop's keyring cannot be used", Some("claviger slot add keyring");
    MfaAccountInUse, "mfa.account_in_use", Refused, "the account of the YubiKey makes the codes of an authenticator", Some("claviger mfa list");
    MfaAccountUnfit, "mfa.account_unfit", Refused, "AWS does not take the codes of such an account: it knows TOTP alone, of SHA-1 and 30 seconds", Some("claviger mfa add --for NAME --device --new");
    MfaCodeNeeded, "mfa.code_needed", Person, "a code must be typed, and nobody here can be asked", None;
    MfaCodeRefused, "mfa.code_refused", Refused, "AWS refused the code", None;
    MfaContradicts, "mfa.contradicts", Refused, "the profile's mfa_serial contradicts what is known", None;
    MfaExists, "mfa.exists", Refused, "an authenticator of that name or serial is already stored", Some("claviger mfa list");
    MfaLastDevice, "mfa.last_device", Person, "the device is the last one of its user", None;
    MfaNameTaken, "mfa.name_taken", Refused, "AWS has an MFA device of that name, or no name can be made for one", None;
    MfaNotFound, "mfa.not_found", NotFound, "no such authenticator is stored", Some("claviger mfa list");
    MfaPresenceNeeded, "mfa.presence_needed", Person, "no person has been here lately enough to spend a code", Some("claviger login");
    MfaSeedInvalid, "mfa.seed_invalid", Usage, "the seed is neither base32 nor a URI of an account that AWS could use, or one of several must be chosen", None;
    MfaSeedUnreadable, "mfa.seed_unreadable", Refused, "the seed is on a device, which gives it to nobody", None;
    MfaSerialUnknown, "mfa.serial_unknown", Usage, "the serial of the device is not known", None;
    MfaStepSpent, "mfa.step_spent", Person, "the current code is spent", None;
    MfaUnfinished, "mfa.unfinished", Refused, "an earlier enrolment of the same user is not done", None;
    ProfileAdopted, "profile.adopted", Refused, "the profile is adopted already", Some("claviger profile list");
    ProfileChanged, "profile.changed", Person, "the profile's role or account is not the one it was first used with", Some("claviger config accept --all");
    ProfileConflict, "profile.conflict", Usage, "settings of the profile exclude each other", None;
    ProfileInvalid, "profile.invalid", Usage, "a setting of the profile is not valid", None;
    ProfileLoop, "profile.loop", Usage, "source_profile leads back to itself", None;
    ProfileNoAccessKey, "profile.no_access_key", Usage, "the profile comes from no stored access key", Some("claviger profile list");
    ProfileNoSource, "profile.no_source", Usage, "the profile names nothing that credentials could come from", Some("claviger access-key add NAME");
    ProfileNotAdopted, "profile.not_adopted", Refused, "the profile was not adopted", Some("claviger profile list");
    ProfileNotFound, "profile.not_found", NotFound, "no such profile", Some("claviger profile list");
    ProfileUnreadable, "profile.unreadable", Usage, "an AWS file cannot be read", None;
    ProfileUnsupported, "profile.unsupported", Usage, "the profile's source is not served", None;
    PromptNoTerminal, "prompt.no_terminal", Person, "questions can be answered at a terminal alone, and here is none", None;
    PromptRefused, "prompt.refused", Refused, "a person who was asked declined", None;
    PromptSilenced, "prompt.silenced", Refused, "too many questions were refused or left unanswered, so nobody is asked for a while, or until that is lifted", Some("claviger prompts");
    PromptUnanswered, "prompt.unanswered", Person, "nobody could be asked, or nobody answered", Some("claviger prompts");
    RequestCancelled, "request.cancelled", Fault, "the request was cancelled", None;
    RequestTimedOut, "request.timed_out", Person, "the wait ended before an answer came", None;
    SlotAmbiguous, "slot.ambiguous", Usage, "more than one device that is plugged in opens the vault", Some("claviger slot list");
    SlotCopiesLeft, "slot.copies_left", Fault, "the slot is gone, but older copies of the vault still open with it", Some("claviger status");
    SlotKeyUnfit, "slot.key_unfit", Refused, "the key on the card cannot open a vault slot: it is not of P-256, or does not want both PIN and touch", Some("claviger piv list");
    SlotLast, "slot.last", Refused, "the last slot of its kind that a person can open cannot be removed", Some("claviger slot add passphrase");
    SlotNoDevice, "slot.no_device", Person, "no device that opens the vault is plugged in, or the person does not want to use it", Some("claviger unlock --no-device");
    SlotNotFound, "slot.not_found", NotFound, "no such slot", Some("claviger slot list");
    SlotOnlyDevices, "slot.only_devices", Refused, "devices alone would open the vault then: lost or broken ones take it with them", Some("claviger slot add recovery");
    SlotWrongDevice, "slot.wrong_device", Refused, "the device is not the one that the slot was made with, or one of both was changed since", Some("claviger unlock --recovery");
    SlotsFull, "slot.full", Refused, "the vault has as many slots as it takes", Some("claviger slot list");
    SourceBadAnswer, "source.bad_answer", Network, "what a source of credentials gave is none, or has ended", None;
    SourceLongLived, "source.long_lived", Refused, "a command gives long-lived keys, which are not handed out", Some("claviger access-key add NAME");
    SourceNotConfigured, "source.not_configured", Usage, "config.toml does not say where the source is", None;
    SourceRefused, "source.refused", Refused, "a source of credentials refused", None;
    SourceUnreachable, "source.unreachable", Network, "a source of credentials cannot be reached", None;
    SshKeyCertificateExpired, "ssh_key.certificate_expired", Refused, "the certificate of the SSH key is no longer valid", Some("ssh-keygen -L -f FILE");
    SshKeyCertificateMismatch, "ssh_key.certificate_mismatch", Refused, "the certificate is for another SSH key", Some("ssh-keygen -l -f FILE");
    SshKeyExists, "ssh_key.exists", Refused, "the SSH key, or one of that name, is already stored", Some("claviger ssh-key list");
    SshKeyHostUnknown, "ssh_key.host_unknown", NotFound, "no host key of a destination is known", None;
    SshKeyMalformed, "ssh_key.malformed", Usage, "the SSH key, its certificate or an option of it is not well formed", Some("claviger ssh-key add --help");
    SshKeyNotFound, "ssh_key.not_found", NotFound, "no SSH key of that name is stored", Some("claviger ssh-key list");
    SshKeyPassphraseNeeded, "ssh_key.passphrase_needed", Person, "the file of the SSH key is encrypted, and no passphrase was given", Some("claviger ssh-key add NAME FILE --key-passphrase-fd 3");
    SshKeyPassphraseWrong, "ssh_key.passphrase_wrong", Refused, "the passphrase does not open the file of the SSH key", Some("ssh-keygen -y -f FILE");
    SshKeyUnsupported, "ssh_key.unsupported", Refused, "an SSH key of that type or size, or a file encrypted in that way, is not held", Some("claviger ssh-key new NAME");
    StateUnsaved, "state.unsaved", Fault, "the ledger cannot be written, so no code may be spent", None;
    TrashAmbiguous, "trash.ambiguous", Usage, "more than one kind of item of that name is in the trash", Some("claviger trash list");
    TrashNotFound, "trash.not_found", NotFound, "nothing of that name is in the trash", Some("claviger trash list");
    Usage, "usage", Usage, "the command line is not understood", Some("claviger --help");
    VaultAbsent, "vault.absent", NotFound, "there is no vault yet", Some("claviger init");
    VaultChanged, "vault.changed", Fault, "another program has changed the vault", Some("claviger agent restart");
    VaultDamaged, "vault.damaged", Fault, "the vault is damaged; it was left untouched", None;
    VaultExists, "vault.exists", Refused, "there is a vault already", Some("claviger status");
    VaultLocked, "vault.locked", Locked, "the vault is locked", Some("claviger unlock");
    VaultNewer, "vault.newer", Fault, "the vault was written by a newer claviger; it was left untouched", None;
    VaultNoMemory, "vault.no_memory", Fault, "there is not enough memory to open or make the slot", None;
    VaultRecoveryMismatch, "vault.recovery_mismatch", Refused, "the recovery code was not typed back as shown", None;
    VaultRolledBack, "vault.rolled_back", Person, "the vault is an older one than was known: it is read-only until that is accepted", Some("claviger unlock --accept-older");
    VaultUnreadable, "vault.unreadable", Fault, "the vault or its state cannot be read; it was left untouched", None;
    VaultUnsaved, "vault.unsaved", Fault, "the vault cannot be saved; the old one stands", None;
    VaultUnsynced, "vault.unsynced", Fault, "the vault was saved, but the disk did not confirm it", None;
    VaultWait, "vault.wait", Refused, "too many wrong guesses; wait before the next", None;
    VaultWeakPassphrase, "vault.weak_passphrase", Usage, "the passphrase is empty or too long", None;
    VaultWrongProof, "vault.wrong_proof", Refused, "the passphrase or recovery code opens no slot", None;
    WireBadLine, "wire.bad_line", Usage, "a line was not a message of the protocol", None;
    WireProtocol, "wire.protocol", Fault, "client and agent speak different protocols", Some("claviger agent restart");
    WireTooLong, "wire.too_long", Usage, "a line was longer than the protocol allows", None;
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}
