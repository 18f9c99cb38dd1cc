//! What a lock takes away and what an unlock gives back (design, section 6), and what guesses cost.

use crate::endpoint::Desk;
use crate::network::Way;
use crate::rig::{HOUR, MINUTE, PASSPHRASE, Rig, ada, phone, quiet, recovery, rig};
use claviger::secret::{Passphrase, RecoveryCode, Secret, SecretText};
use claviger::wire::SlotProof;
use claviger_agent::ask::Listener;
use claviger_agent::keyring::{self, Item, KeyStore};
use claviger_agent::session::Error;
use claviger_agent::testing::{self, FakeClock};
use claviger_agent::vault::{self, FreshCode, LockedBy, VaultState};
use claviger_agent::world::{BoxFuture, Clock, WallTime};
use claviger_sandbox::Seed;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, oneshot};

const AUDIT: &str = "[audit]\nsource_profile = prod\nrole_arn = arn:aws:iam::123456789012:role/audit-read\n";

fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Locked | Error::Vault(vault::Error::Locked))
}

impl Rig {
    fn long_lived_secrets_are_gone(&self) {
        assert!(matches!(self.custody.signing_key(&ada()).err(), Some(vault::Error::Locked)));
        assert!(matches!(self.custody.seed(&phone()).err(), Some(vault::Error::Locked)));
        assert!(matches!(self.custody.with_items(|_| ()), Err(vault::Error::Locked)));
        assert!(self.custody.sealed_sessions().is_empty());
        assert!(self.burned(5), "no step may be spent");
    }
}

#[tokio::test]
async fn idle_takes_the_secrets_and_leaves_the_sessions() {
    let rig = Rig::with(Seed::demo(7), AUDIT);
    let first = rig.get("prod").await;
    assert!(rig.custody.signing_key(&ada()).is_ok() && rig.custody.seed(&phone()).is_ok(), "control");
    rig.lock(LockedBy::Idle);
    assert_eq!(rig.custody.state(), VaultState::Locked(LockedBy::Idle));
    rig.long_lived_secrets_are_gone();
    assert_eq!(rig.get("prod").await.access_key_id, first.access_key_id, "still served");
    rig.until_left(&first, 10 * MINUTE);
    let renewed = rig.get("prod").await;
    assert_ne!(renewed.access_key_id, first.access_key_id, "renewed by the MFA session in memory");
    rig.get("audit").await;
    assert_eq!((rig.steps(), rig.calls("AssumeRole")), (vec![0], 3), "and other roles with it");
    rig.clock.advance_millis(12 * HOUR);
    rig.office.mark_presence();
    assert!(is_locked(&*rig.fail("prod").await), "until it ends");
    assert_eq!(rig.network.codes().len(), 1);
}

/// The door has more to do between opening the vault and saying so: whoever asks in between pays nothing.
#[tokio::test]
async fn who_asks_first_after_an_opening_finds_the_sealed_sessions() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.lock(LockedBy::Command);
    rig.custody.unlock(&recovery(), rig.office.aws().corrected_now()).unwrap();
    rig.office.mark_presence();
    assert_eq!(rig.get("prod").await.access_key_id, first.access_key_id);
    assert_eq!((rig.steps(), rig.calls("AssumeRole")), (vec![0], 1), "no code, no call");
}

#[tokio::test]
async fn what_was_renewed_during_the_idle_lock_stands_after_it() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.lock(LockedBy::Idle);
    rig.until_left(&first, 10 * MINUTE);
    let renewed = rig.get("prod").await;
    rig.unlock().unwrap();
    assert_eq!(rig.get("prod").await.access_key_id, renewed.access_key_id, "not the older sealed one");
    assert_eq!(rig.calls("AssumeRole"), 2);
}

#[tokio::test]
async fn what_was_logged_out_during_a_lock_does_not_come_back() {
    for by in [LockedBy::Idle, LockedBy::Command] {
        let mut rig = Rig::with(Seed::demo(7), AUDIT);
        let prod = rig.get("prod").await;
        let audit = rig.get("audit").await;
        rig.lock(by);
        rig.office.forget(&rig.plan("audit"));
        rig.unlock().unwrap();
        assert_eq!(rig.get("prod").await.access_key_id, prod.access_key_id, "{by:?}: control");
        assert_ne!(rig.get("audit").await.access_key_id, audit.access_key_id, "{by:?}");
        rig.lock(by);
        rig.office.forget_all();
        rig.unlock().unwrap();
        assert!(rig.office.sessions().is_empty(), "{by:?}");
        assert!(rig.custody.sealed_sessions().is_empty(), "{by:?}: nor does it after a restart");
        rig.get("prod").await;
        rig.restart();
        rig.unlock().unwrap();
        assert_eq!(rig.office.sessions().len(), 2, "{by:?}: what came later is kept");
    }
}

#[tokio::test]
async fn the_command_takes_the_sessions_and_an_unlock_brings_them_back_without_a_code() {
    for by in [LockedBy::Command, LockedBy::Stop] {
        let rig = rig();
        let first = rig.get("prod").await;
        rig.lock(by);
        assert_eq!(rig.custody.state(), VaultState::Locked(by));
        rig.long_lived_secrets_are_gone();
        assert!(rig.office.sessions().is_empty());
        assert!(is_locked(&*rig.fail("prod").await));
        assert_eq!(rig.network.count(), 2, "nothing was sent");
        rig.unlock().unwrap();
        assert_eq!(rig.office.sessions().len(), 2);
        let back = rig.get("prod").await;
        assert_eq!(
            (&back.access_key_id, back.expiration, back.ends),
            (&first.access_key_id, first.expiration, first.ends)
        );
        assert_eq!((back.secret.expose(), back.token.expose()), (first.secret.expose(), first.token.expose()));
        assert_eq!((&back.principal, &back.account), (&first.principal, &first.account));
        rig.until_left(&back, 10 * MINUTE);
        rig.get("prod").await;
        assert_eq!((rig.steps(), rig.network.count()), (vec![0], 3), "renewed by the MFA session that came back");
    }
}

#[tokio::test]
async fn sessions_that_ended_meanwhile_do_not_come_back() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.lock(LockedBy::Command);
    rig.until_left(&first, MINUTE);
    rig.unlock().unwrap();
    let views = rig.office.sessions();
    assert_eq!(views.len(), 1, "the MFA session alone");
    assert_eq!(views[0].principal, "arn:aws:iam::123456789012:user/ada");
    assert_ne!(rig.get("prod").await.access_key_id, first.access_key_id);
    assert_eq!(rig.steps(), [0]);
}

#[tokio::test]
async fn whoever_waits_when_it_locks_is_told_so() {
    for by in [LockedBy::Command, LockedBy::Idle] {
        let rig = rig();
        rig.clock.hold();
        rig.network.close();
        let mut waiters = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (office, plan) = (rig.office.clone(), rig.plan("prod"));
            waiters.spawn(async move { office.credentials(plan, Listener::nobody()).await });
        }
        rig.network.arrived(1).await;
        rig.lock(by);
        let mut told = 0;
        while let Some(answer) = waiters.join_next().await {
            assert!(matches!(answer.unwrap().err().as_deref(), Some(Error::Locked)));
            told += 1;
        }
        assert_eq!(told, 20);
        rig.network.open();
        quiet().await;
        assert!(rig.office.sessions().is_empty());
        rig.clock.release();
        rig.unlock().unwrap();
        rig.get("prod").await;
        assert_eq!(rig.steps(), [1], "the code of the first one was burned, sent or not");
    }
}

/// The answer is there already when the lock comes: it must not be kept after the wipe.
#[tokio::test]
async fn an_answer_that_crosses_the_lock_is_not_kept_in_memory() {
    for action in ["GetSessionToken", "AssumeRole"] {
        let rig = rig();
        let (office, custody) = (rig.office.clone(), rig.custody.clone());
        let lock = move || {
            office.lock(true);
            custody.lock(LockedBy::Command);
        };
        rig.network.script(action, Way::Then(Box::new(lock)));
        assert!(is_locked(&*rig.fail("prod").await), "{action}");
        quiet().await;
        assert!(rig.office.sessions().is_empty(), "{action}");
    }
}

#[tokio::test]
async fn an_answer_that_crosses_a_lock_and_an_unlock_is_not_kept_either() {
    let rig = rig();
    let (office, custody) = (rig.office.clone(), rig.custody.clone());
    let lock_and_unlock = move || {
        office.lock(true);
        custody.lock(LockedBy::Command);
        custody.unlock(&recovery(), WallTime(crate::rig::NOW)).unwrap();
    };
    rig.network.script("GetSessionToken", Way::Then(Box::new(lock_and_unlock)));
    assert!(is_locked(&*rig.fail("prod").await));
    quiet().await;
    assert!(rig.office.sessions().is_empty() && rig.custody.sealed_sessions().is_empty());
}

#[test]
fn wrong_guesses_wait_a_second_doubling_to_a_minute_until_one_is_right() {
    let rig = rig();
    rig.lock(LockedBy::Command);
    let unlock = |proof: &SlotProof| rig.custody.unlock(proof, rig.clock.wall());
    let wrong = SlotProof::Recovery(another_code());
    for _ in 0..2 {
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(matches!(unlock(&wrong), Err(vault::Error::WrongProof)), "a guess that is tried");
            for proof in [&wrong, &recovery()] {
                assert!(matches!(unlock(proof), Err(vault::Error::Wait { seconds: wait }) if wait == seconds));
            }
            rig.clock.advance_millis(seconds * 1000 - 1);
            assert!(matches!(unlock(&wrong), Err(vault::Error::Wait { seconds: 1 })), "to the millisecond");
            rig.clock.advance_millis(1);
        }
        unlock(&recovery()).unwrap();
        rig.lock(LockedBy::Command);
    }
}

#[test]
fn a_proof_beside_an_open_vault_waits_like_an_unlock() {
    let rig = rig();
    let wrong = SlotProof::Recovery(another_code());
    assert!(matches!(rig.custody.prove(&wrong), Err(vault::Error::WrongProof)));
    assert!(matches!(rig.custody.prove(&recovery()), Err(vault::Error::Wait { seconds: 1 })));
    assert!(rig.custody.is_unlocked(), "and nobody else's work");
    rig.clock.advance_millis(1000);
    rig.custody.prove(&recovery()).unwrap();
    rig.lock(LockedBy::Command);
    assert!(matches!(rig.custody.prove(&recovery()), Err(vault::Error::Locked)));
}

#[test]
fn the_passphrase_opens_too_and_a_wrong_one_does_not() {
    let rig = rig();
    rig.lock(LockedBy::Command);
    let passphrase = |text: &str| SlotProof::Passphrase(Passphrase::from_text(text.to_owned()));
    let unlock = |proof| rig.custody.unlock(&proof, rig.clock.wall());
    assert!(matches!(unlock(passphrase("correct horse battery stapler")), Err(vault::Error::WrongProof)));
    rig.clock.advance_millis(1000);
    unlock(passphrase(PASSPHRASE)).unwrap();
}

fn another_code() -> RecoveryCode {
    let world = testing::world(FakeClock::at(WallTime(crate::rig::NOW)), 4711);
    RecoveryCode::from_text(FreshCode::draw(&world).unwrap().code().expose().to_owned())
}

#[tokio::test]
async fn a_locked_vault_is_named_before_a_missing_person() {
    let rig = rig();
    rig.get("prod").await;
    rig.lock(LockedBy::Idle);
    rig.clock.advance_millis(13 * HOUR);
    assert!(rig.office.presence_left().is_none(), "nobody was here either");
    assert!(is_locked(&*rig.fail("prod").await), "and an unlock mends both");
    rig.unlock().unwrap();
    rig.get("prod").await;
}

#[tokio::test]
async fn an_unlock_of_an_open_vault_changes_nothing() {
    let rig = rig();
    rig.get("prod").await;
    assert!(rig.burned(0));
    // What memory has and the disk has not: taken back, as after a request that never left.
    rig.custody.unburn(&phone(), u64::try_from(crate::rig::STEP).unwrap());
    rig.unlock().unwrap();
    assert!(!rig.burned(0), "the ledger in memory is newer than the one on disk");
    let wrong = SlotProof::Passphrase(Passphrase::from_text("not it".to_owned()));
    let now = rig.clock.wall();
    assert!(matches!(rig.custody.unlock(&wrong, now), Err(vault::Error::WrongProof)), "the proof is still tried");
    assert_eq!(rig.custody.state(), VaultState::Unlocked);
}

#[tokio::test]
async fn a_logout_ends_a_renewal_under_way() {
    let rig = rig();
    let first = rig.get("prod").await;
    rig.until_left(&first, 18 * MINUTE);
    rig.network.close();
    rig.clock.hold();
    assert_eq!(rig.get("prod").await.access_key_id, first.access_key_id);
    rig.network.arrived(3).await;
    rig.office.forget_all();
    rig.network.open();
    quiet().await;
    assert!(rig.office.sessions().is_empty(), "what the renewal brought is not kept");
    assert!(rig.custody.sealed_sessions().is_empty(), "nor sealed");
}

/// A copy of the vault in its place, as the door restores it.
fn restore(custody: &vault::Custody, office: &claviger_agent::session::Office, copy: &std::path::Path) {
    let now = WallTime(crate::rig::NOW);
    custody.restore(copy, &recovery(), None, true, now, || office.leave_vault()).unwrap();
}

#[tokio::test]
async fn an_answer_that_crosses_a_restore_does_not_get_into_the_restored_vault() {
    for action in ["GetSessionToken", "AssumeRole"] {
        let rig = rig();
        let copy = rig.state_file().with_file_name("copy");
        std::fs::copy(copy.with_file_name("vault"), &copy).unwrap();
        let (office, custody) = (rig.office.clone(), rig.custody.clone());
        rig.network.script(action, Way::Then(Box::new(move || restore(&custody, &office, &copy))));
        assert!(is_locked(&*rig.fail("prod").await), "{action}");
        quiet().await;
        assert!(rig.custody.is_unlocked(), "{action}");
        assert!(rig.office.sessions().is_empty() && rig.custody.sealed_sessions().is_empty(), "{action}");
        assert_eq!((rig.office.unsaved_pins(), rig.custody.knowledge().pins.profiles.len()), (0, 0), "{action}");
    }
}

#[tokio::test]
async fn pins_that_were_not_saved_do_not_get_into_the_restored_vault() {
    let rig = rig();
    let folder = rig.state_file().parent().unwrap().to_owned();
    let copy = folder.join("copy");
    std::fs::copy(folder.join("vault"), &copy).unwrap();
    // The vault is written beside itself: a folder of that name stops it.
    let stop = folder.join("vault.new");
    std::fs::create_dir(&stop).unwrap();
    std::fs::write(stop.join("x"), "").unwrap();
    rig.get("prod").await;
    assert_eq!(rig.office.unsaved_pins(), 1, "the control");
    std::fs::remove_dir_all(&stop).unwrap();
    restore(&rig.custody, &rig.office, &copy);
    assert!(rig.office.save_pins());
    assert!(rig.office.sessions().is_empty());
    assert!(rig.custody.knowledge().pins.profiles.is_empty(), "a pin of the vault before");
    rig.clock.advance_millis(2 * MINUTE);
    rig.get("prod").await;
    assert_eq!(rig.custody.knowledge().pins.profiles.len(), 1, "its own");
}

/// A keyring that takes its time to forget.
struct Slow {
    asked: Notify,
    go: Notify,
    forgot: Mutex<Option<oneshot::Sender<()>>>,
}

impl KeyStore for Slow {
    fn answers(&self) -> BoxFuture<'_, keyring::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn forget(&self, _: Item) -> BoxFuture<'_, keyring::Result<()>> {
        let told = self.forgot.lock().unwrap().take().expect("once");
        Box::pin(async move {
            self.asked.notify_one();
            self.go.notified().await;
            told.send(()).unwrap();
            Ok(())
        })
    }

    fn keep<'a>(&'a self, _: Item, _: &'a Secret<[u8; 32]>) -> BoxFuture<'a, keyring::Result<()>> {
        Box::pin(async { Err(keyring::Error::Absent) })
    }

    fn read<'a>(&'a self, _: &'a [Item]) -> BoxFuture<'a, keyring::Result<(Item, Secret<[u8; 32]>)>> {
        Box::pin(async { Err(keyring::Error::NoItem) })
    }
}

#[tokio::test]
async fn a_lock_does_not_keep_a_removed_slots_item_in_the_keyring() {
    let (told, forgot) = oneshot::channel();
    let slow = Arc::new(Slow { asked: Notify::new(), go: Notify::new(), forgot: Mutex::new(Some(told)) });
    let desk = Desk::beside(Some(slow.clone()), "");
    let (custody, now) = (&desk.rig.custody, desk.rig.clock.wall());
    let place = custody.place_keyring(&recovery()).unwrap();
    custody.add_keyring(&recovery(), place, &Secret::new([7; 32]), now).unwrap();
    let remove = json!({"slot_remove": {"proof": recovery(), "slot": place.slot}});
    let removing = async {
        slow.asked.notified().await;
        desk.server.lock(LockedBy::Command).await;
    };
    let (removed, ()) = tokio::join!(desk.request(remove), removing);
    assert_eq!(removed["fault"]["code"], "vault.locked", "{removed}");
    slow.go.notify_one();
    forgot.await.expect("the item is gone as the slot is");
}
