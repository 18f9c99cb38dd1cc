//! What storing an SSH key may meet.

use super::{cut, named, shown};
use crate::jobs::Error;
use crate::ssh::key;
use claviger::wire::{Code, Fault};

/// None for what is no error of an SSH key.
pub(super) fn fault(error: &Error) -> Option<Fault> {
    Some(match error {
        Error::SshCertificateExpired => {
            Fault::new(Code::SshKeyCertificateExpired, "the certificate has expired: have another one signed")
        }
        Error::SshCertificateMalformed => {
            let message = "the certificate is not a line as ssh-keygen -s writes it into a file that ends in -cert.pub";
            Fault::new(Code::SshKeyMalformed, message)
        }
        Error::SshDestination(rule) => Fault::new(Code::SshKeyMalformed, *rule).hint("claviger ssh-key new --help"),
        Error::SshHostUnknown(host) => {
            let message = format!("no host key of {} is known: log in there once", shown(host));
            let fault = Fault::new(Code::SshKeyHostUnknown, message);
            match log_in(host) {
                Some(command) => fault.hint(command),
                None => fault,
            }
        }
        Error::SshKey(error) => refused(*error),
        Error::SshKeyExists(name) => Fault::new(Code::SshKeyExists, format!("an ssh key is stored as {name} already")),
        Error::SshKeyNotFound(name) => Fault::new(Code::SshKeyNotFound, format!("no ssh key is stored as {name}")),
        Error::SshKeySame(name) => Fault::new(Code::SshKeyExists, format!("this ssh key is stored as {name} already"))
            .hint(named("ssh-key public", name)),
        Error::SshOption(rule) => Fault::new(Code::SshKeyMalformed, *rule).hint("claviger ssh-key new --help"),
        _ => return None,
    })
}

/// The room's own words, and what to do.
fn refused(error: key::Error) -> Fault {
    use key::Error;
    let code = match error {
        Error::CertificateOfAnotherKey => Code::SshKeyCertificateMismatch,
        Error::DerivationTooCostly
        | Error::EncryptionUnsupported
        | Error::RsaTooLarge { .. }
        | Error::RsaTooSmall { .. }
        | Error::UnsupportedType { .. } => Code::SshKeyUnsupported,
        Error::Malformed | Error::Message(_) | Error::Mismatch | Error::NoPrivateKey | Error::PublicKeyOnly => {
            Code::SshKeyMalformed
        }
        Error::PassphraseNeeded => Code::SshKeyPassphraseNeeded,
        Error::PassphraseWrong => Code::SshKeyPassphraseWrong,
        Error::FlagsUnknown | Error::OnDevice | Error::NoEntropy | Error::Sha1 | Error::Signing => {
            return super::internal();
        }
    };
    let fault = Fault::new(code, error.to_string());
    match error {
        // OpenSSH writes the file anew, in a way that is read here.
        Error::DerivationTooCostly | Error::EncryptionUnsupported => fault.hint("ssh-keygen -p -f FILE"),
        // OpenSSH says more of what it cannot read.
        Error::Malformed | Error::Mismatch => fault.hint("ssh-keygen -y -f FILE"),
        Error::PublicKeyOnly => fault.hint("claviger ssh-key add NAME FILE"),
        _ => fault,
    }
}

/// What makes a host known, where its name can be typed as it is.
fn log_in(host: &str) -> Option<String> {
    let plain = |host: &str| {
        let safe = |c: char| c.is_ascii_alphanumeric() || "._:%-".contains(c);
        !host.is_empty() && !host.starts_with('-') && host.chars().all(safe) && cut(host, super::NAME_LIMIT) == host
    };
    if plain(host) {
        return Some(format!("ssh {host}"));
    }
    let (host, port) = host.strip_prefix('[')?.split_once("]:")?;
    (plain(host) && port.parse::<u16>().is_ok()).then(|| format!("ssh -p {port} {host}"))
}
