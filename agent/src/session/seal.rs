//! A session as the state file holds it: JSON, sealed by the vault room, spelled out field by field.

use super::base::hand_out_millis;
use super::cache::{HAND_OUT_MILLIS, Session};
use crate::world::{BootTime, WallTime};
use claviger::model::{AccessKeyId, AccountId, Name};
use claviger::secret::{SecretAccessKey, SecretText, SessionToken};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A sealed session that ends sooner than this is not brought back.
const WORTH_KEEPING_MILLIS: i64 = 60_000;

#[derive(Serialize)]
struct Written<'a> {
    access_key_id: &'a AccessKeyId,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration_millis: i64,
    principal: &'a str,
    account: Option<&'a AccountId>,
    access_key: Option<&'a Name>,
    boot: Option<&'a str>,
    ends_millis: u64,
}

#[derive(Deserialize)]
struct Read {
    access_key_id: AccessKeyId,
    #[serde(with = "claviger::secret::text")]
    secret_access_key: SecretAccessKey,
    #[serde(with = "claviger::secret::text")]
    session_token: SessionToken,
    expiration_millis: i64,
    principal: String,
    account: Option<AccountId>,
    access_key: Option<Name>,
    boot: Option<String>,
    ends_millis: Option<u64>,
}

/// What a sealed session is worth.
pub(super) enum Sealed {
    /// It has ended, or is of another form.
    Ended,
    /// It lives, its end put on this boot's clock.
    Lives(Session),
    /// Only AWS's clock can say. Never handed out as it is: its end here is the beginning of the boot.
    Unjudged(Session),
}

/// The bytes to seal; None where they cannot be written, which loses nothing but a code after a restart, and for
/// long-lived keys of a command, which are its to keep.
pub(super) fn write(session: &Session, boot: Option<&str>) -> Option<Zeroizing<Vec<u8>>> {
    if session.is_long_lived() {
        return None;
    }
    let written = Written {
        access_key_id: &session.access_key_id,
        secret_access_key: session.secret.expose(),
        session_token: session.token.expose(),
        expiration_millis: session.expiration.0,
        principal: &session.principal,
        account: session.account.as_ref(),
        access_key: session.access_key.as_ref(),
        boot,
        ends_millis: session.ends.0,
    };
    serde_json::to_vec(&written).ok().map(Zeroizing::new)
}

/// The session again. Its time is judged by AWS's clock where that is known, else by the boot clock if it is still the
/// same one: what a machine believes about the wall clock after its start is nothing to go by.
pub(super) fn read(bytes: &[u8], aws_now: Option<WallTime>, now: BootTime, boot: Option<&str>) -> Sealed {
    let Ok(read) = serde_json::from_slice::<Read>(bytes) else { return Sealed::Ended };
    let same_boot = boot.is_some() && read.boot.as_deref() == boot;
    let left = match (aws_now, read.ends_millis) {
        (Some(aws_now), _) => Some(read.expiration_millis.saturating_sub(aws_now.0)),
        (None, Some(ends)) if same_boot => Some(i64::try_from(BootTime(ends).millis_since(now)).unwrap_or(i64::MAX)),
        _ => None,
    };
    let session = |left: u64, ends: BootTime| Session {
        hand_out_millis: read.access_key.as_ref().map_or_else(|| hand_out_millis(left), |_| HAND_OUT_MILLIS),
        access_key_id: read.access_key_id,
        secret: read.secret_access_key,
        token: read.session_token,
        expiration: WallTime(read.expiration_millis),
        ends,
        principal: read.principal,
        account: read.account,
        access_key: read.access_key,
        request_id: None,
        proof: None,
    };
    match left {
        None => Sealed::Unjudged(session(0, BootTime(0))),
        Some(left) if left > WORTH_KEEPING_MILLIS => {
            let left = left.unsigned_abs();
            Sealed::Lives(session(left, now.plus_millis(left)))
        }
        Some(_) => Sealed::Ended,
    }
}

#[cfg(test)]
mod tests {
    use super::{Sealed, read, write};
    use crate::testing::parsers::{Parser, Verdict};
    use crate::world::{BootTime, WallTime};

    /// 2026-11-22T00:00:00Z.
    const NOW: WallTime = WallTime(1_795_305_600_000);

    #[test]
    fn a_sealed_session_withstands_damage() {
        let parser = Parser {
            name: "sealed-session",
            more: Vec::new(),
            tokens: &[
                b"{",
                b"}",
                b"\"",
                b",",
                b":",
                b"null",
                b"\"expiration_millis\":",
                b"\"account\":null",
                b"[]",
                b"\\u0000",
            ],
            taken: 40,
            refusals: &["none"],
            parse: &|input| match read(input, Some(NOW), BootTime(1000), None) {
                Sealed::Lives(session) => {
                    assert!(session.left(BootTime(1000)) > 60_000 && session.expiration > NOW);
                    if let Some(written) = write(&session, None) {
                        let Sealed::Lives(again) = read(&written, Some(NOW), BootTime(1000), None) else {
                            panic!("what was written has another meaning");
                        };
                        assert!(write(&again, None).expect("written") == written, "a second meaning");
                    }
                    Verdict::Accepted
                }
                Sealed::Ended | Sealed::Unjudged(_) => Verdict::none("none"),
            },
        };
        parser.withstands_damage();
    }
}
