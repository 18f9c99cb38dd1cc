//! Key pairs: names for public keys, of one region each; and the Windows passwords that EC2 has encrypted to them.

use super::{Act, Ec2Access, Tags, items, tags};
use crate::aws::Error;
use crate::aws::call::{Again, AwsEdge};
use crate::aws::query::Reply;
use crate::aws::xml::Element;
use crate::world::WallTime;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use claviger::model::{InstanceId, KeyPairName, Label};
use claviger::secret::{SecretText, SshKeyFile};
use data_encoding::BASE64;

/// What EC2 makes and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPairType {
    /// Ed25519.
    Ed25519,
    /// RSA; of 2048 bits where EC2 makes it.
    Rsa,
}

impl KeyPairType {
    /// As EC2 has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
        }
    }
}

/// A key pair as EC2 lists it: the public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// Its id, such as `key-0123456789abcdef0`.
    pub id: String,
    /// Its name, as EC2 has it: older ones hold more than [`KeyPairName`] allows.
    pub name: String,
    /// What it is, where EC2 says.
    pub kind: Option<KeyPairType>,
    /// Its fingerprint, in the form that its type and its origin have.
    pub fingerprint: String,
    /// The line of its public key, where EC2 gives it.
    pub public: Option<String>,
    /// When it was made, where EC2 says.
    pub created: Option<WallTime>,
    /// Its tags.
    pub tags: Tags,
}

/// A pair that EC2 has just made. Nobody else has its private half.
pub struct CreatedKeyPair {
    /// Its id.
    pub id: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The private key in PEM: RSA as PKCS#1, Ed25519 as OpenSSH has it.
    pub material: SshKeyFile,
}

impl AwsEdge {
    /// CreateKeyPair. Where the answer is lost, the pair stands at AWS and nobody has its private half.
    pub async fn create_key_pair(
        &self,
        access: Ec2Access<'_>,
        (name, kind): (&KeyPairName, KeyPairType),
        tags: &Tags,
    ) -> Result<CreatedKeyPair, Error> {
        let act = Act::of("ec2:CreateKeyPair").with("KeyName", name.as_str()).with("KeyType", kind.name());
        let act = act.with("KeyFormat", "pem").with_tags("key-pair", tags).again(Again::IfNotDone);
        let reply = self.ec2(access, act).await?;
        let (id, fingerprint) = named(&reply, reply.root())?;
        let material = SshKeyFile::from_text(reply.field(reply.root(), "keyMaterial")?.to_owned());
        Ok(CreatedKeyPair { id, fingerprint, material })
    }

    /// ImportKeyPair, of the line of a public key: the id of the pair. Done a second time it is refused as
    /// `InvalidKeyPair.Duplicate`: whoever asks looks what stands there.
    pub async fn import_key_pair(
        &self,
        access: Ec2Access<'_>,
        (name, line): (&KeyPairName, &str),
        tags: &Tags,
    ) -> Result<String, Error> {
        let reply = self.ec2(access, import(name, line, tags)).await?;
        Ok(named(&reply, reply.root())?.0)
    }

    /// Whether ImportKeyPair is allowed, without doing it: EC2 refuses that in words of its own (EC2 API, DryRun).
    pub async fn may_import_key_pair(
        &self,
        access: Ec2Access<'_>,
        (name, line): (&KeyPairName, &str),
        tags: &Tags,
    ) -> Result<(), Error> {
        match self.ec2(access, import(name, line, tags).with("DryRun", "true")).await {
            Err(error) if error.is_refusal("DryRunOperation") || error.is_refusal("InvalidKeyPair.Duplicate") => Ok(()),
            Err(error) => Err(error),
            Ok(reply) => Err(reply.bad("it did what it was asked to try")),
        }
    }

    /// DescribeKeyPairs with their public keys: of this name, or all; those with a tag of this key and value, if one is
    /// given. There are no pages.
    pub async fn describe_key_pairs(
        &self,
        access: Ec2Access<'_>,
        name: Option<&KeyPairName>,
        tag: Option<(&str, &str)>,
    ) -> Result<Vec<KeyPair>, Error> {
        // By filter: EC2 refuses names that there are not.
        let named = name.map(|name| ("key-name".to_owned(), [name.to_string()]));
        let tagged = tag.map(|(key, value)| (format!("tag:{key}"), [value.to_owned()]));
        let filters: Vec<(String, [String; 1])> = named.into_iter().chain(tagged).collect();
        let act = Act::of("ec2:DescribeKeyPairs").with("IncludePublicKey", "true");
        let act = act.with_filters(filters.iter().map(|(name, values)| (name.as_str(), values.as_slice())));
        let reply = self.ec2(access, act).await?;
        let pairs: Vec<KeyPair> =
            items(reply.root(), "keySet").map(|item| key_pair(&reply, item)).collect::<Result<_, _>>()?;
        // A filter takes `*` and `?` for others, and a name may have them.
        Ok(pairs.into_iter().filter(|pair| name.is_none_or(|name| pair.name == name.as_str())).collect())
    }

    /// DeleteKeyPair, by id: EC2 does not mind one that there is not.
    pub async fn delete_key_pair(&self, access: Ec2Access<'_>, id: &str) -> Result<(), Error> {
        self.ec2(access, Act::of("ec2:DeleteKeyPair").with("KeyPairId", id)).await.map(drop)
    }

    /// GetPasswordData: what the key pair of the launch decrypts; None until the instance has made its password, which
    /// takes it up to 15 minutes, and for ever where it was launched with Ed25519 or runs no Windows.
    pub async fn password_data(&self, access: Ec2Access<'_>, instance: &InstanceId) -> Result<Option<Vec<u8>>, Error> {
        let act = Act::of("ec2:GetPasswordData").with("InstanceId", instance.as_str());
        let reply = self.ec2(access, act).await?;
        let Some(data) = reply.root().text("passwordData") else { return Ok(None) };
        let data: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64.decode(&data).map(Some).map_err(|_| reply.bad("the password is not base64"))
    }
}

fn import<'a>(name: &'a KeyPairName, line: &str, tags: &'a Tags) -> Act<'a> {
    let act = Act::of("ec2:ImportKeyPair").with("KeyName", name.as_str());
    act.with("PublicKeyMaterial", BASE64.encode(line.as_bytes())).with_tags("key-pair", tags)
}

fn key_pair(reply: &Reply, item: &Element) -> Result<KeyPair, Error> {
    let (id, fingerprint) = named(reply, item)?;
    let kind = match item.text("keyType") {
        Some("ed25519") => Some(KeyPairType::Ed25519),
        Some("rsa") => Some(KeyPairType::Rsa),
        _ => None,
    };
    let created = item.text("createTime").and_then(|text| {
        DateTime::from_str(text, Format::DateTimeWithOffset).ok().and_then(|time| time.to_millis().ok())
    });
    Ok(KeyPair {
        id,
        name: reply.field(item, "keyName")?.to_owned(),
        kind,
        fingerprint,
        public: item.text("publicKey").map(str::to_owned),
        created: created.map(WallTime),
        tags: tags(item),
    })
}

/// Id and fingerprint.
fn named(reply: &Reply, item: &Element) -> Result<(String, String), Error> {
    let id = reply.field(item, "keyPairId")?;
    let is_id = id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_id {
        return Err(reply.bad("the id of a key pair does not have AWS's form"));
    }
    Ok((id.to_owned(), Label(reply.field(item, "keyFingerprint")?).to_string()))
}
