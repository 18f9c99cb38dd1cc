//! The rooms as the agent's roof builds them, on a folder of their own.

use crate::network::SandboxHttp;
use claviger::model::{Arn, MfaSerial, Name};
use claviger::secret::{Passphrase, RecoveryCode, SecretAccessKey, SecretText, TotpSeed};
use claviger::wire::SlotProof;
use claviger_agent::ask::Listener;
use claviger_agent::audit::{Head, Journal};
use claviger_agent::aws::fake::ReplayHttp;
use claviger_agent::aws::profile::{ProfileSet, Role, SourceFile};
use claviger_agent::aws::{AwsEdge, EndpointRules};
use claviger_agent::config;
use claviger_agent::device::Devices;
use claviger_agent::prompt::{Programs, Prompts};
use claviger_agent::session::{Delivery, Error, Hardware, Limits, Office, Plan, Session};
use claviger_agent::source::fake::FakeRunner;
use claviger_agent::source::{self, SourceRules, Sources};
use claviger_agent::testing::{FakeClock, FakeEntropy};
use claviger_agent::vault::{self, AccessKey, Custody, Extra, FreshCode, Items, KdfCost, LockedBy, TotpDevice};
use claviger_agent::world::{Clock, WallTime, World};
use claviger_sandbox::{Sandbox, Seed};
use data_encoding::BASE32_NOPAD;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

/// 2026-11-22T00:00:00.5Z: half a second into a step. AWS's `Date` has whole seconds and the half is its best guess, so
/// here it is exact.
pub(crate) const NOW: i64 = 1_795_305_600_500;
/// The step that begins half a second before.
pub(crate) const STEP: i64 = 59_843_520;
pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const HOUR: u64 = 3_600_000;
/// `[mfa] presence`.
pub(crate) const PRESENCE: u64 = 8 * HOUR;
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";
const BOOT: u64 = HOUR;

/// The profiles that most tests use; a test adds its own.
pub(crate) const PROFILES: &str = "
[prod]
claviger_access_key = ada
role_arn = arn:aws:iam::123456789012:role/prod-admin
";

pub(crate) struct Rig {
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) seed: Seed,
    pub(crate) sandbox: Sandbox,
    pub(crate) network: Arc<SandboxHttp>,
    pub(crate) custody: Arc<Custody>,
    pub(crate) office: Arc<Office>,
    pub(crate) machine: Machine,
    profiles: ProfileSet,
    folder: TempDir,
}

/// What the agent's machine gives besides the vault: its commands, its own endpoints.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) runner: Arc<FakeRunner>,
    pub(crate) http: Arc<ReplayHttp>,
}

impl Machine {
    /// No command can be started, and nothing answers.
    pub(crate) fn bare() -> Self {
        let runner = FakeRunner::answering(|_| Err(source::Error::CommandFailed(source::Ending::Exit(1))));
        Self { runner, http: ReplayHttp::playing([]) }
    }
}

/// The commands in `[commands] allow`.
pub(crate) const ALLOWED: [&str; 3] = ["keys --json", "keys  --json", "keys --other"];

/// What everybody gets: ada's access key and phone in the vault, the demo account in the sandbox.
pub(crate) fn rig() -> Rig {
    Rig::with(Seed::demo(7), "")
}

impl Rig {
    /// The same with another account (ada's key and phone unchanged) and more profiles.
    pub(crate) fn with(seed: Seed, profiles: &str) -> Self {
        Self::at(FakeClock::at(WallTime(NOW)), seed, profiles, Machine::bare())
    }

    /// The same with a wall clock that is wrong by so many milliseconds.
    pub(crate) fn off_by(millis: i64) -> Self {
        Self::at(FakeClock::at(WallTime(NOW + millis)), Seed::demo(7), "", Machine::bare())
    }

    /// The same on a machine with sources of its own.
    pub(crate) fn on(machine: Machine, profiles: &str) -> Self {
        Self::at(FakeClock::at(WallTime(NOW)), Seed::demo(7), profiles, machine)
    }

    fn at(clock: Arc<FakeClock>, seed: Seed, profiles: &str, machine: Machine) -> Self {
        let folder = private_folder();
        for (name, bytes) in &template().files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let sandbox = sandbox(&clock, &seed);
        let network = SandboxHttp::to(sandbox.clone());
        let (custody, office) = build(&clock, folder.path(), &network, &machine);
        let rig = Self {
            clock,
            seed,
            sandbox,
            network,
            custody,
            office,
            machine,
            profiles: parse(&format!("{PROFILES}{profiles}")),
            folder,
        };
        rig.unlock().unwrap();
        rig
    }

    /// The agent is gone and another begins, locked, with what is on the disk. Time and network go on.
    pub(crate) fn restart(&mut self) {
        (self.custody, self.office) = build(&self.clock, self.folder.path(), &self.network, &self.machine);
    }

    /// As the control door opens: the vault, a person's presence, the sealed sessions.
    pub(crate) fn unlock(&self) -> vault::Result<()> {
        self.custody.unlock(&recovery(), self.office.aws().corrected_now())?;
        self.office.mark_presence();
        self.office.reopen();
        Ok(())
    }

    /// As the control door locks.
    pub(crate) fn lock(&self, by: LockedBy) {
        self.custody.lock(by);
        self.office.lock(by != LockedBy::Idle);
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn set_profiles(&mut self, text: &str) {
        self.profiles = parse(text);
    }

    /// The profiles as they are now.
    pub(crate) fn set(&self) -> &ProfileSet {
        &self.profiles
    }

    pub(crate) fn plan(&self, profile: &str) -> Plan {
        self.office.plan(&self.profiles, profile, Delivery::Refreshing).unwrap()
    }

    pub(crate) fn frozen(&self, profile: &str) -> Plan {
        self.office.plan(&self.profiles, profile, Delivery::Frozen).unwrap()
    }

    pub(crate) async fn ask(&self, profile: &str) -> Result<Arc<Session>, Arc<Error>> {
        self.office.credentials(self.plan(profile), Listener::nobody()).await
    }

    /// The session of a profile, where there must be one.
    #[track_caller]
    pub(crate) fn get(&self, profile: &str) -> impl Future<Output = Arc<Session>> {
        let asked = self.office.credentials(self.plan(profile), Listener::nobody());
        async move { asked.await.unwrap_or_else(|error| panic!("a session, not {error:?}")) }
    }

    /// The error of a profile, where there must be one.
    pub(crate) async fn fail(&self, profile: &str) -> Arc<Error> {
        self.ask(profile).await.err().expect("an error, not a session")
    }

    /// How often the sandbox was asked for this.
    pub(crate) fn calls(&self, action: &str) -> u64 {
        self.sandbox.calls_of(action).calls
    }

    /// The steps that the sandbox took, counted from the first one of the test.
    pub(crate) fn steps(&self) -> Vec<i64> {
        self.sandbox.steps_used(PHONE).iter().map(|step| step - STEP).collect()
    }

    /// Whether a step, counted from the first one of the test, is burned in the ledger.
    pub(crate) fn burned(&self, step: i64) -> bool {
        self.custody.is_burned(&phone(), u64::try_from(STEP + step).unwrap())
    }

    /// Milliseconds that have passed since the test began.
    pub(crate) fn passed(&self) -> u64 {
        self.clock.boot().millis_since(claviger_agent::world::BootTime(BOOT))
    }

    /// Puts the clock to where so many milliseconds of a session are left.
    pub(crate) fn until_left(&self, session: &Session, millis: u64) {
        let left = session.left(self.clock.boot());
        self.clock.advance_millis(left.checked_sub(millis).expect("that point has passed"));
    }

    pub(crate) fn edit(&self, change: impl FnOnce(&mut Items)) {
        self.custody
            .edit(self.clock.wall(), |items| -> vault::Result<()> {
                change(items);
                Ok(())
            })
            .unwrap();
    }

    /// The six digits of a step, counted from the first one of the test.
    pub(crate) fn code(&self, step: i64) -> String {
        claviger_sandbox::code_at(&seed_bytes(&self.seed), (STEP + step) * 30_000)
    }

    /// Asserts that no code went to the network twice.
    #[track_caller]
    pub(crate) fn no_code_twice(&self) {
        let mut codes = self.network.codes();
        let sent = codes.len();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), sent, "a code was sent twice");
    }
}

/// Gives other tasks and the disk their turn until this holds; no time passes.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..50_000_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {what}");
}

/// Returns once no task of this test is left, so that what has not happened by then never will.
pub(crate) async fn quiet() {
    let metrics = tokio::runtime::Handle::current().metrics();
    until("quiet", || metrics.num_alive_tasks() == 0).await;
}

/// Gives other tasks every turn they could want while the clock is held.
pub(crate) async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

pub(crate) const PHONE: &str = "arn:aws:iam::123456789012:mfa/ada-phone";

pub(crate) fn phone() -> MfaSerial {
    PHONE.parse().unwrap()
}

pub(crate) fn ada() -> Name {
    "ada".parse().unwrap()
}

pub(crate) fn recovery() -> SlotProof {
    SlotProof::Recovery(RecoveryCode::from_text(template().code.clone()))
}

/// A sandbox whose time is the true one: neither a step of the wall clock nor a reboot reaches it.
pub(crate) fn sandbox(clock: &Arc<FakeClock>, seed: &Seed) -> Sandbox {
    let clock = clock.clone();
    let now = move || NOW + clock.elapsed_millis();
    Sandbox::new(Box::new(now), seed).unwrap()
}

/// A device of ada's in the vault.
pub(crate) fn device(serial: &str, seed: Vec<u8>) -> TotpDevice {
    TotpDevice {
        serial: serial.parse().unwrap(),
        access_key: ada(),
        seed: vault::Seed::Here(Arc::new(TotpSeed::new(seed))),
        added: WallTime(NOW),
        extra: Extra::default(),
    }
}

pub(crate) fn seed_bytes(seed: &Seed) -> Vec<u8> {
    BASE32_NOPAD.decode(seed.users[0].mfa_devices[0].seed.as_bytes()).unwrap()
}

pub(crate) fn parse(text: &str) -> ProfileSet {
    let file = SourceFile { path: Path::new("profiles").into(), role: Role::Own, text };
    ProfileSet::load(&[file]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn build(
    clock: &Arc<FakeClock>,
    folder: &Path,
    network: &Arc<SandboxHttp>,
    machine: &Machine,
) -> (Arc<Custody>, Arc<Office>) {
    let world = world(clock.clone());
    let aws = AwsEdge::new(world.clone(), network.clone(), EndpointRules::default());
    let custody = Custody::new(world.clone(), folder.to_owned(), folder.join("state"));
    let at = config::Sources { container_uri: Some("/credentials".to_owned()), ..config::Sources::default() };
    let source_rules = SourceRules::new(&at, &ALLOWED.map(str::to_owned)).unwrap();
    let limits = Limits { presence_millis: PRESENCE, session_seconds: 43_200, region: None };
    let sources = Sources::new(world.clone(), machine.http.clone(), machine.runner.clone());
    sources.settle(source_rules);
    let keeper = custody.clone();
    let keep = move |head: Head, durable| {
        keeper.set_audit_head(vault::AuditHead { seq: head.seq, mac: head.mac }, durable);
    };
    let journal = Journal::new(world.clone(), folder.join("audit"), Box::new(keep));
    let devices = Devices::new(clock.clone(), "/nonexistent/helper".into());
    let means = (sources, Hardware { devices, prompts: Prompts::new(clock.clone(), Programs::default()) });
    (custody.clone(), Office::new(world, aws, custody, means, limits, journal))
}

/// A world whose entropy no other one of this binary has.
fn world(clock: Arc<FakeClock>) -> World {
    static WORLDS: AtomicU64 = AtomicU64::new(1);
    let entropy = FakeEntropy::seeded(WORLDS.fetch_add(1, Ordering::Relaxed) << 32);
    World { clock, entropy, disk: World::real().disk }
}

fn private_folder() -> TempDir {
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// The vault that every test begins with, made once: Argon2id is meant to take its time.
struct Template {
    files: Vec<(String, Vec<u8>)>,
    code: String,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = private_folder();
        let world = world(FakeClock::at(WallTime(NOW)));
        let custody = Custody::new(world.clone(), folder.path().to_owned(), folder.path().join("state"));
        let fresh = FreshCode::draw(&world).unwrap();
        let code = fresh.code().expose().to_owned();
        let confirmed = fresh.confirm(&RecoveryCode::from_text(code.clone())).ok().unwrap();
        let passphrase = Passphrase::from_text(PASSPHRASE.to_owned());
        custody.create(&passphrase, KdfCost::FLOOR, &confirmed, WallTime(NOW)).unwrap();
        custody.edit(WallTime(NOW), fill).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap().map(name);
        let read = |name: String| std::fs::read(folder.path().join(&name)).map(|bytes| (name, bytes)).unwrap();
        Template { files: names.map(read).collect(), code }
    })
}

fn fill(items: &mut Items) -> vault::Result<()> {
    let seed = Seed::demo(7);
    let key = &seed.users[0].access_keys[0];
    let user: Arn = "arn:aws:iam::123456789012:user/ada".parse().unwrap();
    let access_key = AccessKey {
        access_key_id: key.id.parse().unwrap(),
        secret: Arc::new(SecretAccessKey::from_text(key.secret.clone())),
        user: Some(user),
        added: WallTime(NOW),
        extra: Extra::default(),
    };
    items.access_keys.insert(ada(), access_key);
    items.authenticators.insert("phone".parse().unwrap(), device(PHONE, seed_bytes(&seed)));
    Ok(())
}
