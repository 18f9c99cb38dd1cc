//! `claviger trash …`: what was removed from the vault.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::render::{minute, table};
use crate::cli::ui;
use crate::model::Name;
use crate::wire::{Reply, Request, TrashKind, TrashRow};

/// The vault's trash: list, restore, empty
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Trash {
    /// List what was removed in the last 30 days
    #[command(after_help = "\
Example:
  claviger trash list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Bring back what was removed last under a name
    #[command(after_help = "\
Examples:
  claviger trash restore dev
  claviger trash restore dev --kind access-key --as dev-old")]
    Restore {
        /// The name it had
        name: Name,
        /// Which, where more than one kind of item had the name
        #[arg(long)]
        kind: Option<Kind>,
        /// A new name for it
        #[arg(long = "as", value_name = "NAME")]
        new_name: Option<Name>,
        #[command(flatten)]
        proof: Proof,
    },
    /// Delete what is in the trash, against the passphrase
    ///
    /// Copies of the vault from before (vault.prev, one of each of seven days, backups) still have it.
    #[command(after_help = "\
Example:
  claviger trash empty")]
    Empty {
        #[command(flatten)]
        proof: Proof,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum Kind {
    /// An access key
    AccessKey,
    /// An authenticator
    Mfa,
    /// An SSH key
    SshKey,
}

/// What the last item of this name in the trash was.
fn kind_in_trash(desk: &mut Desk<'_>, name: &Name) -> Result<Option<TrashKind>, Failure> {
    let Reply::Trash(rows) = desk.ask(&Request::TrashList {})? else { return Err(unexpected()) };
    Ok(rows.iter().rfind(|row| row.name == *name).and_then(|row| row.kind))
}

impl Trash {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List { json, proof } => {
                let Reply::Trash(rows) = Desk::open(&proof)?.ask(&Request::TrashList {})? else {
                    return Err(unexpected());
                };
                if json { ui::json(&rows) } else { ui::data(page(&rows, ui::page_width()).as_bytes()) }
            }
            Self::Restore { name, kind, new_name, proof } => {
                let kind = kind.map(|kind| match kind {
                    Kind::AccessKey => TrashKind::AccessKey,
                    Kind::Mfa => TrashKind::Authenticator,
                    Kind::SshKey => TrashKind::SshKey,
                });
                let shown = new_name.clone().unwrap_or_else(|| name.clone());
                let mut desk = Desk::open(&proof)?;
                let kind_of = match kind {
                    Some(kind) => Some(kind),
                    None => kind_in_trash(&mut desk, &name)?,
                };
                desk.done(&Request::TrashRestore { name, kind, new_name })?;
                ui::say(&format!("{shown} is back."));
                if kind_of == Some(TrashKind::Authenticator) {
                    ui::say("If it was taken away at AWS meanwhile (mfa deactivate), AWS takes none of its codes.");
                }
                Ok(())
            }
            Self::Empty { proof } => {
                let mut desk = Desk::open(&proof)?;
                desk.require_vault()?;
                let proof = desk.prove()?;
                desk.done_proven(Request::TrashEmpty { proof })?;
                ui::say("The trash is empty.");
                Ok(())
            }
        }
    }
}

fn page(rows: &[TrashRow], width: Option<usize>) -> String {
    let kind = |kind| match kind {
        TrashKind::AccessKey => "access key",
        TrashKind::Authenticator => "authenticator",
        TrashKind::SshKey => "ssh key",
    };
    let rows = rows.iter().map(|row| {
        let kind = row.kind.map_or("of a newer claviger", kind);
        [row.name.to_string(), kind.to_owned(), minute(&row.removed), minute(&row.until)]
    });
    table(width, ["NAME", "KIND", "REMOVED", "KEPT UNTIL"], rows)
}
