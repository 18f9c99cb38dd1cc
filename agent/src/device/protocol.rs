//! What agent and device helper say to each other over a socketpair: frames of a length and a JSON value.
//!
//! One helper process serves one device, one operation after the other; another one watches what is plugged in. Only
//! these two programs speak this, always in the version they were built with together.

use super::Error;
use super::{fido, oath, piv};
use claviger::model::Firmware;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// Most bytes of a frame: a certificate of 3 KiB and a list of 64 accounts fit many times.
pub const FRAME_LIMIT: usize = 256 * 1024;

/// Where a device is, as its system names it. Another device may be there later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// A card in a reader of pcscd, by the reader's name.
    Card(String),
    /// A FIDO device, by the path of its hidraw node.
    Fido(String),
}

/// A device that is plugged in, before anybody has spoken to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Found {
    /// Where.
    pub address: Address,
    /// What its maker calls it.
    pub product: String,
    /// Changes when the device is pulled out and another, or the same, is put in.
    pub insertion: u64,
}

/// What a watch sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// The devices, in a stable order.
    pub devices: Vec<Found>,
    /// Why cards are not seen, if they are not: pcscd does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cards: Option<Error>,
    /// Why FIDO devices are not seen, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fido: Option<Error>,
}

/// From the agent to the helper.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The first: say what is plugged in, now and at each change.
    Watch {},
    /// The first: serve this device.
    Serve(Address),
    /// Do this.
    Do(Operation),
    /// Give up what is in hand, where the device lets one.
    Cancel {},
}

/// From the helper to the agent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// What is plugged in.
    Present(Present),
    /// The helper of a device has started.
    Ready {},
    /// The device answers, and nobody else holds it: the operation has begun.
    Begun {},
    /// The device waits to be touched.
    Touch {},
    /// The device may wait to be touched: it does not tell.
    PerhapsTouch {},
    /// The operation's end.
    Done(Result<Answer, Error>),
}

/// What a device is asked to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// What a card is.
    DescribeCard {},
    /// Of the OATH applet.
    Oath(oath::Operation),
    /// Of the PIV applet.
    Piv(piv::Operation),
    /// Of a FIDO device.
    Fido(fido::Operation),
}

impl Operation {
    /// Longest time it may take in milliseconds, a touch and the wait for it included.
    pub fn limit_millis(&self) -> u64 {
        match self {
            Self::DescribeCard {} => QUICK_MILLIS,
            Self::Oath(operation) => operation.limit_millis(),
            Self::Piv(operation) => operation.limit_millis(),
            Self::Fido(operation) => operation.limit_millis(),
        }
    }
}

/// For what only computes: a card takes a second for an RSA signature, and a slow reader as long to wake up.
pub(super) const QUICK_MILLIS: u64 = 5_000;
/// For what may wait for a touch: a YubiKey gives up after 15 s, a FIDO device after 30 s.
pub(super) const TOUCH_MILLIS: u64 = 45_000;
/// For what makes a key: RSA of 4096 bits takes a YubiKey up to some minutes.
pub(super) const MAKE_MILLIS: u64 = 300_000;

/// What came of it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done, and there is nothing to say.
    Nothing {},
    /// Of `DescribeCard`.
    Card(CardInfo),
    /// Of the OATH applet.
    Oath(oath::Answer),
    /// Of the PIV applet.
    Piv(piv::Answer),
    /// Of a FIDO device.
    Fido(fido::Answer),
}

/// A card as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardInfo {
    /// Its serial number, where it has one that can be read.
    pub serial: Option<u32>,
    /// Its firmware, where it says.
    pub firmware: Option<Firmware>,
    /// Its PIV applet, if it has one.
    pub piv: Option<PivInfo>,
    /// Its OATH applet, if it has one.
    pub oath: Option<OathInfo>,
}

/// What the PIV applet says unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PivInfo {
    /// The applet's version; of a YubiKey the firmware's.
    pub version: Firmware,
    /// Tries of the PIN that are left; 0 is blocked.
    pub pin_tries: Option<u8>,
    /// Tries of the PUK that are left, where the card tells (firmware 5.3).
    pub puk_tries: Option<u8>,
}

/// What the OATH applet says unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OathInfo {
    /// Names the applet's content: another after a reset.
    pub id: Bytes,
    /// Whether it wants its password before it answers.
    pub locked: bool,
}

/// Bytes that are no secret, in base16.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = data_encoding::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).map(Self)
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        data_encoding::HEXLOWER.encode(&bytes.0)
    }
}

/// A value as a frame: its length in four bytes, then JSON. Nothing where it is too long to be one.
pub fn frame<T: Serialize>(value: &T) -> Option<Zeroizing<Vec<u8>>> {
    // Room from the start: a buffer that grows leaves copies behind.
    let mut frame = Zeroizing::new(Vec::with_capacity(8 * 1024));
    frame.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *frame, value).ok()?;
    let length = frame.len().checked_sub(4).filter(|length| *length <= FRAME_LIMIT)?;
    let length = u32::try_from(length).ok()?.to_be_bytes();
    frame.get_mut(..4)?.copy_from_slice(&length);
    Some(frame)
}

/// The length that a frame's first four bytes say; None where it is over the limit.
pub fn frame_length(header: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(header)).ok().filter(|length| *length <= FRAME_LIMIT)
}

/// The value in a frame without its length. What is wrong with it is not told: it may hold a secret.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| Error::HelperSpeech)
}
