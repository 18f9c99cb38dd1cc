//! The audit record's nouns: a line of its file without the seal, and what `audit log` shows.

use super::aws::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that happened. Members stand in the order of their names: that is the canonical text. Texts from outside
/// are bounded and printable; no member ever holds a secret, a code or an argument list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Shared by the record that opens an act and the one that closes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
    /// What AWS was asked and gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AuditAws>,
    /// The boot of the machine (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// Milliseconds since that boot: a clock that nobody steps.
    pub boot_ms: u64,
    /// How much a `gap`, `recovered` or `retired` record is about: records, bytes, files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Why it failed: a fault's code or the room's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What happened, such as `session.new`.
    pub event: String,
    /// `begun`, `done`, `failed`, or `abandoned` where whoever asked left before the end.
    pub outcome: String,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<AuditPeer>,
    /// Why: what locked the vault, which kind of gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its number; each record's is one more than that of the one before.
    pub seq: u64,
    /// What the SSH agent was asked to sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<AuditSsh>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<AuditSubject>,
    /// The last number that a `retired` record speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
    /// The wall clock, RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// The form of the record: 1.
    pub v: u32,
    /// The vault's version, where it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<AuditVault>,
}

/// A version of the vault. An older file than the last one on record is noticed by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVault {
    /// How often the vault had been saved.
    pub generation: u64,
    /// The header MAC of its file, 64 hex digits.
    pub mac: String,
    /// When it was saved, in milliseconds since 1970.
    pub saved: i64,
}

/// What AWS was asked and gave, as CloudTrail names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAws {
    /// The access key id: of the session (ASIA…), or the long-lived one that was handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// The endpoint that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// When the session ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The device whose code went with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_serial: Option<String>,
    /// Such as `sts:AssumeRole`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// AWS's id of the request; CloudTrail's `requestID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// RoleSessionName.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// SourceIdentity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// The TOTP step that was spent (RFC 6238's T), never its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp_step: Option<u64>,
}

/// Who asked, as the kernel told it at that moment. For people to read: nothing is decided by it, and a program can
/// choose what its name and path say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPeer {
    /// Its parents, nearest first; read where a session or a secret is handed out for the first time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<AuditProcess>,
    /// Its working directory, for questions alone: never on record.
    #[serde(skip)]
    pub cwd: Option<String>,
    /// The path of its program, for display only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The leader of its login session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<i32>,
    /// Its process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// When it began, in clock ticks since boot: with the pid it names one process (proc_pid_stat(5)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// Its terminal, `major:minor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<String>,
    /// Its user.
    pub uid: u32,
}

/// A process of a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditProcess {
    /// The path of its program, for display only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Its name; threads can change it.
    pub name: String,
    /// Its process id.
    pub pid: i32,
    /// When it began, in clock ticks since boot.
    pub start: u64,
}

/// What a record is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSubject {
    /// The name of an access key or an authenticator here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who the session acts as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The role asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// A vault slot: its kind or its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
}

/// A signature of the SSH agent, made or refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSsh {
    /// Where the connection comes from, as it has proved: `unbound`, `bound` to one login of this machine, `forwarded`,
    /// or `tainted` where a proof was wrong.
    pub binding: String,
    /// What the owner of a key of `ssh-add`, or of another agent, calls it: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether a person allowed it; absent where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<bool>,
    /// The host, by the name in the key's destinations; of a push the instance's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The fingerprint of the host key that the connection is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// The fingerprint of the key, as `ssh-keygen -l` shows it: of a certificate that of its key.
    pub key: String,
    /// The key's name in the vault, where it is one of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of a signature (PROTOCOL.sshsig).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What was to be signed: `userauth`, `sshsig` or `other`; `push` where nothing was, and an EC2 instance was to take the
    /// key for a minute.
    pub payload: String,
    /// The user on the host, for a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// From when on records are wanted: `90m`, `12h`, `7d` ago, or a date or time as RFC 3339 begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Since {
    /// So many seconds ago.
    Ago(u64),
    /// A date or time in UTC.
    At(String),
}

impl TryFrom<String> for Since {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        const RULE: Invalid =
            Invalid("since is 90m, 12h or 7d, or a date or time such as 2026-01-31 or 2026-01-31T12:00");
        let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
        let ago = units.iter().find_map(|(unit, seconds)| {
            let count = text.strip_suffix(unit).filter(|digits| (1..=6).contains(&digits.len()))?;
            count.bytes().all(|byte| byte.is_ascii_digit()).then(|| count.parse::<u64>().ok())?.map(|n| n * seconds)
        });
        if let Some(seconds) = ago {
            return Ok(Self::Ago(seconds));
        }
        const SHAPE: &str = "0000-00-00T00:00:00.000Z";
        let fits = |(c, shape): (char, char)| if shape == '0' { c.is_ascii_digit() } else { c == shape };
        if (10..=SHAPE.len()).contains(&text.len()) && text.chars().zip(SHAPE.chars()).all(fits) {
            Ok(Self::At(text))
        } else {
            Err(RULE)
        }
    }
}

impl std::str::FromStr for Since {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::try_from(text.to_owned())
    }
}

impl From<Since> for String {
    fn from(since: Since) -> Self {
        since.to_string()
    }
}

impl fmt::Display for Since {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(seconds) => write!(out, "{seconds}s"),
            Self::At(time) => out.write_str(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AuditRecord, Since};

    #[test]
    fn since_is_a_duration_or_the_beginning_of_a_time() {
        assert_eq!("7d".parse(), Ok(Since::Ago(604_800)));
        assert_eq!("90m".parse(), Ok(Since::Ago(5_400)));
        assert_eq!("2026-01-31".parse(), Ok(Since::At("2026-01-31".to_owned())));
        assert_eq!("2026-01-31T12:00".parse(), Ok(Since::At("2026-01-31T12:00".to_owned())));
        for junk in
            ["", "d", "7", "7w", "-7d", "9999999d", "2026-1-31", "2026-01", "yesterday", "2026-01-31 12:00", "é"]
        {
            assert!(junk.parse::<Since>().is_err(), "{junk}");
        }
    }

    #[test]
    fn the_members_stand_in_the_order_of_their_names() {
        let full = r#"{"act":"a","aws":{},"boot":"b","boot_ms":1,"count":1,"error":"e","event":"x","outcome":"done","peer":{"uid":0},"reason":"r","seq":1,"ssh":{"binding":"b","key":"k","payload":"p"},"subject":{},"through":1,"time":"t","v":1,"vault":{"generation":1,"mac":"m","saved":1}}"#;
        let record: AuditRecord = serde_json::from_str(full).expect("a record");
        assert_eq!(serde_json::to_string(&record).expect("JSON"), full);
        let names: Vec<&str> = full.split("\"").skip(1).step_by(2).collect();
        let members = [
            "act", "aws", "boot", "boot_ms", "count", "error", "event", "outcome", "peer", "reason", "seq", "ssh",
            "subject", "through", "time", "v", "vault",
        ];
        let mut sorted = members;
        sorted.sort_unstable();
        assert_eq!(members, sorted);
        assert!(members.iter().all(|member| names.contains(member)));
    }
}
