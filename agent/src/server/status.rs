//! `status`.

use super::Server;
use super::listen::{Way, path_of};
use crate::jobs::access_key;
use crate::vault::{Items, VaultState};
use claviger::model::Name;
use claviger::wire::{OlderVault, SessionRow, SshStatus, Status};

/// The warning of an older vault.
const OLDER: &str = "the vault is an older one than was known: it is read-only, and no code is spent, until that is accepted: claviger unlock --accept-older";

impl Server {
    pub(super) fn status(&self, client_config: Option<&str>) -> Status {
        let state = self.custody.state();
        let unlocked = state == VaultState::Unlocked;
        let sessions = self.office.sessions().into_iter().map(|session| SessionRow {
            principal: session.principal,
            access_key_id: session.access_key_id,
            expiration: crate::world::rfc3339(session.expiration),
            seconds_left: session.left_millis / 1000,
        });
        let older = self.custody.older().map(|older| OlderVault {
            generation: older.found.generation,
            saved: crate::world::rfc3339(older.found.saved),
            known_generation: older.known.generation,
            known_saved: crate::world::rfc3339(older.known.saved),
            known_by: older.by.iter().map(|anchor| anchor.as_str().to_owned()).collect(),
            digest: older.digest(),
        });
        let mut warnings: Vec<String> = older.iter().map(|_| OLDER.to_owned()).collect();
        warnings.extend(self.custody.warnings());
        warnings.extend(self.journal.warnings());
        warnings.extend(self.desktop.warning());
        warnings.extend(self.endpoints.warnings());
        let config = self.config();
        let ours = &config.aws_config_file;
        if client_config.is_some_and(|theirs| std::path::Path::new(theirs) != ours) {
            warnings.push(format!(
                "AWS_CONFIG_FILE is set, but the agent reads {}: set [aws] config_file in config.toml",
                ours.display()
            ));
        }
        for missing in config.ssh_upstream.iter().filter(|path| !path.exists()) {
            warnings.push(format!("no SSH agent is at {}: see [ssh] upstream in config.toml", missing.display()));
        }
        warnings.extend(self.settings.warnings());
        warnings.extend(
            self.old_keys()
                .into_iter()
                .map(|(name, days)| format!("access key {name} is {days} days old: claviger access-key rotate {name}")),
        );
        warnings.extend(self.unfinished());
        match self.office.unsaved_pins() {
            0 => {}
            count => {
                warnings.push(format!("{count} profiles first used now are not in the vault yet: is the disk full?"))
            }
        }
        // For the soak: what no file under /proc tells.
        #[cfg(feature = "weak")]
        warnings.push(format!("tasks: {}", tokio::runtime::Handle::current().metrics().num_alive_tasks()));
        let (vault, locked_by) = match state {
            VaultState::Absent => ("absent", None),
            VaultState::Locked(by) => ("locked", Some(by.as_str().to_owned())),
            VaultState::Unlocked => ("unlocked", None),
        };
        Status {
            version: claviger::VERSION.to_owned(),
            pid: std::process::id(),
            vault: vault.to_owned(),
            locked_by,
            idle_lock_in: unlocked.then(|| self.idle_left() / 1000),
            presence_left: self.office.presence_left().map(|millis| millis / 1000),
            sessions: sessions.collect(),
            endpoints: self.endpoints.rows(),
            clock_skew: self.office.clock_skew(),
            ssh: self.ssh_status(),
            older,
            warnings,
        }
    }

    /// The access keys that it is time to replace, with their age in days since they were added.
    fn old_keys(&self) -> Vec<(Name, u64)> {
        let now = self.world.clock.wall();
        let old = |items: &Items| {
            let ages = items.access_keys.iter().map(|(name, key)| (name.clone(), access_key::age_days(key.added, now)));
            ages.filter(|(_, days)| *days >= access_key::OLD_DAYS).collect()
        };
        self.custody.with_items(old).unwrap_or_default()
    }

    /// Work at AWS that was cut off.
    fn unfinished(&self) -> Vec<String> {
        let told = |items: &Items| {
            let devices = items.enrolments.iter().map(|(name, enrolment)| {
                let key = &enrolment.access_key;
                format!("the enrolment of device {name} was cut off: claviger mfa enroll {key}")
            });
            let keys = items.rotations.keys();
            let keys =
                keys.map(|name| format!("the rotation of {name} was cut off: claviger access-key rotate {name}"));
            let pairs = items.ssh_keys.values().filter_map(|key| key.rotating.as_ref()).map(|rotating| {
                let pair = &rotating.pair;
                format!("the rotation of key pair {pair} was cut off: claviger keypair rotate {pair}")
            });
            devices.chain(keys).chain(pairs).collect()
        };
        self.custody.with_items(told).unwrap_or_default()
    }

    fn ssh_status(&self) -> Option<SshStatus> {
        let socket = path_of(&self.succession.door(Way::Ssh).as_ref()?.socket)?;
        let (added_keys, locked) = self.ssh.held();
        let vault_keys = self.custody.knowledge().ssh_keys.len();
        Some(SshStatus { socket: socket.to_string_lossy().into_owned(), vault_keys, added_keys, locked })
    }
}
