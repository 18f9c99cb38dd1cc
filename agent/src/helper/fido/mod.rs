//! A FIDO device, through the kernel's hidraw and the crate ctap-hid-fido2.
//!
//! The crate reads answers meant for others, waits without limit, and panics: the node is locked as libfido2 locks it,
//! a device that falls silent is told and the process ends, and so it is with a panic.
//!
//! Below: `node` the device's file, `ear` whether it still speaks, `status` what its status codes mean, `describe`, `pin`, `credential`, `resident` and
//! `secret` the operations, `watch` which devices there are.

mod credential;
mod describe;
mod ear;
mod node;
mod pin;
mod resident;
mod secret;
mod status;
mod watch;

use super::serve::{Courtesy, Device};
use crate::device::Error;
use crate::device::fido::{Answer as FidoAnswer, Operation as FidoOperation};
use crate::device::protocol::{Answer, Operation};
use claviger::secret::SecretText;
use ctap_hid_fido2::FidoKeyHid;
use ear::Ear;
use node::Node;
pub(super) use watch::watch_fido;

/// The device at one hidraw node.
pub(super) struct Fido {
    path: String,
    /// That of the last operation, unlocked: a node that nobody has open forgets what is on its way.
    last: Option<Node>,
}

impl Fido {
    pub(super) fn new(path: String) -> Self {
        Self { path, last: None }
    }
}

/// A device that is open, for one operation.
struct Session<'a> {
    key: FidoKeyHid,
    courtesy: &'a Courtesy<'a>,
}

impl Device for Fido {
    fn run(&mut self, operation: Operation, courtesy: &Courtesy<'_>) -> Result<Answer, Error> {
        let Operation::Fido(operation) = operation else { return Err(Error::Unsupported(None)) };
        pin::check(&operation)?;
        let node = Node::lock(&self.path)?;
        courtesy.begun();
        let ear = Ear::new(&node, courtesy.last_words());
        // What a device says of itself is believed where nobody else can have been answered.
        let is_told = matches!(operation, FidoOperation::Describe {} | FidoOperation::Holds { .. });
        let outcome = told_where_it_panics(&node, courtesy, || {
            let (channel, key) = node.open()?;
            let cancel = node.cancel(channel);
            courtesy.give_up_by(move || cancel.send());
            let outcome = Session { key, courtesy }.run(operation);
            if (is_told || outcome.is_err()) && node.heard_another(channel) {
                // It may still wait for a touch.
                node.cancel(channel).send();
                return Err(Error::Held(None));
            }
            outcome
        });
        drop(ear);
        node.unlock();
        self.last = Some(node.clone());
        match outcome {
            Err(_) if node.is_gone() => Err(Error::Gone),
            outcome => outcome,
        }
    }

    fn release(&mut self) {
        self.last = None;
    }
}

impl Session<'_> {
    fn run(mut self, operation: FidoOperation) -> Result<Answer, Error> {
        use FidoOperation as Do;
        Ok(Answer::Fido(match operation {
            Do::Describe {} => FidoAnswer::Info(self.describe()?),
            Do::Holds { application, credential } => FidoAnswer::Holds(self.holds(&application, &credential.0)?),
            Do::Make { application, algorithm, resident, verify_required, user, challenge, pin } => {
                let wanted = credential::Wanted { application, algorithm, resident, verify_required, user };
                let pin = pin.as_ref().map(SecretText::expose);
                FidoAnswer::Credential(self.make(wanted, &challenge.0, pin)?)
            }
            Do::Sign { application, credential, data, touch, verify, pin } => {
                let how = credential::How { touch, verify, pin: pin.as_ref().map(SecretText::expose) };
                FidoAnswer::Assertion(self.sign(&application, &credential.0, &data.0, how)?)
            }
            Do::Resident { pin } => FidoAnswer::Credentials(self.resident(pin.expose())?),
            Do::Remove { credential, pin } => {
                self.remove(credential.0, pin.expose())?;
                return Ok(Answer::Nothing {});
            }
            Do::SetPin { new } => {
                self.set_pin(new.expose())?;
                return Ok(Answer::Nothing {});
            }
            Do::ChangePin { old, new } => {
                self.change_pin(old.expose(), new.expose())?;
                return Ok(Answer::Nothing {});
            }
            Do::MakeSecret { application, pin } => FidoAnswer::Enrolled(self.make_secret(&application, pin.expose())?),
            Do::Secret { application, credential, salt, pin } => {
                FidoAnswer::Secret(self.secret(&application, &credential.0, &salt.0, pin.expose())?)
            }
            Do::Presence {} => {
                self.presence()?;
                return Ok(Answer::Nothing {});
            }
        }))
    }
}

/// Works with the crate. Where it panics the agent is told, and the process ends with it: nobody knows what it has left.
fn told_where_it_panics<T>(node: &Node, courtesy: &Courtesy<'_>, work: impl FnOnce() -> T) -> T {
    let (node, tell) = (node.clone(), courtesy.last_words());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |_| {
        let gone = node.is_gone();
        tell(if gone { Error::Gone } else { Error::BadAnswer("what its library cannot read".to_owned()) });
    }));
    let done = work();
    std::panic::set_hook(before);
    done
}
