//! The SSH agent from outside: ssh, ssh-add, ssh-keygen, sshd, scp, sftp and git, and a hostile far side. OpenSSH's own
//! agent is the control: every test that can runs on both, with the same assertions but where docs say that ours
//! refuses more.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

/// Runs these tests on OpenSSH's agent and on ours.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod openssh {
            $(#[test] fn $test() { super::$test(crate::agent::Program::OpenSsh); })*
        }
        mod claviger {
            $(#[test] fn $test() { super::$test(crate::agent::Program::Claviger); })*
        }
    };
}

mod activation;
mod add;
mod agent;
mod crowd;
mod flags;
mod forward;
mod frames;
mod host;
mod hostile;
mod login;
mod memory;
mod raw;
mod sign;
mod stage;
