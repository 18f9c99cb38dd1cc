//! How a command ends. The exit codes themselves are `wire::Exit`, one table for every verb.

use crate::wire::{Exit, Fault};
use std::process::ExitCode;

/// Why a command ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Whoever read stdout has gone; nothing is left to say.
    BrokenPipe,
    /// Something a user should know.
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What a command returns.
pub(super) type Outcome = Result<(), Failure>;

/// The exit code of an outcome. A reader that has gone is no fault of the command.
pub(super) fn code(outcome: Outcome) -> ExitCode {
    let exit = match outcome {
        Ok(()) | Err(Failure::BrokenPipe) => Exit::Ok,
        Err(Failure::Fault(fault)) => fault.exit(),
    };
    ExitCode::from(exit as u8)
}

#[cfg(test)]
mod tests {
    use crate::wire::Code;

    /// Every fault a user can meet, with its exit code and its usual hint, on one page.
    #[test]
    fn the_faults_page() {
        let mut page = String::new();
        for code in Code::ALL {
            let hint = code.hint().map(|hint| format!("  → {hint}")).unwrap_or_default();
            page.push_str(&format!("{} {code}: {}{hint}\n", code.exit() as u8, code.meaning()));
        }
        insta::assert_snapshot!(page, @"
        5 access_key.exists: an access key of that name is already stored  → claviger access-key list
        5 access_key.in_use: an authenticator still belongs to the access key  → claviger mfa list
        2 access_key.invalid: the access key is not well formed
        6 access_key.not_found: no access key of that name is stored  → claviger access-key list
        5 access_key.not_user: the access key belongs to no IAM user
        1 agent.busy: the agent has as many connections or requests as it takes
        1 agent.not_running: no agent is running  → claviger agent start
        1 agent.runtime_folder: the folder of the agent's socket is missing or not private
        1 agent.start_failed: the agent did not start  → claviger agent run
        1 agent.stopping: the agent is stopping  → claviger agent start
        5 aws.access_denied: AWS denied the call
        8 aws.bad_answer: the answer was not one that AWS gives
        8 aws.clock_skew: this machine's clock is too far from AWS's  → timedatectl status
        5 aws.invalid_credentials: AWS does not accept the access key or session
        5 aws.invalid_request: AWS finds a setting of the profile invalid
        5 aws.region_disabled: STS is not enabled in the region
        8 aws.service_error: AWS failed on its side
        8 aws.throttled: AWS is throttling this account
        8 aws.timed_out: AWS did not answer in time
        8 aws.unreachable: AWS cannot be reached
        2 config.invalid: config.toml has a mistake
        5 endpoint.not_allowed: the endpoint is neither AWS's nor in [endpoints] allow
        1 internal: a defect of claviger
        4 mfa.code_needed: a code must be typed, and nobody here can be asked
        5 mfa.code_refused: AWS refused the code
        5 mfa.contradicts: the profile's mfa_serial contradicts what is known
        5 mfa.exists: an authenticator of that name or serial is already stored  → claviger mfa list
        6 mfa.not_found: no such authenticator is stored  → claviger mfa list
        4 mfa.presence_needed: no person has been here lately enough to spend a code  → claviger login
        2 mfa.seed_invalid: the seed is neither base32 nor an otpauth URI that AWS could use
        2 mfa.serial_unknown: the serial of the device is not known
        4 mfa.step_spent: the current code is spent
        2 profile.conflict: settings of the profile exclude each other
        2 profile.invalid: a setting of the profile is not valid
        2 profile.loop: source_profile leads back to itself
        2 profile.no_source: the profile names nothing that credentials could come from  → claviger access-key add
        6 profile.not_found: no such profile  → claviger profile list
        2 profile.unreadable: an AWS file cannot be read
        2 profile.unsupported: the profile's source is not served yet
        1 request.cancelled: the request was cancelled
        4 request.timed_out: the wait ended before an answer came
        5 slot.last: the last slot of its kind that a person can open cannot be removed  → claviger slot add
        6 slot.not_found: no such slot  → claviger slot list
        5 slot.full: the vault has as many slots as it takes  → claviger slot remove
        1 state.unsaved: the ledger cannot be written, so no code may be spent
        2 usage: the command line is not understood  → claviger --help
        6 vault.absent: there is no vault yet  → claviger init
        1 vault.changed: another program has changed the vault  → claviger agent restart
        1 vault.damaged: the vault is damaged; it was left untouched
        5 vault.exists: there is a vault already  → claviger status
        3 vault.locked: the vault is locked  → claviger unlock
        1 vault.newer: the vault was written by a newer claviger; it was left untouched
        5 vault.recovery_mismatch: the recovery code was not typed back as shown
        1 vault.unsaved: the vault cannot be saved; the old one stands
        5 vault.wait: too many wrong guesses; wait before the next
        2 vault.weak_passphrase: the passphrase is empty or too long
        5 vault.wrong_proof: the passphrase or recovery code opens no slot
        2 wire.bad_line: a line was not a message of the protocol
        1 wire.protocol: client and agent speak different protocols  → claviger agent restart
        2 wire.too_long: a line was longer than the protocol allows
        ");
    }
}
