//! A profile without credentials, for the children of `exec`.
//!
//! In every SDK the container endpoint and the instance metadata service come after the AWS files: keys, a role or a
//! `credential_process` of `[default]` would win in silence. So the child is given another profile by name, one that has the
//! profile's settings and no credentials, in a file that takes the place of the shared credentials file. The config file stays
//! the user's own. Decision record 0009.

use crate::paths::{Paths, SOCKET};
use crate::wire::{Code, Fault, Setting};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The name of the profile.
pub(super) const PROFILE: &str = "claviger-exec";

/// The folder of the files, in the run folder.
const FOLDER: &str = "exec";

/// Settings that say nothing of credentials (AWS SDKs and Tools Reference Guide; AWS CLI user guide, configuration file). What is
/// not on the list is left out: a new kind of credentials must not win.
const SETTINGS: [&str; 27] = [
    "account_id_endpoint_mode",
    "api_versions",
    "auth_scheme_preference",
    "ca_bundle",
    "cloudfront",
    "defaults_mode",
    "disable_request_compression",
    "dynamodb",
    "endpoint_discovery_enabled",
    "endpoint_url",
    "ignore_configured_endpoint_urls",
    "max_attempts",
    "output",
    "parameter_validation",
    "region",
    "request_checksum_calculation",
    "request_min_compression_size_bytes",
    "response_checksum_validation",
    "retry_mode",
    "s3",
    "sdk_ua_app_id",
    "services",
    "sigv4a_signing_region_set",
    "sts_regional_endpoints",
    "tcp_keepalive",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
];

/// Settings of a family that say nothing of credentials either.
const FAMILIES: [&str; 2] = ["cli_", "s3_"];

/// Writes the file for a profile with these settings beside the agent's socket, and says where it is. Each profile has one file,
/// which holds no secret.
pub(super) fn write(paths: &Paths, profile: &str, settings: &[Setting]) -> Result<PathBuf, Fault> {
    let failed = |_| Fault::new(Code::AgentRuntimeFolder, "the stand-in for the credentials file cannot be written");
    let run = paths.run.iter().find(|folder| folder.join(SOCKET).exists());
    let folder = run.ok_or_else(|| failed(ErrorKind::NotFound.into()))?.join(FOLDER);
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(failed)?;
    let path = folder.join(file_name(profile));
    let text = text(settings);
    // What another exec of the profile has written stands.
    if fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(path);
    }
    // In place of the old one at once: a child may be reading it. Read-only, so that no tool stores keys in it.
    let fresh = folder.join(format!(".{}.{}", file_name(profile), std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&fresh, &path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.map(|()| path).map_err(failed)
}

/// Whether a value of AWS_SHARED_CREDENTIALS_FILE is a file of ours, inherited from an `exec` around this one.
pub(super) fn is_ours(paths: &Paths, file: &OsStr) -> bool {
    Path::new(file).parent().is_some_and(|folder| paths.run.iter().any(|run| run.join(FOLDER) == folder))
}

fn text(settings: &[Setting]) -> String {
    let mut text = format!(
        "# Made by claviger exec in place of the shared credentials file, so that the endpoint is asked.\n[{PROFILE}]\n"
    );
    for Setting { key, value, .. } in settings {
        let known = SETTINGS.contains(&key.as_str()) || FAMILIES.iter().any(|family| key.starts_with(family));
        let control = value.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
        if known && !control {
            let _ = writeln!(text, "{key} = {}", value.replace('\n', "\n  "));
        }
    }
    text
}

/// One file name for each profile: all but letters, digits, dash and underscore as hexadecimal.
fn file_name(profile: &str) -> String {
    let mut name = String::new();
    for byte in profile.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(byte.into());
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    name + ".ini"
}

#[cfg(test)]
mod tests {
    use super::{file_name, text};
    use crate::wire::Setting;

    #[test]
    fn settings_are_kept_and_credentials_are_not() {
        let setting = |key: &str, value: &str| Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            origin: "/home/ada/.aws/config:7".to_owned(),
        };
        let settings = [
            setting("region", "eu-central-1"),
            setting("role_arn", "arn:aws:iam::123456789012:role/prod"),
            setting("credential_process", "x"),
            setting("sso_session", "x"),
            setting("aws_access_key_id", "AKIA"),
            setting("cli_pager", ""),
            setting("s3", "\nmax_concurrent_requests = 3\naddressing_style = path"),
            setting("output", "a\rb"),
            setting("of_tomorrow", "x"),
        ];
        insta::assert_snapshot!(text(&settings), @"
        # Made by claviger exec in place of the shared credentials file, so that the endpoint is asked.
        [claviger-exec]
        region = eu-central-1
        cli_pager = 
        s3 = 
          max_concurrent_requests = 3
          addressing_style = path
        ");
    }

    #[test]
    fn each_profile_has_a_file_name_of_its_own() {
        for (profile, name) in
            [("prod-1_a", "prod-1_a.ini"), ("a/../b", "a%2f%2e%2e%2fb.ini"), ("é%", "%c3%a9%25.ini"), ("", ".ini")]
        {
            assert_eq!(file_name(profile), name);
        }
    }
}
