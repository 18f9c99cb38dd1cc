//! The ground: clock, entropy and disk, one plain struct handed in at the top.

use aws_smithy_types::date_time::{DateTime, Format};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

mod child;
mod defence;
mod memory;
mod real;
mod session_bus;
mod stack;

pub use child::{Running, ended};
pub use defence::Defence;
pub(crate) use defence::mishandle;
pub use memory::keep_in_memory;
pub use session_bus::{NoBus, SessionBus};
pub use stack::{OPTIMISED, WIPED_STACK, on_wiped_stack, with_wiped_stack};

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything the daemon takes from the machine it runs on, apart from sockets and the network.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Files.
    pub disk: Arc<dyn Disk>,
}

impl World {
    /// The machine itself.
    pub fn real() -> Self {
        Self {
            clock: Arc::new(real::MachineClock),
            entropy: Arc::new(real::KernelEntropy),
            disk: Arc::new(real::FileSystem),
        }
    }
}

/// Milliseconds since 1970 in UTC, as this machine believes. For TOTP, signatures and what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time moved by so many milliseconds.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// A time as RFC 3339 in UTC, whole seconds: what AWS SDKs read everywhere.
pub fn rfc3339(time: WallTime) -> String {
    DateTime::from_secs(time.seconds()).fmt(Format::DateTime).unwrap_or_default()
}

/// Milliseconds since the machine started, suspend included (CLOCK_BOOTTIME). For every deadline:
/// it never steps, and a laptop that slept wakes up with its deadlines passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub u64);

impl BootTime {
    /// This time moved forward by so many milliseconds.
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time; 0 where it lies before.
    pub fn millis_since(self, earlier: BootTime) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Time.
pub trait Clock: Send + Sync {
    /// What the wall clock says.
    fn wall(&self) -> WallTime;
    /// What the boot clock says.
    fn boot(&self) -> BootTime;
    /// Returns once the boot clock has reached `deadline`.
    fn sleep_until(&self, deadline: BootTime) -> BoxFuture<'_, ()>;
    /// Names the boot clock: what was noted by it holds only while this stays the same. None where nothing tells.
    fn boot_id(&self) -> Option<String>;
    /// Milliseconds by which the boot clock is ahead of one that stops in suspend. Grows only while the machine sleeps.
    fn slept_millis(&self) -> i64;
    /// Returns after the machine has slept, or when its wall clock was set, since this was called.
    fn disturbed(&self) -> BoxFuture<'_, ()>;
}

/// Randomness.
pub trait Entropy: Send + Sync {
    /// Fills the buffer from the kernel. An error is final for the operation that asked.
    fn fill(&self, buffer: &mut [u8]) -> io::Result<()>;
}

/// What identifies a version of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub modified: i128,
}

/// Files. Paths are absolute; nothing follows a symbolic link in the last component unless it says so.
pub trait Disk: Send + Sync {
    /// Makes a folder and its missing parents, the folder itself mode 0700, durably as far as this user may read what
    /// they lie in. One that exists must belong to this user and be closed to others, else an error.
    fn create_private_folder(&self, path: &Path) -> io::Result<()>;
    /// The whole file; None where there is none. More than `limit` bytes is an error, read before allocation.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>>;
    /// The same, following symbolic links: for files that the user owns and arranges, such as `~/.aws/config`.
    fn read_linked(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>>;
    /// Inode, size and time of the file a path leads to, links followed; None where there is none.
    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>>;
    /// The file that a path leads to, every link followed; None where there is none.
    fn real_path(&self, path: &Path) -> io::Result<Option<PathBuf>>;
    /// A new file, mode 0600; an existing one is an error.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// A new file with the mode and the owner of another one; an existing one is an error, and so is an owner that
    /// this user may not give.
    fn create_like(&self, path: &Path, like: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file, to write at its end.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file a second name; an existing name is an error.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Moves a file over another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; absent is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a folder; empty where there is none.
    fn names(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// A file being written.
pub trait DiskFile: Send {
    /// Writes all of it.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable. After an error the file is worth nothing: never retried.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to so many bytes, and gives back what was set aside beyond them. Sync before writing on.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Sets room for `bytes` beyond the first `length` aside, so that a full disk cannot refuse them; the file's length
    /// stays (fallocate(2)). [`io::ErrorKind::Unsupported`] where the file system cannot.
    fn reserve(&mut self, length: u64, bytes: u64) -> io::Result<()>;
}
