//! The way into an EC2 instance: which one is meant, at which address it is, and which key it takes.

use super::Error;
use crate::aws::{AwsEdge, Ec2Access, Instance, InstanceState, InstanceWanted};
use crate::ssh::fingerprint;
use claviger::model::InstanceId;
use data_encoding::BASE64;
use std::net::IpAddr;

/// The types of keys that EC2 Instance Connect takes (EC2 User Guide, "Connect using EC2 Instance Connect").
const TAKEN: [&str; 2] = ["ssh-ed25519", "ssh-rsa"];

/// An SSH key that could be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it is called here: its name in the vault, or `piv:SLOT`.
    pub name: String,
    /// Its other name, where it has one: `piv:SERIAL:SLOT`.
    pub full_name: Option<String>,
    /// SSH's name for its type.
    pub algorithm: String,
    /// The blob of its public half.
    pub blob: Vec<u8>,
    /// It may be used for some hosts alone.
    pub confined: bool,
}

impl Candidate {
    /// The line that is pushed. No comment: it says nothing there, and may say much of a person.
    pub fn line(&self) -> String {
        format!("{} {}", self.algorithm, BASE64.encode(&self.blob))
    }

    /// As `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.blob)
    }

    fn is_taken(&self) -> bool {
        TAKEN.contains(&self.algorithm.as_str())
    }

    fn is_called(&self, wanted: &str) -> bool {
        self.name == wanted || self.full_name.as_deref() == Some(wanted)
    }
}

/// The running instance that is meant: by its id, by its private address, or by its tag `Name`. Where several have the
/// name, the one that runs; [`Error::InstanceAmbiguous`] where several do.
pub async fn find(aws: &AwsEdge, access: Ec2Access<'_>, wanted: &str) -> Result<Instance, Error> {
    if is_managed(wanted) {
        return Err(Error::InstanceManaged(wanted.to_owned()));
    }
    let not_found = || Error::InstanceNotFound(wanted.to_owned(), access.at.signing_region().clone());
    // An id that is none by its length is asked for as a name: the answer is the same.
    let wanted_of = match (wanted.parse::<InstanceId>(), wanted.parse::<IpAddr>()) {
        (Ok(id), _) => InstanceWanted { ids: vec![id], filters: Vec::new() },
        (_, Ok(address)) => filtered("private-ip-address", address.to_string()),
        _ => filtered("tag:Name", literal(wanted)),
    };
    let found = match aws.describe_instances(access, &wanted_of).await {
        Err(error) if error.is_refusal("InvalidInstanceID.NotFound") => return Err(not_found()),
        found => found?,
    };
    the_one(found, wanted).unwrap_or_else(|| Err(not_found()))
}

/// Of those found: the one that runs, else why none is. None where there is none, or all are over.
fn the_one(found: Vec<Instance>, wanted: &str) -> Option<Result<Instance, Error>> {
    let several = |of: &[Instance]| {
        Error::InstanceAmbiguous(wanted.to_owned(), of.iter().map(|one| (one.id.clone(), one.state)).collect())
    };
    let alive: Vec<Instance> = found.into_iter().filter(|instance| !instance.state.is_over()).collect();
    let (mut running, others): (Vec<Instance>, Vec<Instance>) =
        alive.into_iter().partition(|instance| instance.state == InstanceState::Running);
    if running.len() > 1 {
        return Some(Err(several(&running)));
    }
    if let Some(instance) = running.pop() {
        return Some(Ok(instance));
    }
    match others.as_slice() {
        [] => None,
        [instance] => Some(Err(Error::InstanceNotRunning(instance.id.clone(), instance.state))),
        _ => Some(Err(several(&others))),
    }
}

/// The address to connect to: the public one, unless there is none or the private one is wanted.
pub fn address(instance: &Instance, private: bool) -> Result<&str, Error> {
    let public = instance.public_ip.as_deref().filter(|_| !private);
    let address = public.or(instance.private_ip.as_deref());
    address.ok_or_else(|| Error::InstanceNoAddress(instance.id.clone()))
}

/// The key to push: the one wanted, else the one that the instance's key pair is named like, else the first that fits.
pub fn choose<'a>(keys: &'a [Candidate], wanted: Option<&str>, key_pair: Option<&str>) -> Result<&'a Candidate, Error> {
    if let Some(wanted) = wanted {
        let key = keys.iter().find(|key| key.is_called(wanted));
        let key = key.or_else(|| keys.iter().find(|key| key.fingerprint() == wanted));
        let key = key.ok_or_else(|| Error::InstanceKeyNotFound(wanted.to_owned()))?;
        return match key.is_taken() {
            true => Ok(key),
            false => Err(Error::InstanceKeyUnusable(Some((key.name.clone(), key.algorithm.clone())))),
        };
    }
    let mut fitting = keys.iter().filter(|key| key.is_taken() && !key.confined);
    let named = fitting.clone().find(|key| key_pair == Some(key.name.as_str()));
    named.or_else(|| fitting.next()).ok_or(Error::InstanceKeyUnusable(None))
}

fn filtered(name: &'static str, value: String) -> InstanceWanted {
    InstanceWanted { ids: Vec::new(), filters: vec![(name, vec![value])] }
}

/// A text as the value of a filter, in which `*` and `?` stand for others (EC2 User Guide, "List and filter").
fn literal(text: &str) -> String {
    text.chars().flat_map(|c| ['\\'].into_iter().filter(move |_| "*?\\".contains(c)).chain([c])).collect()
}

/// `mi-`: one that Systems Manager knows, and EC2 does not.
fn is_managed(wanted: &str) -> bool {
    wanted.strip_prefix("mi-").is_some_and(|rest| rest.len() >= 8 && rest.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::{Candidate, address, choose, is_managed, literal, the_one};
    use crate::aws::{Instance, InstanceState};
    use crate::jobs::Error;

    fn key(name: &str, algorithm: &str) -> Candidate {
        let (name, algorithm) = (name.to_owned(), algorithm.to_owned());
        Candidate { blob: name.clone().into_bytes(), name, full_name: None, algorithm, confined: false }
    }

    fn instance(number: u8, state: InstanceState) -> Instance {
        Instance {
            id: format!("i-{number:017x}").parse().unwrap(),
            name: None,
            key_name: None,
            state,
            private_ip: Some("10.0.0.1".to_owned()),
            public_ip: None,
            private_dns: None,
            public_dns: None,
            availability_zone: None,
            vpc_id: None,
            subnet_id: None,
            windows: false,
        }
    }

    #[test]
    fn the_key_is_the_one_wanted_else_the_pairs_else_the_first_that_fits() {
        let mut card = key("piv:9a", "ssh-rsa");
        card.full_name = Some("piv:12345678:9a".to_owned());
        let mut confined = key("confined", "ssh-ed25519");
        confined.confined = true;
        let sk = key("sk", "sk-ssh-ed25519@openssh.com");
        let keys = [sk, key("ec", "ecdsa-sha2-nistp256"), confined, key("a", "ssh-rsa"), key("b", "ssh-ed25519"), card];
        let chosen = |wanted, pair| choose(&keys, wanted, pair).map(|key| key.name.as_str());
        assert_eq!(chosen(None, None).unwrap(), "a");
        assert_eq!(chosen(None, Some("b")).unwrap(), "b");
        for other in ["nobody", "ec", "confined"] {
            assert_eq!(chosen(None, Some(other)).unwrap(), "a", "{other}");
        }
        let fingerprint = keys[5].fingerprint();
        for wanted in ["piv:9a", "piv:12345678:9a", &fingerprint] {
            assert_eq!(chosen(Some(wanted), Some("b")).unwrap(), "piv:9a", "{wanted}");
        }
        assert_eq!(chosen(Some("confined"), None).unwrap(), "confined");
        for (wanted, kind) in [("sk", "sk-ssh-ed25519@openssh.com"), ("ec", "ecdsa-sha2-nistp256")] {
            let Err(Error::InstanceKeyUnusable(Some(told))) = choose(&keys, Some(wanted), None) else {
                panic!("{wanted} is taken")
            };
            assert_eq!(told, (wanted.to_owned(), kind.to_owned()));
        }
        assert!(matches!(chosen(Some("c"), None), Err(Error::InstanceKeyNotFound(_))));
        assert!(matches!(choose(&keys[..3], None, None), Err(Error::InstanceKeyUnusable(None))));
    }

    #[test]
    fn the_one_that_runs_is_meant_and_several_are_told() {
        use InstanceState::{Pending, Running, ShuttingDown, Stopped, Terminated};
        let found = |states: &[InstanceState]| {
            let all = states.iter().zip(1..).map(|(state, number)| instance(number, *state)).collect();
            the_one(all, "web")
        };
        assert_eq!(found(&[Stopped, Running, Terminated]).unwrap().unwrap().id.as_str(), "i-00000000000000002");
        assert!(found(&[]).is_none() && found(&[Terminated, ShuttingDown]).is_none());
        assert!(matches!(found(&[Pending, Terminated]), Some(Err(Error::InstanceNotRunning(_, Pending)))));
        for (states, count) in [(&[Running, Running, Stopped][..], 2), (&[Stopped, Pending], 2)] {
            let Some(Err(Error::InstanceAmbiguous(name, listed))) = found(states) else { panic!("one is meant") };
            assert_eq!((name.as_str(), listed.len()), ("web", count));
        }
    }

    #[test]
    fn the_public_address_comes_first_unless_the_private_one_is_wanted() {
        let mut one = instance(1, InstanceState::Running);
        assert_eq!(address(&one, false).unwrap(), "10.0.0.1");
        one.public_ip = Some("198.51.100.7".to_owned());
        assert_eq!((address(&one, false).unwrap(), address(&one, true).unwrap()), ("198.51.100.7", "10.0.0.1"));
        one.private_ip = None;
        assert!(matches!(address(&one, true), Err(Error::InstanceNoAddress(_))));
    }

    #[test]
    fn a_name_is_no_pattern_and_mi_is_no_name() {
        assert_eq!(literal(r"we?b*\1"), r"we\?b\*\\1");
        assert!(is_managed("mi-0123456789abcdef0") && !is_managed("mi-casa") && !is_managed("i-0123456789abcdef0"));
    }
}
