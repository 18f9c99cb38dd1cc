//! `claviger-load`: load on an agent's socket, and a bare server to compare it with.

use claviger_sandbox::load::{self, Ask, Kind, Load, Outcome, SshLoad, Stuck};
use serde_json::json;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str =
    "usage: claviger-load SOCKET --profile NAME [--clients N] [--requests N] [--connect-each] [--stuck N]
       claviger-load ssh SOCKET list|COMMENT [--clients N] [--requests N]
       claviger-load echo SOCKET [--bytes N]

The first asks for credentials that the agent holds already: so many clients (256), one request in flight each, so many
requests altogether (1000000); --connect-each makes a connection for each; --stuck adds clients that are in the way.
It prints one line of JSON: requests, errors, seconds, per_second, p50_us, p99_us, p999_us, max_us, answer_bytes,
server_cpu_seconds (or null), stuck, cut_off. Exit code 1 where there were errors.

The second asks an SSH agent for its list, or for signatures by the key of this comment. It prints the same.

The third is a bare server in the agent's place: a fixed line of N bytes (900) to each line. It prints `ready`, and
ends with its process.
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let run = match words.first().map(String::as_str) {
        Some("echo") => echo(words.get(1..).unwrap_or_default()),
        Some("ssh") => ssh(words.get(1..).unwrap_or_default()),
        Some(first) if !first.starts_with('-') => ask(&words),
        _ => Err(USAGE.to_owned()),
    };
    match run {
        Ok(code) => code,
        Err(message) => {
            let _ = writeln!(io::stderr(), "claviger-load: {message}");
            ExitCode::from(2)
        }
    }
}

/// The first word is the socket.
fn ask(words: &[String]) -> Result<ExitCode, String> {
    let mut words = words.iter();
    let socket = PathBuf::from(words.next().map(String::as_str).unwrap_or_default());
    let mut load = Load { socket, profile: String::new(), clients: 256, requests: 1_000_000, connect_each: false };
    let mut stuck = 0;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--profile" => load.profile.clone_from(value()?),
            "--clients" => load.clients = number(value()?)?,
            "--requests" => load.requests = number(value()?)? as u64,
            "--connect-each" => load.connect_each = true,
            "--stuck" => stuck = number(value()?)?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    let request = json!({"credentials": {"profile": load.profile, "wait": 60}}).to_string();
    let in_the_way = Stuck::start(&load.socket, stuck, &Kind::ALL, &request).map_err(|error| error.to_string())?;
    let outcome = load.run().map_err(|error| error.to_string())?;
    tell(&outcome, stuck, in_the_way.cut_off())
}

fn ssh(words: &[String]) -> Result<ExitCode, String> {
    let [socket, ask, options @ ..] = words else { return Err(USAGE.to_owned()) };
    let ask = if ask == "list" { Ask::List } else { Ask::Sign(ask.clone()) };
    let mut load = SshLoad { socket: PathBuf::from(socket), ask, clients: 1, requests: 10_000 };
    for option in options.chunks(2) {
        match option {
            [word, value] if word == "--clients" => load.clients = number(value)?,
            [word, value] if word == "--requests" => load.requests = number(value)? as u64,
            _ => return Err(USAGE.to_owned()),
        }
    }
    tell(&load.run().map_err(|error| error.to_string())?, 0, 0)
}

fn tell(outcome: &Outcome, stuck: usize, cut_off: u64) -> Result<ExitCode, String> {
    let latencies = &outcome.latencies;
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let seconds = outcome.nanos as f64 / 1e9;
    let line = json!({
        "requests": latencies.count(),
        "errors": outcome.errors,
        "seconds": seconds,
        "per_second": outcome.per_second().round(),
        "p50_us": latencies.quantile_micros(0.5),
        "p99_us": latencies.quantile_micros(0.99),
        "p999_us": latencies.quantile_micros(0.999),
        "max_us": latencies.max_micros(),
        "answer_bytes": outcome.answer_bytes,
        "server_cpu_seconds": outcome.server_seconds,
        "stuck": stuck,
        "cut_off": cut_off,
    });
    print(&format!("{line}\n")).map_err(|error| error.to_string())?;
    Ok(if outcome.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn echo(words: &[String]) -> Result<ExitCode, String> {
    let (socket, bytes) = match words {
        [socket] => (socket, 900),
        [socket, option, bytes] if option == "--bytes" => (socket, number(bytes)?),
        _ => return Err(USAGE.to_owned()),
    };
    let ended = load::echo(socket.as_ref(), bytes, || print("ready\n"));
    ended.map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("no number: {text}"))
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}
