//! What is plugged in: a helper that watches, as long as somebody has lately asked.

use super::Error;
use super::process::Process;
use super::protocol::{Command, Found, Present, Report};
use crate::world::{BootTime, Clock};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How long it is watched after the last question: an agent that is not used does not keep a process.
const IDLE_MILLIS: u64 = 600_000;
/// Until pcscd is looked for again: who asks a hundred times a second does not start as many helpers.
const AGAIN_MILLIS: u64 = 1_000;
/// Until the helper has looked for the first time.
const LOOK_MILLIS: u64 = 5_000;

/// What a running watch says; None until it has looked.
type Seen = watch::Receiver<Option<Present>>;

pub(super) struct Watch {
    clock: Arc<dyn Clock>,
    program: Arc<PathBuf>,
    running: Mutex<Option<Running>>,
}

struct Running {
    seen: Seen,
    task: tokio::task::JoinHandle<()>,
    /// Told at each question.
    asked: Arc<tokio::sync::Notify>,
    begun: BootTime,
}

impl Running {
    /// One that has found no pcscd will not find it later, and is replaced.
    fn is_of_use(&self, now: BootTime) -> bool {
        let missed = |present: &Present| present.cards == Some(Error::ServiceMissing);
        let blind = self.seen.borrow().as_ref().is_some_and(missed) && now >= self.begun.plus_millis(AGAIN_MILLIS);
        !self.task.is_finished() && !blind
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    pub(super) fn new(clock: Arc<dyn Clock>, program: Arc<PathBuf>) -> Self {
        Self { clock, program, running: Mutex::new(None) }
    }

    /// What is plugged in now.
    pub(super) async fn present(&self) -> Result<Present, Error> {
        let mut seen = self.seen()?;
        let deadline = self.clock.boot().plus_millis(LOOK_MILLIS);
        tokio::select! {
            biased;
            looked = seen.wait_for(Option::is_some) => {
                let looked = looked.map_err(|_| Error::HelperLost)?;
                looked.clone().ok_or(Error::HelperLost)
            }
            () = self.clock.sleep_until(deadline) => Err(Error::TimedOut),
        }
    }

    /// Ends the watch.
    pub(super) fn end(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn seen(&self) -> Result<Seen, Error> {
        if !self.program.is_file() {
            return Err(Error::HelperMissing);
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.boot();
        match running.as_ref().filter(|running| running.is_of_use(now)) {
            Some(running) => {
                running.asked.notify_one();
                Ok(running.seen.clone())
            }
            None => {
                // What one that ran until now has seen was not put in again because another one looks.
                let before = running.as_ref().filter(|running| !running.task.is_finished());
                let before = before.and_then(|running| running.seen.borrow().clone()).unwrap_or_default();
                let (tell, seen) = watch::channel(None);
                let asked = Arc::new(tokio::sync::Notify::new());
                let task = tokio::spawn(look(self.clock.clone(), self.program.clone(), (before, tell), asked.clone()));
                *running = Some(Running { seen: seen.clone(), task, asked, begun: now });
                Ok(seen)
            }
        }
    }
}

async fn look(
    clock: Arc<dyn Clock>,
    program: Arc<PathBuf>,
    (before, tell): (Present, watch::Sender<Option<Present>>),
    asked: Arc<tokio::sync::Notify>,
) {
    let Ok(mut process) = Process::start(&program, &Command::Watch {}).await else { return };
    let idle = async {
        loop {
            let end = clock.boot().plus_millis(IDLE_MILLIS);
            tokio::select! {
                () = asked.notified() => {}
                () = clock.sleep_until(end) => return,
            }
        }
    };
    let listen = async {
        let mut known = Known::of(before);
        while let Ok(Report::Present(present)) = process.hear().await {
            tell.send_replace(Some(known.named(present)));
        }
    };
    tokio::select! {
        () = idle => {}
        () = listen => {}
    }
}

/// The insertions that a watch goes on with, by those that it tells itself.
struct Known {
    before: Vec<Found>,
    same: BTreeMap<Found, u64>,
}

impl Known {
    fn of(before: Present) -> Self {
        Self { before: before.devices, same: BTreeMap::new() }
    }

    /// What was there when this watch took over from another is the same device, and no other one that was put in.
    fn named(&mut self, mut present: Present) -> Present {
        for found in &present.devices {
            let is_same = |known: &&Found| known.address == found.address && known.product == found.product;
            if let Some(known) = self.before.iter().find(is_same) {
                self.same.insert(found.clone(), known.insertion);
            }
        }
        // Whatever comes later was put in.
        self.before.clear();
        self.same.retain(|found, _| present.devices.contains(found));
        for found in &mut present.devices {
            if let Some(insertion) = self.same.get(found) {
                found.insertion = *insertion;
            }
        }
        present
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Address;
    use super::{Found, Known, Present};

    fn present(devices: &[(&str, u64)]) -> Present {
        let found = |(path, insertion): &(&str, u64)| Found {
            address: Address::Fido((*path).to_owned()),
            product: "Key".to_owned(),
            insertion: *insertion,
        };
        Present { devices: devices.iter().map(found).collect(), ..Present::default() }
    }

    #[test]
    fn a_watch_that_takes_over_finds_the_same_devices() {
        let mut known = Known::of(present(&[("a", 1), ("b", 2)]));
        assert_eq!(known.named(present(&[("a", 11), ("c", 13)])), present(&[("a", 1), ("c", 13)]));
        // One that was not there when it took over was put in since then, and so was one that comes again.
        assert_eq!(known.named(present(&[("a", 11), ("b", 14)])), present(&[("a", 1), ("b", 14)]));
        assert_eq!(known.named(present(&[("b", 14)])), present(&[("b", 14)]));
        assert_eq!(known.named(present(&[("a", 15), ("b", 14)])), present(&[("a", 15), ("b", 14)]));
        let mut first = Known::of(Present::default());
        assert_eq!(first.named(present(&[("a", 1)])), present(&[("a", 1)]));
    }
}
