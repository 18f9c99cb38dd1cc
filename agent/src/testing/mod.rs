//! Fakes of the outside, for tests. Exists only with the feature `test-seams`; never in a release binary.

pub mod counting;
mod disk;
pub mod mutation;
pub mod parsers;

pub use disk::{CrashState, Files, MemoryDisk};

use crate::world::{BootTime, BoxFuture, Clock, Entropy, WallTime, World};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A text that every binary built with this module contains, used or not: `cargo xtask dist` refuses one that has it.
#[used]
pub static MARKER: [u8; 19] = *b"claviger-test-seams";

/// How often a test does something: `usual` times in `cargo xtask test`, `soak` times in `cargo xtask soak`, or so many
/// in the hundred of those: `CLAVIGER_SOAK`.
pub fn rounds(usual: usize, soak: usize) -> usize {
    let percent = std::env::var("CLAVIGER_SOAK").ok().and_then(|percent| percent.parse::<usize>().ok());
    percent.map_or(usual, |percent| soak.saturating_mul(percent).div_ceil(100))
}

/// Tells a figure of a test, which `cargo xtask soak` takes over into docs/reference/reliability.md.
pub fn figure(what: &str, value: impl std::fmt::Display) {
    #[expect(clippy::print_stdout, reason = "tests alone have this; the task runner reads it")]
    {
        println!("figure: {what}: {value}");
    }
}

/// A clock that tests move. Sleeping on it moves it to the deadline at once, so that waiting costs no time; while it
/// is held, sleepers wait until a test moves it there.
pub struct FakeClock {
    times: Mutex<Times>,
    moved: watch::Sender<()>,
    disturbed: watch::Sender<()>,
}

struct Times {
    wall: WallTime,
    boot: BootTime,
    held: bool,
    slept: i64,
    boots: u64,
    elapsed: i64,
    /// Until when somebody sleeps.
    sleepers: Vec<BootTime>,
}

impl Times {
    fn advance(&mut self, millis: u64) {
        self.wall = self.wall.plus_millis(i64::try_from(millis).unwrap_or(i64::MAX));
        self.boot = self.boot.plus_millis(millis);
        self.elapsed = self.elapsed.saturating_add_unsigned(millis);
    }
}

impl FakeClock {
    /// A clock at this wall time, one hour after boot.
    pub fn at(wall: WallTime) -> Arc<Self> {
        let times = Mutex::new(Times {
            wall,
            boot: BootTime(3_600_000),
            held: false,
            slept: 0,
            boots: 1,
            elapsed: 0,
            sleepers: Vec::new(),
        });
        Arc::new(Self { times, moved: watch::Sender::new(()), disturbed: watch::Sender::new(()) })
    }

    /// Moves both clocks forward.
    pub fn advance_millis(&self, millis: u64) {
        self.times().advance(millis);
        self.moved.send_replace(());
    }

    /// Steps the wall clock alone, as ntpd or a person may.
    pub fn step_wall_millis(&self, millis: i64) {
        let mut times = self.times();
        times.wall = times.wall.plus_millis(millis);
        drop(times);
        self.disturbed.send_replace(());
    }

    /// The machine sleeps for so long. Nobody is told, and no timer has run: as the first moment after it wakes up.
    pub fn suspend_millis(&self, millis: u64) {
        let mut times = self.times();
        times.advance(millis);
        times.slept = times.slept.saturating_add_unsigned(millis);
    }

    /// Timers run, and the kernel tells that the machine has slept.
    pub fn resume(&self) {
        self.moved.send_replace(());
        self.disturbed.send_replace(());
    }

    /// The machine was started anew: its boot clock begins elsewhere, and its wall clock is off by so much more.
    pub fn reboot(&self, boot: BootTime, wall_millis: i64) {
        let mut times = self.times();
        times.wall = times.wall.plus_millis(wall_millis);
        (times.boot, times.slept, times.boots) = (boot, 0, times.boots.wrapping_add(1));
    }

    /// Milliseconds that have truly passed, whatever the clocks say.
    pub fn elapsed_millis(&self) -> i64 {
        self.times().elapsed
    }

    /// From now on only a test moves it: what sleeps, sleeps.
    pub fn hold(&self) {
        self.times().held = true;
    }

    /// Sleeping moves it again, also for those who sleep already.
    pub fn release(&self) {
        self.times().held = false;
        self.moved.send_replace(());
    }

    /// Whether somebody sleeps who wakes up within so many milliseconds.
    pub fn wakes_within(&self, millis: u64) -> bool {
        let times = self.times();
        let end = times.boot.plus_millis(millis);
        times.sleepers.iter().any(|deadline| *deadline <= end)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a sleep until `deadline` is over; one that nothing holds moves the clock there.
    fn slept(&self, deadline: BootTime) -> bool {
        let mut times = self.times();
        let left = deadline.millis_since(times.boot);
        if left > 0 && !times.held {
            times.advance(left);
            drop(times);
            self.moved.send_replace(());
            return true;
        }
        left == 0
    }
}

/// Somebody who sleeps, for as long as that is wanted.
struct Sleeper<'a>(&'a FakeClock, BootTime);

impl<'a> Sleeper<'a> {
    fn begin(clock: &'a FakeClock, deadline: BootTime) -> Self {
        clock.times().sleepers.push(deadline);
        Self(clock, deadline)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut times = self.0.times();
        if let Some(at) = times.sleepers.iter().position(|deadline| *deadline == self.1) {
            times.sleepers.swap_remove(at);
        }
    }
}

impl Clock for FakeClock {
    fn wall(&self) -> WallTime {
        self.times().wall
    }

    fn boot(&self) -> BootTime {
        self.times().boot
    }

    fn boot_id(&self) -> Option<String> {
        Some(self.times().boots.to_string())
    }

    fn slept_millis(&self) -> i64 {
        self.times().slept
    }

    fn disturbed(&self) -> BoxFuture<'_, ()> {
        let mut disturbed = self.disturbed.subscribe();
        Box::pin(async move { drop(disturbed.changed().await) })
    }

    fn sleep_until(&self, deadline: BootTime) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _sleeper = Sleeper::begin(self, deadline);
            tokio::task::yield_now().await;
            let mut moved = self.moved.subscribe();
            while !self.slept(deadline) {
                // Fails only when the sender is gone, and it is here.
                drop(moved.changed().await);
            }
        })
    }
}

/// Repeatable bytes: a 64-bit counter generator (SplitMix64), never for keys outside tests.
pub struct FakeEntropy(Mutex<u64>);

impl FakeEntropy {
    /// A sequence that depends on the seed alone.
    pub fn seeded(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(seed)))
    }
}

impl Entropy for FakeEntropy {
    fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            for (to, from) in chunk.iter_mut().zip(mixed.to_le_bytes()) {
                *to = from;
            }
        }
        Ok(())
    }
}

/// A world with this clock, repeatable entropy and the real disk.
pub fn world(clock: Arc<FakeClock>, seed: u64) -> World {
    World { clock, entropy: FakeEntropy::seeded(seed), disk: World::real().disk }
}
