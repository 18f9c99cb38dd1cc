//! What ours takes and weighs: warm and cold answers, many profiles, the agent at rest and at its start.

use super::figure::{Finding, Gate, Ratio, Single, millis, pairs, whole};
use super::{FLOOR, FLOOR_PAIRS, PEER_PAIRS, PROCESS, WARM};
use crate::run::{Failure, Job, Outcome, timed};
use crate::stage::Stage;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// Seconds after which the agent counts as idle: the threads that wait 10 s for further work have ended.
const SETTLE: u64 = 20;
/// Seconds over which wake-ups are counted.
const MINUTE: u64 = 60;
/// Starts of the agent.
const STARTS: usize = 40;

/// A warm answer against the least that any process takes.
pub(super) fn warm(stage: &Stage) -> Outcome<Vec<Finding>> {
    Ok(vec![against_floor(stage, WARM, &PROCESS, Gate::AtMost(1.2))?])
}

/// The other hot verbs, and an answer that takes one call of STS.
pub(super) fn verbs(stage: &Stage) -> Outcome<Vec<Finding>> {
    let cold = || {
        stage.claviger(&["logout", "prod"], "")?;
        whole(stage.command("claviger").args(PROCESS))
    };
    let warm = || whole(stage.command("claviger").args(PROCESS));
    Ok(vec![
        against_floor(
            stage,
            "`claviger env prod --shell json`, warm",
            &["env", "prod", "--shell", "json"],
            Gate::None,
        )?,
        against_floor(
            stage,
            "`claviger exec --env prod -- /bin/true`, warm",
            &["exec", "--env", "prod", "--", "/bin/true"],
            Gate::None,
        )?,
        against_floor(
            stage,
            "`claviger exec prod -- /bin/true`, an endpoint of its own",
            &["exec", "prod", "--", "/bin/true"],
            Gate::None,
        )?,
        Finding::Ratio(Ratio {
            name: "`claviger process prod`, its session gone: one AssumeRole call of the sandbox".to_owned(),
            against: WARM.to_owned(),
            unit: "ms",
            pairs: pairs(PEER_PAIRS, cold, warm)?,
            gate: Gate::None,
        }),
    ])
}

fn against_floor(stage: &Stage, name: &str, words: &[&str], gate: Gate) -> Outcome<Finding> {
    let this = || whole(stage.command("claviger").args(words));
    let floor = || whole(&mut stage.command(FLOOR));
    let pairs = pairs(FLOOR_PAIRS, this, floor)?;
    Ok(Finding::Ratio(Ratio { name: name.to_owned(), against: format!("`{FLOOR}`"), unit: "ms", pairs, gate }))
}

/// The same answer with 10,000 profiles in the AWS files, and with few.
pub(super) fn profiles(few: &Stage, many: &Stage) -> Outcome<Vec<Finding>> {
    let pairs_of = |words: &[&str]| {
        let of = |stage: &Stage| whole(stage.command("claviger").args(words));
        pairs(FLOOR_PAIRS, || of(many), || of(few))
    };
    let ratio = |verb: &str, words: &[&str]| {
        Ok(Finding::Ratio(Ratio {
            name: format!("`{verb}`, warm, {} profiles", many.profiles()),
            against: format!("{} profiles", few.profiles()),
            unit: "ms",
            pairs: pairs_of(words)?,
            gate: Gate::AtMost(1.1),
        }))
    };
    Ok(vec![
        ratio("claviger process prod", &PROCESS)?,
        ratio("claviger env prod", &["env", "prod", "--shell", "json"])?,
        memory(many, format!("memory in use with {} profiles, idle", many.profiles()), Gate::None)?,
    ])
}

/// Memory and wake-ups of an agent with one session and nothing to do; then its start with the vault locked. The
/// stage's agent is stopped.
pub(super) fn rest(stage: &Stage) -> Outcome<Vec<Finding>> {
    let gate = Gate::AtMost(12.0);
    settle(SETTLE)?;
    let unlocked = memory(stage, "memory in use, unlocked, one session, idle".to_owned(), gate)?;
    let awake = wake_ups(stage, "wake-ups, unlocked and idle".to_owned(), Gate::None)?;
    stage.claviger(&["lock"], "")?;
    settle(SETTLE)?;
    let locked = memory(stage, "memory in use, locked, idle".to_owned(), gate)?;
    let asleep = wake_ups(stage, "wake-ups, locked and idle".to_owned(), Gate::AtMost(0.0))?;
    Ok(vec![unlocked, locked, awake, asleep])
}

/// From spawn to the line that says it serves, the vault locked.
pub(super) fn start(stage: &Stage) -> Outcome<Vec<Finding>> {
    stage.claviger(&["agent", "stop"], "")?;
    let pairs = pairs(STARTS, || started(stage), || whole(&mut stage.command(FLOOR)))?;
    Ok(vec![Finding::Ratio(Ratio {
        name: "`claviger-agent run --detached`, until it serves, vault locked".to_owned(),
        against: format!("`{FLOOR}`"),
        unit: "ms",
        pairs,
        gate: Gate::AtMost(50.0),
    })])
}

fn started(stage: &Stage) -> Outcome<f64> {
    let mut agent = stage.command("claviger-agent");
    agent.args(["run", "--detached"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (begun, time) = timed(|| {
        let mut child = agent.spawn().map_err(Failure::from("claviger-agent"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(Failure::from("claviger-agent"))?;
        }
        Ok::<_, Failure>((child, line))
    });
    let (mut child, line) = begun?;
    if line != "ready\n" {
        let _ = (child.kill(), child.wait());
        return Err(Failure::new(format!("claviger-agent run --detached said {line:?}")));
    }
    stage.claviger(&["agent", "stop"], "")?;
    child.wait().map_err(Failure::from("claviger-agent"))?;
    Ok(millis(time))
}

/// MiB of VmRSS, what is shared with other processes included (proc_pid_status(5)).
fn memory(stage: &Stage, name: String, gate: Gate) -> Outcome<Finding> {
    let status = read(Path::new(&format!("/proc/{}/status", stage.agent()?)))?;
    let kibibytes = number(&status, "VmRSS:").ok_or_else(|| Failure::new("no VmRSS in /proc"))?;
    Ok(Finding::Single(Single { name, value: kibibytes / 1024.0, unit: "MiB", gate }))
}

/// Times that a thread of the agent gave up the processor of its own accord, within a minute.
fn wake_ups(stage: &Stage, name: String, gate: Gate) -> Outcome<Finding> {
    let agent = stage.agent()?;
    let before = switches(agent)?;
    settle(MINUTE)?;
    let value = woken(&before, &switches(agent)?);
    Ok(Finding::Single(Single { name, value, unit: "a minute", gate }))
}

/// By thread, since one that ends takes its count along.
fn switches(agent: u32) -> Outcome<BTreeMap<String, f64>> {
    let tasks = format!("/proc/{agent}/task");
    let entries = std::fs::read_dir(&tasks).map_err(Failure::from(&tasks))?;
    let counted = entries.flatten().map(|entry| {
        let count = number(&read(&entry.path().join("status"))?, "voluntary_ctxt_switches:");
        let count = count.ok_or_else(|| Failure::new("no voluntary_ctxt_switches in /proc"))?;
        Ok((entry.file_name().to_string_lossy().into_owned(), count))
    });
    counted.collect()
}

/// A thread that began since counts with all it did; one that ended was woken for that, once at least.
fn woken(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> f64 {
    let living = after.iter().map(|(thread, count)| count - before.get(thread).unwrap_or(&0.0));
    let ended = before.keys().filter(|thread| !after.contains_key(*thread)).map(|_| 1.0);
    living.chain(ended).sum()
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(Failure::from(path.display()))
}

fn number(status: &str, key: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// What is measured is a time in which nothing happens.
fn settle(seconds: u64) -> Outcome {
    Job::new(["sleep", &seconds.to_string()]).run()
}

#[cfg(test)]
mod tests {
    use super::{number, woken};
    use std::collections::BTreeMap;

    #[test]
    fn a_figure_of_proc_is_read_by_its_own_name() {
        let status = "VmRSS:\t    4096 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!((number(status, "VmRSS:"), number(status, "voluntary_ctxt_switches:")), (Some(4096.0), Some(7.0)));
        assert_eq!(number(status, "VmHWM:"), None);
    }

    #[test]
    fn a_thread_that_ends_takes_nothing_from_the_count() {
        let counts = |of: &[(&str, f64)]| of.iter().map(|(thread, count)| ((*thread).to_owned(), *count)).collect();
        let before: BTreeMap<String, f64> = counts(&[("1", 10.0), ("2", 500.0)]);
        let is =
            |after: &[(&str, f64)], wanted: f64| assert_eq!(woken(&before, &counts(after)).to_bits(), wanted.to_bits());
        is(&[("1", 10.0), ("2", 500.0)], 0.0);
        is(&[("1", 12.0)], 3.0);
        is(&[("1", 10.0), ("2", 500.0), ("3", 4.0)], 4.0);
    }
}
