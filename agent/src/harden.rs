//! Self-protection, first thing in main; and the few things that need `unsafe`.

#![expect(unsafe_code, reason = "the environment, inherited descriptors and the allocator have no safe interface")]

use crate::world::Defence;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

/// The variables the agent keeps. Everything else it inherited is dropped: it belonged to whoever started it, and
/// would steer proxies, trust stores and AWS clients for everyone.
const KEPT: &[&str] = &[
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "CLAVIGER_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    // For the programs that ask a person.
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    // A successor is as weak, and at the same time.
    #[cfg(feature = "weak")]
    "CLAVIGER_WITHOUT",
    #[cfg(feature = "weak")]
    "CLAVIGER_BOOT_AHEAD",
];

/// Keeps the C library's allocator small: without this it opens a heap for each thread, up to eight a core, and once a
/// block of some size was freed keeps all up to that size (mallopt(3), M_ARENA_MAX and M_MMAP_THRESHOLD).
fn bound_heaps() {
    #[cfg(target_env = "gnu")]
    {
        // Their numbers in malloc.h.
        let (mmap_threshold, arena_max) = (-3, -8);
        unsafe extern "C" {
            safe fn mallopt(parameter: i32, value: i32) -> i32;
        }
        // Refused is as before.
        let _ = (mallopt(arena_max, 2), mallopt(mmap_threshold, 128 * 1024));
    }
}

/// Nobody of the same user reads this process's memory, environment or descriptors (prctl(2), PR_SET_DUMPABLE),
/// nothing dumps core, files are private, the environment is short. Reset by exec, so every helper does it again.
pub fn protect() -> io::Result<()> {
    protect_process()?;
    raise_descriptors();
    clear_environment();
    Ok(())
}

/// The same for the device helper, whose environment the agent has made.
#[cfg(feature = "devices")]
pub fn protect_helper() -> io::Result<()> {
    protect_process()
}

fn protect_process() -> io::Result<()> {
    if Defence::NotDumpable.stands() {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    if Defence::CoreLimit.stands() {
        rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    if Defence::Umask.stands() {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    }
    bound_heaps();
    std::panic::set_hook(Box::new(|panic| {
        // The place, never the payload: it may hold what was being worked on.
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let payload = panic.payload_as_str().filter(|_| !Defence::SilentPanic.stands());
        tracing::error!(payload, place = place.as_deref().unwrap_or("unknown"), "a defect: please report it");
    }));
    Ok(())
}

/// A thousand tools may connect at once; the soft limit is often 1024.
fn raise_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

fn clear_environment() {
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names.into_iter().filter(|name| !name.to_str().is_some_and(|name| KEPT.contains(&name))) {
        // SAFETY: main has started no thread yet.
        unsafe { std::env::remove_var(name) };
    }
}

/// Closes what a client left open across its exec, such as the pipe of `--passphrase-fd` or a script's lock file.
/// Only before anything is opened here, and not where systemd passes sockets.
pub fn close_inherited() {
    let Some(names) = ["/proc/self/fd", "/dev/fd"].iter().find_map(|folder| std::fs::read_dir(folder).ok()) else {
        return;
    };
    let numbers: Vec<i32> = names.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // SAFETY: only asked whether it is open: the folder that was read just now no longer is.
        let open = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_ok();
        if open {
            // SAFETY: nothing in this process owns a descriptor beyond the standard streams yet.
            unsafe { rustix::io::close(number) };
        }
    }
}

/// The sockets that systemd passed, with the names that its units give them (sd_listen_fds(3)). Only once.
pub fn activated_sockets() -> io::Result<Vec<(OwnedFd, String)>> {
    // SAFETY: the descriptors are passed to this process (LISTEN_PID), and nothing else here takes them.
    let own = |(socket, name)| (unsafe { OwnedFd::from_raw_fd(socket) }, name);
    Ok(sd_notify::listen_fds_with_names()?.map(own).collect())
}

/// An allocator that wipes what it frees: copies that serde, hyper and rustls made on the way go too.
pub struct WipingAllocator;

// SAFETY: every call goes to the system's allocator with the layout it was given; memory is written only between
// its allocation and its release.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's, `layout.size()` bytes long, until it is released in the next line.
        unsafe {
            if Defence::Wiping.stands() {
                wipe(memory, layout.size());
            }
            System.dealloc(memory, layout);
        }
    }

    // The default `realloc` allocates, copies and releases through the methods above, so the old block is wiped.
}

/// Writes zeros that the compiler may not leave out.
///
/// # Safety
/// `memory` points to `size` writable bytes.
unsafe fn wipe(memory: *mut u8, size: usize) {
    // One memset: byte by byte, the 256 MiB of an unlock take seconds in a debug build.
    // SAFETY: the caller's promise.
    let bytes = unsafe {
        std::ptr::write_bytes(memory, 0, size);
        std::slice::from_raw_parts(memory, size)
    };
    zeroize::optimization_barrier(bytes);
}
