//! The roof: builds the rooms from the machine as it is, serves, and stops.

use crate::audit::Journal;
use crate::aws::{AwsEdge, AwsFiles, EndpointRules, HyperHttp};
use crate::config::Config;
use crate::harden;
use crate::server::Server;
use crate::server::listen::{OneServer, Socket};
use crate::session::{Limits, Office};
use crate::vault::{AuditHead, Custody};
use crate::world::World;
use claviger::paths::Paths;
use claviger::wire::{Code, Fault};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use tokio::signal::unix::{SignalKind, signal};

/// Longest config.toml: a thousand rules are far less.
const CONFIG_LIMIT: u64 = 1024 * 1024;
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

/// Serves until it is told to stop. The exit code is 0 also where another agent serves already.
pub fn run(launch: Launch) -> ExitCode {
    if launch == Launch::Detached {
        harden::close_inherited();
    }
    match prepare(launch).and_then(|prepared| prepared.map_or(Ok(Word::AlreadyServing), serve)) {
        Ok(Word::AlreadyServing) => {
            tell(launch, "already serving\n");
            ExitCode::SUCCESS
        }
        Ok(Word::Stopped) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!(%fault, "not started");
            match (launch, serde_json::to_string(&fault)) {
                (Launch::Detached, Ok(line)) => tell(launch, &format!("{line}\n")),
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
    config: Config,
    world: World,
    one: OneServer,
}

fn failed(what: &str, error: &dyn std::error::Error) -> Fault {
    Fault::new(Code::AgentStartFailed, format!("{what}: {error}"))
}

fn prepare(launch: Launch) -> Result<Option<Prepared>, Fault> {
    let world = World::real();
    let uid = rustix::process::getuid().as_raw();
    let paths = Paths::find(|name| std::env::var(name).ok(), uid)
        .ok_or_else(|| Fault::new(Code::AgentStartFailed, "neither HOME nor CLAVIGER_HOME is an absolute path"))?;
    world.disk.create_private_folder(&paths.data).map_err(|error| failed(&paths.data.display().to_string(), &error))?;
    if launch == Launch::Detached {
        // Already a leader where a supervisor made it one; then there is no terminal to leave.
        let _ = rustix::process::setsid();
    }
    begin_log(launch, &paths).map_err(|error| failed("the log", &error))?;
    let Some(one) =
        OneServer::lock(&paths).map_err(|error| failed(&paths.lock_file().display().to_string(), &error))?
    else {
        return Ok(None);
    };
    let config = read_config(&world, &paths)?;
    Ok(Some(Prepared { launch, paths, config, world, one }))
}

fn read_config(world: &World, paths: &Paths) -> Result<Config, Fault> {
    let file = paths.config_file();
    let invalid = |what: String| Fault::new(Code::ConfigInvalid, format!("{}: {what}", file.display()));
    let bytes = world.disk.read_linked(&file, CONFIG_LIMIT).map_err(|error| invalid(error.to_string()))?;
    let text = bytes.map(String::from_utf8).transpose().map_err(|_| invalid("not UTF-8".to_owned()))?;
    Config::resolve(text.as_deref(), &paths.home).map_err(|error| invalid(error.to_string()))
}

fn begin_log(launch: Launch, paths: &Paths) -> std::io::Result<()> {
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false);
    match launch {
        Launch::Foreground => log.with_writer(std::io::stderr).init(),
        Launch::Detached => log.with_writer(Mutex::new(open_log(&paths.log_file())?)).init(),
    }
    Ok(())
}

fn open_log(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.len() > LOG_LIMIT {
        file.set_len(0)?;
    }
    Ok(file)
}

fn serve(prepared: Prepared) -> Result<Word, Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(|error| failed("the runtime", &error))?;
    runtime.block_on(serve_until_stopped(prepared))
}

async fn serve_until_stopped(prepared: Prepared) -> Result<Word, Fault> {
    let Prepared { launch, paths, config, world, mut one } = prepared;
    let inherited = harden::activated_socket().map_err(|error| failed("socket activation", &error))?;
    let socket = match inherited {
        Some(socket) => Socket::inherited(socket).map_err(|error| failed("socket activation", &error))?,
        None => Socket::bind(&paths, &*world.disk)?,
    };
    let server = build(world, config, &paths)?;
    let (mut terminate, mut interrupt) = (stop_signal(SignalKind::terminate())?, stop_signal(SignalKind::interrupt())?);
    let stopper = server.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopper.stop();
    });
    tokio::spawn(server.clone().watch_idle());
    tokio::spawn(server.journal.clone().keep_flushed());
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    one.serving();
    tracing::info!(version = claviger::VERSION, "serving");
    if launch == Launch::Detached {
        tell(launch, "ready\n");
        leave_standard_streams().map_err(|error| failed("the standard streams", &error))?;
    }
    socket.accept(server.clone(), &paths).await;
    drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
    server.drain().await;
    tracing::info!("stopped");
    drop(one);
    Ok(Word::Stopped)
}

/// The rooms, from the ground up.
fn build(world: World, config: Config, paths: &Paths) -> Result<Arc<Server>, Fault> {
    let security = &config.security;
    let rules = EndpointRules::new(
        &security.endpoints_allowed,
        security.sts_endpoint.as_deref(),
        security.iam_endpoint.as_deref(),
    );
    let rules = rules.map_err(|error| Fault::new(Code::ConfigInvalid, format!("[endpoints]: {error}")))?;
    let http = HyperHttp::new(world.clock.clone()).map_err(|error| failed("the system's trust store", &error))?;
    let aws = AwsEdge::new(world.clone(), Arc::new(http), rules);
    let custody = Custody::new(world.clone(), paths.data.clone(), paths.state_file());
    let limits = Limits {
        presence_millis: config.presence_millis,
        session_seconds: config.session_seconds,
        region: config.region.clone(),
    };
    let keeper = custody.clone();
    let keep = move |head: crate::audit::Head, durable| {
        keeper.set_audit_head(AuditHead { seq: head.seq, mac: head.mac }, durable);
    };
    let journal = Journal::new(world.clone(), paths.audit_folder(), Box::new(keep));
    let office = Office::new(world.clone(), aws, custody.clone(), limits, journal.clone());
    let files = AwsFiles::new(
        world.clone(),
        config.aws_config_file.clone(),
        config.aws_credentials_file.clone(),
        paths.profiles_file(),
    );
    Ok(Server::new(world, (config, paths.config_file()), files, custody, office, journal))
}

fn stop_signal(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Fault> {
    signal(kind).map_err(|error| failed("signals", &error))
}

/// Gives the client's pipe back and holds none of its descriptors.
fn leave_standard_streams() -> std::io::Result<()> {
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
