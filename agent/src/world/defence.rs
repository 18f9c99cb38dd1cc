//! What stands between an attack and its success, by name: a build with the feature `weak` can leave one out, so that
//! the test of the attack has an agent on which it must win. In every other build each of them stands, at no cost.

/// A defence. Its name in `CLAVIGER_WITHOUT` is the variant's, in lower case with dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defence {
    /// An older vault file is noticed.
    Anchors,
    /// A vault is written beside the one that stands, and takes its name once it is whole.
    AtomicSave,
    /// A client that does not read its answers is not answered further.
    BoundedQueue,
    /// A step is burned on the disk before its code is sent.
    BurnFirst,
    /// No handler panics.
    Composure,
    /// No core is dumped, however it ends (setrlimit(2), RLIMIT_CORE).
    CoreLimit,
    /// The log names a request and its outcome, and holds nothing of what was sent.
    DiscreetLog,
    /// What a client leaves behind is given back when it goes.
    Frees,
    /// Nobody of the same user looks into it (prctl(2), PR_SET_DUMPABLE).
    NotDumpable,
    /// One agent serves, and others find its lock.
    OneServer,
    /// The control socket answers its own user alone.
    PeerCheck,
    /// The log is of the level INFO, and so without what libraries tell of their work.
    QuietLog,
    /// What cannot be written down is not done.
    RecordFirst,
    /// A sealed session of another boot is not judged by this machine's wall clock.
    SealedTime,
    /// A panic is told by its place, without its payload.
    SilentPanic,
    /// However many wait for a session, it is fetched once.
    SingleFlight,
    /// What it makes is its user's alone (umask(2)).
    Umask,
    /// The stack that secrets were worked on is wiped.
    WipedStack,
    /// Memory that is freed is wiped.
    Wiping,
}

#[cfg(not(feature = "weak"))]
impl Defence {
    /// Whether it stands.
    #[inline(always)]
    pub const fn stands(self) -> bool {
        true
    }
}

/// What a careless handler would do with a line it was sent: in a build with the feature `weak` that is told to, log
/// it or panic with it. In every other build nothing.
#[cfg(not(feature = "weak"))]
#[inline(always)]
pub(crate) const fn mishandle(_line: &[u8]) {}

#[cfg(feature = "weak")]
pub(crate) use weak::mishandle;

#[cfg(feature = "weak")]
mod weak {
    use super::Defence;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Every defence that can be left out, by its name.
    const NAMES: [(&str, Defence); 19] = [
        ("anchors", Defence::Anchors),
        ("atomic-save", Defence::AtomicSave),
        ("bounded-queue", Defence::BoundedQueue),
        ("burn-first", Defence::BurnFirst),
        ("composure", Defence::Composure),
        ("core-limit", Defence::CoreLimit),
        ("discreet-log", Defence::DiscreetLog),
        ("frees", Defence::Frees),
        ("not-dumpable", Defence::NotDumpable),
        ("one-server", Defence::OneServer),
        ("peer-check", Defence::PeerCheck),
        ("quiet-log", Defence::QuietLog),
        ("record-first", Defence::RecordFirst),
        ("sealed-time", Defence::SealedTime),
        ("silent-panic", Defence::SilentPanic),
        ("single-flight", Defence::SingleFlight),
        ("umask", Defence::Umask),
        ("wiped-stack", Defence::WipedStack),
        ("wiping", Defence::Wiping),
    ];
    /// A line with this makes a handler without composure panic.
    const TRIP: &[u8] = b"trip-over-this";

    /// A bit for each defence that is left out. No lock and no allocation: the allocator asks.
    static LEFT_OUT: AtomicU32 = AtomicU32::new(0);

    impl Defence {
        /// Whether it stands.
        pub fn stands(self) -> bool {
            LEFT_OUT.load(Ordering::Relaxed) & (1 << self as u32) == 0
        }

        /// Leaves out those that `CLAVIGER_WITHOUT` names, separated by commas. Whether all names are known.
        pub fn leave_out_named() -> bool {
            let names = std::env::var("CLAVIGER_WITHOUT").unwrap_or_default();
            names.split(',').filter(|name| !name.is_empty()).all(|name| {
                let known = NAMES.iter().find(|(known, _)| *known == name);
                if let Some((_, defence)) = known {
                    LEFT_OUT.fetch_or(1 << *defence as u32, Ordering::Relaxed);
                }
                known.is_some()
            })
        }
    }

    /// Logs the line, or panics with it, as far as the defences against that are left out.
    #[expect(clippy::panic, reason = "that is what it is for")]
    pub(crate) fn mishandle(line: &[u8]) {
        if !Defence::DiscreetLog.stands() {
            tracing::info!(line = %String::from_utf8_lossy(line), "came");
        }
        if !Defence::Composure.stands() && line.windows(TRIP.len()).any(|window| window == TRIP) {
            std::panic::panic_any(String::from_utf8_lossy(line).into_owned());
        }
    }
}
