//! The nouns. Parsed once, valid from then on; no I/O and no clock.

pub mod audit;
pub mod aws;
pub mod device;
pub mod label;
pub mod oath;
pub mod slot;

pub use audit::{AuditAws, AuditPeer, AuditProcess, AuditRecord, AuditSsh, AuditSubject, AuditVault, Since};
pub use aws::{AccessKeyId, AccountId, Arn, InstanceId, KeyPairName, MfaSerial, Name, Partition, Region};
pub use device::{Firmware, PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
pub use label::{Label, Message};
pub use oath::{OathHash, OathKind, OathName};
pub use slot::{DeviceProof, SlotAnswer, SlotDevice, SlotKind, SlotProof};
