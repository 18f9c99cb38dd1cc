//! A key for the vault, out of a file or new.

use super::{Surroundings, blob_of_line, destination};
use crate::jobs::Error;
use crate::ssh::key::{self, Curve, NewKey, SecurityKey, SoftKey};
use crate::ssh::{self, Constraints, limits};
use crate::vault::{Extra, SshKey};
use crate::world::WallTime;
use claviger::model::Name;
use claviger::secret::{Passphrase, SecretText, SshKeyFile, SshPrivateKey};
use claviger::wire::{SshKeyKind, SshKeyOptions};
use std::sync::Arc;

/// The SSHSIG namespaces that a key signs for where none is named: git's, and `ssh-keygen -Y`'s for files.
const NAMESPACES: [&str; 2] = ["git", "file"];
/// Most namespaces of a key: people have two or three.
const NAMESPACES_LIMIT: usize = 32;
/// Longest namespace in bytes: those of people are domains (PROTOCOL.sshsig section 2).
const NAMESPACE_LIMIT: usize = 256;
/// Most seconds a consent lasts: a day, after which nobody remembers it.
const LIFETIME_LIMIT: u32 = 24 * 60 * 60;
/// Most bytes of a key's destinations, host keys included: hundreds of hosts, and a row of a list stays a short part of a
/// line of the protocol.
const DESTINATIONS_LIMIT: usize = 64 * 1024;

/// A new key. RSA takes seconds.
pub fn generate(
    kind: SshKeyKind,
    name: &Name,
    options: &SshKeyOptions,
    around: &Surroundings,
) -> Result<SshKey, Error> {
    let rules = Rules::read(options, around)?;
    let kind = match kind {
        SshKeyKind::EcdsaP256 => NewKey::Ecdsa(Curve::P256),
        SshKeyKind::EcdsaP384 => NewKey::Ecdsa(Curve::P384),
        SshKeyKind::EcdsaP521 => NewKey::Ecdsa(Curve::P521),
        SshKeyKind::Ed25519 => NewKey::Ed25519,
        SshKeyKind::Rsa3072 => NewKey::Rsa3072,
        SshKeyKind::Rsa4096 => NewKey::Rsa4096,
    };
    let soft = SoftKey::generate(kind, &*around.world.entropy)?;
    rules.key(&soft, comment(options, "", name), around.world.clock.wall())
}

/// A key out of its file, with the certificate whose line is given; one that the file holds counts otherwise.
/// [`Error::SshCertificateExpired`], [`Error::SshCertificateMalformed`], [`Error::SshKey`] with what
/// [`key::import`] refuses, and what is wrong with the options. Takes as long as the file's passphrase asks for.
pub fn import(
    (file, passphrase): (&SshKeyFile, Option<&Passphrase>),
    certificate: Option<&str>,
    name: &Name,
    options: &SshKeyOptions,
    around: &Surroundings,
) -> Result<SshKey, Error> {
    let rules = Rules::read(options, around)?;
    let blob = match certificate {
        Some(line) => Some(blob_of_line(line).ok_or(Error::SshCertificateMalformed)?),
        None => None,
    };
    let key::Imported { key: mut soft, comment: own } = key::import(file.expose().as_bytes(), passphrase)?;
    if let Some(blob) = blob {
        soft = soft.with_certificate(&blob).map_err(|error| match error {
            key::Error::CertificateOfAnotherKey => error.into(),
            _ => Error::SshCertificateMalformed,
        })?;
    }
    rules.key(&soft, comment(options, &own, name), around.world.clock.wall())
}

/// A key that a device has made.
pub fn of_device(
    made: &SecurityKey,
    name: &Name,
    options: &SshKeyOptions,
    around: &Surroundings,
) -> Result<SshKey, Error> {
    let rules = Rules::read(options, around)?;
    let soft = SoftKey::decode(&mut made.encode().as_slice())?;
    rules.key(&soft, comment(options, "", name), around.world.clock.wall())
}

/// A key that has just come, from elsewhere than a file.
pub fn of_soft(soft: &SoftKey, name: &Name, options: &SshKeyOptions, around: &Surroundings) -> Result<SshKey, Error> {
    Rules::read(options, around)?.key(soft, comment(options, "", name), around.world.clock.wall())
}

/// What was asked for, else what the file says, else the name: what people see when they are asked about a use.
fn comment(options: &SshKeyOptions, own: &str, name: &Name) -> String {
    let asked = options.comment.as_deref().unwrap_or(own);
    let comment = asked.replace(char::is_control, "?");
    if comment.trim().is_empty() { name.to_string() } else { comment.trim().to_owned() }
}

/// The options, as the vault keeps them.
struct Rules {
    any_data: bool,
    confirm: bool,
    destinations: Vec<u8>,
    lifetime: Option<u32>,
    namespaces: Vec<String>,
}

impl Rules {
    fn read(options: &SshKeyOptions, around: &Surroundings) -> Result<Self, Error> {
        if options.lifetime.is_some_and(|seconds| !(1..=LIFETIME_LIMIT).contains(&seconds)) {
            return Err(Error::SshOption("a consent lasts from one second to a day"));
        }
        let mut namespaces = Vec::new();
        for namespace in &options.namespaces {
            if namespace.is_empty()
                || namespace.len() > NAMESPACE_LIMIT
                || namespace.contains(|c: char| c.is_control() || c.is_whitespace())
            {
                return Err(Error::SshOption("a namespace is 1 to 256 bytes without space"));
            }
            if !namespaces.contains(namespace) {
                namespaces.push(namespace.clone());
            }
        }
        if namespaces.len() > NAMESPACES_LIMIT {
            return Err(Error::SshOption("a key signs for 32 namespaces at most"));
        }
        if namespaces.is_empty() {
            namespaces = NAMESPACES.map(str::to_owned).into();
        }
        let destinations = destination::read_all(&options.destinations, around)?;
        let destinations = match destinations.is_empty() {
            true => Vec::new(),
            false => Constraints { destinations, ..Constraints::default() }.encode(),
        };
        if destinations.len() > DESTINATIONS_LIMIT {
            return Err(Error::SshDestination("the destinations have more host keys than a key can carry"));
        }
        let (any_data, confirm, lifetime) = (options.any_data, options.confirm, options.lifetime);
        Ok(Self { any_data, confirm, destinations, lifetime, namespaces })
    }

    /// The key under these rules.
    fn key(self, soft: &SoftKey, comment: String, now: WallTime) -> Result<SshKey, Error> {
        if comment.len() > limits::COMMENT {
            return Err(key::Error::Message(ssh::Error::CommentTooLong).into());
        }
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        if soft.certificate().is_some_and(|certificate| certificate.valid_before() <= seconds) {
            return Err(Error::SshCertificateExpired);
        }
        let private = SshPrivateKey::new(std::mem::take(&mut *soft.encode()?));
        Ok(SshKey {
            added: now,
            any_data: self.any_data,
            comment,
            confirm: self.confirm,
            destinations: self.destinations,
            lifetime: self.lifetime,
            namespaces: self.namespaces,
            private: Arc::new(private),
            public: soft.blob().to_vec(),
            rotating: None,
            extra: Extra::default(),
        })
    }
}
