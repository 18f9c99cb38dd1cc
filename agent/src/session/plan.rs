//! From a profile to the STS calls that obtain its credentials. Pure: no I/O, no clock, no secret.

use super::base::{Base, refuse_serial};
use super::resolve::{Chain, Hop, resolve};
use super::settings::{self, Named, RoleSettings};
use crate::aws::profile::{Origin, Profile, ProfileSet, Value};
use crate::aws::{self, Endpoint, EndpointRules};
use crate::source::SourceRules;
use crate::vault::Knowledge;
use claviger::model::{Arn, MfaSerial, Name, Partition, Region};

/// Seconds of a role session behind the refreshing doors: what STS allows a session to assume a role for (STS API,
/// AssumeRole, role chaining). It is renewed silently, so nobody sees it end.
const CHAINED_SECONDS: u32 = 3600;

/// Everything the plan depends on besides the profile.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The AWS files.
    pub profiles: &'a ProfileSet,
    /// Names, serials and owners of what the vault holds.
    pub knowledge: &'a Knowledge,
    /// Where calls may go.
    pub endpoints: &'a EndpointRules,
    /// What may be a source.
    pub sources: &'a SourceRules,
    /// `[aws] region`.
    pub region: Option<&'a Region>,
    /// `[mfa] session`, in seconds.
    pub session_seconds: u32,
}

/// How the credentials will be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Asked for again before they end: process, container endpoint, IMDS.
    Refreshing,
    /// Handed over once: `env`, `exec --env`.
    Frozen,
}

/// The calls, in order; each session is obtained with the one before it, the first with the access key or from the
/// source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The profile.
    pub profile: String,
    /// What it starts from.
    pub base: Base,
    /// Where a code would come from.
    pub mfa: Mfa,
    /// At least one.
    pub steps: Vec<Step>,
    /// What a person should know about this plan.
    pub notes: Vec<String>,
}

/// Where a code would come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mfa {
    /// The identity has no authenticator here and the profile names none, or `claviger_mfa = off`.
    None,
    /// Virtual devices in the vault, in order of preference.
    Held(Vec<MfaSerial>),
    /// A device that only a person has.
    Typed(MfaSerial),
}

/// One call, of STS but for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub call: Call,
    /// Seconds the session shall live; 0 for a source, which decides itself.
    pub seconds: u32,
    /// Where; for a source, where its own credentials are used.
    pub endpoint: Endpoint,
    /// Whether a code goes with it.
    pub with_code: bool,
}

/// The STS actions a plan uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// AssumeRole.
    AssumeRole(Box<RoleRequest>),
    /// GetSessionToken.
    SessionToken,
    /// The source is asked.
    Source,
}

/// What AssumeRole is asked (STS API, AssumeRole), apart from duration and code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRequest {
    /// The role.
    pub role: Arn,
    /// RoleSessionName.
    pub session_name: String,
    /// ExternalId.
    pub external_id: Option<String>,
    /// Policy, JSON.
    pub policy: Option<String>,
    /// PolicyArns.
    pub policy_arns: Vec<Arn>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// TransitiveTagKeys.
    pub transitive_tag_keys: Vec<String>,
    /// SourceIdentity.
    pub source_identity: Option<String>,
}

/// Why a profile cannot be planned. Texts come from the user's own files and are shown through `Label`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// `claviger_access_key` names none that is stored.
    #[error("the access key it names is not stored")]
    AccessKeyNotFound(Name, Origin),
    /// The profile's command is not in `[commands] allow`.
    #[error("the credential_process is not allowed")]
    CommandNotAllowed(String, Origin),
    /// Settings that exclude each other.
    #[error("settings exclude each other")]
    Conflict(String, &'static str, Origin),
    /// An endpoint that is no URL, or neither AWS's nor allowed; and the profile's setting, where it is one.
    #[error("an endpoint may not be used")]
    Endpoint(#[source] aws::Error, Option<(String, Origin)>),
    /// `credential_source = Environment`.
    #[error("the environment is no source")]
    EnvironmentSource(String, Origin),
    /// More than an hour of frozen credentials through several roles.
    #[error("frozen credentials through a chain of roles end after an hour")]
    FrozenChain(String),
    /// More than an hour of frozen credentials from a source.
    #[error("frozen credentials from a source end after an hour")]
    FrozenSource(String),
    /// A value breaks a rule.
    #[error("a setting is not valid")]
    Invalid(String, &'static str, Origin),
    /// `source_profile` leads back: the names in a circle, the first one again at the end.
    #[error("source_profile leads back to itself")]
    Loop(Vec<String>, Origin),
    /// `mfa_serial` names a device that cannot be this identity's.
    #[error("mfa_serial contradicts the identity")]
    MfaContradicts(String, &'static str, Origin),
    /// Nothing that credentials could come from.
    #[error("no source of credentials")]
    NoSource(String),
    /// The access key stands in plain text in a file.
    #[error("the access key stands in plain text")]
    PlainText(String, Origin),
    /// No such profile; the nearest names.
    #[error("no such profile")]
    ProfileNotFound(String, Vec<String>),
    /// `credential_source = EcsContainer`, and config.toml does not say where.
    #[error("the source is not configured")]
    SourceNotConfigured(String, Origin),
    /// `source_profile` names a profile that does not exist.
    #[error("source_profile names no profile")]
    SourceNotFound(String, Vec<String>, Origin),
    /// A source that is not served yet.
    #[error("the source is not served")]
    Unsupported(String, &'static str, Origin),
}

impl PlanError {
    /// The same error with the names nearest to one that does not exist. Apart from the plan, since it compares the
    /// name with every other: for a list of all profiles that would take time as their square.
    #[must_use]
    pub fn with_nearest(mut self, profiles: &ProfileSet) -> Self {
        if let Self::ProfileNotFound(name, nearest) | Self::SourceNotFound(name, nearest, _) = &mut self {
            *nearest = profiles.nearest(name, 3).into_iter().map(str::to_owned).collect();
        }
        self
    }
}

/// Plans the credentials of a profile.
pub fn plan(given: &Given<'_>, profile: &str, delivery: Delivery) -> Result<Plan, PlanError> {
    let chain = resolve(given, profile)?;
    refuse_unserved_fips(given, &chain)?;
    let mfa = match &chain.base {
        _ if is_switched_off(&chain)? => Mfa::None,
        Base::AccessKey(access_key) => mfa(given, &chain, access_key)?,
        Base::Source(_) => refuse_serial(&chain).map(|()| Mfa::None)?,
    };
    let access_key = chain.base.access_key();
    let identity = access_key.and_then(|name| given.knowledge.access_keys.get(name)).and_then(Option::as_ref);
    let mut notes = Vec::new();
    let hops: Vec<(&Hop<'_>, RoleSettings)> = chain
        .hops
        .iter()
        .rev()
        .map(|hop| Ok((hop, settings::role(hop.profile, &hop.role, profile, identity)?)))
        .collect::<Result<_, PlanError>>()?;
    let (region, endpoint) = match access_key {
        Some(access_key) => base_endpoint_of(given, access_key)?,
        None => source_endpoint(given, &chain)?,
    };
    let first_role = hops.first().filter(|_| access_key.is_none()).map(|(hop, _)| hop.role.partition());
    // Where the key was stored without its user, its region tells; a source lies where its roles do.
    let partition = identity.map(Arn::partition).or(first_role).unwrap_or(Partition::of_region(&region).id);
    if let Some((_, role)) = hops.iter().find(|(hop, _)| hop.role.partition() != partition) {
        let rule = match first_role {
            None => "the role lies in another partition than the access key",
            Some(_) => "the role lies in another partition than the first one of the chain",
        };
        return Err(PlanError::Conflict(profile.to_owned(), rule, role.origin.clone()));
    }
    let asked = hops.last().and_then(|(_, role)| role.seconds);
    if delivery == Delivery::Frozen && asked.unwrap_or(CHAINED_SECONDS) > CHAINED_SECONDS {
        return frozen(given, &chain, hops, mfa, asked.unwrap_or(CHAINED_SECONDS));
    }
    if delivery == Delivery::Refreshing && asked.is_some_and(|asked| asked != CHAINED_SECONDS) {
        notes
            .push("duration_seconds is not used: role sessions last 1 h and are renewed without a new code".to_owned());
    }
    let (call, seconds) = match access_key {
        Some(_) => (Call::SessionToken, given.session_seconds),
        None => (Call::Source, 0),
    };
    let mut steps = vec![Step { call, seconds, endpoint, with_code: mfa != Mfa::None }];
    let count = hops.len();
    for (number, (hop, role)) in (1..).zip(hops) {
        let endpoint = role_endpoint(given, &chain, hop)?;
        // The roles on the way are shared with the refreshing doors.
        let seconds = match delivery {
            Delivery::Frozen if number == count => asked.unwrap_or(CHAINED_SECONDS),
            Delivery::Frozen | Delivery::Refreshing => CHAINED_SECONDS,
        };
        steps.push(Step { call: Call::AssumeRole(Box::new(role.request)), seconds, endpoint, with_code: false });
    }
    Ok(Plan { profile: profile.to_owned(), base: chain.base, mfa, steps, notes })
}

/// Frozen for longer than an hour: AssumeRole by the access key itself, with a code of its own where the identity
/// has a device. STS allows that for one hop only.
fn frozen(
    given: &Given<'_>,
    chain: &Chain<'_>,
    mut hops: Vec<(&Hop<'_>, RoleSettings)>,
    mfa: Mfa,
    seconds: u32,
) -> Result<Plan, PlanError> {
    let profile = chain.profile.to_owned();
    if chain.base.access_key().is_none() {
        return Err(PlanError::FrozenSource(profile));
    }
    let (Some((hop, role)), true) = (hops.pop(), hops.is_empty()) else {
        return Err(PlanError::FrozenChain(profile));
    };
    let with_code = mfa != Mfa::None;
    let notes = if with_code {
        vec!["spends one code for each use: it cannot share the MFA session and last longer than 1 h".to_owned()]
    } else {
        Vec::new()
    };
    let endpoint = role_endpoint(given, chain, hop)?;
    let steps = vec![Step { call: Call::AssumeRole(Box::new(role.request)), seconds, endpoint, with_code }];
    Ok(Plan { profile, base: chain.base.clone(), mfa, steps, notes })
}

/// Whether the profiles say `claviger_mfa = off`: the one nearest to the one asked for decides.
fn is_switched_off(chain: &Chain<'_>) -> Result<bool, PlanError> {
    let switch = chain.profiles.iter().find_map(|profile| Some((*profile, profile.value("claviger_mfa")?)));
    match switch.map(|(profile, value)| (profile, value, value.text())) {
        None | Some((_, _, "on")) => Ok(false),
        Some((_, _, "off")) => Ok(true),
        Some((profile, value, _)) => {
            let (profile, origin) = (profile.name().to_owned(), value.origin.clone());
            Err(PlanError::Invalid(profile, "claviger_mfa is on or off", origin))
        }
    }
}

/// Which devices. Whichever of the identity's proves, every profile of the identity shares the session, so a serial
/// that is held does not narrow the choice. One the vault does not know is typed; one
/// of another identity is a mistake worth stopping for.
fn mfa(given: &Given<'_>, chain: &Chain<'_>, access_key: &Name) -> Result<Mfa, PlanError> {
    let devices = &given.knowledge.devices;
    let user = |name: &Name| given.knowledge.access_keys.get(name).and_then(Option::as_ref);
    let identity = user(access_key);
    // A user may have two access keys, and has the same devices with both.
    let own = |key: &Name| key == access_key || identity.is_some_and(|arn| user(key) == Some(arn));
    let held: Vec<MfaSerial> =
        devices.iter().filter(|device| own(&device.access_key)).map(|device| device.serial.clone()).collect();
    let mut named = chain.profiles.iter().copied().filter_map(|profile| Some((profile, profile.value("mfa_serial")?)));
    let Some((profile, first)) = named.next() else {
        return Ok(if held.is_empty() { Mfa::None } else { Mfa::Held(held) });
    };
    let contradiction = |profile: &Profile, rule, origin: &Origin| {
        PlanError::MfaContradicts(profile.name().to_owned(), rule, origin.clone())
    };
    if let Some((profile, other)) = named.find(|(_, value)| value.text() != first.text()) {
        return Err(contradiction(
            profile,
            "mfa_serial is another device than a profile above it names",
            &other.origin,
        ));
    }
    let serial: MfaSerial = first.text().parse().map_err(|invalid: claviger::model::aws::Invalid| {
        PlanError::Invalid(profile.name().to_owned(), invalid.0, first.origin.clone())
    })?;
    if held.contains(&serial) {
        return Ok(Mfa::Held(held));
    }
    if devices.iter().any(|device| device.serial == serial) {
        return Err(contradiction(profile, "mfa_serial is the device of another access key's user", &first.origin));
    }
    if let (Some(account), Some(identity)) = (serial.account(), identity.and_then(Arn::account))
        && account != identity
    {
        let rule = "mfa_serial is a device of another account than the access key's";
        return Err(contradiction(profile, rule, &first.origin));
    }
    Ok(Mfa::Typed(serial))
}

/// The endpoint of GetSessionToken depends on the access key alone, never on the profile that asks: so that all
/// profiles of one identity share one MFA session. Its tokens are good in every region of the partition.
pub fn base_endpoint_of(given: &Given<'_>, access_key: &Name) -> Result<(Region, Endpoint), PlanError> {
    let profile = given.profiles.profile(access_key.as_str());
    let identity = given.knowledge.access_keys.get(access_key).and_then(Option::as_ref);
    let serials = given.knowledge.devices.iter().filter(|device| device.access_key == *access_key);
    // A key stored without its user may still have a device whose serial is an ARN.
    let devices = serials.filter_map(|device| device.serial.as_str().parse::<Arn>().ok()).next();
    let partition = identity.or(devices.as_ref()).and_then(|arn| Partition::by_id(arn.partition()));
    let region = match profile.and_then(|profile| Some((profile, profile.value("region")?))) {
        Some((profile, value)) => settings::region(profile, value, partition)?,
        None => default_region(given, partition),
    };
    let endpoint = sts(given, &region, profile)?;
    Ok((region, endpoint))
}

/// Where the credentials of a source are used: as the profiles say, from the one asked for downward.
fn source_endpoint(given: &Given<'_>, chain: &Chain<'_>) -> Result<(Region, Endpoint), PlanError> {
    let partition = chain.hops.last().and_then(|hop| Partition::by_id(hop.role.partition()));
    let region = match chain.profiles.iter().find_map(|profile| Some((*profile, profile.value("region")?))) {
        Some((profile, value)) => settings::region(profile, value, partition)?,
        None => default_region(given, partition),
    };
    let speaks = |profile: &&Profile| !matches!(settings::endpoint(given.profiles, profile, "sts"), Named::Nothing);
    let endpoint = sts(given, &region, chain.profiles.iter().copied().find(speaks))?;
    Ok((region, endpoint))
}

/// The endpoint of an AssumeRole: what the role's own profile says, so that every profile with this source shares the
/// session; else the first that says anything, from the profile asked for downward.
fn role_endpoint(given: &Given<'_>, chain: &Chain<'_>, hop: &Hop<'_>) -> Result<Endpoint, PlanError> {
    let partition = Partition::by_id(hop.role.partition());
    let on_the_way = || std::iter::once(hop.profile).chain(chain.profiles.iter().copied());
    let region = match on_the_way().find_map(|profile| Some((profile, profile.value("region")?))) {
        Some((profile, value)) => settings::region(profile, value, partition)?,
        None => default_region(given, partition),
    };
    let speaks = |profile: &&Profile| !matches!(settings::endpoint(given.profiles, profile, "sts"), Named::Nothing);
    sts(given, &region, on_the_way().find(speaks))
}

/// Whoever asks for FIPS must not get another endpoint in silence; the FIPS one can be named in `endpoint_url`.
fn refuse_unserved_fips(given: &Given<'_>, chain: &Chain<'_>) -> Result<(), PlanError> {
    let wanted = |profile: &&&Profile| {
        let on = |value: &Value| value.text().eq_ignore_ascii_case("true");
        profile.value("use_fips_endpoint").is_some_and(on)
            && !matches!(settings::endpoint(given.profiles, profile, "sts"), Named::Url(_))
    };
    match chain.profiles.iter().find(wanted).and_then(|profile| Some((profile, profile.value("use_fips_endpoint")?))) {
        Some((profile, value)) => {
            let what = "use_fips_endpoint needs the FIPS endpoint in endpoint_url";
            Err(PlanError::Conflict(profile.name().to_owned(), what, value.origin.clone()))
        }
        None => Ok(()),
    }
}

/// The STS endpoint of a region, or the one that the profile names.
pub(super) fn sts(given: &Given<'_>, region: &Region, profile: Option<&Profile>) -> Result<Endpoint, PlanError> {
    let named = profile.map(|profile| (profile, settings::endpoint(given.profiles, profile, "sts")));
    let (over, at) = match named {
        Some((profile, Named::Url(value))) => {
            (Some(value.text()), Some((profile.name().to_owned(), value.origin.clone())))
        }
        _ => (None, None),
    };
    given.endpoints.sts(region, over).map_err(|error| PlanError::Endpoint(error, at))
}

/// The configured region where it lies in the partition, else the partition's own.
fn default_region(given: &Given<'_>, partition: Option<Partition>) -> Region {
    let configured =
        given.region.filter(|region| partition.is_none_or(|partition| Partition::of_region(region).id == partition.id));
    match (configured, partition) {
        (Some(region), _) => region.clone(),
        (None, partition) => partition.unwrap_or_else(Partition::commercial).region(),
    }
}
