//! Which program may hold a card.

use std::fs;

/// The one program of this user that has pcscd's library loaded beside this one, by name and number; None where there is
/// none, or more than one. pcscd itself tells nobody who holds a card.
pub(super) fn holder() -> Option<String> {
    let own = std::process::id();
    let mut found = None;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Of others it cannot be read.
        let Ok(maps) = fs::read_to_string(entry.path().join("maps")) else { continue };
        if pid == own || !maps.contains("libpcsclite") {
            continue;
        }
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let name: String = name.trim().chars().filter(|c| c.is_ascii_graphic()).collect();
        // Another helper of ours shares what it uses.
        if name.starts_with("claviger-devic") {
            continue;
        }
        if found.replace(format!("{name} (pid {pid})")).is_some() {
            return None;
        }
    }
    found
}
