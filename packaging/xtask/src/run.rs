//! Running other programs: their command line is shown, a failure carries the line to repeat.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a task ended. One line or a few, for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Turns a library's error into a failure that says what was tried.
    pub(crate) fn from<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// How a task ends.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// A line for the person. A closed terminal is no reason to stop.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A program to run, as the user would type it.
pub(crate) struct Job {
    words: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Job {
    pub(crate) fn new<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Self {
        Self { words: Vec::new(), variables: Vec::new() }.and(words)
    }

    /// `cargo` with these words, split at spaces.
    pub(crate) fn cargo(words: &str) -> Self {
        Self::new(std::iter::once("cargo").chain(words.split_whitespace()))
    }

    /// Adds words.
    pub(crate) fn and<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_string_lossy().into_owned()));
        self
    }

    /// Sets an environment variable; it is part of the line shown.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.to_owned(), value.as_ref().to_string_lossy().into_owned()));
        self
    }

    /// The line that repeats it.
    pub(crate) fn line(&self) -> String {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={}", quote(value)));
        let words = self.words.iter().map(|word| quote(word));
        variables.chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Runs it in the project's folder, output straight to the terminal; anything but exit 0 is a failure.
    pub(crate) fn run(&self) -> Outcome {
        say(&format!("$ {}", self.line()));
        let status = self.command().stdin(Stdio::null()).status().map_err(self.failure())?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("{status}\n  repeat: {}", self.line()))) }
    }

    /// Its stdout, shown line by line as it comes. Anything but exit 0 is a failure.
    pub(crate) fn shown(&self) -> Outcome<String> {
        say(&format!("$ {}", self.line()));
        let mut child = self.command().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(self.failure())?;
        let mut told = String::new();
        for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
            let line = line.map_err(self.failure())?;
            say(&line);
            told.push_str(&line);
            told.push('\n');
        }
        let status = child.wait().map_err(self.failure())?;
        if status.success() { Ok(told) } else { Err(Failure::new(format!("{status}\n  repeat: {}", self.line()))) }
    }

    /// Its stdout; not shown. Anything but exit 0 is a failure.
    pub(crate) fn stdout(&self) -> Outcome<String> {
        let output = self.command().stdin(Stdio::null()).stderr(Stdio::null()).output().map_err(self.failure())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(Failure::new(format!("{}\n  repeat: {}", output.status, self.line())))
        }
    }

    /// Whether it can be run and ends well; nothing is shown.
    pub(crate) fn succeeds(&self) -> bool {
        self.stdout().is_ok()
    }

    fn command(&self) -> Command {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).envs(self.variables.iter().map(|(name, value)| (name, value))).current_dir(root());
        command
    }

    fn failure(&self) -> impl FnOnce(io::Error) -> Failure {
        let line = self.line();
        move |error| Failure::new(format!("cannot run: {error}\n  repeat: {line}"))
    }
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from))
}

/// Makes a folder with its parents.
pub(crate) fn make_folder(path: &Path) -> Outcome {
    std::fs::create_dir_all(path).map_err(Failure::from(format!("cannot make {}", path.display())))
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(Failure::from(format!("cannot write {}", path.display())))
}

/// Copies a program to another folder under its own name. The old copy is unlinked first: it may still be running.
pub(crate) fn copy_program(program: &Path, folder: &Path) -> Outcome<PathBuf> {
    let to = folder.join(program.file_name().unwrap_or_default());
    let _ = std::fs::remove_file(&to);
    std::fs::copy(program, &to).map_err(Failure::from(format!("cannot copy {}", program.display())))?;
    Ok(to)
}

/// How long something took, for people; nothing here depends on it.
#[expect(clippy::disallowed_methods, reason = "the task runner has no World; durations are shown and never asserted")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::{Job, timed};

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let job = Job::new(["claviger", "exec", "it's", "a b", ""]).with("HOME", "/home/a b");
        assert_eq!(job.line(), r"HOME='/home/a b' claviger exec 'it'\''s' 'a b' ''");
    }

    #[test]
    fn a_failure_carries_the_line_to_repeat() {
        let failure = Job::new(["sh", "-c", "exit 3"]).run().expect_err("exit 3");
        assert!(failure.to_string().ends_with("repeat: sh -c 'exit 3'"), "{failure}");
        assert!(Job::new(["no-such-program-anywhere"]).run().is_err());
        assert!(Job::new(["true"]).run().is_ok());
        assert!(timed(|| ()).1.as_secs() < 3600);
    }
}
