//! The variables of a child: which of those it would inherit have to go, and which it gets.

use crate::model::Region;
use crate::secret::SecretText;
use crate::wire::Credentials;
use std::ffi::OsStr;
use zeroize::Zeroizing;

/// The profile whose credentials a child has, for prompts and for claviger itself.
pub(super) const PROFILE: &str = "CLAVIGER_PROFILE";

/// What every form of `env` may set, and so what its `--unset` takes away.
pub(super) const FROZEN: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ACCOUNT_ID",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    PROFILE,
];

/// A variable to set. The value may be a secret.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) value: Zeroizing<String>,
}

impl Variable {
    pub(super) fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: Zeroizing::new(value.into()) }
    }
}

/// Whether an inherited variable could win over what a child is given, or mislead it about who it is.
/// Regions, endpoints, proxies and the names of the AWS files are no credentials and stay.
pub(super) fn is_stale(name: &OsStr) -> bool {
    const NAMES: [&str; 17] = [
        // Which profile, and so whose credentials.
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        // Credentials, by today's names and by those of older SDKs and tools.
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_CREDENTIAL_FILE",
        // What is said about them.
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_SESSION_EXPIRATION",
        "AWS_ACCOUNT_ID",
        "AWS_VAULT",
        PROFILE,
        // A role by OIDC token (EKS, CI).
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ];
    // Endpoints of others, and API keys that win over credentials.
    const PREFIXES: [&str; 3] = ["AWS_CONTAINER_", "AWS_EC2_METADATA_", "AWS_BEARER_TOKEN_"];
    let name = name.as_encoded_bytes();
    NAMES.iter().any(|stale| name == stale.as_bytes())
        || PREFIXES.iter().any(|start| name.starts_with(start.as_bytes()))
}

/// The variables of an STS session (AWS SDKs and Tools Reference Guide, environment variables).
pub(super) fn frozen(credentials: &Credentials) -> Vec<Variable> {
    let mut variables = vec![
        Variable::new("AWS_ACCESS_KEY_ID", credentials.access_key_id.as_str()),
        Variable::new("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.expose()),
        Variable::new("AWS_SESSION_TOKEN", credentials.session_token.expose()),
        Variable::new("AWS_CREDENTIAL_EXPIRATION", credentials.expiration.as_str()),
    ];
    variables.extend(credentials.account_id.as_ref().map(|account| Variable::new("AWS_ACCOUNT_ID", account.as_str())));
    variables
}

/// The region, under the names of all SDKs; nothing where none is known, so that the user's own stays.
pub(super) fn region(region: Option<&Region>) -> Vec<Variable> {
    let names = region.map(|_| ["AWS_REGION", "AWS_DEFAULT_REGION"]).into_iter().flatten();
    names
        .zip(std::iter::repeat(region))
        .filter_map(|(name, region)| Some(Variable::new(name, region?.as_str())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_stale;
    use std::ffi::OsStr;

    #[test]
    fn what_could_win_goes_and_the_rest_stays() {
        for name in
            ["AWS_PROFILE", "AWS_SECURITY_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_EC2_METADATA_DISABLED"]
        {
            assert!(is_stale(OsStr::new(name)), "{name}");
        }
        for name in [
            "AWS_REGION",
            "AWS_CONFIG_FILE",
            "AWS_SDK_LOAD_CONFIG",
            "AWS_ENDPOINT_URL",
            "AWS_CA_BUNDLE",
            "aws_profile",
            "AWS_PROFILES",
            "PATH",
        ] {
            assert!(!is_stale(OsStr::new(name)), "{name}");
        }
    }
}
