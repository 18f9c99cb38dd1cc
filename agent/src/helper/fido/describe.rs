//! What a device is. None of it costs a try.

use super::{Session, status};
use crate::device::Error;
use crate::device::fido::{Algorithm, Info};
use crate::device::protocol::Bytes;

/// What it says of itself, as far as the operations ask.
pub(super) struct Said {
    pub(super) info: Info,
    /// Credential management of CTAP 2.1; false is that of the preview before it, None has neither.
    pub(super) manages: Option<bool>,
    /// authenticatorSelection (CTAP 2.1).
    pub(super) selects: bool,
}

impl Session<'_> {
    pub(super) fn describe(&mut self) -> Result<Info, Error> {
        let mut info = self.said()?.info;
        if info.pin_set == Some(true) {
            info.pin_tries = Some(self.pin_tries()?);
        }
        Ok(info)
    }

    /// authenticatorGetInfo; from here on in the PIN protocol that the device has.
    pub(super) fn said(&mut self) -> Result<Said, Error> {
        let said = self.key.get_info().map_err(|error| status::error(&error))?;
        let option = |name: &str| said.options.iter().find(|(option, _)| option == name).map(|(_, is)| *is);
        let extension = |name: &str| said.extensions.iter().any(|extension| extension == name);
        if !said.pin_uv_auth_protocols.is_empty() && !said.pin_uv_auth_protocols.contains(&1) {
            self.key.pin_protocol_version = 2;
        }
        let algorithms = said.algorithms.iter().filter(|(name, _)| name == "alg");
        let mut algorithms: Vec<_> = algorithms
            .filter_map(|(_, number)| match number.as_str() {
                "-7" => Some(Algorithm::EcdsaP256),
                "-8" => Some(Algorithm::Ed25519),
                _ => None,
            })
            .collect();
        // Before CTAP 2.1 it is not told, and this one was what each had.
        if said.algorithms.is_empty() {
            algorithms.push(Algorithm::EcdsaP256);
        }
        let manages = match (option("credMgmt"), option("credentialMgmtPreview")) {
            (Some(true), _) => Some(true),
            (_, Some(true)) => Some(false),
            _ => None,
        };
        let selects =
            said.versions.iter().any(|version| version.starts_with("FIDO_2_") && !version.starts_with("FIDO_2_0"))
                && said.versions.iter().any(|version| version.starts_with("FIDO_2_") && !version.ends_with("PRE"));
        let info = Info {
            model: Bytes(said.aaguid),
            versions: said.versions,
            pin_set: option("clientPin"),
            pin_tries: None,
            verifies_user: option("uv") == Some(true),
            resident: option("rk") == Some(true),
            hmac_secret: extension("hmac-secret"),
            cred_protect: extension("credProtect"),
            algorithms,
            min_pin_length: u8::try_from(said.min_pin_length).unwrap_or(u8::MAX).max(4),
        };
        Ok(Said { info, manages, selects })
    }

    pub(super) fn pin_tries(&self) -> Result<u8, Error> {
        let tries = self.key.get_pin_retries().map_err(|error| status::error(&error))?;
        u8::try_from(tries).map_err(|_| Error::BadAnswer("a number of tries".to_owned()))
    }

    /// What an error of the crate means, with the tries that are left.
    pub(super) fn error(&self, error: &impl std::fmt::Display) -> Error {
        match status::error(error) {
            Error::PinWrong { reference, .. } => Error::PinWrong { reference, left: self.pin_tries().ok() },
            Error::PinNeeded(_) => Error::PinNeeded(self.pin_tries().ok()),
            other => other,
        }
    }
}
