//! What rooms above put aside at a lock: bytes that can be read again only while this vault is open.

use super::Custody;
use crate::vault::crypto;
use crate::world::on_wiped_stack;
use zeroize::Zeroizing;

/// What the key is good for; it lasts as long as the vault, also where a slot is removed meanwhile.
const PURPOSE: &str = "claviger/v1/aside";

impl Custody {
    /// Seals bytes. None while the vault is locked.
    pub fn seal_aside(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let quick = self.quick();
        let open = quick.open.as_ref()?;
        on_wiped_stack(|| {
            let key = crypto::derive(open.audit_key.as_slice(), b"", PURPOSE);
            crypto::seal_record(&self.world, &key, &open.vault_id, bytes).ok()
        })
    }

    /// Opens what [`Custody::seal_aside`] sealed. None while the vault is locked, or where it is another's.
    pub fn open_aside(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let quick = self.quick();
        let open = quick.open.as_ref()?;
        on_wiped_stack(|| {
            let key = crypto::derive(open.audit_key.as_slice(), b"", PURPOSE);
            crypto::open_record(&key, &open.vault_id, sealed)
        })
    }
}
