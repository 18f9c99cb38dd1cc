//! `claviger audit …`: what was handed out, to whom, and whether the record is what was written.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::render::table;
use crate::cli::ui;
use crate::model::{AuditAws, AuditPeer, AuditRecord, AuditSsh, AuditSubject, Label, Since};
use crate::wire::{AuditStory, AuditVerdict, Code, Fault, Reply, Request};
use std::fmt::Write;

/// The record of hand-outs and changes: log, verify, why
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Audit {
    /// Show the record, oldest first
    #[command(after_help = "\
Examples:
  claviger audit log --since 12h
  claviger audit log --profile prod --event session.new --json")]
    Log(Log),
    /// Check that no line was changed, taken out, put in or moved
    ///
    /// Exits 1 and names file and line where one was; 3 where the vault is locked, so that only the order of the
    /// lines could be checked.
    #[command(after_help = "\
Example:
  claviger audit verify")]
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Tell who got a session, when, by which program and with which device
    #[command(after_help = "\
Examples:
  claviger audit why ASIAIOSFODNN7EXAMPLE
  claviger audit why 4711")]
    Why {
        /// An access key id, AWS's id of a request as CloudTrail shows it, or the number of a record
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
pub(in crate::cli) struct Log {
    /// From when on: 90m, 12h, 7d, or a date or time in UTC
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// About this profile alone
    #[arg(long)]
    profile: Option<String>,
    /// Of this event alone, or of a group: session.new, session
    #[arg(long)]
    event: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Log(log) => log.run(),
            Self::Verify { json, proof } => verify(json, &proof),
            Self::Why { id, json } => why(id, json),
        }
    }
}

impl Log {
    fn run(self) -> Outcome {
        let proof = Proof::default();
        let mut desk = Desk::open(&proof)?;
        let mut records = Vec::new();
        let mut cursor = None;
        loop {
            let (since, profile, event) = (self.since.clone(), self.profile.clone(), self.event.clone());
            let Reply::AuditPage(page) = desk.ask(&Request::AuditLog { since, profile, event, cursor })? else {
                return Err(unexpected());
            };
            records.extend(page.records);
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        if self.json { ui::json(&records) } else { ui::data(log_page(&records, ui::page_width()).as_bytes()) }
    }
}

fn verify(json: bool, proof: &Proof) -> Outcome {
    let mut desk = Desk::open(proof)?;
    let mut verdict = ask_verdict(&mut desk)?;
    if !verdict.sealed {
        // With the vault open the seals can be checked too.
        desk.require_open_vault()?;
        verdict = ask_verdict(&mut desk)?;
    }
    if json {
        ui::json(&verdict)?;
    }
    match &verdict.bad {
        Some(bad) => {
            let message = format!("{}, line {}: {}", Label(&bad.file), bad.line, Label(&bad.what));
            Err(Fault::new(Code::AuditTampered, message).into())
        }
        None if !verdict.sealed => {
            let message = "the lines are in order; with the vault open their seals can be checked as well";
            Err(Fault::new(Code::VaultLocked, message).into())
        }
        None if json => Ok(()),
        None => ui::data(verdict_page(&verdict).as_bytes()),
    }
}

fn ask_verdict(desk: &mut Desk<'_>) -> Result<AuditVerdict, Failure> {
    match desk.ask(&Request::AuditVerify {})? {
        Reply::AuditVerdict(verdict) => Ok(verdict),
        _ => Err(unexpected()),
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn verdict_page(verdict: &AuditVerdict) -> String {
    let AuditVerdict { files, records, first, last, gaps, recovered, retired, .. } = verdict;
    let mut page = match first {
        Some(first) => format!(
            "The record is whole: {} in {}, numbers {first} to {last}.\n",
            counted(*records, "line"),
            counted(*files, "file")
        ),
        None => "The record is empty.\n".to_owned(),
    };
    for (count, what, event) in [
        (gaps, "gaps with a known reason", "audit.gap"),
        (recovered, "torn last lines cut off after a crash", "audit.recovered"),
        (retired, "records deleted because they were old", "audit.retired"),
    ] {
        if *count > 0 {
            let _ = writeln!(page, "{what}: {count} (claviger audit log --event {event})");
        }
    }
    page
}

fn why(id: String, json: bool) -> Outcome {
    let proof = Proof::default();
    let Reply::AuditStory(story) = Desk::open(&proof)?.ask(&Request::AuditWhy { id })? else {
        return Err(unexpected());
    };
    if json { ui::json(&story) } else { ui::data(story_page(&story).as_bytes()) }
}

fn log_page(records: &[AuditRecord], width: Option<usize>) -> String {
    let rows = records.iter().map(|record| {
        let subject = record.subject.as_ref();
        let principal = subject.and_then(|subject| subject.principal.clone().or_else(|| subject.role.clone()));
        [
            record.seq.to_string(),
            whole_second(&record.time),
            record.event.clone(),
            about(record),
            principal.unwrap_or_default(),
            record.peer.as_ref().map(who).unwrap_or_default(),
            ending(record),
        ]
    });
    table(width, ["NUMBER", "TIME", "EVENT", "ABOUT", "PRINCIPAL", "WHO", "OUTCOME"], rows)
}

/// The record's time to the second.
fn whole_second(time: &str) -> String {
    match (time.get(..10), time.get(11..19)) {
        (Some(day), Some(second)) => format!("{day} {second}"),
        _ => time.to_owned(),
    }
}

fn about(record: &AuditRecord) -> String {
    if let Some(ssh) = &record.ssh {
        let key = called(ssh).map(|key| format!(" with {key}")).unwrap_or_default();
        return format!("{}{key}", signed_for(ssh));
    }
    let Some(AuditSubject { name, profile, slot, .. }) = &record.subject else { return String::new() };
    let slot = slot.as_ref().map(|slot| format!("slot {slot}"));
    profile.clone().or_else(|| name.clone()).or(slot).unwrap_or_default()
}

/// What a signature of the SSH agent is good for.
fn signed_for(ssh: &AuditSsh) -> String {
    match (&ssh.user, &ssh.host, &ssh.namespace) {
        (Some(user), Some(host), _) => format!("{user}@{host}"),
        (Some(user), None, _) => format!("login as {user}"),
        (_, _, Some(namespace)) => format!("data for {namespace}"),
        _ => "other data".to_owned(),
    }
}

/// A key by its name in the vault; by its comment, which is anybody's to choose, in quotes.
fn called(ssh: &AuditSsh) -> Option<String> {
    ssh.name.clone().or_else(|| ssh.comment.as_ref().map(|comment| format!("\"{comment}\"")))
}

fn who(peer: &AuditPeer) -> String {
    let program = peer.exe.as_deref().map(|exe| exe.rsplit('/').next().unwrap_or(exe).to_owned());
    let parts = [program, peer.pid.map(|pid| format!("pid {pid}")), peer.tty.as_ref().map(|tty| format!("tty {tty}"))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn ending(record: &AuditRecord) -> String {
    let why = record.error.as_ref().or(record.reason.as_ref()).map(|why| format!(": {why}")).unwrap_or_default();
    format!("{}{why}", record.outcome)
}

/// Each record in words, one fact a line.
fn story_page(story: &AuditStory) -> String {
    let mut page = String::new();
    for record in &story.records {
        let _ = writeln!(page, "{}  {}  {}", Label(&record.time), Label(&record.event), Label(&ending(record)));
        let mut fact = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(page, "  {name:<12}{}", Label(&value));
            }
        };
        fact("number", Some(record.seq.to_string()));
        if let Some(AuditSubject { name, principal, profile, role, slot }) = record.subject.clone() {
            for (word, value) in
                [("profile", profile), ("name", name), ("role", role), ("principal", principal), ("slot", slot)]
            {
                fact(word, value);
            }
        }
        if let Some(ssh) = record.ssh.clone() {
            let done = if ssh.payload == "push" { "pushed for" } else { "signed for" };
            let person = ssh.confirmed.map(|yes| if yes { "a person allowed it" } else { "no person allowed it" });
            for (word, value) in [
                (done, Some(signed_for(&ssh))),
                ("key", Some(called(&ssh).map_or_else(|| ssh.key.clone(), |name| format!("{name} ({})", ssh.key)))),
                ("host key", ssh.host_key),
                ("connection", Some(ssh.binding)),
                ("asked", person.map(str::to_owned)),
            ] {
                fact(word, value);
            }
        }
        if let Some(aws) = record.aws.clone() {
            let AuditAws { access_key_id, expires, mfa_serial, operation, request_id, totp_step, .. } = aws;
            let device = mfa_serial.map(|serial| match totp_step {
                Some(step) => format!("{serial}, step {step}"),
                None => serial,
            });
            for (word, value) in [
                ("call", operation),
                ("key id", access_key_id),
                ("until", expires),
                ("device", device),
                ("request id", request_id),
                ("session", aws.session_name),
                ("source", aws.source_identity),
            ] {
                fact(word, value);
            }
        }
        if let Some(peer) = &record.peer {
            fact("asked by", Some(process(peer.exe.as_deref(), peer.pid, peer.tty.as_deref())));
            for parent in &peer.chain {
                fact("run by", Some(process(parent.exe.as_deref().or(Some(&parent.name)), Some(parent.pid), None)));
            }
        }
    }
    if story.served > 0 {
        let times = if story.served == 1 { "once".to_owned() } else { format!("{} times", story.served) };
        let _ = writeln!(page, "Handed out {times}; paths of programs are what they say, and prove nothing.");
    }
    page
}

fn process(exe: Option<&str>, pid: Option<i32>, tty: Option<&str>) -> String {
    let tty = tty.map(|tty| format!(", tty {tty}")).unwrap_or_default();
    let pid = pid.map(|pid| format!(" (pid {pid}{tty})")).unwrap_or_default();
    format!("{}{pid}", exe.unwrap_or("a program that had ended"))
}

#[cfg(test)]
mod tests {
    use super::{log_page, story_page, verdict_page};
    use crate::wire::{AuditStory, AuditVerdict};

    const RECORDS: &str = r#"[
        {"act":"1-0","aws":{"endpoint":"https://sts.eu-central-1.amazonaws.com/","operation":"sts:AssumeRole","session_name":"ada"},
         "boot":"b","boot_ms":5,"event":"session.new","outcome":"begun","seq":7,"time":"2026-11-22T01:02:03.456Z","v":1,
         "peer":{"chain":[{"exe":"/usr/bin/bash","name":"bash","pid":4000,"start":8}],"exe":"/usr/bin/claviger","pid":4711,"start":9,"tty":"136:1","uid":1000},
         "subject":{"name":"dev","profile":"prod","role":"arn:aws:iam::210987654321:role/admin"}},
        {"act":"1-0","aws":{"access_key_id":"ASIAIOSFODNN7EXAMPLE","expires":"2026-11-22T02:02:03Z","mfa_serial":"arn:aws:iam::123456789012:mfa/ada","operation":"sts:AssumeRole","request_id":"c6104cbe-af31-11e0-8154-cbc7ccf896c7","totp_step":59843520},
         "boot":"b","boot_ms":6,"event":"session.new","outcome":"done","seq":8,"time":"2026-11-22T01:02:03.789Z","v":1,
         "subject":{"principal":"arn:aws:sts::210987654321:assumed-role/admin/ada","profile":"pr\u001bod"}},
        {"boot":"b","boot_ms":6,"error":"vault.wrong_proof","event":"vault.unlock","outcome":"failed","seq":9,"time":"2026-11-22T01:03:03.789Z","v":1,
         "subject":{"slot":"passphrase"}}]"#;

    #[test]
    fn the_pages() {
        let records: Vec<_> = serde_json::from_str(RECORDS).expect("records");
        insta::assert_snapshot!(log_page(&records, None), @"
        NUMBER  TIME                 EVENT         ABOUT            PRINCIPAL                                         WHO                            OUTCOME
        7       2026-11-22 01:02:03  session.new   prod             arn:aws:iam::210987654321:role/admin              claviger, pid 4711, tty 136:1  begun
        8       2026-11-22 01:02:03  session.new   pr?od            arn:aws:sts::210987654321:assumed-role/admin/ada                                 done
        9       2026-11-22 01:03:03  vault.unlock  slot passphrase                                                                                   failed: vault.wrong_proof
        ");
        insta::assert_snapshot!(story_page(&AuditStory { records, served: 3 }), @"
        2026-11-22T01:02:03.456Z  session.new  begun
          number      7
          profile     prod
          name        dev
          role        arn:aws:iam::210987654321:role/admin
          call        sts:AssumeRole
          session     ada
          asked by    /usr/bin/claviger (pid 4711, tty 136:1)
          run by      /usr/bin/bash (pid 4000)
        2026-11-22T01:02:03.789Z  session.new  done
          number      8
          profile     pr?od
          principal   arn:aws:sts::210987654321:assumed-role/admin/ada
          call        sts:AssumeRole
          key id      ASIAIOSFODNN7EXAMPLE
          until       2026-11-22T02:02:03Z
          device      arn:aws:iam::123456789012:mfa/ada, step 59843520
          request id  c6104cbe-af31-11e0-8154-cbc7ccf896c7
        2026-11-22T01:03:03.789Z  vault.unlock  failed: vault.wrong_proof
          number      9
          slot        passphrase
        Handed out 3 times; paths of programs are what they say, and prove nothing.
        ");
        let whole = AuditVerdict {
            files: 2,
            records: 41,
            first: Some(10),
            last: 50,
            gaps: 1,
            recovered: 0,
            retired: 9,
            sealed: true,
            bad: None,
        };
        insta::assert_snapshot!(verdict_page(&whole), @"
        The record is whole: 41 lines in 2 files, numbers 10 to 50.
        gaps with a known reason: 1 (claviger audit log --event audit.gap)
        records deleted because they were old: 9 (claviger audit log --event audit.retired)
        ");
    }
}
