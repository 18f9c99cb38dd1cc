//! Faults of the way into an instance.

use super::shown;
use crate::aws::InstanceState;
use crate::jobs::Error;
use claviger::model::InstanceId;
use claviger::wire::{Code, Fault};

/// Instances that a message names: with four it is a line.
const LISTED: usize = 4;

/// None where it is another room's.
pub(super) fn fault(error: &Error) -> Option<Fault> {
    Some(match error {
        Error::InstanceAmbiguous(wanted, found) => ambiguous(wanted, found),
        Error::InstanceKeyNotFound(key) => {
            let message = format!("no ssh key of the vault or of a card that is plugged in is called {}", shown(key));
            Fault::new(Code::SshKeyNotFound, message)
        }
        Error::InstanceKeyUnusable(Some((name, kind))) => Fault::new(
            Code::InstanceKeyUnusable,
            format!(
                "the ssh key {} is {}: EC2 Instance Connect takes RSA and Ed25519 keys alone, so name another or make one",
                shown(name),
                shown(kind)
            ),
        ),
        Error::InstanceKeyUnusable(None) => Fault::new(
            Code::InstanceKeyUnusable,
            "there is no RSA or Ed25519 key, which EC2 Instance Connect takes alone, in the vault or on a card",
        ),
        Error::InstanceManaged(id) => Fault::new(
            Code::InstanceNoAddress,
            format!("{} is no EC2 instance: Systems Manager alone reaches it", shown(id)),
        )
        .hint(format!("aws ssm start-session --target {}", shown(id))),
        Error::InstanceNoAddress(id) => Fault::new(
            Code::InstanceNoAddress,
            format!("{id} has no public or private IPv4 address of the kind that is wanted"),
        )
        .hint(format!("claviger ssh --session-manager {id}")),
        Error::InstanceNotFound(wanted, region) => Fault::new(
            Code::InstanceNotFound,
            format!("the account has no instance {} in {region}: is it the right profile and region?", shown(wanted)),
        ),
        Error::InstanceNotRunning(id, state) => not_running(id, *state),
        Error::InstanceRegionUnknown(profile) => {
            let message = format!("profile {} names no region: give one with --region", shown(profile));
            Fault::new(Code::Usage, message).hint("claviger ssh --help")
        }
        _ => return None,
    })
}

fn ambiguous(wanted: &str, found: &[(InstanceId, InstanceState)]) -> Fault {
    let listed: Vec<String> = found.iter().take(LISTED).map(|(id, state)| format!("{id} ({})", state.name())).collect();
    let more = found.len().saturating_sub(LISTED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let message = format!("several instances are called {}: {}{more}", shown(wanted), listed.join(", "));
    let fault = Fault::new(Code::InstanceAmbiguous, message);
    match found.first() {
        Some((id, _)) => fault.hint(format!("claviger ssh {id}")),
        None => fault,
    }
}

fn not_running(id: &InstanceId, state: InstanceState) -> Fault {
    let fault = Fault::new(Code::InstanceNotRunning, format!("{id} does not run: it is {}", state.name()));
    match state {
        InstanceState::Stopped => fault.hint(format!("aws ec2 start-instances --instance-ids {id}")),
        _ => fault,
    }
}
