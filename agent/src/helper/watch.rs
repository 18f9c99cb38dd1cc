//! What is plugged in, told at each change.

use super::card::service_error;
use super::channel::{Channel, Speaker};
use super::fido::watch_fido;
use crate::device::Error;
use crate::device::protocol::{Address, Found, Present, Report};
use pcsc::{Context, PNP_NOTIFICATION, ReaderState, Scope, State};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most bytes of all readers' names.
const NAMES_LIMIT: usize = 16 * 1024;
/// Until the readers are listed again though nothing was told: a reader that comes between the list and the wait for a
/// change is no change to pcsc-lite (1.9), and would not be seen until the next one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What has been seen; told once both kinds have been looked at.
#[derive(Default)]
struct Seen {
    cards: Option<Result<Vec<Found>, Error>>,
    fido: Option<Result<Vec<Found>, Error>>,
}

/// Tells what is plugged in until the agent closes the socket.
pub(super) fn run(mut channel: Channel) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let speaker = channel.speaker();
    let (for_cards, cards_speaker) = (seen.clone(), speaker.clone());
    std::thread::spawn(move || {
        watch_cards(|cards| tell(&for_cards, &cards_speaker, |seen| seen.cards = Some(cards)));
    });
    std::thread::spawn(move || {
        watch_fido(|fido| tell(&seen, &speaker, |seen| seen.fido = Some(fido)));
    });
    // Nothing more is said to a watch: this is its end.
    drop(channel.hear());
}

fn tell(seen: &Mutex<Seen>, speaker: &Speaker, change: impl FnOnce(&mut Seen)) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut seen);
    let (Some(cards), Some(fido)) = (&seen.cards, &seen.fido) else { return };
    let mut present = Present::default();
    for (kind, error) in [(cards, &mut present.cards), (fido, &mut present.fido)] {
        match kind {
            Ok(found) => present.devices.extend(found.iter().cloned()),
            Err(why) => *error = Some(why.clone()),
        }
    }
    speaker.say(&Report::Present(present));
}

/// A number that no other insertion has: nanoseconds since the machine started.
pub(super) fn insertion() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanoseconds.unwrap_or(0))
}

/// Calls with the cards, now and at each change (SCardGetStatusChange, which sleeps in between). Where pcscd does not run,
/// or ends, that is the last word: nothing tells when it is there again, and the agent begins another watch.
fn watch_cards(changed: impl Fn(Result<Vec<Found>, Error>)) {
    let error = match Context::establish(Scope::User) {
        Ok(context) => watch_readers(&context, &changed),
        Err(error) => error,
    };
    changed(Err(service_error(error)));
}

fn watch_readers(context: &Context, changed: &impl Fn(Result<Vec<Found>, Error>)) -> pcsc::Error {
    let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
    let mut found: BTreeMap<CString, (u32, Found)> = BTreeMap::new();
    let mut names = vec![0; NAMES_LIMIT];
    let mut told = None;
    loop {
        let readers: Vec<CString> = match context.list_readers(&mut names) {
            Ok(readers) => readers.map(CString::from).collect(),
            Err(pcsc::Error::NoReadersAvailable) => Vec::new(),
            Err(error) => return error,
        };
        states.retain(|state| {
            state.name() == PNP_NOTIFICATION() || readers.iter().any(|reader| **reader == *state.name())
        });
        for reader in &readers {
            if !states.iter().any(|state| *state.name() == **reader) {
                states.push(ReaderState::new(reader.clone(), State::UNAWARE));
            }
        }
        // Of readers that are new, what is in them; it does not wait.
        match context.get_status_change(Duration::ZERO, &mut states) {
            Ok(()) | Err(pcsc::Error::Timeout) => {}
            Err(pcsc::Error::UnknownReader) => continue,
            Err(error) => return error,
        }
        found.retain(|reader, _| readers.contains(reader));
        for state in &mut states {
            let event = state.event_state();
            state.sync_current_state();
            if state.name() == PNP_NOTIFICATION() {
                continue;
            }
            let reader = CString::from(state.name());
            if !event.contains(State::PRESENT) || event.contains(State::MUTE) {
                found.remove(&reader);
                continue;
            }
            let count = state.event_count();
            if found.get(&reader).is_none_or(|(known, _)| *known != count) {
                let name = reader.to_string_lossy().into_owned();
                let card = Found { address: Address::Card(name.clone()), product: name, insertion: insertion() };
                found.insert(reader, (count, card));
            }
        }
        let cards: Vec<Found> = found.values().map(|(_, card)| card.clone()).collect();
        if told.as_ref() != Some(&cards) {
            told = Some(cards.clone());
            changed(Ok(cards));
        }
        match context.get_status_change(LOOK_AGAIN, &mut states) {
            Ok(()) | Err(pcsc::Error::UnknownReader | pcsc::Error::Timeout) => {}
            Err(error) => return error,
        }
    }
}
