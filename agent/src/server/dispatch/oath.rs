//! Requests about the OATH accounts of cards, whatever they are for.

use super::mfa_card::Opened;
use crate::ask::{Audience, Listener};
use crate::device::oath::{self, Kind, RENAMES_SINCE, Verb};
use crate::device::{Answer, Bytes, Card, Error, Thing};
use crate::jobs;
use crate::jobs::oath_account::{self, Place, Seen};
use crate::server::card::card_name;
use crate::server::conversation::Conversation;
use crate::server::{Server, fault};
use crate::vault::Leave;
use claviger::model::{Name, OathName};
use claviger::wire::{Fault, OathAccount, OathCard, OathCode, OathRename, OathRow, Reply, Request};
use std::sync::Arc;

/// An account, and what its card has told.
struct Chosen {
    card: Card,
    opened: Opened,
    account: oath::Account,
}

impl Chosen {
    fn failed(&self, error: &Error) -> Fault {
        fault::device::fault(error, Some(&card_name(&self.card)))
    }

    /// Where the vault would know it; a card without a serial number it does not know.
    fn place(&self) -> Option<Place> {
        self.card.info.serial.map(|card| Place { card, name: self.account.name.0.clone() })
    }
}

impl Server {
    /// All of them want the vault open: it knows which accounts are those of authenticators, and what opens the applets.
    pub(super) async fn oath_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        self.open_by_keyring().await;
        self.custody.require_unlocked().map_err(fault::vault)?;
        let (server, leave) = (self.clone(), conversation.leave.clone());
        let work = |listener: Listener| async move {
            let audience = Arc::new(Audience::of(listener));
            match request {
                Request::OathCode(asked) => server.oath_code(asked, leave, &audience).await.map(Reply::OathCode),
                Request::OathDelete(asked) => server.oath_delete(asked, leave, &audience).await,
                Request::OathList { device } => server.oath_list(device, leave, &audience).await.map(Reply::OathCards),
                Request::OathRename(asked) => server.oath_rename(asked, leave, audience).await,
                _ => Err(fault::internal()),
            }
        };
        conversation.attend(self, work).await
    }

    /// Every card with the applet, one after the other: each may ask for its password.
    async fn oath_list(
        &self,
        device: Option<u32>,
        leave: Option<Leave>,
        audience: &Arc<Audience>,
    ) -> Result<Vec<OathCard>, Fault> {
        let cards = match device {
            Some(_) => vec![Ok(self.card(device).await?)],
            None => self.devices().cards().await.map_err(|error| fault::device::fault(&error, None))?,
        };
        let silent = cards.iter().find_map(|card| card.as_ref().err()).cloned();
        let mut rows = Vec::new();
        for card in cards.into_iter().flatten().filter(|card| device.is_some() || card.info.oath.is_some()) {
            let mut row = OathCard {
                product: card.found.product.clone(),
                serial: card.info.serial,
                firmware: card.info.firmware,
                accounts: Vec::new(),
                fault: None,
            };
            match self.oath_rows(&card, leave.clone(), audience).await {
                Ok(accounts) => row.accounts = accounts,
                Err(fault) => row.fault = Some(fault),
            }
            rows.push(row);
        }
        // Of those that do not say what they are, the first says why for all: they have no name yet.
        match silent.filter(|_| rows.is_empty()) {
            Some(error) => Err(fault::device::fault(&error, None)),
            None => Ok(rows),
        }
    }

    async fn oath_rows(
        &self,
        card: &Card,
        leave: Option<Leave>,
        audience: &Arc<Audience>,
    ) -> Result<Vec<OathRow>, Fault> {
        let opened = self.looked_at(card, leave, audience).await?;
        let knowledge = self.custody.knowledge();
        let row = |account: &oath::Account| {
            let is_it = |known: &crate::vault::OathAccount| {
                card.info.serial.is_some_and(|card| known.may_be(card, &account.name.0))
            };
            let user = knowledge.devices.iter().find(|device| device.on_card.as_ref().is_some_and(is_it));
            Some(OathRow {
                name: OathName::of(&account.name.0)?,
                kind: account.kind,
                hash: account.hash,
                period: (account.kind == Kind::Totp).then_some(account.period),
                touch: account.touch,
                authenticator: user.map(|device| device.name.clone()),
            })
        };
        let rows: Option<Vec<_>> = opened.accounts.iter().map(row).collect();
        let bad = || Error::BadAnswer("a name that is empty or too long".to_owned());
        rows.ok_or_else(|| fault::device::fault(&bad(), Some(&card_name(card))))
    }

    async fn oath_code(
        &self,
        asked: OathAccount,
        leave: Option<Leave>,
        audience: &Arc<Audience>,
    ) -> Result<OathCode, Fault> {
        let chosen = self.chosen(&asked, leave, audience).await?;
        if let Some(user) = self.user_of_account(&chosen)? {
            return Err(fault::job(jobs::Error::OathCounted(user)));
        }
        let account = &chosen.account;
        // A touch is its own presence; of what counts nobody knows.
        if account.touch != Some(true) {
            self.require_presence()?;
        }
        let seconds = || self.office.aws().corrected_now().0.div_euclid(1000);
        let (name, time, period) = (account.name.clone(), seconds(), i64::from(account.period));
        let (verb, ends) = match account.kind {
            Kind::Hotp => (Verb::NextCode { name }, None),
            Kind::Totp => {
                let left = period.saturating_sub(time.checked_rem_euclid(period).unwrap_or(0));
                (Verb::Code { name, time }, Some(time.saturating_add(left)))
            }
        };
        let purpose = format!("To show a code of {}.", asked.account);
        match self.oath_for(&chosen.card, chosen.opened.access.as_ref(), verb, &purpose, audience).await {
            Ok(Answer::Oath(oath::Answer::Code(code))) => {
                // A touch may have taken what was left.
                let seconds_left = ends.map(|ends| u64::try_from(ends.saturating_sub(seconds())).unwrap_or(0));
                Ok(OathCode { code, seconds_left })
            }
            Ok(_) => Err(chosen.failed(&Error::HelperSpeech)),
            Err(error) => Err(chosen.failed(&error)),
        }
    }

    async fn oath_delete(
        &self,
        asked: OathAccount,
        leave: Option<Leave>,
        audience: &Arc<Audience>,
    ) -> Result<Reply, Fault> {
        let chosen = self.chosen(&asked, leave, audience).await?;
        if let Some(user) = self.user_of_account(&chosen)? {
            return Err(fault::job(jobs::Error::OathInUse(user)));
        }
        let verb = Verb::Delete { name: chosen.account.name.clone() };
        let deleted = self.oath(&chosen.card, chosen.opened.access.as_ref(), verb, audience).await;
        deleted.map(|_| Reply::Done {}).map_err(|error| chosen.failed(&error))
    }

    async fn oath_rename(
        self: &Arc<Self>,
        asked: OathRename,
        leave: Option<Leave>,
        audience: Arc<Audience>,
    ) -> Result<Reply, Fault> {
        let OathRename { device, account, new_name } = asked;
        let chosen = self.chosen(&OathAccount { device, account }, leave.clone(), &audience).await?;
        let to = new_name.as_bytes().to_vec();
        if chosen.card.info.firmware.is_some_and(|firmware| firmware < RENAMES_SINCE) {
            return Err(chosen.failed(&Error::Unsupported(Some(RENAMES_SINCE))));
        }
        if chosen.opened.accounts.iter().any(|account| account.name.0 == to) {
            return Err(chosen.failed(&Error::AlreadyThere));
        }
        let period = chosen.account.period;
        if chosen.account.kind == Kind::Totp && oath::period(&to) != period {
            return Err(fault::job(jobs::Error::OathPeriod(period)));
        }
        // Whoever makes a device with it goes on by its name.
        self.user_of_account(&chosen)?;
        let server = self.clone();
        // A task of its own: a client that hangs up leaves no account under two names.
        let work = tokio::spawn(async move { server.renamed(chosen, to, leave, &audience).await });
        work.await.unwrap_or_else(|_| Err(fault::internal())).map(|()| Reply::Done {})
    }

    /// The vault first, then the card, then the vault: see [`oath_account`].
    async fn renamed(
        &self,
        chosen: Chosen,
        to: Vec<u8>,
        leave: Option<Leave>,
        audience: &Arc<Audience>,
    ) -> Result<(), Fault> {
        let now = self.world.clock.wall();
        let from = chosen.account.name.0.clone();
        let mut known = None;
        if let Some(place) = chosen.place() {
            let card = place.card;
            let noted = oath_account::note(self.custody.clone(), leave.clone(), (place, to.clone()), now).await;
            known = noted.map_err(fault::job)?.then_some(card);
        }
        let verb = Verb::Rename { from: Bytes(from.clone()), to: Bytes(to.clone()) };
        let done = self.oath(&chosen.card, chosen.opened.access.as_ref(), verb, audience).await;
        let name = match &done {
            Ok(_) => Some(to),
            Err(error) => is_undone(error).then_some(from),
        };
        if let (Some(card), Some(name)) = (known, name) {
            let seen = Seen { card, names: vec![name], access: None };
            oath_account::settle(self.custody.clone(), leave, seen, now).await.map_err(fault::job)?;
        }
        done.map(drop).map_err(|error| chosen.failed(&error))
    }

    /// The authenticator of an account. Refuses that of one which is being made.
    fn user_of_account(&self, chosen: &Chosen) -> Result<Option<Name>, Fault> {
        let Some(place) = chosen.place() else { return Ok(None) };
        oath_account::user(&self.custody, &place).map_err(fault::job)
    }

    async fn chosen(
        &self,
        asked: &OathAccount,
        leave: Option<Leave>,
        audience: &Arc<Audience>,
    ) -> Result<Chosen, Fault> {
        let card = self.card(asked.device).await?;
        let opened = self.looked_at(&card, leave, audience).await?;
        let account = opened.accounts.iter().find(|account| account.name.0 == asked.account.as_bytes()).cloned();
        let account = account.ok_or_else(|| {
            fault::device::fault(&Error::NotThere(Thing::Account), Some(&card_name(&card))).hint("claviger oath list")
        })?;
        Ok(Chosen { card, opened, account })
    }

    /// The accounts of a card. What is new to the vault of them, it keeps.
    async fn looked_at(&self, card: &Card, leave: Option<Leave>, audience: &Arc<Audience>) -> Result<Opened, Fault> {
        let opened = self.accounts(card, audience).await?;
        let access = opened.access.as_ref().filter(|_| opened.typed);
        let access = access.map(|(id, opens)| (id.clone(), Arc::new(oath::for_helper(opens))));
        let card = card.info.serial.unwrap_or(0);
        let names = opened.accounts.iter().map(|account| account.name.0.clone()).collect();
        let now = self.world.clock.wall();
        let seen = Seen { card, names, access };
        oath_account::settle(self.custody.clone(), leave, seen, now).await.map_err(fault::job)?;
        Ok(opened)
    }
}

/// Whether it is certain that the card has not done it.
fn is_undone(error: &Error) -> bool {
    use Error::{AlreadyThere, Held, NotPresent, NotThere, PasswordNeeded, PasswordWrong, TooLarge, Unsupported};
    matches!(
        error,
        AlreadyThere | Held(_) | NotPresent | NotThere(_) | PasswordNeeded | PasswordWrong | TooLarge | Unsupported(_)
    )
}
