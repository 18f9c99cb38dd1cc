//! Who is at the other end of a connection, as the kernel tells it.

use claviger::model::{AuditPeer, AuditProcess};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// Longest chain of parents that is read: an editor, its shell, a runner and a script are four.
const CHAIN_LIMIT: usize = 8;

/// A local caller. Good for showing and for watching its end; it proves nothing about which program it is.
pub(crate) struct Peer {
    /// Its process id when it connected, where the kernel tells it.
    pub(crate) pid: Option<Pid>,
    /// A handle on that process that no later one can take over (pidfd_open(2)).
    pub(crate) process: Option<OwnedFd>,
    seen: OnceLock<AuditPeer>,
}

impl Peer {
    /// The process that connected.
    pub(crate) fn of(pid: Option<i32>) -> Self {
        let pid = pid.and_then(Pid::from_raw);
        let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { pid, process, seen: OnceLock::new() }
    }

    /// As the audit record shows it, read once. Of a process that has ended only the pid is known: by now another may
    /// have it.
    pub(crate) fn seen(&self) -> AuditPeer {
        self.seen.get_or_init(|| self.look()).clone()
    }

    /// The same with its parents and its folder, read now.
    pub(crate) fn with_parents(&self) -> AuditPeer {
        let seen = self.seen();
        let pid = self.pid.filter(|_| seen.start.is_some()).map(|pid| pid.as_raw_pid());
        let (parents, cwd) = (pid.map(parents), pid.and_then(cwd));
        let lives = self.lives();
        AuditPeer { chain: parents.filter(|_| lives).unwrap_or_default(), cwd: cwd.filter(|_| lives), ..seen }
    }

    fn look(&self) -> AuditPeer {
        let uid = rustix::process::geteuid().as_raw();
        let pid = self.pid.map(|pid| pid.as_raw_pid());
        let unknown = AuditPeer { pid, uid, ..AuditPeer::default() };
        let Some((pid, stat)) = pid.and_then(|pid| Some((pid, Stat::of(pid)?))) else { return unknown };
        let exe = exe(pid);
        if !self.lives() {
            return unknown;
        }
        let tty = (stat.tty != 0).then(|| {
            let (major, minor) = (stat.tty >> 8 & 0xfff, stat.tty & 0xff | stat.tty >> 12 & 0xfff00);
            format!("{major}:{minor}")
        });
        AuditPeer { exe, leader: Some(stat.leader), start: Some(stat.start), tty, ..unknown }
    }

    /// A pidfd can be read once its process has ended.
    fn lives(&self) -> bool {
        let Some(process) = &self.process else { return false };
        let mut polled = [PollFd::new(process, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
    }
}

fn parents(pid: i32) -> Vec<AuditProcess> {
    let mut chain = Vec::new();
    let mut next = Stat::of(pid).map(|stat| stat.parent);
    while let Some(pid) = next.filter(|pid| *pid > 0 && chain.len() < CHAIN_LIMIT) {
        let Some(stat) = Stat::of(pid) else { break };
        next = Some(stat.parent);
        chain.push(AuditProcess { exe: exe(pid), name: stat.name, pid, start: stat.start });
    }
    chain
}

fn exe(pid: i32) -> Option<String> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok().map(|path| path.to_string_lossy().into_owned())
}

fn cwd(pid: i32) -> Option<String> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok().map(|path| path.to_string_lossy().into_owned())
}

/// What proc_pid_stat(5) says of a process.
struct Stat {
    name: String,
    parent: i32,
    leader: i32,
    tty: u32,
    start: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let file = open(format!("/proc/{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        // The kernel gives all of it at once: 52 numbers and a name of at most 64 bytes.
        let mut text = [0; 1536];
        let length = rustix::io::read(&file, &mut text).ok()?;
        Self::parse(&String::from_utf8_lossy(text.get(..length)?))
    }

    /// The name stands in brackets and may hold anything, brackets too.
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        Some(Self {
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            leader: fields.get(3)?.parse().ok()?,
            tty: fields.get(4)?.parse::<i32>().ok()?.cast_unsigned(),
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Peer, Stat};

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let stat = "7 (a) 1 (b)) S 3 4 5 34816 7 8 9 10 11 12 13 14 15 16 17 18 19 20 4242 22";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.name.as_str(), stat.parent, stat.leader, stat.tty), ("a) 1 (b)", 3, 5, 34816));
        assert_eq!(stat.start, 4242);
        assert!(Stat::parse("7 (a) S 3").is_none() && Stat::parse("").is_none());
    }

    #[test]
    fn this_process_is_seen_with_its_parents_and_one_that_ended_by_its_pid_alone() {
        let me = Peer::of(Some(std::process::id().cast_signed()));
        let seen = me.with_parents();
        assert_eq!(seen.exe.as_deref(), std::env::current_exe().unwrap().to_str());
        assert!(seen.start.is_some() && seen.leader.is_some());
        let parent = rustix::process::getppid().unwrap().as_raw_pid();
        assert_eq!(seen.chain.first().map(|process| process.pid), Some(parent));
        assert_eq!(seen.cwd.as_deref(), std::env::current_dir().unwrap().to_str());
        assert!(me.seen().chain.is_empty());

        let mut child = std::process::Command::new("true").spawn().unwrap();
        let peer = Peer::of(Some(child.id().cast_signed()));
        child.wait().unwrap();
        let seen = peer.with_parents();
        assert_eq!((seen.pid, seen.exe, seen.start, seen.chain.len()), (Some(child.id().cast_signed()), None, None, 0));
    }
}
