//! What holds of each request: its name, whether it brings secrets, whether it may be asked twice.

use super::Request;
use crate::model::SlotProof;

impl Request {
    /// The request's name on the wire, for logs: never its content.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AccessKeyAdd { .. } => "access_key_add",
            Self::AccessKeyExport { .. } => "access_key_export",
            Self::AccessKeyImport { .. } => "access_key_import",
            Self::AccessKeyList { .. } => "access_key_list",
            Self::AccessKeyRemove { .. } => "access_key_remove",
            Self::AccessKeyRotate(_) => "access_key_rotate",
            Self::Backup { .. } => "backup",
            Self::ConfigAccept { .. } => "config_accept",
            Self::ConfigShow { .. } => "config_show",
            Self::AuditLog { .. } => "audit_log",
            Self::AuditVerify {} => "audit_verify",
            Self::AuditWhy { .. } => "audit_why",
            Self::Credentials { .. } => "credentials",
            Self::DeviceList {} => "device_list",
            Self::FidoList { .. } => "fido_list",
            Self::FidoNew { .. } => "fido_new",
            Self::FidoPin(_) => "fido_pin",
            Self::Doctor { .. } => "doctor",
            Self::EndpointOpen { .. } => "endpoint_open",
            Self::Init { .. } => "init",
            Self::KeypairCreate(_) => "keypair_create",
            Self::KeypairDelete(_) => "keypair_delete",
            Self::KeypairImport(_) => "keypair_import",
            Self::KeypairList(_) => "keypair_list",
            Self::KeypairPassword(_) => "keypair_password",
            Self::KeypairRotate(_) => "keypair_rotate",
            Self::Lock {} => "lock",
            Self::Login { .. } => "login",
            Self::Logout { .. } => "logout",
            Self::MfaAdd { .. } => "mfa_add",
            Self::MfaAddOnDevice(_) => "mfa_add_on_device",
            Self::MfaCode { .. } => "mfa_code",
            Self::MfaDeactivate { .. } => "mfa_deactivate",
            Self::MfaEnroll(_) => "mfa_enroll",
            Self::MfaExport { .. } => "mfa_export",
            Self::MfaList {} => "mfa_list",
            Self::MfaRemove { .. } => "mfa_remove",
            Self::MfaRename { .. } => "mfa_rename",
            Self::MfaResync { .. } => "mfa_resync",
            Self::OathCode(_) => "oath_code",
            Self::OathDelete(_) => "oath_delete",
            Self::OathList { .. } => "oath_list",
            Self::OathRename(_) => "oath_rename",
            Self::PasswordChange(_) => "password_change",
            Self::PasswordSuggest { .. } => "password_suggest",
            Self::PivCertificate(_) => "piv_certificate",
            Self::PivChange(_) => "piv_change",
            Self::PivList { .. } => "piv_list",
            Self::PivManagementKey(_) => "piv_management_key",
            Self::PivNew(_) => "piv_new",
            Self::ProfileAdopt { .. } => "profile_adopt",
            Self::ProfileExplain { .. } => "profile_explain",
            Self::ProfileList { .. } => "profile_list",
            Self::ProfileRelease { .. } => "profile_release",
            Self::ProfileShow { .. } => "profile_show",
            Self::Prompts {} => "prompts",
            Self::Restart {} => "restart",
            Self::Restore { .. } => "restore",
            Self::SlotAdd { .. } => "slot_add",
            Self::SlotList {} => "slot_list",
            Self::SlotRemove { .. } => "slot_remove",
            Self::SshInstance(_) => "ssh_instance",
            Self::SshKeyAdd { .. } => "ssh_key_add",
            Self::SshKeyExport { .. } => "ssh_key_export",
            Self::SshKeyList { .. } => "ssh_key_list",
            Self::SshKeyNew { .. } => "ssh_key_new",
            Self::SshKeyPublic { .. } => "ssh_key_public",
            Self::SshKeyRemove { .. } => "ssh_key_remove",
            Self::Status {} => "status",
            Self::Stop {} => "stop",
            Self::TrashEmpty { .. } => "trash_empty",
            Self::TrashList {} => "trash_list",
            Self::TrashRestore { .. } => "trash_restore",
            Self::Unlock { .. } => "unlock",
            Self::UnlockByKeyring {} => "unlock_by_keyring",
            Self::VaultAccept { .. } => "vault_accept",
            Self::Whoami { .. } => "whoami",
        }
    }

    /// The slot proof that it brings, if it brings one.
    pub fn proof_mut(&mut self) -> Option<&mut SlotProof> {
        match self {
            Self::AccessKeyExport { proof, .. }
            | Self::Backup { proof, .. }
            | Self::ConfigAccept { proof, .. }
            | Self::MfaExport { proof, .. }
            | Self::Restore { proof, .. }
            | Self::SlotAdd { proof, .. }
            | Self::SlotRemove { proof, .. }
            | Self::SshKeyExport { proof, .. }
            | Self::TrashEmpty { proof }
            | Self::Unlock { proof }
            | Self::VaultAccept { proof, .. } => Some(proof),
            _ => None,
        }
    }

    /// Whether it brings or asks for a long-lived secret, a code or a proof: then a lock ends it. `prompts` does not: a PIN
    /// among its answers belongs to the request that asks for it.
    pub fn holds_secrets(&self) -> bool {
        matches!(
            self,
            Self::AccessKeyAdd { .. }
                | Self::AccessKeyExport { .. }
                | Self::AccessKeyRotate(_)
                | Self::Backup { .. }
                | Self::ConfigAccept { .. }
                | Self::FidoList { .. }
                | Self::FidoNew { .. }
                | Self::FidoPin(_)
                | Self::Init { .. }
                | Self::KeypairCreate(_)
                | Self::KeypairPassword(_)
                | Self::KeypairRotate(_)
                | Self::MfaAdd { .. }
                | Self::MfaAddOnDevice(_)
                | Self::MfaCode { .. }
                | Self::MfaEnroll(_)
                | Self::MfaExport { .. }
                | Self::MfaResync { .. }
                | Self::OathCode(_)
                | Self::OathDelete(_)
                | Self::OathList { .. }
                | Self::OathRename(_)
                | Self::PasswordChange(_)
                | Self::PasswordSuggest { .. }
                | Self::PivCertificate(_)
                | Self::PivChange(_)
                | Self::PivManagementKey(_)
                | Self::PivNew(_)
                | Self::Restore { .. }
                | Self::SlotAdd { .. }
                | Self::SlotRemove { .. }
                | Self::SshKeyAdd { .. }
                | Self::SshKeyExport { .. }
                | Self::SshKeyNew { .. }
                | Self::TrashEmpty { .. }
                | Self::Unlock { .. }
                | Self::VaultAccept { .. }
        )
    }

    /// Whether asking twice is as good as asking once: then a client may ask again where the agent went away before it
    /// answered. What stores something, or spends a code at a person's word, is not.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::AccessKeyExport { .. }
            | Self::AccessKeyList { .. }
            | Self::AuditLog { .. }
            | Self::AuditVerify {}
            | Self::AuditWhy { .. }
            | Self::ConfigShow { .. }
            | Self::Credentials { .. }
            | Self::DeviceList {}
            | Self::Doctor { .. }
            | Self::EndpointOpen { .. }
            | Self::KeypairList(_)
            | Self::KeypairPassword(_)
            | Self::Lock {}
            | Self::Logout { .. }
            | Self::MfaExport { .. }
            | Self::MfaList {}
            | Self::OathList { .. }
            | Self::PasswordSuggest { .. }
            | Self::PivList { .. }
            | Self::ProfileExplain { .. }
            | Self::ProfileList { .. }
            | Self::ProfileShow { .. }
            | Self::Prompts {}
            | Self::SlotList {}
            | Self::SshInstance(_)
            | Self::SshKeyExport { .. }
            | Self::SshKeyList { .. }
            | Self::SshKeyPublic { .. }
            | Self::Status {}
            | Self::TrashList {}
            | Self::Unlock { .. }
            | Self::UnlockByKeyring {}
            | Self::Whoami { .. } => true,
            Self::AccessKeyAdd { .. }
            | Self::AccessKeyImport { .. }
            | Self::AccessKeyRemove { .. }
            | Self::AccessKeyRotate(_)
            | Self::Backup { .. }
            | Self::ConfigAccept { .. }
            | Self::FidoList { .. }
            | Self::FidoNew { .. }
            | Self::FidoPin(_)
            | Self::Init { .. }
            | Self::KeypairCreate(_)
            | Self::KeypairDelete(_)
            | Self::KeypairImport(_)
            | Self::KeypairRotate(_)
            | Self::Login { .. }
            | Self::MfaAdd { .. }
            | Self::MfaAddOnDevice(_)
            | Self::MfaCode { .. }
            | Self::MfaDeactivate { .. }
            | Self::MfaEnroll(_)
            | Self::MfaRemove { .. }
            | Self::MfaRename { .. }
            | Self::MfaResync { .. }
            | Self::OathCode(_)
            | Self::OathDelete(_)
            | Self::OathRename(_)
            | Self::PasswordChange(_)
            | Self::PivCertificate(_)
            | Self::PivChange(_)
            | Self::PivManagementKey(_)
            | Self::PivNew(_)
            | Self::ProfileAdopt { .. }
            | Self::ProfileRelease { .. }
            | Self::Restart {}
            | Self::Restore { .. }
            | Self::SlotAdd { .. }
            | Self::SlotRemove { .. }
            | Self::SshKeyAdd { .. }
            | Self::SshKeyNew { .. }
            | Self::SshKeyRemove { .. }
            | Self::Stop {}
            | Self::TrashEmpty { .. }
            | Self::TrashRestore { .. }
            | Self::VaultAccept { .. } => false,
        }
    }
}
