//! Being the agent: protected, on its socket, until a signal or the end of whom it serves.

use super::arguments::{Arguments, Child};
use super::launch::{self, Place, READY};
use super::{Error, say};
use crate::harden;
use crate::prompt::{Programs, Prompts};
use crate::run::leave_standard_streams;
use crate::server::listen::path_of;
use crate::server::ssh::{self, Door, Listening};
use crate::world::{World, ended};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Threads of the runtime: one may be at an RSA signature while the other answers.
const THREADS: usize = 2;
/// The program that asks people where `SSH_ASKPASS` names none (Debian's).
const ASKPASS: &str = "/usr/bin/ssh-askpass";
/// The exit code of an agent that a signal has ended, as OpenSSH's; that of one that systemd has started is 0.
const ENDED: u8 = 2;

/// What the agent is for.
struct Post {
    socket: OwnedFd,
    /// Removed at the end; None for a socket of systemd.
    place: Option<Place>,
    /// Ends with this process.
    parent: Option<OwnedFd>,
    lifetime: Option<u32>,
}

/// Serves in the foreground: on a socket of its own, or on the one that systemd passes.
pub(super) fn foreground(arguments: &Arguments, debug: bool) -> Result<ExitCode, Error> {
    if debug {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .init();
    }
    let passed = match arguments.socket {
        Some(_) => None,
        None => activated()?,
    };
    let (socket, place, path) = match passed {
        Some(socket) => {
            let path = path_of(&socket).unwrap_or_default();
            (socket, None, path)
        }
        None => {
            let place = Place::find(arguments.socket.as_deref())?;
            let socket = place.bind()?;
            let path = place.path.clone();
            (socket, Some(place), path)
        }
    };
    let programs = protect()?;
    let told = launch::told(arguments.shell, &path, None, std::process::id());
    let ready = || {
        say(&mut std::io::stdout(), &told);
    };
    serve(Post { socket, place, parent: None, lifetime: arguments.lifetime }, programs, ready)
}

/// The one socket that systemd passed.
fn activated() -> Result<Option<OwnedFd>, Error> {
    let one = |mut sockets: Vec<_>| match sockets.len() {
        0 | 1 => Ok(sockets.pop().map(|(socket, _)| socket)),
        _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "systemd passed more than one socket")),
    };
    harden::activated_sockets().and_then(one).map_err(Error::of("socket activation"))
}

/// Serves for the process that has started this one; its socket is the standard input.
pub(super) fn child(arguments: &Arguments, child: &Child) -> Result<ExitCode, Error> {
    // A script's lock file or pipe would stay open for as long as the agent lives.
    harden::close_inherited();
    let parent = child.parent.map(watched).transpose()?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(Error::of("the socket"))?;
    let programs = protect()?;
    // Already a leader where a supervisor made it one.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/").map_err(Error::of("/"))?;
    let place = Place { path: child.socket.clone(), own_folder: child.own_folder };
    serve(Post { socket, place: Some(place), parent, lifetime: arguments.lifetime }, programs, || {
        say(&mut std::io::stdout(), READY);
        drop(leave_standard_streams());
    })
}

/// A handle on the parent, if it still is that process.
fn watched(pid: i32) -> Result<OwnedFd, Error> {
    let parent = Pid::from_raw(pid).filter(|pid| getppid() == Some(*pid)).ok_or(Error::NotStarted)?;
    let handle = pidfd_open(parent, PidfdFlags::empty()).map_err(|errno| Error::of("the parent")(errno.into()))?;
    // It may have ended before the handle was there.
    if getppid() == Some(parent) { Ok(handle) } else { Err(Error::NotStarted) }
}

/// What may ask a person is read from the environment before that is cleared.
fn protect() -> Result<Programs, Error> {
    let askpass = std::env::var_os("SSH_ASKPASS").filter(|program| !program.is_empty()).map(PathBuf::from);
    let askpass = askpass.or_else(|| Some(PathBuf::from(ASKPASS)).filter(|program| program.is_file()));
    let environment = std::env::vars_os().collect();
    harden::protect().map_err(Error::of("this system does not let the agent protect itself"))?;
    Ok(Programs { pinentry: None, askpass, environment })
}

fn serve(post: Post, programs: Programs, ready: impl FnOnce()) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(Error::of("the runtime"))?;
    let activated = post.place.is_none();
    runtime.block_on(serve_until_ended(post, programs, ready))?;
    Ok(if activated { ExitCode::SUCCESS } else { ExitCode::from(ENDED) })
}

async fn serve_until_ended(post: Post, programs: Programs, ready: impl FnOnce()) -> Result<(), Error> {
    let listen = |kind| signal(kind).map_err(Error::of("signals"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let (mut hangup, mut forget) = (listen(SignalKind::hangup())?, listen(SignalKind::user_defined1())?);
    let Post { socket, place, parent, lifetime } = post;
    let socket = Listening::on(socket).map_err(Error::of("the socket"))?;
    let world = World::real();
    let home = std::env::var_os("HOME").map_or_else(|| "/".into(), PathBuf::from);
    let door = Door::new(world.clone(), home, Prompts::new(world.clock, programs), lifetime);
    tokio::spawn(ssh::keep(door.clone(), socket));
    tokio::spawn(door.clone().reap());
    let forgetting = door.clone();
    tokio::spawn(async move {
        while forget.recv().await.is_some() {
            forgetting.drop_keys();
        }
    });
    ready();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
        () = gone(parent) => {}
    }
    end(&door, place.as_ref());
    Ok(())
}

/// Returns once the parent has ended; never without one.
async fn gone(parent: Option<OwnedFd>) {
    match parent {
        Some(parent) => ended(parent).await,
        None => std::future::pending().await,
    }
}

fn end(door: &Arc<Door>, place: Option<&Place>) {
    door.drop_keys();
    if let Some(place) = place {
        drop(std::fs::remove_file(&place.path));
        place.clean();
    }
}
