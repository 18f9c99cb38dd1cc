//! A device enrolled and an access key replaced, cut off before and after every call to AWS: the next run finishes it.

use crate::network::Way;
use crate::rig::{MINUTE, Rig, STEP, ada, rig, until};
use claviger::model::{AccessKeyId, MfaSerial};
use claviger::secret::{ConsolePassword, DeviceSecret, SecretText, TotpSeed};
use claviger_agent::ask::{Audience, Listener};
use claviger_agent::aws::KeyStatus;
use claviger_agent::jobs::enrolment::{self, Begun, Cards, Failed};
use claviger_agent::jobs::iam_user::IamUser;
use claviger_agent::jobs::mfa_device::{self, Maker};
use claviger_agent::jobs::rotation::{self, Rotated, Wanted};
use claviger_agent::jobs::{self, password};
use claviger_agent::mfa;
use claviger_agent::testing;
use claviger_agent::vault::OathAccount;
use claviger_agent::world::World;
use claviger_sandbox::{Consistency, Fault, FaultKind, Seed};
use std::collections::BTreeSet;
use std::convert::Infallible;

/// Ada has an access key and no device at all.
fn without_device(consistency: Consistency) -> Rig {
    let mut seed = Seed::demo(7);
    seed.consistency = consistency;
    let mut rig = Rig::with(seed.clone(), "");
    seed.users[0].mfa_devices.clear();
    let sandbox = crate::rig::sandbox(&rig.clock, &seed);
    rig.network.replace(sandbox.clone());
    rig.sandbox = sandbox;
    rig.seed = seed;
    rig.edit(|items| items.authenticators.clear());
    rig
}

fn known_at_once() -> Rig {
    without_device(Consistency::default())
}

struct NoCards;

impl Cards for NoCards {
    type Error = Infallible;

    async fn place(
        &self,
        _: &OathAccount,
        _: &TotpSeed,
        _: &MfaSerial,
    ) -> Result<Option<(String, DeviceSecret)>, Infallible> {
        Ok(None)
    }

    async fn leave(&self, _: &OathAccount) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Rig {
    fn world(&self) -> World {
        World { disk: World::real().disk, ..testing::world(self.clock.clone(), 7) }
    }

    async fn user(&self) -> Result<IamUser, jobs::Error> {
        IamUser::of(&self.office, self.set(), &ada(), Listener::nobody()).await
    }

    async fn enroll(&self) -> Result<Begun, jobs::Error> {
        let user = self.user().await?;
        let to_do = match enrolment::unfinished(&self.custody, &ada())? {
            Some(unfinished) => unfinished,
            None => {
                let (name, serial) = enrolment::choose(&self.office, &user, None).await?;
                (name, enrolment::plan(&self.world(), ada(), serial, (None, true)))
            }
        };
        let audience = Audience::default();
        let made = enrolment::run(&self.office, &self.world(), &user, to_do, &NoCards, &audience).await;
        made.map_err(|failed| match failed {
            Failed::Job(error) => error,
            Failed::Card(never) => match never {},
        })
    }

    async fn rotate(&self) -> Result<Rotated, jobs::Error> {
        let user = self.user().await?;
        rotation::rotate(&self.office, &self.world(), user, Wanted::default()).await
    }

    /// What stands at AWS: the user's devices, those that are nobody's, and the user's keys.
    async fn at_aws(&self) -> AtAws {
        let user = IamUser::at_hand(&self.office, self.set(), &ada()).await.unwrap();
        let aws = self.office.aws();
        let mine = aws.list_mfa_devices(user.access(), Some("ada")).await.unwrap();
        let all = aws.list_virtual_mfa_devices(user.access()).await.unwrap();
        let nobodys = all.into_iter().filter(|device| device.user.is_none()).map(|device| device.serial).collect();
        let keys = aws.list_access_keys(user.access(), Some("ada")).await.unwrap();
        AtAws { mine, nobodys, keys: keys.into_iter().map(|key| (key.access_key_id, key.status)).collect() }
    }
}

struct AtAws {
    mine: Vec<MfaSerial>,
    nobodys: Vec<MfaSerial>,
    keys: Vec<(AccessKeyId, KeyStatus)>,
}

/// Goes on with work until its next call of this action has come to the network; then whoever did it is gone.
async fn until_call<T>(rig: &Rig, work: impl Future<Output = T>, (action, nth): (&'static str, usize)) {
    tokio::select! {
        biased;
        () = until("the call", || rig.network.seen(action).len() > nth) => {}
        _ = work => panic!("{action} was not the end of it"),
    }
}

const SERIAL: &str = "arn:aws:iam::123456789012:mfa/ada";

/// The calls of an enrolment that change something, or look whether it may.
const ENROLMENT: [&str; 3] = ["ListVirtualMFADevices", "CreateVirtualMFADevice", "EnableMFADevice"];

#[tokio::test]
async fn a_device_is_made_with_the_codes_of_now_and_the_first_session_waits_one_step() {
    let rig = known_at_once();
    let begun = rig.enroll().await.unwrap();
    assert_eq!(rig.passed(), 0, "nobody waits for it");
    assert_eq!(rig.sandbox.steps_used(SERIAL).iter().map(|step| step - STEP).collect::<Vec<_>>(), [-1, 0]);
    let user = rig.user_at_hand().await;
    let session = enrolment::first_session(&rig.office, &user, ("dev", &begun), &Audience::default()).await.unwrap();
    assert!(rig.passed() <= 30_000, "{}", rig.passed());
    assert_eq!(session.left_millis, 12 * 60 * MINUTE);
    let stands = rig.at_aws().await;
    assert_eq!((stands.mine, stands.nobodys), (vec![SERIAL.parse().unwrap()], vec![]));
    let stored = rig.custody.with_items(|items| (items.authenticators.len(), items.enrolments.len())).unwrap();
    assert_eq!(stored, (1, 0));
    // The vault's seed is that of the device: a profile that needs a code gets its session.
    rig.get("prod").await;
    rig.no_code_twice();
}

#[tokio::test]
async fn an_enrolment_that_is_cut_off_before_or_after_any_call_is_finished_by_the_next_run() {
    for action in ENROLMENT {
        for done in [false, true] {
            let mut rig = known_at_once();
            let way = if done { Way::Mute } else { Way::Never };
            rig.network.script(action, way);
            until_call(&rig, rig.enroll(), (action, 0)).await;
            rig.restart();
            rig.unlock().unwrap();
            let begun = rig.enroll().await.unwrap_or_else(|error| panic!("{action} {done}: {error:?}"));
            let stands = rig.at_aws().await;
            assert_eq!((stands.mine, stands.nobodys), (vec![SERIAL.parse().unwrap()], vec![]), "{action} {done}");
            assert!(rig.custody.with_items(|items| items.enrolments.is_empty()).unwrap());
            let user = rig.user_at_hand().await;
            enrolment::first_session(&rig.office, &user, ("dev", &begun), &Audience::default()).await.unwrap();
            rig.get("prod").await;
            assert_eq!(rig.sandbox.reused(), 0, "{action} {done}: a code came again");
        }
    }
}

#[tokio::test]
async fn what_aws_refuses_for_good_leaves_nothing_behind() {
    let refusals = [
        ("CreateVirtualMFADevice", 409, "LimitExceeded"),
        ("CreateVirtualMFADevice", 403, "AccessDenied"),
        ("CreateVirtualMFADevice", 409, "EntityAlreadyExists"),
        ("EnableMFADevice", 409, "LimitExceeded"),
        ("EnableMFADevice", 403, "AccessDenied"),
        ("ListVirtualMFADevices", 403, "InvalidClientTokenId"),
    ];
    for (action, status, code) in refusals {
        let rig = known_at_once();
        rig.refuse(action, status, code, u32::MAX);
        assert!(rig.enroll().await.is_err(), "{action} {code}");
        rig.sandbox.clear_faults();
        let stands = rig.at_aws().await;
        assert_eq!((stands.mine, stands.nobodys), (vec![], vec![]), "{action} {code}");
        assert!(rig.custody.with_items(|items| items.enrolments.is_empty()).unwrap(), "{action} {code}");
        // The control: without the refusal it is made.
        rig.enroll().await.unwrap();
    }
}

#[tokio::test]
async fn what_passes_is_waited_for_and_what_may_be_done_is_looked_at() {
    let throttled = |rig: &Rig, action: &str| {
        rig.sandbox.inject(Fault { times: 2, ..Fault::next(action, FaultKind::Throttle(400)) })
    };
    for action in ENROLMENT {
        let rig = known_at_once();
        throttled(&rig, action);
        rig.enroll().await.unwrap_or_else(|error| panic!("{action}: {error:?}"));
    }
    for (status, code) in [(404, "NoSuchEntity"), (409, "EntityTemporarilyUnmodifiable")] {
        let rig = known_at_once();
        rig.refuse("EnableMFADevice", status, code, 3);
        rig.enroll().await.unwrap();
        rig.no_code_twice();
    }
    for action in ENROLMENT {
        for done in [false, true] {
            let rig = known_at_once();
            rig.network.script(action, Way::Lost { done });
            // A lost answer to what makes something is told; the next run goes on.
            if rig.enroll().await.is_err() {
                assert_eq!(action, "CreateVirtualMFADevice");
                rig.enroll().await.unwrap();
            }
            let stands = rig.at_aws().await;
            assert_eq!((stands.mine.len(), stands.nobodys.len()), (1, 0), "{action} {done}");
        }
    }
}

#[tokio::test]
async fn new_things_that_aws_does_not_know_yet_are_waited_for() {
    let rig = without_device(Consistency { calls: 2, millis: 2_000 });
    let begun = rig.enroll().await.unwrap();
    let user = rig.user_at_hand().await;
    enrolment::first_session(&rig.office, &user, ("dev", &begun), &Audience::default()).await.unwrap();
    let rotated = rig.rotate().await.unwrap();
    assert!(rotated.deleted);
}

#[tokio::test]
async fn a_device_whose_codes_aws_does_not_take_yet_is_enrolled_all_the_same() {
    let rig = known_at_once();
    let begun = rig.enroll().await.unwrap();
    let user = rig.user_at_hand().await;
    let kind = FaultKind::Refuse {
        status: 403,
        code: "AccessDenied".to_owned(),
        message: "MultiFactorAuthentication failed with invalid MFA one time pass code.".to_owned(),
    };
    rig.sandbox.inject(Fault { times: 3, ..Fault::next("GetSessionToken", kind) });
    let session = async || enrolment::first_session(&rig.office, &user, ("dev", &begun), &Audience::default()).await;
    let refused = session().await.map(drop);
    let told = matches!(&refused, Err(jobs::Error::MfaNotReady(profile, serial))
        if profile == "dev" && serial.as_str() == SERIAL);
    assert!(told, "{refused:?}");
    // The control: AWS knows it by now.
    session().await.unwrap();
    rig.no_code_twice();
}

#[tokio::test]
async fn a_clock_a_step_off_costs_a_second_pair() {
    let rig = known_at_once();
    rig.refuse("EnableMFADevice", 403, "InvalidAuthenticationCode", 1);
    rig.enroll().await.unwrap();
    assert_eq!(rig.sandbox.steps_used(SERIAL).iter().map(|step| step - STEP).collect::<Vec<_>>(), [0, 1]);
    assert!(rig.passed() <= 30_000);
    let rig = known_at_once();
    rig.refuse("EnableMFADevice", 403, "InvalidAuthenticationCode", u32::MAX);
    assert!(matches!(rig.enroll().await, Err(jobs::Error::CodeRefused(_))));
    rig.sandbox.clear_faults();
    assert!(rig.at_aws().await.nobodys.is_empty());
}

#[tokio::test]
async fn a_device_that_another_tool_has_just_enabled_is_resynchronized_with_codes_that_nobody_used() {
    let rig = known_at_once();
    let user = rig.user().await.unwrap();
    let aws = rig.office.aws();
    let made = aws.create_virtual_mfa_device(user.access(), &"ada".parse().unwrap()).await.unwrap();
    let (serial, seed) = (made.serial, mfa::parse_seed(&made.seed, None).unwrap());
    let step = mfa::step_at(aws.corrected_now());
    let [one, two] = [step - 1, step].map(|step| mfa::code(&seed, step));
    aws.enable_mfa_device(user.access(), user.name(), &serial, [&one, &two]).await.unwrap();
    let resync = async |seed: &TotpSeed| {
        mfa_device::resync(&rig.office, &user, &serial, Maker::Seed(seed), &Audience::default()).await
    };
    resync(&seed).await.unwrap();
    assert_eq!(rig.sandbox.steps_used(SERIAL).iter().map(|step| step - STEP).collect::<Vec<_>>(), [-1, 0, 1, 2]);
    assert!(rig.passed() <= 60_000, "{}", rig.passed());
    // The seed of another device: both pairs are refused.
    let calls = rig.network.seen("ResyncMFADevice").len();
    let another = TotpSeed::new(vec![7; 32]);
    assert!(matches!(resync(&another).await, Err(jobs::Error::CodeRefused(refused)) if refused == serial));
    assert_eq!(rig.network.seen("ResyncMFADevice").len(), calls + 2);
}

#[tokio::test]
async fn a_name_that_is_taken_at_aws_gets_a_number_or_is_refused() {
    let rig = known_at_once();
    let user = rig.user().await.unwrap();
    rig.office.aws().create_virtual_mfa_device(user.access(), &"ada".parse().unwrap()).await.unwrap();
    let taken = enrolment::choose(&rig.office, &user, Some("ada".parse().unwrap())).await;
    assert!(matches!(taken, Err(jobs::Error::MfaNameTaken(_))));
    let begun = rig.enroll().await.unwrap();
    assert_eq!(begun.name.as_str(), "ada-2");
    assert_eq!(rig.at_aws().await.nobodys.len(), 1, "somebody else's is left alone");
}

/// The calls of a rotation, in their order: action, and how many of it came before.
const ROTATION: [(&str, usize); 10] = [
    ("ListAccessKeys", 0),
    ("ListAccessKeys", 1),
    ("CreateAccessKey", 0),
    ("GetCallerIdentity", 0),
    ("GetCallerIdentity", 2),
    ("GetAccessKeyLastUsed", 0),
    ("UpdateAccessKey", 0),
    ("GetCallerIdentity", 3),
    ("GetCallerIdentity", 5),
    ("DeleteAccessKey", 0),
];

#[tokio::test]
async fn a_key_is_replaced_and_the_old_one_is_gone() {
    let rig = rig();
    rig.get("prod").await;
    let old = rig.at_aws().await.keys;
    let rotated = rig.rotate().await.unwrap();
    assert_eq!((vec![(rotated.old.clone(), KeyStatus::Active)], rotated.deleted), (old, true));
    rig.is_rotated(&rotated.old).await;
    // Sessions of the user go on: no code is spent for the change.
    assert_eq!(rig.calls("GetSessionToken"), 1);
    rig.get("prod").await;
    let trashed = rig.custody.with_items(|items| items.trash.len()).unwrap();
    assert_eq!(trashed, 1);
}

impl Rig {
    async fn user_at_hand(&self) -> IamUser {
        IamUser::at_hand(&self.office, self.set(), &ada()).await.unwrap()
    }

    fn refuse(&self, action: &str, status: u16, code: &str, times: u32) {
        let kind = FaultKind::Refuse { status, code: code.to_owned(), message: "no".to_owned() };
        self.sandbox.inject(Fault { times, ..Fault::next(action, kind) });
    }

    /// AWS has one key of ada's, which is that of the vault and works, and nothing is left to do.
    async fn is_rotated(&self, old: &AccessKeyId) {
        let stored = self.custody.signing_key(&ada()).unwrap().access_key_id;
        assert_ne!(stored, *old);
        let user = self.user().await.unwrap();
        let keys = self.office.aws().list_access_keys(user.access(), Some("ada")).await.unwrap();
        let keys: Vec<_> = keys.into_iter().map(|key| (key.access_key_id, key.status)).collect();
        assert_eq!(keys, [(stored, KeyStatus::Active)]);
        assert!(self.custody.with_items(|items| items.rotations.is_empty()).unwrap());
    }
}

#[tokio::test]
async fn a_rotation_that_is_cut_off_before_or_after_any_call_is_finished_by_the_next_run() {
    for call in ROTATION {
        for done in [false, true] {
            let mut rig = rig();
            // With a session at hand the rotation itself spends no code.
            rig.get("prod").await;
            let old = rig.custody.signing_key(&ada()).unwrap().access_key_id;
            rig.network.script_nth(call, if done { Way::Mute } else { Way::Never });
            until_call(&rig, rig.rotate(), call).await;
            rig.restart();
            rig.unlock().unwrap();
            let rotated = rig.rotate().await.unwrap_or_else(|error| panic!("{call:?} {done}: {error:?}"));
            assert_eq!(rotated.old, old, "{call:?} {done}");
            rig.is_rotated(&old).await;
        }
    }
}

#[tokio::test]
async fn faults_of_aws_at_each_step_of_a_rotation_lose_no_key() {
    let mut seen = BTreeSet::new();
    for (action, _) in ROTATION {
        if !seen.insert(action) {
            continue;
        }
        for (status, code) in
            [(409, "LimitExceeded"), (403, "AccessDenied"), (400, "Throttling"), (500, "ServiceFailure")]
        {
            let rig = rig();
            rig.get("prod").await;
            let old = rig.custody.signing_key(&ada()).unwrap().access_key_id;
            rig.refuse(action, status, code, u32::MAX);
            let outcome = rig.rotate().await;
            // When it was last used is told where it can be.
            assert_eq!(outcome.is_ok(), action == "GetAccessKeyLastUsed", "{action} {code}: {outcome:?}");
            // Once the new key is in use, that is what is told.
            let stands = match action {
                "UpdateAccessKey" => Some(Some(KeyStatus::Active)),
                "DeleteAccessKey" => Some(Some(KeyStatus::Inactive)),
                _ => None,
            };
            if let Some(stands) = stands {
                let stored = rig.custody.signing_key(&ada()).unwrap().access_key_id;
                let told = matches!(&outcome, Err(jobs::Error::OldKeyStands { new, old: before, status, .. })
                    if *new == stored && *before == old && (*status == stands || (status.is_none() && code == "ServiceFailure")));
                assert!(told, "{action} {code}: {outcome:?}");
            }
            rig.sandbox.clear_faults();
            if outcome.is_err() {
                rig.rotate().await.unwrap_or_else(|error| panic!("{action} {code}: {error:?}"));
            }
            rig.is_rotated(&old).await;
        }
        for done in [false, true] {
            let rig = rig();
            rig.get("prod").await;
            let old = rig.custody.signing_key(&ada()).unwrap().access_key_id;
            rig.network.script(action, Way::Lost { done });
            if rig.rotate().await.is_err() {
                assert_eq!(action, "CreateAccessKey");
                rig.rotate().await.unwrap_or_else(|error| panic!("{action} {done}: {error:?}"));
            }
            rig.is_rotated(&old).await;
        }
    }
}

#[tokio::test]
async fn a_second_key_is_nobodys_to_delete_but_a_persons() {
    let rig = rig();
    let user = rig.user().await.unwrap();
    let other = rig.office.aws().create_access_key(user.access(), "ada").await.unwrap().access_key_id;
    let two = rig.rotate().await;
    assert!(
        matches!(two, Err(jobs::Error::TwoKeys(_, ref key, KeyStatus::Active, ref user)) if user == "ada" && *key == other),
        "{two:?}"
    );
    let wanted = |id: &AccessKeyId| Wanted { keep_old: false, delete_other: Some(id.clone()) };
    let rotate = async |wanted| rotation::rotate(&rig.office, &rig.world(), rig.user().await.unwrap(), wanted).await;
    assert!(matches!(rotate(wanted(&other)).await, Err(jobs::Error::OtherKeyActive(..))));
    let mine = rig.custody.signing_key(&ada()).unwrap().access_key_id;
    assert!(matches!(rotate(wanted(&mine)).await, Err(jobs::Error::OwnKey(_, ref key)) if *key == mine));
    let nobodys: AccessKeyId = "AKIAIOSFODNN7EXAMPLE".parse().unwrap();
    assert!(matches!(rotate(wanted(&nobodys)).await, Err(jobs::Error::NotAKeyOfUser(_))));
    rig.office.aws().update_access_key(user.access(), "ada", &other, KeyStatus::Inactive).await.unwrap();
    assert!(matches!(rig.rotate().await, Err(jobs::Error::TwoKeys(_, _, KeyStatus::Inactive, _))));
    rotate(wanted(&other)).await.unwrap();
    rig.is_rotated(&mine).await;
}

#[tokio::test]
async fn a_key_that_somebody_made_meanwhile_is_left_alone() {
    let mut rig = rig();
    rig.get("prod").await;
    rig.network.script("CreateAccessKey", Way::Never);
    until_call(&rig, rig.rotate(), ("CreateAccessKey", 0)).await;
    rig.restart();
    rig.unlock().unwrap();
    // An hour later a person makes a key at the console.
    rig.clock.advance_millis(60 * MINUTE);
    let user = rig.user().await.unwrap();
    let other = rig.office.aws().create_access_key(user.access(), "ada").await.unwrap().access_key_id;
    let two = rig.rotate().await;
    assert!(matches!(two, Err(jobs::Error::TwoKeys(_, ref key, ..)) if *key == other), "{two:?}");
    assert_eq!(rig.at_aws().await.keys.len(), 2);
}

#[tokio::test]
async fn a_key_that_aws_does_not_take_leaves_the_old_one_in_use() {
    let rig = rig();
    rig.get("prod").await;
    let old = rig.custody.signing_key(&ada()).unwrap().access_key_id;
    rig.refuse("GetCallerIdentity", 403, "InvalidClientTokenId", u32::MAX);
    assert!(matches!(rig.rotate().await, Err(jobs::Error::NewKeyRefused(_))));
    assert!(rig.passed() >= 2 * MINUTE, "it is waited for");
    assert_eq!(rig.custody.signing_key(&ada()).unwrap().access_key_id, old);
    rig.sandbox.clear_faults();
    rig.rotate().await.unwrap();
    rig.is_rotated(&old).await;
}

#[tokio::test]
async fn a_password_is_changed_as_the_account_wants_it() {
    let mut seed = Seed::demo(7);
    seed.users[0].password = Some("Old-password-1".to_owned());
    let rig = Rig::with(seed, "");
    let user = rig.user().await.unwrap();
    let policy = password::policy(&rig.office, &user).await.unwrap();
    let text = |text: &str| ConsolePassword::from_text(text.to_owned());
    let new = password::suggest(&policy, &*rig.world().entropy).unwrap();
    let wrong = password::change(&rig.office, &user, &text("Another-1"), &new).await;
    assert!(wrong.is_err());
    let weak = password::change(&rig.office, &user, &text("Old-password-1"), &text("a")).await;
    assert!(weak.is_err());
    password::change(&rig.office, &user, &text("Old-password-1"), &new).await.unwrap();
}
