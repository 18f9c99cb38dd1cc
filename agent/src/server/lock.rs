//! Opening, locking, and the idle lock.

use super::{CLOSE_MILLIS, DRAIN_MILLIS, Phase, Server};
use crate::vault::{self, Ended, Leave, LockedBy, VaultState};
use crate::world::BootTime;
use claviger::wire::SlotProof;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What opened the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The keyring: no human act.
    Keyring,
    /// A slot proof.
    Person,
}

/// Milliseconds of sleep that count as one: reading two clocks takes a moment.
const SLEPT_MILLIS: i64 = 1_000;

impl Server {
    /// Opens the vault: a human act. Sealed sessions come back.
    pub(super) async fn unlock(self: &Arc<Self>, proof: SlotProof, leave: Option<Leave>) -> Result<(), vault::Error> {
        let custody = self.custody.clone();
        let now = self.office.aws().corrected_now();
        let given = leave.clone().unwrap_or_else(|| custody.leave());
        self.opening(By::Person, leave, move || custody.unlock_with(&given, &proof, now)).await
    }

    /// Runs what opens the vault, and what follows: in a task of its own, since a client that hangs up ends neither.
    pub(super) async fn opening(
        self: &Arc<Self>,
        by: By,
        leave: Option<Leave>,
        open: impl FnOnce() -> Result<(), vault::Error> + Send + 'static,
    ) -> Result<(), vault::Error> {
        let server = self.clone();
        let opened = tokio::spawn(async move {
            blocking(leave, move || {
                if server.is_passing() {
                    return Err(vault::Error::Interrupted);
                }
                open()?;
                server.open_record();
                server.opened(by);
                Ok(())
            })
            .await
        });
        opened.await.unwrap_or(Err(vault::Error::Interrupted))
    }

    fn opened(&self, by: By) {
        if by == By::Person {
            self.office.mark_presence();
            self.desktop.person_is_here();
        }
        self.office.reopen();
        self.ssh.take_back(|sealed| self.custody.open_aside(sealed));
        if by == By::Person {
            self.take_settings();
        }
        self.office.save_pins();
        self.activity.wake.notify_one();
        self.desktop.vault_opened.notify_one();
        tracing::info!(?by, "unlocked");
    }

    /// Wipes master key and long-lived secrets, and the sessions too unless it is the idle lock. Ends the requests that
    /// have a secret in hand, and returns once they have let go of it.
    pub async fn lock(self: &Arc<Self>, by: LockedBy) {
        if let Some(ended) = self.close(by).await {
            // What was stretching a passphrase or waiting for AWS with a secret has it no more.
            ended.let_go().await;
        }
    }

    /// The same, without the wait for those who have a secret in hand: whoever asks from now on finds it locked.
    /// The vault first: what the office is told to forget must not be fetched again in between.
    async fn close(self: &Arc<Self>, by: LockedBy) -> Option<Ended> {
        self.record_lock(by).await;
        let server = self.clone();
        let locked = tokio::task::spawn_blocking(move || {
            let ended = server.ssh.put_aside(&server.custody, || server.custody.shut(by));
            server.ssh.forget_vault();
            server.custody.empty(by);
            server.office.lock(by != LockedBy::Idle);
            ended
        });
        let ended = locked.await.ok();
        // And with them the PINs that they remember.
        self.devices().end().await;
        // The idle watch sleeps without a limit now.
        self.activity.wake.notify_one();
        if by == LockedBy::Command {
            self.endpoints.end_lingering();
        }
        tracing::info!(?by, "locked");
        ended
    }

    /// A request has come.
    pub(super) fn touch(&self) {
        self.activity.last.store(self.world.clock.boot().0, Ordering::Release);
    }

    /// Milliseconds until the idle lock.
    pub(super) fn idle_left(&self) -> u64 {
        let last = BootTime(self.activity.last.load(Ordering::Acquire));
        last.plus_millis(self.config().idle_lock_millis).millis_since(self.world.clock.boot())
    }

    /// Locks after `[lock] idle` without a request, on the boot clock: a machine that slept wakes up locked. Asleep
    /// itself while the vault is locked.
    pub async fn watch_idle(self: Arc<Self>) {
        loop {
            if !self.custody.is_unlocked() {
                self.activity.wake.notified().await;
                continue;
            }
            match self.idle_left() {
                0 => self.lock_if_due().await,
                left => tokio::select! {
                    () = self.world.clock.sleep_until(self.world.clock.boot().plus_millis(left)) => {}
                    () = self.activity.wake.notified() => {}
                },
            }
        }
    }

    /// Locks what should be locked by now. Every door looks here first: when a machine wakes up, a request may be
    /// faster than the timer of the idle lock, and logind's word may be missing. Those who come meanwhile wait until all
    /// is closed, and nobody for those who still let go of a secret.
    pub(super) async fn lock_if_due(self: &Arc<Self>) {
        if !self.has_slept() && !self.is_idle() && !self.activity.closing.load(Ordering::Acquire) {
            return;
        }
        let _turn = self.activity.locking.lock().await;
        // Said while it is still due, so that nobody passes who finds it closed by half.
        self.activity.closing.store(true, Ordering::Release);
        let slept = self.world.clock.slept_millis();
        if self.has_slept() {
            let serves = matches!(self.custody.state(), VaultState::Unlocked | VaultState::Locked(LockedBy::Idle));
            if serves && self.config().lock_on_suspend {
                drop(self.close(LockedBy::Suspend).await);
            }
            self.activity.slept.store(slept, Ordering::Release);
        }
        if self.is_idle() {
            drop(self.close(LockedBy::Idle).await);
        }
        self.activity.closing.store(false, Ordering::Release);
    }

    fn has_slept(&self) -> bool {
        let seen = self.activity.slept.load(Ordering::Acquire);
        self.world.clock.slept_millis().saturating_sub(seen) > SLEPT_MILLIS
    }

    fn is_idle(&self) -> bool {
        self.custody.is_unlocked() && self.idle_left() == 0
    }

    /// Locks when the machine has slept, also where no logind tells. Woken by the kernel alone.
    pub async fn watch_sleep(self: Arc<Self>) {
        loop {
            let disturbed = self.world.clock.disturbed();
            self.lock_if_due().await;
            disturbed.await;
        }
    }

    /// Closes the endpoints, waits for the requests in hand, at most five seconds, then wipes everything and closes the connections: whatever
    /// was sent by then is answered, and a client that sends later knows that nobody has read it.
    pub async fn drain(self: &Arc<Self>) {
        self.endpoints.close_all();
        if !self.quiet(DRAIN_MILLIS).await {
            tracing::warn!("stopped with requests in hand");
        }
        self.none_left(&self.activity.answers, CLOSE_MILLIS).await;
        self.lock(LockedBy::Stop).await;
        self.phase.send_replace(Phase::Closing);
        self.none_left(&self.activity.connections, CLOSE_MILLIS).await;
    }

    /// Waits until no request is in hand; false where some are after so long.
    pub(super) async fn quiet(&self, millis: u64) -> bool {
        self.none_left(&self.activity.requests, millis).await
    }

    pub(super) async fn none_left(&self, count: &AtomicUsize, millis: u64) -> bool {
        let deadline = self.world.clock.boot().plus_millis(millis);
        let none = async {
            loop {
                let ended = self.activity.quiet.notified();
                if count.load(Ordering::Acquire) == 0 {
                    return;
                }
                ended.await;
            }
        };
        tokio::select! {
            () = none => true,
            () = self.world.clock.sleep_until(deadline) => false,
        }
    }
}

/// Runs disk or Argon2 work off the event loop. With the leave of a request that holds secrets: [`vault::Error::Locked`]
/// where a lock came before its turn.
pub(super) async fn blocking<T: Send + 'static>(
    leave: Option<Leave>,
    work: impl FnOnce() -> Result<T, vault::Error> + Send + 'static,
) -> Result<T, vault::Error> {
    let held = move || {
        let done = if leave.as_ref().is_some_and(Leave::is_over) {
            drop(work);
            Err(vault::Error::Locked)
        } else {
            work()
        };
        // Last of all: what the work had is gone.
        drop(leave);
        done
    };
    tokio::task::spawn_blocking(held).await.unwrap_or(Err(vault::Error::Interrupted))
}
