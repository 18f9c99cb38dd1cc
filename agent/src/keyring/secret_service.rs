//! The freedesktop Secret Service (Secret Storage API 0.2): gnome-keyring, KWallet, KeePassXC.

use super::{Error, Item, KeyStore, Result};
use crate::world::{BoxFuture, Clock, SessionBus};
use claviger::secret::Secret;
use data_encoding::{BASE64, HEXLOWER};
use secret_service::{Collection, EncryptionType, Error as ServiceError, Item as ServiceItem};
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use zeroize::Zeroizing;

/// For everything that needs no person: the next slot's prompt is there within five seconds, whatever happens here.
const ANSWER_MILLIS: u64 = 3_000;
/// For a person at the desktop's own question.
const PERSON_MILLIS: u64 = 60_000;
/// KWallet keeps UTF-8 alone, so the secret is written in base64.
const CONTENT_TYPE: &str = "text/plain";

/// The Secret Service on a session bus.
pub struct SecretService {
    bus: SessionBus,
    clock: Arc<dyn Clock>,
}

impl SecretService {
    /// The service on this bus; nothing is connected yet.
    pub fn new(bus: SessionBus, clock: Arc<dyn Clock>) -> Self {
        Self { bus, clock }
    }

    /// A session with the service, in which secrets travel encrypted.
    async fn open(&self) -> Result<secret_service::SecretService<'static>> {
        let connection = self.bus.connect().await.map_err(|_| Error::Absent)?;
        // Whatever an activated or hung service does, nothing outlives the call: the connection ends with its owner.
        secret_service::SecretService::connect_with_existing(EncryptionType::Dh, connection).await.map_err(absent)
    }

    async fn within<T>(&self, millis: u64, work: impl Future<Output = Result<T>>) -> Result<T> {
        let deadline = self.clock.boot().plus_millis(millis);
        tokio::select! {
            biased;
            result = work => result,
            () = self.clock.sleep_until(deadline) => Err(Error::TimedOut),
        }
    }

    async fn read_first(&self, items: &[Item]) -> Result<(Item, Secret<[u8; 32]>)> {
        let service = self.open().await?;
        let mut locked = false;
        for item in items {
            let attributes = Attributes::of(*item);
            let found = service.search_items(attributes.map()).await.map_err(failed)?;
            if let Some(open) = found.unlocked.first() {
                return Ok((*item, secret_of(open).await?));
            }
            locked |= !found.locked.is_empty();
        }
        if locked {
            return Err(Error::Locked);
        }
        // A service may hide what lies in a locked collection.
        let collection = service.get_default_collection().await;
        match collection {
            Ok(collection) if collection.is_locked().await.map_err(failed)? => Err(Error::Locked),
            _ => Err(Error::NoItem),
        }
    }

    async fn keep_new(&self, item: Item, secret: &Secret<[u8; 32]>) -> Result<()> {
        let service = self.within(ANSWER_MILLIS, self.open()).await?;
        let standing = self.within(ANSWER_MILLIS, async {
            match service.get_default_collection().await {
                Ok(collection) => {
                    let locked = collection.is_locked().await.map_err(failed)?;
                    Ok(Some((collection, locked)))
                }
                Err(ServiceError::NoResult) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        });
        let collection = match standing.await? {
            Some((collection, false)) => collection,
            Some((collection, true)) => {
                self.within(PERSON_MILLIS, async { collection.unlock().await.map_err(failed) }).await?;
                collection
            }
            None => {
                let make = async { service.create_collection("Login", "default").await.map_err(failed) };
                self.within(PERSON_MILLIS, make).await?
            }
        };
        self.within(ANSWER_MILLIS, write(&collection, item, secret)).await
    }

    async fn remove(&self, item: Item) -> Result<()> {
        let service = self.open().await?;
        let attributes = Attributes::of(item);
        let found = service.search_items(attributes.map()).await.map_err(failed)?;
        if !found.locked.is_empty() {
            return Err(Error::Locked);
        }
        for item in &found.unlocked {
            item.delete().await.map_err(failed)?;
        }
        Ok(())
    }
}

impl KeyStore for SecretService {
    fn answers(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.within(ANSWER_MILLIS, async { self.open().await.map(drop) }))
    }

    fn forget(&self, item: Item) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.within(ANSWER_MILLIS, self.remove(item)))
    }

    fn keep<'a>(&'a self, item: Item, secret: &'a Secret<[u8; 32]>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.keep_new(item, secret))
    }

    fn read<'a>(&'a self, items: &'a [Item]) -> BoxFuture<'a, Result<(Item, Secret<[u8; 32]>)>> {
        Box::pin(self.within(ANSWER_MILLIS, self.read_first(items)))
    }
}

/// What an item is found by.
struct Attributes {
    vault: String,
    slot: String,
}

impl Attributes {
    fn of(item: Item) -> Self {
        Self { vault: HEXLOWER.encode(&item.vault_id), slot: item.slot.to_string() }
    }

    fn map(&self) -> HashMap<&str, &str> {
        HashMap::from([("application", "claviger"), ("vault", self.vault.as_str()), ("slot", self.slot.as_str())])
    }
}

async fn write(collection: &Collection<'_>, item: Item, secret: &Secret<[u8; 32]>) -> Result<()> {
    let attributes = Attributes::of(item);
    let label = format!("claviger: vault slot {}", item.slot);
    let text = Zeroizing::new(BASE64.encode(secret.expose()));
    let kept = collection.create_item(&label, attributes.map(), text.as_bytes(), true, CONTENT_TYPE).await;
    let back = secret_of(&kept.map_err(failed)?).await?;
    if back.expose() == secret.expose() { Ok(()) } else { Err(Error::Damaged) }
}

async fn secret_of(item: &ServiceItem<'_>) -> Result<Secret<[u8; 32]>> {
    secret_from(&Zeroizing::new(item.get_secret().await.map_err(failed)?))
}

fn secret_from(text: &[u8]) -> Result<Secret<[u8; 32]>> {
    let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| Error::Damaged)?);
    Ok(Secret::new(bytes.as_slice().try_into().map_err(|_| Error::Damaged)?))
}

/// An error before a session is open: there is nobody.
fn absent(error: ServiceError) -> Error {
    match failed(error) {
        Error::Failed => Error::Absent,
        other => other,
    }
}

/// An error by what it means; its text is the service's own and stays here.
fn failed(error: ServiceError) -> Error {
    match error {
        ServiceError::Crypto(_) => Error::Damaged,
        ServiceError::Locked => Error::Locked,
        ServiceError::NoResult => Error::NoItem,
        ServiceError::Prompt => Error::Dismissed,
        ServiceError::Unavailable => Error::Absent,
        ServiceError::Zbus(zbus::Error::MethodError(name, _, _)) => match name.as_str() {
            "org.freedesktop.Secret.Error.IsLocked" => Error::Locked,
            "org.freedesktop.Secret.Error.NoSuchObject" => Error::NoItem,
            "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => Error::Absent,
            _ => Error::Failed,
        },
        _ => Error::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::{BASE64, secret_from};
    use crate::testing::parsers::{Parser, Verdict};

    #[test]
    fn an_item_of_the_keyring_withstands_damage() {
        let parser = Parser {
            name: "keyring-item",
            more: Vec::new(),
            tokens: &[b"=", b"==", b"AAAA", b"\n", b"-_"],
            taken: 20,
            refusals: &["Damaged"],
            parse: &|input| match secret_from(input) {
                Ok(secret) => {
                    let again = secret_from(BASE64.encode(secret.expose()).as_bytes());
                    assert!(again.is_ok_and(|again| again.expose() == secret.expose()), "not what is written");
                    Verdict::Accepted
                }
                Err(error) => Verdict::refused(&error),
            },
        };
        parser.withstands_damage();
    }
}
