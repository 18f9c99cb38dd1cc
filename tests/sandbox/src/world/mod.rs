//! One account of the double: its users, keys, devices, groups, roles and sessions.

mod build;
mod build_ec2;
mod demo;
pub(crate) mod region;
mod seed;
mod seed_ec2;

pub use region::InstanceState;
pub use seed::{
    Consistency, PasswordPolicy, Seed, SeedAccessKey, SeedGroup, SeedInvalid, SeedMfaDevice, SeedRole, SeedUser,
};
pub(crate) use seed_ec2::{DEFAULT_REGIONS, OPT_IN_REGIONS};
pub use seed_ec2::{SeedInstance, SeedKeyOrigin, SeedKeyPair};

use crate::policy::{CallerNames, Context, Document};
use crate::reply::Refusal;
use crate::time;
use region::Ec2;
use std::collections::{BTreeMap, BTreeSet};

/// The account.
pub(crate) struct World {
    pub(crate) partition: String,
    pub(crate) account: String,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) roles: BTreeMap<String, Role>,
    /// By serial.
    pub(crate) devices: BTreeMap<String, Device>,
    pub(crate) access_keys: BTreeMap<String, AccessKey>,
    /// By access key id.
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) password_policy: Option<PasswordPolicy>,
    pub(crate) consistency: Consistency,
    pub(crate) ec2: Ec2,
    /// Every step that was accepted, by serial, also of devices that are gone.
    pub(crate) steps: BTreeMap<String, Vec<i64>>,
    /// Codes that were refused and had been accepted before.
    pub(crate) reused: u64,
}

pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) policies: Vec<Document>,
    pub(crate) password: Option<String>,
    /// The ones before, the latest last.
    pub(crate) earlier_passwords: Vec<String>,
}

pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) policies: Vec<Document>,
    pub(crate) members: BTreeSet<String>,
}

pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) description: Option<String>,
    pub(crate) trust_text: String,
    pub(crate) trust: Document,
    pub(crate) max_session_duration: i64,
    pub(crate) policies: Vec<Document>,
}

/// A virtual MFA device.
pub(crate) struct Device {
    pub(crate) serial: String,
    pub(crate) seed: Vec<u8>,
    /// Whose it is and since when, once enabled.
    pub(crate) enabled: Option<(String, i64)>,
    /// Steps that it runs ahead of the server, as ResyncMFADevice found.
    pub(crate) drift: i64,
    pub(crate) last_used: Option<i64>,
    pub(crate) unsettled: Unsettled,
}

pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) user: String,
    pub(crate) active: bool,
    pub(crate) created: i64,
    /// When, for which service, in which region.
    pub(crate) last_used: Option<(i64, &'static str, String)>,
    pub(crate) unsettled: Unsettled,
}

/// For how long what IAM made is not known everywhere yet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Unsettled {
    calls: u32,
    until: i64,
}

impl Unsettled {
    /// Whether it is known now; counts as one of the calls that must find it unknown.
    pub(crate) fn settles(&mut self, now: i64) -> bool {
        let spared = self.calls > 0;
        self.calls = self.calls.saturating_sub(1);
        !spared && now >= self.until
    }
}

/// Temporary credentials.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) issued: i64,
    pub(crate) expires: i64,
    pub(crate) principal: Principal,
    /// When an MFA code was given, in milliseconds; only GetSessionToken sessions carry it.
    pub(crate) mfa_at: Option<i64>,
    /// None: no session policy. Some: the session may do no more than these.
    pub(crate) policies: Option<Vec<Document>>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) transitive: BTreeSet<String>,
    pub(crate) source_identity: Option<String>,
}

/// Who credentials belong to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    Federated { user: String, name: String },
    Role { role: String, session_name: String },
    User(String),
}

/// Who makes a call.
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// None for an access key of a user.
    pub(crate) session: Option<Session>,
}

impl World {
    /// What something made now has before it.
    pub(crate) fn unsettled(&self, now: i64) -> Unsettled {
        Unsettled { calls: self.consistency.calls, until: now.saturating_add(self.consistency.millis) }
    }

    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}::{}:{resource}", self.partition, self.account)
    }

    pub(crate) fn user_arn(&self, user: &User) -> String {
        self.arn("iam", &format!("user{}{}", user.path, user.name))
    }

    pub(crate) fn group_arn(&self, group: &Group) -> String {
        self.arn("iam", &format!("group{}{}", group.path, group.name))
    }

    pub(crate) fn role_arn(&self, role: &Role) -> String {
        self.arn("iam", &format!("role{}{}", role.path, role.name))
    }

    pub(crate) fn user(&self, name: &str) -> Result<&User, Refusal> {
        self.users.get(name).ok_or_else(|| no_user(name))
    }

    pub(crate) fn user_mut(&mut self, name: &str) -> Result<&mut User, Refusal> {
        self.users.get_mut(name).ok_or_else(|| no_user(name))
    }

    pub(crate) fn role(&self, name: &str) -> Result<&Role, Refusal> {
        self.roles
            .get(name)
            .ok_or_else(|| Refusal::no_such_entity(format!("The role with name {name} cannot be found.")))
    }

    pub(crate) fn role_by_arn(&self, arn: &str) -> Option<&Role> {
        self.roles.values().find(|role| self.role_arn(role) == arn)
    }

    /// The ARN that GetCallerIdentity shows.
    pub(crate) fn principal_arn(&self, principal: &Principal) -> String {
        match principal {
            Principal::User(name) => self.users.get(name).map(|user| self.user_arn(user)).unwrap_or_default(),
            Principal::Role { role, session_name } => self.arn("sts", &format!("assumed-role/{role}/{session_name}")),
            Principal::Federated { name, .. } => self.arn("sts", &format!("federated-user/{name}")),
        }
    }

    /// The unique id that GetCallerIdentity shows.
    pub(crate) fn principal_id(&self, principal: &Principal) -> String {
        match principal {
            Principal::User(name) => self.users.get(name).map(|user| user.id.clone()).unwrap_or_default(),
            Principal::Role { role, session_name } => {
                format!("{}:{session_name}", self.roles.get(role).map(|role| role.id.as_str()).unwrap_or_default())
            }
            Principal::Federated { name, .. } => format!("{}:{name}", self.account),
        }
    }

    /// How trust policies may name this caller.
    pub(crate) fn caller_names(&self, principal: &Principal) -> CallerNames {
        let role = match principal {
            Principal::Role { role, .. } => self.roles.get(role).map(|role| self.role_arn(role)),
            _ => None,
        };
        CallerNames {
            account: self.account.clone(),
            account_root: self.arn("iam", "root"),
            own: self.principal_arn(principal),
            role,
        }
    }

    /// The caller's identity policies: the user's and their groups', or the role's.
    pub(crate) fn policies_of(&self, principal: &Principal) -> Vec<&Document> {
        match principal {
            Principal::Role { role, .. } => {
                self.roles.get(role).map(|role| role.policies.iter().collect()).unwrap_or_default()
            }
            Principal::User(name) | Principal::Federated { user: name, .. } => {
                let own = self.users.get(name).into_iter().flat_map(|user| &user.policies);
                let groups = self.groups.values().filter(|group| group.members.contains(name));
                own.chain(groups.flat_map(|group| &group.policies)).collect()
            }
        }
    }

    /// The facts about a caller that conditions may ask for (IAM user guide, global condition keys).
    pub(crate) fn context_of(&self, caller: &Caller, now: i64) -> Context {
        let mut context = Context::default();
        context.set("aws:userid", self.principal_id(&caller.principal));
        context.set("aws:PrincipalAccount", &self.account);
        context.set("aws:EpochTime", now.div_euclid(1000).to_string());
        match &caller.principal {
            Principal::User(name) => {
                context.set("aws:username", name);
                context.set("aws:PrincipalType", "User");
                context.set("aws:PrincipalArn", self.principal_arn(&caller.principal));
            }
            Principal::Role { role, .. } => {
                context.set("aws:PrincipalType", "AssumedRole");
                context
                    .set("aws:PrincipalArn", self.roles.get(role).map(|role| self.role_arn(role)).unwrap_or_default());
            }
            Principal::Federated { .. } => {
                context.set("aws:PrincipalType", "FederatedUser");
                context.set("aws:PrincipalArn", self.principal_arn(&caller.principal));
            }
        }
        // Long-term keys have no such key at all; temporary credentials always have it.
        if let Some(session) = &caller.session {
            context.set("aws:TokenIssueTime", time::iso8601(session.issued));
            context.set("aws:MultiFactorAuthPresent", session.mfa_at.is_some().to_string());
            if let Some(at) = session.mfa_at {
                context.set("aws:MultiFactorAuthAge", (now - at).div_euclid(1000).to_string());
            }
            for (key, value) in &session.tags {
                context.set(&format!("aws:PrincipalTag/{key}"), value);
            }
            if let Some(identity) = &session.source_identity {
                context.set("aws:SourceIdentity", identity);
            }
        }
        context
    }
}

fn no_user(name: &str) -> Refusal {
    Refusal::no_such_entity(format!("The user with name {name} cannot be found."))
}
