//! The secret of a vault slot: hmac-secret (CTAP 2.1, section 12.5), the user always verified.

use super::{Session, credential};
use crate::device::Error;
use crate::device::fido::{Algorithm, Enrolled};
use crate::device::protocol::Bytes;
use claviger::secret::{DeviceSecret, SecretText};
use ctap_hid_fido2::fidokey::credential_management::credential_management_params::CredentialProtectionPolicy;
use ctap_hid_fido2::fidokey::{
    AssertionExtension, CredentialExtension, CredentialSupportedKeyType, GetAssertionArgsBuilder,
    MakeCredentialArgsBuilder,
};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

impl Session<'_> {
    pub(super) fn make_secret(&mut self, application: &str, pin: &str) -> Result<Enrolled, Error> {
        let said = self.said()?;
        if !said.info.hmac_secret {
            return Err(Error::Unsupported(None));
        }
        if said.info.pin_set != Some(true) {
            return Err(Error::PinNotSet);
        }
        let mut extensions = vec![CredentialExtension::HmacSecret(Some(true))];
        // From CTAP 2.1 on there are two secrets, one for a user who is verified and one for whoever touches the device.
        // Before that it may be one: then the credential itself has to want the PIN.
        let protected = !said.selects;
        if protected && !said.info.cred_protect {
            return Err(Error::Unsupported(None));
        }
        if protected {
            let policy = CredentialProtectionPolicy::UserVerificationRequired;
            extensions.push(CredentialExtension::CredProtect(Some(policy)));
        }
        let arguments = MakeCredentialArgsBuilder::new(application, &[])
            .key_type(CredentialSupportedKeyType::Ecdsa256)
            .pin(pin)
            .extensions(&extensions)
            .build();
        self.courtesy.touch();
        let made = self.key.make_credential_with_args(&arguments).map_err(|error| self.error(&error))?;
        let has = |extension: &CredentialExtension| matches!(extension, CredentialExtension::HmacSecret(Some(true)));
        if !made.extensions.iter().any(has) {
            return Err(Error::Unsupported(None));
        }
        match credential::public(&made.credential_publickey) {
            Some((Algorithm::EcdsaP256, public)) if !made.credential_descriptor.id.is_empty() => {
                Ok(Enrolled { credential: Bytes(made.credential_descriptor.id), public, protected })
            }
            _ => Err(Error::BadAnswer("another kind of credential".to_owned())),
        }
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
        // With the PIN and without a touch: nobody touches a device that cannot answer.
        let silent =
            GetAssertionArgsBuilder::new(application, &[]).credential_id(credential).pin(pin).without_up().build();
        self.key.get_assertion_with_args(&silent).map_err(|error| self.error(&error))?;
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
