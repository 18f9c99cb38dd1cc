//! Codes that are made outside `server::fault`, and where.

use claviger::wire::Code;

/// Codes of the doors, the roof, the client and the command line.
pub(crate) const PLACES: &[(Code, &[&str])] = &[
    (Code::AccessKeyInvalid, &["src/cli/intake.rs"]),
    (Code::AgentBusy, &["agent/src/server/control.rs", "agent/src/server/dispatch/endpoint.rs"]),
    (Code::AgentNotRunning, &["src/client/socket.rs", "src/client/mod.rs"]),
    (Code::AgentRestartFailed, &["agent/src/server/restart.rs", "agent/src/server/succession/successor.rs"]),
    (Code::AgentRuntimeFolder, &["agent/src/server/listen.rs", "src/client/socket.rs", "src/cli/desk.rs"]),
    (Code::AgentStartFailed, &["agent/src/run.rs", "src/client/launch.rs", "src/cli/cmd/agent.rs"]),
    (
        Code::AgentStopping,
        &[
            "agent/src/server/control.rs",
            "agent/src/server/dispatch.rs",
            "agent/src/server/dispatch/prompts.rs",
            "agent/src/server/restart.rs",
        ],
    ),
    (Code::AuditTampered, &["src/cli/cmd/audit.rs"]),
    (Code::ConfigInvalid, &["agent/src/run.rs"]),
    (Code::EndpointNoOwner, &["agent/src/server/dispatch/endpoint.rs"]),
    (Code::EndpointNotOpened, &["agent/src/server/dispatch/endpoint.rs"]),
    (Code::EndpointRefused, &["agent/src/server/endpoint/answer.rs"]),
    (Code::InstanceHostKeyChanged, &["src/cli/cmd/ssh/host_key.rs"]),
    (Code::InstancePluginMissing, &["src/cli/cmd/ssh.rs"]),
    (Code::InstanceUnreachable, &["src/cli/cmd/ssh.rs"]),
    (Code::KeyringUnavailable, &["agent/src/server/desktop.rs"]),
    (Code::PromptNoTerminal, &["agent/src/server/dispatch/prompts.rs", "src/cli/cmd/prompts.rs"]),
    (
        Code::RequestCancelled,
        &["agent/src/server/control.rs", "agent/src/server/dispatch/prompts.rs", "src/cli/terminal.rs"],
    ),
    (Code::SlotAmbiguous, &["agent/src/server/slots.rs"]),
    (Code::SlotKeyUnfit, &["agent/src/server/slots.rs"]),
    (Code::SlotNoDevice, &["agent/src/server/slots.rs"]),
    (
        Code::Usage,
        &[
            "agent/src/server/dispatch/endpoint.rs",
            "agent/src/server/dispatch/ssh_instance.rs",
            "src/cli/args.rs",
            "src/cli/intake.rs",
            "src/cli/cmd/keypair.rs",
            "src/cli/cmd/mfa.rs",
            "src/cli/cmd/slot.rs",
            "src/cli/cmd/ssh.rs",
            "src/cli/terminal.rs",
        ],
    ),
    (Code::VaultRecoveryMismatch, &["agent/src/server/dispatch/vault.rs", "src/cli/desk.rs"]),
    (Code::WireBadLine, &["agent/src/server/line.rs"]),
    (Code::WireProtocol, &["agent/src/server/control.rs", "src/client/mod.rs", "src/cli/desk.rs"]),
    (Code::WireTooLong, &["agent/src/server/control.rs", "src/client/frame.rs"]),
];
