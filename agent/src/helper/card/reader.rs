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

/// The time of one operation, which has begun once the card is there, answers, and is nobody else's.
pub(super) struct Turn<'a> {
    reader: &'a mut Reader,
    /// Called once, when it has begun.
    begun: Option<&'a dyn Fn()>,
}

impl Turn<'_> {
    /// The reader's name.
    pub(super) fn name(&self) -> &str {
        &self.reader.name
    }

    /// Works on the card in one transaction: nobody else comes between.
    pub(super) fn with_card<T>(&mut self, work: impl FnOnce(&mut dyn Link) -> Result<T, Error>) -> Result<T, Error> {
        let begun = self.begun.take();
        self.reader.with_transaction(|transaction| {
            if let Some(begun) = begun {
                begun();
            }
            let buffer = Zeroizing::new(vec![0; ANSWER_LIMIT]);
            work(&mut CardLink { transaction, buffer })
        })
    }

    /// Lets go of the card for a connection of somebody else's making, once it is sure that there is one to be had.
    pub(super) fn leave(&mut self) -> Result<(), Error> {
        if self.begun.is_some() {
            self.with_card(|_| Ok(()))?;
        }
        self.reader.release();
        Ok(())
    }
}

impl Reader {
    pub(super) fn new(name: String) -> Self {
        Self { name, card: None }
    }

    /// For one operation.
    pub(super) fn turn<'a>(&'a mut self, begun: &'a dyn Fn()) -> Turn<'a> {
        Turn { reader: self, begun: Some(begun) }
    }

    /// Lets go of the card.
    pub(super) fn release(&mut self) {
        if let Some(card) = self.card.take() {
            // The library's own end of a connection resets the card.
            drop(card.disconnect(Disposition::LeaveCard));
        }
    }

    fn with_transaction<T, W>(&mut self, mut work: W) -> Result<T, Error>
    where
        W: FnOnce(&Transaction<'_>) -> Result<T, Error>,
    {
        loop {
            let (mut card, is_new) = match self.card.take() {
                Some(card) => (card, false),
                None => (self.connect()?, true),
            };
            let done = in_transaction(&mut card, work);
            self.card = Some(card);
            match done {
                Ok(outcome) => {
                    if matches!(outcome, Err(Error::Gone)) {
                        self.release();
                    }
                    return outcome;
                }
                Err((failed, undone)) if is_stale(failed) => {
                    self.release();
                    if is_new {
                        return Err(self.error(failed));
                    }
                    work = undone;
                }
                Err((failed, _)) => return Err(self.error(failed)),
            }
        }
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

/// Works in one transaction; gives back what was not done where there is none to be had.
fn in_transaction<T, W>(card: &mut Card, work: W) -> Result<T, (pcsc::Error, W)>
where
    W: FnOnce(&Transaction<'_>) -> T,
{
    match card.transaction() {
        Ok(transaction) => {
            let outcome = work(&transaction);
            drop(transaction.end(Disposition::LeaveCard));
            Ok(outcome)
        }
        Err(failed) => Err((failed, work)),
    }
}

/// Whether the card is to be connected to once more: somebody has reset it, or it was pulled and put back.
fn is_stale(error: pcsc::Error) -> bool {
    use pcsc::Error as Pcsc;
    matches!(error, Pcsc::ResetCard | Pcsc::RemovedCard | Pcsc::InvalidHandle | Pcsc::ServiceStopped | Pcsc::NoService)
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
