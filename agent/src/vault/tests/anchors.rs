//! An older vault file is noticed by each anchor alone, is read-only until it is accepted, and nothing honest looks like
//! one: no crash, no slot change, no restore, no restart of the machine, no move to another one.

use super::{Bench, DAY, NOW, access_key, confirmed, name, path, recovery, totp, variant};
use crate::testing::{Files, MemoryDisk, figure};
use crate::vault::{
    Anchor, Custody, Error, LockedBy, Older, TRASH_MILLIS, Trashed, TrashedItem, VaultState, Version, Witness,
};
use crate::world::{BootTime, BoxFuture, Clock, Disk, WallTime, World};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;
use zeroize::Zeroizing;

const LATER: WallTime = WallTime(NOW.0 + 2 * DAY);
const RUN: &str = "/run/claviger";
const RECORD: &str = "/data/audit/last";

/// An audit record of one line, durable at once: the one that a lagging vault would stumble over first.
struct LastLine(MemoryDisk);

impl Witness for LastLine {
    fn last(&self, vault_id: &[u8; 16], _: &Zeroizing<[u8; 32]>) -> Option<Version> {
        let line = self.0.read(Path::new(RECORD), 1000).ok()??;
        let (id, rest) = line.split_first_chunk::<16>()?;
        let (generation, mac) = rest.split_first_chunk::<8>()?;
        let version = Version { generation: u64::from_be_bytes(*generation), mac: mac.try_into().ok()?, saved: LATER };
        (id == vault_id).then_some(version)
    }

    fn remember(&self, vault_id: &[u8; 16], version: &Version) {
        let line = [vault_id.as_slice(), &version.generation.to_be_bytes(), &version.mac].concat();
        let temp = Path::new("/data/audit/new");
        let written = self.0.remove(temp).and_then(|()| {
            let mut file = self.0.create_new(temp)?;
            file.write_all(&line)?;
            file.sync()?;
            self.0.rename(temp, Path::new(RECORD))?;
            self.0.sync_folder(Path::new("/data/audit"))
        });
        // A record that cannot be written lags.
        drop(written);
    }
}

fn custody_on(bench: &Bench) -> Arc<Custody> {
    custody_in(bench, &[RUN])
}

fn custody_in(bench: &Bench, folders: &[&str]) -> Arc<Custody> {
    let custody = Custody::new(bench.world.clone(), path(""), path("state"));
    custody.set_anchors(folders.iter().map(PathBuf::from).collect(), LastLine(bench.disk.clone()));
    custody
}

/// An agent on these files, its vault open by the code of this bench.
fn agent(bench: &Bench, files: Files) -> (Bench, Arc<Custody>) {
    let bench = Bench::on(MemoryDisk::with(files), 5, bench.code.clone());
    let custody = custody_on(&bench);
    custody.unlock(&bench.proof(), LATER).expect("opens");
    (bench, custody)
}

/// On a machine without a runtime folder.
fn lone(bench: &Bench) -> Arc<Custody> {
    let custody = custody_in(bench, &[]);
    custody.unlock(&bench.proof(), LATER).expect("opens");
    custody
}

/// The same with a disk that was there before.
fn opened(bench: &Bench) -> Arc<Custody> {
    let custody = custody_on(bench);
    custody.unlock(&bench.proof(), LATER).expect("opens");
    custody
}

fn edit(custody: &Custody, key: &str) -> Result<(), Error> {
    custody.edit(LATER, |items| {
        items.access_keys.insert(name(key), access_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
        items.authenticators.entry(name("phone")).or_insert_with(|| totp(b"12345678901234567890"));
        Ok(())
    })
}

fn put(files: &mut Files, name: &str, bytes: &[u8]) {
    files.insert(path(name), bytes.to_vec());
}

/// Files with an older vault, every anchor beside it, and the generation that the anchors know.
fn rolled_back(bench: &Bench) -> (Files, u64) {
    let custody = opened(bench);
    edit(&custody, "second").expect("a save");
    let older = bench.file();
    edit(&custody, "third").expect("a save");
    let (_, newest) = custody.newest().expect("the newest");
    custody.lock(LockedBy::Stop);
    let mut files = bench.disk.files();
    put(&mut files, "vault", &older);
    (files, newest.generation)
}

fn runtime_file(files: &Files) -> PathBuf {
    files.keys().find(|path| path.starts_with(RUN)).expect("an anchor").clone()
}

/// Leaves this one anchor and takes the others away.
fn leave(files: &mut Files, anchor: Anchor) {
    let (runtime, state) = (runtime_file(files), path("state"));
    for (file, is) in [(runtime, Anchor::Runtime), (state, Anchor::State), (PathBuf::from(RECORD), Anchor::Record)] {
        if is != anchor {
            files.remove(&file).expect("it was there");
        }
    }
}

fn refused<T>(result: Result<T, Error>) {
    assert_eq!(variant(result), "RolledBack");
}

#[test]
fn each_anchor_alone_notices_an_older_vault_which_is_read_only_until_it_is_accepted() {
    for anchor in [Anchor::Record, Anchor::Runtime, Anchor::State] {
        let bench = Bench::with_vault(90);
        let (mut files, known) = rolled_back(&bench);
        leave(&mut files, anchor);
        let (bench, custody) = agent(&bench, files);
        let older = custody.older().expect("noticed");
        assert_eq!((older.by.as_slice(), older.known.generation), ([anchor].as_slice(), known), "{anchor:?}");
        assert_eq!(older.found.generation + 1, known);
        assert!(custody.newest().is_none());

        let before = bench.disk.files()[&path("vault")].clone();
        let (code, _) = confirmed(&bench.world);
        let serial = "arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial");
        refused(edit(&custody, "fourth"));
        refused(custody.signing_key(&name("first")));
        refused(custody.seed(&serial));
        refused(custody.prove(&bench.proof()));
        refused(custody.back_up(&path("backup"), &code, LATER));
        refused(custody.add_recovery(&bench.proof(), &code, LATER));
        refused(custody.remove_slot(&bench.proof(), 1, LATER));
        refused(custody.place_keyring(&bench.proof()));
        assert_eq!(custody.with_items(|items| items.access_keys.len()).expect("reads"), 2);
        assert_eq!(bench.disk.files()[&path("vault")], before);

        // Looking twice changes nothing.
        custody.lock(LockedBy::Command);
        custody.unlock(&bench.proof(), LATER).expect("opens");
        let still = custody.older().expect("still");
        assert_eq!((still.by.as_slice(), still.digest()), ([Anchor::Agent, anchor].as_slice(), older.digest()));
        assert_eq!(variant(custody.accept_older(&bench.proof(), "another", LATER)), "ChangedOnDisk");
        assert!(custody.older().is_some());
        custody.accept_older(&bench.proof(), &older.digest(), LATER).expect("accepted");
        assert!(custody.older().is_none());
        assert!(custody.is_burned(&serial, u64::try_from(LATER.0 / 30_000).expect("a step") + 1), "what may be spent");
        assert_eq!(custody.newest().expect("the newest").1.generation, known + 1);
        edit(&custody, "fourth").expect("a save");
        custody.signing_key(&name("first")).expect("a key");
        custody.prove(&bench.proof()).expect("a proof");
        assert!(opened(&bench).older().is_none(), "every anchor has followed");
        assert_eq!(custody.with_items(|items| items.access_keys.len()).expect("reads"), 3);
    }
}

#[test]
fn a_wrong_proof_accepts_nothing() {
    let bench = Bench::with_vault(91);
    let (bench, custody) = agent(&bench, rolled_back(&bench).0);
    let older = custody.older().expect("noticed");
    let (_, other) = confirmed(&bench.world);
    assert_eq!(variant(custody.accept_older(&recovery(&other), &older.digest(), LATER)), "WrongProof");
    assert!(custody.older().is_some());
}

/// A clock that does something when it is looked at next.
struct Watched(Arc<dyn Clock>, Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Clock for Watched {
    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn boot(&self) -> BootTime {
        let act = self.1.lock().expect("its act").take();
        if let Some(act) = act {
            act();
        }
        self.0.boot()
    }

    fn sleep_until(&self, deadline: BootTime) -> BoxFuture<'_, ()> {
        self.0.sleep_until(deadline)
    }

    fn boot_id(&self) -> Option<String> {
        self.0.boot_id()
    }

    fn slept_millis(&self) -> i64 {
        self.0.slept_millis()
    }

    fn disturbed(&self) -> BoxFuture<'_, ()> {
        self.0.disturbed()
    }
}

#[test]
fn a_lock_does_not_wait_for_the_stretching_of_an_acceptance() {
    let bench = Bench::with_vault(107);
    let files = rolled_back(&bench).0;
    let bench = Bench::on(MemoryDisk::with(files), 5, bench.code.clone());
    let clock = Arc::new(Watched(bench.world.clock.clone(), Mutex::default()));
    let world = World { clock: clock.clone(), ..bench.world.clone() };
    let custody = Custody::new(world, path(""), path("state"));
    custody.set_anchors(vec![RUN.into()], LastLine(bench.disk.clone()));
    custody.unlock(&bench.proof(), LATER).expect("opens");
    let (digest, locking) = (custody.older().expect("noticed").digest(), custody.clone());
    // A guess begins with a look at the clock.
    *clock.1.lock().expect("its act") = Some(Box::new(move || {
        let (done, locked) = mpsc::channel();
        std::thread::spawn(move || {
            drop(locking.lock(LockedBy::Suspend));
            done.send(()).expect("somebody waits");
        });
        locked.recv_timeout(Duration::from_secs(60)).expect("the lock waits for the proof");
    }));
    assert_eq!(variant(custody.accept_older(&bench.proof(), &digest, LATER)), "Locked");
}

#[test]
fn what_an_acceptance_sweeps_is_gone_at_once() {
    let bench = Bench::with_vault(108);
    let custody = opened(&bench);
    let item = TrashedItem::AccessKey(access_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    let trashed = Trashed { name: name("gone"), item, removed: NOW };
    custody
        .edit(NOW, |items| -> Result<(), Error> {
            items.trash.push(trashed);
            Ok(())
        })
        .expect("a save");
    let older = bench.file();
    edit(&custody, "second").expect("a save");
    custody.lock(LockedBy::Stop);
    let mut files = bench.disk.files();
    put(&mut files, "vault", &older);
    let (bench, custody) = agent(&bench, files);
    let swept = || custody.with_items(|items| items.trash.is_empty()).expect("reads");
    assert!(!swept(), "the control");
    let digest = custody.older().expect("noticed").digest();
    custody.accept_older(&bench.proof(), &digest, WallTime(NOW.0 + TRASH_MILLIS)).expect("accepted");
    assert!(swept());
}

#[test]
fn the_running_agent_remembers_what_nothing_else_does() {
    let bench = Bench::with_vault(92);
    let custody = opened(&bench);
    let (older, state) = (bench.file(), bench.disk.files()[&path("state")].clone());
    edit(&custody, "second").expect("a save");
    custody.lock(LockedBy::Idle);
    // Everything there is on the disk is put back.
    for (file, bytes) in [(path("vault"), older), (path("state"), state)] {
        bench.disk.remove(&file).expect("removed");
        bench.disk.create_new(&file).expect("made").write_all(&bytes).expect("written");
    }
    bench.disk.remove(&runtime_file(&bench.disk.files())).expect("removed");
    bench.disk.remove(Path::new(RECORD)).expect("removed");
    custody.unlock(&bench.proof(), LATER).expect("opens");
    assert_eq!(custody.older().expect("noticed").by, [Anchor::Agent]);
    // An agent that comes after it knows nothing: what is put back as a whole is noticed by memory and runtime folder.
    assert!(opened(&bench).older().is_none());
}

#[test]
fn an_older_vault_stays_one_when_its_anchors_are_gone_since() {
    let bench = Bench::with_vault(106);
    let (mut files, known) = rolled_back(&bench);
    leave(&mut files, Anchor::Runtime);
    let (bench, custody) = agent(&bench, files);
    let digest = custody.older().expect("noticed").digest();
    let gone = || bench.disk.remove(&runtime_file(&bench.disk.files())).expect("removed");
    gone();
    custody.lock(LockedBy::Idle);
    custody.unlock(&bench.proof(), LATER).expect("opens");
    assert_eq!(custody.older().expect("still").digest(), digest);

    // A successor knows nothing but what it is told, whether it gets the key or not.
    let handed = custody.hand_over().expect("open");
    let closure = custody.closure();
    for keyed in [true, false] {
        let successor = custody_on(&bench);
        successor.resume_closure(closure);
        let open = |custody: &Custody| match keyed {
            true => custody.take_over(handed.master_key(), LATER),
            false => custody.unlock(&bench.proof(), LATER),
        };
        open(&successor).expect("opens");
        let older = successor.older().expect("still");
        assert_eq!((older.by.as_slice(), older.known.generation), ([Anchor::Agent].as_slice(), known), "{keyed}");
        assert_eq!(older.digest(), digest);
        refused(edit(&successor, "fourth"));
        let untold = custody_on(&bench);
        open(&untold).expect("opens");
        assert!(untold.older().is_none(), "the control");
        bench.disk.remove(&runtime_file(&bench.disk.files())).expect("removed");
    }
}

#[test]
fn a_fork_is_noticed_as_well() {
    let bench = Bench::with_vault(93);
    let start = bench.disk.files();
    let (ours, custody) = agent(&bench, start.clone());
    edit(&custody, "ours").expect("a save");
    let theirs = Bench::on(MemoryDisk::with(start), 6, bench.code.clone());
    edit(&opened(&theirs), "theirs").expect("a save");
    let mut files = ours.disk.files();
    put(&mut files, "vault", &theirs.file());
    let (_, custody) = agent(&bench, files);
    let older = custody.older().expect("noticed");
    assert_eq!(older.found.generation, older.known.generation);
    custody.accept_older(&bench.proof(), &older.digest(), LATER).expect("accepted");
    assert_eq!(custody.newest().expect("the newest").1.generation, older.known.generation + 1);
}

#[test]
fn the_anchors_of_one_vault_say_nothing_of_another() {
    let bench = Bench::with_vault(94);
    let (mut files, _) = rolled_back(&bench);
    let mut other = Bench::bare(99);
    drop(other.create());
    put(&mut files, "vault", &other.file());
    let (_, custody) = agent(&other, files);
    assert!(custody.older().is_none());
}

#[test]
fn nothing_honest_is_taken_for_an_older_vault() {
    let bench = Bench::with_vault(95);
    let custody = opened(&bench);
    let fine = |bench: &Bench, custody: &Custody, what: &str| {
        assert_eq!(custody.older(), None::<Older>, "{what}");
        assert!(opened(bench).older().is_none(), "{what}, and another agent");
    };
    edit(&custody, "second").expect("a save");
    fine(&bench, &custody, "an edit");
    let (code, text) = confirmed(&bench.world);
    custody.add_recovery(&bench.proof(), &code, LATER).expect("a slot");
    fine(&bench, &custody, "a slot added");
    custody.remove_slot(&bench.proof(), 3, LATER).expect("removed");
    fine(&bench, &custody, "a slot removed");
    let (code, backup) = confirmed(&bench.world);
    custody.back_up(&path("backup"), &code, LATER).expect("a backup");
    edit(&custody, "third").expect("a save");
    custody.lock(LockedBy::Idle);
    custody.unlock(&bench.proof(), LATER).expect("opens");
    fine(&bench, &custody, "a lock");

    let files = bench.disk.files();
    let runtime = runtime_file(&files);
    for gone in [&[runtime.clone()][..], &[path("state")], &[RECORD.into()], &[runtime, path("state"), RECORD.into()]] {
        let mut files = files.clone();
        gone.iter().for_each(|file| drop(files.remove(file).expect("it was there")));
        let (bench, custody) = agent(&bench, files);
        fine(&bench, &custody, &format!("without {gone:?}"));
        edit(&custody, "fourth").expect("a save");
    }

    // The backup is three saves old; it comes back also where the vault is lost.
    for lost in [false, true] {
        let mut files = files.clone();
        if lost {
            files.remove(&path("vault"));
        }
        let bench = Bench::on(MemoryDisk::with(files), 7, text.clone());
        let custody = custody_on(&bench);
        let phrase = super::phrase("a new passphrase");
        let new = Some((&phrase, crate::vault::KdfCost::FLOOR));
        custody.restore(&path("backup"), &recovery(&backup), new, true, LATER, || {}).expect("restored");
        assert!(custody.older().is_none(), "a restore, lost {lost}");
        edit(&custody, "fourth").expect("a save");
        custody.lock(LockedBy::Stop);
        let next = custody_on(&bench);
        next.unlock(&recovery(&backup), LATER).expect("opens");
        assert!(next.older().is_none(), "a restore, lost {lost}");
    }
}

/// Whatever remembers less than there was: what a restore saves is later than all that anyone remembers, and the state
/// beside the vault, which nobody asks then, is another key's.
#[test]
fn a_restore_beside_anchors_that_lag_is_no_older_vault() {
    let bench = Bench::with_vault(109);
    let custody = opened(&bench);
    let copy = bench.file();
    edit(&custody, "second").expect("a save");
    let before = bench.disk.files();
    edit(&custody, "third").expect("a save");
    custody.lock(LockedBy::Stop);
    let files = bench.disk.files();
    let anchors = [runtime_file(&files), path("state"), PathBuf::from(RECORD)];
    // Each of them whole, one save behind, or gone; the vault there or lost.
    for combination in 0..54 {
        let mut files = files.clone();
        put(&mut files, "copy", &copy);
        for (place, file) in anchors.iter().enumerate() {
            match combination / 3_usize.pow(place as u32) % 3 {
                0 => {}
                1 => drop(files.insert(file.clone(), before[file].clone())),
                _ => drop(files.remove(file)),
            }
        }
        if combination >= 27 {
            files.remove(&path("vault"));
        }
        let bench = Bench::on(MemoryDisk::with(files), 9, bench.code.clone());
        let custody = custody_on(&bench);
        custody.restore(&path("copy"), &bench.proof(), None, true, LATER, || {}).expect("restored");
        assert!(custody.older().is_none(), "{combination}");
        let next = opened(&bench);
        assert!(next.older().is_none(), "{combination}, and another agent");
        edit(&next, "fourth").expect("a save");
        assert!(opened(&bench).older().is_none(), "{combination}, and a save later");
    }
}

#[test]
fn a_lock_that_overtakes_a_restore_says_what_it_is() {
    let bench = Bench::with_vault(110);
    let mut files = bench.disk.files();
    put(&mut files, "copy", &bench.file());
    for first in [true, false] {
        let (bench, custody) = agent(&bench, files.clone());
        let mut locking = None;
        let mut lock = || {
            let (leave, custody) = (custody.leave(), custody.clone());
            locking = Some(std::thread::spawn(move || drop(custody.lock(LockedBy::Idle))));
            while !leave.is_over() {
                std::thread::yield_now();
            }
        };
        let restored = if first {
            lock();
            locking.take().expect("begun").join().expect("a lock");
            custody.restore(&path("copy"), &bench.proof(), None, true, LATER, || {})
        } else {
            custody.restore(&path("copy"), &bench.proof(), None, true, LATER, &mut lock)
        };
        if let Some(locking) = locking {
            locking.join().expect("a lock");
        }
        let wanted = if first { ("ok", VaultState::Unlocked) } else { ("Locked", VaultState::Locked(LockedBy::Idle)) };
        assert_eq!((variant(restored).as_str(), custody.state()), wanted);
    }
}

/// A successor may have it: until that is gone too, nothing may say that the vault is locked.
#[test]
fn a_lock_waits_for_a_vault_that_is_being_handed_over() {
    for taken_back in [true, false] {
        let bench = Bench::with_vault(111);
        let custody = opened(&bench);
        let handed = custody.hand_over().expect("open");
        let mut waiting = pin!(custody.lock(LockedBy::Suspend).let_go());
        let mut look = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(look().is_pending());
        assert!(!custody.still_open(&handed));
        if taken_back {
            custody.take_back(handed);
        } else {
            drop(handed);
        }
        assert!(look().is_ready() && !custody.is_unlocked());
    }
}

/// Where the last write of a file may be torn, in bytes.
const GRAIN: usize = 256;

/// Runs an act and shows what a power loss at any moment leaves to the next agent: never a vault that is taken for an
/// older one. Then without each sync in turn: whether one of those is noticed. The runtime folder is gone by then.
fn every_crash(prepare: impl Fn() -> Bench, act: impl Fn(&Bench)) -> (usize, bool) {
    let run = |skipped: Option<usize>| {
        let bench = prepare();
        if let Some(sync) = skipped {
            bench.disk.skip_sync(sync);
        }
        act(&bench);
        bench
    };
    let holds = |bench: &Bench, files: &Files| {
        let next = Bench::on(MemoryDisk::with(files.clone()), 8, bench.code.clone());
        let custody = custody_in(&next, &[]);
        custody.unlock(&bench.proof(), LATER).is_ok() && custody.older().is_none()
    };
    let whole = run(None);
    let states = whole.disk.crash_states(GRAIN, |state| {
        assert!(holds(&whole, &state.files), "taken for an older one: {:?}", state.files.keys());
    });
    let noticed = (0..whole.disk.syncs().len()).any(|sync| {
        let (without, mut noticed) = (run(Some(sync)), false);
        without.disk.crash_states(GRAIN, |state| noticed = noticed || !holds(&without, &state.files));
        noticed
    });
    (states, noticed)
}

type Prepare = Box<dyn Fn() -> Bench>;
type Act = Box<dyn Fn(&Bench)>;

#[test]
fn a_crash_at_any_moment_leaves_no_anchor_that_leads() {
    let prepared = |seed| {
        let bench = Bench::with_vault(seed);
        edit(&opened(&bench), "second").expect("a save");
        bench.disk.settle();
        bench
    };
    let older = |seed| {
        let bench = Bench::with_vault(seed);
        let (files, _) = rolled_back(&bench);
        Bench::on(MemoryDisk::with(files), seed, bench.code)
    };
    let acts: [(&str, Prepare, Act); 4] = [
        ("an edit", Box::new(move || prepared(96)), Box::new(|bench| edit(&lone(bench), "third").expect("a save"))),
        (
            "a removed slot",
            Box::new(move || prepared(97)),
            Box::new(|bench| lone(bench).remove_slot(&bench.proof(), 1, LATER).expect("removed")),
        ),
        (
            "an opening after a kill between the rename and its sync",
            Box::new(move || {
                let bench = prepared(98);
                // The second sync of a save is that of the folder.
                bench.disk.skip_sync(1);
                let mut vault = bench.vault();
                super::add_key(&mut vault, "unsynced", LATER).expect("a save");
                bench
            }),
            Box::new(|bench| drop(lone(bench))),
        ),
        ("an opening of the newest", Box::new(move || prepared(99)), Box::new(|bench| drop(lone(bench)))),
    ];
    let mut all = 0;
    for (what, prepare, act) in acts {
        let (states, noticed) = every_crash(prepare, act);
        assert!(states > 1, "{what}: {states}");
        // An opening syncs the folder twice, for the state and for the vault.
        if !what.starts_with("an opening") {
            assert!(noticed, "{what}: nothing notices a sync that is missing");
        }
        all += states;
    }
    // An acceptance that a power loss cuts off is asked for again, or done.
    let bench = older(100);
    let custody = lone(&bench);
    let digest = custody.older().expect("noticed").digest();
    bench.disk.settle();
    custody.accept_older(&bench.proof(), &digest, LATER).expect("accepted");
    bench.disk.mark();
    all += bench.disk.crash_states(GRAIN, |state| {
        let (_, next) = agent(&bench, state.files.clone());
        assert!(next.older().is_none() || state.marks == 0, "an acceptance is gone");
    });
    figure("states of a power loss around anchors", all);
}

#[test]
fn a_save_that_the_disk_did_not_confirm_is_remembered_by_the_agent_alone() {
    let bench = Bench::with_vault(101);
    let custody = opened(&bench);
    edit(&custody, "second").expect("a save");
    bench.disk.settle();
    edit(&custody, "third").expect("a save");
    let calls = bench.disk.calls();
    let mut unsynced = 0;
    for call in 0..calls {
        let bench = Bench::with_vault(101);
        let custody = opened(&bench);
        edit(&custody, "second").expect("a save");
        bench.disk.settle();
        let before = bench.disk.files();
        bench.disk.fail(call, std::io::ErrorKind::Other);
        let saved = variant(edit(&custody, "third"));
        if saved == "Unsynced" {
            unsynced += 1;
            let after = bench.disk.files();
            let runtime = runtime_file(&before);
            assert_eq!((&after[&runtime], &after[Path::new(RECORD)]), (&before[&runtime], &before[Path::new(RECORD)]));
            assert_ne!(after[&path("vault")], before[&path("vault")], "the control");
        }
        bench.disk.settle();
        assert!(opened(&bench).older().is_none(), "call {call}: {saved}");
        edit(&custody, "fourth").expect("the next save works");
        assert!(opened(&bench).older().is_none(), "call {call}: {saved}");
    }
    assert_eq!(unsynced, 1);
}

#[test]
fn a_damaged_anchor_in_the_runtime_folder_is_none() {
    let bench = Bench::with_vault(102);
    let (mut files, _) = rolled_back(&bench);
    leave(&mut files, Anchor::Runtime);
    let file = runtime_file(&files);
    let good = files[&file].clone();
    let noticed = |bytes: Vec<u8>| {
        let mut files = files.clone();
        files.insert(file.clone(), bytes);
        agent(&bench, files).1.older().is_some()
    };
    assert!(noticed(good.clone()), "the control");
    for bit in (0..good.len() * 8).step_by(7) {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!noticed(flipped), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(!noticed(good[..length].to_vec()), "length {length}");
    }
    assert!(!noticed(vec![0; 5000]));
}

#[test]
fn a_vault_that_another_program_changes_while_it_is_open_is_not_overwritten() {
    let bench = Bench::with_vault(103);
    let start = bench.file();
    let custody = opened(&bench);
    edit(&custody, "second").expect("a save");
    let ours = bench.file();
    let (newer, other) = agent(&bench, bench.disk.files());
    edit(&other, "theirs").expect("a save");
    for (what, bytes, is_older) in [("older", start, true), ("newer", newer.file(), false)] {
        bench.disk.remove(&path("vault")).expect("removed");
        bench.disk.create_new(&path("vault")).expect("made").write_all(&bytes).expect("written");
        assert_eq!(variant(edit(&custody, "third")), "ChangedOnDisk", "{what}");
        assert_eq!(bench.file(), bytes, "{what}: untouched");
        // Opened anew, the older one is noticed and the newer one is the vault.
        let next = opened(&bench);
        assert_eq!(next.older().is_some(), is_older, "{what}");
    }
    assert_ne!(ours, bench.file());
}
