//! EC2 key pairs: listed and matched with the keys that are at hand, made, imported, rotated, deleted, in several regions
//! at once; and the Windows passwords that are encrypted to them.
//!
//! A private half is never in one place alone while something is under way: it is in the vault before EC2 has its public
//! half, and what EC2 makes is in the vault before anybody is told, or the pair is deleted again.

mod account;
mod create;
mod delete;
mod import;
mod known;
mod list;
mod password;
mod rotate;

pub use account::{Account, REGIONS_LIMIT};
pub use create::{Wanted, create};
pub use delete::{Found, delete, find, trash_keys};
pub use import::{PublicHalf, import, public_of};
pub use known::Known;
pub use list::{Listing, list};
pub use password::{Encrypted, decrypt, fetch, password};
pub use rotate::{Rotated, Rotation, Scope, advance, begin, finish, kind_of, rotate};

use crate::aws::{Instance, Tags};
use crate::jobs::Error;
use claviger::wire::{KeypairInstance, KeypairRegion};
use std::collections::BTreeMap;

/// The tag of a pair that AWS makes for us: who has begun to make it, until the private half is in the vault. A pair that a
/// lost answer or a crash left behind is known by it.
const ATTEMPT: &str = "claviger:attempt";
/// What the tag says from then on.
const ATTEMPT_DONE: &str = "done";

/// What became of one region: the answer, or why there is none.
pub type Regional<T> = (claviger::model::Region, Result<T, Error>);

/// Tags as they were given, if EC2 takes them: at most 45 (EC2 takes 50), keys of 1 to 127 and values of up to 255
/// characters, no key of AWS's own or of ours.
pub fn tags(given: &BTreeMap<String, String>) -> Result<Tags, Error> {
    if given.len() > 45 {
        return Err(Error::KeypairInvalid("a key pair has 45 tags at most"));
    }
    for (key, value) in given {
        let length = key.chars().count();
        if length == 0 || length > 127 || value.chars().count() > 255 {
            let rule = "the key of a tag has 1 to 127 characters, its value at most 255";
            return Err(Error::KeypairInvalid(rule));
        }
        if key.to_ascii_lowercase().starts_with("aws:") || key.starts_with("claviger:") {
            return Err(Error::KeypairInvalid("the key of a tag begins neither with aws: nor with claviger:"));
        }
    }
    Ok(given.clone())
}

/// Instances that were launched with a pair and are not over.
fn users<'a>(instances: &'a [Instance], pair: &'a str) -> impl Iterator<Item = &'a Instance> {
    instances.iter().filter(move |found| found.key_name.as_deref() == Some(pair) && !found.state.is_over())
}

fn instance_row(instance: &Instance) -> KeypairInstance {
    let state = instance.state.name().to_owned();
    KeypairInstance { id: instance.id.clone(), name: instance.name.clone(), state }
}

/// A region of which there is nothing to say yet.
pub fn region_row(region: claviger::model::Region) -> KeypairRegion {
    KeypairRegion { region, deed: None, id: None, instance_count: None, fault: None }
}
