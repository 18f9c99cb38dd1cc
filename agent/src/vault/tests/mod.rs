//! The room from inside: round trips, tampering, crashes, faults, golden files.

mod anchors;
mod backup;
mod crash;
mod device;
mod faults;
mod golden;
mod keyring;
mod mutations;
mod state;
mod tamper;
mod unfinished;
mod vault;

use super::{AccessKey, ConfirmedCode, Error, Extra, FreshCode, KdfCost, SshKey, TotpDevice, Vault, VaultFolder};
use crate::testing::{FakeClock, FakeEntropy, Files, MemoryDisk};
use crate::world::{WallTime, World};
use claviger::model::Name;
use claviger::secret::{Passphrase, RecoveryCode, SecretAccessKey, SecretText, SshPrivateKey, TotpSeed};
use claviger::wire::SlotProof;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// 2026-01-31T12:00:00Z.
const NOW: WallTime = WallTime(1_769_860_800_000);
const DAY: i64 = 24 * 60 * 60 * 1000;
const PHRASE: &str = "correct horse battery staple";

/// A vault folder on a disk in memory.
struct Bench {
    disk: MemoryDisk,
    folder: VaultFolder,
    world: World,
    code: String,
}

impl Bench {
    /// No vault yet.
    fn bare(seed: u64) -> Self {
        Self::on(MemoryDisk::default(), seed, String::new())
    }

    fn on(disk: MemoryDisk, seed: u64, code: String) -> Self {
        let entropy = FakeEntropy::seeded(seed);
        let world = World { clock: FakeClock::at(NOW), entropy, disk: Arc::new(disk.clone()) };
        Self { folder: VaultFolder::new(world.clone(), path("")), disk, world, code }
    }

    /// A vault with a passphrase slot, a recovery slot and one access key. Made once, then copied: Argon2id is slow.
    fn with_vault(seed: u64) -> Self {
        static MADE: OnceLock<(Files, String)> = OnceLock::new();
        let (files, code) = MADE.get_or_init(|| {
            let mut bench = Self::bare(1);
            let mut vault = bench.create();
            add_key(&mut vault, "first", NOW).expect("a save");
            (bench.disk.files(), bench.code)
        });
        Self::on(MemoryDisk::with(files.clone()), seed, code.clone())
    }

    fn create(&mut self) -> Vault {
        let (code, text) = confirmed(&self.world);
        self.code = text;
        self.folder.create(&phrase(PHRASE), KdfCost::FLOOR, &code, NOW).expect("a vault")
    }

    fn proof(&self) -> SlotProof {
        recovery(&self.code)
    }

    fn open(&self) -> Result<Vault, Error> {
        self.folder.open(&self.proof())
    }

    fn vault(&self) -> Vault {
        self.open().expect("the vault opens")
    }

    fn file(&self) -> Vec<u8> {
        self.disk.files()[&path("vault")].clone()
    }
}

fn confirmed(world: &World) -> (ConfirmedCode, String) {
    let fresh = FreshCode::draw(world).expect("a code");
    let text = fresh.code().expose().to_owned();
    let code = fresh.confirm(&RecoveryCode::from_text(text.clone())).ok().expect("the same code");
    (code, text)
}

fn path(name: &str) -> PathBuf {
    if name.is_empty() { PathBuf::from("/data") } else { Path::new("/data").join(name) }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn phrase(text: &str) -> Passphrase {
    Passphrase::from_text(text.to_owned())
}

fn passphrase(text: &str) -> SlotProof {
    SlotProof::Passphrase(phrase(text))
}

fn recovery(text: &str) -> SlotProof {
    SlotProof::Recovery(RecoveryCode::from_text(text.to_owned()))
}

fn access_key(secret: &str) -> AccessKey {
    AccessKey {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().expect("an id"),
        secret: Arc::new(SecretAccessKey::from_text(secret.to_owned())),
        user: Some("arn:aws:iam::123456789012:user/ada".parse().expect("an arn")),
        added: NOW,
        extra: Extra::default(),
    }
}

fn totp(seed: &[u8]) -> TotpDevice {
    TotpDevice {
        serial: "arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial"),
        access_key: name("first"),
        seed: crate::vault::Seed::Here(Arc::new(TotpSeed::new(seed.to_vec()))),
        added: NOW,
        extra: Extra::default(),
    }
}

fn ssh_key(private: &[u8]) -> SshKey {
    SshKey {
        added: NOW,
        any_data: false,
        comment: "ada@\"laptop\" \u{20ac}".to_owned(),
        confirm: true,
        destinations: b"\xff\0\x01".to_vec(),
        lifetime: None,
        namespaces: vec!["git".to_owned(), "file".to_owned()],
        private: Arc::new(SshPrivateKey::new(private.to_vec())),
        public: b"\0\0\0\x0bssh-ed25519".to_vec(),
        rotating: None,
        extra: Extra::default(),
    }
}

fn add_key(vault: &mut Vault, key: &str, now: WallTime) -> Result<(), Error> {
    vault.edit(now, |items| {
        items.access_keys.insert(name(key), access_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
        Ok(())
    })
}

/// The names of the access keys.
fn keys(vault: &Vault) -> Vec<String> {
    vault.items().access_keys.keys().map(|name| name.as_str().to_owned()).collect()
}

/// The error's variant, without its source.
fn variant<T>(result: Result<T, Error>) -> String {
    result
        .map(|_| "ok".to_owned())
        .unwrap_or_else(|error| format!("{error:?}").split(' ').next().unwrap_or_default().to_owned())
}
