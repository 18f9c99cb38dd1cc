//! Which of a profile's settings an AWS tool would take credentials from. Pure.
//!
//! The orders are those of the tools' own sources: botocore `credentials.py` (AWS CLI, boto3), Go v2
//! `config/resolve_credentials.go`, Java v2 `ProfileCredentialsUtils`, JavaScript v3 `resolveProfileData`, Rust
//! `aws-config/profile/credentials/repr.rs`; see also the AWS SDKs and Tools Reference Guide, "Standardized credential
//! providers".

use crate::aws::profile::{Origin, Profile};
use std::collections::BTreeSet;
use std::path::Path;

/// A family of tools with one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// AWS CLI, boto3, and what is built on them.
    Botocore,
    /// SDK for Go v2: terraform, rclone, kubectl helpers.
    Go,
    /// SDK for Java v2.
    Java,
    /// SDK for JavaScript v3: CDK, serverless.
    JavaScript,
    /// SDK for Rust.
    Rust,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Botocore, Self::Go, Self::Java, Self::JavaScript, Self::Rust];

    /// As people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Botocore => "botocore",
            Self::Go => "Go",
            Self::Java => "Java",
            Self::JavaScript => "JavaScript",
            Self::Rust => "Rust",
        }
    }
}

/// Where credentials may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// `credential_process`.
    Process,
    /// `role_arn` with `source_profile` or `credential_source`.
    Role,
    /// `credential_source` without a role.
    Source,
    /// `aws_access_key_id` in a file.
    Static,
    /// `sso_session` or `sso_start_url`.
    Sso,
    /// `login_session`.
    Login,
    /// `web_identity_token_file` with `role_arn`.
    WebIdentity,
    /// `AWS_ACCESS_KEY_ID` in the environment.
    Environment,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` in the environment.
    EnvironmentWebIdentity,
    /// `AWS_CONTAINER_CREDENTIALS_*` in the environment.
    Container,
    /// The metadata service of an instance.
    Instance,
}

/// What wins, and where it stands.
pub struct Verdict {
    /// Which provider.
    pub provider: Provider,
    /// The setting, or the variable.
    pub setting: &'static str,
    /// Its place, where it is a setting.
    pub origin: Option<Origin>,
}

/// What a tool sees: the profile in the AWS files, the names of the variables that are set, the credentials file.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The profile, if the AWS files have it.
    pub profile: Option<&'a Profile>,
    /// Names of environment variables that are set.
    pub variables: &'a BTreeSet<String>,
    /// The credentials file.
    pub credentials_file: &'a Path,
}

/// The provider this family takes. Where nothing else is there, the instance's metadata service.
pub fn winner(family: Family, sight: Sight<'_>) -> Verdict {
    use Provider::{
        Container, Environment, EnvironmentWebIdentity, Instance, Login, Process, Role, Source, Sso, Static,
        WebIdentity,
    };
    /// `Static` twice with botocore: the credentials file early, the config file late.
    const BOTOCORE: &[Provider] =
        &[Environment, Role, WebIdentity, EnvironmentWebIdentity, Sso, Static, Login, Process, Static, Container];
    const GO: &[Provider] =
        &[Environment, EnvironmentWebIdentity, Role, Static, Source, WebIdentity, Sso, Login, Process, Container];
    const JAVA: &[Provider] =
        &[Environment, EnvironmentWebIdentity, WebIdentity, Sso, Role, Login, Process, Static, Container];
    const JAVASCRIPT: &[Provider] =
        &[Environment, Role, Static, WebIdentity, Process, Sso, Login, EnvironmentWebIdentity, Container];
    const RUST: &[Provider] =
        &[Environment, Role, Source, WebIdentity, Sso, Login, Process, Static, EnvironmentWebIdentity, Container];
    let order = match family {
        Family::Botocore => BOTOCORE,
        Family::Go => GO,
        Family::Java => JAVA,
        Family::JavaScript => JAVASCRIPT,
        Family::Rust => RUST,
    };
    let late = |place: usize| family != Family::Botocore || place > 6;
    let found = order.iter().enumerate().find_map(|(place, provider)| sight.find(family, *provider, late(place)));
    found.unwrap_or(Verdict { provider: Instance, setting: "the metadata service", origin: None })
}

impl Sight<'_> {
    fn find(self, family: Family, provider: Provider, also_config: bool) -> Option<Verdict> {
        let setting = |key: &'static str| Some((key, self.profile?.value(key)?.origin.clone()));
        let variable = |name: &'static str| self.variables.contains(name).then_some((name, None));
        let placed = |found: (&'static str, Origin)| (found.0, Some(found.1));
        let (setting, origin) = match provider {
            Provider::Process => setting("credential_process").map(placed),
            Provider::Role => {
                setting("source_profile").or_else(|| setting("credential_source"))?;
                setting("role_arn").map(placed)
            }
            Provider::Source => setting("credential_source").map(placed),
            Provider::Static => setting("aws_access_key_id")
                .filter(|(_, origin)| also_config || *origin.file == *self.credentials_file)
                .map(placed),
            Provider::Sso => setting("sso_session").or_else(|| setting("sso_start_url")).map(placed),
            Provider::Login => setting("login_session").map(placed),
            Provider::WebIdentity => setting("role_arn").and(setting("web_identity_token_file")).map(placed),
            // With a profile named in the environment the JavaScript SDK passes the keys over.
            Provider::Environment if family == Family::JavaScript && self.variables.contains("AWS_PROFILE") => None,
            Provider::Environment => variable("AWS_SECRET_ACCESS_KEY").and(variable("AWS_ACCESS_KEY_ID")),
            Provider::EnvironmentWebIdentity => variable("AWS_ROLE_ARN").and(variable("AWS_WEB_IDENTITY_TOKEN_FILE")),
            Provider::Container => variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
                .or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")),
            Provider::Instance => None,
        }?;
        Some(Verdict { provider, setting, origin })
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, Provider, Sight, winner};
    use crate::aws::profile::{ProfileSet, Role, SourceFile};
    use std::path::Path;

    fn winners(config: &str, credentials: &str, variables: &[&str]) -> [Provider; 5] {
        let file = |path, role, text| SourceFile { path: Path::new(path).into(), role, text };
        let files = [file("/config", Role::Config, config), file("/credentials", Role::Credentials, credentials)];
        let set = ProfileSet::load(&files).expect("a set");
        let variables = variables.iter().map(|name| (*name).to_owned()).collect();
        let sight =
            Sight { profile: set.profile("p"), variables: &variables, credentials_file: Path::new("/credentials") };
        Family::ALL.map(|family| winner(family, sight).provider)
    }

    const PROCESS: &str = "[profile p]\ncredential_process = claviger process p\n";

    #[test]
    fn credential_process_alone_wins_everywhere() {
        assert_eq!(winners(PROCESS, "", &[]), [Provider::Process; 5]);
    }

    #[test]
    fn a_role_or_sso_beside_it_wins_where_the_tool_says_so() {
        use Provider::{Process, Role, Sso};
        let role = format!("{PROCESS}role_arn = r\nsource_profile = x\n");
        assert_eq!(winners(&role, "", &[]), [Role; 5]);
        let sso = format!("{PROCESS}sso_session = s\n");
        assert_eq!(winners(&sso, "", &[]), [Sso, Sso, Sso, Process, Sso]);
    }

    #[test]
    fn keys_in_a_file_win_by_file_and_tool() {
        use Provider::{Process, Static};
        let keys = "[p]\naws_access_key_id = A\naws_secret_access_key = B\n";
        assert_eq!(winners(PROCESS, keys, &[]), [Static, Static, Process, Static, Process]);
        let in_config = format!("{PROCESS}aws_access_key_id = A\naws_secret_access_key = B\n");
        assert_eq!(winners(&in_config, "", &[]), [Process, Static, Process, Static, Process]);
    }

    #[test]
    fn the_environment_wins_but_with_a_profile_not_in_javascript() {
        use Provider::{Environment, Instance, Process};
        let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        assert_eq!(winners(PROCESS, "", &keys), [Environment; 5]);
        let with_profile = [&keys[..], &["AWS_PROFILE"]].concat();
        let expected = [Environment, Environment, Environment, Process, Environment];
        assert_eq!(winners(PROCESS, "", &with_profile), expected);
        assert_eq!(winners("", "", &[]), [Instance; 5]);
        assert_eq!(winners("", "", &["AWS_CONTAINER_CREDENTIALS_FULL_URI"]), [Provider::Container; 5]);
    }
}
