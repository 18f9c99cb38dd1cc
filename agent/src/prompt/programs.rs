//! The programs that ask, and what each of them gets.

use super::{Question, Unasked, askpass, pinentry};
use crate::config::Prompt;
use crate::world::Running;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a program gets of the agent's environment: where it shows itself and how, and nothing that steers AWS.
const PASSED: [&str; 11] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
];

/// The programs that ask a person. Pinentry is asked first, the other where it cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// A pinentry (GnuPG), by its absolute path.
    pub pinentry: Option<PathBuf>,
    /// A program as OpenSSH's `SSH_ASKPASS` names it (ssh(1)), by its absolute path.
    pub askpass: Option<PathBuf>,
    /// The whole environment of each.
    pub environment: Vec<(OsString, OsString)>,
}

impl Programs {
    /// Those of the accepted settings; `variable` reads the agent's environment.
    pub fn of(prompt: &Prompt, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let environment = PASSED.into_iter().filter_map(|name| Some((name.into(), variable(name)?))).collect();
        Self { pinentry: prompt.pinentry.clone(), askpass: prompt.askpass.clone(), environment }
    }

    /// Asks by a program, and says what the person answered. Whoever drops this has ended the program.
    pub(super) async fn ask(&self, question: &Question) -> Result<bool, Unasked> {
        let mut unasked = Unasked::Nobody;
        if let Some(program) = &self.pinentry {
            match self.ask_by_pinentry(program, question).await {
                Err(why) => unasked = why,
                answer => return answer,
            }
        }
        match &self.askpass {
            Some(program) => self.ask_by_askpass(program, question).await,
            None => Err(unasked),
        }
    }

    /// Pinentry falls back to a terminal where it is told of one.
    async fn ask_by_pinentry(&self, program: &Path, question: &Question) -> Result<bool, Unasked> {
        if !self.has_display() && self.variable("GPG_TTY").is_none() {
            return Err(Unasked::NoDisplay);
        }
        pinentry::ask(self.start("pinentry", self.command(program))?, self, question).await
    }

    /// Where OpenSSH asks: on a display, or where it is told to all the same (readpass.c, `SSH_ASKPASS_REQUIRE`).
    async fn ask_by_askpass(&self, program: &Path, question: &Question) -> Result<bool, Unasked> {
        let told = self.variable("SSH_ASKPASS_REQUIRE").is_some_and(|how| how == "force" || how == "prefer");
        if !self.has_display() && !told {
            return Err(Unasked::NoDisplay);
        }
        let mut command = self.command(program);
        command.arg(askpass::text(question)).env("SSH_ASKPASS_PROMPT", "confirm").stdin(Stdio::null());
        askpass::answer(self.start("the askpass program", command)?).await
    }

    fn has_display(&self) -> bool {
        ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(|name| self.variable(name).is_some())
    }

    /// What a variable of theirs says, if anything.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
        command
    }

    fn start(&self, name: &'static str, command: Command) -> Result<Running, Unasked> {
        // A name alone would be looked for along PATH, and a relative path from the root.
        if !Path::new(command.get_program()).is_absolute() {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not an absolute path");
            return Err(Unasked::NotStarted { program: name, source });
        }
        Running::start(command).map_err(|source| Unasked::NotStarted { program: name, source })
    }
}
