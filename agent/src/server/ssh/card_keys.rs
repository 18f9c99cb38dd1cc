//! Keys on devices, as the SSH door has them: they stay where they are, and the device signs. They are there while the
//! vault is open, as the record of what they sign is, and obey the rules of the vault's own keys.

use super::connection::Connection;
use super::record::Signature;
use super::sign::{Asked, NotSigned};
use super::vault_keys::is_elsewhere;
use crate::ask::Audience;
use crate::device::piv;
use crate::server::Server;
use crate::server::card::{CardKeys, Errand};
use crate::ssh::key::CardKey;
use crate::ssh::{Constraints, Payload};
use crate::vault::Point;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// A key on a device.
pub(super) trait HardwareKey: Send + Sync {
    /// The blob of its public half.
    fn blob(&self) -> &[u8];
    /// The device and the place on it: in lists, in questions and on record.
    fn name(&self) -> &str;
    /// Has the device sign, and asks for what it wants. What comes back has been verified.
    fn sign<'a>(
        &'a self,
        server: &'a Arc<Server>,
        data: &'a [u8],
        flags: u32,
        errand: &'a Errand,
    ) -> BoxFuture<'a, Result<Vec<u8>, NotSigned>>;
}

/// A key in a slot of a PIV card.
struct PivKey {
    name: String,
    keys: Arc<CardKeys>,
    key: piv::Key,
    public: CardKey,
}

impl HardwareKey for PivKey {
    fn blob(&self) -> &[u8] {
        self.public.blob()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn sign<'a>(
        &'a self,
        server: &'a Arc<Server>,
        data: &'a [u8],
        flags: u32,
        errand: &'a Errand,
    ) -> BoxFuture<'a, Result<Vec<u8>, NotSigned>> {
        Box::pin(async move {
            let input = self.public.input(data, flags)?;
            let output = server.card_sign(&self.keys, &self.key, &input.bytes, errand).await;
            let signature =
                output.map_err(NotSigned::from).and_then(|output| Ok(self.public.signature(&input, &output, data)?));
            if signature.is_err() {
                // It may hold another key by now: the next list asks it.
                server.cards.forget(&self.keys.card);
            }
            signature
        })
    }
}

/// The keys of a card that can sign for SSH: not the one for encryption, nor those that open the vault.
fn piv_keys(keys: &Arc<CardKeys>, of_vault: &[Point]) -> Vec<Arc<dyn HardwareKey>> {
    let opens_vault = |key: &piv::Key| match &key.public {
        piv::PublicKey::Point(bytes) => of_vault.iter().any(|point| point[..] == bytes.0[..]),
        piv::PublicKey::Rsa { .. } => false,
    };
    let can_sign = |key: &&piv::Key| key.slot != claviger::model::PivSlot::KEY_MANAGEMENT && !opens_vault(key);
    let found = keys.keys.iter().filter(can_sign).filter_map(|key| {
        let public = CardKey::new(key.algorithm, &key.public).ok()?;
        let serial = keys.card.info.serial.map(|serial| format!("{serial} ")).unwrap_or_default();
        let name = format!("piv {serial}{}", key.slot);
        Some(Arc::new(PivKey { name, keys: keys.clone(), key: key.clone(), public }) as Arc<dyn HardwareKey>)
    });
    found.collect()
}

impl Connection {
    /// The keys of the devices that are plugged in; none while the vault is locked. Nobody is asked anything.
    pub(super) async fn hardware(&self) -> Vec<Arc<dyn HardwareKey>> {
        let Some(server) = self.server.as_ref().filter(|server| server.custody.is_unlocked()) else {
            return Vec::new();
        };
        let cards = server.card_keys().await;
        let of_vault = server.custody.keys_on_cards();
        cards.iter().flat_map(|keys| piv_keys(keys, &of_vault)).collect()
    }

    /// With a key on a device, by claviger's rules: logins and SSHSIG, and a person's word for another machine. Nothing of
    /// the vault is in hand meanwhile; a lock ends it.
    pub(super) async fn sign_with_hardware(
        &self,
        key: &dyn HardwareKey,
        asked: Asked<'_>,
        signature: &mut Signature<'_>,
    ) -> Result<Vec<u8>, NotSigned> {
        let server = self.server.as_ref().ok_or(NotSigned::Gone)?;
        signature.name = Some(key.name().to_owned());
        signature.host = self.permitted(&Constraints::default(), signature)?;
        if matches!(signature.payload, Payload::Raw) {
            return Err(NotSigned::NotAllowed);
        }
        if is_elsewhere(self.binding.state()) {
            let question = self.question(key.name(), asked.blob, signature).await;
            let same = self.same_use(asked.blob, signature);
            self.ask(&question, same.as_ref(), signature).await?;
        }
        let peer = self.peer();
        let asker = peer.clone();
        let audience = Audience::silent(Arc::new(move || asker.clone()));
        let errand = Errand::new(self.purpose(signature).await, &peer, audience);
        let made = tokio::select! {
            biased;
            () = super::sign::over(self.leave()) => return Err(NotSigned::Gone),
            made = key.sign(server, asked.data, asked.flags, &errand) => made?,
        };
        if self.is_locked() || !server.custody.is_unlocked() {
            return Err(NotSigned::Gone);
        }
        Ok(made)
    }
}
