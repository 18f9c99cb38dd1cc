//! A reader of pcscd, and the card in it.

use super::holder::holder;
use super::link::{ANSWER_LIMIT, Link};
use crate::device::Error;
use pcsc::{Card, Context, Disposition, Protocols, Scope, ShareMode, Transaction};
use std::ffi::CString;
use zeroize::Zeroizing;

/// A connection to the card in a reader, opened when it is needed.
pub(super) struct Reader {
    name: String,
    card: Option<Card>,
}

impl Reader {
    pub(super) fn new(name: String) -> Self {
        Self { name, card: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Opens and closes a transaction: an error where the card went, or somebody holds it.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        self.with_transaction(|_| Ok(()))
    }

    /// Works on the card in one transaction: nobody else comes between.
    pub(super) fn with_card<T>(&mut self, work: impl FnOnce(&mut dyn Link) -> Result<T, Error>) -> Result<T, Error> {
        self.with_transaction(|transaction| {
            let buffer = Zeroizing::new(vec![0; ANSWER_LIMIT]);
            work(&mut CardLink { transaction, buffer })
        })
    }

    /// Lets go of the card.
    pub(super) fn release(&mut self) {
        if let Some(card) = self.card.take() {
            // The library's own end of a connection resets the card.
            drop(card.disconnect(Disposition::LeaveCard));
        }
    }

    fn with_transaction<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut card = match self.card.take() {
            Some(card) => card,
            None => self.connect()?,
        };
        // A card that somebody has reset, or that was pulled and put back: once more.
        let stale = card.transaction().err();
        if let Some(error) = stale {
            if !matches!(
                error,
                pcsc::Error::ResetCard
                    | pcsc::Error::RemovedCard
                    | pcsc::Error::InvalidHandle
                    | pcsc::Error::ServiceStopped
                    | pcsc::Error::NoService
            ) {
                self.card = Some(card);
                return Err(self.error(error));
            }
            self.card = Some(card);
            self.release();
            card = self.connect()?;
        }
        let outcome = match card.transaction() {
            Ok(transaction) => {
                let outcome = work(&transaction);
                drop(transaction.end(Disposition::LeaveCard));
                outcome
            }
            Err(error) => Err(self.error(error)),
        };
        self.card = Some(card);
        if matches!(outcome, Err(Error::Gone)) {
            self.release();
        }
        outcome
    }

    fn connect(&self) -> Result<Card, Error> {
        let context = Context::establish(Scope::User).map_err(service_error)?;
        let name = CString::new(self.name.as_str()).map_err(|_| Error::NotPresent)?;
        context.connect(&name, ShareMode::Shared, Protocols::ANY).map_err(|error| self.error(error))
    }

    fn error(&self, error: pcsc::Error) -> Error {
        match error {
            pcsc::Error::SharingViolation => Error::Held(holder()),
            error => to_error(error),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.release();
    }
}

/// What an error of pcscd means where a card was expected.
pub(in crate::helper) fn to_error(error: pcsc::Error) -> Error {
    use pcsc::Error as Pcsc;
    match error {
        Pcsc::NoSmartcard
        | Pcsc::RemovedCard
        | Pcsc::UnknownReader
        | Pcsc::ReaderUnavailable
        | Pcsc::NoReadersAvailable => Error::Gone,
        Pcsc::NoService | Pcsc::ServiceStopped | Pcsc::CommError => Error::ServiceMissing,
        Pcsc::SharingViolation => Error::Held(None),
        Pcsc::SecurityViolation => Error::ServiceRefused,
        Pcsc::UnresponsiveCard | Pcsc::UnpoweredCard | Pcsc::NotTransacted | Pcsc::ResetCard => {
            Error::CardUnusable("it does not answer".to_owned())
        }
        Pcsc::InsufficientBuffer => Error::BadAnswer("an answer too long".to_owned()),
        other => Error::CardUnusable(other.to_string().to_lowercase()),
    }
}

/// The same where nothing was expected but the service.
pub(in crate::helper) fn service_error(error: pcsc::Error) -> Error {
    match error {
        pcsc::Error::SecurityViolation => Error::ServiceRefused,
        _ => Error::ServiceMissing,
    }
}

struct CardLink<'a, 'c> {
    transaction: &'a Transaction<'c>,
    buffer: Zeroizing<Vec<u8>>,
}

impl Link for CardLink<'_, '_> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let answer = self.transaction.transmit(apdu, &mut self.buffer).map_err(to_error)?;
        Ok(Zeroizing::new(answer.to_vec()))
    }
}
