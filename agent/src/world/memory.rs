//! Keeping secrets out of swap.

#![expect(unsafe_code, reason = "mlock and madvise take addresses")]

use rustix::mm::{Advice, madvise, mlock};
use std::ffi::c_void;
use std::io;

/// The smallest page of the systems we run on; a larger one is locked whole by the kernel.
const PAGE: usize = 4096;

/// Locks the pages that hold these bytes (mlock(2)) and leaves them out of dumps. They stay locked until the process
/// ends: what follows a secret on its page is worth little. An error is RLIMIT_MEMLOCK; the secret is then as safe
/// as the machine's swap is.
pub fn keep_in_memory(bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let start = bytes.as_ptr().addr() & !(PAGE - 1);
    let end = bytes.as_ptr().addr().saturating_add(bytes.len());
    let pages = bytes.as_ptr().with_addr(start).cast_mut().cast::<c_void>();
    let length = end.saturating_sub(start).next_multiple_of(PAGE);
    // SAFETY: the pages hold live memory of this process; neither call reads or writes it.
    unsafe {
        mlock(pages, length)?;
        madvise(pages, length, Advice::LinuxDontDump)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::keep_in_memory;

    #[test]
    fn the_pages_of_a_secret_are_locked() {
        let locked = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap().to_owned();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let secret = vec![7_u8; 3 * 4096];
        let before = locked();
        keep_in_memory(&secret).unwrap();
        assert!(locked() >= before + 12, "three pages are 12 KiB");
        keep_in_memory(&[]).unwrap();
    }
}
