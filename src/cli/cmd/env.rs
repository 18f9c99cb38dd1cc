//! `claviger env`: credentials as variables of a shell.

mod form;

pub(in crate::cli) use form::Form;

use super::exec::{credentials, ending};
use crate::cli::args::{Proof, name_one, profile_or_default};
use crate::cli::exit::Outcome;
use crate::cli::hot::{DEFAULT_PATIENT_WAIT, wait_seconds};
use crate::cli::{desk, environment, stand_in, ui};
use crate::model::Region;
use crate::wire::{Code, Fault};
use environment::Variable;
use std::io::IsTerminal;

/// The verb's name.
pub(in crate::cli) const NAME: &str = "env";

/// Print the credentials of a profile as variables of your shell
///
/// They end with the session and are not renewed: a command that runs for long is better off with claviger exec.
#[derive(clap::Args, Debug, PartialEq, Eq)]
#[command(after_help = "\
Examples:
  eval \"$(claviger env prod)\"                            bash, zsh
  claviger env prod | source                             fish
  claviger env prod | Out-String | Invoke-Expression     powershell
  claviger env prod --shell json
  eval \"$(claviger env --unset)\"")]
pub(in crate::cli) struct Env {
    /// The AWS profile [default: AWS_PROFILE, else default]
    pub(in crate::cli) profile: Option<String>,
    /// How to write them [default: as the shell you are in]
    #[arg(long)]
    pub(in crate::cli) shell: Option<Form>,
    /// Take away what a former call has set
    #[arg(long)]
    pub(in crate::cli) unset: bool,
    /// The longest wait for anything: a code, AWS, an answer
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_PATIENT_WAIT, value_parser = wait_seconds)]
    pub(in crate::cli) wait: u64,
    /// The region of the variables [default: the profile's]
    #[arg(long)]
    pub(in crate::cli) region: Option<Region>,
    #[command(flatten)]
    pub(in crate::cli) proof: Proof,
}

impl Env {
    pub(in crate::cli) fn run(self) -> Outcome {
        let form = self.shell.unwrap_or_else(Form::detected);
        if self.unset {
            let mut names = stale()?;
            names.extend(environment::FROZEN.map(str::to_owned));
            names.sort_unstable();
            names.dedup();
            return ui::data(form.page(&[], &names)?.as_slice());
        }
        let profile = profile_or_default(self.profile.as_deref());
        if std::io::stdout().is_terminal() {
            ui::say(&format!("What follows is secret. To keep it off the screen: {}", form.usage()));
        }
        // Before a code is spent for something that cannot be written down.
        form.page(&[Variable::new(environment::PROFILE, profile.as_str())], &[])?;
        let credentials = credentials(&profile, self.wait, &self.proof).map_err(name_one(self.profile.as_deref()))?;
        let mut variables = environment::frozen(&credentials);
        variables.extend(environment::region(self.region.as_ref().or(credentials.region.as_ref())));
        variables.push(Variable::new(environment::PROFILE, profile));
        let mut names = stale()?;
        names.retain(|name| variables.iter().all(|variable| variable.name != name));
        ui::data(form.page(&variables, &names)?.as_slice())?;
        ui::say(&ending(&credentials));
        Ok(())
    }
}

/// The variables of this shell that could win over those to come, as far as their names are names to a shell.
fn stale() -> Result<Vec<String>, Fault> {
    let paths = desk::paths()?;
    let names = std::env::vars_os().filter(|(name, value)| {
        let around = name == "AWS_SHARED_CREDENTIALS_FILE" && stand_in::is_ours(&paths, value);
        around || environment::is_stale(name)
    });
    let names = names.filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).collect();
    names.sort_unstable();
    Ok(names)
}

/// The fault of a value that a form has no way to write.
fn unwritable(name: &str, form: &str) -> Fault {
    Fault::new(Code::Usage, format!("the value of {name} cannot be written in the form {form}"))
        .hint("claviger env --help")
}
