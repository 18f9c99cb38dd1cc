//! Keys of FIDO devices, as `ssh-add` and the vault hold them: the device signs. Nothing of the vault is in hand while it
//! works: a lock ends it, and nothing is handed out after one.

use super::connection::Connection;
use super::record::Signature;
use super::sign::{NotSigned, over};
use crate::ask::{Audience, Touch};
use crate::device::{Answer, Error, Found, Operation};
use crate::prompt::asked_by;
use crate::session::Hardware;
use crate::ssh::Payload;
use crate::ssh::key::SecurityKey;
use std::sync::Arc;

/// Whether a key may sign this. A credential of the web signs what SSH wants, and nothing that a browser could want.
fn signs(key: &SecurityKey, payload: &Payload<'_>) -> bool {
    key.application.starts_with("ssh:") || !matches!(payload, Payload::Raw)
}

/// What a device has to sign with: the devices, and the person before them.
pub(super) struct Bench<'a> {
    pub(super) hardware: &'a Hardware,
    pub(super) audience: Arc<Audience>,
    pub(super) purpose: String,
    pub(super) asked_by: String,
}

impl Bench<'_> {
    /// Has a device do something, and tells of the touch that it waits for, as long as it does.
    pub(super) async fn run(&self, device: &Found, operation: Operation) -> Result<Answer, Error> {
        let (purpose, asked_by) = (self.purpose.clone(), self.asked_by.clone());
        let touch = Touch { device: device.product.clone(), purpose, asked_by };
        self.hardware.run(device, operation, &touch, &self.audience).await
    }
}

impl Connection {
    /// The signature blob of a key that a device holds, for one that may be used. A person may have to be there.
    pub(super) async fn sign_on_device(
        &self,
        key: &SecurityKey,
        data: &[u8],
        signature: &Signature<'_>,
    ) -> Result<Vec<u8>, NotSigned> {
        let server = self.server.as_ref().ok_or(Error::HelperMissing)?;
        if !signs(key, signature.payload) {
            return Err(NotSigned::NotAllowed);
        }
        let bench = Bench {
            hardware: server.office.hardware(),
            audience: Arc::new(self.audience()),
            purpose: self.purpose(signature).await,
            asked_by: asked_by(&self.peer()),
        };
        let made = tokio::select! {
            biased;
            () = over(self.leave()) => return Err(NotSigned::Gone),
            made = bench.sign_with_security_key(key, data) => made?,
        };
        if self.is_locked() { Err(NotSigned::Gone) } else { Ok(made) }
    }
}
