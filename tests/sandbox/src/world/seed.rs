//! The description of an account, as tests build it and `--seed-file` reads it.

use super::seed_ec2::{SeedInstance, SeedKeyPair, default_key_pair_quota, default_regions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An account to start with. Every key and secret in it is made up.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The partition in ARNs.
    #[serde(default = "default_partition")]
    pub partition: String,
    /// Twelve digits.
    pub account: String,
    /// The number that every generated identifier follows from.
    #[serde(default)]
    pub entropy: u64,
    /// IAM users.
    #[serde(default)]
    pub users: Vec<SeedUser>,
    /// IAM groups.
    #[serde(default)]
    pub groups: Vec<SeedGroup>,
    /// IAM roles.
    #[serde(default)]
    pub roles: Vec<SeedRole>,
    /// The account's password policy; none means AWS's default one.
    #[serde(default)]
    pub password_policy: Option<PasswordPolicy>,
    /// How long IAM takes to make new things known.
    #[serde(default)]
    pub consistency: Consistency,
    /// The regions that it has enabled.
    #[serde(default = "default_regions")]
    pub regions: Vec<String>,
    /// EC2 key pairs.
    #[serde(default)]
    pub key_pairs: Vec<SeedKeyPair>,
    /// Key pairs that it may have in a region.
    #[serde(default = "default_key_pair_quota")]
    pub key_pair_quota: usize,
    /// EC2 instances.
    #[serde(default)]
    pub instances: Vec<SeedInstance>,
}

/// IAM's eventual consistency: a new access key is no key, a new MFA device no device, and an enabled one no factor, for
/// its first uses and for a while. What a seed describes is known from the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Consistency {
    /// Uses that find it unknown.
    pub calls: u32,
    /// Milliseconds for which it is unknown.
    pub millis: i64,
}

/// An IAM user.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedUser {
    /// User name.
    pub name: String,
    /// IAM path.
    #[serde(default = "default_path")]
    pub path: String,
    /// Names of groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// At most two.
    #[serde(default)]
    pub access_keys: Vec<SeedAccessKey>,
    /// Virtual devices, enabled for this user; at most eight.
    #[serde(default)]
    pub mfa_devices: Vec<SeedMfaDevice>,
    /// Inline policies.
    #[serde(default)]
    pub policies: Vec<Value>,
    /// Console password, where there is a login profile.
    #[serde(default)]
    pub password: Option<String>,
}

/// An access key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedAccessKey {
    /// `AKIA` and 16 characters.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// False: the key is Inactive.
    #[serde(default = "default_true")]
    pub active: bool,
}

/// A virtual MFA device.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedMfaDevice {
    /// The last part of its serial.
    pub name: String,
    /// The seed in base32, without padding.
    pub seed: String,
}

/// An IAM group.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGroup {
    /// Group name.
    pub name: String,
    /// Inline policies.
    #[serde(default)]
    pub policies: Vec<Value>,
}

/// An IAM role.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedRole {
    /// Role name.
    pub name: String,
    /// IAM path.
    #[serde(default = "default_path")]
    pub path: String,
    /// Trust policy.
    pub trust: Value,
    /// Seconds, 3600 to 43200.
    #[serde(default = "default_max_session_duration")]
    pub max_session_duration: i64,
    /// Inline policies.
    #[serde(default)]
    pub policies: Vec<Value>,
}

/// The rules for console passwords (IAM API, UpdateAccountPasswordPolicy).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordPolicy {
    /// 6 to 128 characters.
    pub minimum_length: i64,
    /// At least one of ``! @ # $ % ^ & * ( ) _ + - = [ ] { } | '``.
    pub require_symbols: bool,
    /// At least one digit.
    pub require_numbers: bool,
    /// At least one of A to Z.
    pub require_uppercase: bool,
    /// At least one of a to z.
    pub require_lowercase: bool,
    /// Users may change their own password without a policy that says so.
    pub allow_users_to_change: bool,
    /// Days until a password expires; 0 for never.
    pub max_age_days: i64,
    /// How many earlier passwords may not be used again.
    pub reuse_prevention: Option<i64>,
    /// Whether an expired password needs an administrator.
    pub hard_expiry: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            minimum_length: 6,
            require_symbols: false,
            require_numbers: false,
            require_uppercase: false,
            require_lowercase: false,
            allow_users_to_change: false,
            max_age_days: 0,
            reuse_prevention: None,
            hard_expiry: false,
        }
    }
}

/// Why a seed describes no account that AWS would have. Names the place, never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedInvalid(pub(crate) String);

impl std::fmt::Display for SeedInvalid {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for SeedInvalid {}

impl Seed {
    /// An account without anybody in it.
    pub fn empty(account: &str) -> Self {
        Self {
            partition: default_partition(),
            account: account.to_owned(),
            entropy: 0,
            users: Vec::new(),
            groups: Vec::new(),
            roles: Vec::new(),
            password_policy: None,
            consistency: Consistency::default(),
            regions: default_regions(),
            key_pairs: Vec::new(),
            key_pair_quota: default_key_pair_quota(),
            instances: Vec::new(),
        }
    }

    /// Adds a user.
    pub fn with_user(mut self, user: SeedUser) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a group.
    pub fn with_group(mut self, group: SeedGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// Adds a role.
    pub fn with_role(mut self, role: SeedRole) -> Self {
        self.roles.push(role);
        self
    }

    /// Adds an EC2 key pair.
    pub fn with_key_pair(mut self, pair: SeedKeyPair) -> Self {
        self.key_pairs.push(pair);
        self
    }

    /// Adds an EC2 instance.
    pub fn with_instance(mut self, instance: SeedInstance) -> Self {
        self.instances.push(instance);
        self
    }

    /// The serial of a device of this name.
    pub fn mfa_serial(&self, name: &str) -> String {
        format!("arn:{}:iam::{}:mfa/{name}", self.partition, self.account)
    }
}

impl SeedUser {
    /// A user with nothing: no key, no device, no policy.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: default_path(),
            groups: Vec::new(),
            access_keys: Vec::new(),
            mfa_devices: Vec::new(),
            policies: Vec::new(),
            password: None,
        }
    }

    /// Adds an active access key.
    pub fn with_access_key(mut self, id: &str, secret: &str) -> Self {
        self.access_keys.push(SeedAccessKey { id: id.to_owned(), secret: secret.to_owned(), active: true });
        self
    }

    /// Adds an enabled virtual device; the seed is base32.
    pub fn with_mfa_device(mut self, name: &str, seed: &str) -> Self {
        self.mfa_devices.push(SeedMfaDevice { name: name.to_owned(), seed: seed.to_owned() });
        self
    }

    /// Adds an inline policy with this one statement (or list of statements).
    pub fn with_policy(mut self, statement: Value) -> Self {
        self.policies.push(policy(statement));
        self
    }
}

impl SeedRole {
    /// A role that this principal may assume, tag and give a source identity, under this condition.
    pub fn trusting(name: &str, principal: Value, condition: Option<Value>) -> Self {
        let actions = json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);
        let mut statement = json!({"Effect": "Allow", "Principal": principal, "Action": actions});
        if let (Some(condition), Some(fields)) = (condition, statement.as_object_mut()) {
            fields.insert("Condition".to_owned(), condition);
        }
        Self {
            name: name.to_owned(),
            path: default_path(),
            trust: policy(statement),
            max_session_duration: default_max_session_duration(),
            policies: Vec::new(),
        }
    }

    /// Adds an inline policy with this one statement (or list of statements).
    pub fn with_policy(mut self, statement: Value) -> Self {
        self.policies.push(policy(statement));
        self
    }
}

pub(super) fn policy(statement: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statement})
}

fn default_partition() -> String {
    "aws".to_owned()
}

fn default_path() -> String {
    "/".to_owned()
}

fn default_true() -> bool {
    true
}

fn default_max_session_duration() -> i64 {
    3600
}
