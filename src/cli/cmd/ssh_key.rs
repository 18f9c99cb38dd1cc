//! `claviger ssh-key …`: the vault's SSH keys.

use crate::cli::args::{Proof, descriptor};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::hot::linger_seconds;
use crate::cli::render::{duration, minute, table};
use crate::cli::terminal::Terminal;
use crate::cli::{intake, ui};
use crate::model::Name;
use crate::secret::{Passphrase, SecretText, SshKeyFile};
use crate::wire::{Code, Fault, Reply, Request, SshKeyExport, SshKeyFormat, SshKeyKind, SshKeyOptions, SshKeyRow};
use std::path::{Path, PathBuf};

/// How often a person may mistype the passphrase of a file.
const TRIES: u32 = 3;

/// SSH keys in the vault: new, add, list, public, remove, export
#[derive(clap::Subcommand)]
pub(in crate::cli) enum SshKey {
    /// Make an SSH key in the vault, and print its public line
    #[command(after_help = "\
Examples:
  claviger ssh-key new github
  claviger ssh-key new prod --type rsa-4096 --confirm --destination 'bastion>ada@db.example'
  claviger ssh-key new signing --namespace git | ssh host 'cat >> .ssh/authorized_keys'")]
    New {
        /// The name it gets here
        name: Name,
        /// Its type
        #[arg(long = "type", value_name = "TYPE", default_value = "ed25519")]
        kind: Kind,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        proof: Proof,
    },
    /// Store an SSH key from a file: OpenSSH's, PEM (PKCS#1, PKCS#8) or PuTTY's
    ///
    /// The file stays where it is; remove it once the key works from the vault.
    #[command(after_help = "\
Examples:
  claviger ssh-key add laptop ~/.ssh/id_ed25519
  claviger ssh-key add work id_rsa --certificate id_rsa-cert.pub --confirm
  claviger ssh-key add ci --stdin --key-passphrase-fd 3 <key 3<passphrase")]
    Add(Add),
    /// List the SSH keys
    #[command(after_help = "\
Example:
  claviger ssh-key list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Print the public half of an SSH key, the line for authorized_keys
    #[command(after_help = "\
Example:
  claviger ssh-key public github")]
    Public {
        /// Its name
        name: Name,
        #[command(flatten)]
        proof: Proof,
    },
    /// Move an SSH key to the vault's trash, where it stays for 30 days
    #[command(after_help = "\
Example:
  claviger ssh-key remove github")]
    Remove {
        /// Its name
        name: Name,
        #[command(flatten)]
        proof: Proof,
    },
    /// Print an SSH key as a file of OpenSSH, or in PEM, against the passphrase
    ///
    /// The file is in the clear, unless --key-passphrase-fd gives a passphrase of its own. With --out the certificate, if
    /// the key has one, is written beside it, to FILE-cert.pub.
    #[command(after_help = "\
Examples:
  claviger ssh-key export github --out id_ed25519
  claviger ssh-key export github --key-passphrase-fd 3 3<passphrase >id_ed25519
  claviger ssh-key export windows --format pkcs1 --out windows.pem")]
    Export {
        /// Its name
        name: Name,
        /// Write it to a new file, mode 0600, instead of stdout
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Encrypt it with the passphrase that is read from file descriptor N
        #[arg(long, value_name = "N", value_parser = descriptor)]
        key_passphrase_fd: Option<u32>,
        /// How it is written; pkcs1 and pkcs8 are PEM, in the clear
        #[arg(long, value_name = "FORMAT", default_value = "openssh")]
        format: Format,
        #[command(flatten)]
        proof: Proof,
    },
}

/// How a file is written.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    Openssh,
    Pkcs1,
    Pkcs8,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Add {
    /// The name it gets here
    name: Name,
    /// The file of the private key
    #[arg(required_unless_present = "stdin", conflicts_with = "stdin")]
    file: Option<PathBuf>,
    /// Read the file from stdin
    #[arg(long)]
    stdin: bool,
    /// The key's certificate, a file that ends in -cert.pub
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Read the passphrase of the file from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    key_passphrase_fd: Option<u32>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    proof: Proof,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Options {
    /// Its comment [default: that of its file, else its name]
    #[arg(long)]
    comment: Option<String>,
    /// Ask before each use
    #[arg(long)]
    confirm: bool,
    /// Ask once; the consent holds so long
    #[arg(long, value_name = "DURATION", value_parser = linger_seconds)]
    lifetime: Option<u64>,
    /// Use it there alone: [user@]host, or host>[user@]host, as ssh-add -h takes it; may be repeated
    #[arg(long = "destination", value_name = "DESTINATION")]
    destinations: Vec<String>,
    /// Sign for this namespace (ssh-keygen -Y); may be repeated [default: git and file]
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// Sign also what is neither a login nor a signature with a namespace
    #[arg(long)]
    any_data: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum Kind {
    #[value(name = "ed25519")]
    Ed25519,
    #[value(name = "ecdsa-p256")]
    EcdsaP256,
    #[value(name = "ecdsa-p384")]
    EcdsaP384,
    #[value(name = "ecdsa-p521")]
    EcdsaP521,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
}

impl SshKey {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Add(add) => add.run(),
            Self::Export { name, out, key_passphrase_fd, format, proof } => {
                export(name, out, (key_passphrase_fd, format), &proof)
            }
            Self::List { json, proof } => list(json, &proof),
            Self::New { name, kind, options, proof } => {
                let options = options.wire();
                let mut desk = Desk::open(&proof)?;
                desk.require_open_vault()?;
                let stored = desk.ask(&Request::SshKeyNew { name, kind: kind.wire(), options })?;
                let Reply::SshKey(row) = stored else { return Err(unexpected()) };
                ui::data(line(&row)?.as_bytes())?;
                ui::say(&format!("SSH key {} ({}) is in the vault.", row.name, row.fingerprint));
                Ok(())
            }
            Self::Public { name, proof } => {
                let Reply::SshKey(row) = Desk::open(&proof)?.ask(&Request::SshKeyPublic { name })? else {
                    return Err(unexpected());
                };
                ui::data(line(&row)?.as_bytes())
            }
            Self::Remove { name, proof } => {
                let said = format!(
                    "SSH key {name} is in the vault's trash for 30 days. Back with: claviger trash restore {name} --kind ssh-key"
                );
                Desk::open(&proof)?.done(&Request::SshKeyRemove { name })?;
                ui::say(&said);
                Ok(())
            }
        }
    }
}

impl Kind {
    fn wire(self) -> SshKeyKind {
        match self {
            Self::Ed25519 => SshKeyKind::Ed25519,
            Self::EcdsaP256 => SshKeyKind::EcdsaP256,
            Self::EcdsaP384 => SshKeyKind::EcdsaP384,
            Self::EcdsaP521 => SshKeyKind::EcdsaP521,
            Self::Rsa3072 => SshKeyKind::Rsa3072,
            Self::Rsa4096 => SshKeyKind::Rsa4096,
        }
    }
}

impl Options {
    pub(super) fn wire(self) -> SshKeyOptions {
        SshKeyOptions {
            any_data: self.any_data,
            comment: self.comment,
            confirm: self.confirm,
            destinations: self.destinations,
            // At most a day.
            lifetime: self.lifetime.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
            namespaces: self.namespaces,
        }
    }
}

impl Add {
    fn run(self) -> Outcome {
        let given = [
            ("--stdin", self.stdin.then_some(0)),
            ("--key-passphrase-fd", self.key_passphrase_fd),
            ("--passphrase-fd", self.proof.passphrase_fd),
        ];
        check_apart(&given)?;
        let mut desk = Desk::open(&self.proof)?;
        desk.require_open_vault()?;
        let key = match &self.file {
            Some(file) => intake::file(file)?,
            None => intake::stdin()?,
        };
        let certificate = self.certificate.as_deref().map(intake::file).transpose()?;
        let request = Request::SshKeyAdd {
            name: self.name,
            key: SshKeyFile::from_text(key.to_string()),
            key_passphrase: self.key_passphrase_fd.map(passphrase).transpose()?,
            certificate: certificate.map(|text| text.to_string()),
            options: self.options.wire(),
        };
        let row = stored(&mut desk, request, self.file.as_deref())?;
        ui::say(&format!("SSH key {} ({}) is in the vault.", row.name, row.fingerprint));
        Ok(())
    }
}

/// Stores a key; a person is asked for the passphrase of its file, if it needs one and none was given.
fn stored(desk: &mut Desk<'_>, mut request: Request, file: Option<&Path>) -> Result<SshKeyRow, Failure> {
    let given = matches!(&request, Request::SshKeyAdd { key_passphrase: Some(_), .. });
    for tries in 0.. {
        let fault = match desk.ask(&request) {
            Ok(Reply::SshKey(row)) => return Ok(row),
            Ok(_) => break,
            Err(fault) => fault,
        };
        let wrong = fault.code == Code::SshKeyPassphraseWrong && tries < TRIES;
        if given || !(wrong || fault.code == Code::SshKeyPassphraseNeeded) {
            return Err(fault.into());
        }
        let Some(mut terminal) = Terminal::open() else { return Err(fault.into()) };
        if wrong {
            terminal.show("That does not open it; try again.\n")?;
        }
        let what = file.map_or_else(|| "the key".into(), Path::to_string_lossy);
        let typed = terminal.ask_hidden(&format!("Passphrase of {}: ", crate::model::Label(&what)))?;
        if let Request::SshKeyAdd { key_passphrase, .. } = &mut request {
            *key_passphrase = Some(Passphrase::from_text(typed));
        }
    }
    Err(unexpected())
}

/// Each descriptor is read for one thing.
fn check_apart(given: &[(&str, Option<u32>)]) -> Result<(), Fault> {
    for (at, (option, number)) in given.iter().enumerate() {
        let other = given.iter().skip(at + 1).find(|(_, other)| number.is_some() && other == number);
        if let Some((other, _)) = other {
            let message = format!("{option} and {other} read the same file descriptor; give one of them another");
            return Err(Fault::new(Code::Usage, message).hint(intake::help()));
        }
    }
    Ok(())
}

fn passphrase(number: u32) -> Result<Passphrase, Fault> {
    intake::descriptor(number).map(|text| Passphrase::from_text(text.to_string()))
}

pub(super) fn line(row: &SshKeyRow) -> Result<String, Failure> {
    row.public.as_ref().map(|line| format!("{line}\n")).ok_or_else(unexpected)
}

fn list(json: bool, proof: &Proof) -> Outcome {
    let mut desk = Desk::open(proof)?;
    let mut rows: Vec<SshKeyRow> = Vec::new();
    loop {
        let Reply::SshKeys(page) = desk.ask(&Request::SshKeyList { skip: rows.len() })? else {
            return Err(unexpected());
        };
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    if json { ui::json(&rows) } else { ui::data(page(&rows, ui::page_width()).as_bytes()) }
}

fn page(rows: &[SshKeyRow], width: Option<usize>) -> String {
    let rows = rows.iter().map(|row| {
        let kind = short(&row.algorithm);
        let (bits, fingerprint) = (row.bits.to_string(), row.fingerprint.clone());
        [row.name.to_string(), kind, bits, fingerprint, uses(row), minute(&row.added), row.comment.clone()]
    });
    table(width, ["NAME", "TYPE", "BITS", "FINGERPRINT", "USE", "ADDED", "COMMENT"], rows)
}

/// As `--type` has it, without the bits.
fn short(algorithm: &str) -> String {
    let (name, certificate) = match algorithm.strip_suffix("-cert-v01@openssh.com") {
        Some(name) => (name, "-cert"),
        None => (algorithm, ""),
    };
    let name = if name.starts_with("ecdsa-") { "ecdsa" } else { name.strip_prefix("ssh-").unwrap_or(name) };
    format!("{name}{certificate}")
}

/// What restricts its use, or widens it.
fn uses(row: &SshKeyRow) -> String {
    let mut parts = Vec::new();
    match (row.confirm, row.lifetime) {
        (_, Some(seconds)) => parts.push(format!("asks for {}", duration(seconds.into()))),
        (true, None) => parts.push("asks".to_owned()),
        (false, None) => {}
    }
    if !row.destinations.is_empty() {
        parts.push(format!("to {}", row.destinations.join(" ")));
    }
    parts.push(format!("signs {}", row.namespaces.join(" ")));
    if row.any_data {
        parts.push("any data".to_owned());
    }
    parts.join(", ")
}

fn export(
    name: Name,
    out: Option<PathBuf>,
    (key_passphrase_fd, format): (Option<u32>, Format),
    proof: &Proof,
) -> Outcome {
    let format = match format {
        Format::Openssh => SshKeyFormat::Openssh,
        Format::Pkcs1 => SshKeyFormat::Pkcs1,
        Format::Pkcs8 => SshKeyFormat::Pkcs8,
    };
    check_apart(&[("--key-passphrase-fd", key_passphrase_fd), ("--passphrase-fd", proof.passphrase_fd)])?;
    let beside = out.as_deref().map(beside);
    for file in [out.as_deref(), beside.as_deref()].into_iter().flatten() {
        if file.symlink_metadata().is_ok() {
            return Err(Fault::new(Code::FileUnsaved, "there is a file of that name already: name another").into());
        }
    }
    let mut desk = Desk::open(proof)?;
    desk.require_vault()?;
    let key_passphrase = key_passphrase_fd.map(passphrase).transpose()?;
    let encrypted = key_passphrase.is_some();
    let proof = desk.prove()?;
    let reply = desk.ask_proven(Request::SshKeyExport { name, format, key_passphrase, proof })?;
    let Reply::SshKeyExport(SshKeyExport { key, certificate }) = reply else { return Err(unexpected()) };
    let (Some(out), Some(beside)) = (out, beside) else { return ui::data(key.expose().as_bytes()) };
    intake::write_new(&out, key.expose().as_bytes())?;
    if let Some(line) = certificate {
        intake::write_new(&beside, format!("{line}\n").as_bytes())?;
    }
    let state = if encrypted { "It is encrypted." } else { "It is in the clear." };
    ui::say(&format!("The key is written. {state}"));
    Ok(())
}

/// Where ssh looks for the certificate of a key.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-cert.pub");
    name.into()
}
