//! What the vault has to do with the OATH accounts of cards: which authenticator takes its codes from one, and under which
//! name it is found while it gets another.
//!
//! Card and vault cannot change at once. So the vault first notes the name that an account may have instead, then the card
//! renames it, then the vault knows it under that name alone. Whatever is cut off in between, the account is found under one
//! of the two, and the next look at the card settles which.

use super::Error;
use super::access_key::edit;
use crate::vault::{Custody, Items, Leave, OathAccount};
use crate::world::WallTime;
use claviger::model::Name;
use claviger::secret::DeviceSecret;
use std::sync::Arc;

/// Where an account is: the card's serial number, and its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The card.
    pub card: u32,
    /// The name, to the byte.
    pub name: Vec<u8>,
}

/// The authenticator that takes its codes from an account.
///
/// # Errors
/// [`Error::OathUnfinished`] where one is being made with it.
pub fn user(custody: &Custody, place: &Place) -> Result<Option<Name>, Error> {
    let is_it = |account: Option<&OathAccount>| account.is_some_and(|account| account.may_be(place.card, &place.name));
    custody.with_items(|items| {
        let being_made = items.enrolments.iter().find(|(_, enrolment)| is_it(enrolment.card.as_ref()));
        if let Some((name, _)) = being_made {
            return Err(Error::OathUnfinished(name.clone()));
        }
        let user = items.authenticators.iter().find(|(_, device)| is_it(device.seed.on_card()));
        Ok(user.map(|(name, _)| name.clone()))
    })?
}

/// What a look at a card has told.
pub struct Seen {
    /// The card.
    pub card: u32,
    /// The names of its accounts.
    pub names: Vec<Vec<u8>>,
    /// What opens its applet, by the applet's id, where a person has just typed the password.
    pub access: Option<(String, Arc<DeviceSecret>)>,
}

/// Keeps what a look at a card has told: what opens it, and which name an account has whose renaming was cut off.
pub async fn settle(custody: Arc<Custody>, leave: Option<Leave>, seen: Seen, now: WallTime) -> Result<(), Error> {
    let unsettled = custody.with_items(|items| {
        // The same as is changed below, in a copy that shares the secrets.
        renamed(&mut items.clone(), &seen)
    })?;
    if !unsettled && seen.access.is_none() {
        return Ok(());
    }
    edit(custody, leave, now, move |items| {
        renamed(items, &seen);
        items.oath_access.extend(seen.access);
        Ok(())
    })
    .await
}

/// Gives the accounts of a card the one name that they have; whether any had two.
fn renamed(items: &mut Items, seen: &Seen) -> bool {
    let mut any = false;
    for account in items.oath_accounts_mut().filter(|account| account.card == seen.card) {
        if seen.names.contains(&account.name) {
            any |= account.renaming.take().is_some();
        } else if let Some(name) = account.renaming.take_if(|name| seen.names.contains(name)) {
            account.name = name;
            any = true;
        }
    }
    any
}

/// Notes that an account is about to get another name; false where the vault does not know it.
pub async fn note(
    custody: Arc<Custody>,
    leave: Option<Leave>,
    (place, to): (Place, Vec<u8>),
    now: WallTime,
) -> Result<bool, Error> {
    let is_it = |account: &OathAccount, place: &Place| account.may_be(place.card, &place.name);
    let is_known =
        custody.with_items(|items| items.clone().oath_accounts_mut().any(|account| is_it(account, &place)))?;
    if !is_known {
        return Ok(false);
    }
    edit(custody, leave, now, move |items| {
        for account in items.oath_accounts_mut().filter(|account| is_it(account, &place)) {
            account.name.clone_from(&place.name);
            account.renaming = Some(to.clone());
        }
        Ok(true)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{Seen, renamed};
    use crate::vault::{Extra, Items, OathAccount, Seed, TotpDevice};
    use crate::world::WallTime;

    fn items(name: &str, renaming: Option<&str>) -> Items {
        let account =
            OathAccount { renaming: renaming.map(|name| name.into()), ..OathAccount::new(7, name.into(), false) };
        let device = TotpDevice {
            serial: "arn:aws:iam::123456789012:mfa/ada".parse().unwrap(),
            access_key: "dev".parse().unwrap(),
            seed: Seed::OnCard { account, backup: None },
            added: WallTime(0),
            extra: Extra::default(),
        };
        let mut items = Items::default();
        items.authenticators.insert("key".parse().unwrap(), device.clone());
        items.authenticators.insert("gone".parse().unwrap(), device);
        items.trash_authenticator(&"gone".parse().unwrap(), WallTime(0));
        items
    }

    fn settled(mut items: Items, card: u32, names: &[&str]) -> (bool, Vec<(String, bool)>) {
        let seen = Seen { card, names: names.iter().map(|name| (*name).into()).collect(), access: None };
        let any = renamed(&mut items, &seen);
        let shown =
            |account: &mut OathAccount| (String::from_utf8(account.name.clone()).unwrap(), account.renaming.is_some());
        (any, items.oath_accounts_mut().map(shown).collect())
    }

    #[test]
    fn the_card_says_which_of_two_names_an_account_has_and_the_trash_follows() {
        let both = |name: &str, two: bool| vec![(name.to_owned(), two); 2];
        assert_eq!(settled(items("old", Some("new")), 7, &["old", "x"]), (true, both("old", false)));
        assert_eq!(settled(items("old", Some("new")), 7, &["new", "x"]), (true, both("new", false)));
        // Neither is there, or it is another card, or there is nothing to settle.
        assert_eq!(settled(items("old", Some("new")), 7, &["x"]), (false, both("old", true)));
        assert_eq!(settled(items("old", Some("new")), 8, &["new"]), (false, both("old", true)));
        assert_eq!(settled(items("old", None), 7, &["new"]), (false, both("old", false)));
    }
}
