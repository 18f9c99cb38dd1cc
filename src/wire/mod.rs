//! The control protocol: one JSON object per line over the local socket. Bytes to types, no sockets.
//!
//! Twin of `docs/PROTOCOL.md`. Every line carries the `id` of the request it belongs to; several may be in
//! flight on one connection. The client's first line is its [`Hello`], sent together with its first request.

mod adoption;
mod agent;
mod audit;
mod catalogue;
mod config;
mod device;
mod doctor;
mod endpoint;
mod fault;
mod fido;
mod iam;
mod keeping;
mod keypair;
mod manner;
mod oath;
mod piv;
mod reply;
mod request;
mod slot;
mod ssh_instance;
mod ssh_key;

pub use crate::model::{DeviceProof, SlotDevice, SlotKind, SlotProof};
pub use adoption::{Change, Changes, ImportedKey, SkippedProfile};
pub use agent::Restarted;
pub use audit::{AuditBad, AuditPage, AuditStory, AuditVerdict};
pub use catalogue::{Code, Exit};
pub use config::{ConfigChange, ConfigScope, ConfigSetting, ConfigView};
pub use device::{DeviceKind, DeviceList, DeviceRow, MfaOnDevice};
pub use doctor::{Finding, Level};
pub use endpoint::EndpointRow;
pub use fault::Fault;
pub use fido::{FidoOptions, FidoPins, FidoRow};
pub use iam::{
    AccessKeyAtAws, AccessKeyRotate, AccessKeyRotated, AccessKeyUse, EnrollOnDevice, MfaEnroll, MfaEnrolled,
    PasswordChange,
};
pub use keeping::{OlderVault, TrashKind, TrashRow};
pub use keypair::{
    InstancePassword, KeypairCreate, KeypairDeed, KeypairDelete, KeypairImport, KeypairInstance, KeypairKind,
    KeypairOutcome, KeypairPassword, KeypairRegion, KeypairRotate, KeypairRow, KeypairScope, KeypairSource,
    KeypairWaiting,
};
pub use oath::{OathAccount, OathCard, OathCode, OathRename, OathRow};
pub use piv::{
    PivCard, PivCertificate, PivCertificateDeed, PivChange, PivKeyRow, PivManagementKey, PivNew, PivReference,
};
pub use reply::{
    AccessKeyExport, AccessKeyRow, ChainStep, Credentials, Explanation, MfaRow, OpenEndpoint, ProfileRow, Reply,
    SessionRow, Setting, SlotRow, SshStatus, Status, Whoami,
};
pub use request::{EndpointKind, Hello, HelloDisplay, Request};
pub use slot::{NewFido2Slot, NewPivSlot, NewSlot};
pub use ssh_instance::{SshInstance, SshInstanceRow, SshLogin};
pub use ssh_key::{SshKeyExport, SshKeyFormat, SshKeyKind, SshKeyOptions, SshKeyRow};

use crate::secret::{DeviceSecret, RecoveryCode, TypedAnswer, text};
use serde::{Deserialize, Serialize};

/// The protocol this build speaks. An agent also accepts the one before it.
pub const PROTOCOL: u32 = 1;

/// Longest line either side accepts, newline included. OpenSSH's agent has the same cap; no request of ours comes near it.
pub const LINE_LIMIT: usize = 256 * 1024;

/// A line from the client: an id and one of hello, a request, an answer to a question, or cancel.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "ClientMembers")]
pub struct ClientLine {
    /// Chosen by the client; every line about this request carries it.
    pub id: u64,
    /// What it says.
    #[serde(flatten)]
    pub message: ClientMessage,
}

/// The members of a client's line. Read one by one: to look for the message among them, a copy of all would be made.
#[derive(Deserialize)]
struct ClientMembers {
    id: u64,
    answer: Option<Answer>,
    cancel: Option<Cancel>,
    hello: Option<Hello>,
    request: Option<Box<Request>>,
}

#[derive(Deserialize)]
struct Cancel {}

impl TryFrom<ClientMembers> for ClientLine {
    type Error = &'static str;

    fn try_from(members: ClientMembers) -> Result<Self, Self::Error> {
        let message = match members {
            ClientMembers { answer: Some(answer), cancel: None, hello: None, request: None, .. } => {
                ClientMessage::Answer(answer)
            }
            ClientMembers { answer: None, cancel: Some(Cancel {}), hello: None, request: None, .. } => {
                ClientMessage::Cancel {}
            }
            ClientMembers { answer: None, cancel: None, hello: Some(hello), request: None, .. } => {
                ClientMessage::Hello(hello)
            }
            ClientMembers { answer: None, cancel: None, hello: None, request: Some(request), .. } => {
                ClientMessage::Request(request)
            }
            _ => return Err("a line says one thing"),
        };
        Ok(Self { id: members.id, message })
    }
}

/// What a client may say.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientMessage {
    /// The client's answer to [`Event::Question`], [`Event::ConfirmNeeded`] or [`Event::PinNeeded`], with the same `id`.
    Answer(Answer),
    /// Nobody waits for this request any longer.
    Cancel {},
    /// First line of a connection.
    Hello(Hello),
    /// A request.
    Request(Box<Request>),
}

/// An answer to a question.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    /// What was typed; absent where the person leaves it to others.
    #[serde(with = "text::option", default)]
    pub value: Option<TypedAnswer>,
    /// The number of the question, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

/// A line from the agent.
#[derive(Serialize, Deserialize)]
pub struct AgentLine {
    /// The id of the client's line this belongs to; 0 for a line that had no readable id.
    pub id: u64,
    /// What it says.
    #[serde(flatten)]
    pub message: AgentMessage,
}

/// What the agent may say.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentMessage {
    /// While a request waits.
    Event(Event),
    /// The request failed; nothing more follows for its id.
    Fault(Fault),
    /// The agent's own hello, its first line.
    Hello(AgentHello),
    /// The request succeeded; nothing more follows for its id.
    Reply(Box<Reply>),
}

/// The agent's side of the greeting.
#[derive(Debug, Serialize, Deserialize)]
pub struct AgentHello {
    /// The protocol the agent will speak on this connection.
    pub protocol: u32,
    /// The agent and its version, such as `claviger-agent/0.1.0`.
    pub agent: String,
}

/// What happens while a request waits.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A person should allow or refuse this; the client answers `y` or `n` with the same id and number. Only where it can
    /// answer.
    ConfirmNeeded {
        /// Its number: an answer without it, or with another, counts for nothing.
        number: u64,
        /// What is asked, one line, safe to show.
        title: String,
        /// What one should know to answer, likewise.
        lines: Vec<String>,
    },
    /// The question with this number was answered elsewhere, or nobody waits for its answer any more.
    ConfirmOver {
        /// Its number.
        number: u64,
    },
    /// Rows of keypair_list, as many as fit in a line; there may be more such lines.
    Keypairs {
        /// The rows.
        rows: Vec<KeypairRow>,
    },
    /// A random management key for a PIV card, shown once; the client answers with it once it has been recorded, and
    /// only then does the card get it.
    ManagementKey {
        /// In base16.
        #[serde(with = "text")]
        key: DeviceSecret,
    },
    /// A person should type a secret of a device, which the client does not show; it answers with the same id and number.
    /// An empty answer is a refusal. Only where it can answer.
    PinNeeded {
        /// Its number.
        number: u64,
        /// The device. Each of these is one line, safe to show.
        device: String,
        /// What it wants, such as `PIV PIN`.
        wanted: String,
        /// What for, a sentence.
        purpose: String,
        /// Who asks, a sentence.
        asked_by: String,
        /// Tries that the device has left, where it tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tries_left: Option<u32>,
        /// Why it is asked again, a sentence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// As [`Event::ConfirmOver`].
    PinOver {
        /// Its number.
        number: u64,
    },
    /// A person should type this; the client answers with [`ClientMessage::Answer`] and the same id.
    Question {
        /// What is asked, one line, safe to show.
        prompt: String,
        /// Whether the answer is shown while typed.
        echo: bool,
    },
    /// The recovery code of a new vault or slot, shown once; the client answers with what the person typed back,
    /// or with the code itself where it has been recorded.
    RecoveryCode {
        /// The code.
        #[serde(with = "text")]
        code: RecoveryCode,
    },
    /// So many regions have answered.
    RegionsDone {
        /// How many have.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// A device waits to be touched.
    TouchNeeded {
        /// Its number.
        number: u64,
        /// The device. Each of these is one line, safe to show.
        device: String,
        /// What for, a sentence.
        purpose: String,
        /// Who asks, a sentence.
        asked_by: String,
    },
    /// The device waits no longer.
    TouchOver {
        /// Its number.
        number: u64,
    },
    /// The current code is spent; the next comes in so many seconds.
    WaitingForCode {
        /// The device.
        serial: String,
        /// Seconds left.
        seconds: u64,
    },
}
