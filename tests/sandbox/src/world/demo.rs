//! The demo world.

use super::seed::policy;
use super::{
    Seed, SeedAccessKey, SeedGroup, SeedInstance, SeedKeyOrigin, SeedKeyPair, SeedMfaDevice, SeedRole, SeedUser,
};
use crate::entropy::Entropy;
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

/// The region of the demo's key pair and instances.
const REGION: &str = "us-east-1";
/// The private half of `ada-launch`, made up for the demo and the same in every one.
const LAUNCH_KEY: &str = include_str!("demo-launch-key.pem");
const LAUNCH_PAIR: &str = "ada-launch";

impl Seed {
    /// The demo world: user `ada` in `engineers` with one access key and the enabled device `ada-phone`; roles
    /// `prod-admin` (wants MFA), `audit-read` (from prod-admin), `partner` (wants the external id `partner-42`) and
    /// `plain`; in us-east-1 the key pair `ada-launch` and the instances `web-1` (Linux), `batch-1` (Linux, stopped) and
    /// `desk-1` (Windows) that were launched with it. Keys and seed follow from `entropy`, but the launch key is fixed.
    pub fn demo(entropy: u64) -> Self {
        let mut random = Entropy::new("demo", entropy);
        let key = SeedAccessKey { id: random.access_key_id("AKIA"), secret: random.secret_access_key(), active: true };
        let device = SeedMfaDevice { name: "ada-phone".to_owned(), seed: BASE32_NOPAD.encode(&random.mfa_seed()) };
        let root = json!({"AWS": "arn:aws:iam::123456789012:root"});
        let mfa = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
        let external = json!({"StringEquals": {"sts:ExternalId": "partner-42"}});
        let mut seed = Self::empty("123456789012");
        seed.entropy = entropy;
        seed.groups = vec![SeedGroup { name: "engineers".to_owned(), policies: vec![self_service(), machines()] }];
        seed.users = vec![SeedUser {
            groups: vec!["engineers".to_owned()],
            access_keys: vec![key],
            mfa_devices: vec![device],
            password: Some("Correct-Horse-7".to_owned()),
            ..SeedUser::named("ada")
        }];
        let all = |actions: Value| policy(json!({"Effect": "Allow", "Action": actions, "Resource": "*"}));
        seed.roles = vec![
            SeedRole {
                max_session_duration: 43_200,
                policies: vec![all(json!(["iam:*", "sts:*", "ec2:*", "ec2-instance-connect:*"]))],
                ..SeedRole::trusting("prod-admin", root.clone(), Some(mfa))
            },
            SeedRole {
                policies: vec![all(json!(["iam:Get*", "iam:List*"]))],
                ..SeedRole::trusting("audit-read", json!({"AWS": "arn:aws:iam::123456789012:role/prod-admin"}), None)
            },
            SeedRole::trusting("partner", root.clone(), Some(external)),
            SeedRole::trusting("plain", root, None),
        ];
        seed.key_pairs = vec![SeedKeyPair {
            region: REGION.to_owned(),
            name: LAUNCH_PAIR.to_owned(),
            origin: SeedKeyOrigin::Created(LAUNCH_KEY.to_owned()),
            tags: [("Owner".to_owned(), "ada".to_owned())].into(),
        }];
        let launched = |instance: SeedInstance| SeedInstance {
            key_name: Some(LAUNCH_PAIR.to_owned()),
            public_ip: Some("127.0.0.1".to_owned()),
            ..instance
        };
        seed.instances = vec![
            launched(SeedInstance::linux(REGION, "i-0a11ce0000000001a", "10.0.1.10").named("web-1")),
            SeedInstance {
                public_ip: None,
                zone: 'b',
                state: super::InstanceState::Stopped,
                ..launched(SeedInstance::linux(REGION, "i-0a11ce0000000002b", "10.0.2.20").named("batch-1"))
            },
            launched(
                SeedInstance::windows(REGION, "i-0a11ce0000000003c", "10.0.1.30", LAUNCH_PAIR, "Winter-Sun-9!(k")
                    .named("desk-1"),
            ),
        ];
        seed
    }
}

/// Her own keys, devices and password, and every role.
fn self_service() -> Value {
    policy(json!([
        {
            "Effect": "Allow",
            "Action": [
                "iam:GetUser", "iam:ListMFADevices", "iam:EnableMFADevice", "iam:ResyncMFADevice", "iam:DeactivateMFADevice",
                "iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys",
                "iam:GetAccessKeyLastUsed", "iam:ListGroupsForUser", "iam:ChangePassword"
            ],
            "Resource": "arn:aws:iam::*:user/${aws:username}"
        },
        {
            "Effect": "Allow",
            "Action": ["iam:CreateVirtualMFADevice", "iam:DeleteVirtualMFADevice", "iam:ListVirtualMFADevices"],
            "Resource": "arn:aws:iam::*:mfa/*"
        },
        {"Effect": "Allow", "Action": ["iam:GetAccountPasswordPolicy"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Resource": "arn:aws:iam::*:role/*"
        }
    ]))
}

/// Key pairs, and the way into instances.
fn machines() -> Value {
    policy(json!([
        {
            "Effect": "Allow",
            "Action": [
                "ec2:DescribeRegions", "ec2:DescribeKeyPairs", "ec2:DescribeInstances", "ec2:CreateKeyPair",
                "ec2:ImportKeyPair", "ec2:DeleteKeyPair", "ec2:CreateTags", "ec2:GetPasswordData"
            ],
            "Resource": "*"
        },
        {"Effect": "Allow", "Action": "ec2-instance-connect:SendSSHPublicKey", "Resource": "*"}
    ]))
}
