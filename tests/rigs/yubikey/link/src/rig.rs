//! What happens to a card from outside: it is plugged in, pulled, touched, silenced, made to answer badly.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a key blinks.
const BLINK: Duration = Duration::from_secs(15);
/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The card was pulled.
#[derive(Debug)]
pub(crate) struct Gone;

/// Who touches it, and when.
#[derive(Clone, Copy)]
pub(crate) enum Finger {
    /// At once.
    Auto,
    /// By `touch`.
    Manual,
    /// Nobody, and its time is over at once.
    Never,
    /// So much later.
    Delay(Duration),
}

/// How the card answers.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    Well,
    Garbage,
    Short,
    Empty,
    Endless,
    Status(u16),
}

struct State {
    plugged: bool,
    inserted: bool,
    /// A reader has switched it on.
    powered: bool,
    /// How often it was pulled; a command belongs to one of these lives.
    life: u64,
    mute: bool,
    /// The APDU from which on it is mute.
    mute_at: Option<u64>,
    finger: Finger,
    waiting: bool,
    pressed: bool,
    manner: Manner,
    /// The instruction that is answered in this manner; all if none.
    only: Option<u8>,
    apdus: u64,
    /// The APDU at which it is pulled, and whether that one is still obeyed.
    cut: Option<(u64, bool)>,
    lines: Vec<Line>,
    made: u64,
}

/// A connection of the reader.
struct Line {
    number: u64,
    /// `C` of commands, `E` of events.
    kind: u8,
    end: UnixStream,
}

/// A card process as a test sees it.
#[derive(Clone)]
pub struct Rig(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    bus: PathBuf,
    name: String,
    commands: Sender<(u64, UnixStream)>,
}

/// The time of one command.
pub struct Moment {
    rig: Rig,
    life: u64,
    /// It is pulled instead of answering.
    last: bool,
}

impl Rig {
    pub(crate) fn new(bus: PathBuf, name: String) -> (Self, Receiver<(u64, UnixStream)>) {
        let (commands, receiver) = channel();
        let state = State {
            plugged: false,
            inserted: true,
            powered: false,
            life: 0,
            mute: false,
            mute_at: None,
            finger: Finger::Auto,
            waiting: false,
            pressed: false,
            manner: Manner::Well,
            only: None,
            apdus: 0,
            cut: None,
            lines: Vec::new(),
            made: 0,
        };
        let shared = Shared { state: Mutex::new(state), changed: Condvar::new(), bus, name, commands };
        (Self(Arc::new(shared)), receiver)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits.
    fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let done = work(&mut self.state());
        self.0.changed.notify_all();
        done
    }

    /// Waits while this holds; false if it still does in the end.
    fn wait(&self, time: Duration, mut holds: impl FnMut(&mut State) -> bool) -> bool {
        let waited = self.0.changed.wait_timeout_while(self.state(), time, &mut holds);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Puts it on the bus, once the reader of its last life has let go of it.
    pub(crate) fn plug(&self) -> io::Result<()> {
        if self.state().plugged {
            return Ok(());
        }
        if !self.wait(PATIENCE, |state| !state.lines.is_empty()) {
            return Err(io::Error::other("the reader has not noticed that the key was pulled"));
        }
        let hidden = self.0.bus.join(format!(".{}", self.0.name));
        let _ = fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden)?;
        let life = self.change(|state| {
            state.plugged = true;
            state.life
        });
        // pcscd calls as soon as it sees the name.
        fs::rename(hidden, self.0.bus.join(&self.0.name))?;
        let rig = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !rig.take(stream, life) {
                    return;
                }
            }
        });
        Ok(())
    }

    /// A line of the reader. False once this life is over.
    fn take(&self, mut stream: UnixStream, life: u64) -> bool {
        let mut kind = [0u8];
        if stream.read_exact(&mut kind).is_err() {
            return self.state().life == life;
        }
        let mut state = self.state();
        if state.life != life {
            return false;
        }
        let Ok(end) = stream.try_clone() else { return true };
        state.made += 1;
        let number = state.made;
        state.lines.push(Line { number, kind: kind[0], end });
        if kind[0] == b'C' {
            let _ = self.0.commands.send((number, stream));
            return true;
        }
        let _ = stream.write_all(&[u8::from(state.inserted)]);
        drop(state);
        let rig = self.clone();
        thread::spawn(move || {
            // The reader never writes here: its end is the end of the reader.
            let _ = io::copy(&mut stream, &mut io::sink());
            rig.forget(number);
        });
        true
    }

    /// A line has ended.
    pub(crate) fn forget(&self, number: u64) {
        self.change(|state| state.lines.retain(|line| line.number != number));
    }

    /// Pulls it: the reader is gone with it.
    pub(crate) fn unplug(&self) {
        let place = self.0.bus.join(&self.0.name);
        self.change(|state| {
            if !std::mem::replace(&mut state.plugged, false) {
                return;
            }
            state.life += 1;
            // Wakes the thread that waits for the reader's calls: it ends with this life.
            drop(UnixStream::connect(&place));
            let _ = fs::remove_file(&place);
            for line in &state.lines {
                let _ = line.end.shutdown(Shutdown::Write);
            }
        });
    }

    /// Takes the card out of its reader, or puts it back.
    pub(crate) fn insert(&self, inserted: bool) {
        self.change(|state| {
            state.inserted = inserted;
            for line in state.lines.iter_mut().filter(|line| line.kind == b'E') {
                let _ = line.end.write_all(&[u8::from(inserted)]);
            }
        });
    }

    pub(crate) fn is_inserted(&self) -> bool {
        self.state().inserted
    }

    pub(crate) fn powered(&self, powered: bool) {
        self.change(|state| state.powered = powered);
    }

    /// Waits until a reader has it and has switched it on, or until none has it.
    pub(crate) fn is_read(&self, read: bool) -> bool {
        self.wait(PATIENCE, |state| if read { !state.powered } else { !state.lines.is_empty() })
    }

    pub(crate) fn finger(&self, finger: Finger) {
        self.change(|state| state.finger = finger);
    }

    /// Touches it now; whether it asked for that.
    pub(crate) fn touch(&self) -> bool {
        self.change(|state| {
            state.pressed = state.waiting;
            state.waiting
        })
    }

    /// Waits until it asks for a touch.
    pub(crate) fn asks(&self) -> bool {
        self.wait(PATIENCE, |state| !state.waiting)
    }

    pub(crate) fn mute(&self, mute: bool) {
        self.change(|state| (state.mute, state.mute_at) = (mute, None));
    }

    /// From that APDU on; 1 is the next.
    pub(crate) fn mute_at(&self, next: u64) {
        self.change(|state| state.mute_at = Some(state.apdus + next));
    }

    pub(crate) fn manner(&self, manner: Manner, only: Option<u8>) {
        self.change(|state| (state.manner, state.only) = (manner, only));
    }

    pub(crate) fn cut(&self, next: u64, after: bool) {
        self.change(|state| state.cut = (next > 0).then(|| (state.apdus + next, after)));
    }

    /// Waits until so many APDUs have come.
    pub(crate) fn comes(&self, number: u64) -> bool {
        self.wait(PATIENCE, |state| state.apdus < number)
    }

    pub(crate) fn apdus(&self) -> u64 {
        self.state().apdus
    }

    /// An APDU comes.
    pub(crate) fn arrive(&self) -> Result<Moment, Gone> {
        let (life, cut) = self.change(|state| {
            state.apdus += 1;
            state.mute |= state.mute_at.take_if(|at| *at == state.apdus).is_some();
            (state.life, state.cut.filter(|(at, _)| *at == state.apdus))
        });
        let moment = Moment { rig: self.clone(), life, last: cut.is_some() };
        if cut.is_some_and(|(_, after)| !after) {
            self.unplug();
            return Err(Gone);
        }
        moment.wait(None, |state| state.mute)?;
        Ok(moment)
    }

    /// Its answer goes, if the card is still there.
    pub(crate) fn leave(&self, moment: &Moment, apdu: &[u8], answer: Vec<u8>) -> Result<Option<Vec<u8>>, Gone> {
        if moment.last {
            self.unplug();
        }
        let state = self.state();
        if state.life != moment.life {
            return Err(Gone);
        }
        if !state.inserted {
            return Ok(None);
        }
        let meant = state.only.is_none_or(|only| apdu.get(1) == Some(&only));
        Ok(Some(match state.manner {
            _ if !meant => answer,
            Manner::Well => answer,
            Manner::Garbage => (0..61).map(|at: u8| at.wrapping_mul(167) ^ 0x5A).collect(),
            Manner::Short => vec![0x90],
            Manner::Empty => Vec::new(),
            Manner::Endless => vec![0x53, 0x00, 0x61, 0x00],
            Manner::Status(status) => status.to_be_bytes().to_vec(),
        }))
    }
}

impl Moment {
    /// Waits while this holds; whether it ended in time.
    fn wait(&self, time: Option<Duration>, mut holds: impl FnMut(&mut State) -> bool) -> Result<bool, Gone> {
        let goes_on = |state: &mut State| state.life == self.life && state.inserted && holds(state);
        let in_time = self.rig.wait(time.unwrap_or(Duration::MAX), goes_on);
        if self.rig.state().life == self.life { Ok(in_time) } else { Err(Gone) }
    }

    /// Blinks until it is touched; false if it was not.
    #[must_use]
    pub fn touched(&self) -> bool {
        let finger = self.rig.change(|state| {
            (state.waiting, state.pressed) = (!matches!(state.finger, Finger::Auto | Finger::Never), false);
            state.finger
        });
        let touched = match finger {
            Finger::Auto => true,
            Finger::Never => false,
            Finger::Manual => self.wait(Some(BLINK), |state| !state.pressed).unwrap_or(false),
            Finger::Delay(time) => self.wait(Some(time), |state| !state.pressed).map(|_| true).unwrap_or(false),
        };
        self.rig.change(|state| state.waiting = false);
        touched && self.rig.is_inserted()
    }
}
