//! Why nobody answered, as faults.

use crate::prompt::{NoPin, Unasked};
use claviger::wire::{Code, Fault};

impl From<Unasked> for Fault {
    fn from(why: Unasked) -> Self {
        let code = match why {
            Unasked::Busy => Code::AgentBusy,
            Unasked::Blocked | Unasked::Silent | Unasked::TooMany | Unasked::Weary => Code::PromptSilenced,
            Unasked::BadAnswer(_)
            | Unasked::Failed(_)
            | Unasked::NoDisplay
            | Unasked::Nobody
            | Unasked::NotStarted { .. }
            | Unasked::TimedOut
            | Unasked::Unusable => Code::PromptUnanswered,
        };
        let message = match &why {
            Unasked::NotStarted { program, source } => format!("{program} cannot be run: {source}"),
            other => other.to_string(),
        };
        Fault::new(code, message)
    }
}

impl From<NoPin> for Fault {
    fn from(why: NoPin) -> Self {
        match why {
            NoPin::Refused => Fault::new(Code::PromptRefused, "the person who was asked declined"),
            NoPin::Unasked(why) => why.into(),
        }
    }
}
