//! Access keys: IAM allows a user two.

use super::{Act, IamAccess, time};
use crate::aws::Error;
use crate::aws::call::{Again, AwsEdge};
use crate::world::WallTime;
use claviger::model::{AccessKeyId, Label};
use claviger::secret::{SecretAccessKey, SecretText};

/// Whether AWS takes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// It does.
    Active,
    /// It does not, until it is activated again.
    Inactive,
}

/// A key as AWS lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAtAws {
    /// Its id.
    pub access_key_id: AccessKeyId,
    /// Whether it works.
    pub status: KeyStatus,
    /// When it was made.
    pub created: WallTime,
}

/// A key that AWS has just made. Nobody else has its secret.
pub struct NewAccessKey {
    /// Its id.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    pub secret: SecretAccessKey,
}

/// When and for what a key was last used, as far as AWS has counted: hours late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: WallTime,
    /// Such as `sts`.
    pub service: String,
    /// Such as `eu-central-1`.
    pub region: String,
}

impl AwsEdge {
    /// ListAccessKeys of a user; of the one who signs, without a name.
    pub async fn list_access_keys(&self, access: IamAccess<'_>, user: Option<&str>) -> Result<Vec<KeyAtAws>, Error> {
        let act = || {
            let act = Act::of("iam:ListAccessKeys");
            match user {
                Some(user) => act.with("UserName", user.to_owned()),
                None => act,
            }
        };
        self.iam_list(access, "AccessKeyMetadata", act, |reply, member| {
            let status = match reply.field(member, "Status")? {
                "Active" => KeyStatus::Active,
                // IAM also knows `Expired`: what does not work.
                _ => KeyStatus::Inactive,
            };
            let created = time(reply, member, "CreateDate")?;
            Ok(KeyAtAws { access_key_id: reply.noun(member, "AccessKeyId")?, status, created })
        })
        .await
    }

    /// CreateAccessKey. Where the answer is lost, the key stands at AWS and nobody has its secret.
    pub async fn create_access_key(&self, access: IamAccess<'_>, user: &str) -> Result<NewAccessKey, Error> {
        let act = Act::of("iam:CreateAccessKey").with("UserName", user);
        let reply = self.iam(access, act.again(Again::IfNotDone)).await?;
        let key = reply.result()?.child("AccessKey").ok_or_else(|| reply.bad("it has no key"))?;
        let secret = reply.field(key, "SecretAccessKey")?;
        if !secret.chars().all(|c| c.is_ascii_graphic()) {
            return Err(reply.bad("a secret does not have AWS's form"));
        }
        Ok(NewAccessKey {
            access_key_id: reply.noun(key, "AccessKeyId")?,
            secret: SecretAccessKey::from_text(secret.to_owned()),
        })
    }

    /// UpdateAccessKey: activates a key, or the reverse.
    pub async fn update_access_key(
        &self,
        access: IamAccess<'_>,
        user: &str,
        key: &AccessKeyId,
        status: KeyStatus,
    ) -> Result<(), Error> {
        let status = match status {
            KeyStatus::Active => "Active",
            KeyStatus::Inactive => "Inactive",
        };
        let act = Act::of("iam:UpdateAccessKey").with("UserName", user).with("AccessKeyId", key.as_str());
        self.iam(access, act.with("Status", status)).await.map(drop)
    }

    /// DeleteAccessKey.
    pub async fn delete_access_key(&self, access: IamAccess<'_>, user: &str, key: &AccessKeyId) -> Result<(), Error> {
        let act = Act::of("iam:DeleteAccessKey").with("UserName", user).with("AccessKeyId", key.as_str());
        self.iam(access, act).await.map(drop)
    }

    /// GetAccessKeyLastUsed; None where AWS knows of no use.
    pub async fn access_key_last_used(
        &self,
        access: IamAccess<'_>,
        key: &AccessKeyId,
    ) -> Result<Option<LastUse>, Error> {
        let act = Act::of("iam:GetAccessKeyLastUsed").with("AccessKeyId", key.as_str());
        let reply = self.iam(access, act).await?;
        let used = reply.result()?.child("AccessKeyLastUsed").ok_or_else(|| reply.bad("it has no last use"))?;
        if used.text("LastUsedDate").is_none() {
            return Ok(None);
        }
        let text = |name| reply.field(used, name).map(|text| Label(text).to_string());
        let at = time(&reply, used, "LastUsedDate")?;
        Ok(Some(LastUse { at, service: text("ServiceName")?, region: text("Region")? }))
    }
}
