//! Power loss in the middle of a life: operations in an order that a seed decides, and after each crash what was
//! promised by then, or that and the operation in hand.

use super::super::state::serial;
use super::super::{Bench, DAY, NOW, access_key, confirmed, name, path};
use super::keeper;
use crate::testing::{CrashState, FakeEntropy, MemoryDisk, figure, rounds};
use crate::vault::{AuditHead, Custody, LockedBy};
use crate::world::{Entropy, WallTime};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Operations of a life.
const LENGTH: usize = 12;
const KINDS: [&str; 11] = [
    "access key added",
    "access key removed",
    "recovery slot added",
    "slot removed",
    "step burned",
    "session sealed",
    "session forgotten",
    "audit head kept",
    "lock and unlock",
    "backup",
    "restore of the previous vault",
];

/// What the vault's file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    keys: BTreeSet<String>,
    trash: usize,
    slots: Vec<u32>,
}

/// What a person may rely on.
#[derive(Clone)]
struct Promise {
    version: Version,
    /// `vault.prev`, where there is one.
    previous: Option<Version>,
    burned: Vec<u64>,
    /// Sealed, and then covered by a sync.
    sessions: BTreeSet<u8>,
    backups: BTreeMap<PathBuf, Vec<u8>>,
    now: WallTime,
    /// The operation that led here replaced the state: what it held is no longer promised.
    restored: bool,
}

/// A vault that lives.
struct Life {
    bench: Bench,
    custody: Arc<Custody>,
    dice: Arc<FakeEntropy>,
    /// By marks.
    promises: Vec<Promise>,
    /// Sealed since the last sync of the state.
    soon: BTreeSet<u8>,
    count: u8,
    done: BTreeSet<&'static str>,
}

impl Life {
    fn begin(seed: u64) -> Self {
        let bench = Bench::with_vault(seed);
        let custody = keeper(&bench);
        custody.unlock(&bench.proof(), NOW).expect("opens");
        bench.disk.settle();
        let version = version(&custody);
        let previous = Some(Version { keys: BTreeSet::new(), ..version.clone() });
        let (burned, sessions, backups) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        let promise = Promise { version, previous, burned, sessions, backups, now: NOW, restored: false };
        let (promises, soon, done) = (vec![promise], BTreeSet::new(), BTreeSet::new());
        Self { bench, custody, dice: FakeEntropy::seeded(seed ^ 0xd1ce), promises, soon, count: 0, done }
    }

    fn roll(&self, sides: usize) -> usize {
        let mut bytes = [0; 8];
        self.dice.fill(&mut bytes).expect("bytes");
        (u64::from_le_bytes(bytes) % sides as u64) as usize
    }

    /// Does something that can be done now, and marks it.
    fn step(&mut self) {
        let mut next = self.promises.last().expect("a promise").clone();
        next.now = next.now.plus_millis([60_000, 3_600_000, DAY / 2][self.roll(3)]);
        next.restored = false;
        self.count += 1;
        let kind = loop {
            let kind = KINDS[self.roll(KINDS.len())];
            if self.act(kind, &mut next) {
                break kind;
            }
        };
        self.done.insert(kind);
        let found = version(&self.custody);
        if found != next.version {
            next.previous = Some(std::mem::replace(&mut next.version, found));
        }
        if next.version.slots.len() < self.promises.last().expect("a promise").version.slots.len()
            && kind == "slot removed"
        {
            next.previous = None;
        }
        self.bench.disk.mark();
        self.promises.push(next);
    }

    /// Does it; false where it cannot be done now.
    fn act(&mut self, kind: &str, next: &mut Promise) -> bool {
        let (proof, now, count) = (self.bench.proof(), next.now, self.count);
        let custody = &self.custody;
        match kind {
            "access key added" => custody.edit(now, |items| {
                items.access_keys.insert(name(&format!("key-{count}")), access_key("wJalrXUtnFEMI"));
                Ok::<_, crate::vault::Error>(())
            }),
            "access key removed" => {
                let Some(key) = next.version.keys.first().cloned() else { return false };
                custody.edit(now, |items| {
                    assert!(items.trash_access_key(&name(&key), now));
                    Ok::<_, crate::vault::Error>(())
                })
            }
            "recovery slot added" => custody.add_recovery(&proof, &confirmed(&self.bench.world).0, now).map(drop),
            "slot removed" => {
                let Some(slot) = next.version.slots.get(2) else { return false };
                // The state follows the vault, and is written whole.
                next.sessions.append(&mut self.soon);
                custody.remove_slot(&proof, *slot, now)
            }
            "step burned" => {
                let step = now.0.unsigned_abs() / 30_000;
                if custody.is_burned(&serial("ada"), step) {
                    return false;
                }
                next.burned.push(step);
                next.sessions.append(&mut self.soon);
                custody.burn(&serial("ada"), step)
            }
            "session sealed" => {
                custody.seal_session([count; 32], vec![count; 300].into());
                self.soon.insert(count);
                Ok(())
            }
            "session forgotten" => {
                let Some(session) = next.sessions.pop_first() else { return false };
                assert!(custody.forget_session(&[session; 32]));
                Ok(())
            }
            "audit head kept" => {
                next.sessions.append(&mut self.soon);
                custody.set_audit_head(AuditHead { seq: u64::from(count), mac: [count; 32] }, true);
                Ok(())
            }
            "lock and unlock" => {
                custody.lock(LockedBy::Command);
                next.sessions.append(&mut self.soon);
                custody.unlock(&proof, now)
            }
            "backup" => {
                let to = path(&format!("elsewhere/backup-{count}"));
                custody.back_up(&to, &confirmed(&self.bench.world).0, now).expect("a backup");
                next.backups.insert(to.clone(), self.bench.disk.files()[&to].clone());
                Ok(())
            }
            _ => {
                let Some(previous) = next.previous.take() else { return false };
                custody.restore(&path("vault.prev"), &proof, None, true, now, || {}).expect("restored");
                assert_eq!(version(custody).keys, previous.keys);
                // The version before is now the copy, also where it was the same.
                next.previous = Some(std::mem::replace(&mut next.version, version(custody)));
                next.sessions.clear();
                next.burned.clear();
                self.soon.clear();
                next.restored = true;
                Ok(())
            }
        }
        .expect(kind);
        true
    }

    /// Old or new, and all that was promised.
    fn check(&self, state: &CrashState, try_a_save: bool) {
        let sure = &self.promises[state.marks];
        let hand = self.promises.get(state.marks + 1).unwrap_or(sure);
        let bench = Bench::on(MemoryDisk::with(state.files.clone()), 5, self.bench.code.clone());
        let custody = keeper(&bench);
        custody.unlock(&bench.proof(), hand.now).expect("opens");
        let found = version(&custody);
        assert!(found == sure.version || found == hand.version, "neither old nor new: {found:?}");
        if hand.restored {
            let step = hand.now.0.unsigned_abs() / 30_000;
            assert!(sure.burned.iter().all(|burned| *burned < step));
        } else {
            for step in &sure.burned {
                assert!(custody.is_burned(&serial("ada"), *step), "a burned step is free again");
            }
            let sealed: BTreeSet<u8> = custody.sealed_sessions().iter().map(|(id, _)| id[0]).collect();
            let kept = sure.sessions.intersection(&hand.sessions).all(|session| sealed.contains(session));
            assert!(kept, "a session that was durable is gone");
        }
        for (backup, bytes) in &sure.backups {
            assert_eq!(state.files.get(backup), Some(bytes), "a promised backup is gone");
        }
        if try_a_save {
            let saved = custody.edit(hand.now, |items| {
                items.access_keys.insert(name("after"), access_key("wJalrXUtnFEMI"));
                Ok::<_, crate::vault::Error>(())
            });
            saved.expect("the next save works");
            let custody = keeper(&bench);
            custody.unlock(&bench.proof(), hand.now).expect("opens");
            assert!(version(&custody).keys.contains("after"));
        }
    }
}

fn version(custody: &Custody) -> Version {
    let (keys, trash) = custody
        .with_items(|items| {
            let keys = items.access_keys.keys().map(|name| name.as_str().to_owned()).collect();
            (keys, items.trash.len())
        })
        .expect("open");
    let slots = custody.slots().expect("slots").iter().map(|slot| slot.id).collect();
    Version { keys, trash, slots }
}

#[test]
fn a_life_of_any_order_keeps_its_promises_through_a_power_loss_at_any_moment() {
    let (mut states, mut operations, mut seeds, mut done) = (0, 0, 0, BTreeSet::new());
    while states < rounds(1000, 100_000) {
        seeds += 1;
        let mut life = Life::begin(seeds);
        (0..LENGTH).for_each(|_| life.step());
        let mut number = 0;
        states += life.bench.disk.crash_states(rounds(1024, 8), |state| {
            life.check(state, number % 16 == 0);
            number += 1;
        });
        operations += LENGTH;
        done.extend(life.done);
    }
    assert!(done.len() == KINDS.len() || seeds < 5, "{done:?}");
    figure("lives of a vault: orders of operations", seeds);
    figure("lives of a vault: operations", operations);
    figure("lives of a vault: crash states", states);
}
