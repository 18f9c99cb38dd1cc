//! From a seed to what an account has in its regions.

use super::region::{Ec2, Instance, KeyPair};
use super::{Seed, SeedInstance, SeedInvalid, SeedKeyOrigin, SeedKeyPair};
use crate::entropy::Entropy;
use crate::ssh_key::{PrivateKey, PublicKey};
use std::collections::BTreeMap;

impl Ec2 {
    pub(super) fn build(seed: &Seed, entropy: &mut Entropy, now: i64) -> Result<Self, SeedInvalid> {
        let mut ec2 = Self {
            enabled: seed.regions.clone(),
            key_pair_quota: seed.key_pair_quota,
            regions: BTreeMap::new(),
            pushed: Vec::new(),
        };
        for pair in &seed.key_pairs {
            ec2.add_key_pair(pair, entropy, now)?;
        }
        for instance in &seed.instances {
            ec2.launch(instance, entropy, now)?;
        }
        Ok(ec2)
    }

    fn add_key_pair(&mut self, pair: &SeedKeyPair, entropy: &mut Entropy, now: i64) -> Result<(), SeedInvalid> {
        let place = |rule: &str| SeedInvalid(format!("{}: {rule}", pair.name));
        self.check_region(&pair.region)?;
        let (key, fingerprint) = match &pair.origin {
            SeedKeyOrigin::Created(pem) => {
                let private = PrivateKey::read_rsa(pem);
                private.and_then(|private| Some((private.public()?, private.created_fingerprint()?)))
            }
            SeedKeyOrigin::Imported(line) => PublicKey::read(line.as_bytes()).map(|key| {
                let fingerprint = key.imported_fingerprint();
                (key, fingerprint)
            }),
        }
        .ok_or_else(|| place("its key is not one that EC2 takes"))?;
        let made = KeyPair {
            id: entropy.resource_id("key"),
            name: pair.name.clone(),
            key,
            fingerprint,
            created: now,
            tags: pair.tags.clone(),
        };
        match self.region(&pair.region).key_pairs.insert(pair.name.clone(), made) {
            Some(_) => Err(place("two key pairs of one region have this name")),
            None => Ok(()),
        }
    }

    /// Launches an instance, in the state that its description says.
    pub(crate) fn launch(&mut self, seed: &SeedInstance, entropy: &mut Entropy, now: i64) -> Result<(), SeedInvalid> {
        let place = |rule: &str| SeedInvalid(format!("{}: {rule}", seed.id));
        self.check_region(&seed.region)?;
        let digits = seed.id.strip_prefix("i-").unwrap_or_default();
        if ![8, 17].contains(&digits.len()) || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(place("an instance id is i- and 8 or 17 hexadecimal digits"));
        }
        if self.instance_mut(&seed.id).is_some() {
            return Err(place("two instances have this id"));
        }
        let region = self.region(&seed.region);
        let key = match &seed.key_name {
            Some(name) => Some(region.key_pairs.get(name).ok_or_else(|| place("its key pair is not in the region"))?),
            None => None,
        };
        let password = match &seed.windows_password {
            None => None,
            Some(password) => {
                let launch_key = key.ok_or_else(|| place("a Windows instance is launched with a key pair"))?;
                match launch_key.key.rsa_spki() {
                    Some(spki) => {
                        let under_key = encrypt(&spki, password).ok_or_else(|| {
                            place("its key is smaller than 2048 bits, or its password longer than the key takes")
                        })?;
                        Some((under_key, now.saturating_add(seed.password_delay_millis)))
                    }
                    // Nothing can be encrypted to Ed25519: the password is never there.
                    None => None,
                }
            }
        };
        let mut tags = seed.tags.clone();
        if let Some(name) = &seed.name {
            tags.insert("Name".to_owned(), name.clone());
        }
        let made = Instance {
            id: seed.id.clone(),
            reservation_id: entropy.resource_id("r"),
            tags,
            key_name: seed.key_name.clone(),
            private_ip: seed.private_ip.clone(),
            public_ip: seed.public_ip.clone(),
            availability_zone: format!("{}{}", seed.region, seed.zone),
            state: seed.state,
            windows: seed.windows_password.is_some(),
            launched: now,
            password,
            ssh_port: seed.ssh_port,
        };
        region.instances.insert(made.id.clone(), made);
        Ok(())
    }

    fn check_region(&self, region: &str) -> Result<(), SeedInvalid> {
        if self.enabled.iter().any(|enabled| enabled == region) {
            return Ok(());
        }
        Err(SeedInvalid(format!("{region}: the account has not enabled this region")))
    }
}

/// A text under an RSA public key by RSAES-PKCS1-v1_5 (RFC 8017 section 7.2), in base64.
fn encrypt(spki: &[u8], text: &str) -> Option<String> {
    use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
    let key = Pkcs1PublicEncryptingKey::new(PublicEncryptingKey::from_der(spki).ok()?).ok()?;
    let mut room = vec![0; key.key_size_bytes()];
    let under_key = key.encrypt(text.as_bytes(), &mut room).ok()?;
    Some(data_encoding::BASE64.encode(under_key))
}
