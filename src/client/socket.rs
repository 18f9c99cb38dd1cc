//! Where the agent's socket is, and whether it may be trusted.

use crate::paths::{Paths, SOCKET};
use crate::wire::{Code, Fault};
use rustix::net::sockopt::socket_peercred;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Connects to the first socket that somebody serves, trying each folder of `paths` in turn.
/// A folder that must not be trusted is passed by, and reported where no other one answers.
pub(super) fn connect(paths: &Paths) -> Result<UnixStream, Fault> {
    let user = rustix::process::geteuid().as_raw();
    let mut refused = None;
    for folder in &paths.run {
        match connect_in(folder, user) {
            Ok(Some(stream)) => return Ok(stream),
            Ok(None) => {}
            Err(fault) => refused = refused.or(Some(fault)),
        }
    }
    Err(refused.unwrap_or_else(|| Fault::new(Code::AgentNotRunning, "no agent is running")))
}

/// None where nobody serves a socket here.
fn connect_in(folder: &Path, user: u32) -> Result<Option<UnixStream>, Fault> {
    let Ok(metadata) = fs::symlink_metadata(folder) else { return Ok(None) };
    if !metadata.is_dir() {
        return Err(untrusted(folder, "is not a folder"));
    }
    check_private(folder, &metadata, user, "700")?;
    let path = folder.join(SOCKET);
    let Ok(metadata) = fs::symlink_metadata(&path) else { return Ok(None) };
    if !metadata.file_type().is_socket() {
        return Err(untrusted(&path, "is not a socket"));
    }
    check_private(&path, &metadata, user, "600")?;
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(_) => return Err(untrusted(&path, "cannot be connected to")),
    };
    match socket_peercred(&stream) {
        Ok(peer) if peer.uid.as_raw() == user => Ok(Some(stream)),
        _ => Err(untrusted(&path, "is served by another user")),
    }
}

fn check_private(path: &Path, metadata: &Metadata, user: u32, mode: &str) -> Result<(), Fault> {
    if metadata.uid() != user {
        return Err(untrusted(path, "belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(untrusted(path, "is open to other users").hint(format!("chmod {mode} {}", path.display())));
    }
    Ok(())
}

fn untrusted(path: &Path, what: &str) -> Fault {
    Fault::new(Code::AgentRuntimeFolder, format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::connect;
    use crate::paths::Paths;
    use crate::wire::Code;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};

    fn paths(run: &[&Path]) -> Paths {
        Paths {
            config: PathBuf::from("/nonexistent"),
            data: PathBuf::from("/nonexistent"),
            run: run.iter().map(|folder| folder.to_path_buf()).collect(),
            home: PathBuf::from("/nonexistent"),
        }
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
    }

    /// A private folder with a private socket that is served.
    fn served(folder: &Path) -> UnixListener {
        fs::create_dir(folder).expect("a folder");
        set_mode(folder, 0o700);
        let listener = UnixListener::bind(folder.join("agent.sock")).expect("a socket");
        set_mode(&folder.join("agent.sock"), 0o600);
        listener
    }

    fn refusal(run: &[&Path]) -> (Code, String, Option<String>) {
        let fault = connect(&paths(run)).expect_err("a refusal");
        (fault.code, fault.message, fault.hint)
    }

    #[test]
    fn the_first_folder_that_is_served_is_taken() {
        let root = tempfile::tempdir().expect("a folder");
        let (absent, stale, live) = (root.path().join("absent"), root.path().join("stale"), root.path().join("live"));
        drop(served(&stale));
        let listener = served(&live);
        connect(&paths(&[&absent, &stale, &live])).expect("a connection");
        listener.accept().expect("that connection");
        assert_eq!(refusal(&[&absent, &stale]).0, Code::AgentNotRunning);
    }

    #[test]
    fn a_folder_or_socket_open_to_others_is_refused_until_it_is_closed() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("run");
        let _listener = served(&folder);
        let socket = folder.join("agent.sock");
        for (path, open, closed) in [(&folder, 0o750, 0o700), (&folder, 0o701, 0o700), (&socket, 0o606, 0o600)] {
            set_mode(path, open);
            let (code, message, hint) = refusal(&[&folder]);
            assert_eq!(
                (code, message),
                (Code::AgentRuntimeFolder, format!("{} is open to other users", path.display()))
            );
            assert_eq!(hint, Some(format!("chmod {closed:o} {}", path.display())));
            set_mode(path, closed);
            connect(&paths(&[&folder])).expect("a connection");
        }
    }

    #[test]
    fn links_and_files_in_the_place_of_a_socket_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("run");
        let _listener = served(&folder);
        let link = root.path().join("link");
        symlink(&folder, &link).expect("a link");
        assert_eq!(refusal(&[&link]).0, Code::AgentRuntimeFolder);
        let other = root.path().join("other");
        fs::create_dir(&other).expect("a folder");
        set_mode(&other, 0o700);
        symlink(folder.join("agent.sock"), other.join("agent.sock")).expect("a link");
        assert_eq!(refusal(&[&other]).0, Code::AgentRuntimeFolder);
        connect(&paths(&[&other, &folder])).expect("the next folder is tried");
    }
}
