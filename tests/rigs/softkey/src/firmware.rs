//! The firmware from power on to power off: `fido-authenticator` on trussed's virtual platform.

use crate::cable::{Cable, Event};
use crate::ctaphid::{Hid, INVALID_LENGTH};
use crate::options::Options;
use crate::panel::Panel;
use crate::presence::Finger;
use ctaphid_app::{App, Command};
use fido_authenticator::{Authenticator, Config, Conforming, FirmwareVersion};
use heapless_bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use trussed::ClientImplementation;
use trussed::backend::BackendId;
use trussed::pipe::{ServiceEndpoint, TrussedChannel};
use trussed::platform::Platform as _;
use trussed::service::Service;
use trussed::types::CoreContext;
use trussed::virt::{self, StorageConfig, StoreConfig};
use trussed_core::InterruptFlag;
use trussed_staging::virt::{BackendIds, Dispatcher};

/// The longest message of CTAPHID.
pub(crate) const MESSAGE: usize = 7609;
/// Ends the wait for a touch.
pub(crate) static INTERRUPT: InterruptFlag = InterruptFlag::new();
/// The firmware keeps whole messages on its stack, many times.
const STACK: usize = 64 << 20;

/// A message for the firmware.
pub(crate) struct Job {
    pub(crate) command: Command,
    pub(crate) request: Vec<u8>,
}

struct Syscall(Sender<()>);

impl trussed::platform::Syscall for Syscall {
    fn syscall(&mut self) {
        let _ = self.0.send(());
    }
}

/// Runs until the cable is out and the bridge has taken the node away.
pub(crate) fn power(
    options: &Options,
    panel: &Arc<Panel>,
    cable: Cable,
    events: Sender<Event>,
    arrived: Receiver<Event>,
) {
    let config = Config {
        max_msg_size: MESSAGE,
        skip_up_timeout: None,
        max_resident_credential_count: Some(options.max_resident),
        large_blobs: None,
        nfc_transport: false,
        ccid_transport: false,
        firmware_version: Some(FirmwareVersion::new(1)),
        credential_id_version: None,
        long_touch_for_reset: false,
        fido2_up_timeout: Some(options.up_timeout_ms),
    };
    let internal = options.store.clone().map_or_else(StorageConfig::ram, StorageConfig::filesystem);
    let store = StoreConfig { internal, external: StorageConfig::ram(), volatile: StorageConfig::ram() };
    INTERRUPT.set_idle();
    virt::with_platform(store, |mut platform| {
        // The platform's own numbers are the same in every run.
        *platform.rng() = options.seed.map_or_else(ChaCha8Rng::from_entropy, ChaCha8Rng::seed_from_u64);
        platform.user_interface().set_inner(Box::new(Finger(panel.clone())));
        let channel = TrussedChannel::new();
        let (requester, responder) = channel.split().expect("a new channel");
        let (syscalls, syscalled) = mpsc::channel();
        // The platform's own runner has no interrupt flag, and without it a cancel does nothing.
        let context = CoreContext::with_interrupt("fido".try_into().expect("a name"), Some(&INTERRUPT));
        let backends = &[BackendId::Custom(BackendIds::StagingBackend), BackendId::Core];
        let mut endpoints = [ServiceEndpoint::new(responder, context, backends)];
        let mut service = Service::with_dispatch(platform, Dispatcher::default());
        let client: ClientImplementation<'_, Syscall, Dispatcher> =
            ClientImplementation::new(requester, Syscall(syscalls), Some(&INTERRUPT));
        let mut authenticator = Authenticator::new(client, Conforming {}, config);
        let (work, jobs) = mpsc::channel::<Job>();
        thread::scope(|scope| {
            scope.spawn(move || {
                while syscalled.recv().is_ok() {
                    service.process(&mut endpoints);
                }
            });
            let worker = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
                for job in jobs {
                    let mut answer = Box::new(Bytes::<MESSAGE>::new());
                    let done = authenticator.call(job.command, &job.request, &mut *answer);
                    panel.change(|state| state.waiting = None);
                    let done = done.map(|()| answer.to_vec()).map_err(|_| INVALID_LENGTH);
                    let _ = events.send(Event::Answer(done));
                }
            });
            worker.expect("a thread");
            Hid::new(cable, panel, work).run(&arrived);
        });
    });
}
