//! `test`: everything CI runs, fastest first. It stops at the first failure.

use crate::run::{Failure, Job, Outcome, make_folder, root, say, target, timed};
use crate::{demo, dist, lint, pcsc, python, regress, supply, tools};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A step: what it is called, and the tools it cannot do without.
struct Step {
    name: String,
    tools: Vec<&'static str>,
    work: Box<dyn FnOnce() -> Outcome>,
}

impl Step {
    fn new(name: impl Into<String>, work: impl FnOnce() -> Outcome + 'static) -> Self {
        Self { name: name.into(), tools: Vec::new(), work: Box::new(work) }
    }

    fn job(name: &str, job: Job) -> Self {
        Self::new(name, move || job.run())
    }

    fn needs(mut self, tool: &'static str) -> Self {
        self.tools.push(tool);
        self
    }
}

/// Runs the steps, or those whose name contains `only`.
pub(crate) fn run(only: Option<&str>) -> Outcome {
    let mut steps = steps();
    steps.retain(|step| only.is_none_or(|word| step.name.contains(word)));
    if steps.is_empty() {
        return Err(Failure::new(format!("no step is called {}", only.unwrap_or_default())));
    }
    let mut tally = Tally::default();
    let (outcome, time) = timed(|| steps.into_iter().try_for_each(|step| tally.take(step)));
    say(&format!("\n{}\n{}", tally.times.join("\n"), clock("all", time)));
    tally.skips.iter().for_each(|skip| say(&format!("skipped: {skip}")));
    say(&format!("{} passed, {} failed, {} skipped", tally.passed, u8::from(outcome.is_err()), tally.skips.len()));
    outcome
}

fn clock(name: &str, time: Duration) -> String {
    format!("{:>7.1} s  {name}", time.as_secs_f64())
}

#[derive(Default)]
struct Tally {
    passed: usize,
    skips: Vec<String>,
    times: Vec<String>,
}

impl Tally {
    /// Runs a step. A missing tool that cannot be installed is an error in CI and a skip elsewhere.
    fn take(&mut self, step: Step) -> Outcome {
        say(&format!("\n== {}", step.name));
        if let Some(failure) = step.tools.iter().find_map(|tool| tools::require(tool).err()) {
            if tools::in_ci() {
                return Err(Failure::new(format!("{}: {failure}", step.name)));
            }
            say(&format!("skipped: {failure}"));
            self.skips.push(format!("{}: {failure}", step.name));
            return Ok(());
        }
        let (outcome, time) = timed(step.work);
        self.times.push(clock(&step.name, time));
        outcome.map_err(|failure| Failure::new(format!("{}: {failure}", step.name)))?;
        self.passed += 1;
        Ok(())
    }
}

/// Test targets of the root crate that run as anyone; the house runs with the lints.
const ANYWHERE: [&str; 5] = ["cases", "cli", "faults", "session", "wire"];

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = lint::jobs()
        .into_iter()
        .map(|job| {
            let line = job.line();
            let name = ["fmt", "clippy", "house"].into_iter().find(|word| line.contains(word)).unwrap_or("lint");
            let step = Step::job(&format!("lint: {line}"), job);
            match name {
                "fmt" => step.needs("cargo fmt"),
                "clippy" => step.needs("cargo clippy").needs("pcscd").needs("umockdev"),
                _ => step,
            }
        })
        .collect();
    let unit = |what: &str| Step::job(&format!("unit: {what}"), Job::cargo(&format!("test --quiet --locked {what}")));
    steps.extend([unit("-p xtask"), unit("-p claviger-sandbox").needs("openssh")]);
    let agent = unit("-p claviger-agent --features test-seams,devices").needs("ssh-keygen").needs("pinentry-tty");
    steps.push(agent.needs("dbus-daemon").needs("pcscd").needs("umockdev"));
    // The tests of the root crate read their pages and scripts with whatever of these is there.
    let readers = Step::new("readers: every shell, and man", || Ok(()));
    steps.push(readers.needs("zsh").needs("fish").needs("mandoc"));
    // The tests of the root crate run the agent and the sandbox beside the client, as shipped.
    let beside = Job::cargo("build --quiet --locked -p claviger-agent -p claviger-sandbox");
    steps.push(Step::job("build: agent and sandbox", beside));
    // The controls of the attacks: an agent whose defences can be left out. And what speaks to devices.
    let weak = Job::cargo("build --quiet --locked -p claviger-agent --features weak,devices");
    let weak = weak.and(["--bin", "claviger-agent-weak", "--bin", "claviger-device-helper"]);
    steps.push(Step::job("build: weak agent, device helper", weak));
    steps.push(unit(&format!("-p claviger --lib --bins --test {}", ANYWHERE.join(" --test "))).needs("setpriv"));
    let outside = unit("-p claviger --test agent").needs("python3").needs("setpriv");
    let outside = outside.needs("dbus-daemon").needs("gnome-keyring").needs("strace").needs("openssh").needs("setsid");
    steps.push(outside.needs("systemd-socket-activate").needs("root, for a second user"));
    let ssh = unit("-p claviger --test ssh").needs("git").needs("openssh").needs("setsid");
    steps.push(ssh);
    let softkey = Step::new("build: softkey", || rig("softkey").and_then(|()| bridge()));
    steps.push(softkey.needs("umockdev"));
    let yubikey = Step::new("build: yubikey", || {
        pcsc::build()?;
        pcsc::test()?;
        python::environment(&python::DEVICES).map(drop)
    });
    steps.push(yubikey.needs("pcscd").needs("libclang").needs("python3"));
    let devices = unit("-p claviger --test devices").needs("umockdev").needs("fido2-tools").needs("openssh");
    let devices = devices.needs("pcscd").needs("opensc").needs("ykcs11").needs("openssl");
    steps.push(devices.needs("python3").needs("setpriv").needs("setsid"));
    let supply = Step::new("supply chain: bans, licences, sources", supply::run);
    steps.push(supply.needs("cargo deny"));
    steps.push(Step::new("seams: a build with test seams is recognised", seams));
    steps.push(Step::new("demo: as shipped", || demo::play(&plain()?).map(drop)));
    let regress = Step::new("regress: OpenSSH's own scripts", || regress::run(&plain()?));
    steps.push(regress.needs("openssh").needs("openssh-tests"));
    for path in python::scripts() {
        let step = Step::new(format!("python: {path}"), {
            let path = path.clone();
            move || python::run(&path, &plain()?)
        });
        let mut step = step.needs("python3");
        if path.contains("fakecloud") {
            steps.push(Step::new("build: fakecloud", || rig("fakecloud")));
        }
        if path.contains("test_browser") {
            step = step.needs("chromium");
        }
        if path.contains("test_ssh") {
            step = step.needs("openssh");
        }
        if path.contains("test_instance") {
            step = step.needs("openssh").needs("rsync").needs("git");
        }
        if path.contains("test_doors") {
            steps.push(Step::new("build: rustsdk", || rig("rustsdk")));
            for tool in ["aws CLI 2", "node", "rclone", "restic", "s3cmd"] {
                step = step.needs(tool);
            }
        }
        steps.push(step);
    }
    steps
}

/// Shows that the check of `dist` can fail: the agent with the feature has the marker.
fn seams() -> Outcome {
    Job::cargo("build --quiet --locked -p claviger-agent --features test-seams").run()?;
    if contains_seams(&target().join("debug/claviger-agent"))? {
        Ok(())
    } else {
        Err(Failure::new("the marker is not in an agent built with test-seams, so dist could not refuse one"))
    }
}

/// The programs as shipped: without the marker.
fn plain() -> Outcome<PathBuf> {
    let folder = demo::build()?;
    for program in ["claviger", "claviger-agent", "claviger-ssh-agent"] {
        if contains_seams(&folder.join(program))? {
            return Err(Failure::new(format!("{program} as shipped contains test seams")));
        }
    }
    Ok(folder)
}

fn contains_seams(program: &Path) -> Outcome<bool> {
    let file = std::fs::read(program).map_err(Failure::from(format!("cannot read {}", program.display())))?;
    Ok(dist::has_test_seams(&file))
}

/// A program of its own workspace and process, never linked: fakecloud (AGPL), the outside reference for MFA codes; the
/// AWS SDK for Rust, a client; the firmware of a security key.
fn rig(name: &str) -> Outcome {
    let manifest = root().join("tests/rigs").join(name).join("Cargo.toml");
    let folder = target().join(name);
    let build = Job::cargo("build --quiet --locked --manifest-path").and([&manifest]);
    build.and(["--target-dir"]).and([&folder]).run()?;
    let plain = target().join("plain");
    make_folder(&plain)?;
    crate::run::copy_program(&folder.join("debug").join(format!("claviger-{name}")), &plain).map(drop)
}

/// What makes a softkey a hidraw node: a C program beside it, against libumockdev.
fn bridge() -> Outcome {
    let library = Job::new(["pkg-config", "--cflags", "--libs", "umockdev-1.0"]).stdout()?;
    let built = target().join("softkey/claviger-softkey-bridge");
    let build = Job::new(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).and([&built]);
    build.and(["tests/rigs/softkey/bridge.c"]).and(library.split_whitespace()).run()?;
    crate::run::copy_program(&built, &target().join("plain")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{Step, Tally, steps};
    use crate::run::Failure;

    #[test]
    fn steps_are_counted_and_a_failure_names_its_step() {
        let mut tally = Tally::default();
        tally.take(Step::new("good", || Ok(()))).expect("good");
        let failure = tally.take(Step::new("bad", || Err(Failure::new("broken")))).expect_err("bad");
        assert_eq!((tally.passed, tally.times.len(), failure.to_string().as_str()), (1, 2, "bad: broken"));
    }

    #[test]
    fn a_missing_tool_is_an_error_in_ci_and_a_named_skip_elsewhere() {
        let mut tally = Tally::default();
        let outcome = tally.take(Step::new("needy", || Ok(())).needs("no such tool"));
        if crate::tools::in_ci() {
            assert!(outcome.is_err());
        } else {
            assert_eq!((tally.passed, tally.skips.len()), (0, 1));
        }
    }

    #[test]
    fn no_test_target_is_forgotten() {
        let manifest = std::fs::read_to_string(crate::run::root().join("Cargo.toml")).expect("the manifest");
        let targets = manifest.split("[[test]]\nname = \"").skip(1).filter_map(|rest| rest.split('"').next());
        let mut found: Vec<&str> =
            targets.filter(|name| !["agent", "devices", "house", "ssh"].contains(name)).collect();
        found.sort_unstable();
        assert_eq!(found, super::ANYWHERE);
    }

    #[test]
    fn lint_comes_first_and_the_demo_before_python() {
        let names: Vec<String> = steps().into_iter().map(|step| step.name).collect();
        let place = |start: &str| names.iter().position(|name| name.starts_with(start)).expect("step");
        assert!(place("lint") < place("unit") && place("unit") < place("demo") && place("demo") < place("python"));
        for rig in ["build: softkey", "build: yubikey", "build: weak agent, device helper"] {
            assert!(place(rig) < place("unit: -p claviger --test devices"), "{rig}");
        }
        assert!(place("build: fakecloud") < place("python: tests/interop/test_fakecloud.py"));
    }
}
