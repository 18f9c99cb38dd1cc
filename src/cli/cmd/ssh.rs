//! `claviger ssh`: the system's ssh, to an EC2 instance that takes a key for a minute.

mod host_key;

use super::exec;
use super::ssh_agent::socket;
use crate::cli::args::{Proof, name_one, profile_or_default};
use crate::cli::desk::{Desk, foreign, paths};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::hot::{DEFAULT_PATIENT_WAIT, wait_seconds};
use crate::cli::ui;
use crate::model::{Label, Region};
use crate::wire::{Code, Fault, Reply, Request, SshInstance, SshInstanceRow, SshLogin};
use host_key::Asked;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The user of Amazon Linux, where none is named.
const DEFAULT_USER: &str = "ec2-user";
/// The port of SSH, where none is given.
const DEFAULT_PORT: u16 = 22;
/// How long a connection may take, as `--proxy` makes it.
const CONNECT_SECONDS: u64 = 30;
/// Bytes that are passed on at once: a packet of SSH has no more (RFC 4253 section 6.1).
const PIECE_BYTES: usize = 35_000;
/// The options of ssh(1) with a value. What is neither they nor their values, and begins with no dash, is the command.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";

/// Log in to an EC2 instance with a key that it takes for a minute
///
/// Finds the instance by its id, its private IP address or its name (the tag Name), has it take an SSH key of the vault or of a
/// PIV card by EC2 Instance Connect, and becomes ssh. The key is pushed for each new connection. It has to be RSA or Ed25519; the
/// one that is named like the instance's key pair comes first.
///
/// The instance's host key is pinned at the first login. For plain ssh, scp, rsync, git and ansible put into ~/.ssh/config what
/// --config prints. An instance without a way to it is reached through Systems Manager (--session-manager), where aws and its
/// session-manager-plugin are installed.
///
/// Exit code: ssh's own; where claviger failed, that of the fault.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  claviger ssh web-1
  claviger ssh ubuntu@i-0a11ce0000000001a --profile prod --region eu-central-1
  claviger ssh web-1 -- -L 5432:localhost:5432
  claviger ssh web-1 -- uptime
  claviger ssh --config >> ~/.ssh/config")]
pub(in crate::cli) struct Ssh {
    /// The instance, and the user on it [default: ec2-user]
    #[arg(value_name = "[USER@]INSTANCE", required_unless_present_any = ["config", "host_key", "proxy"])]
    destination: Option<String>,
    /// The AWS profile [default: AWS_PROFILE, else default]
    #[arg(long)]
    profile: Option<String>,
    /// The region of the instance [default: the profile's]
    #[arg(long)]
    region: Option<Region>,
    /// The SSH key: its name in the vault, piv:SLOT, or its fingerprint
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// The port of the instance's sshd
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Connect to the private address, also where there is a public one
    #[arg(long)]
    private: bool,
    /// Connect through AWS Systems Manager, with the aws CLI and its session-manager-plugin
    #[arg(long)]
    session_manager: bool,
    /// Print lines for ~/.ssh/config, so that plain ssh works with the id of an instance
    #[arg(long, conflicts_with_all = ["destination", "proxy", "arguments"])]
    config: bool,
    /// Be the KnownHostsCommand of ssh, as --config has it
    #[arg(long, value_name = "TOKENS", conflicts_with_all = ["config", "destination", "proxy", "arguments"])]
    host_key: Option<String>,
    /// Be the ProxyCommand of ssh, as --config has it
    #[arg(long, value_name = "USER@INSTANCE", conflicts_with_all = ["destination", "arguments"])]
    proxy: Option<String>,
    /// The longest wait for anything: a code, AWS, an answer
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_PATIENT_WAIT, value_parser = wait_seconds)]
    wait: u64,
    #[command(flatten)]
    proof: Proof,
    /// Options and command of ssh
    #[arg(last = true, value_name = "SSH_ARGS")]
    arguments: Vec<OsString>,
}

impl Ssh {
    pub(super) fn run(self) -> Outcome {
        if let Some(asked) = &self.host_key {
            let asked = Asked::read(asked);
            let asked = asked.ok_or_else(|| Fault::new(Code::Usage, format!("the tokens are {}", host_key::TOKENS)))?;
            return asked.answer(&paths()?.known_instances_file());
        }
        match (&self.proxy, &self.destination) {
            _ if self.config => self.print_config(),
            (Some(destination), _) => self.proxy(destination),
            (None, Some(destination)) => self.become_ssh(destination),
            (None, None) => Err(Fault::new(Code::Usage, "the instance is missing").into()),
        }
    }

    /// Finds the instance and has it take the key.
    fn ask(&self, destination: &str, login: SshLogin) -> Result<(String, SshInstanceRow), Fault> {
        let (user, instance) = split(destination);
        let request = Request::SshInstance(SshInstance {
            profile: profile_or_default(self.profile.as_deref()),
            region: self.region.clone(),
            instance: instance.to_owned(),
            user: user.to_owned(),
            key: self.key.clone(),
            private: self.private,
            login,
            wait: self.wait,
        });
        match Desk::open(&self.proof)?.ask(&request).map_err(name_one(self.profile.as_deref()))? {
            Reply::SshInstance(row) => {
                if row.wants_pin {
                    let key = Label(&row.key);
                    ui::say(&format!(
                        "{key} wants its PIN now. Where nothing asks, have `claviger prompts` in another window."
                    ));
                }
                if row.wants_touch {
                    ui::say(&format!("Touch the device of {} when it blinks.", Label(&row.key)));
                }
                Ok((user.to_owned(), row))
            }
            _ => Err(foreign()),
        }
    }

    fn become_ssh(&self, destination: &str) -> Outcome {
        // A slip of the fingers should not cost a code.
        exec::look_up(OsStr::new("ssh"))?;
        self.look_up_plugin()?;
        let (user, row) = self.ask(destination, SshLogin::Caller)?;
        let (options, command) = options_of(&self.arguments);
        let mut ssh = Command::new("ssh");
        // What is given first counts: first the user's, then ours, then that of the files.
        ssh.args(options);
        for option in self.options(&row)? {
            ssh.arg("-o").arg(option);
        }
        ssh.arg("--").arg(format!("{user}@{}", row.id)).args(command);
        let error = ssh.exec();
        Err(Fault::new(Code::Internal, format!("ssh cannot be run: {error}")).into())
    }

    fn options(&self, row: &SshInstanceRow) -> Result<Vec<String>, Failure> {
        let alias = match self.port {
            DEFAULT_PORT => row.id.to_string(),
            port => format!("[{}]:{port}", row.id),
        };
        let mut options = vec![
            format!("HostName={}", row.address),
            format!("Port={}", self.port),
            // As plain ssh calls it: one pin for both.
            format!("HostKeyAlias={alias}"),
            format!("ProxyCommand={}", if self.session_manager { self.session(row)? } else { "none".to_owned() }),
        ];
        options.extend(common()?.into_iter().map(|(name, value)| format!("{name}={value}")));
        Ok(options)
    }

    /// Whether what the session manager needs is there. A slip should not cost a code here either.
    fn look_up_plugin(&self) -> Outcome {
        let missing = |name: &&str| self.session_manager && exec::look_up(OsStr::new(name)).is_err();
        match ["aws", "session-manager-plugin"].into_iter().find(missing) {
            None => Ok(()),
            Some(name) => {
                let message = format!("there is no program {name}, which --session-manager needs");
                Err(Fault::new(Code::InstancePluginMissing, message).into())
            }
        }
    }

    /// What becomes a session with the instance's sshd, as the aws CLI has it (Systems Manager user guide, "Allow and
    /// control permissions for SSH connections"). By the credentials of `exec`: the session's token is the plugin's alone.
    fn session_words(&self, row: &SshInstanceRow, port: &str) -> Vec<String> {
        let profile = profile_or_default(self.profile.as_deref());
        let words =
            ["exec", "--region", row.region.as_str(), &profile, "--", "aws", "ssm", "start-session", "--target"];
        let more = ["--document-name", "AWS-StartSSHSession", "--parameters"];
        let mut words: Vec<String> = words.map(str::to_owned).into();
        words.push(row.id.to_string());
        words.extend(more.map(str::to_owned));
        words.push(format!("portNumber={port}"));
        words
    }

    /// The same as a ProxyCommand.
    fn session(&self, row: &SshInstanceRow) -> Result<String, Fault> {
        let words = std::iter::once(program()?).chain(self.session_words(row, &self.port.to_string()));
        let quoted = words.map(|word| match word.contains(['\'', '\n']) {
            true => Err(Fault::new(Code::Usage, "the name of the profile cannot stand in a setting of ssh")),
            false => Ok(format!("'{}'", word.replace('%', "%%"))),
        });
        Ok(quoted.collect::<Result<Vec<_>, _>>()?.join(" "))
    }

    fn print_config(&self) -> Outcome {
        let mut words = vec![format!("'{}'", program()?.replace('%', "%%")), "ssh".to_owned()];
        let mut with = |name: &str, value: &Option<String>| -> Result<(), Fault> {
            let Some(value) = value else { return Ok(()) };
            if value.contains(['\'', '\n']) {
                return Err(Fault::new(Code::Usage, format!("the value of {name} cannot stand in a file of ssh")));
            }
            words.push(format!("{name}='{}'", value.replace('%', "%%")));
            Ok(())
        };
        with("--profile", &self.profile)?;
        with("--region", &self.region.as_ref().map(Region::to_string))?;
        with("--key", &self.key)?;
        for (name, given) in [("--private", self.private), ("--session-manager", self.session_manager)] {
            if given {
                words.push(name.to_owned());
            }
        }
        words.extend(["--port=%p".to_owned(), "--proxy='%r@%n'".to_owned()]);
        let mut page = format!("\nHost i-*\n    User {DEFAULT_USER}\n    ProxyCommand {}\n", words.join(" "));
        for (name, value) in common()? {
            page.push_str(&format!("    {name} {value}\n"));
        }
        ui::data(page.as_bytes())
    }

    /// Between ssh and the instance, byte for byte.
    fn proxy(&self, destination: &str) -> Outcome {
        self.look_up_plugin()?;
        let (_, row) = self.ask(destination, SshLogin::Parent)?;
        if self.session_manager {
            let error = Command::new(program()?).args(self.session_words(&row, &self.port.to_string())).exec();
            return Err(Fault::new(Code::Internal, format!("claviger cannot be run: {error}")).into());
        }
        let unreachable = |why: &str| {
            let message = format!("{} does not answer at {} port {}: {why}", row.id, Label(&row.address), self.port);
            Failure::from(Fault::new(Code::InstanceUnreachable, message))
        };
        let address: IpAddr = row.address.parse().map_err(|_| unreachable("that is no IP address"))?;
        let address = SocketAddr::new(address, self.port);
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(CONNECT_SECONDS))
            .map_err(|error| unreachable(&error.to_string()))?;
        let failed = |error: io::Error| unreachable(&error.to_string());
        stream.set_nodelay(true).map_err(failed)?;
        shuttle(stream).map_err(failed)
    }
}

/// This program, by a path that can stand in a setting of ssh.
fn program() -> Result<String, Fault> {
    let path = std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
    let path = path.filter(|path| !path.contains(['\'', '"', '\\', '$', '\n']));
    path.ok_or_else(|| Fault::new(Code::Usage, "the path of claviger cannot stand in a setting of ssh"))
}

/// What holds of every instance, by the names of ssh_config(5).
fn common() -> Result<[(&'static str, String); 9], Failure> {
    let host_key = format!("{} ssh --host-key={}", quoted(Path::new(&program()?))?, host_key::TOKENS);
    Ok([
        // OpenSSH before 8.5 does not know it.
        ("IgnoreUnknown", "KnownHostsCommand".to_owned()),
        ("KnownHostsCommand", host_key),
        ("HashKnownHosts", "no".to_owned()),
        ("IdentityAgent", quoted(Path::new(&socket()?))?),
        ("IdentityFile", "none".to_owned()),
        ("IdentitiesOnly", "no".to_owned()),
        ("UserKnownHostsFile", quoted(&paths()?.known_instances_file())?),
        ("StrictHostKeyChecking", "accept-new".to_owned()),
        ("UpdateHostKeys", "no".to_owned()),
    ])
}

/// A path as ssh_config(5) reads it: quoted, it may hold spaces; a percent sign begins a token.
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.contains(['"', '\n', '\\', '$']));
    let text = text.ok_or_else(|| Fault::new(Code::Usage, "the path of a file cannot stand in a setting of ssh"))?;
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

/// The user and the instance, as ssh takes them apart.
fn split(destination: &str) -> (&str, &str) {
    destination.rsplit_once('@').unwrap_or((DEFAULT_USER, destination))
}

/// What stands before the command of ssh's arguments, and the command.
fn options_of(arguments: &[OsString]) -> (&[OsString], &[OsString]) {
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        match word.as_encoded_bytes() {
            b"--" => {
                let after = arguments.get(at.saturating_add(1)..).unwrap_or_default();
                return (arguments.get(..at).unwrap_or_default(), after);
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                let first = letters.iter().position(|letter| WITH_VALUE.as_bytes().contains(letter));
                // The value is what follows the letter, else the next word.
                let takes_next = first.is_some_and(|first| first.saturating_add(1) == letters.len());
                at = at.saturating_add(if takes_next { 2 } else { 1 });
            }
            _ => break,
        }
    }
    arguments.split_at(at.min(arguments.len()))
}

/// Until the instance has said all: ssh, which reads it, ends when it likes.
fn shuttle(stream: TcpStream) -> io::Result<()> {
    let mut input = File::from(rustix::io::dup(rustix::stdio::stdin())?);
    let mut output = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    let (mut to_instance, mut from_instance) = (stream.try_clone()?, stream);
    std::thread::spawn(move || {
        let _ = pass(&mut input, &mut to_instance);
        let _ = to_instance.shutdown(Shutdown::Write);
    });
    match pass(&mut from_instance, &mut output) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// All of it, each piece as it comes. Not io::copy: it splices, and Linux holds back the end of what is spliced into TCP.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use super::{options_of, quoted, split};
    use std::ffi::OsString;
    use std::path::Path;

    #[test]
    fn options_end_where_the_command_begins() {
        for (line, options) in [
            ("", 0),
            ("uptime -s", 0),
            ("-v uptime", 1),
            ("-vA -p 2222 uptime -s", 3),
            ("-L 1:h:2 -o User=x", 4),
            ("-L1:h:2 ls", 1),
            ("-tp 22 ls -l", 2),
            ("-p", 1),
            ("-", 0),
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let (found, command) = options_of(&words);
            assert_eq!((found.len(), command.len()), (options, words.len() - options), "{line}");
        }
        let words = ["-v", "--", "-x"].map(OsString::from);
        assert_eq!(options_of(&words), (&words[..1], &words[2..]));
    }

    #[test]
    fn destinations_and_paths_are_as_ssh_has_them() {
        assert_eq!(split("web"), ("ec2-user", "web"));
        assert_eq!(split("a@b@i-1"), ("a@b", "i-1"));
        assert_eq!(quoted(Path::new("/a b/50%")).ok().as_deref(), Some("\"/a b/50%%\""));
        assert!(quoted(Path::new("/a\"b")).is_err());
    }
}
