//! Destinations as `ssh-add -h` takes them: `[user@]host`, and `host>[user@]host` for one beyond another.

use super::Surroundings;
use crate::jobs::Error;
use crate::ssh::{Destination, Place, limits, name_of};

/// What the rule of a destination is, where one breaks it.
const RULE: &str = "a destination is [user@]host, or host>[user@]host";

/// Where OpenSSH keeps the keys of hosts (ssh_config(5), UserKnownHostsFile and GlobalKnownHostsFile).
const OF_USER: [&str; 2] = [".ssh/known_hosts", ".ssh/known_hosts2"];
const OF_MACHINE: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// Longest file of known hosts in bytes: tens of thousands of hosts.
const FILE_LIMIT: u64 = 8 * 1024 * 1024;

/// Destinations with the keys by which their hosts are known. [`Error::SshDestination`], [`Error::SshHostUnknown`].
pub(super) fn read_all(texts: &[String], around: &Surroundings) -> Result<Vec<Destination>, Error> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    if texts.len() > limits::DESTINATIONS {
        return Err(Error::SshDestination("a key has 1024 destinations at most"));
    }
    let files = known_hosts(around);
    let place = |host: &str| {
        let known = Place::known(host, files.iter().map(Vec::as_slice));
        known.ok_or_else(|| Error::SshHostUnknown(host.to_owned()))
    };
    texts.iter().map(|text| read(text, &place)).collect()
}

/// The name of the host of a key, as the user's ssh knows it. Reads files.
pub fn host_name(key: &[u8], around: &Surroundings) -> Option<String> {
    name_of(key, known_hosts(around).iter().map(Vec::as_slice))
}

fn read(text: &str, place: &dyn Fn(&str) -> Result<Place, Error>) -> Result<Destination, Error> {
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(Error::SshDestination(RULE));
    }
    let (from, to) = text.split_once('>').map_or((None, text), |(from, to)| (Some(from), to));
    let (user, to) = hop(to)?;
    let from = match from.map(hop).transpose()? {
        None => None,
        Some((None, host)) => Some(place(host)?),
        Some((Some(_), _)) => return Err(Error::SshDestination("the host before > has no user")),
    };
    Ok(Destination { from, to: place(to)?, user: user.map(|user| user.as_bytes().into()) })
}

/// A user and a host. Brackets around a whole host are for addresses with colons, and none of it.
fn hop(text: &str) -> Result<(Option<&str>, &str), Error> {
    let (user, host) = text.split_once('@').map_or((None, text), |(user, host)| (Some(user), host));
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let fits = user.is_none_or(|user| (1..=limits::USER_PATTERN).contains(&user.len()));
    if !fits || !(1..=limits::HOST_NAME).contains(&bare.len()) || bare.contains('>') {
        return Err(Error::SshDestination(RULE));
    }
    Ok((user, bare))
}

/// The files of known hosts that there are. One that cannot be read has no hosts, as for OpenSSH.
fn known_hosts(around: &Surroundings) -> Vec<Vec<u8>> {
    let of_user = OF_USER.iter().map(|name| around.home.join(name));
    let paths = of_user.chain(OF_MACHINE.iter().map(Into::into));
    let read = |path: std::path::PathBuf| match around.world.disk.read_linked(&path, FILE_LIMIT) {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a file of known hosts cannot be read");
            None
        }
    };
    paths.filter_map(read).collect()
}
