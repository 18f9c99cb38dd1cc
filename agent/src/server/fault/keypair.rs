//! What EC2 key pairs may meet.

use super::{Code, Fault, Subject, aws_fault, job_ref, session, shown};
use crate::jobs::Error;
use crate::ssh::key::Ec2Fitness;
use claviger::model::{KeyPairName, Name, Region};

/// The fault of a profile's call. A refusal that no other fault tells of is in AWS's own words.
pub(in crate::server) fn of(error: &Error, subject: &Subject) -> Fault {
    match error {
        Error::Aws(error) => aws_fault(error, &subject.profile),
        Error::Session(error) => session(error, subject),
        error => job_ref(error),
    }
}

/// None for what is no error of a key pair.
pub(super) fn fault(error: &Error) -> Option<Fault> {
    Some(match error {
        Error::KeypairExists(name, region) => {
            let message = format!("key pair {} has another key in {region}", named(name));
            Fault::new(Code::KeypairExists, message).hint(format!("claviger keypair list --region {region}"))
        }
        Error::KeypairInstanceNotFound(id, region) => {
            let message = format!("there is no instance {id} in {region}: another region, or another account?");
            Fault::new(Code::KeypairInstanceNotFound, message).hint("claviger keypair list --all-regions")
        }
        Error::KeypairInvalid(rule) => Fault::new(Code::KeypairInvalid, *rule),
        Error::KeypairKeyMissing(name) => {
            let message = format!("no key here decrypts it: the instance was launched with {}", cut(name));
            Fault::new(Code::KeypairKeyMissing, message)
        }
        Error::KeypairLimit(region) => {
            let message = format!("the account has as many key pairs in {region} as it may have: delete one");
            Fault::new(Code::KeypairLimit, message).hint(format!("claviger keypair list --region {region}"))
        }
        Error::KeypairNoPassword(id, why) => {
            let message = format!("instance {id} has no password to decrypt: {why}");
            let fault = Fault::new(Code::KeypairNoPassword, message);
            match why.contains("Windows") {
                true => fault,
                false => fault.hint("claviger keypair create NAME --type rsa"),
            }
        }
        Error::KeypairNotFound(name, regions) => {
            let asked = match regions.as_slice() {
                [region] => region.to_string(),
                regions => format!("any of the {} regions that were asked", regions.len()),
            };
            let message = format!("there is no key pair {} in {asked}", named(name));
            Fault::new(Code::KeypairNotFound, message).hint("claviger keypair list --all-regions")
        }
        Error::KeypairPasswordNotReady(id) => {
            let message = "the instance has not made its password yet, which takes it up to 15 minutes: try again";
            Fault::new(Code::KeypairPasswordNotReady, message).hint(format!("claviger keypair password {id}"))
        }
        Error::KeypairRegionUnknown(region) => {
            let message = format!("there is no region {region}, or the account has not enabled it");
            Fault::new(Code::KeypairRegionUnknown, message).hint("claviger keypair list --all-regions")
        }
        Error::KeypairStranded(name, region) => {
            let message =
                format!("key pair {} may stand in {region}, and nobody has its private half: delete it", named(name));
            let fault = Fault::new(Code::KeypairStranded, message);
            match plain(name) {
                true => fault.hint(format!("claviger keypair delete {name} --region {region}")),
                false => fault.hint(format!("claviger keypair list --region {region}")),
            }
        }
        Error::KeypairUnsupported(Ec2Fitness::WrongSize(bits)) => {
            let message = format!("an RSA key of {bits} bits: EC2 takes those of 2048 and 4096");
            Fault::new(Code::KeypairUnsupported, message)
        }
        Error::KeypairUnsupported(_) => {
            let message = "ed25519 and RSA keys are all that EC2 takes: no ECDSA, and none of FIDO2 devices";
            Fault::new(Code::KeypairUnsupported, message)
        }
        _ => return None,
    })
}

/// Nobody has agreed.
pub(in crate::server) fn in_use(name: &KeyPairName, instances: usize) -> Fault {
    let launched = if instances == 1 { "1 instance was".to_owned() } else { format!("{instances} instances were") };
    let message = format!("{launched} launched with key pair {}", named(name));
    let fault = Fault::new(Code::KeypairInUse, message);
    match plain(name) {
        true => fault.hint(format!("claviger keypair delete {name} --force")),
        false => fault,
    }
}

/// Nobody has agreed that a pair goes whose private half is not at hand.
pub(in crate::server) fn not_ours(name: &KeyPairName, regions: &[Region]) -> Fault {
    let place = match regions {
        [region] => region.to_string(),
        regions => format!("{} regions", regions.len()),
    };
    let message = format!(
        "the key of key pair {} in {place} is neither in the vault nor on a card that is plugged in: somebody else may use it",
        named(name)
    );
    let fault = Fault::new(Code::KeypairKeyMissing, message);
    match plain(name) {
        true => fault.hint(format!("claviger keypair rotate {name} --force")),
        false => fault,
    }
}

/// The name of the private half is taken: that key may be what is wanted.
pub(in crate::server) fn key_exists(
    fault: Fault,
    (pair, key): (&KeyPairName, &Name),
    region: Option<&Region>,
) -> Fault {
    if fault.code != Code::SshKeyExists || !plain(pair) {
        return fault;
    }
    let mut command = format!("claviger keypair import {pair}");
    if pair.as_str() != key.as_str() {
        command.push_str(&format!(" --key {key}"));
    }
    if let Some(region) = region {
        command.push_str(&format!(" --region {region}"));
    }
    fault.hint(command)
}

/// Somebody was asked, and said no.
pub(in crate::server) fn declined() -> Fault {
    Fault::new(Code::PromptRefused, "nothing was done: the answer was no")
}

/// Neither the request nor the profile names one.
pub(in crate::server) fn no_region(profile: &str) -> Fault {
    let message = format!("profile {} names no region: name one", shown(profile));
    Fault::new(Code::KeypairNoRegion, message).hint("claviger keypair list --all-regions")
}

/// A name for a message.
fn named(name: &KeyPairName) -> String {
    cut(name.as_str())
}

fn cut(name: &str) -> String {
    super::cut(&shown(name), super::NAME_LIMIT)
}

/// Whether it can be typed as it is.
fn plain(name: &KeyPairName) -> bool {
    let name = name.as_str();
    let safe = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    !name.starts_with('-') && name.chars().all(safe) && name.len() <= super::NAME_LIMIT
}
