//! `claviger access-key …`: the long-lived keys of IAM users.

use super::adoption::Import;
use crate::cli::args::{Proof, check_stdin_once};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::{minute, table};
use crate::cli::terminal::Terminal;
use crate::cli::{intake, ui};
use crate::client::WipedBuffer;
use crate::model::{AccessKeyId, Label, Name};
use crate::secret::{SecretAccessKey, SecretText};
use crate::wire::{
    AccessKeyAtAws, AccessKeyRotate, AccessKeyRotated, AccessKeyRow, AccessKeyUse, Fault, Reply, Request,
};

/// Access keys of IAM users: add, import, list, rotate, remove, export
#[derive(clap::Subcommand)]
pub(in crate::cli) enum AccessKey {
    /// Store an access key, once AWS has accepted it
    ///
    /// Asks for the id and the secret on the terminal, or takes from stdin: two lines with id and secret, the JSON that
    /// `aws iam create-access-key` prints, or the CSV that the console downloads.
    #[command(after_help = "\
Examples:
  claviger access-key add dev
  aws iam create-access-key --user-name ada | claviger access-key add dev --stdin
  claviger access-key add dev --stdin < ada_accessKeys.csv")]
    Add(Add),
    /// Take the access keys out of ~/.aws/credentials into the vault, and leave working profiles
    ///
    /// Stores the key of a profile, once AWS has accepted it, deletes its lines from the AWS files, and lets every tool
    /// ask claviger for the profile, as `claviger profile adopt` does. Shows the change first.
    #[command(after_help = "\
Examples:
  claviger access-key import dev
  claviger access-key import --all")]
    Import(Import),
    /// List the access keys: age, status, last use
    ///
    /// AWS is asked with what is at hand: no code is spent, and what it does not say within 5 seconds is left open. It
    /// counts uses hours late.
    #[command(after_help = "\
Examples:
  claviger access-key list
  claviger access-key list --offline --json")]
    List {
        /// Do not ask AWS
        #[arg(long)]
        offline: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Replace an access key by a new one at AWS
    ///
    /// AWS makes a new key; once it takes that, the vault uses it, and the old one is made inactive and deleted. Whatever
    /// cuts this off, the same command goes on from there. A user has two keys at most, so there must be room for one.
    #[command(after_help = "\
Examples:
  claviger access-key rotate dev
  claviger access-key rotate dev --keep-old")]
    Rotate {
        /// Its name
        name: Name,
        /// Leave the old key inactive at AWS
        #[arg(long)]
        keep_old: bool,
        /// Delete this inactive key of the user first
        #[arg(long, value_name = "ID")]
        delete_other: Option<AccessKeyId>,
        #[command(flatten)]
        proof: Proof,
    },
    /// Move an access key to the vault's trash, where it stays for 30 days
    #[command(after_help = "\
Example:
  claviger access-key remove dev")]
    Remove {
        /// Its name
        name: Name,
        #[command(flatten)]
        proof: Proof,
    },
    /// Print an access key, against the passphrase
    ///
    /// Two lines, id and secret, as `access-key add --stdin` takes them.
    #[command(after_help = "\
Example:
  claviger access-key export dev")]
    Export {
        /// Its name
        name: Name,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
}

#[derive(clap::Args)]
pub(in crate::cli) struct Add {
    /// The name it gets here
    name: Name,
    /// Its id at AWS; asked for, or read with the secret, if left out
    #[arg(long, value_name = "ID")]
    access_key_id: Option<AccessKeyId>,
    /// Read it from stdin
    #[arg(long)]
    stdin: bool,
    /// Store it without asking AWS whose it is
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    proof: Proof,
}

impl AccessKey {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Add(add) => add.run(),
            Self::Export { name, json, proof } => export(name, json, &proof),
            Self::Import(import) => import.run(),
            Self::List { offline, json, proof } => list(!offline, json, &proof),
            Self::Rotate { name, keep_old, delete_other, proof } => {
                rotate(AccessKeyRotate { name, keep_old, delete_other }, &proof)
            }
            Self::Remove { name, proof } => {
                let said = format!("Access key {name} is in the vault's trash for 30 days. At AWS it still works.");
                Desk::open(&proof)?.done(&Request::AccessKeyRemove { name })?;
                ui::say(&said);
                Ok(())
            }
        }
    }
}

impl Add {
    fn run(self) -> Outcome {
        check_stdin_once(&self.proof, self.stdin, "--stdin")?;
        let mut desk = Desk::open(&self.proof)?;
        desk.require_open_vault()?;
        let (access_key_id, secret_access_key) = match self.stdin {
            true => intake::access_key(&intake::stdin()?, self.access_key_id)?,
            false => typed(self.access_key_id)?,
        };
        let request =
            Request::AccessKeyAdd { name: self.name, access_key_id, secret_access_key, verify: !self.no_verify };
        let Reply::AccessKey(row) = desk.ask(&request)? else { return Err(unexpected()) };
        let user = row.user.map(|arn| format!(" of {arn}")).unwrap_or_default();
        ui::say(&format!("Access key {} ({}){user} is stored.", row.name, row.access_key_id));
        Ok(())
    }
}

fn typed(id: Option<AccessKeyId>) -> Result<(AccessKeyId, SecretAccessKey), Fault> {
    let mut terminal = Terminal::open().ok_or_else(|| intake::no_terminal("the access key", "--stdin"))?;
    let id = match id {
        Some(id) => id,
        None => loop {
            match terminal.ask("Access key ID: ")?.parse() {
                Ok(id) => break id,
                Err(rule) => terminal.show(&format!("{rule}\n"))?,
            }
        },
    };
    let secret = zeroize::Zeroizing::new(terminal.ask_hidden("Secret access key: ")?);
    Ok((id, intake::secret(secret.trim(), "what was typed")?))
}

fn list(live: bool, json: bool, proof: &Proof) -> Outcome {
    let Reply::AccessKeys(rows) = Desk::open(proof)?.ask(&Request::AccessKeyList { live })? else {
        return Err(unexpected());
    };
    if json {
        return ui::json(&rows);
    }
    ui::data(page(&rows, ui::page_width()).as_bytes())?;
    for (row, fault) in rows.iter().filter_map(|row| Some((row, row.fault.as_ref()?))) {
        ui::say(&format!("AWS says nothing of {}: {}", row.name, Label(&fault.message)));
    }
    Ok(())
}

fn rotate(asked: AccessKeyRotate, proof: &Proof) -> Outcome {
    let Reply::AccessKeyRotated(rotated) = Desk::open(proof)?.ask(&Request::AccessKeyRotate(asked))? else {
        return Err(unexpected());
    };
    let AccessKeyRotated { name, access_key_id, old, old_last_used, deleted } = rotated;
    ui::say(&format!("Access key {name} is now {access_key_id}."));
    let used = old_last_used.map_or_else(
        || "AWS knows of no use of it".to_owned(),
        |used| format!("last used {} for {} in {}", minute(&used.at), Label(&used.service), Label(&used.region)),
    );
    let end = if deleted { "deleted" } else { "inactive" };
    ui::say(&format!("The old key {old} is {end} at AWS ({used})."));
    Ok(())
}

fn page(rows: &[AccessKeyRow], width: Option<usize>) -> String {
    let user = |row: &AccessKeyRow| row.user.as_ref().map_or("not asked yet".to_owned(), ToString::to_string);
    let known = |row: &AccessKeyRow, shown: fn(&AccessKeyAtAws) -> String| {
        row.at_aws.as_ref().map_or_else(|| "unknown".to_owned(), shown)
    };
    let rows = rows.iter().map(|row| {
        [
            row.name.to_string(),
            row.access_key_id.to_string(),
            user(row),
            format!("{} d", row.age_days),
            known(row, |at_aws| if at_aws.active { "active" } else { "inactive" }.to_owned()),
            known(row, |at_aws| {
                let used = |used: &AccessKeyUse| format!("{} {}", minute(&used.at), Label(&used.service));
                at_aws.last_used.as_ref().map_or_else(|| "never".to_owned(), used)
            }),
        ]
    });
    table(width, ["NAME", "ACCESS KEY ID", "USER", "AGE", "STATUS", "LAST USED"], rows)
}

fn export(name: Name, json: bool, proof: &Proof) -> Outcome {
    let mut desk = Desk::open(proof)?;
    desk.require_vault()?;
    let proof = desk.prove()?;
    let Reply::AccessKeyExport(key) = desk.ask_proven(Request::AccessKeyExport { name, proof })? else {
        return Err(unexpected());
    };
    if json {
        return ui::json(&key);
    }
    let mut lines = WipedBuffer::with_capacity(512);
    for line in [key.access_key_id.as_str(), key.secret_access_key.expose()] {
        lines.extend(line.as_bytes());
        lines.extend(b"\n");
    }
    ui::data(lines.as_slice())
}
