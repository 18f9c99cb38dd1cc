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

    /// What the kernel does with the page at an address: VmFlags of proc_pid_smaps(5).
    fn flags(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let hex = |text| usize::from_str_radix(text, 16).ok();
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            if let Some((start, end)) = range.and_then(|(start, end)| hex(start).zip(hex(end))) {
                inside = (start..end).contains(&address);
            } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
                return flags.to_owned();
            }
        }
        panic!("no such page");
    }

    #[test]
    fn the_pages_of_a_secret_are_locked_and_in_no_dump() {
        let secret = vec![7_u8; 3 * 4096];
        keep_in_memory(&secret).unwrap();
        for at in [0, 4096, 2 * 4096, secret.len() - 1] {
            let flags = flags(secret.as_ptr().addr() + at);
            assert!(flags.contains(" lo") && flags.contains(" dd"), "{flags}");
        }
        // The heap and the stacks hold pages that other tests have locked.
        static PLAIN: [u8; 1] = [7];
        assert!(!flags(PLAIN.as_ptr().addr()).contains(" lo"), "the control");
        keep_in_memory(&[]).unwrap();
    }
}
