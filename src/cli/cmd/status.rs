//! `claviger status`.

use crate::cli::args::Proof;
use crate::cli::desk::Desk;
use crate::cli::exit::Outcome;
use crate::cli::render::{duration, minute, table};
use crate::cli::ui;
use crate::model::Label;
use crate::wire;

/// Show what the agent holds: vault, sessions, warnings
///
/// Starts nothing: with no agent running it says so and exits 1.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger status
  claviger status --json")]
pub(in crate::cli) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> Outcome {
        let status = Desk::open_running(&Proof::default())?.status()?;
        if self.json { ui::json(&status) } else { ui::data(page(&status, ui::page_width()).as_bytes()) }
    }
}

fn page(status: &wire::Status, width: Option<usize>) -> String {
    let mut lines = vec![
        format!("agent     {}, pid {}", Label(&status.version), status.pid),
        format!("vault     {}", vault(status)),
    ];
    if status.vault == "unlocked" {
        lines.push(match status.presence_left {
            Some(seconds) => format!("presence  codes may be spent for {}", duration(seconds)),
            None => "presence  none: no code is spent until a person is here (claviger login)".to_owned(),
        });
    }
    lines.extend(status.ssh.as_ref().map(ssh));
    match status.clock_skew {
        None | Some(0) => {}
        Some(seconds) => {
            let side = if seconds > 0 { "behind" } else { "ahead of" };
            lines.push(format!("clock     {} {side} AWS", duration(seconds.unsigned_abs())));
        }
    }
    if status.sessions.is_empty() {
        lines.push("sessions  none".to_owned());
    }
    let mut page = lines.join("\n");
    page.push('\n');
    if !status.sessions.is_empty() {
        let rows = status.sessions.iter().map(|session| {
            [
                session.principal.clone(),
                session.access_key_id.to_string(),
                duration(session.seconds_left),
                minute(&session.expiration),
            ]
        });
        page.push('\n');
        page.push_str(&table(width, ["SESSION", "ACCESS KEY ID", "LEFT", "ENDS"], rows));
    }
    if !status.endpoints.is_empty() {
        let rows = status.endpoints.iter().map(|endpoint| {
            let kind = match endpoint.kind {
                wire::EndpointKind::Container => "container",
                wire::EndpointKind::Imds => "imds",
            };
            let left = endpoint.lingering.map_or_else(|| "with its process".to_owned(), duration);
            [Label(&endpoint.profile).to_string(), kind.to_owned(), endpoint.pid.to_string(), left]
        });
        page.push('\n');
        page.push_str(&table(width, ["ENDPOINT", "KIND", "PID", "ENDS"], rows));
    }
    for (index, warning) in status.warnings.iter().enumerate() {
        page.push_str(if index == 0 { "\nwarning: " } else { "warning: " });
        page.push_str(&Label(warning).to_string());
        page.push('\n');
    }
    page
}

fn ssh(status: &wire::SshStatus) -> String {
    let keys = |count| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
    let locked = if status.locked { ", locked by ssh-add -x" } else { "" };
    let (kept, added) = (keys(status.vault_keys), status.added_keys);
    format!("ssh       {kept} of the vault, {added} of ssh-add{locked}, at {}", Label(&status.socket))
}

fn vault(status: &wire::Status) -> String {
    match (status.vault.as_str(), status.locked_by.as_deref(), status.idle_lock_in) {
        ("absent", ..) => "none yet (claviger init)".to_owned(),
        ("locked", Some("start"), _) => "locked since the agent started (claviger unlock)".to_owned(),
        ("locked", Some("idle"), _) => "locked after idle time (claviger unlock)".to_owned(),
        ("locked", Some("screen"), _) => "locked with the screen (claviger unlock)".to_owned(),
        ("locked", Some("suspend"), _) => "locked before the machine slept (claviger unlock)".to_owned(),
        ("locked", Some("command"), _) => "locked by command (claviger unlock)".to_owned(),
        ("unlocked", _, Some(seconds)) => format!("open, locks after {} without a request", duration(seconds)),
        ("unlocked", ..) => "open".to_owned(),
        (other, ..) => Label(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::wire::{EndpointKind, EndpointRow, SessionRow, SshStatus, Status};

    #[test]
    fn the_page() {
        let open = Status {
            version: "claviger-agent/0.1.0".to_owned(),
            pid: 4711,
            vault: "unlocked".to_owned(),
            locked_by: None,
            idle_lock_in: Some(28_000),
            presence_left: Some(25_200),
            sessions: vec![
                SessionRow {
                    principal: "arn:aws:iam::123456789012:user/ada".to_owned(),
                    access_key_id: "ASIAIOSFODNN7EXAMPLE".parse().expect("an id"),
                    expiration: "2026-11-22T13:45:00Z".to_owned(),
                    seconds_left: 42_120,
                },
                SessionRow {
                    principal: "arn:aws:sts::210987654321:assumed-role/admin/ada".to_owned(),
                    access_key_id: "ASIAI44QH8DHBEXAMPLE".parse().expect("an id"),
                    expiration: "2026-11-22T03:03:00Z".to_owned(),
                    seconds_left: 3_600,
                },
            ],
            endpoints: vec![
                EndpointRow { profile: "prod".to_owned(), kind: EndpointKind::Container, pid: 4712, lingering: None },
                EndpointRow { profile: "dev".to_owned(), kind: EndpointKind::Imds, pid: 4713, lingering: Some(540) },
            ],
            clock_skew: Some(12),
            ssh: Some(SshStatus {
                socket: "/run/user/1000/claviger/ssh.sock".to_owned(),
                vault_keys: 2,
                added_keys: 0,
                locked: false,
            }),
            older: None,
            warnings: vec!["memory could not be locked".to_owned(), "config.toml is open to others".to_owned()],
        };
        insta::assert_snapshot!(page(&open, None), @"
        agent     claviger-agent/0.1.0, pid 4711
        vault     open, locks after 7 h 46 min without a request
        presence  codes may be spent for 7 h
        ssh       2 keys of the vault, 0 of ssh-add, at /run/user/1000/claviger/ssh.sock
        clock     12 s behind AWS

        SESSION                                           ACCESS KEY ID         LEFT         ENDS
        arn:aws:iam::123456789012:user/ada                ASIAIOSFODNN7EXAMPLE  11 h 42 min  2026-11-22 13:45 UTC
        arn:aws:sts::210987654321:assumed-role/admin/ada  ASIAI44QH8DHBEXAMPLE  1 h          2026-11-22 03:03 UTC

        ENDPOINT  KIND       PID   ENDS
        prod      container  4712  with its process
        dev       imds       4713  9 min

        warning: memory could not be locked
        warning: config.toml is open to others
        ");
        let locked = Status {
            vault: "locked".to_owned(),
            locked_by: Some("idle".to_owned()),
            idle_lock_in: None,
            presence_left: None,
            sessions: Vec::new(),
            endpoints: Vec::new(),
            clock_skew: None,
            ssh: open.ssh.clone().map(|ssh| SshStatus { vault_keys: 1, added_keys: 3, locked: true, ..ssh }),
            warnings: Vec::new(),
            ..open
        };
        insta::assert_snapshot!(page(&locked, None), @"
        agent     claviger-agent/0.1.0, pid 4711
        vault     locked after idle time (claviger unlock)
        ssh       1 key of the vault, 3 of ssh-add, locked by ssh-add -x, at /run/user/1000/claviger/ssh.sock
        sessions  none
        ");
    }
}
