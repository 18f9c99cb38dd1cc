//! What stands between an attack and its success, by name: a build with the feature `weak` can leave one out, so that
//! the test of the attack has an agent on which it must win. In every other build each of them stands, at no cost.

/// A defence. Its name in `CLAVIGER_WITHOUT` is the variant's, in lower case with dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defence {
    /// No core is dumped, however it ends (setrlimit(2), RLIMIT_CORE).
    CoreLimit,
    /// Nobody of the same user looks into it (prctl(2), PR_SET_DUMPABLE).
    NotDumpable,
    /// The control socket answers its own user alone.
    PeerCheck,
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

#[cfg(feature = "weak")]
mod weak {
    use super::Defence;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Every defence that can be left out, by its name.
    const NAMES: [(&str, Defence); 6] = [
        ("core-limit", Defence::CoreLimit),
        ("not-dumpable", Defence::NotDumpable),
        ("peer-check", Defence::PeerCheck),
        ("umask", Defence::Umask),
        ("wiped-stack", Defence::WipedStack),
        ("wiping", Defence::Wiping),
    ];

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
}
