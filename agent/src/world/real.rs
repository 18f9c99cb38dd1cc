//! The machine itself.

use super::{BootTime, BoxFuture, Clock, Disk, DiskFile, Entropy, Stamp, WallTime};
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::process::{Gid, Uid};
use rustix::time::{self, ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tokio::io::unix::AsyncFd;

/// Longest file that says which boot this is, in bytes.
const BOOT_ID_LIMIT: u64 = 512;

pub(super) struct MachineClock;

impl Clock for MachineClock {
    fn wall(&self) -> WallTime {
        WallTime(millis(time::clock_gettime(ClockId::Realtime)))
    }

    fn boot(&self) -> BootTime {
        BootTime(millis(time::clock_gettime(ClockId::Boottime)).unsigned_abs()).plus_millis(ahead())
    }

    fn boot_id(&self) -> Option<String> {
        static ID: OnceLock<Option<String>> = OnceLock::new();
        ID.get_or_init(boot_id).clone()
    }

    fn slept_millis(&self) -> i64 {
        millis(time::clock_gettime(ClockId::Boottime)).saturating_sub(millis(time::clock_gettime(ClockId::Monotonic)))
    }

    fn disturbed(&self) -> BoxFuture<'_, ()> {
        let timer = disturbance();
        Box::pin(async {
            match timer {
                Ok(timer) => drop(timer.readable().await),
                // Out of descriptors: the next request looks by itself.
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn sleep_until(&self, deadline: BootTime) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match boot_timer(deadline) {
                Ok(timer) => drop(timer.readable().await),
                // Out of descriptors: tokio's own timer stops in suspend, which is late, never early.
                Err(_) => {
                    let left = std::time::Duration::from_millis(deadline.millis_since(self.boot()));
                    #[expect(clippy::disallowed_methods, reason = "the fallback of the clock itself")]
                    tokio::time::sleep(left).await;
                }
            }
        })
    }
}

fn millis(now: Timespec) -> i64 {
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}

/// Milliseconds by which the agent believes the boot clock to be ahead of the kernel's: none. In a build with the
/// feature `weak` as many as stand in the file that `CLAVIGER_BOOT_AHEAD` names, so that a test can have time pass; what
/// waits already is not woken by that.
#[cfg(not(feature = "weak"))]
#[inline(always)]
const fn ahead() -> u64 {
    0
}

#[cfg(feature = "weak")]
fn ahead() -> u64 {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("CLAVIGER_BOOT_AHEAD").map(PathBuf::from));
    let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// A timer on CLOCK_BOOTTIME; tokio's own timers stop while the machine sleeps.
fn boot_timer(deadline: BootTime) -> io::Result<AsyncFd<OwnedFd>> {
    let millis = i64::try_from(deadline.0.saturating_sub(ahead())).unwrap_or(i64::MAX).max(1);
    let value = Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 };
    timer(TimerfdClockId::Boottime, TimerfdTimerFlags::ABSTIME, value)
}

/// A timer that ends only by being cancelled: the kernel does that after each sleep and each step of CLOCK_REALTIME
/// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
fn disturbance() -> io::Result<AsyncFd<OwnedFd>> {
    let never = Timespec { tv_sec: 1 << 33, tv_nsec: 0 };
    timer(TimerfdClockId::Realtime, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, never)
}

fn timer(clock: TimerfdClockId, flags: TimerfdTimerFlags, value: Timespec) -> io::Result<AsyncFd<OwnedFd>> {
    let timer = time::timerfd_create(clock, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
    time::timerfd_settime(&timer, flags, &Itimerspec { it_interval: interval, it_value: value })?;
    #[expect(deprecated, reason = "its replacement is unsafe; an OwnedFd keeps the promise that is asked for")]
    AsyncFd::new(timer)
}

/// The kernel's name of this boot, and by how much a time namespace has moved the boot clock (time_namespaces(7)).
fn boot_id() -> Option<String> {
    let read = |path: &str| {
        let bytes = read_file(Path::new(path), BOOT_ID_LIMIT, OFlags::NOFOLLOW).ok().flatten();
        bytes.and_then(|bytes| String::from_utf8(bytes).ok())
    };
    let boot = read("/proc/sys/kernel/random/boot_id")?;
    // Absent in a kernel without time namespaces.
    let offsets = read("/proc/self/timens_offsets").unwrap_or_default();
    let moved = offsets.lines().find_map(|line| line.strip_prefix("boottime")).unwrap_or_default();
    let moved: Vec<&str> = moved.split_whitespace().filter(|part| *part != "0").collect();
    Some([vec![boot.trim()], moved].concat().join(" "))
}

pub(super) struct KernelEntropy;

impl Entropy for KernelEntropy {
    fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
        }
        Ok(())
    }
}

pub(super) struct FileSystem;

impl Disk for FileSystem {
    fn create_private_folder(&self, path: &Path) -> io::Result<()> {
        let missing = |folder: &&Path| fs::stat(*folder).is_err_and(|error| error == rustix::io::Errno::NOENT);
        let parents: Vec<&Path> = path.ancestors().skip(1).take_while(missing).collect();
        for folder in parents.into_iter().rev().chain([path]) {
            match fs::mkdir(folder, Mode::RWXU) {
                Ok(()) => {
                    // The umask of the agent would take the owner's x away.
                    fs::chmod(folder, Mode::RWXU)?;
                    // What lies in it is durable only with it. Its parent need not be ours, so an error is no reason to fail.
                    drop(folder.parent().map(|parent| self.sync_folder(parent)));
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
        let closed = Mode::from_raw_mode(found.st_mode) & (Mode::RWXG | Mode::RWXO) == Mode::empty();
        let ours = found.st_uid == rustix::process::geteuid().as_raw();
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory && ours && closed {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a folder that is this user's alone (mode 0700)"))
        }
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        read_file(path, limit, OFlags::NOFOLLOW)
    }

    fn read_linked(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        read_file(path, limit, OFlags::empty())
    }

    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>> {
        match fs::stat(path) {
            Ok(found) => Ok(Some(Stamp {
                inode: found.st_ino,
                size: found.st_size.unsigned_abs(),
                modified: i128::from(found.st_mtime) * 1_000_000_000 + i128::from(found.st_mtime_nsec),
            })),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        open_for_writing(path, OFlags::CREATE | OFlags::EXCL)
    }

    fn real_path(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match path.canonicalize() {
            Ok(path) => Ok(Some(path)),
            // A link to nothing is no absent file: what it should lead to is for its owner to say.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => Err(error),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create_like(&self, path: &Path, like: &Path) -> io::Result<Box<dyn DiskFile>> {
        let found = fs::stat(like)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        let made = fs::fstat(&file)?;
        let owner = (found.st_uid != made.st_uid).then(|| Uid::from_raw(found.st_uid));
        let group = (found.st_gid != made.st_gid).then(|| Gid::from_raw(found.st_gid));
        if owner.is_some() || group.is_some() {
            fs::fchown(&file, owner, group)?;
        }
        // After the owner: changing that takes the set-id bits away.
        fs::fchmod(&file, Mode::from_raw_mode(found.st_mode))?;
        Ok(Box::new(OpenFile(File::from(file))))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        open_for_writing(path, OFlags::APPEND)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(fs::link(from, to)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(fs::rename(from, to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::unlink(path) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let folder = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(fs::fsync(folder)?)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        // Not the standard library's: that one panics where the folder cannot be closed.
        let folder = match fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(folder) => fs::Dir::new(folder)?,
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let names = folder.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.filter(|name| !name.as_ref().is_ok_and(|name| name == "." || name == "..")).collect()
    }
}

fn read_file(path: &Path, limit: u64, flags: OFlags) -> io::Result<Option<Vec<u8>>> {
    // NONBLOCK: a FIFO in the file's place must not hang the agent.
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if found.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than such a file may be"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0).saturating_add(1));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than such a file may be"));
    }
    Ok(Some(bytes))
}

fn open_for_writing(path: &Path, flags: OFlags) -> io::Result<Box<dyn DiskFile>> {
    let flags = flags | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Box::new(OpenFile(File::from(fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))))
}

struct OpenFile(File);

impl DiskFile for OpenFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn reserve(&mut self, length: u64, bytes: u64) -> io::Result<()> {
        Ok(fs::fallocate(&self.0, fs::FallocateFlags::KEEP_SIZE, length, bytes)?)
    }
}
