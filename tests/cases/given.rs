//! What a case starts from.

use claviger::model::{Arn, MfaSerial, Name, Region};
use claviger::wire::Fault;
use claviger_agent::aws::profile::{ProfileSet, Role, SourceFile};
use claviger_agent::aws::{EndpointRules, FilesError, Service};
use claviger_agent::config::Sources;
use claviger_agent::jobs::adoption::Sheets;
use claviger_agent::server::fault_seams;
use claviger_agent::session::plan::PlanError;
use claviger_agent::session::{self, Delivery, Plan, plan};
use claviger_agent::source::SourceRules;
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
    /// `[commands] allow`.
    #[serde(default)]
    commands: Vec<String>,
    /// `[sources] container_uri`.
    #[serde(default)]
    container_uri: Option<String>,
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
    sources: SourceRules,
    region: Option<Region>,
    session_seconds: u32,
    texts: [Option<String>; 3],
}

impl Given {
    pub(crate) fn read(folder: &Path) -> Self {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let json =
            std::fs::read_to_string(folder.join("given.json")).unwrap_or_else(|_| panic!("{name}: no given.json"));
        let file: File = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let device = |device: Device| KnownDevice {
            is_here: true,
            name: device.name,
            serial: device.serial,
            access_key: device.access_key,
            on_card: None,
        };
        let texts = texts(folder, &file.repeat);
        Self {
            profiles: load(&texts),
            texts,
            endpoints: EndpointRules::new(&file.allow, &[(Service::Sts, file.sts.as_deref())]).expect("endpoints"),
            sources: SourceRules::new(
                &Sources { container_uri: file.container_uri, ..Sources::default() },
                &file.commands,
            )
            .expect("sources"),
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
            sources: &self.sources,
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

    /// What every profile means with the case's vault, given any files.
    pub(crate) fn plan_in(
        &self,
        profiles: &ProfileSet,
        knowledge: &Knowledge,
        profile: &str,
    ) -> Result<Plan, PlanError> {
        let (endpoints, region) = (&self.endpoints, self.region.as_ref());
        let (sources, session_seconds) = (&self.sources, self.session_seconds);
        let given = plan::Given { profiles, knowledge, endpoints, sources, region, session_seconds };
        plan::plan(&given, profile, Delivery::Refreshing)
    }

    /// The files: config, credentials, claviger's own.
    pub(crate) fn sheets(&self) -> Sheets {
        let [config, credentials, own] = self.texts.each_ref().map(Option::as_deref);
        let [one, two, three] = ["config", "credentials", "profiles"].map(Path::new);
        Sheets::of([(one, config), (two, credentials), (three, own)])
    }

    pub(crate) fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    /// The names of all profiles.
    pub(crate) fn all(&self) -> Vec<&str> {
        self.profiles.iter().flat_map(|profiles| profiles.profiles().map(|profile| profile.name())).collect()
    }
}

fn texts(folder: &Path, repeat: &[Repeat]) -> [Option<String>; 3] {
    ["config", "credentials", "profiles"].map(|name| {
        let mut text = std::fs::read_to_string(folder.join(name)).ok();
        for repeat in repeat.iter().filter(|repeat| repeat.file == name) {
            for n in repeat.from..=repeat.to {
                let more = repeat.text.replace("{n}", &n.to_string()).replace("{n+1}", &(n + 1).to_string());
                text.get_or_insert_default().push_str(&more);
            }
        }
        text
    })
}

fn load(texts: &[Option<String>; 3]) -> Result<ProfileSet, Fault> {
    let roles = [("config", Role::Config), ("credentials", Role::Credentials), ("profiles", Role::Own)];
    let files = roles.into_iter().zip(texts).map(|((name, role), text)| SourceFile {
        path: Path::new(name).into(),
        role,
        text: text.as_deref().unwrap_or_default(),
    });
    let files: Vec<_> = files.collect();
    ProfileSet::load(&files).map_err(|problems| fault_seams::files(FilesError::Problems(problems)))
}
