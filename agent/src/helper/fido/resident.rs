//! Credentials that are kept on a device (CTAP 2.1, authenticatorCredentialManagement).

use super::credential::public;
use super::{Session, status};
use crate::device::fido::Credential;
use crate::device::protocol::Bytes;
use crate::device::{Error, Thing};
use ctap_hid_fido2::fidokey::credential_management::credential_management_params::CredentialProtectionPolicy;
use ctap_hid_fido2::public_key_credential_descriptor::PublicKeyCredentialDescriptor;

impl Session<'_> {
    /// Those of SSH: of relying parties whose names begin with `ssh:`.
    pub(super) fn resident(&mut self, pin: &str) -> Result<Vec<Credential>, Error> {
        self.manage()?;
        let parties = match self.key.credential_management_enumerate_rps(Some(pin)) {
            Ok(parties) => parties,
            // There are none.
            Err(error) if matches!(status::error(&error), Error::NotThere(_)) => return Ok(Vec::new()),
            Err(error) => return Err(self.error(&error)),
        };
        let mut found = Vec::new();
        for party in parties {
            let application = party.public_key_credential_rp_entity.id;
            if !application.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("ssh:")) {
                continue;
            }
            let kept = self.key.credential_management_enumerate_credentials(Some(pin), &party.rpid_hash);
            for kept in kept.map_err(|error| self.error(&error))? {
                let Some((algorithm, public)) = public(&kept.public_key) else { continue };
                let user = kept.public_key_credential_user_entity.id;
                let user = user.split(|byte| *byte == 0).next().unwrap_or_default();
                found.push(Credential {
                    application: application.clone(),
                    algorithm,
                    public,
                    handle: Bytes(kept.public_key_credential_descriptor.id),
                    user: String::from_utf8_lossy(user).into_owned(),
                    verify_required: matches!(kept.cred_protect, CredentialProtectionPolicy::UserVerificationRequired),
                });
            }
        }
        Ok(found)
    }

    pub(super) fn remove(&mut self, credential: Vec<u8>, pin: &str) -> Result<(), Error> {
        self.manage()?;
        let mut descriptor = PublicKeyCredentialDescriptor::default();
        (descriptor.id, descriptor.ctype) = (credential, "public-key".to_owned());
        self.key.credential_management_delete_credential(Some(pin), descriptor).map_err(|error| {
            match self.error(&error) {
                Error::BadAnswer(_) => Error::NotThere(Thing::Credential),
                other => other,
            }
        })
    }

    /// Which of the two ways it has.
    fn manage(&mut self) -> Result<(), Error> {
        let said = self.said()?;
        if said.info.pin_set == Some(false) {
            return Err(Error::PinNotSet);
        }
        self.key.use_pre_credential_management = !said.manages.ok_or(Error::Unsupported(None))?;
        Ok(())
    }
}
