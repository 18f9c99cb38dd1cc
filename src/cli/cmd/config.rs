//! `claviger config …`: the settings in force, and what waits to be accepted.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::render::table;
use crate::cli::ui;
use crate::model::Message;
use crate::wire::{Code, ConfigChange, ConfigScope, ConfigView, Fault, Reply, Request};

/// Settings: show, check, accept
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Config {
    /// Show the settings in force, and what waits to be accepted
    #[command(after_help = "\
Examples:
  claviger config show
  claviger config show --json")]
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Check config.toml, and say what would change; exits 2 on a mistake
    #[command(after_help = "\
Example:
  claviger config check")]
    Check,
    /// Put changed security settings in force, or a profile's changed role or account
    ///
    /// Shows the difference first, and then asks for the passphrase. With --passphrase-fd what is shown is accepted.
    #[command(after_help = "\
Examples:
  claviger config accept
  claviger config accept prod
  claviger config accept --all --passphrase-fd 3 3<passphrase")]
    Accept {
        /// The profile whose role or account changed [default: the security settings of config.toml]
        profile: Option<String>,
        /// The security settings and every profile
        #[arg(long, conflicts_with = "profile")]
        all: bool,
        #[command(flatten)]
        proof: Proof,
    },
}

impl Config {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Accept { profile, all, proof } => accept(profile, all, &proof),
            Self::Check => {
                let view = check(&mut Desk::open(&Proof::default())?)?;
                let verdict = match (view.compared, view.changes.is_empty()) {
                    (false, _) => "config.toml has no mistake. What was accepted is known once the vault is open.\n",
                    (true, true) => "config.toml has no mistake, and all it asks for is in force.\n",
                    (true, false) => "config.toml has no mistake. Not in force until accepted:\n",
                };
                ui::data(format!("{verdict}{}", differences(&view)).as_bytes())
            }
            Self::Show { json, proof } => {
                let view = view(&mut Desk::open(&proof)?, ConfigScope::All {})?;
                if json { ui::json(&view) } else { ui::data(page(&view, ui::page_width()).as_bytes()) }
            }
        }
    }
}

/// What the agent makes of config.toml as it is now; a mistake in it is the fault `config.invalid`. For whoever is about
/// to end an agent that could not start again.
pub(super) fn check(desk: &mut Desk<'_>) -> Result<ConfigView, Failure> {
    let view = view(desk, ConfigScope::All {})?;
    no_mistake(&view)?;
    Ok(view)
}

fn no_mistake(view: &ConfigView) -> Result<(), Fault> {
    match &view.mistake {
        Some(mistake) => Err(Fault::new(Code::ConfigInvalid, format!("config.toml: {}", Message(mistake)))),
        None => Ok(()),
    }
}

fn view(desk: &mut Desk<'_>, scope: ConfigScope) -> Result<ConfigView, Failure> {
    match desk.ask(&Request::ConfigShow { scope })? {
        Reply::Config(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

fn accept(profile: Option<String>, all: bool, proof: &Proof) -> Outcome {
    let scope = match (profile, all) {
        (Some(profile), _) => ConfigScope::Profile(profile),
        (None, true) => ConfigScope::All {},
        (None, false) => ConfigScope::Settings {},
    };
    let mut desk = Desk::open(proof)?;
    let kept = desk.open_vault_keeping_proof()?;
    let view = view(&mut desk, scope.clone())?;
    if !matches!(scope, ConfigScope::Profile(_)) {
        no_mistake(&view)?;
    }
    if view.changes.is_empty() {
        ui::say(nothing_waits(&mut desk, &scope)?);
        return Ok(());
    }
    ui::say(differences(&view).trim_end());
    let proof = match kept {
        Some(proof) => proof,
        None => desk.prove()?,
    };
    desk.done_proven(Request::ConfigAccept { proof, scope, digest: view.digest })?;
    ui::say("Accepted: this is in force now.");
    Ok(())
}

/// Without a profile only the security settings were looked at: whoever was sent here for a profile is told more.
fn nothing_waits(desk: &mut Desk<'_>, scope: &ConfigScope) -> Result<&'static str, Failure> {
    let elsewhere = matches!(scope, ConfigScope::Settings {}) && !view(desk, ConfigScope::All {})?.changes.is_empty();
    Ok(if elsewhere {
        "No security setting waits to be accepted, but profiles do: claviger config show"
    } else {
        "Nothing waits to be accepted."
    })
}

fn page(view: &ConfigView, width: Option<usize>) -> String {
    let rows = view.settings.iter().map(|row| [row.key.clone(), row.source.clone(), row.value.clone()]);
    let mut page = table(width, ["SETTING", "SOURCE", "VALUE"], rows);
    if let Some(mistake) = &view.mistake {
        page.push_str(&format!("\nconfig.toml is not used as it stands: {}\n", Message(mistake)));
    }
    if !view.compared {
        page.push_str("\nWhat was accepted of the security settings is known once the vault is open.\n");
    }
    if !view.changes.is_empty() {
        page.push_str("\nNot in force until accepted (claviger config accept --all):\n");
        page.push_str(&differences(view));
    }
    page
}

fn differences(view: &ConfigView) -> String {
    let mut text: String = view.changes.iter().map(difference).collect();
    if view.more > 0 {
        text.push_str(&format!("and {} more profiles\n", view.more));
    }
    text
}

fn difference(change: &ConfigChange) -> String {
    let lines = |sign: char, lines: &[String]| {
        lines.iter().map(|line| format!("  {sign} {}\n", Message(line))).collect::<String>()
    };
    format!("{}\n{}{}", Message(&change.subject), lines('-', &change.before), lines('+', &change.after))
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::wire::{ConfigChange, ConfigSetting, ConfigView};

    #[test]
    fn the_page() {
        let setting = |key: &str, value: &str, source: &str| ConfigSetting {
            key: key.to_owned(),
            value: value.to_owned(),
            source: source.to_owned(),
        };
        let change = |subject: &str, before: &[&str], after: &[&str]| ConfigChange {
            subject: subject.to_owned(),
            before: before.iter().map(|line| (*line).to_owned()).collect(),
            after: after.iter().map(|line| (*line).to_owned()).collect(),
        };
        let view = ConfigView {
            settings: vec![
                setting("[endpoints] allow", "https://sts.corp.example:443", "accepted"),
                setting("[lock] idle", "8h", "default"),
            ],
            changes: vec![
                change(
                    "security settings",
                    &["[endpoints] allow: https://sts.corp.example:443"],
                    &["[network] proxy: http://proxy.example:3128"],
                ),
                change(
                    "profile prod\u{1b}[2J",
                    &["access key dev", "role arn:aws:iam::123456789012:role/read"],
                    &["access key dev", "role arn:aws:iam::210987654321:role/admin"],
                ),
            ],
            more: 2,
            digest: "ab".to_owned(),
            compared: true,
            mistake: None,
        };
        insta::assert_snapshot!(page(&view, None), @"
        SETTING            SOURCE    VALUE
        [endpoints] allow  accepted  https://sts.corp.example:443
        [lock] idle        default   8h

        Not in force until accepted (claviger config accept --all):
        security settings
          - [endpoints] allow: https://sts.corp.example:443
          + [network] proxy: http://proxy.example:3128
        profile prod?[2J
          - access key dev
          - role arn:aws:iam::123456789012:role/read
          + access key dev
          + role arn:aws:iam::210987654321:role/admin
        and 2 more profiles
        ");
        let closed =
            ConfigView { changes: Vec::new(), compared: false, more: 0, mistake: Some("line 2: x".to_owned()), ..view };
        insta::assert_snapshot!(page(&closed, None), @"
        SETTING            SOURCE    VALUE
        [endpoints] allow  accepted  https://sts.corp.example:443
        [lock] idle        default   8h

        config.toml is not used as it stands: line 2: x

        What was accepted of the security settings is known once the vault is open.
        ");
    }
}
