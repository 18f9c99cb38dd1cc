//! Credentials for SSH: made, found, used.

use super::{Session, status};
use crate::device::Error;
use crate::device::fido::{Algorithm, Assertion, Credential};
use crate::device::protocol::Bytes;
use ctap_hid_fido2::fidokey::credential_management::credential_management_params::CredentialProtectionPolicy;
use ctap_hid_fido2::fidokey::{
    CredentialExtension, CredentialSupportedKeyType, GetAssertionArgsBuilder, MakeCredentialArgsBuilder,
};
use ctap_hid_fido2::public_key::{PublicKey, PublicKeyType};
use ctap_hid_fido2::public_key_credential_user_entity::PublicKeyCredentialUserEntity;

/// What a user's id is padded to, as OpenSSH does.
const USER_LENGTH: usize = 32;

/// A credential that is to be made.
pub(super) struct Wanted {
    pub(super) application: String,
    pub(super) algorithm: Algorithm,
    pub(super) resident: bool,
    pub(super) verify_required: bool,
    pub(super) user: String,
}

/// How one is to be used.
pub(super) struct How<'a> {
    pub(super) touch: bool,
    pub(super) verify: bool,
    pub(super) pin: Option<&'a str>,
}

impl Session<'_> {
    /// Asks for an assertion without a touch, which a device with the credential gives.
    pub(super) fn holds(&mut self, application: &str, credential: &[u8]) -> Result<bool, Error> {
        let arguments = GetAssertionArgsBuilder::new(application, &[])
            .credential_id(credential)
            .without_pin_and_uv()
            .without_up()
            .build();
        match self.key.get_assertion_with_args(&arguments) {
            Ok(_) => Ok(true),
            Err(error) => match status::error(&error) {
                Error::NotThere(_) => Ok(false),
                // It would have signed, with a touch or the PIN.
                Error::PinNeeded(_) => Ok(true),
                _ if status::code(&error) == Some(0x3b) => Ok(true),
                other => Err(other),
            },
        }
    }

    pub(super) fn make(&mut self, wanted: Wanted, challenge: &[u8], pin: Option<&str>) -> Result<Credential, Error> {
        let said = self.said()?;
        let user = user_id(&wanted.user)?;
        if !wanted.application.starts_with("ssh:") {
            return Err(Error::Unsupported(None));
        }
        if !said.info.algorithms.contains(&wanted.algorithm) {
            return Err(Error::AlgorithmUnsupported(None));
        }
        let protects = wanted.resident || wanted.verify_required;
        if (wanted.resident && !said.info.resident) || (protects && !said.info.cred_protect) {
            return Err(Error::Unsupported(None));
        }
        if protects && pin.is_none() && !said.info.verifies_user {
            if said.info.pin_set != Some(true) {
                return Err(Error::PinNotSet);
            }
            return Err(Error::PinNeeded(self.pin_tries().ok()));
        }
        // The device would put the new one in its place.
        if let (true, Some(pin), Some(_)) = (wanted.resident, pin, said.manages) {
            let there = self.resident(pin)?;
            if there.iter().any(|there| there.application == wanted.application && there.user == wanted.user) {
                return Err(Error::AlreadyThere);
            }
        }
        let mut arguments = MakeCredentialArgsBuilder::new(&wanted.application, challenge)
            .key_type(key_type(wanted.algorithm))
            .user_entity(&PublicKeyCredentialUserEntity::new(Some(&user), Some("openssh"), Some("openssh")));
        arguments = match pin {
            Some(pin) => arguments.pin(pin),
            None if protects => arguments,
            None => arguments.without_pin_and_uv(),
        };
        if wanted.resident {
            arguments = arguments.resident_key();
        }
        let policy = match (wanted.verify_required, wanted.resident) {
            (true, _) => Some(CredentialProtectionPolicy::UserVerificationRequired),
            (_, true) => Some(CredentialProtectionPolicy::UserVerificationOptionalWithCredentialIdList),
            _ => None,
        };
        if let Some(policy) = policy {
            arguments = arguments.extensions(&[CredentialExtension::CredProtect(Some(policy))]);
        }
        self.courtesy.touch();
        let made = self.key.make_credential_with_args(&arguments.build()).map_err(|error| self.error(&error))?;
        let (algorithm, public) = public(&made.credential_publickey)
            .filter(|(algorithm, _)| *algorithm == wanted.algorithm)
            .ok_or_else(|| Error::BadAnswer("another kind of key".to_owned()))?;
        if made.credential_descriptor.id.is_empty() {
            return Err(Error::BadAnswer("a credential without a name".to_owned()));
        }
        Ok(Credential {
            application: wanted.application,
            algorithm,
            public,
            handle: Bytes(made.credential_descriptor.id),
            user: wanted.user,
            verify_required: wanted.verify_required,
        })
    }

    pub(super) fn sign(
        &mut self,
        application: &str,
        credential: &[u8],
        data: &[u8],
        how: How<'_>,
    ) -> Result<Assertion, Error> {
        let mut arguments = GetAssertionArgsBuilder::new(application, data).credential_id(credential);
        arguments = match how.pin {
            Some(pin) if how.verify => arguments.pin(pin),
            _ if how.verify => {
                let said = self.said()?;
                if !said.info.verifies_user {
                    let set = said.info.pin_set == Some(true);
                    return Err(if set { Error::PinNeeded(self.pin_tries().ok()) } else { Error::PinNotSet });
                }
                arguments
            }
            _ => arguments.without_pin_and_uv(),
        };
        if how.touch {
            self.courtesy.touch();
        } else {
            arguments = arguments.without_up();
        }
        let made = self.key.get_assertion_with_args(&arguments.build()).map_err(|error| self.error(&error))?;
        let [assertion] = made.as_slice() else {
            return Err(Error::BadAnswer("more than one assertion".to_owned()));
        };
        // The hash of the relying party's name, flags, counter: SSH knows nothing that comes after (PROTOCOL.u2f).
        let Some(([flags], [a, b, c, d])) = assertion.auth_data.get(32..).and_then(|rest| rest.split_at_checked(1))
        else {
            return Err(Error::BadAnswer("authenticator data with extensions".to_owned()));
        };
        Ok(Assertion {
            signature: Bytes(assertion.signature.clone()),
            flags: *flags,
            counter: u32::from_be_bytes([*a, *b, *c, *d]),
        })
    }

    /// A touch, and nothing else: by authenticatorSelection, or by a credential that nobody keeps.
    pub(super) fn presence(&mut self) -> Result<(), Error> {
        let said = self.said()?;
        if said.selects {
            self.courtesy.touch();
            return self.key.selection().map_err(|error| self.error(&error));
        }
        if said.info.pin_set == Some(true) {
            return Err(Error::Unsupported(None));
        }
        let arguments = MakeCredentialArgsBuilder::new("claviger:presence", &[]).without_pin_and_uv().build();
        self.courtesy.touch();
        self.key.make_credential_with_args(&arguments).map(drop).map_err(|error| self.error(&error))
    }
}

/// The name, padded; [`Error::TooLarge`] where it does not fit.
fn user_id(name: &str) -> Result<Vec<u8>, Error> {
    let mut id = name.as_bytes().to_vec();
    if id.len() > USER_LENGTH || id.contains(&0) {
        return Err(Error::TooLarge);
    }
    id.resize(USER_LENGTH, 0);
    Ok(id)
}

fn key_type(algorithm: Algorithm) -> CredentialSupportedKeyType {
    match algorithm {
        Algorithm::EcdsaP256 => CredentialSupportedKeyType::Ecdsa256,
        Algorithm::Ed25519 => CredentialSupportedKeyType::Ed25519,
    }
}

/// The key as SSH has it; None where it is none.
pub(super) fn public(key: &PublicKey) -> Option<(Algorithm, Bytes)> {
    let (algorithm, length) = match key.key_type {
        PublicKeyType::Ed25519 => (Algorithm::Ed25519, 32),
        PublicKeyType::Ecdsa256 => (Algorithm::EcdsaP256, 65),
        PublicKeyType::Unknown => return None,
    };
    (key.der.len() == length).then(|| (algorithm, Bytes(key.der.clone())))
}
