//! What is secret, where it was looked for, and where it may stand.

use crate::needles::{Form, Needles, Search};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// The kinds of secret. The last ones are the test's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    AccessKeySecret,
    AuditKey,
    Code,
    EndpointToken,
    ImdsToken,
    /// The password of a Windows instance.
    InstancePassword,
    KeyringSecret,
    MasterKey,
    Passphrase,
    /// Of the console.
    Password,
    RecoveryCode,
    Seed,
    SessionSecret,
    SessionToken,
    /// What a credential source said or was shown, and no credentials came of it.
    SourceSecret,
    /// The private half of an SSH key.
    SshKey,
    /// What a person typed in answer to a question.
    TypedAnswer,
    /// What stands in a file of the user's that is written anew, and stays.
    Kept,
    /// A secret in the wrong place: where the input was not understood.
    Malformed,
    /// A secret that the user put on the command line or into the environment of a client.
    Misplaced,
    /// No secret: seen wherever the search has eyes.
    Control,
}

/// Where a secret could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    AgentEnvironment,
    Argv,
    Audit,
    Bus,
    /// The environment of a command that `exec` became.
    ChildEnvironment,
    ClientEnvironment,
    File,
    /// What an endpoint answered.
    Http,
    /// The agent's log at TRACE, panics included.
    Log,
    /// Between agent and STS.
    Network,
    /// Files outside the home that came while the test ran: temporary ones, and what a crash would leave.
    Outside,
    /// What the agent said on its socket, by request.
    Reply,
    /// By verb.
    Stderr,
    /// By verb.
    Stdout,
    TokenFile,
}

use Class::{
    AccessKeySecret, Code, EndpointToken, ImdsToken, InstancePassword, Kept, Misplaced, Password, RecoveryCode, Seed,
    SessionSecret, SessionToken, SshKey,
};
use Place::{
    AgentEnvironment, Argv, Audit, Bus, ChildEnvironment, ClientEnvironment, File, Http, Network, Outside, Reply,
    Stderr, Stdout, TokenFile,
};

/// Where a class may stand, and no class stands anywhere else. First the two places of design: what `exec` gives its
/// child, and the token file. Then what doors say by their contract, and what goes to AWS.
const ALLOWED: &[(Class, Place, &str)] = &[
    (EndpointToken, ChildEnvironment, ""),
    (SessionSecret, ChildEnvironment, ""),
    (SessionToken, ChildEnvironment, ""),
    (EndpointToken, TokenFile, ""),
    (AccessKeySecret, Stdout, "access-key export"),
    (Code, Stdout, "mfa code"),
    (Password, Stdout, "password change"),
    (RecoveryCode, Stdout, "backup"),
    (RecoveryCode, Stdout, "init"),
    (RecoveryCode, Stdout, "slot add"),
    (Seed, Stdout, "mfa export"),
    (SessionSecret, Stdout, "env"),
    (SessionSecret, Stdout, "process"),
    (SessionToken, Stdout, "env"),
    (SessionToken, Stdout, "process"),
    (SshKey, Stdout, "ssh-key export"),
    (InstancePassword, Stdout, "keypair password"),
    (AccessKeySecret, Reply, "access_key_export"),
    (Code, Reply, "mfa_code"),
    (EndpointToken, Reply, "endpoint_open"),
    (Password, Reply, "password_suggest"),
    (RecoveryCode, Reply, "backup"),
    (RecoveryCode, Reply, "slot_add"),
    (Seed, Reply, "mfa_export"),
    (SessionSecret, Reply, "credentials"),
    (SessionToken, Reply, "credentials"),
    (SshKey, Reply, "ssh_key_export"),
    (InstancePassword, Reply, "keypair_password"),
    // What AWS makes comes from there.
    (SshKey, Network, ""),
    (ImdsToken, Http, ""),
    (SessionSecret, Http, ""),
    (SessionToken, Http, ""),
    (AccessKeySecret, Network, "an answer"),
    (Code, Network, ""),
    (Password, Network, "a request"),
    (Seed, Network, "an answer"),
    (SessionSecret, Network, ""),
    (SessionToken, Network, ""),
    // Put there by the test, as a careless user would.
    (Kept, File, ""),
    (Misplaced, Argv, ""),
    (Misplaced, ClientEnvironment, ""),
];

/// Where the control has to be found. It is no secret, so it may be anywhere. Nothing of it comes to the log, which has a
/// control of its own.
const EYES: &[Place] = &[
    AgentEnvironment,
    Argv,
    Audit,
    Bus,
    ChildEnvironment,
    ClientEnvironment,
    File,
    Http,
    Network,
    Outside,
    Reply,
    Stderr,
    Stdout,
];

/// Something that was said or written.
pub(crate) struct Heard {
    place: Place,
    /// Verb, request, file or process.
    by: String,
    bytes: Vec<u8>,
}

/// Secrets as they become known, and all that has to be searched for them.
#[derive(Default)]
pub(crate) struct Record {
    secrets: Mutex<Vec<(Class, Vec<u8>)>>,
    heard: Mutex<Vec<Heard>>,
}

impl Record {
    /// A secret. One that is known already stays of its class.
    pub(crate) fn learn(&self, class: Class, secret: impl AsRef<[u8]>) {
        let (mut secrets, secret) = (self.secrets.lock().expect("the secrets"), secret.as_ref());
        if !secrets.iter().any(|(_, known)| known == secret) {
            secrets.push((class, secret.to_vec()));
        }
    }

    pub(crate) fn keep(&self, place: Place, by: &str, bytes: impl AsRef<[u8]>) {
        let (mut heard, bytes) = (self.heard.lock().expect("what was heard"), bytes.as_ref());
        // A file that has grown is one file.
        let grown = |known: &&mut Heard| known.place == place && known.by == by && bytes.starts_with(&known.bytes);
        match heard.iter_mut().find(grown) {
            Some(known) => known.bytes = bytes.to_vec(),
            None => heard.push(Heard { place, by: by.to_owned(), bytes: bytes.to_vec() }),
        }
    }

    /// Whether this was heard in a place.
    pub(crate) fn has(&self, place: Place, words: &str) -> bool {
        let heard = self.heard.lock().expect("what was heard");
        let words = words.as_bytes();
        heard.iter().any(|heard| heard.place == place && heard.bytes.windows(words.len()).any(|part| part == words))
    }

    /// Which classes are found where, with the forms: class, place, by, form.
    pub(crate) fn found(&self) -> BTreeSet<(Class, Place, String, Form)> {
        let (secrets, heard) = (self.secrets.lock().expect("secrets"), self.heard.lock().expect("what was heard"));
        let needles: Vec<Needles> = secrets.iter().map(|(_, secret)| Needles::of(secret)).collect();
        let search = Search::new(needles.iter().enumerate());
        let mut found = BTreeSet::new();
        for Heard { place, by, bytes } in heard.iter() {
            let hits = search.all(bytes);
            let digits = |number: &usize| secrets[*number].0 == Code && hits[number].contains("raw");
            let codes: Vec<&[u8]> =
                hits.keys().filter(|number| digits(number)).map(|number| &*secrets[*number].1).collect();
            for (number, forms) in &hits {
                let class = secrets[*number].0;
                let chance = |form: Form| class == Code && form == "raw" && !is_told(*place, bytes, &codes);
                found.extend(forms.iter().filter(|form| !chance(form)).map(|form| (class, *place, by.clone(), *form)));
            }
        }
        found
    }

    /// What is wrong: a secret where it may not be, or one that is not seen where it must be. Never the secret itself.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let found = self.found();
        let allowed = |class: Class, place: Place, by: &str| {
            let cell = |(c, p, b): &&(Class, Place, &str)| (*c, *p) == (class, place) && (b.is_empty() || *b == by);
            class == Class::Control || ALLOWED.iter().any(|row| cell(&row))
        };
        let mut complaints: Vec<String> = found
            .iter()
            .filter(|(class, place, by, _)| !allowed(*class, *place, by))
            .map(|(class, place, by, form)| format!("{class:?} stands in {place:?} of {by:?} as {form}"))
            .collect();
        let seen = |class: Class, place: Place, by: &str| {
            found.iter().any(|(c, p, b, _)| (*c, *p) == (class, place) && (by.is_empty() || by == b))
        };
        let rows = ALLOWED.iter().copied().chain(EYES.iter().map(|place| (Class::Control, *place, "")));
        for (class, place, by) in rows.filter(|(class, place, by)| !seen(*class, *place, by)) {
            complaints.push(format!("{class:?} is not seen in {place:?} {by}: the search is blind there"));
        }
        complaints
    }

    /// Classes of which a secret is known, and how much was searched.
    pub(crate) fn extent(&self) -> (BTreeSet<Class>, usize, usize) {
        let (secrets, heard) = (self.secrets.lock().expect("secrets"), self.heard.lock().expect("what was heard"));
        let bytes = heard.iter().map(|heard| heard.bytes.len()).sum();
        (secrets.iter().map(|(class, _)| *class).collect(), secrets.len(), bytes)
    }
}

/// Whether six digits are a code that was told, and no number that is the same by chance: in what a verb or an agent
/// says any such number; in what machines write for machines, two different codes, or the word before it.
fn is_told(place: Place, bytes: &[u8], codes: &[&[u8]]) -> bool {
    let small =
        matches!(place, Stdout | Stderr | Argv | Reply | AgentEnvironment | ChildEnvironment | ClientEnvironment);
    let mut apart = codes.iter().filter_map(|code| {
        let mut places = bytes.windows(code.len()).enumerate().filter(|(_, window)| window == code);
        places.find_map(|(at, _)| {
            let neighbour = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
            let alone = !neighbour(at.checked_sub(1)) && !neighbour(Some(at + code.len()));
            alone.then(|| bytes[at.saturating_sub(16)..at].to_ascii_lowercase())
        })
    });
    match (apart.next(), apart.next()) {
        (None, _) => false,
        (Some(_), Some(_)) => true,
        (Some(before), None) => small || before.windows(4).any(|word| word == b"code"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Place, Record};

    #[test]
    fn six_digits_are_a_code_where_something_says_so() {
        for (place, text, told) in [
            (Place::Stdout, "123456\n", true),
            (Place::Log, "pid=123456", false),
            (Place::Log, "Action=AssumeRole&TokenCode=123456&x", true),
            (Place::Log, "TokenCode=9123456", false),
            (Place::Audit, "\"code\":\"123456\"", true),
            (Place::Audit, "a 123456 and 654321", true),
            (Place::Audit, "a123456b", false),
            (Place::Log, "[49, 50, 51, 52, 53, 54]", true),
        ] {
            let record = Record::default();
            record.learn(Class::Code, "123456");
            record.learn(Class::Code, "654321");
            record.keep(place, "x", text);
            assert_eq!(!record.found().is_empty(), told, "{place:?} {text}");
        }
    }

    #[test]
    fn a_complaint_names_class_place_and_form_and_never_the_secret() {
        let record = Record::default();
        record.learn(Class::Seed, "JBSWY3DPEHPK3PXP");
        record.keep(Place::Log, "agent.log", "…4a42535759334450454850 4b33505850…");
        record.keep(Place::Log, "agent.log", hex());
        let complaints = record.complaints();
        assert_eq!(complaints[0], "Seed stands in Log of \"agent.log\" as hex");
        assert!(complaints.iter().skip(1).all(|line| line.ends_with("the search is blind there")), "{complaints:?}");
        assert!(!complaints.concat().contains("JBSWY3DPEHPK3PXP"));
    }

    fn hex() -> String {
        b"JBSWY3DPEHPK3PXP".iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
