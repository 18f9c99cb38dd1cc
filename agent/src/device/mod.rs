//! The hardware, through the device helper: what is plugged in, and one operation at a time on each device.
//!
//! Device libraries block, panic and print; they run in `claviger-device-helper`, a process for each device, which is
//! killed where it does not answer, and started again when it is needed. The vault's master key never goes there.
//!
//! Below: [`protocol`] what the two say to each other, [`oath`], [`piv`] and [`fido`] what a device can be asked,
//! `cards` which card is meant, `holders` which device has which credential, `worker` one device, `watch` what is plugged in, `process` a helper.

mod cards;
mod error;
pub mod fido;
mod holders;
pub mod oath;
pub mod piv;
mod process;
pub mod protocol;
mod watch;
mod worker;

pub use cards::Card;
pub use error::{Applet, CertificateFlaw, Error, PinRule, Reference, Thing};
pub use protocol::{Address, Answer, Bytes, CardInfo, Found, Operation, Present};

use crate::world::Clock;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use watch::Watch;
use worker::Worker;

/// The helper's program, which lies beside the agent's.
pub const HELPER: &str = "claviger-device-helper";

/// What a device tells while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It waits to be touched.
    Touch,
}

/// The devices of this machine.
pub struct Devices {
    clock: Arc<dyn Clock>,
    program: Arc<PathBuf>,
    watch: Watch,
    described: cards::Described,
    holders: holders::Holders,
    workers: Mutex<BTreeMap<Address, (u64, Arc<Worker>)>>,
}

impl Devices {
    /// Through this helper, of which none runs yet.
    pub fn new(clock: Arc<dyn Clock>, program: PathBuf) -> Arc<Self> {
        let program = Arc::new(program);
        let watch = Watch::new(clock.clone(), program.clone());
        let (described, workers) = (cards::Described::default(), Mutex::default());
        Arc::new(Self { clock, program, watch, described, holders: holders::Holders::default(), workers })
    }

    /// Whether there is a helper at all.
    pub fn is_installed(&self) -> bool {
        self.program.is_file()
    }

    /// What is plugged in.
    ///
    /// # Errors
    /// Where there is no helper, or it does not say.
    pub async fn present(self: &Arc<Self>) -> Result<Present, Error> {
        let present = self.watch.present().await?;
        // A worker of a device that went, or came back, serves nobody.
        let is_gone = |address: &Address, insertion: u64| {
            !present.devices.iter().any(|found| found.address == *address && found.insertion == insertion)
        };
        let gone: Vec<_> =
            self.workers().extract_if(.., |address, (insertion, _)| is_gone(address, *insertion)).collect();
        for (_, (_, worker)) in gone {
            tokio::spawn(async move { worker.end().await });
        }
        self.holders.keep(&present.devices);
        Ok(present)
    }

    /// The one of these FIDO devices that has used a credential since it was plugged in.
    pub fn holder<'a>(&self, credential: &[u8], present: &'a [Found]) -> Option<&'a Found> {
        self.holders.among(credential, present)
    }

    /// A device has used a credential.
    pub fn has_used(&self, credential: &[u8], device: &Found) {
        self.holders.remember(credential, device);
    }

    /// A device has a credential no more.
    pub fn forget(&self, credential: &[u8]) {
        self.holders.forget(credential);
    }

    /// Has a device do something. Notices come while it works; whoever drops this has cancelled it.
    ///
    /// # Errors
    /// What the device says, or what kept it from saying anything.
    pub async fn run(
        &self,
        device: &Found,
        operation: Operation,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<Answer, Error> {
        self.worker(device).run(operation, notices).await
    }

    /// Ends every helper, and with each what it remembers: a lock, or a stop.
    pub async fn end(&self) {
        let workers: Vec<_> = std::mem::take(&mut *self.workers()).into_values().collect();
        for (_, worker) in workers {
            worker.end().await;
        }
        self.watch.end();
    }

    fn worker(&self, device: &Found) -> Arc<Worker> {
        let mut workers = self.workers();
        match workers.get(&device.address) {
            Some((insertion, worker)) if *insertion == device.insertion => worker.clone(),
            _ => {
                let worker = Worker::new(self.clock.clone(), self.program.clone(), device.address.clone());
                workers.insert(device.address.clone(), (device.insertion, worker.clone()));
                worker
            }
        }
    }

    fn workers(&self) -> MutexGuard<'_, BTreeMap<Address, (u64, Arc<Worker>)>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
