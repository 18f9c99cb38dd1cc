//! MFA devices: IAM allows a user 8.

use super::{Act, IamAccess, time};
use crate::aws::Error;
use crate::aws::call::{Again, AwsEdge};
use crate::world::WallTime;
use claviger::model::{Arn, MfaSerial, Name};
use claviger::secret::{SecretText, TokenCode, TotpSeedText};
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// A virtual device of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualDevice {
    /// Its serial.
    pub serial: MfaSerial,
    /// Whose it is; None where it is assigned to nobody.
    pub user: Option<Arn>,
    /// Since when.
    pub enabled: Option<WallTime>,
}

/// A virtual device that AWS has just made. Nobody else has its seed.
pub struct NewDevice {
    /// Its serial.
    pub serial: MfaSerial,
    /// Its seed, in base32.
    pub seed: TotpSeedText,
}

impl AwsEdge {
    /// ListMFADevices: the serials of a user's devices; of the one who signs, without a name.
    pub async fn list_mfa_devices(&self, access: IamAccess<'_>, user: Option<&str>) -> Result<Vec<MfaSerial>, Error> {
        let act = || {
            let act = Act::of("iam:ListMFADevices");
            match user {
                Some(user) => act.with("UserName", user.to_owned()),
                None => act,
            }
        };
        self.iam_list(access, "MFADevices", act, |reply, member| reply.noun(member, "SerialNumber")).await
    }

    /// ListVirtualMFADevices: those of the account, assigned or not.
    pub async fn list_virtual_mfa_devices(&self, access: IamAccess<'_>) -> Result<Vec<VirtualDevice>, Error> {
        let act = || Act::of("iam:ListVirtualMFADevices");
        self.iam_list(access, "VirtualMFADevices", act, |reply, member| {
            let user = member.child("User").map(|user| reply.noun(user, "Arn")).transpose()?;
            let enabled = match member.text("EnableDate") {
                Some(_) => Some(time(reply, member, "EnableDate")?),
                None => None,
            };
            Ok(VirtualDevice { serial: reply.noun(member, "SerialNumber")?, user, enabled })
        })
        .await
    }

    /// CreateVirtualMFADevice. Where the answer is lost, the device stands at AWS and nobody has its seed.
    pub async fn create_virtual_mfa_device(&self, access: IamAccess<'_>, name: &Name) -> Result<NewDevice, Error> {
        let act = Act::of("iam:CreateVirtualMFADevice").with("VirtualMFADeviceName", name.as_str());
        let reply = self.iam(access, act.again(Again::IfNotDone)).await?;
        let result = reply.result()?;
        let device = result.child("VirtualMFADevice").ok_or_else(|| reply.bad("it has no device"))?;
        // A blob whose bytes are the text (IAM API, VirtualMFADevice).
        let blob = BASE64.decode(reply.field(device, "Base32StringSeed")?.as_bytes());
        let blob = Zeroizing::new(blob.map_err(|_| reply.bad("the seed is no base64"))?);
        let text = std::str::from_utf8(&blob).map_err(|_| reply.bad("the seed is no text"))?;
        Ok(NewDevice { serial: reply.noun(device, "SerialNumber")?, seed: TotpSeedText::from_text(text.to_owned()) })
    }

    /// EnableMFADevice: assigns a device to a user, with the codes of two steps that follow each other.
    pub async fn enable_mfa_device(
        &self,
        access: IamAccess<'_>,
        user: &str,
        serial: &MfaSerial,
        codes: [&TokenCode; 2],
    ) -> Result<(), Error> {
        self.with_two_codes(access, "iam:EnableMFADevice", user, serial, codes).await
    }

    /// ResyncMFADevice: tells AWS how far a device's clock is off, by the codes of two steps that follow each other.
    pub async fn resync_mfa_device(
        &self,
        access: IamAccess<'_>,
        user: &str,
        serial: &MfaSerial,
        codes: [&TokenCode; 2],
    ) -> Result<(), Error> {
        self.with_two_codes(access, "iam:ResyncMFADevice", user, serial, codes).await
    }

    async fn with_two_codes(
        &self,
        access: IamAccess<'_>,
        action: &'static str,
        user: &str,
        serial: &MfaSerial,
        codes: [&TokenCode; 2],
    ) -> Result<(), Error> {
        let [first, second] = codes.map(SecretText::expose);
        let act = Act::of(action).with("UserName", user).with("SerialNumber", serial.as_str());
        let act = act.with("AuthenticationCode1", first).with("AuthenticationCode2", second);
        self.iam(access, Act { again: Again::Never, secrets: &[first, second], ..act }).await.map(drop)
    }

    /// DeactivateMFADevice: takes a device from its user.
    pub async fn deactivate_mfa_device(
        &self,
        access: IamAccess<'_>,
        user: &str,
        serial: &MfaSerial,
    ) -> Result<(), Error> {
        let act = Act::of("iam:DeactivateMFADevice").with("UserName", user).with("SerialNumber", serial.as_str());
        self.iam(access, act).await.map(drop)
    }

    /// DeleteVirtualMFADevice: of one that is assigned to nobody.
    pub async fn delete_virtual_mfa_device(&self, access: IamAccess<'_>, serial: &MfaSerial) -> Result<(), Error> {
        let act = Act::of("iam:DeleteVirtualMFADevice").with("SerialNumber", serial.as_str());
        self.iam(access, act).await.map(drop)
    }
}
