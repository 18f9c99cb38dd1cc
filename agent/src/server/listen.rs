//! The socket: inherited from systemd or bound here, private from its first moment; and the lock that lets exactly
//! one agent serve.

use super::succession::Door;
use super::{Phase, Server};
use crate::world::Defence;
use claviger::client::Client;
use claviger::paths::{Paths, SOCKET, SSH_SOCKET};
use claviger::wire::{Code, Fault, Hello, PROTOCOL, Request};
use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::SocketAddrUnix;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// How often the socket's path is looked at where not all of it can be watched.
const PATH_CHECK_MILLIS: u64 = 30_000;
/// How long accepting rests after it failed: those descriptors that are in use will come free.
pub(super) const BREATH_MILLIS: u64 = 100;

/// How long a path that was removed is left to whoever removed it.
const REMOVED_MILLIS: u64 = 100;

/// How long a start waits for another agent that is just starting or stopping: a stop takes five seconds at most.
const TURN_LIMIT: Duration = Duration::from_secs(10);
/// How often it looks meanwhile whether that agent serves.
const TURN_LOOKS: u32 = 100;

/// The lock of the one server, held until the process ends.
pub struct OneServer {
    lock: File,
    /// Held while this agent starts, so that whoever starts at the same time learns how it ended.
    starting: Option<File>,
}

impl OneServer {
    /// Takes the lock; None where another agent serves already, which then surely answers. Waits for one that is just
    /// starting or stopping. The files lie beside the vault and are never replaced, and the kernel drops a lock with
    /// its holder, however that ends.
    pub fn lock(paths: &Paths) -> io::Result<Option<Self>> {
        let (starting, lock) = Self::files(paths)?;
        if !Defence::OneServer.stands() {
            return Ok(Some(Self { lock, starting: None }));
        }
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            // Nobody serves, but somebody listens: systemd, which starts an agent for whoever has connected just now.
            Ok(()) if listened_to(paths) => Ok(None),
            Ok(()) => Ok(Some(Self { lock, starting: Some(starting) })),
            // Held: by an agent that answers, or is about to bind anew, or is stopping.
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let lock = in_turn_unless(lock, || answered(paths))?;
                Ok(lock.map(|lock| Self { lock, starting: Some(starting) }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The same for an agent that systemd started for its socket: nobody else could answer there, so an agent that
    /// serves elsewhere makes room. One that lost its path to systemd's socket does so by itself.
    pub fn lock_for(socket: &OwnedFd, paths: &Paths) -> io::Result<Self> {
        let (starting, lock) = Self::files(paths)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Self { lock, starting: Some(starting) }),
            Err(rustix::io::Errno::WOULDBLOCK) => ask_to_stop(socket, paths),
            Err(error) => return Err(error.into()),
        }
        Ok(Self { lock: in_turn(lock)?, starting: Some(starting) })
    }

    fn files(paths: &Paths) -> io::Result<(File, File)> {
        Ok((in_turn(open_lock(&paths.lock_file().with_extension("starting"))?)?, open_lock(&paths.lock_file())?))
    }

    /// A lock that a predecessor holds, by a descriptor that it passed: the lock goes with it (flock(2)).
    pub fn inherited(lock: OwnedFd) -> Self {
        Self { lock: File::from(lock), starting: None }
    }

    /// The lock by a second descriptor, to pass it on.
    pub fn second(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// Lets those who wait for this start see that it serves.
    pub fn serving(&mut self) {
        self.starting = None;
    }
}

fn answered(paths: &Paths) -> bool {
    paths.sockets().any(|path| UnixStream::connect(path).is_ok())
}

/// Whether somebody listens who does not hold the lock. A process that was just killed loses its lock a moment before
/// its socket, and then drops whoever has connected.
fn listened_to(paths: &Paths) -> bool {
    let limit = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    let kept = |stream: &UnixStream| {
        let mut polled = [PollFd::new(stream, PollFlags::RDHUP)];
        rustix::event::poll(&mut polled, Some(&limit)) == Ok(0)
    };
    paths.sockets().any(|path| UnixStream::connect(path).is_ok_and(|stream| kept(&stream)))
}

/// Asks the agent behind any other socket to stop. Whether it does shows when its lock comes free.
fn ask_to_stop(socket: &OwnedFd, paths: &Paths) {
    let own = path_of(socket);
    let mut others = paths.clone();
    others.run.retain(|folder| own.as_ref() != Some(&folder.join(SOCKET)));
    let hello =
        Hello { protocol: PROTOCOL, client: format!("claviger-agent/{}", claviger::VERSION), ..Hello::default() };
    let asked = Client::connect(&others, hello).and_then(|mut client| {
        client.limit_silence(TURN_LIMIT)?;
        client.ask(&Request::Stop {}, &mut |_| Ok(None))
    });
    match asked {
        Ok(_) => tracing::info!("another agent served: it makes room"),
        Err(fault) => tracing::info!(%fault, "another agent serves no socket: waiting until it has gone"),
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))
}

/// Waits for a lock, at most [`TURN_LIMIT`].
fn in_turn(file: File) -> io::Result<File> {
    in_turn_unless(file, || false)?.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// The same; None as soon as the wait is pointless. The thread that waits in vain ends with the process.
fn in_turn_unless(file: File, pointless: impl Fn() -> bool) -> io::Result<Option<File>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let locked = rustix::fs::flock(&file, FlockOperation::LockExclusive);
        drop(sender.send(locked.map(|()| file)));
    });
    for _ in 0..TURN_LOOKS {
        if pointless() {
            return Ok(None);
        }
        if let Ok(locked) = receiver.recv_timeout(TURN_LIMIT / TURN_LOOKS) {
            return Ok(Some(locked?));
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "another agent neither serves nor ends"))
}

/// A path that leads to a socket of this agent.
struct Bound {
    path: PathBuf,
    /// Device and inode of the name: another socket there is another's.
    file: Option<(u64, u64)>,
}

/// What a path leads to now.
#[derive(PartialEq, Eq)]
enum Found {
    Nothing,
    Other,
    Own,
}

impl Bound {
    fn new(path: PathBuf) -> Self {
        let file = std::fs::symlink_metadata(&path).ok().map(|found| (found.dev(), found.ino()));
        Self { path, file }
    }

    fn look(&self) -> Found {
        match Self::new(self.path.clone()).file {
            Some(_) if !is_socket(&self.path) => Found::Nothing,
            None => Found::Nothing,
            file if file == self.file => Found::Own,
            _ => Found::Other,
        }
    }
}

/// Where a socket leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the control protocol.
    Control,
    /// To the SSH agent.
    Ssh,
}

impl Way {
    fn file(self) -> &'static str {
        match self {
            Self::Control => SOCKET,
            Self::Ssh => SSH_SOCKET,
        }
    }
}

/// A socket of the agent, listening.
pub struct Socket {
    way: Way,
    listener: Listener,
    /// Where it was bound here; an inherited one is systemd's to keep.
    bound: Option<Bound>,
    /// Tells when something happens to that path.
    watch: Option<Watch>,
}

/// A watch on a path (inotify(7)).
struct Watch {
    queue: AsyncFd<OwnedFd>,
    /// Whether nothing on the way to the path goes unwatched: then nobody need look besides.
    is_whole: bool,
}

impl Socket {
    /// Takes over a socket that systemd passed.
    pub fn inherited(way: Way, socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { way, listener: listening(socket)?, bound: None, watch: None })
    }

    /// Takes over the socket that a predecessor listened on, and cares for its path if that one did.
    pub fn passed_on(way: Way, socket: OwnedFd, bound: Option<PathBuf>) -> io::Result<Self> {
        let watch = bound.as_deref().and_then(Path::parent).and_then(watch);
        Ok(Self { bound: bound.map(Bound::new), watch, ..Self::inherited(way, socket)? })
    }

    /// Binds in the first runtime folder that can be used. The caller holds the lock of the one server, so a socket
    /// found there is a dead one's.
    pub fn bind(way: Way, paths: &Paths, disk: &dyn crate::world::Disk) -> Result<Self, Fault> {
        let mut refusals = Vec::new();
        for folder in &paths.run {
            match bind_in(way, folder, disk) {
                Ok(socket) => return Ok(socket),
                Err(error) => refusals.push(format!("{}: {error}", folder.display())),
            }
        }
        Err(Fault::new(Code::AgentRuntimeFolder, format!("no folder for the socket ({})", refusals.join("; "))))
    }

    /// Accepts until the server stops or another process serves; while a restart is under way nobody is accepted, and
    /// whoever knocks waits. Binds anew where the socket's path has vanished.
    pub async fn accept(mut self, server: Arc<Server>, paths: &Paths) {
        let mut phase = server.phase.subscribe();
        let mut refused = false;
        self.lend(&server);
        loop {
            let now = *phase.borrow_and_update();
            if !matches!(now, Phase::Serving | Phase::Pausing | Phase::Passing) {
                break;
            }
            let next_check = server.world.clock.boot().plus_millis(PATH_CHECK_MILLIS);
            tokio::select! {
                biased;
                _ = phase.changed() => continue,
                accepted = self.listener.accept(), if now == Phase::Serving => {
                    match accepted {
                        Ok(stream) => {
                            refused = false;
                            match self.way {
                                Way::Control => drop(tokio::spawn(server.clone().serve(stream))),
                                Way::Ssh => server.ssh.welcome(Some(&server), stream),
                            }
                        }
                        Err(error) => {
                            // Said once, or it would fill the log for as long as it lasts.
                            if !std::mem::replace(&mut refused, true) {
                                tracing::warn!(%error, "a connection was not accepted");
                            }
                            server.world.clock.sleep_until(server.world.clock.boot().plus_millis(BREATH_MILLIS)).await;
                        }
                    }
                    continue;
                }
                () = changed(self.watch.as_ref()), if now == Phase::Serving => {}
                () = server.world.clock.sleep_until(next_check), if self.must_look() && now == Phase::Serving => {}
            }
            self = self.look_after(&server, paths).await;
        }
        let own = self.bound.filter(|bound| bound.look() == Found::Own && !server.is_handed_over());
        if let Some(bound) = own {
            drop(server.world.disk.remove(&bound.path));
        }
    }

    /// Whether the path may vanish without a word.
    fn must_look(&self) -> bool {
        self.bound.is_some() && !self.watch.as_ref().is_some_and(|watch| watch.is_whole)
    }

    /// Looks whether the socket's path still leads here, and does something about it.
    async fn look_after(mut self, server: &Arc<Server>, paths: &Paths) -> Self {
        let Some(bound) = self.bound.as_ref().filter(|bound| bound.look() != Found::Own) else { return self };
        // Whoever removed it may be about to bind there: systemd does so when its socket unit is started.
        server.world.clock.sleep_until(server.world.clock.boot().plus_millis(REMOVED_MILLIS)).await;
        match bound.look() {
            Found::Own => {}
            Found::Other if self.way == Way::Ssh => {
                tracing::warn!("another socket has taken the place of ssh.sock: it is left alone");
                (self.bound, self.watch) = (None, None);
                self.lend(server);
            }
            Found::Other => {
                tracing::warn!("another socket has taken the place of this agent's: making room");
                server.stop();
            }
            Found::Nothing => match Self::bind(self.way, paths, &*server.world.disk) {
                Ok(socket) => {
                    tracing::info!("the socket's path had vanished: bound anew");
                    self = socket;
                    self.lend(server);
                }
                Err(fault) => {
                    tracing::warn!(%fault, "the socket's folder vanished");
                    self.watch = None;
                }
            },
        }
        self
    }

    /// Leaves a second descriptor of the socket where a restart finds it.
    fn lend(&self, server: &Server) {
        let Listener::UdSocket(listener) = &self.listener;
        let door = listener
            .as_fd()
            .try_clone_to_owned()
            .map(|socket| Door { socket, bound: self.bound.as_ref().map(|bound| bound.path.clone()) });
        *server.succession.door(self.way) = door.ok();
    }
}

/// Where a socket is bound.
pub fn path_of(socket: impl AsFd) -> Option<PathBuf> {
    let name = rustix::net::getsockname(socket).ok().and_then(|name| SocketAddrUnix::try_from(name).ok())?;
    name.path_bytes().map(|path| PathBuf::from(OsStr::from_bytes(path)))
}

/// The sockets that systemd passed.
pub struct Activated {
    /// The one of the control protocol.
    pub control: OwnedFd,
    /// The one of the SSH agent, if it has that too.
    pub ssh: Option<OwnedFd>,
}

impl Activated {
    /// Sorts what systemd passed; None where that is nothing. The SSH agent's socket is the one whose unit calls it `ssh`
    /// (systemd.socket(5), FileDescriptorName=), or that is bound as `ssh.sock`: a unit of two sockets has one name for
    /// both.
    ///
    /// # Errors
    /// `InvalidInput` where there is not exactly one for the control protocol, or more than one for SSH.
    pub fn sort(sockets: Vec<(OwnedFd, String)>) -> io::Result<Option<Self>> {
        let is_ssh = |(socket, name): &(OwnedFd, String)| {
            name == "ssh" || path_of(socket).is_some_and(|path| path.file_name() == Some(SSH_SOCKET.as_ref()))
        };
        let (ssh, control): (Vec<_>, Vec<_>) = sockets.into_iter().partition(is_ssh);
        let (mut ssh, mut control) = (ssh.into_iter(), control.into_iter());
        match (control.next(), ssh.next(), control.next().or(ssh.next())) {
            (None, None, _) => Ok(None),
            (Some((control, _)), ssh, None) => Ok(Some(Self { control, ssh: ssh.map(|(socket, _)| socket) })),
            (None, Some(_), _) => Err(io::Error::new(io::ErrorKind::InvalidInput, "systemd passed no agent.sock")),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "systemd passed more than one socket for the same")),
        }
    }
}

/// Listens on a socket that is bound already.
pub(super) fn listening(socket: OwnedFd) -> io::Result<Listener> {
    rustix::fs::fcntl_setfl(&socket, OFlags::NONBLOCK)?;
    interprocess::os::unix::uds_local_socket::tokio::Listener::try_from(socket)
        .map(Listener::from)
        .map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Watches a folder for the end of its entries, and it and those above it for their own (inotify(7)). None where the
/// system has no watch left: then the path is only looked at now and then.
fn watch(folder: &Path) -> Option<Watch> {
    let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
    let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
    inotify::add_watch(&queue, folder, own | WatchFlags::DELETE | WatchFlags::MOVED_FROM).ok()?;
    let above = folder.ancestors().skip(1).all(|folder| inotify::add_watch(&queue, folder, own).is_ok());
    // A symbolic link on the way may be replaced, and nobody tells.
    let is_whole = above && folder.canonicalize().is_ok_and(|real| real == folder);
    #[expect(deprecated, reason = "its replacement is unsafe; an OwnedFd keeps the promise that is asked for")]
    let queue = AsyncFd::new(queue).ok()?;
    Some(Watch { queue, is_whole })
}

/// Returns once something happened to the watched path; never without a watch.
async fn changed(watch: Option<&Watch>) {
    let Some(Watch { queue, .. }) = watch else { return std::future::pending().await };
    if let Ok(mut ready) = queue.readable().await {
        // What happened does not matter: the path is looked at.
        let mut events = [0; 4096];
        while rustix::io::read(queue.get_ref(), &mut events).is_ok_and(|count| count > 0) {}
        ready.clear_ready();
    }
}

/// Makes sure of a runtime folder: there, this user's, and closed to others.
pub(super) fn runtime_folder(folder: &Path, disk: &dyn crate::world::Disk) -> io::Result<()> {
    // `/run/user/UID` is the system's to make: where it is missing, the next folder serves.
    if folder.starts_with("/run/user") && !folder.parent().is_some_and(Path::is_dir) {
        return Err(io::ErrorKind::NotFound.into());
    }
    disk.create_private_folder(folder)
}

fn bind_in(way: Way, folder: &Path, disk: &dyn crate::world::Disk) -> io::Result<Socket> {
    runtime_folder(folder, disk)?;
    // Before the socket is there: whatever happens to it from now on is seen.
    let watch = watch(folder);
    let path = folder.join(way.file());
    // Never a link or a file that someone else put there.
    if is_socket(&path) {
        disk.remove(&path)?;
    }
    let name = path.as_path().to_fs_name::<GenericFilePath>()?;
    // The umask of the agent makes it 0600 from its first moment; there is no chmod to race with.
    let listener = ListenerOptions::new().name(name).reclaim_name(false).create_tokio()?;
    Ok(Socket { way, listener, bound: Some(Bound::new(path)), watch })
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let own = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket() && found.uid() == own)
}
