//! The socket: inherited from systemd or bound here, private from its first moment; and the lock that lets exactly
//! one agent serve.

use super::Server;
use claviger::paths::{Paths, SOCKET};
use claviger::wire::{Code, Fault};
use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often the socket's path is looked at: logind removes the runtime folder when the last session ends, and
/// nothing tells.
const PATH_CHECK_MILLIS: u64 = 30_000;

/// The lock of the one server, held until the process ends.
pub struct OneServer {
    _lock: File,
}

impl OneServer {
    /// Takes the lock; None where another agent holds it. The file lies beside the vault and is never replaced, and
    /// the kernel drops the lock with its holder, however that ends.
    pub fn lock(paths: &Paths) -> io::Result<Option<Self>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(paths.lock_file(), flags, Mode::RUSR | Mode::WUSR)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _lock: File::from(file) })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The control socket, listening.
pub struct Socket {
    listener: Listener,
    /// Where it was bound here; an inherited one is systemd's to keep.
    bound: Option<PathBuf>,
}

impl Socket {
    /// Takes over the socket that systemd passed.
    pub fn inherited(socket: OwnedFd) -> io::Result<Self> {
        rustix::fs::fcntl_setfl(&socket, OFlags::NONBLOCK)?;
        let listener = interprocess::os::unix::uds_local_socket::tokio::Listener::try_from(socket)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Self { listener: listener.into(), bound: None })
    }

    /// Binds in the first runtime folder that can be used. The caller holds the lock of the one server, so a socket
    /// found there is a dead one's.
    pub fn bind(paths: &Paths, disk: &dyn crate::world::Disk) -> Result<Self, Fault> {
        let mut refusals = Vec::new();
        for folder in &paths.run {
            match bind_in(folder, disk) {
                Ok(socket) => return Ok(socket),
                Err(error) => refusals.push(format!("{}: {error}", folder.display())),
            }
        }
        Err(Fault::new(Code::AgentRuntimeFolder, format!("no folder for the socket ({})", refusals.join("; "))))
    }

    /// Accepts until the server stops. Binds anew where the socket's path has vanished.
    pub async fn accept(mut self, server: Arc<Server>, paths: &Paths) {
        let vanished = AtomicBool::new(false);
        loop {
            let next_check = server.world.clock.boot().plus_millis(PATH_CHECK_MILLIS);
            tokio::select! {
                () = server.stopped() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(stream) => drop(tokio::spawn(server.clone().serve(stream))),
                    Err(error) => {
                        // Out of descriptors: those in use will come free; taking a breath keeps the loop cool.
                        tracing::warn!(%error, "a connection was not accepted");
                        server.world.clock.sleep_until(server.world.clock.boot().plus_millis(100)).await;
                    }
                },
                () = server.world.clock.sleep_until(next_check), if self.bound.is_some() => {
                    vanished.store(self.bound.as_deref().is_some_and(|path| !is_socket(path)), Ordering::Relaxed);
                }
            }
            if vanished.swap(false, Ordering::Relaxed) {
                match Self::bind(paths, &*server.world.disk) {
                    Ok(socket) => self = socket,
                    Err(fault) => tracing::warn!(%fault, "the socket's folder vanished"),
                }
            }
        }
        if let Some(path) = &self.bound {
            drop(server.world.disk.remove(path));
        }
    }
}

fn bind_in(folder: &Path, disk: &dyn crate::world::Disk) -> io::Result<Socket> {
    // `/run/user/UID` is the system's to make: where it is missing, the next folder serves.
    if folder.starts_with("/run/user") && !folder.parent().is_some_and(Path::is_dir) {
        return Err(io::ErrorKind::NotFound.into());
    }
    disk.create_private_folder(folder)?;
    let path = folder.join(SOCKET);
    // Never a link or a file that someone else put there.
    if is_socket(&path) {
        disk.remove(&path)?;
    }
    let name = path.as_path().to_fs_name::<GenericFilePath>()?;
    // The umask of the agent makes it 0600 from its first moment; there is no chmod to race with.
    let listener = ListenerOptions::new().name(name).reclaim_name(false).create_tokio()?;
    Ok(Socket { listener, bound: Some(path) })
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let own = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket() && found.uid() == own)
}
