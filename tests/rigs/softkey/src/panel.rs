//! What a hand can do to the key, and what can be seen of it: shared by the control socket, the framing and the firmware.

use crate::cable::Event;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What the finger does once a touch is waited for.
#[derive(Clone, Copy)]
pub(crate) enum Touch {
    Auto,
    /// `press` only.
    Manual,
    Never,
    Delay(Duration),
}

impl Touch {
    pub(crate) fn read(words: &[&str]) -> Option<Self> {
        Some(match words {
            ["auto"] => Self::Auto,
            ["manual"] => Self::Manual,
            ["never"] => Self::Never,
            ["delay", millis] => Self::Delay(Duration::from_millis(millis.parse().ok()?)),
            _ => return None,
        })
    }
}

/// How answers of CBOR and MSG are spoilt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Whole,
    /// The status byte, then bytes that are no CBOR, as many as there were.
    Garbage,
    /// The first half alone; the framing is right.
    Short,
    /// On another channel, as an answer to another program is.
    WrongChannel,
}

impl Answer {
    pub(crate) fn read(word: &str) -> Option<Self> {
        Some(match word {
            "off" => Self::Whole,
            "garbage" => Self::Garbage,
            "short" => Self::Short,
            "wrong-channel" => Self::WrongChannel,
            _ => return None,
        })
    }
}

pub(crate) struct State {
    pub(crate) touch: Touch,
    pub(crate) pressed: bool,
    /// Since when a touch is waited for.
    pub(crate) waiting: Option<Instant>,
    pub(crate) mute: bool,
    pub(crate) answer: Answer,
    /// So many more reports arrive before the key is pulled, the last one lost.
    pub(crate) cut: Option<u64>,
    /// The same of reports that leave.
    pub(crate) cut_answer: Option<u64>,
    pub(crate) asked: u64,
    pub(crate) winks: u64,
    pub(crate) reports: u64,
    pub(crate) answers: u64,
    pub(crate) cancels: u64,
    pub(crate) boots: u64,
    node: Option<String>,
    wanted: bool,
    events: Option<Sender<Event>>,
}

pub(crate) struct Panel {
    state: Mutex<State>,
    changed: Condvar,
}

impl Panel {
    pub(crate) fn new(touch: Touch, wanted: bool) -> Self {
        let state = State {
            touch,
            pressed: false,
            waiting: None,
            mute: false,
            answer: Answer::Whole,
            cut: None,
            cut_answer: None,
            asked: 0,
            winks: 0,
            reports: 0,
            answers: 0,
            cancels: 0,
            boots: 0,
            node: None,
            wanted,
            events: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread died with it")
    }

    /// Looks, and lets those look again who wait for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.look());
        self.changed.notify_all();
        changed
    }

    fn until(&self, holds: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.look(), |state| !holds(state)).expect("no thread died with it")
    }

    /// Waits for a change, or this long.
    pub(crate) fn pause(&self, time: Duration) {
        drop(self.changed.wait_timeout(self.look(), time));
    }

    /// Puts the key in, and waits until its node is there.
    pub(crate) fn plug(&self) -> String {
        self.change(|state| state.wanted = true);
        self.until(|state| state.node.is_some()).node.clone().unwrap_or_default()
    }

    /// Pulls the key out, and waits until its node is gone.
    pub(crate) fn unplug(&self) {
        self.change(State::pull);
        drop(self.until(|state| state.node.is_none()));
    }

    /// Waits until so many reports have arrived since the start.
    pub(crate) fn wait_for_reports(&self, number: u64) {
        drop(self.until(|state| state.reports >= number));
    }

    /// Waits until the key is out, whoever pulled it.
    pub(crate) fn wait_for_unplugged(&self) {
        drop(self.until(|state| state.node.is_none()));
    }

    /// Waits until the firmware waits for a touch.
    pub(crate) fn wait_for_touch(&self) {
        drop(self.until(|state| state.waiting.is_some()));
    }

    pub(crate) fn wait_for_plug(&self) {
        drop(self.until(|state| state.wanted));
    }

    pub(crate) fn plugged(&self, node: &str, events: Sender<Event>) {
        self.change(|state| {
            state.node = Some(node.to_owned());
            state.events = Some(events);
            state.boots += 1;
            if !state.wanted {
                state.pull();
            }
        });
    }

    /// The key is without power. Whether somebody had pulled it.
    pub(crate) fn unplugged(&self) -> bool {
        self.change(|state| {
            let pulled = state.events.is_none();
            (state.node, state.events) = (None, None);
            (state.waiting, state.pressed) = (None, false);
            pulled
        })
    }
}

impl State {
    pub(crate) fn pull(&mut self) {
        self.wanted = false;
        (self.cut, self.cut_answer) = (None, None);
        if let Some(events) = self.events.take() {
            let _ = events.send(Event::Pulled);
        }
    }

    /// Whether this report is the one at which the key is pulled.
    pub(crate) fn is_cut(counter: &mut Option<u64>) -> bool {
        match counter {
            Some(left) if *left <= 1 => {
                *counter = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// One line of what can be seen.
    pub(crate) fn line(&self) -> String {
        let Self { asked, winks, reports, answers, cancels, boots, .. } = self;
        let node = self.node.as_deref().unwrap_or("none");
        let waiting = self.waiting.is_some();
        format!(
            "node={node} waiting={waiting} asked={asked} winks={winks} reports={reports} answers={answers} cancels={cancels} boots={boots}"
        )
    }
}
