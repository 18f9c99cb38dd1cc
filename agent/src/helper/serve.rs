//! The loop of a helper that serves a device.

use super::card::Card;
use super::channel::{Channel, Speaker};
use super::fido::Fido;
use crate::device::Error;
use crate::device::protocol::{Address, Answer, Command, Operation, Report};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a card stays connected after an operation: scdaemon wants it to itself, and a signature rarely comes alone.
const RELEASE_AFTER: Duration = Duration::from_secs(2);

/// What a device tells in the middle of an operation.
pub(super) struct Courtesy<'a> {
    speaker: &'a Speaker,
    stop: &'a Stop,
}

/// How what is in hand is given up, where it can be.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<Mutex<Option<GiveUp>>>);

type GiveUp = Box<dyn Fn() + Send>;

impl Stop {
    fn set(&self, how: Option<GiveUp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }

    fn call(&self) {
        if let Some(how) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            how();
        }
    }
}

impl Courtesy<'_> {
    /// The device answers, and nobody else holds it.
    pub(super) fn begun(&self) {
        self.speaker.say(&Report::Begun {});
    }

    /// The device is about to wait for a touch.
    pub(super) fn touch(&self) {
        self.speaker.say(&Report::Touch {});
    }

    /// The device may be about to wait for a touch, and does not tell.
    pub(super) fn perhaps_touch(&self) {
        self.speaker.say(&Report::PerhapsTouch {});
    }

    /// From here on the operation is given up so.
    pub(super) fn give_up_by(&self, how: impl Fn() + Send + 'static) {
        self.stop.set(Some(Box::new(how)));
    }

    /// Tells the operation's end where a panic is about to end the process.
    pub(super) fn last_words(&self) -> impl Fn(Error) + Send + Sync + 'static {
        let speaker = self.speaker.clone();
        move |error| speaker.say(&Report::Done(Err(error)))
    }
}

/// Something that can be served.
pub(super) trait Device {
    /// Does it.
    fn run(&mut self, operation: Operation, courtesy: &Courtesy<'_>) -> Result<Answer, Error>;
    /// Lets go of the device, and of nothing that it was told.
    fn release(&mut self);
}

/// Serves the device at an address until the agent closes the socket.
pub(super) fn run(channel: Channel, address: Address) {
    let speaker = channel.speaker();
    let stop = Stop::default();
    speaker.say(&Report::Ready {});
    let operations = listen(channel, stop.clone());
    let mut device: Box<dyn Device> = match address {
        Address::Card(reader) => Box::new(Card::new(reader)),
        Address::Fido(path) => Box::new(Fido::new(path)),
    };
    let mut idle = true;
    loop {
        let next = if idle {
            operations.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            operations.recv_timeout(RELEASE_AFTER)
        };
        match next {
            Ok(operation) => {
                let outcome = device.run(operation, &Courtesy { speaker: &speaker, stop: &stop });
                stop.set(None);
                speaker.say(&Report::Done(outcome));
                idle = false;
            }
            Err(RecvTimeoutError::Timeout) => {
                device.release();
                idle = true;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reads commands beside the operation in hand. With the socket the process ends, whatever a library is waiting for.
fn listen(mut channel: Channel, stop: Stop) -> Receiver<Operation> {
    let (tell, operations) = mpsc::channel();
    std::thread::spawn(move || {
        while let Some(command) = channel.hear() {
            match command {
                Command::Do(operation) => {
                    if tell.send(operation).is_err() {
                        break;
                    }
                }
                Command::Cancel {} => stop.call(),
                Command::Watch {} | Command::Serve(_) => break,
            }
        }
        #[expect(clippy::exit, reason = "nothing else ends a thread that waits in a library")]
        std::process::exit(0)
    });
    operations
}
