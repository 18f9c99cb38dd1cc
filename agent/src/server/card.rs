//! A card at work for somebody: which keys it has, the PIN that it wants, the touch that it waits for.

use super::Server;
use crate::ask::{Audience, PinQuestion, Question, Touch};
use crate::device::{Address, Answer, Card, Error, Operation, Reference, piv};
use crate::prompt::{NoPin, Unasked, Verdict, asked_by, shown};
use claviger::model::AuditPeer;
use claviger::secret::{DeviceSecret, Pin, SecretText};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// How long a card may take to say which keys it has, for a list that does without.
const KEYS_MILLIS: u64 = 5_000;
/// Fewest and most bytes of a PIN and of a PUK (NIST SP 800-73-4 part 1, section 2.4.3).
const PIN_BYTES: (usize, usize) = (6, 8);

/// Why a card did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    #[error("device: {0}")]
    Device(#[from] Error),
    #[error("last_try: one try of the {0} is left, and nobody has said that it may be used")]
    LastTry(Reference),
    #[error("refused: by a person")]
    Refused,
    #[error("unasked: {0}")]
    Unasked(#[from] Unasked),
    #[error("unfit: the key cannot open a vault slot")]
    Unfit,
}

impl From<NoPin> for NotDone {
    fn from(error: NoPin) -> Self {
        match error {
            NoPin::Refused => Self::Refused,
            NoPin::Unasked(why) => Self::Unasked(why),
        }
    }
}

/// What a card works for.
#[derive(Clone)]
pub(super) struct Errand {
    /// A sentence.
    pub(super) purpose: String,
    /// A sentence.
    pub(super) asked_by: String,
    /// Who hears of it, and may be asked.
    pub(super) audience: Arc<Audience>,
}

impl Errand {
    pub(super) fn new(purpose: impl Into<String>, peer: &AuditPeer, audience: Audience) -> Self {
        Self { purpose: purpose.into(), asked_by: asked_by(peer), audience: Arc::new(audience) }
    }
}

/// A card and its keys, as it told them.
pub(super) struct CardKeys {
    pub(super) card: Card,
    pub(super) keys: Vec<piv::Key>,
    /// Held by the one who asks for its PIN: others wait, and may find that it is known.
    turn: tokio::sync::Mutex<()>,
}

/// What cards have told of their keys, by where they are.
#[derive(Default)]
pub(super) struct KnownCards(Mutex<BTreeMap<Address, Arc<CardKeys>>>);

impl KnownCards {
    fn of(&self, card: &Card) -> Option<Arc<CardKeys>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&card.found.address).filter(|known| known.card.found == card.found).cloned()
    }

    fn learn(&self, keys: &Arc<CardKeys>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(keys.card.found.address.clone(), keys.clone());
    }

    /// Something else may be on it now.
    pub(super) fn forget(&self, card: &Card) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&card.found.address);
    }

    fn keep(&self, cards: &[Card]) {
        let is_there = |address: &Address| cards.iter().any(|card| card.found.address == *address);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| is_there(address));
    }
}

/// What people call a card.
pub(super) fn card_name(card: &Card) -> String {
    let maker = if card.found.product.contains("YubiKey") {
        "YubiKey".to_owned()
    } else {
        shown(card.found.product.as_bytes())
    };
    match card.info.serial {
        Some(serial) => format!("{maker} (serial {serial})"),
        None => maker,
    }
}

impl Server {
    /// The cards with PIV keys, each asked once an insertion. One that does not answer is passed over.
    pub(super) async fn card_keys(self: &Arc<Self>) -> Vec<Arc<CardKeys>> {
        if !self.devices().is_installed() {
            return Vec::new();
        }
        let cards = match self.devices().cards().await {
            Ok(cards) => cards,
            Err(error) => {
                tracing::debug!(%error, "no cards are seen");
                return Vec::new();
            }
        };
        let cards: Vec<Card> = cards.into_iter().flatten().filter(|card| card.info.piv.is_some()).collect();
        self.cards.keep(&cards);
        let found = join_all(cards.into_iter().map(|card| async move {
            if let Some(known) = self.cards.of(&card) {
                return Some(known);
            }
            let deadline = self.world.clock.boot().plus_millis(KEYS_MILLIS);
            tokio::select! {
                biased;
                read = self.read_keys(card) => read.inspect_err(|error| tracing::info!(%error, "a card tells no keys")).ok(),
                () = self.world.clock.sleep_until(deadline) => None,
            }
        }));
        found.await.into_iter().flatten().collect()
    }

    /// Asks a card which keys it has now.
    pub(super) async fn read_keys(&self, card: Card) -> Result<Arc<CardKeys>, Error> {
        let (notices, _) = mpsc::unbounded_channel();
        let operation = Operation::Piv(piv::Operation::Keys {});
        let Answer::Piv(piv::Answer::Keys(keys)) = self.devices().run(&card.found, operation, notices).await? else {
            return Err(Error::HelperSpeech);
        };
        let keys = Arc::new(CardKeys { card, keys, turn: tokio::sync::Mutex::default() });
        self.cards.learn(&keys);
        Ok(keys)
    }

    /// Has a card do something. Whoever waits hears of the touch that it wants.
    pub(super) async fn card_run(
        &self,
        card: &Card,
        operation: piv::Operation,
        errand: &Errand,
    ) -> Result<Answer, Error> {
        let Errand { purpose, asked_by, audience } = errand.clone();
        let touch = Touch { device: card_name(card), purpose, asked_by };
        self.office.hardware().run(&card.found, Operation::Piv(operation), &touch, &audience).await
    }

    /// A signature by a key of a card, as the card gives it. Its PIN is asked for where it wants one that nobody has given.
    pub(super) async fn card_sign(
        self: &Arc<Self>,
        keys: &CardKeys,
        key: &piv::Key,
        input: &[u8],
        errand: &Errand,
    ) -> Result<Vec<u8>, NotDone> {
        let sign = |pin| {
            let input = crate::device::Bytes(input.to_vec());
            piv::Operation::Sign { slot: key.slot, algorithm: key.algorithm, input, pin }
        };
        match self.card_use(keys, sign, errand).await? {
            Answer::Piv(piv::Answer::Signature(bytes)) => Ok(bytes.0),
            _ => Err(Error::HelperSpeech.into()),
        }
    }

    /// What was encrypted to an RSA key of a card, with its padding. As [`Server::card_sign`].
    pub(super) async fn card_decrypt(
        self: &Arc<Self>,
        keys: &CardKeys,
        key: &piv::Key,
        input: &[u8],
        errand: &Errand,
    ) -> Result<DeviceSecret, NotDone> {
        let decrypt = |pin| {
            let input = crate::device::Bytes(input.to_vec());
            piv::Operation::Decrypt { slot: key.slot, algorithm: key.algorithm, input, pin }
        };
        match self.card_use(keys, decrypt, errand).await? {
            Answer::Piv(piv::Answer::Secret(secret)) => Ok(secret),
            _ => Err(Error::HelperSpeech.into()),
        }
    }

    /// Has the helper know the PIN of a card, for the keys that want it once: whoever signs next may have nobody to ask.
    pub(super) async fn card_pin(self: &Arc<Self>, keys: &CardKeys, errand: &Errand) -> Result<(), NotDone> {
        self.card_use(keys, |pin| piv::Operation::VerifyPin { pin }, errand).await.map(drop)
    }

    /// Has a key of a card do something, with the PIN that it wants.
    async fn card_use(
        self: &Arc<Self>,
        keys: &CardKeys,
        operation: impl Fn(Option<Pin>) -> piv::Operation,
        errand: &Errand,
    ) -> Result<Answer, NotDone> {
        let run = |pin| self.card_run(&keys.card, operation(pin), errand);
        // One that was remembered and is wrong now is forgotten, and another asked for.
        let wants_pin =
            |outcome: &Result<Answer, Error>| matches!(outcome, Err(Error::PinNeeded(_) | Error::PinWrong { .. }));
        let outcome = run(None).await;
        if !wants_pin(&outcome) {
            return Ok(outcome?);
        }
        let _turn = match keys.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                let turn = keys.turn.lock().await;
                let outcome = run(None).await;
                if !wants_pin(&outcome) {
                    return Ok(outcome?);
                }
                turn
            }
        };
        Tries::new(self, &keys.card, Reference::Pin, errand).run(|pin| operation(Some(pin))).await
    }
}

/// The tries of a card's PIN or PUK, for one errand: what is left is said before each, the last one is used at an
/// explicit yes alone, and what was wrong is not sent again.
pub(super) struct Tries<'a> {
    server: &'a Arc<Server>,
    card: &'a Card,
    reference: Reference,
    errand: &'a Errand,
    wrong: Vec<Pin>,
    problem: Option<String>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(server: &'a Arc<Server>, card: &'a Card, reference: Reference, errand: &'a Errand) -> Self {
        Self { server, card, reference, errand, wrong: Vec::new(), problem: None }
    }

    /// One to try, from a person.
    pub(super) async fn ask(&mut self) -> Result<Pin, NotDone> {
        loop {
            let left = self.left().await?;
            let question = self.question(left);
            let pin = self.server.prompts.pin(&question, &self.errand.audience).await?;
            if !self.wrong.iter().any(|wrong| wrong.expose() == pin.expose()) {
                return Ok(pin);
            }
            self.problem = Some("That was wrong before, and was not tried again.".to_owned());
        }
    }

    /// Asks for one until the operation takes it.
    pub(super) async fn run(&mut self, operation: impl Fn(Pin) -> piv::Operation) -> Result<Answer, NotDone> {
        loop {
            let pin = self.ask().await?;
            match self.server.card_run(self.card, operation(self.copy(&pin)), self.errand).await {
                Err(error @ Error::PinWrong { .. }) => self.was_wrong(pin, &error),
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Makes sure that one that was given may be tried.
    pub(super) async fn check(&mut self) -> Result<(), NotDone> {
        self.left().await.map(drop)
    }

    /// It was wrong: the next one is asked for with that word.
    pub(super) fn was_wrong(&mut self, pin: Pin, error: &Error) {
        self.wrong.push(pin);
        self.problem = Some(capital(&error.to_string()));
    }

    /// What it shall become, typed twice.
    pub(super) async fn new_one(&mut self, reference: Reference) -> Result<Pin, NotDone> {
        loop {
            let mut question = self.question(None);
            question.wanted = format!("new PIV {reference}");
            let first = self.server.prompts.pin(&question, &self.errand.audience).await?;
            question.wanted = format!("new PIV {reference} again");
            question.problem = None;
            let second = self.server.prompts.pin(&question, &self.errand.audience).await?;
            if first.expose() == second.expose() {
                return Ok(first);
            }
            self.problem = Some("The two differ.".to_owned());
        }
    }

    /// Another hold on it, as an operation takes its own.
    pub(super) fn copy(&self, pin: &Pin) -> Pin {
        Pin::from_text(pin.expose().to_owned())
    }

    /// Tries that are left, where the card tells. With one, a person has said that it may be used.
    async fn left(&self) -> Result<Option<u8>, NotDone> {
        let (notices, _) = mpsc::unbounded_channel();
        let told = self.server.devices().run(&self.card.found, Operation::DescribeCard {}, notices).await?;
        let Answer::Card(info) = told else { return Err(Error::HelperSpeech.into()) };
        let left = info.piv.and_then(|piv| match self.reference {
            Reference::Pin => piv.pin_tries,
            Reference::Puk => piv.puk_tries,
        });
        match left {
            Some(0) => Err(Error::PinBlocked(self.reference).into()),
            Some(1) => self.confirm_last().await.map(|()| left),
            _ => Ok(left),
        }
    }

    async fn confirm_last(&self) -> Result<(), NotDone> {
        let Errand { purpose, asked_by, audience } = self.errand;
        let reference = self.reference;
        let mut lines: Vec<String> = self.problem.iter().cloned().collect();
        lines.push(match reference {
            Reference::Pin => "If it is wrong, the PIN is blocked until the PUK gives it another.".to_owned(),
            Reference::Puk => "If it is wrong, the PUK is blocked for good.".to_owned(),
        });
        lines.extend([purpose.clone(), asked_by.clone()]);
        let title = format!("Use the last try of the {reference} of {}?", card_name(self.card));
        match self.server.prompts.confirm(&Question { title, lines }, audience).await {
            Verdict::Allowed => Ok(()),
            Verdict::Refused => Err(NotDone::Refused),
            Verdict::Unasked(_) => Err(NotDone::LastTry(reference)),
        }
    }

    fn question(&mut self, left: Option<u8>) -> PinQuestion {
        let (least, most) = PIN_BYTES;
        PinQuestion {
            device: card_name(self.card),
            wanted: format!("PIV {}", self.reference),
            purpose: self.errand.purpose.clone(),
            asked_by: self.errand.asked_by.clone(),
            tries_left: left.map(u32::from),
            problem: self.problem.take(),
            least,
            most,
        }
    }
}

/// A sentence of an error.
fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}
