//! Which program may hold a card.

use std::fs;

/// Most that are named: more say nothing.
const NAMED: usize = 3;

/// The programs of this user that have pcscd's library loaded beside this one, by name and number; None where there is none
/// that can be seen. pcscd itself tells nobody who holds a card.
pub(super) fn holder() -> Option<String> {
    let own = std::process::id();
    let mut found = Vec::new();
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
        found.push(format!("{name} (pid {pid})"));
        if found.len() == NAMED {
            break;
        }
    }
    (!found.is_empty()).then(|| found.join(" or "))
}
