//! The roof: builds the rooms from the machine as it is, serves, and stops.

use crate::audit::Journal;
use crate::aws::{AwsEdge, AwsFiles, EndpointRules, HyperHttp, LazyHttp, Unplugged};
use crate::config::ConfigSource;
use crate::device::{Devices, HELPER};
use crate::harden;
use crate::keyring::SecretService;
use crate::logind::{Logind, SYSTEM_BUS};
use crate::prompt::{Programs, Prompts};
use crate::server::listen::{Activated, OneServer, Socket, Way};
use crate::server::succession::{self, Packet, Predecessor, Program, Succession};
use crate::server::{RecordAnchor, Rooms, Server, Settings};
use crate::session::{Hardware, Office};
use crate::source::{Sources, Spawner};
use crate::vault::{AuditHead, Custody};
use crate::world::{Defence, SessionBus, World};
use claviger::paths::Paths;
use claviger::wire::{Code, Fault};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// A log longer than this begins anew at the next start.
const LOG_LIMIT: u64 = 4 * 1024 * 1024;
/// Threads of the runtime: one may be in a short disk write while the other answers.
const THREADS: usize = 2;

/// How the agent was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launch {
    /// By systemd or a person: logs to stderr.
    Foreground,
    /// By a client: leaves its terminal, logs to a file, says `ready` on stdout.
    Detached,
}

/// Whose place the agent takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Birth {
    /// Nobody's.
    Fresh,
    /// That of the agent that started it.
    Successor,
}

/// Serves until it is told to stop. The exit code is 0 also where another agent serves already.
pub fn run(launch: Launch, birth: Birth, program: Program) -> ExitCode {
    if launch == Launch::Detached || birth == Birth::Successor {
        harden::close_inherited();
    }
    let mut predecessor = match birth {
        Birth::Fresh => None,
        Birth::Successor => match Predecessor::meet() {
            Ok(predecessor) => Some(predecessor),
            Err(error) => {
                tell(launch, &format!("claviger-agent: --successor is for the agent itself to use: {error}\n"));
                return ExitCode::from(2);
            }
        },
    };
    let ended = match &predecessor {
        None => prepare(launch).and_then(|prepared| {
            let fresh = |(prepared, one, sockets)| serve(prepared, program, Place::Fresh(one, sockets));
            prepared.map_or(Ok(Word::AlreadyServing), fresh)
        }),
        Some(_) => prepare_place(launch).and_then(|prepared| serve(prepared, program, Place::Of(&mut predecessor))),
    };
    match ended {
        Ok(Word::AlreadyServing) => {
            tell(launch, "already serving\n");
            ExitCode::SUCCESS
        }
        Ok(Word::Stopped) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!(%fault, "not started");
            match (&predecessor, launch, serde_json::to_string(&fault)) {
                (Some(predecessor), ..) => predecessor.failed(&fault),
                (None, Launch::Detached, Ok(line)) => tell(launch, &format!("{line}\n")),
                _ => tell(launch, &format!("claviger-agent: {fault}\n")),
            }
            ExitCode::from(u8::try_from(fault.exit() as i32).unwrap_or(1))
        }
    }
}

enum Word {
    AlreadyServing,
    Stopped,
}

struct Prepared {
    launch: Launch,
    paths: Paths,
    settings: Settings,
    world: World,
}

/// Where socket and lock come from.
enum Place<'a> {
    /// Nobody's; with the sockets that systemd passed.
    Fresh(OneServer, Option<Activated>),
    /// Gone once this process serves.
    Of(&'a mut Option<Predecessor>),
}

fn failed(what: &str, error: &dyn std::error::Error) -> Fault {
    Fault::new(Code::AgentStartFailed, format!("{what}: {error}"))
}

/// None where another agent serves already.
fn prepare(launch: Launch) -> Result<Option<(Prepared, OneServer, Option<Activated>)>, Fault> {
    let (world, paths) = find_place(launch)?;
    let activated = harden::activated_sockets().and_then(Activated::sort);
    let activated = activated.map_err(|error| failed("socket activation", &error))?;
    let one = match &activated {
        Some(sockets) => OneServer::lock_for(&sockets.control, &paths).map(Some),
        None => OneServer::lock(&paths),
    };
    let Some(one) = one.map_err(|error| failed(&paths.lock_file().display().to_string(), &error))? else {
        return Ok(None);
    };
    let settings = read_settings(&world, &paths)?;
    Ok(Some((Prepared { launch, paths, settings, world }, one, activated)))
}

/// For a successor, which will be given the lock.
fn prepare_place(launch: Launch) -> Result<Prepared, Fault> {
    let (world, paths) = find_place(launch)?;
    let settings = read_settings(&world, &paths)?;
    Ok(Prepared { launch, paths, settings, world })
}

fn find_place(launch: Launch) -> Result<(World, Paths), Fault> {
    let world = World::real();
    let paths = Paths::find(|name| std::env::var(name).ok(), uid())
        .ok_or_else(|| Fault::new(Code::AgentStartFailed, "neither HOME nor CLAVIGER_HOME is an absolute path"))?;
    world.disk.create_private_folder(&paths.data).map_err(|error| failed(&paths.data.display().to_string(), &error))?;
    if launch == Launch::Detached {
        // Already a leader where a supervisor made it one; then there is no terminal to leave.
        let _ = rustix::process::setsid();
    }
    begin_log(launch, &paths).map_err(|error| failed("the log", &error))?;
    Ok((world, paths))
}

fn read_settings(world: &World, paths: &Paths) -> Result<Settings, Fault> {
    let file = paths.config_file();
    let source = ConfigSource::new(world.clone(), file.clone(), paths.home.clone());
    Settings::read(source, world.clock.clone())
        .map_err(|mistake| Fault::new(Code::ConfigInvalid, format!("{}: {mistake}", file.display())))
}

fn begin_log(launch: Launch, paths: &Paths) -> std::io::Result<()> {
    let level = if Defence::QuietLog.stands() { tracing::Level::INFO } else { tracing::Level::TRACE };
    let log = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
    match launch {
        Launch::Foreground => log.with_writer(std::io::stderr).init(),
        Launch::Detached => log.with_writer(Mutex::new(open_log(&paths.log_file())?)).init(),
    }
    Ok(())
}

fn open_log(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    // NONBLOCK: a FIFO in the log's place must not hang the agent.
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.len() > LOG_LIMIT {
        file.set_len(0)?;
    }
    Ok(file)
}

fn serve(prepared: Prepared, program: Program, place: Place<'_>) -> Result<Word, Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(|error| failed("the runtime", &error))?;
    runtime.block_on(serve_until_stopped(prepared, program, place))
}

async fn serve_until_stopped(prepared: Prepared, program: Program, place: Place<'_>) -> Result<Word, Fault> {
    let Prepared { launch, paths, settings, world } = prepared;
    let (mut terminate, mut interrupt) = (stop_signal(SignalKind::terminate())?, stop_signal(SignalKind::interrupt())?);
    let (predecessor, socket, passed, mut one, packets) = match place {
        Place::Fresh(one, activated) => {
            let (socket, ssh) = first_sockets(activated, &paths, &world)?;
            (None, socket, ssh, one, Vec::new())
        }
        Place::Of(predecessor) => {
            let (socket, ssh, one, packets) = take_place(predecessor.as_ref())?;
            (Some(predecessor), socket, ssh, one, packets)
        }
    };
    // Without it the rest of the agent still serves.
    let ssh = passed.map_or_else(|| Socket::bind(Way::Ssh, &paths, &*world.disk), Ok);
    let lock = one.second().map_err(|error| failed("the lock", &error))?;
    let server = build(world, settings, &paths, Succession::new(program, lock, launch == Launch::Detached))?;
    let endpoints = server.inherit(packets)?;
    if let Some(Some(predecessor)) = &predecessor {
        predecessor.wait_for_turn().map_err(|error| failed("the agent before", &error))?;
    }
    server.endpoints.take_over(&server, endpoints);
    server.endpoints.sweep();
    let stopper = server.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopper.stop();
    });
    tokio::spawn(server.clone().watch_idle());
    tokio::spawn(server.clone().watch_sleep());
    let logind = Logind::new(Path::new(SYSTEM_BUS), uid(), server.world.clock.clone());
    tokio::spawn(server.clone().watch_desktop(logind));
    tokio::spawn(server.journal.clone().keep_flushed());
    tokio::spawn(server.ssh.clone().reap());
    let ssh = match ssh {
        Ok(ssh) => {
            let (serving, paths) = (server.clone(), paths.clone());
            Some(tokio::spawn(async move { ssh.accept(serving, &paths).await }))
        }
        Err(fault) => {
            tracing::warn!(%fault, "no SSH agent");
            None
        }
    };
    one.serving();
    tracing::info!(version = claviger::VERSION, "serving");
    match predecessor.and_then(Option::take) {
        None => drop(sd_notify::notify(&[sd_notify::NotifyState::Ready])),
        Some(predecessor) => predecessor.serving(),
    }
    if launch == Launch::Detached {
        tell(launch, "ready\n");
        leave_standard_streams().map_err(|error| failed("the standard streams", &error))?;
    }
    // In a task: the thread that waits here is none of the runtime's, and would have to be woken for each connection.
    let serving = server.clone();
    drop(tokio::spawn(async move { socket.accept(serving, &paths).await }).await);
    if let Some(ssh) = ssh {
        drop(ssh.await);
    }
    if !server.is_handed_over() {
        drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
    }
    server.drain().await;
    tracing::info!("stopped");
    drop(one);
    Ok(Word::Stopped)
}

/// The socket of an agent that takes nobody's place, and that of its SSH agent where systemd passed one.
fn first_sockets(
    activated: Option<Activated>,
    paths: &Paths,
    world: &World,
) -> Result<(Socket, Option<Socket>), Fault> {
    let inherited = |way, socket| Socket::inherited(way, socket).map_err(|error| failed("socket activation", &error));
    match activated {
        Some(Activated { control, ssh }) => {
            Ok((inherited(Way::Control, control)?, ssh.map(|socket| inherited(Way::Ssh, socket)).transpose()?))
        }
        None => Ok((Socket::bind(Way::Control, paths, &*world.disk)?, None)),
    }
}

/// What an agent before has passed: its socket, that of its SSH agent, its lock, and the rest.
type Passed = (Socket, Option<Socket>, OneServer, Vec<Packet>);

fn take_place(predecessor: Option<&Predecessor>) -> Result<Passed, Fault> {
    let received = predecessor.map(Predecessor::receive).transpose();
    let mut packets = received.map_err(|error| failed("the agent before", &error))?.unwrap_or_default();
    let mut take = |name: &str| {
        let at = packets.iter().position(|packet| packet.name == name && packet.descriptor.is_some())?;
        let packet = packets.remove(at);
        Some((packet.descriptor?, packet.bytes))
    };
    let missing = |name: &str| Fault::new(Code::AgentStartFailed, format!("the agent before passed no {name}"));
    let listening = |way, (socket, bound): (OwnedFd, Zeroizing<Vec<u8>>)| {
        let bound = (!bound.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(&bound)));
        Socket::passed_on(way, socket, bound).map_err(|error| failed("the socket", &error))
    };
    let socket = listening(Way::Control, take(succession::SOCKET).ok_or_else(|| missing(succession::SOCKET))?)?;
    // An older version has none.
    let ssh = take(succession::SSH_SOCKET).map(|passed| listening(Way::Ssh, passed)).transpose()?;
    let (lock, _) = take(succession::LOCK).ok_or_else(|| missing(succession::LOCK))?;
    Ok((socket, ssh, OneServer::inherited(lock), packets))
}

/// The rooms, from the ground up.
fn build(world: World, settings: Settings, paths: &Paths, succession: Succession) -> Result<Arc<Server>, Fault> {
    let (config, settings) = (settings.config(), Arc::new(settings));
    HyperHttp::find_trust_store().map_err(|error| failed("the system's trust store", &error))?;
    // Nothing is called before the vault has said what was accepted.
    let aws = AwsEdge::new(world.clone(), Arc::new(Unplugged), EndpointRules::default());
    let custody = Custody::new(world.clone(), paths.data.clone(), paths.state_file());
    let sources = sources(&world);
    // Nor is a program run to ask with.
    let prompts = Prompts::new(world.clock.clone(), Programs::default());
    let (known, edge, allowed, clock) = (settings.clone(), aws.clone(), sources.clone(), world.clock.clone());
    let asking = prompts.clone();
    custody.on_settings(move |pinned| {
        known.settle(pinned, &edge, &allowed, clock.clone());
        if let Some(in_force) = known.in_force() {
            asking.set_programs(Programs::of(&in_force.security.prompt, |name| std::env::var_os(name)));
        }
    });
    let keeper = custody.clone();
    let keep = move |head: crate::audit::Head, durable| {
        keeper.set_audit_head(AuditHead { seq: head.seq, mac: head.mac }, durable);
    };
    let journal = Journal::new(world.clone(), paths.audit_folder(), Box::new(keep));
    custody.set_anchors(paths.run.clone(), RecordAnchor(journal.clone()));
    let devices = Devices::new(world.clock.clone(), succession.beside(HELPER));
    let means = (sources, Hardware { devices, prompts: prompts.clone() });
    let office = Office::new(world.clone(), aws, custody.clone(), means, Server::limits(&config), journal.clone());
    let files = AwsFiles::new(
        world.clone(),
        config.aws_config_file.clone(),
        config.aws_credentials_file.clone(),
        paths.profiles_file(),
    );
    let bus = SessionBus::find(|name| std::env::var(name).ok(), uid());
    prompts.set_desktop(bus.clone());
    let keyring = Arc::new(SecretService::new(bus, world.clock.clone()));
    let run_folders = paths.run.clone();
    let home = paths.home.clone();
    let rooms = Rooms { settings, files, home, custody, office, keyring, journal, prompts, run_folders, succession };
    Ok(Server::new(world, rooms))
}

/// Sources are on this machine and its link: their network has neither proxy nor further certificates.
fn sources(world: &World) -> Sources {
    let runner = Spawner::new(world.clock.clone(), |name| std::env::var(name).ok());
    Sources::new(world.clone(), Arc::new(LazyHttp::new(world.clock.clone())), Arc::new(runner))
}

fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

fn stop_signal(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Fault> {
    signal(kind).map_err(|error| failed("signals", &error))
}

/// Gives the client's pipe back and holds none of its descriptors.
pub(crate) fn leave_standard_streams() -> std::io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// A word to whoever started the agent. Nobody may be listening any more.
fn tell(launch: Launch, text: &str) {
    drop(match launch {
        Launch::Detached => std::io::stdout().write_all(text.as_bytes()),
        Launch::Foreground => std::io::stderr().write_all(text.as_bytes()),
    });
}
