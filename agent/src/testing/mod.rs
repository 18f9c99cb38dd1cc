//! Fakes of the outside, for tests. Exists only with the feature `test-seams`; never in a release binary.

mod disk;

pub use disk::{CrashState, Files, MemoryDisk};

use crate::world::{BootTime, BoxFuture, Clock, Entropy, WallTime, World};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// A text that every binary built with this module contains, used or not: `cargo xtask dist` refuses one that has it.
#[used]
pub static MARKER: [u8; 19] = *b"claviger-test-seams";

/// A clock that tests move. Sleeping on it moves it to the deadline at once, so that waiting costs no time.
pub struct FakeClock(Mutex<(WallTime, BootTime)>);

impl FakeClock {
    /// A clock at this wall time, one hour after boot.
    pub fn at(wall: WallTime) -> Arc<Self> {
        Arc::new(Self(Mutex::new((wall, BootTime(3_600_000)))))
    }

    /// Moves both clocks forward.
    pub fn advance_millis(&self, millis: u64) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.0 = times.0.plus_millis(i64::try_from(millis).unwrap_or(i64::MAX));
        times.1 = times.1.plus_millis(millis);
    }

    /// Steps the wall clock alone, as ntpd or a person may.
    pub fn step_wall_millis(&self, millis: i64) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.0 = times.0.plus_millis(millis);
    }
}

impl Clock for FakeClock {
    fn wall(&self) -> WallTime {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn boot(&self) -> BootTime {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn sleep_until(&self, deadline: BootTime) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.advance_millis(deadline.millis_since(self.boot()));
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
