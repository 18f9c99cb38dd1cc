//! The program that a successor is started from, and whether this user could have put another in its place.

use rustix::fs::{self, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Most symbolic links on the way to a file, as in the kernel (path_resolution(7)).
const LINKS_LIMIT: u32 = 40;

/// Set where only ancestors may attach to a process (Yama, ptrace_scope).
const YAMA: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// At 1 a process may be looked into whatever it runs (proc_sys_fs(5)).
const SUID_DUMPABLE: &str = "/proc/sys/fs/suid_dumpable";

/// The agent's program, as it was named when this process started: after an upgrade the same name leads to the new one.
#[derive(Clone)]
pub struct Program(PathBuf);

/// How a program of this user could get at what its successor is given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This file, link or folder can be changed by the user.
    Write(PathBuf),
    /// The user may read the program: then the kernel lets any program of theirs look into a process that has just
    /// begun to run it, before it can forbid that.
    Look(PathBuf),
    /// The way there cannot be looked at.
    Unknown(PathBuf),
}

impl Program {
    /// This process's own program. By the name it was started with where that is a whole path, links and all: an upgrade
    /// may turn the link.
    pub fn as_started() -> std::io::Result<Self> {
        let own = std::env::current_exe()?;
        let named = std::env::args_os().next().map(PathBuf::from).filter(|named| named.is_absolute());
        let leads_here = |named: &PathBuf| std::fs::canonicalize(named).is_ok_and(|led| led == own);
        Ok(Self(named.filter(leads_here).unwrap_or(own)))
    }

    /// Another program of the same installation: it lies beside this one, wherever a link to this one may be.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        std::fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone()).with_file_name(name)
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// How this user could get at a successor's secrets; None where only others could, such as root.
    /// Access control lists need no look of their own: what they grant shows in the group's bits (acl(5)).
    pub(crate) fn within_reach(&self, user: u32) -> Option<Reach> {
        let file = match walk(&self.0, user) {
            Ok(file) => file,
            Err(reach) => return Some(reach),
        };
        let setting = |name: &str| std::fs::read_to_string(name).ok()?.trim().parse::<u32>().ok();
        let only_ancestors_attach = setting(YAMA).is_some_and(|scope| scope > 0);
        let shielded = setting(SUID_DUMPABLE).is_some_and(|dumpable| dumpable != 1);
        let readable = || !shielded || fs::access(&file, fs::Access::READ_OK) != Err(Errno::ACCESS);
        (!only_ancestors_attach && readable()).then(|| Reach::Look(self.0.clone()))
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Write(path) => write!(out, "this user can change {}", path.display()),
            Self::Look(path) => write!(out, "this user can read {} (mode 711 is enough to run it)", path.display()),
            Self::Unknown(path) => write!(out, "{} cannot be looked at", path.display()),
        }
    }
}

/// Goes from the root to the file, one name at a time, and looks at each folder, link and the file itself: the path
/// without links.
fn walk(path: &Path, user: u32) -> Result<PathBuf, Reach> {
    let mut ahead = names(path);
    let mut behind = vec![look(None, Path::new("/"), &OsString::from("/"), user)?.0];
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            // Above the root is the root.
            if behind.len() > 1 {
                behind.pop();
            }
            at.pop();
            continue;
        }
        let (found, stat) = look(behind.last(), &at, &name, user)?;
        let here = at.join(&name);
        if fs::FileType::from_raw_mode(stat.st_mode) != fs::FileType::Symlink {
            behind.push(found);
            at = here;
            continue;
        }
        links += 1;
        let target = fs::readlinkat(&found, "", Vec::new()).map_err(|_| Reach::Unknown(here.clone()))?;
        if links > LINKS_LIMIT {
            return Err(Reach::Unknown(here));
        }
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            behind.truncate(1);
            at = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            ahead.push_front(name);
        }
    }
    Ok(at)
}

/// The names of a path, without `/` and `.`.
fn names(path: &Path) -> VecDeque<OsString> {
    let kept = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(kept).map(|part| part.as_os_str().to_owned()).collect()
}

/// Opens a name for looking at alone, and refuses one that the user can change.
fn look(folder: Option<&OwnedFd>, at: &Path, name: &OsString, user: u32) -> Result<(OwnedFd, Stat), Reach> {
    let unknown = |_| Reach::Unknown(at.join(name));
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match folder {
        Some(folder) => fs::openat(folder, name, flags, Mode::empty()),
        None => fs::open(name, flags, Mode::empty()),
    };
    let found = opened.map_err(unknown)?;
    let stat = fs::fstat(&found).map_err(unknown)?;
    if changeable(&stat, user) { Err(Reach::Write(at.join(name))) } else { Ok((found, stat)) }
}

/// An owner may change the mode at any time. In a folder that is sticky, names belong to the owners of what they
/// lead to (inode(7)), and those are looked at themselves. A link's own mode means nothing.
fn changeable(stat: &Stat, user: u32) -> bool {
    let (kind, mode) = (fs::FileType::from_raw_mode(stat.st_mode), Mode::from_raw_mode(stat.st_mode));
    let open = mode.intersects(Mode::WGRP | Mode::WOTH);
    let excused = match kind {
        fs::FileType::Symlink => true,
        fs::FileType::Directory => mode.contains(Mode::SVTX),
        _ => false,
    };
    stat.st_uid == user || (open && !excused)
}

#[cfg(test)]
mod tests {
    use super::{Program, Reach};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::{Path, PathBuf};

    const USER: u32 = 4321;

    fn set(path: &Path, owner: u32, mode: u32) {
        chown(path, Some(owner), Some(owner)).expect("chown: run this test as root, as CI does");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Without what needs another user to be asked: root may read everything.
    fn changed_at(path: &Path) -> Option<PathBuf> {
        match Program(path.to_owned()).within_reach(USER) {
            Some(Reach::Write(path)) => Some(path),
            Some(Reach::Look(_)) | None => None,
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_part_of_the_way_is_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        set(root, 0, 0o755);
        for folder in ["bin", "lib", "lib/one"] {
            fs::create_dir(root.join(folder)).unwrap();
            set(&root.join(folder), 0, 0o755);
        }
        let program = root.join("lib/one/agent");
        fs::write(&program, "").unwrap();
        set(&program, 0, 0o711);
        let link = root.join("bin/agent");
        symlink("../lib/one/./agent", &link).unwrap();
        assert_eq!((changed_at(&program), changed_at(&link)), (None, None), "/tmp is sticky, the rest is root's");
        for part in ["lib/one/agent", "lib/one", "lib", ""] {
            let part = root.join(part);
            let mode = fs::metadata(&part).unwrap().permissions().mode() & 0o777;
            for (owner, open) in [(USER, mode), (0, mode | 0o020), (0, mode | 0o002)] {
                set(&part, owner, open);
                assert_eq!(changed_at(&program).as_deref(), Some(part.as_path()), "{owner} {open:o}");
                assert_eq!(changed_at(&link).as_deref(), Some(part.as_path()), "{owner} {open:o}");
            }
            set(&part, 0, mode);
        }
        // The link itself, and the folder it lies in.
        std::os::unix::fs::lchown(&link, Some(USER), None).unwrap();
        assert_eq!(changed_at(&link), Some(link.clone()));
        std::os::unix::fs::lchown(&link, Some(0), None).unwrap();
        set(&root.join("bin"), 0, 0o775);
        assert_eq!(changed_at(&link), Some(root.join("bin")));
        // Sticky helps a folder, and what another user owns in it.
        set(&root.join("bin"), 0, 0o1777);
        assert_eq!(changed_at(&link), None);
        set(&program, 0, 0o1777);
        assert_eq!(changed_at(&program), Some(program));
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_trusted() {
        let missing = Program("/nonexistent/agent".into());
        assert_eq!(missing.within_reach(USER), Some(Reach::Unknown("/nonexistent".into())));
        let root = tempfile::tempdir().unwrap();
        set(root.path(), 0, 0o755);
        let turning = root.path().join("turning");
        symlink("turning", &turning).unwrap();
        assert_eq!(Program(turning.clone()).within_reach(USER), Some(Reach::Unknown(turning)));
    }
}
