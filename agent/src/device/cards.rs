//! Which card is meant: each is asked once an insertion what it is.

use super::{Address, Answer, CardInfo, Devices, Error, Found, Operation};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// A card that is plugged in, and what it is.
#[derive(Debug, Clone)]
pub struct Card {
    /// Where it is, for [`Devices::run`].
    pub found: Found,
    /// What it said when it was first asked after it was plugged in: its tries may be others by now.
    pub info: CardInfo,
}

/// What cards have said, by where they are and since when.
#[derive(Default)]
pub(super) struct Described(Mutex<BTreeMap<Address, (u64, CardInfo)>>);

impl Described {
    fn known(&self, found: &Found) -> Option<CardInfo> {
        let described = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        described.get(&found.address).filter(|(since, _)| *since == found.insertion).map(|(_, info)| info.clone())
    }

    fn learn(&self, found: &Found, info: &CardInfo) {
        let mut described = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        described.insert(found.address.clone(), (found.insertion, info.clone()));
    }

    /// Forgets the cards that are not among these.
    fn keep(&self, present: &[Found]) {
        let is_there = |address: &Address| present.iter().any(|found| found.address == *address);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| is_there(address));
    }
}

impl Devices {
    /// The card with this serial number.
    ///
    /// # Errors
    /// [`Error::NotPresent`] where there is none. Where a card does not say what it is, and none of the others is meant:
    /// what keeps it from that, as [`Error::Held`]. [`Error::ServiceMissing`] without pcscd.
    pub async fn card(self: &Arc<Self>, serial: u32) -> Result<Card, Error> {
        let mut silent = Error::NotPresent;
        for card in self.cards().await? {
            match card {
                Ok(card) if card.info.serial == Some(serial) => return Ok(card),
                Ok(_) => {}
                Err(error) => silent = error,
            }
        }
        Err(silent)
    }

    /// The one card that is plugged in, of those with an applet that is of use here.
    ///
    /// # Errors
    /// [`Error::NotPresent`] where there is none, [`Error::Ambiguous`] where there are several; else as [`Self::card`].
    pub async fn only_card(self: &Arc<Self>) -> Result<Card, Error> {
        let is_of_use = |card: &Result<Card, Error>| {
            card.as_ref().map_or(true, |Card { info, .. }| info.piv.is_some() || info.oath.is_some())
        };
        let mut cards = self.cards().await?.into_iter().filter(is_of_use);
        match (cards.next(), cards.next()) {
            (None, _) => Err(Error::NotPresent),
            (Some(card), None) => card,
            (Some(_), Some(_)) => Err(Error::Ambiguous),
        }
    }

    /// The cards that are plugged in, or what keeps each from saying what it is. All at once: one that hangs holds up
    /// nobody for long.
    ///
    /// # Errors
    /// As [`Self::present`]; [`Error::ServiceMissing`] without pcscd.
    pub async fn cards(self: &Arc<Self>) -> Result<Vec<Result<Card, Error>>, Error> {
        let present = self.present().await?;
        self.described.keep(&present.devices);
        if let Some(error) = present.cards {
            return Err(error);
        }
        let cards = present.devices.into_iter().filter(|found| matches!(found.address, Address::Card(_)));
        Ok(join_all(cards.map(|found| self.described(found))).await)
    }

    async fn described(&self, found: Found) -> Result<Card, Error> {
        if let Some(info) = self.described.known(&found) {
            return Ok(Card { found, info });
        }
        // Nobody is asked to touch anything for this.
        let (notices, _) = mpsc::unbounded_channel();
        match self.run(&found, Operation::DescribeCard {}, notices).await? {
            Answer::Card(info) => {
                self.described.learn(&found, &info);
                Ok(Card { found, info })
            }
            _ => Err(Error::HelperSpeech),
        }
    }
}
