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
}

/// The bytes to seal; None where they cannot be written, which loses nothing but a code after a restart, and for
/// long-lived keys of a command, which are its to keep.
pub(super) fn write(session: &Session) -> Option<Zeroizing<Vec<u8>>> {
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
    };
    serde_json::to_vec(&written).ok().map(Zeroizing::new)
}

/// The session again, its end put on this boot's clock; None where it has ended or cannot be read.
pub(super) fn read(bytes: &[u8], corrected_now: WallTime, boot: BootTime) -> Option<Session> {
    let read: Read = serde_json::from_slice(bytes).ok()?;
    let left = read.expiration_millis.checked_sub(corrected_now.0).filter(|left| *left > WORTH_KEEPING_MILLIS)?;
    let left = left.unsigned_abs();
    Some(Session {
        hand_out_millis: read.access_key.as_ref().map_or_else(|| hand_out_millis(left), |_| HAND_OUT_MILLIS),
        access_key_id: read.access_key_id,
        secret: read.secret_access_key,
        token: read.session_token,
        expiration: WallTime(read.expiration_millis),
        ends: boot.plus_millis(left),
        principal: read.principal,
        account: read.account,
        access_key: read.access_key,
        request_id: None,
        proof: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{read, write};
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
            parse: &|input| match read(input, NOW, BootTime(1000)) {
                Some(session) => {
                    assert!(session.left(BootTime(1000)) > 60_000 && session.expiration > NOW);
                    if let Some(written) = write(&session) {
                        let again = read(&written, NOW, BootTime(1000)).expect("what was written");
                        assert!(write(&again).expect("written") == written, "a second meaning");
                    }
                    Verdict::Accepted
                }
                None => Verdict::none("none"),
            },
        };
        parser.withstands_damage();
    }
}
