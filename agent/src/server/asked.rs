//! What the prompt room asks and tells, as events of the wire.

use crate::ask::{Asked, Asking, Touch};
use claviger::wire::Event;

/// A question.
pub(super) fn needed(asked: &Asked) -> Event {
    let number = asked.number;
    match &*asked.asking {
        Asking::Confirm(question) => {
            Event::ConfirmNeeded { number, title: question.title.clone(), lines: question.lines.clone() }
        }
        Asking::Secret(question) => Event::PinNeeded {
            number,
            device: question.device.clone(),
            wanted: question.wanted.clone(),
            purpose: question.purpose.clone(),
            asked_by: question.asked_by.clone(),
            tries_left: question.tries_left,
            problem: question.problem.clone(),
        },
    }
}

/// Its end.
pub(super) fn over(asked: &Asked) -> Event {
    let number = asked.number;
    match &*asked.asking {
        Asking::Confirm(_) => Event::ConfirmOver { number },
        Asking::Secret(_) => Event::PinOver { number },
    }
}

/// A device that waits.
pub(super) fn touch(number: u64, touch: &Touch) -> Event {
    let Touch { device, purpose, asked_by } = touch.clone();
    Event::TouchNeeded { number, device, purpose, asked_by }
}
