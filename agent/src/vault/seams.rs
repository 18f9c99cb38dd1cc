//! The keys of a vault, for tests that look for them where they must not be. Exists only with the feature `test-seams`.

use super::envelope::Envelope;
use super::error::{Error, Result};
use super::folder::{self, MAIN, VaultFolder};
use crate::world::World;
use claviger::model::SlotProof;
use std::path::Path;
use zeroize::Zeroizing;

/// A key and its name.
pub type Named = (&'static str, Zeroizing<Vec<u8>>);

/// Every key that opening a vault with this proof makes or finds, by name. The vault lies in `folder`, a copy of its own.
pub fn keys(folder: &Path, proof: &SlotProof) -> Result<Vec<Named>> {
    let world = World::real();
    let file = std::fs::read(folder.join(MAIN)).map_err(|source| Error::Unreadable { source })?;
    let header = Envelope::split(&file)?.header;
    let (_, opener, master) = folder::find(&header, &header.slots, proof)?;
    let vault = VaultFolder::new(world, folder.to_owned()).open_with(master.clone())?;
    let state = vault.state_access().key;
    let keys = [("the slot's key", &*opener), ("master key", &*master), ("state key", &*state)];
    Ok(keys.into_iter().map(|(name, key)| (name, Zeroizing::new(key.to_vec()))).collect())
}
