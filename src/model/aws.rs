//! AWS nouns, valid by construction.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not the noun it should be. Says the rule, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid(pub &'static str);

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl std::error::Error for Invalid {}

macro_rules! text_noun {
    ($($(#[$doc:meta])* $name:ident, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text, as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                let check: fn(&str) -> Result<(), Invalid> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    )*};
}

text_noun! {
    /// The name a person gives an access key or an authenticator: 1 to 64 letters, digits and `_+=,.@-`.
    Name, |text| within(text, 1, 64, "a name is 1 to 64 letters, digits and _+=,.@-", |c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c));

    /// An access key id, 16 to 128 capital letters, digits and `_` (IAM API, AccessKey). Not secret: it goes to logs and to
    /// AWS as it is. AWS's ids have 20 characters and no small letter; some emulators' have. Nearly every secret has, and is
    /// longer: one that was given in the id's place is refused. The prefix is not checked, emulators have their own.
    AccessKeyId, |text| {
        let rule = "an access key id is 16 to 128 capital letters, digits and _";
        // A secret access key has 40 characters, a seed of AWS 64, and none has less than 32.
        let is_short = text.len() < 32;
        within(text, 16, 128, rule, |c| c.is_ascii_alphanumeric() || c == '_')?;
        if is_short || !text.contains(|c: char| c.is_ascii_lowercase()) { Ok(()) } else { Err(Invalid(rule)) }
    };

    /// An account: twelve digits.
    AccountId, |text| within(text, 12, 12, "an account id is 12 digits", |c| c.is_ascii_digit());

    /// An EC2 instance: `i-` and 8 or 17 hexadecimal digits (EC2 user guide, resource ids).
    InstanceId, |text| {
        let rule = "an instance id is i- and 8 or 17 hexadecimal digits";
        match text.strip_prefix("i-") {
            Some(digits) if matches!(digits.len(), 8 | 17) => {
                within(digits, 8, 17, rule, |c| c.is_ascii_digit() || ('a'..='f').contains(&c))
            }
            _ => Err(Invalid(rule)),
        }
    };

    /// The name of an EC2 key pair: up to 255 printable ASCII characters, no space at either end (EC2 API, CreateKeyPair).
    KeyPairName, |text| {
        let rule = "the name of a key pair is 1 to 255 ASCII characters without a space at its ends";
        if text.trim() != text {
            return Err(Invalid(rule));
        }
        within(text, 1, 255, rule, |c| c.is_ascii_graphic() || c == ' ')
    };

    /// A region such as `eu-central-1`.
    Region, |text| within(text, 3, 40, "a region is lower-case letters, digits and dashes", |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');

    /// An Amazon Resource Name: `arn:partition:service:region:account:resource`.
    Arn, |text| {
        if text.len() > 2048 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Invalid("an ARN has at most 2048 characters and no space"));
        }
        let mut parts = text.splitn(6, ':');
        let arn = parts.next() == Some("arn") && parts.next().is_some_and(|partition| !partition.is_empty());
        if arn && parts.nth(3).is_some_and(|resource| !resource.is_empty()) { Ok(()) } else { Err(Invalid("an ARN is arn:partition:service:region:account:resource")) }
    };

    /// The serial of an MFA device: an ARN, or a hardware serial; 9 to 256 characters (STS API, SerialNumber).
    MfaSerial, |text| within(text, 9, 256, "an MFA serial is an ARN or a hardware serial of 9 to 256 characters", |c| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c));
}

fn within(text: &str, least: usize, most: usize, rule: &'static str, allowed: fn(char) -> bool) -> Result<(), Invalid> {
    if (least..=most).contains(&text.len()) && text.chars().all(allowed) { Ok(()) } else { Err(Invalid(rule)) }
}

impl Arn {
    /// The text between the colons, counted from 0 (`arn`); the sixth is the whole resource.
    fn part(&self, index: usize) -> &str {
        self.0.splitn(6, ':').nth(index).unwrap_or_default()
    }

    /// The partition, such as `aws` or `aws-cn`.
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// The account, where the ARN names one.
    pub fn account(&self) -> Option<AccountId> {
        self.part(4).parse().ok()
    }

    /// The resource, such as `user/path/name`.
    pub fn resource(&self) -> &str {
        self.part(5)
    }

    /// The last element of the resource: the user's or the role's name.
    pub fn resource_name(&self) -> &str {
        self.resource().rsplit('/').next().unwrap_or_default()
    }
}

impl MfaSerial {
    /// The account that owns the device, where the serial is an ARN.
    pub fn account(&self) -> Option<AccountId> {
        self.0.parse::<Arn>().ok().and_then(|arn| arn.account())
    }
}

/// A partition of AWS: accounts, credentials and endpoints never cross it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// The id in ARNs.
    pub id: &'static str,
    /// The suffix of its endpoints.
    pub dns_suffix: &'static str,
    /// The region used where a profile names none.
    pub default_region: &'static str,
    prefixes: &'static [&'static str],
}

/// Every partition, by the prefixes of its regions (AWS SDK reference guide, partitions).
pub const PARTITIONS: &[Partition] = &[
    Partition { id: "aws-cn", dns_suffix: "amazonaws.com.cn", default_region: "cn-north-1", prefixes: &["cn-"] },
    Partition {
        id: "aws-us-gov",
        dns_suffix: "amazonaws.com",
        default_region: "us-gov-west-1",
        prefixes: &["us-gov-"],
    },
    Partition { id: "aws-eusc", dns_suffix: "amazonaws.eu", default_region: "eusc-de-east-1", prefixes: &["eusc-"] },
    Partition { id: "aws-iso", dns_suffix: "c2s.ic.gov", default_region: "us-iso-east-1", prefixes: &["us-iso-"] },
    Partition {
        id: "aws-iso-b",
        dns_suffix: "sc2s.sgov.gov",
        default_region: "us-isob-east-1",
        prefixes: &["us-isob-"],
    },
    Partition {
        id: "aws-iso-e",
        dns_suffix: "cloud.adc-e.uk",
        default_region: "eu-isoe-west-1",
        prefixes: &["eu-isoe-"],
    },
    Partition {
        id: "aws-iso-f",
        dns_suffix: "csp.hci.ic.gov",
        default_region: "us-isof-south-1",
        prefixes: &["us-isof-"],
    },
    Partition { id: "aws", dns_suffix: "amazonaws.com", default_region: "us-east-1", prefixes: &[""] },
];

impl Partition {
    /// The partition a region lies in; regions nobody has named yet lie in `aws`.
    pub fn of_region(region: &Region) -> Partition {
        PARTITIONS
            .iter()
            .find(|partition| partition.prefixes.iter().any(|prefix| region.as_str().starts_with(prefix)))
            .copied()
            .unwrap_or(COMMERCIAL)
    }

    /// The commercial partition, `aws`.
    pub fn commercial() -> Partition {
        COMMERCIAL
    }

    /// The region used where nothing names one.
    pub fn region(&self) -> Region {
        Region(self.default_region.to_owned())
    }

    /// The partition with this id, as an ARN names it.
    pub fn by_id(id: &str) -> Option<Partition> {
        PARTITIONS.iter().find(|partition| partition.id == id).copied()
    }
}

const COMMERCIAL: Partition =
    Partition { id: "aws", dns_suffix: "amazonaws.com", default_region: "us-east-1", prefixes: &[""] };

#[cfg(test)]
mod tests {
    use super::{AccessKeyId, Arn, MfaSerial, Name, Partition, Region};

    #[test]
    fn arn_parts_are_read_and_junk_is_refused() {
        let arn: Arn = "arn:aws-cn:iam::123456789012:user/team/ada".parse().expect("an ARN");
        assert_eq!((arn.partition(), arn.resource(), arn.resource_name()), ("aws-cn", "user/team/ada", "ada"));
        assert_eq!(arn.account().expect("an account").as_str(), "123456789012");
        for junk in
            ["", "arn:aws", "arn:aws:iam::1:", "arn::iam::1:user/a", "x:aws:iam::1:user/a", "arn:aws:iam::1:user/a b"]
        {
            assert!(junk.parse::<Arn>().is_err(), "{junk}");
        }
    }

    #[test]
    fn a_secret_is_no_id() {
        for id in ["ASIAIOSFODNN7EXAMPLE", "FSIA0a1b2c3d4e5f6071"] {
            assert!(id.parse::<AccessKeyId>().is_ok());
        }
        for secret in ["wJalrXUtnFEMIxK7MDENGxbPxRfiCYEXAMPLEKEY", "hktbbrngbjglagoquonzz5zobzsvxai7"] {
            assert!(secret.parse::<AccessKeyId>().is_err());
        }
    }

    #[test]
    fn serials_are_arns_or_hardware_serials() {
        assert!("arn:aws:iam::123456789012:mfa/ada".parse::<MfaSerial>().is_ok());
        assert!("GAHT12345678".parse::<MfaSerial>().is_ok());
        assert!("short".parse::<MfaSerial>().is_err());
        assert!("has space in it".parse::<MfaSerial>().is_err());
    }

    #[test]
    fn partitions_follow_the_region() {
        for (region, partition) in [
            ("eu-central-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-east-1", "aws-us-gov"),
            ("us-isob-east-1", "aws-iso-b"),
            ("us-iso-east-1", "aws-iso"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(Partition::of_region(&region.parse::<Region>().expect("a region")).id, partition);
        }
        assert!("../evil".parse::<Region>().is_err());
        assert!("a b".parse::<Name>().is_err());
    }
}
