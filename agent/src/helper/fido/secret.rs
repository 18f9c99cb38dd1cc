//! The secret of a vault slot: hmac-secret (CTAP 2.1, section 12.5), the user always verified.

use super::Session;
use crate::device::Error;
use crate::device::protocol::Bytes;
use claviger::secret::{DeviceSecret, SecretText};
use ctap_hid_fido2::fidokey::credential_management::credential_management_params::CredentialProtectionPolicy;
use ctap_hid_fido2::fidokey::{
    AssertionExtension, CredentialExtension, GetAssertionArgsBuilder, MakeCredentialArgsBuilder,
};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

impl Session<'_> {
    pub(super) fn make_secret(&mut self, application: &str, pin: &str) -> Result<Bytes, Error> {
        let said = self.said()?;
        if !said.info.hmac_secret {
            return Err(Error::Unsupported(None));
        }
        if said.info.pin_set != Some(true) {
            return Err(Error::PinNotSet);
        }
        let mut extensions = vec![CredentialExtension::HmacSecret(Some(true))];
        if said.info.cred_protect {
            let policy = CredentialProtectionPolicy::UserVerificationRequired;
            extensions.push(CredentialExtension::CredProtect(Some(policy)));
        }
        let arguments = MakeCredentialArgsBuilder::new(application, &[]).pin(pin).extensions(&extensions).build();
        self.courtesy.touch();
        let made = self.key.make_credential_with_args(&arguments).map_err(|error| self.error(&error))?;
        let has = |extension: &CredentialExtension| matches!(extension, CredentialExtension::HmacSecret(Some(true)));
        if !made.extensions.iter().any(has) {
            return Err(Error::Unsupported(None));
        }
        Ok(Bytes(made.credential_descriptor.id))
    }

    pub(super) fn secret(
        &mut self,
        application: &str,
        credential: &[u8],
        salt: &[u8],
        pin: &str,
    ) -> Result<DeviceSecret, Error> {
        let salt = <[u8; 32]>::try_from(salt).map_err(|_| Error::TooLarge)?;
        if self.said()?.info.pin_set != Some(true) {
            return Err(Error::PinNotSet);
        }
        let arguments = GetAssertionArgsBuilder::new(application, &[])
            .credential_id(credential)
            .pin(pin)
            .extensions(&[AssertionExtension::HmacSecret(Some(salt))])
            .build();
        self.courtesy.touch();
        let made = self.key.get_assertion_with_args(&arguments).map_err(|error| self.error(&error))?;
        let made = made.into_iter().next().filter(|made| made.flags.user_verified_result);
        let secret = made.and_then(|made| {
            made.extensions.into_iter().find_map(|extension| match extension {
                AssertionExtension::HmacSecret(secret) => secret.map(Zeroizing::new),
                _ => None,
            })
        });
        let secret = secret.ok_or_else(|| Error::BadAnswer("no secret".to_owned()))?;
        Ok(DeviceSecret::from_text(HEXLOWER.encode(secret.as_slice())))
    }
}
