//! `claviger keypair …`: EC2 key pairs.

use super::ssh_key;
use crate::cli::args::{Proof, profile_or_default};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::render::{minute, table};
use crate::cli::ui;
use crate::model::{InstanceId, KeyPairName, Label, Name, PivSlot, Region};
use crate::secret::SecretText;
use crate::wire::{
    Code, Fault, KeypairCreate, KeypairDeed, KeypairDelete, KeypairImport, KeypairKind, KeypairOutcome,
    KeypairPassword, KeypairRegion, KeypairRotate, KeypairRow, KeypairScope, KeypairSource, KeypairWaiting, Reply,
    Request, SshKeyKind,
};
use std::collections::BTreeMap;

/// EC2 key pairs: list, create, import, rotate, delete, password
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Keypair {
    /// List key pairs, the keys that are theirs, and the instances that were launched with them
    ///
    /// Each pair is matched with the keys of the vault and of the PIV cards that are plugged in. A name that instances were
    /// launched with and no pair has any more is listed as deleted. Where a region cannot be listed the others are, and the
    /// exit code is 9.
    #[command(after_help = "\
Examples:
  claviger keypair list
  claviger keypair list --all-regions --profile prod
  claviger keypair list --region eu-central-1 --region us-east-1 --json")]
    List {
        #[command(flatten)]
        scope: Scope,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Have AWS make a key pair, its private half straight into the vault
    ///
    /// The private half is in the vault and nowhere else. If it cannot be stored, the pair is deleted again.
    #[command(after_help = "\
Examples:
  claviger keypair create web
  claviger keypair create windows --type rsa --region eu-central-1
  claviger keypair create web --key web-prod --tag team=web --confirm")]
    Create(Box<Create>),
    /// Import a key of the vault or of a PIV card as a key pair, in many regions at once
    ///
    /// EC2 takes ed25519, and RSA of 2048 and 4096 bits. A pair of the same name and key is left as it is.
    #[command(after_help = "\
Examples:
  claviger keypair import web
  claviger keypair import web --key laptop --all-regions --tag owner=ada
  claviger keypair import ada --slot 9a --device 12345678 --region eu-central-1 --region us-east-1")]
    Import {
        /// The name of the key pair
        name: KeyPairName,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        tags: Tags,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        proof: Proof,
    },
    /// Give key pairs of a name a new key, which the vault makes
    ///
    /// Instances that run already let the old key in, and no other: it stays in the vault as NAME+old, and goes to the trash
    /// only where every region was asked and no instance was launched with it. What a failure or a crash has left to do, the
    /// same command does.
    #[command(after_help = "\
Examples:
  claviger keypair rotate web --all-regions
  claviger keypair rotate windows --type rsa --region eu-central-1")]
    Rotate {
        /// The name of the key pair, and of the key in the vault
        name: KeyPairName,
        /// The type of the new key; rsa has 4096 bits [default: the type of the old one]
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<NewKind>,
        /// Also where the old key is neither in the vault nor on a card that is plugged in
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        proof: Proof,
    },
    /// Delete key pairs of a name; the vault's key stays
    ///
    /// Instances that were launched with them stay as they are, and you are asked first where there are any.
    #[command(after_help = "\
Examples:
  claviger keypair delete web
  claviger keypair delete web --all-regions --with-key --force")]
    Delete {
        /// The name of the key pair
        name: KeyPairName,
        /// Move the vault's keys that belong to them to the trash as well
        #[arg(long)]
        with_key: bool,
        /// Also where instances were launched with them
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        proof: Proof,
    },
    /// Print the password of a Windows instance, decrypted by its key
    ///
    /// The key that the instance was launched with is found by itself, in the vault or on a PIV card.
    #[command(after_help = "\
Examples:
  claviger keypair password i-0123456789abcdef0
  claviger keypair password i-0123456789abcdef0 --slot 9d --region eu-central-1")]
    Password {
        /// The instance
        instance: InstanceId,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        proof: Proof,
    },
}

#[derive(clap::Args)]
pub(in crate::cli) struct Create {
    /// The name of the key pair
    name: KeyPairName,
    /// Its type; Windows passwords need rsa
    #[arg(long = "type", value_name = "TYPE", default_value = "ed25519")]
    kind: Kind,
    /// The name of the private half in the vault [default: the pair's]
    #[arg(long, value_name = "KEY")]
    key: Option<Name>,
    #[command(flatten)]
    tags: Tags,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    options: ssh_key::Options,
    #[command(flatten)]
    proof: Proof,
}

/// Which profile, and one region.
#[derive(clap::Args)]
pub(in crate::cli) struct Place {
    /// The AWS profile [default: AWS_PROFILE, else default]
    #[arg(long)]
    profile: Option<String>,
    /// The region [default: the profile's]
    #[arg(long)]
    region: Option<Region>,
}

/// Which profile, and which regions.
#[derive(clap::Args)]
pub(in crate::cli) struct Scope {
    /// The AWS profile [default: AWS_PROFILE, else default]
    #[arg(long)]
    profile: Option<String>,
    /// A region; several, if it is repeated [default: the profile's]
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<Region>,
    /// Every region that the account has enabled
    #[arg(long, conflicts_with = "regions")]
    all_regions: bool,
}

/// Which key.
#[derive(clap::Args)]
pub(in crate::cli) struct Source {
    /// A key of the vault
    #[arg(long, value_name = "KEY", conflicts_with = "slot")]
    key: Option<Name>,
    /// The key in a slot of a PIV card: 9a, 9c, 9d, 9e, or 82 to 95
    #[arg(long)]
    slot: Option<PivSlot>,
    /// The serial number of the card; needed where several are plugged in
    #[arg(long, value_name = "SERIAL", requires = "slot")]
    device: Option<u32>,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Tags {
    /// A tag of the key pair; several, if it is repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
}

/// What AWS makes.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum Kind {
    Ed25519,
    Rsa,
}

/// What the vault makes and EC2 takes.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum NewKind {
    Ed25519,
    #[value(name = "rsa", alias = "rsa-4096")]
    Rsa4096,
}

fn tag(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a tag is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Keypair {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Create(create) => create.run(),
            Self::Delete { name, with_key, force, scope, proof } => {
                let scope = scope.wire();
                done(&proof, Request::KeypairDelete(KeypairDelete { scope, name, with_key, force }))
            }
            Self::Import { name, source, tags, scope, proof } => {
                let key = match source.wire() {
                    Some(key) => key,
                    // Keys of the vault have names like those of pairs, mostly.
                    None => KeypairSource::Vault(name.as_str().parse().map_err(|_| no_key())?),
                };
                let (scope, tags) = (scope.wire(), tags.wire());
                let tagged = !tags.is_empty();
                let outcome = asked(&proof, &Request::KeypairImport(KeypairImport { scope, name, key, tags }))?;
                tell(&outcome)?;
                if tagged && outcome.regions.iter().any(|region| region.deed == Some(KeypairDeed::Present)) {
                    ui::say("Where the pair stood already its tags stay as they were: --tag was not applied there.");
                }
                whole(&outcome.regions)
            }
            Self::List { scope, json, proof } => list(scope.wire(), json, &proof),
            Self::Password { instance, source, place, proof } => {
                let Place { profile, region } = place;
                let (profile, key) = (profile_or_default(profile.as_deref()), source.wire());
                let request = Request::KeypairPassword(KeypairPassword { profile, region, instance, key });
                let Reply::InstancePassword(found) = Desk::open(&proof)?.ask(&request)? else {
                    return Err(unexpected());
                };
                ui::secret_line(found.password.expose())
            }
            Self::Rotate { name, kind, force, scope, proof } => {
                let kind = kind.map(|kind| match kind {
                    NewKind::Ed25519 => SshKeyKind::Ed25519,
                    NewKind::Rsa4096 => SshKeyKind::Rsa4096,
                });
                let scope = scope.wire();
                let again = Again { name: name.clone(), scope: scope.clone(), force };
                let request = Request::KeypairRotate(KeypairRotate { scope, name, kind, force });
                let outcome = asked(&proof, &request)?;
                tell(&outcome)?;
                if replaced_unknown(&outcome) {
                    ui::say("Instances that were launched before let in the old key still, and that one is not here.");
                }
                if let Some(waiting) = &outcome.waiting {
                    ui::say(&again.told(waiting));
                    return Err(Failure::Partial);
                }
                whole(&outcome.regions)
            }
        }
    }
}

impl Create {
    fn run(self) -> Outcome {
        let Self { name, kind, key, tags, place: Place { profile, region }, options, proof } = self;
        let profile = profile_or_default(profile.as_deref());
        let kind = match kind {
            Kind::Ed25519 => KeypairKind::Ed25519,
            Kind::Rsa => KeypairKind::Rsa,
        };
        let (tags, options) = (tags.wire(), options.wire());
        done(&proof, Request::KeypairCreate(KeypairCreate { profile, region, name, kind, key, tags, options }))
    }
}

impl Scope {
    fn wire(self) -> KeypairScope {
        let Self { profile, regions, all_regions } = self;
        KeypairScope { profile: profile_or_default(profile.as_deref()), regions, all_regions }
    }
}

impl Source {
    fn wire(self) -> Option<KeypairSource> {
        let Self { key, slot, device } = self;
        slot.map(|slot| KeypairSource::Card { device, slot }).or_else(|| key.map(KeypairSource::Vault))
    }
}

impl Tags {
    fn wire(self) -> BTreeMap<String, String> {
        self.tags.into_iter().collect()
    }
}

fn no_key() -> Fault {
    let message = "no key of the vault can have the pair's name: name the key";
    Fault::new(Code::Usage, message).hint("claviger keypair import NAME --key KEY")
}

/// A rotation that was asked for: the command that goes on with it.
struct Again {
    name: KeyPairName,
    scope: KeypairScope,
    force: bool,
}

impl Again {
    /// What waits, and the command on a line of its own.
    fn told(&self, waiting: &KeypairWaiting) -> String {
        let Self { name, scope, force } = self;
        let regions: Vec<&str> = waiting.regions.iter().map(Region::as_str).collect();
        let mut command = format!("claviger keypair rotate {name} --profile {}", Label(&scope.profile));
        match scope.all_regions {
            true => command.push_str(" --all-regions"),
            false => regions.iter().for_each(|region| command.push_str(&format!(" --region {region}"))),
        }
        if *force {
            command.push_str(" --force");
        }
        let (key, regions) = (&waiting.key, regions.join(", "));
        format!(
            "The rotation is not over: {regions} waits for the new key, which is in the vault as {key}. Go on with:\n{command}"
        )
    }
}

/// Whether instances need a key that is nowhere here.
fn replaced_unknown(outcome: &KeypairOutcome) -> bool {
    let used = |region: &KeypairRegion| {
        region.deed == Some(KeypairDeed::Replaced) && region.instance_count.is_some_and(|count| count > 0)
    };
    outcome.kept.is_empty() && outcome.regions.iter().any(used)
}

/// Asks, and says region by region what became of it. The public line of a new key is data.
fn done(proof: &Proof, request: Request) -> Outcome {
    let outcome = asked(proof, &request)?;
    tell(&outcome)?;
    whole(&outcome.regions)
}

fn asked(proof: &Proof, request: &Request) -> Result<KeypairOutcome, Failure> {
    match Desk::open(proof)?.ask(request)? {
        Reply::Keypairs(outcome) => Ok(outcome),
        _ => Err(unexpected()),
    }
}

fn tell(outcome: &KeypairOutcome) -> Outcome {
    let KeypairOutcome { regions, key, trashed, kept, .. } = outcome;
    for region in regions {
        ui::say(&told(region));
    }
    for kept in kept {
        let place = match kept {
            KeypairSource::Vault(name) => format!("stays in the vault as {name}"),
            KeypairSource::Card { device: Some(serial), slot } => format!("stays in slot {slot} of card {serial}"),
            KeypairSource::Card { device: None, slot } => format!("stays in slot {slot} of the card"),
        };
        ui::say(&format!("Instances that were launched before let in the old key still: it {place}."));
    }
    for name in trashed {
        ui::say(&format!("SSH key {name} is in the vault's trash for 30 days."));
    }
    if let Some(row) = key {
        ui::say(&format!("SSH key {} ({}) is in the vault.", row.name, row.fingerprint));
        ui::data(ssh_key::line(row)?.as_bytes())?;
    }
    Ok(())
}

/// Whether nothing failed. What did was told.
fn whole(regions: &[KeypairRegion]) -> Outcome {
    match regions.iter().any(|region| region.fault.is_some()) {
        true => Err(Failure::Partial),
        false => Ok(()),
    }
}

fn told(region: &KeypairRegion) -> String {
    let name = &region.region;
    if let Some(fault) = &region.fault {
        return format!("{name}: {}", ui::fault(fault).trim_start_matches("claviger: "));
    }
    let id = region.id.as_deref().map(|id| format!(" ({})", Label(id))).unwrap_or_default();
    let deed = match region.deed {
        Some(KeypairDeed::Absent) => "there was none",
        Some(KeypairDeed::Created) => "made",
        Some(KeypairDeed::Deleted) => "deleted",
        Some(KeypairDeed::Imported) => "imported",
        Some(KeypairDeed::Present) => "stands there already",
        Some(KeypairDeed::Replaced) => "has the new key",
        None => "nothing done",
    };
    let used = match region.instance_count {
        Some(1) => ", 1 instance was launched with it".to_owned(),
        Some(count) if count > 1 => format!(", {count} instances were launched with it"),
        _ => String::new(),
    };
    format!("{name}: {deed}{id}{used}")
}

fn list(scope: KeypairScope, json: bool, proof: &Proof) -> Outcome {
    #[derive(serde::Serialize)]
    struct Listing<'a> {
        keypairs: &'a [KeypairRow],
        regions: &'a [KeypairRegion],
    }
    let mut desk = Desk::open(proof)?;
    let reply = desk.ask(&Request::KeypairList(scope))?;
    let (Reply::Keypairs(outcome), rows) = (reply, desk.keypairs()) else { return Err(unexpected()) };
    let regions = &outcome.regions;
    match json {
        true => ui::json(&Listing { keypairs: &rows, regions })?,
        false => ui::data(page(&rows, ui::page_width()).as_bytes())?,
    }
    for region in regions.iter().filter(|region| region.fault.is_some()) {
        ui::say(&told(region));
    }
    whole(regions)
}

fn page(rows: &[KeypairRow], width: Option<usize>) -> String {
    let rows = rows.iter().map(|row| {
        let kind = match row.kind {
            Some(KeypairKind::Ed25519) => "ed25519",
            Some(KeypairKind::Rsa) => "rsa",
            None => "",
        };
        let fingerprint = row.fingerprint.as_deref().map(|text| Label(text).to_string()).unwrap_or_default();
        let created = row.created.as_deref().map(minute).unwrap_or_default();
        let name = Label(&row.name).to_string();
        [row.region.to_string(), name, kind.to_owned(), held(row), used(row), created, fingerprint]
    });
    table(width, ["REGION", "NAME", "TYPE", "KEY", "INSTANCES", "CREATED", "FINGERPRINT"], rows)
}

/// Where its private half is.
fn held(row: &KeypairRow) -> String {
    if row.id.is_none() {
        return "pair deleted".to_owned();
    }
    let place = |source: &KeypairSource| match source {
        KeypairSource::Vault(name) => format!("vault {name}"),
        KeypairSource::Card { device: Some(serial), slot } => format!("piv {serial} {slot}"),
        KeypairSource::Card { device: None, slot } => format!("piv {slot}"),
    };
    match row.keys.is_empty() {
        true => "none here".to_owned(),
        false => row.keys.iter().map(place).collect::<Vec<_>>().join(", "),
    }
}

/// Who uses it.
fn used(row: &KeypairRow) -> String {
    let Some(instances) = &row.instances else { return "not known".to_owned() };
    let shown = instances.iter().take(3).map(|instance| match &instance.name {
        Some(name) => format!("{} ({})", instance.id, Label(name)),
        None => instance.id.to_string(),
    });
    let mut texts: Vec<String> = shown.collect();
    if row.instance_count > texts.len() {
        texts.push(format!("{} more", row.instance_count.saturating_sub(texts.len())));
    }
    match texts.is_empty() {
        true => "none".to_owned(),
        false => texts.join(", "),
    }
}
