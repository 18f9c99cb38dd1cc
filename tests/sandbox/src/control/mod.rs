//! The control side: what tests ask the double, and how they make it misbehave. AWS has nothing of this.

pub(crate) mod fault;
pub(crate) mod http;
mod machines;

pub use fault::{Fault, FaultKind};
pub use machines::InstanceRecord;

use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Calls that are kept in the history.
const HISTORY: usize = 10_000;

/// How often an action was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ActionCount {
    /// Requests that arrived, those that a fault answered included.
    pub calls: u64,
    /// Those of them that carried a TokenCode.
    pub with_token_code: u64,
    /// Those of them that ended in an error.
    pub refused: u64,
}

/// One request, as the double saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallRecord {
    /// The action asked for.
    pub action: String,
    /// Milliseconds since 1970 by the double's clock.
    pub at: i64,
    /// The HTTP status of the reply.
    pub status: u16,
    /// AWS's error code, where it was refused.
    pub error: Option<String>,
    /// The access key id that the signature named.
    pub access_key_id: Option<String>,
    /// The ARN of the caller, where the signature was right.
    pub principal: Option<String>,
    /// The region of the signature's scope.
    pub region: Option<String>,
    /// The request id in the reply.
    pub request_id: String,
    /// Whether a fault script answered or changed the reply.
    pub fault: bool,
}

/// What the control side keeps.
#[derive(Default)]
pub(crate) struct Control {
    pub(crate) counts: BTreeMap<String, ActionCount>,
    pub(crate) history: VecDeque<CallRecord>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) hanging: u64,
    pub(crate) offset_millis: i64,
}

impl Control {
    /// Counts a request that arrived.
    pub(crate) fn arrived(&mut self, action: &str, with_token_code: bool) {
        let count = self.counts.entry(action.to_owned()).or_default();
        count.calls += 1;
        count.with_token_code += u64::from(with_token_code);
    }

    /// Keeps what became of it.
    pub(crate) fn answered(&mut self, record: CallRecord) {
        if record.status >= 400 {
            self.counts.entry(record.action.clone()).or_default().refused += 1;
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(record);
    }

    /// The fault for a request of this action in this region, used up by it.
    pub(crate) fn take_fault(&mut self, action: &str, region: Option<&str>) -> Option<FaultKind> {
        self.take(|fault| !matches!(fault.kind, FaultKind::DelayMillis(_)) && fault.strikes(action, region))
    }

    /// How long such a request is held up, in milliseconds.
    pub(crate) fn take_delay(&mut self, action: &str, region: Option<&str>) -> Option<u64> {
        let is_delay = |fault: &Fault| matches!(fault.kind, FaultKind::DelayMillis(_)) && fault.strikes(action, region);
        match self.take(is_delay) {
            Some(FaultKind::DelayMillis(millis)) => Some(millis),
            _ => None,
        }
    }

    fn take(&mut self, wanted: impl Fn(&Fault) -> bool) -> Option<FaultKind> {
        let index = self.faults.iter().position(wanted)?;
        let fault = self.faults.get_mut(index)?;
        fault.times = fault.times.saturating_sub(1);
        let kind = fault.kind.clone();
        if fault.times == 0 {
            self.faults.remove(index);
        }
        Some(kind)
    }
}
