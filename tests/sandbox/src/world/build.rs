//! From a seed to an account.

use super::region::Ec2;
use super::{AccessKey, Device, Group, Role, Seed, SeedInvalid, SeedUser, Unsettled, User, World};
use crate::entropy::Entropy;
use crate::policy::{Document, Kind};
use crate::reply::Refusal;
use data_encoding::BASE32_NOPAD;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// The account that a seed describes.
    pub(crate) fn build(seed: &Seed, entropy: &mut Entropy, now: i64) -> Result<Self, SeedInvalid> {
        if seed.account.len() != 12 || !seed.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SeedInvalid("an account is twelve digits".to_owned()));
        }
        let mut world = Self {
            partition: seed.partition.clone(),
            account: seed.account.clone(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            roles: BTreeMap::new(),
            devices: BTreeMap::new(),
            access_keys: BTreeMap::new(),
            sessions: BTreeMap::new(),
            password_policy: seed.password_policy.clone(),
            consistency: seed.consistency,
            ec2: Ec2::build(seed, entropy, now)?,
            steps: BTreeMap::new(),
            reused: 0,
        };
        for group in &seed.groups {
            let made = Group {
                name: group.name.clone(),
                path: "/".to_owned(),
                id: entropy.unique_id("AGPA"),
                created: now,
                policies: documents(&group.policies, &group.name)?,
                members: BTreeSet::new(),
            };
            world.groups.insert(group.name.clone(), made);
        }
        for user in &seed.users {
            world.add_user(user, entropy, now)?;
        }
        for role in &seed.roles {
            let trust_text = role.trust.to_string();
            let made = Role {
                name: role.name.clone(),
                path: role.path.clone(),
                id: entropy.unique_id("AROA"),
                created: now,
                description: None,
                trust: Document::parse(&trust_text, Kind::Trust).map_err(|refusal| in_place(&role.name, &refusal))?,
                trust_text,
                max_session_duration: role.max_session_duration,
                policies: documents(&role.policies, &role.name)?,
            };
            if !(3600..=43_200).contains(&made.max_session_duration) {
                return Err(SeedInvalid(format!("{}: the longest session is 3600 to 43200 seconds", role.name)));
            }
            world.roles.insert(role.name.clone(), made);
        }
        // Roles may trust one another, so this waits for the last.
        for role in world.roles.values() {
            world.check_principals(&role.trust).map_err(|refusal| in_place(&role.name, &refusal))?;
        }
        Ok(world)
    }

    fn add_user(&mut self, user: &SeedUser, entropy: &mut Entropy, now: i64) -> Result<(), SeedInvalid> {
        let place = |rule: &str| SeedInvalid(format!("{}: {rule}", user.name));
        if user.access_keys.len() > 2 {
            return Err(place("a user has at most two access keys"));
        }
        if user.mfa_devices.len() > 8 {
            return Err(place("a user has at most eight MFA devices"));
        }
        for key in &user.access_keys {
            if key.id.len() != 20 || !key.id.starts_with("AKIA") {
                return Err(place("an access key id is AKIA and 16 characters"));
            }
            let made = AccessKey {
                id: key.id.clone(),
                secret: key.secret.clone(),
                user: user.name.clone(),
                active: key.active,
                created: now,
                last_used: None,
                unsettled: Unsettled::default(),
            };
            if self.access_keys.insert(key.id.clone(), made).is_some() {
                return Err(place("its access key id is taken"));
            }
        }
        for device in &user.mfa_devices {
            let serial = self.arn("iam", &format!("mfa/{}", device.name));
            let seed = BASE32_NOPAD
                .decode(device.seed.as_bytes())
                .map_err(|_| place("an MFA seed is base32 without padding"))?;
            let made = Device {
                serial: serial.clone(),
                seed,
                enabled: Some((user.name.clone(), now)),
                drift: 0,
                last_used: None,
                unsettled: Unsettled::default(),
            };
            if self.devices.insert(serial, made).is_some() {
                return Err(place("its MFA device's name is taken"));
            }
        }
        for group in &user.groups {
            let group = self.groups.get_mut(group).ok_or_else(|| place("its group is not there"))?;
            group.members.insert(user.name.clone());
        }
        let made = User {
            name: user.name.clone(),
            path: user.path.clone(),
            id: entropy.unique_id("AIDA"),
            created: now,
            policies: documents(&user.policies, &user.name)?,
            password: user.password.clone(),
            earlier_passwords: Vec::new(),
        };
        match self.users.insert(user.name.clone(), made) {
            Some(_) => Err(place("two users have this name")),
            None => Ok(()),
        }
    }

    /// Refuses a trust policy that names a user or role of this account which is not there, as IAM does.
    pub(crate) fn check_principals(&self, trust: &Document) -> Result<(), Refusal> {
        let prefix = self.arn("iam", "");
        for principal in trust.principals().filter(|principal| principal.starts_with(&prefix)) {
            let known = principal == self.arn("iam", "root")
                || self.users.values().any(|user| self.user_arn(user) == principal)
                || self.role_by_arn(principal).is_some();
            if !known {
                return Err(Refusal::malformed_policy(format!("Invalid principal in policy: \"AWS\":\"{principal}\"")));
            }
        }
        Ok(())
    }
}

fn documents(policies: &[Value], owner: &str) -> Result<Vec<Document>, SeedInvalid> {
    let parse = |policy: &Value| {
        Document::parse(&policy.to_string(), Kind::Identity).map_err(|refusal| in_place(owner, &refusal))
    };
    policies.iter().map(parse).collect()
}

fn in_place(owner: &str, refusal: &Refusal) -> SeedInvalid {
    SeedInvalid(format!("{owner}: {}", refusal.message))
}
