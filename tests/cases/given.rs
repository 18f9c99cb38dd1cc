//! What a case starts from.

use claviger::model::{Arn, MfaSerial, Name, Region};
use claviger::wire::Fault;
use claviger_agent::aws::profile::{ProfileSet, Role, SourceFile};
use claviger_agent::aws::{EndpointRules, FilesError};
use claviger_agent::server::fault_seams;
use claviger_agent::session::{self, Delivery, Plan, plan};
use claviger_agent::vault::{Knowledge, KnownDevice};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every folder beside this file.
pub(crate) fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(root).expect("tests/cases").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir() && !path.ends_with("__pycache__")).collect();
    folders.sort();
    folders
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the case is about, for its reader.
    about: String,
    asked: Vec<String>,
    /// With the user, where it is known.
    access_keys: BTreeMap<Name, Option<Arn>>,
    devices: Vec<Device>,
    #[serde(default)]
    region: Option<Region>,
    #[serde(default = "twelve_hours")]
    session_seconds: u32,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    sts: Option<String>,
    /// Text that stands in a file many times, with `{n}` and `{n+1}` filled in.
    #[serde(default)]
    repeat: Vec<Repeat>,
    /// Every profile of the files is planned, and counted.
    #[serde(default)]
    every: bool,
    /// Plain AWS files: `botocore_chain.py` compares them with botocore.
    #[serde(default, rename = "botocore")]
    _botocore: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    name: Name,
    serial: MfaSerial,
    access_key: Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    file: String,
    from: u32,
    to: u32,
    text: String,
}

fn twelve_hours() -> u32 {
    43_200
}

/// A case.
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) asked: Vec<String>,
    pub(crate) every: bool,
    profiles: Result<ProfileSet, Fault>,
    knowledge: Knowledge,
    endpoints: EndpointRules,
    region: Option<Region>,
    session_seconds: u32,
}

impl Given {
    pub(crate) fn read(folder: &Path) -> Self {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let json =
            std::fs::read_to_string(folder.join("given.json")).unwrap_or_else(|_| panic!("{name}: no given.json"));
        let file: File = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let device =
            |device: Device| KnownDevice { name: device.name, serial: device.serial, access_key: device.access_key };
        Self {
            profiles: load(folder, &file.repeat),
            endpoints: EndpointRules::new(&file.allow, file.sts.as_deref(), None).expect("endpoints"),
            knowledge: Knowledge {
                access_keys: file.access_keys,
                devices: file.devices.into_iter().map(device).collect(),
                ..Knowledge::default()
            },
            region: file.region,
            session_seconds: file.session_seconds,
            about: file.about,
            asked: file.asked,
            every: file.every,
            name,
        }
    }

    /// The plan of a profile, or what a person would be told.
    pub(crate) fn plan(&self, profile: &str, delivery: Delivery) -> Result<Plan, Fault> {
        let profiles = self.profiles.as_ref().map_err(Clone::clone)?;
        let given = plan::Given {
            profiles,
            knowledge: &self.knowledge,
            endpoints: &self.endpoints,
            region: self.region.as_ref(),
            session_seconds: self.session_seconds,
        };
        let planned = plan::plan(&given, profile, delivery);
        planned.map_err(|error| {
            // Comparing a missing name with 10,000 others is for the one that was asked.
            let asked = self.asked.iter().any(|asked| asked == profile);
            let error = if asked { error.with_nearest(profiles) } else { error };
            fault_seams::session(&session::Error::Plan(error), profile, Path::new("config"), None)
        })
    }

    /// The names of all profiles.
    pub(crate) fn all(&self) -> Vec<&str> {
        self.profiles.iter().flat_map(|profiles| profiles.profiles().map(|profile| profile.name())).collect()
    }
}

fn load(folder: &Path, repeat: &[Repeat]) -> Result<ProfileSet, Fault> {
    let roles = [("config", Role::Config), ("credentials", Role::Credentials), ("profiles", Role::Own)];
    let texts = roles.map(|(name, role)| {
        let mut text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        for repeat in repeat.iter().filter(|repeat| repeat.file == name) {
            for n in repeat.from..=repeat.to {
                text.push_str(&repeat.text.replace("{n}", &n.to_string()).replace("{n+1}", &(n + 1).to_string()));
            }
        }
        (name, role, text)
    });
    let files =
        texts.each_ref().map(|(name, role, text)| SourceFile { path: Path::new(name).into(), role: *role, text });
    ProfileSet::load(&files).map_err(|problems| fault_seams::files(FilesError::Problems(problems)))
}
