//! `claviger ssh-agent env`: how SSH clients find the agent.

use super::env::Form;
use crate::cli::args::Proof;
use crate::cli::desk::{self, Desk};
use crate::cli::environment::Variable;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::ui;
use crate::wire::{Code, Fault};
use std::os::unix::net::UnixStream;

/// The variable that SSH clients look at.
const SOCKET: &str = "SSH_AUTH_SOCK";

/// The SSH agent: how ssh, git and others find it
///
/// claviger is an ssh-agent, on a socket of its own. The program claviger-ssh-agent, in one word, is the same without a vault
/// and under the flags of ssh-agent(1), for scripts and for sshd's HostKeyAgent: eval $(claviger-ssh-agent -s)
#[derive(clap::Subcommand)]
pub(in crate::cli) enum SshAgent {
    /// Print the line that has ssh, ssh-add and git use the agent
    ///
    /// It stays right for as long as you are logged in. For ssh alone, put into ~/.ssh/config instead what --config prints.
    #[command(after_help = "\
Examples:
  eval \"$(claviger ssh-agent env)\"                       bash, zsh
  claviger ssh-agent env | source                        fish
  claviger ssh-agent env --config >> ~/.ssh/config
  eval \"$(claviger ssh-agent env --unset)\"")]
    Env(Env),
}

#[derive(clap::Args)]
pub(in crate::cli) struct Env {
    /// How to write it [default: as the shell you are in]
    #[arg(long, conflicts_with = "config")]
    shell: Option<Form>,
    /// Take away what a former call has set
    #[arg(long, conflicts_with = "config")]
    unset: bool,
    /// Write it as lines for the end of ~/.ssh/config
    #[arg(long)]
    config: bool,
}

impl SshAgent {
    pub(super) fn run(self) -> Outcome {
        let Self::Env(env) = self;
        let form = env.shell.unwrap_or_else(Form::detected);
        if env.unset {
            return ui::data(form.page(&[], &[SOCKET.to_owned()])?.as_slice());
        }
        let socket = socket()?;
        if env.config {
            // ssh_config(5): for every host, also behind the block of one; quoted, a path may hold spaces; a percent sign
            // begins a token.
            let lines = format!("\nMatch all\n    IdentityAgent \"{}\"\n", socket.replace('%', "%%"));
            return ui::data(lines.as_bytes());
        }
        ui::data(form.page(&[Variable::new(SOCKET, socket)], &[])?.as_slice())
    }
}

/// The socket, once the agent listens on it.
pub(super) fn socket() -> Result<String, Failure> {
    Desk::open(&Proof::default())?.status()?;
    let mut sockets = desk::paths()?.ssh_sockets().collect::<Vec<_>>();
    sockets.retain(|path| UnixStream::connect(path).is_ok());
    sockets
        .into_iter()
        .find_map(|path| path.into_os_string().into_string().ok().filter(|path| !path.contains(['"', '\n'])))
        .ok_or_else(|| {
            let fault = Fault::new(Code::AgentRuntimeFolder, "the agent has no socket for SSH clients");
            fault.hint("claviger agent restart").into()
        })
}
