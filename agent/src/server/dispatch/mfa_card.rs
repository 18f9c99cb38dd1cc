//! `mfa add --device`: an authenticator whose seed is on a YubiKey.

use super::items::Proved;
use crate::ask::{Audience, Listener, PinQuestion};
use crate::device::oath::{self, Hash, Kind, NewAccount, Verb};
use crate::device::{self, Answer, Bytes, Card};
use crate::jobs;
use crate::jobs::mfa_device::{self, Maker};
use crate::mfa::{self, STEP_SECONDS};
use crate::server::conversation::Conversation;
use crate::server::{Server, fault};
use crate::session::{asked_by, named};
use crate::vault::{Extra, OathAccount, Seed, TotpDevice};
use claviger::model::{MfaSerial, Name, OathName};
use claviger::secret::{DeviceSecret, SecretText, TotpSeed};
use claviger::wire::{Code, EnrollOnDevice, Fault, Reply};
use data_encoding::HEXLOWER;
use std::sync::Arc;

/// Wrong passwords before it is given up: nothing counts them but patience.
const PASSWORD_TRIES: usize = 3;

/// What is asked for.
pub(super) struct Wanted {
    pub(super) access_key: Name,
    pub(super) name: Option<Name>,
    pub(super) serial: Option<MfaSerial>,
    /// The YubiKey's serial number.
    pub(super) card: Option<u32>,
    /// Its account's name there.
    pub(super) account: Option<OathName>,
    /// Put there first.
    pub(super) seed: Option<TotpSeed>,
    pub(super) touch: bool,
    pub(super) verify: bool,
}

/// An account that is there now, and what else is to be kept of it.
struct There {
    account: OathAccount,
    /// It was put there just now.
    new: bool,
    /// What opens the applet, by its id.
    access: Option<(String, DeviceSecret)>,
}

/// An OATH applet that has been opened.
pub(super) struct Opened {
    /// What opens it, by its id, where it has a password.
    pub(super) access: Option<(String, DeviceSecret)>,
    /// That comes of a password which a person has just typed.
    pub(super) typed: bool,
    /// Its accounts.
    pub(super) accounts: Vec<oath::Account>,
}

impl Server {
    pub(super) async fn mfa_add_on_card(
        self: &Arc<Self>,
        wanted: Wanted,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let (serial, name) =
            self.place_of_device(&wanted.access_key, wanted.name.clone(), wanted.serial.clone()).await?;
        let server = self.clone();
        let (for_work, at) = (wanted, serial.clone());
        let work = |listener| async move { server.add_on_card(for_work, at, listener).await };
        let (there, access_key, proved) = conversation.attend(self, work).await?;
        let now = self.world.clock.wall();
        let told = serial.to_string();
        let seed = Seed::OnCard { account: there.account, backup: None };
        let device = TotpDevice { serial, access_key: access_key.clone(), seed, added: now, extra: Extra::default() };
        let access = there.access.map(|(id, access)| (id, Arc::new(access)));
        let leave = conversation.leave.clone();
        mfa_device::add_on_card(self.custody.clone(), leave, (name.clone(), device), access, now)
            .await
            .map_err(fault::job)?;
        self.adopt_proof(&access_key, told, proved, conversation)?;
        self.mfa_row(&name)
    }

    /// Everything but the vault: the account is on the card, and AWS has taken its code. An account that was put there
    /// for this goes again where AWS does not.
    async fn add_on_card(
        self: Arc<Self>,
        wanted: Wanted,
        serial: MfaSerial,
        listener: Listener,
    ) -> Result<(There, Name, Option<Proved>), Fault> {
        let audience = Arc::new(Audience::default());
        audience.join(listener);
        let card = self.card(wanted.card).await?;
        let there = self.place_on_card(&card, &wanted, &serial, &audience).await?;
        if !wanted.verify {
            return Ok((there, wanted.access_key, None));
        }
        let proved = self.prove_by_card(&card, &there, &wanted.access_key, &serial, &audience).await;
        match proved {
            Ok(proved) => Ok((there, wanted.access_key, Some(proved))),
            Err(fault) => {
                if there.new {
                    let verb = Verb::Delete { name: Bytes(there.account.name.clone()) };
                    let removed = self.oath(&card, there.access.as_ref(), verb, &audience).await;
                    if let Err(error) = removed {
                        tracing::warn!(%error, "an account that AWS refused is still on the card");
                    }
                }
                Err(fault)
            }
        }
    }

    /// The card of this serial number, or the only one.
    pub(super) async fn card(&self, number: Option<u32>) -> Result<Card, Fault> {
        let devices = self.devices();
        let card = match number {
            Some(number) => devices.card(number).await,
            None => devices.only_card().await,
        };
        let what = number.map(|number| named(Some(number)));
        card.map_err(|error| fault::device::fault(&error, what.as_deref()))
    }

    /// The account that a device which is to be made at AWS gets on a card. Refuses a name that the card has.
    pub(super) async fn account_to_be(
        &self,
        wanted: &EnrollOnDevice,
        serial: &MfaSerial,
        audience: &Arc<Audience>,
    ) -> Result<OathAccount, Fault> {
        let card = self.card(wanted.serial).await?;
        let failed = |error: device::Error| fault::device::fault(&error, Some(&named(card.info.serial)));
        let number = card.info.serial.ok_or_else(|| failed(device::Error::Unsupported(None)))?;
        let name = account_of(wanted.account.as_ref()).unwrap_or_else(|| mfa_device::account_name(serial).into_bytes());
        let Opened { accounts, .. } = self.accounts(&card, audience).await?;
        if accounts.iter().any(|account| account.name.0 == name) {
            return Err(failed(device::Error::AlreadyThere));
        }
        Ok(OathAccount::new(number, name, wanted.touch))
    }

    /// Puts the seed of a device that AWS has made on its card, unless an earlier run has, and looks whether the card
    /// gives its codes. What opens the applet.
    pub(super) async fn enrol_on_card(
        &self,
        account: &OathAccount,
        seed: &TotpSeed,
        serial: &MfaSerial,
        audience: &Arc<Audience>,
    ) -> Result<Option<(String, DeviceSecret)>, Fault> {
        let card = self.card(Some(account.card)).await?;
        let failed = |error: device::Error| fault::device::fault(&error, Some(&named(card.info.serial)));
        let Opened { access, accounts, .. } = self.accounts(&card, audience).await?;
        if !accounts.iter().any(|known| known.name.0 == account.name) {
            self.oath(&card, access.as_ref(), put(account, seed), audience).await.map_err(failed)?;
        }
        let step = mfa::step_at(self.office.aws().corrected_now());
        let purpose = format!("To see that it gives the codes of {serial}.");
        let opens = access.as_ref().map(|(_, opens)| oath::for_helper(opens));
        let code = self.office.oath_code(&card, account, (step, opens), &purpose, audience).await;
        let code = code.map_err(|error| fault::job(error.into()))?;
        // Both are codes of this machine: nobody can time this.
        if code.expose() != mfa::code(seed, step).expose() {
            return Err(failed(device::Error::AlreadyThere));
        }
        Ok(access)
    }

    /// Takes back what was put on a card for a device that is not made after all.
    pub(super) async fn leave_card(&self, account: &OathAccount, audience: &Arc<Audience>) -> Result<(), Fault> {
        let card = self.card(Some(account.card)).await?;
        let failed = |error: device::Error| fault::device::fault(&error, Some(&named(card.info.serial)));
        let Opened { access, accounts, .. } = self.accounts(&card, audience).await?;
        if accounts.iter().any(|known| known.name.0 == account.name) {
            let verb = Verb::Delete { name: Bytes(account.name.clone()) };
            self.oath(&card, access.as_ref(), verb, audience).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn place_on_card(
        &self,
        card: &Card,
        wanted: &Wanted,
        serial: &MfaSerial,
        audience: &Arc<Audience>,
    ) -> Result<There, Fault> {
        let failed = |error: device::Error| fault::device::fault(&error, Some(&named(card.info.serial)));
        let number = card.info.serial.ok_or_else(|| failed(device::Error::Unsupported(None)))?;
        let Opened { access, accounts, .. } = self.accounts(card, audience).await?;
        let name = account_of(wanted.account.as_ref());
        if let Some(seed) = &wanted.seed {
            let name = name.unwrap_or_else(|| mfa_device::account_name(serial).into_bytes());
            let account = OathAccount::new(number, name, wanted.touch);
            self.oath(card, access.as_ref(), put(&account, seed), audience).await.map_err(failed)?;
            return Ok(There { account, new: true, access });
        }
        let is_meant = |account: &&oath::Account| match &name {
            Some(name) => account.name.0 == *name,
            None => is_of_aws(&account.name.0) && is_fit(account),
        };
        let mut found = accounts.iter().filter(is_meant);
        match (found.next(), found.next()) {
            (Some(account), None) if !is_fit(account) => Err(fault::job(jobs::Error::OathUnfit)),
            (Some(account), None) => {
                let touch = account.touch.unwrap_or(true);
                let account = OathAccount::new(number, account.name.0.clone(), touch);
                Ok(There { account, new: false, access })
            }
            (None, _) => Err(failed(device::Error::NotThere(device::Thing::Account))
                .hint("claviger mfa add --for NAME --device --seed-stdin")),
            (Some(_), Some(_)) => {
                let message = "the YubiKey has several accounts of AWS: choose one with --account";
                Err(Fault::new(Code::DeviceAmbiguous, message).hint("claviger mfa add --help"))
            }
        }
    }

    /// The accounts of a card. A password is asked for where the vault does not know it; what it opens is told along.
    pub(super) async fn accounts(&self, card: &Card, audience: &Arc<Audience>) -> Result<Opened, Fault> {
        let failed = |error: device::Error| fault::device::fault(&error, Some(&named(card.info.serial)));
        let applet =
            card.info.oath.as_ref().ok_or_else(|| failed(device::Error::AppletMissing(device::Applet::Oath)))?;
        let id = String::from(applet.id.clone());
        let known = self.office.oath_access(card).map_err(|error| fault::job(error.into()))?;
        let mut access = known.map(|access| (id.clone(), access));
        let (mut problem, mut typed) = (None, false);
        for _ in 0..=PASSWORD_TRIES {
            match self.oath(card, access.as_ref(), Verb::List {}, audience).await {
                Ok(Answer::Oath(oath::Answer::Accounts(accounts))) => return Ok(Opened { access, typed, accounts }),
                Ok(_) => return Err(failed(device::Error::HelperSpeech)),
                Err(device::Error::PasswordNeeded) => {}
                // The vault's is of another day.
                Err(device::Error::PasswordWrong) if problem.is_none() => {}
                Err(error) => return Err(failed(error)),
            }
            let question = PinQuestion {
                device: named(card.info.serial),
                wanted: "OATH password".to_owned(),
                purpose: "To read and write its accounts; the vault remembers what it gives.".to_owned(),
                asked_by: asked_by(audience),
                tries_left: None,
                problem: problem.clone(),
                least: 1,
                most: 64,
            };
            let password = self.prompts.pin(&question, audience).await?;
            match self.oath(card, None, Verb::Access(password), audience).await {
                Ok(Answer::Oath(oath::Answer::Access(opens))) => (access, typed) = (Some((id.clone(), opens)), true),
                Ok(_) => return Err(failed(device::Error::HelperSpeech)),
                Err(device::Error::PasswordWrong) => problem = Some("That was not its password.".to_owned()),
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(device::Error::PasswordWrong))
    }

    /// AWS takes the code of a step that is burned for it.
    async fn prove_by_card(
        &self,
        card: &Card,
        there: &There,
        access_key: &Name,
        serial: &MfaSerial,
        audience: &Arc<Audience>,
    ) -> Result<Proved, Fault> {
        let profiles = self.files.load().map_err(fault::files)?;
        let (_, endpoint) =
            self.office.base_endpoint(&profiles, access_key).map_err(|error| fault::job(error.into()))?;
        let access = there.access.as_ref().map(|(_, access)| access);
        let maker = Maker::Card { card, account: &there.account, access, audience };
        mfa_device::prove_with(&self.office, access_key, serial, maker, &endpoint, audience).await.map_err(fault::job)
    }

    pub(super) async fn oath(
        &self,
        card: &Card,
        access: Option<&(String, DeviceSecret)>,
        verb: Verb,
        audience: &Arc<Audience>,
    ) -> Result<Answer, device::Error> {
        self.oath_for(card, access, verb, "To read and write its accounts.", audience).await
    }

    /// The same for a purpose, which is shown where it wants a touch.
    pub(super) async fn oath_for(
        &self,
        card: &Card,
        access: Option<&(String, DeviceSecret)>,
        verb: Verb,
        purpose: &str,
        audience: &Arc<Audience>,
    ) -> Result<Answer, device::Error> {
        let operation = oath::Operation { access: access.map(|(_, access)| oath::for_helper(access)), verb };
        self.office.hardware().oath(card, operation, purpose, audience).await
    }

    /// One code of an account on a card, for a person.
    pub(super) async fn code_of_card(
        self: &Arc<Self>,
        access_key: Name,
        serial: MfaSerial,
        account: OathAccount,
        wait: bool,
        conversation: &mut Conversation,
    ) -> Result<(mfa::Turn, claviger::secret::TokenCode), Fault> {
        let server = self.clone();
        let work = |listener| async move {
            let audience = Arc::new(Audience::default());
            audience.join(listener);
            let failed = |error| fault::device::fault(&error, Some(&named(Some(account.card))));
            let card = server.devices().card(account.card).await.map_err(failed)?;
            let job = |error: crate::session::Error| fault::job(error.into());
            let office = &server.office;
            let turn = office.burn(&access_key, std::slice::from_ref(&serial), wait, &audience).await.map_err(job)?;
            let access = office.oath_access(&card).map_err(job)?;
            let purpose = format!("To show a code of {serial}.");
            let code = office.oath_code(&card, &account, (turn.step, access), &purpose, &audience).await;
            if code.is_err() {
                // It never left the card.
                office.custody().unburn(&serial, turn.step);
            }
            Ok((turn, code.map_err(job)?))
        };
        conversation.attend(self, work).await
    }
}

/// The bytes of a name that was asked for.
fn account_of(name: Option<&OathName>) -> Option<Vec<u8>> {
    name.map(|name| name.as_bytes().to_vec())
}

/// Puts the seed of a device of AWS there.
fn put(account: &OathAccount, seed: &TotpSeed) -> Verb {
    Verb::Put(NewAccount {
        name: Bytes(account.name.clone()),
        kind: Kind::Totp,
        hash: Hash::Sha1,
        digits: 6,
        seed: DeviceSecret::from_text(HEXLOWER.encode(seed.expose())),
        touch: account.touch,
        counter: 0,
    })
}

/// Whether AWS takes the codes of an account, as far as a card tells: it says nothing of their digits.
fn is_fit(account: &oath::Account) -> bool {
    let period = i64::from(account.period) == STEP_SECONDS;
    account.kind == Kind::Totp && account.hash == Hash::Sha1 && period
}

/// Whether an account is one of AWS, by the issuer that its QR code has.
fn is_of_aws(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    name.starts_with("amazon web services") || name.starts_with("aws")
}
