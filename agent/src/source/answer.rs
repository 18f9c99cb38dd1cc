//! The JSON forms of credentials, read strictly. Pure.

use super::error::{Error, Kind};
use super::{Error as SourceError, SourceCredentials};
use crate::world::WallTime;
use aws_smithy_types::date_time::{DateTime, Format};
use claviger::model::{AccessKeyId, AccountId, Label};
use claviger::secret::{SecretAccessKey, SecretText, SessionToken, text};
use serde::Deserialize;

/// The most characters of a principal: an ARN with a long path.
const PRINCIPAL_LIMIT: usize = 256;

/// What a `credential_process` prints (AWS SDKs reference, process credential provider).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u64,
    access_key_id: AccessKeyId,
    #[serde(with = "text")]
    secret_access_key: SecretAccessKey,
    #[serde(with = "text::option", default)]
    session_token: Option<SessionToken>,
    expiration: Option<String>,
    account_id: Option<AccountId>,
}

/// What the container endpoint and the instance metadata service answer: always a session.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered {
    code: Option<String>,
    access_key_id: AccessKeyId,
    #[serde(with = "text")]
    secret_access_key: SecretAccessKey,
    #[serde(with = "text")]
    token: SessionToken,
    expiration: String,
    account_id: Option<AccountId>,
    role_arn: Option<String>,
}

/// Reads what a command printed: one JSON object and nothing else.
pub(super) fn printed(bytes: &[u8]) -> Result<SourceCredentials, Error> {
    let bad = |rule| Error::BadAnswer(Kind::Process, rule);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(bad("it printed nothing"));
    }
    let printed: Printed = serde_json::from_slice(bytes).map_err(|_| {
        bad("it prints one JSON object with Version, AccessKeyId, SecretAccessKey and, of a session, SessionToken")
    })?;
    if printed.version != 1 {
        return Err(bad("its Version is not 1"));
    }
    let token = printed.session_token.filter(|token| !token.expose().is_empty());
    if !plain(printed.secret_access_key.expose()) || token.as_ref().is_some_and(|token| !plain(token.expose())) {
        return Err(bad("its secret or token is empty or has a space or control character"));
    }
    let expiration = printed.expiration.filter(|text| !text.is_empty());
    let expiration = expiration.map(|text| time(&text).ok_or_else(|| bad("its Expiration is not RFC 3339")));
    let account = printed.account_id;
    Ok(SourceCredentials {
        principal: account.as_ref().map_or_else(
            || "credential_process".to_owned(),
            |account| format!("credential_process in account {account}"),
        ),
        access_key_id: printed.access_key_id,
        secret: printed.secret_access_key,
        token,
        expiration: expiration.transpose()?,
        account,
    })
}

/// Reads what an endpoint answered with status 200.
pub(super) fn answered(kind: Kind, bytes: &[u8], otherwise: &str) -> Result<SourceCredentials, SourceError> {
    let bad = |rule| Error::BadAnswer(kind, rule);
    let rule = "it answers a JSON object with AccessKeyId, SecretAccessKey, Token and Expiration";
    let answered: Answered = serde_json::from_slice(bytes).map_err(|_| bad(rule))?;
    if answered.code.is_some_and(|code| code != "Success") {
        return Err(bad("its Code is not Success"));
    }
    if !plain(answered.secret_access_key.expose()) || !plain(answered.token.expose()) {
        return Err(bad("its secret or token is empty or has a space or control character"));
    }
    let role = answered.role_arn.filter(|role| !role.is_empty());
    let principal = Label(role.as_deref().unwrap_or(otherwise)).to_string();
    Ok(SourceCredentials {
        access_key_id: answered.access_key_id,
        secret: answered.secret_access_key,
        token: Some(answered.token),
        expiration: Some(time(&answered.expiration).ok_or_else(|| bad("its Expiration is not RFC 3339"))?),
        account: answered.account_id,
        principal: principal.chars().take(PRINCIPAL_LIMIT).collect(),
    })
}

/// Fit for a header, as the next call sends it.
fn plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn time(text: &str) -> Option<WallTime> {
    let time = DateTime::from_str(text, Format::DateTimeWithOffset).ok()?;
    time.to_millis().ok().map(WallTime)
}

#[cfg(test)]
mod tests {
    use super::{Kind, answered, printed};
    use crate::world::WallTime;
    use claviger::secret::SecretText;

    const KEYS: &str = r#""AccessKeyId":"ASIAEXAMPLE000000001","SecretAccessKey":"secret""#;

    fn refused(json: &str) -> String {
        printed(json.as_bytes()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_command_prints_a_session_or_long_lived_keys() {
        let session = format!(
            "\n{{\"Version\":1,{KEYS},\"SessionToken\":\"t\",\"Expiration\":\"2026-11-22T01:00:00.5+01:00\",\"AccountId\":\"123456789012\",\"New\":[]}}\n"
        );
        let session = printed(session.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(session.token.map(|token| token.expose().to_owned()).as_deref(), Some("t"));
        assert_eq!(session.expiration, Some(WallTime(1_795_305_600_500)));
        assert_eq!(session.principal, "credential_process in account 123456789012");
        for end in ["", ",\"SessionToken\":\"\",\"Expiration\":\"\"", ",\"SessionToken\":null,\"Expiration\":null"] {
            let keys =
                printed(format!("{{\"Version\":1,{KEYS}{end}}}").as_bytes()).unwrap_or_else(|error| panic!("{error}"));
            assert!(keys.token.is_none() && keys.expiration.is_none());
        }
    }

    #[test]
    fn anything_else_is_refused_and_never_repeated() {
        let canary = "canary";
        for json in [
            String::new(),
            " \n".to_owned(),
            canary.to_owned(),
            format!("{{\"Version\":1,{KEYS}}} {canary}"),
            format!("log line\n{{\"Version\":1,{KEYS}}}"),
            format!("{{\"Version\":1,{KEYS}}}{{\"Version\":1,{KEYS}}}"),
            format!("{{\"Version\":2,{KEYS}}}"),
            format!("{{\"Version\":\"1\",{KEYS}}}"),
            format!("{{{KEYS}}}"),
            "{\"Version\":1,\"AccessKeyId\":\"canary!\",\"SecretAccessKey\":\"canary\"}".to_owned(),
            "{\"Version\":1,\"AccessKeyId\":\"ASIAEXAMPLE000000001\",\"SecretAccessKey\":\"\"}".to_owned(),
            "{\"Version\":1,\"AccessKeyId\":\"ASIAEXAMPLE000000001\",\"SecretAccessKey\":\"canary\\ncanary\"}"
                .to_owned(),
            format!("{{\"Version\":1,{KEYS},\"AccessKeyId\":\"ASIAEXAMPLE000000002\"}}"),
            format!("{{\"Version\":1,{KEYS},\"Expiration\":\"{canary}\"}}"),
            format!("{{\"Version\":1,{KEYS},\"Expiration\":\"2026-11-22\"}}"),
            format!("{{\"Version\":1,{KEYS},\"Expiration\":1795305600}}"),
            format!("{{\"version\":1,{KEYS}}}"),
        ] {
            let said = refused(&json);
            assert!(said.starts_with("the credential_process gave no credentials: "), "{json}: {said}");
            assert!(!said.contains(canary), "{said}");
        }
    }

    #[test]
    fn an_endpoint_answers_a_session_with_an_end() {
        let body = |extra: &str| format!("{{{KEYS},\"Token\":\"t\",\"Expiration\":\"2026-11-22T00:00:00Z\"{extra}}}");
        let read = |body: &str| answered(Kind::InstanceMetadata, body.as_bytes(), "role x");
        let given = read(&body(",\"Code\":\"Success\"")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((given.principal.as_str(), given.expiration), ("role x", Some(WallTime(1_795_305_600_000))));
        let given = read(&body(",\"RoleArn\":\"arn:aws:iam::123456789012:role/task\""))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(given.principal, "arn:aws:iam::123456789012:role/task");
        for wrong in [
            body(",\"Code\":\"AssumeRoleUnauthorizedAccess\""),
            body(",\"Token\":\"u\""),
            format!("{{{KEYS},\"Expiration\":\"2026-11-22T00:00:00Z\"}}"),
            format!("{{{KEYS},\"Token\":\"t\"}}"),
            format!("{{{KEYS},\"Token\":\"\",\"Expiration\":\"2026-11-22T00:00:00Z\"}}"),
            "<html>".to_owned(),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
