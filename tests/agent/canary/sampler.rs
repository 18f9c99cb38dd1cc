//! Looks at the argv and environment of every process, and at files that come and go, about a thousand times a second.

use super::record::{Place, Record};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Shared {
    /// The program that a process was last seen as.
    programs: Mutex<HashMap<i32, Vec<u8>>>,
    sweeps: AtomicU64,
    processes: AtomicU64,
}

pub(crate) struct Sampler {
    shared: Arc<Shared>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Looks at processes that begin from now on, and at files in and below this folder.
    pub(crate) fn start(record: Arc<Record>, folder: PathBuf) -> Self {
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = channel();
        let ours = shared.clone();
        let thread = std::thread::spawn(move || {
            let mut eyes =
                Eyes { record, folder, before: pids().collect(), seen: HashSet::new(), files: HashSet::new() };
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                eyes.sweep(&ours);
                ours.sweeps.fetch_add(1, Ordering::Release);
            }
        });
        Self { shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Waits until all that is now has been looked at.
    pub(crate) fn look(&self) {
        let sweeps = || self.shared.sweeps.load(Ordering::Acquire);
        let enough = sweeps() + 2;
        while sweeps() < enough {
            std::thread::yield_now();
        }
    }

    /// Waits until a process has been looked at as this program, or `ended`.
    pub(crate) fn wait_for(&self, pid: u32, program: &Path, mut ended: impl FnMut() -> bool) {
        let program = program.as_os_str().as_encoded_bytes();
        let seen =
            || self.shared.programs.lock().expect("programs").get(&pid.cast_signed()).is_some_and(|p| p == program);
        while !seen() && !ended() {
            std::thread::yield_now();
        }
    }

    /// Ends it: looks and processes.
    pub(crate) fn end(mut self) -> (u64, u64) {
        self.stop = None;
        self.thread.take().expect("a thread").join().expect("the sampler");
        (self.shared.sweeps.load(Ordering::Acquire), self.shared.processes.load(Ordering::Acquire))
    }
}

struct Eyes {
    record: Arc<Record>,
    folder: PathBuf,
    /// Processes that were there before.
    before: HashSet<i32>,
    seen: HashSet<(Place, Vec<u8>)>,
    files: HashSet<PathBuf>,
}

impl Eyes {
    fn sweep(&mut self, shared: &Shared) {
        for pid in pids() {
            if !self.before.contains(&pid) {
                self.process(pid, shared);
            }
        }
        for below in ["config", "data", "data/audit", "run", "tmp", ".aws", ""] {
            for entry in fs::read_dir(self.folder.join(below)).into_iter().flatten().flatten() {
                let path = entry.path();
                if !self.files.contains(&path) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    self.files.insert(path.clone());
                    // Those that stay are looked at again in the end; here for those that do not.
                    if let Ok(bytes) = fs::read(&path) {
                        self.fleeting(&path, bytes);
                    }
                }
            }
        }
    }

    fn fleeting(&self, path: &Path, bytes: Vec<u8>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name.contains("tmp") || name.contains("new") {
            self.record.keep(Place::File, &format!("{name}, for a moment"), bytes);
        }
    }

    fn process(&mut self, pid: i32, shared: &Shared) {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let (argv, environment) = (read("cmdline"), read("environ"));
        // An exec in between would mix two programs.
        if argv.is_empty() || argv != read("cmdline") {
            return;
        }
        let program = argv.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let name = String::from_utf8_lossy(&program).rsplit('/').next().unwrap_or_default().to_owned();
        let kind = match name.as_str() {
            "claviger-agent" | "claviger-agent-weak" => Place::AgentEnvironment,
            "claviger" | "setsid" => Place::ClientEnvironment,
            _ if environment.windows(17).any(|part| part == b"CLAVIGER_PROFILE=") => Place::ChildEnvironment,
            _ => Place::ClientEnvironment,
        };
        for (place, bytes) in [(Place::Argv, argv), (kind, environment)] {
            if self.seen.insert((place, bytes.clone())) {
                self.record.keep(place, &name, &bytes);
            }
        }
        if shared.programs.lock().expect("programs").insert(pid, program).is_none() {
            shared.processes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
