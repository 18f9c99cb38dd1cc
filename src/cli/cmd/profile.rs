//! `claviger profile …`: what the AWS files and claviger's own say.

use super::adoption::{Adopt, Release};
use crate::cli::args::{self, Proof};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::{duration, table};
use crate::cli::ui;
use crate::model::Label;
use crate::wire::{ChainStep, Explanation, ProfileRow, Reply, Request, Setting};
use std::fmt::Write;

/// Profiles: list, show, explain, adopt, release
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Profile {
    /// List the profiles and what their credentials come from
    #[command(after_help = "\
Example:
  claviger profile list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print the names alone, a line each
        #[arg(long, conflicts_with = "json")]
        names: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Show the settings of a profile, each with its file and line
    #[command(after_help = "\
Example:
  claviger profile show prod")]
    Show(One),
    /// Show how the credentials of a profile would be obtained, without doing it
    #[command(after_help = "\
Example:
  claviger profile explain prod")]
    Explain(One),
    /// Let every tool ask claviger for a profile: moves its settings to claviger's own file
    ///
    /// Moves what decides about credentials (role_arn, source_profile, mfa_serial, sso_* and so on) from ~/.aws/config to
    /// claviger's own profiles file, and leaves claviger's line in credential_process there. Region, output and other
    /// settings, comments and all other profiles stay as they are. Shows the change first.
    #[command(after_help = "\
Examples:
  claviger profile adopt prod
  claviger profile adopt --all --dry-run")]
    Adopt(Adopt),
    /// Put an adopted profile back as it was
    #[command(after_help = "\
Examples:
  claviger profile release prod
  claviger profile release --all --yes")]
    Release(Release),
}

#[derive(clap::Args)]
pub(in crate::cli) struct One {
    #[command(flatten)]
    profile: args::Profile,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Profile {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Adopt(verb) => verb.run(),
            Self::Explain(one) => explain(&one),
            Self::List { json, names, proof } => list(json, names, &proof),
            Self::Release(verb) => verb.run(),
            Self::Show(one) => show(&one),
        }
    }
}

fn list(json: bool, names: bool, proof: &Proof) -> Outcome {
    let mut desk = Desk::open(proof)?;
    let mut rows = Vec::new();
    loop {
        let Reply::Profiles(page) = desk.ask(&Request::ProfileList { skip: rows.len() })? else {
            return Err(unexpected());
        };
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    match (json, names) {
        (true, _) => ui::json(&rows),
        (_, true) => ui::data(names_page(&rows).as_bytes()),
        _ => ui::data(list_page(&rows, ui::page_width()).as_bytes()),
    }
}

/// Whole names, for programs: one that cannot stand on a line by itself is left out.
fn names_page(rows: &[ProfileRow]) -> String {
    let names = rows.iter().map(|row| row.profile.as_str()).filter(|name| !name.chars().any(char::is_control));
    names.flat_map(|name| [name, "\n"]).collect()
}

fn list_page(rows: &[ProfileRow], width: Option<usize>) -> String {
    let role = |row: &ProfileRow| row.role.clone().unwrap_or_else(|| "-".to_owned());
    let fault = |row: &ProfileRow| row.fault.clone().unwrap_or_default();
    let adopted = |row: &ProfileRow| if row.adopted { "yes" } else { "-" }.to_owned();
    let rows = rows.iter().map(|row| [row.profile.clone(), row.source.clone(), role(row), adopted(row), fault(row)]);
    table(width, ["PROFILE", "SOURCE", "ROLE", "ADOPTED", "FAULT"], rows)
}

fn show(one: &One) -> Outcome {
    let request = Request::ProfileShow { profile: one.profile.name() };
    let Reply::Settings(rows) = Desk::open(&one.proof)?.ask(&request)? else { return Err(unexpected()) };
    if one.json { ui::json(&rows) } else { ui::data(show_page(&rows, ui::page_width()).as_bytes()) }
}

fn show_page(rows: &[Setting], width: Option<usize>) -> String {
    table(
        width,
        ["SETTING", "VALUE", "FROM"],
        rows.iter().map(|row| [row.key.clone(), row.value.clone(), row.origin.clone()]),
    )
}

fn explain(one: &One) -> Outcome {
    let request = Request::ProfileExplain { profile: one.profile.name() };
    let Reply::Explanation(explanation) = Desk::open(&one.proof)?.ask(&request)? else { return Err(unexpected()) };
    if one.json { ui::json(&explanation) } else { ui::data(explain_page(&explanation).as_bytes()) }
}

fn explain_page(explanation: &Explanation) -> String {
    let mut page = String::new();
    if explanation.refreshing == explanation.frozen {
        chain(&mut page, "Renewed (process, exec) and handed over once (env, exec --env)", &explanation.refreshing);
    } else {
        chain(&mut page, "Renewed for as long as a tool runs (process, exec)", &explanation.refreshing);
        chain(&mut page, "Handed over once (env, exec --env)", &explanation.frozen);
    }
    for note in &explanation.notes {
        let _ = writeln!(page, "note: {}", Label(note));
    }
    page
}

fn chain(page: &mut String, title: &str, steps: &[ChainStep]) {
    let _ = writeln!(page, "{title}:");
    if steps.is_empty() {
        page.push_str("  not served this way\n");
    }
    for (index, step) in steps.iter().enumerate() {
        let code =
            step.mfa.as_ref().map(|device| format!("     with a code of {}\n", Label(device))).unwrap_or_default();
        let ChainStep { action, subject, duration: seconds, endpoint, .. } = step;
        let _ = writeln!(page, "  {}. {} for {}", index + 1, Label(action), Label(subject));
        page.push_str(&code);
        let lasts = if *seconds == 0 { "as long as it says".to_owned() } else { duration(*seconds) };
        let _ = writeln!(page, "     lasts {lasts}, from {}", Label(endpoint));
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::{explain_page, list_page, show_page};
    use crate::wire::{ChainStep, Explanation, ProfileRow, Setting};

    fn step(action: &str, subject: &str, duration: u64, mfa: Option<&str>) -> ChainStep {
        ChainStep {
            action: action.to_owned(),
            subject: subject.to_owned(),
            duration,
            mfa: mfa.map(str::to_owned),
            endpoint: "https://sts.eu-central-1.amazonaws.com".to_owned(),
        }
    }

    #[test]
    fn the_pages() {
        let serial = "arn:aws:iam::123456789012:mfa/ada";
        let role = "arn:aws:iam::210987654321:role/admin";
        let explanation = Explanation {
            profile: "prod".to_owned(),
            refreshing: vec![
                step("GetSessionToken", "access key dev", 43_200, Some(serial)),
                step("AssumeRole", role, 3_600, None),
            ],
            frozen: vec![step("AssumeRole", role, 14_400, Some(serial))],
            notes: vec!["duration_seconds = 14400 is only kept by env and exec --env".to_owned()],
        };
        insta::assert_snapshot!(explain_page(&explanation), @"
        Renewed for as long as a tool runs (process, exec):
          1. GetSessionToken for access key dev
             with a code of arn:aws:iam::123456789012:mfa/ada
             lasts 12 h, from https://sts.eu-central-1.amazonaws.com
          2. AssumeRole for arn:aws:iam::210987654321:role/admin
             lasts 1 h, from https://sts.eu-central-1.amazonaws.com

        Handed over once (env, exec --env):
          1. AssumeRole for arn:aws:iam::210987654321:role/admin
             with a code of arn:aws:iam::123456789012:mfa/ada
             lasts 4 h, from https://sts.eu-central-1.amazonaws.com

        note: duration_seconds = 14400 is only kept by env and exec --env
        ");
        let rows = [
            ProfileRow {
                profile: "dev".to_owned(),
                source: "access key dev".to_owned(),
                role: None,
                adopted: false,
                fault: None,
            },
            ProfileRow {
                profile: "prod".to_owned(),
                source: "role".to_owned(),
                role: Some(role.to_owned()),
                adopted: true,
                fault: None,
            },
            ProfileRow {
                profile: "old".to_owned(),
                source: "not served".to_owned(),
                role: None,
                adopted: false,
                fault: Some("profile.unsupported".to_owned()),
            },
        ];
        insta::assert_snapshot!(list_page(&rows, None), @"
        PROFILE  SOURCE          ROLE                                  ADOPTED  FAULT
        dev      access key dev  -                                     -
        prod     role            arn:aws:iam::210987654321:role/admin  yes
        old      not served      -                                     -        profile.unsupported
        ");
        let settings = [Setting {
            key: "role_arn".to_owned(),
            value: role.to_owned(),
            origin: "/home/ada/.aws/config:7".to_owned(),
        }];
        insta::assert_snapshot!(show_page(&settings, None), @"
        SETTING   VALUE                                 FROM
        role_arn  arn:aws:iam::210987654321:role/admin  /home/ada/.aws/config:7
        ");
    }
}
