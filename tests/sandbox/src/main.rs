//! `claviger-sandbox`: the double on a port of 127.0.0.1, until stdin closes or a signal comes.

mod pushed_keys;

use claviger_sandbox::{Sandbox, Seed, SeedInstance, SeedKeyOrigin, serve};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

const USAGE: &str = "usage: claviger-sandbox [--port PORT] [--seed-file FILE.json]
       claviger-sandbox pushed-keys ENDPOINT INSTANCE USER

Serves a double of AWS STS, IAM, EC2 and EC2 Instance Connect on 127.0.0.1 and prints one line of JSON that says where,
and without a seed file whom to play. Ends when stdin closes. Nothing in it is real.

pushed-keys prints the keys that were pushed to an instance for a user, for sshd's AuthorizedKeysCommand.
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["pushed-keys", endpoint, instance, user] => {
            pushed_keys::ask(endpoint, instance, user).and_then(|keys| print(&keys))
        }
        _ => Options::read(words.into_iter()).and_then(|options| options.map_or_else(help, run)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "claviger-sandbox: {message}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    port: u16,
    seed_file: Option<PathBuf>,
}

impl Options {
    /// None where help was asked for.
    fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self { port: 0, seed_file: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--port" => options.port = value()?.parse().map_err(|_| "a port is 0 to 65535".to_owned())?,
                "--seed-file" => options.seed_file = Some(value()?.into()),
                _ => return Err(format!("unknown option\n\n{USAGE}")),
            }
        }
        Ok(Some(options))
    }
}

fn help() -> Result<(), String> {
    print(USAGE)
}

fn run(options: Options) -> Result<(), String> {
    let seed = match &options.seed_file {
        Some(path) => read_seed(path)?,
        None => Seed::demo(random()?),
    };
    let sandbox = Sandbox::new(Box::new(wall_millis), &seed).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        // Before the line is printed: whoever reads it may signal at once.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let mut line = json!({"endpoint": format!("http://{address}")});
        if options.seed_file.is_none() {
            introduce(&mut line, &seed);
        }
        print(&format!("{line}\n"))?;
        tokio::select! {
            ended = serve(listener, sandbox) => ended.map_err(|error| error.to_string()),
            _ = stdin_closed() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    })
}

/// Adds who is who in the demo world.
fn introduce(line: &mut serde_json::Value, seed: &Seed) {
    let Some(fields) = line.as_object_mut() else { return };
    let role = |name: &str| format!("arn:aws:iam::{}:role/{name}", seed.account);
    let roles: serde_json::Map<_, _> =
        seed.roles.iter().map(|made| (made.name.clone(), json!(role(&made.name)))).collect();
    fields.insert("account".to_owned(), json!(seed.account));
    fields.insert("region".to_owned(), json!("us-east-1"));
    fields.insert("roles".to_owned(), json!(roles));
    fields.insert("external_id".to_owned(), json!("partner-42"));
    let named = |instance: &SeedInstance| Some((instance.name.clone()?, json!(instance.id)));
    let instances: serde_json::Map<_, _> = seed.instances.iter().filter_map(named).collect();
    fields.insert("instances".to_owned(), json!(instances));
    let windows = seed.instances.iter().find_map(|instance| instance.windows_password.as_ref());
    fields.insert("windows_password".to_owned(), json!(windows));
    if let Some(pair) = seed.key_pairs.first() {
        fields.insert("key_pair".to_owned(), json!(pair.name));
        if let SeedKeyOrigin::Created(pem) = &pair.origin {
            fields.insert("key_pair_private".to_owned(), json!(pem));
        }
    }
    let Some(user) = seed.users.first() else { return };
    fields.insert("user".to_owned(), json!(user.name));
    fields.insert("user_arn".to_owned(), json!(format!("arn:aws:iam::{}:user/{}", seed.account, user.name)));
    fields.insert("password".to_owned(), json!(user.password));
    if let Some(key) = user.access_keys.first() {
        fields.insert("access_key_id".to_owned(), json!(key.id));
        fields.insert("secret_access_key".to_owned(), json!(key.secret));
    }
    if let Some(device) = user.mfa_devices.first() {
        fields.insert("mfa_serial".to_owned(), json!(seed.mfa_serial(&device.name)));
        fields.insert("mfa_seed".to_owned(), json!(device.seed));
    }
}

fn read_seed(path: &Path) -> Result<Seed, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // The place only: the file holds secrets, if made-up ones.
    let place = |error: serde_json::Error| {
        format!("{}: line {} column {} is not as expected", path.display(), error.line(), error.column())
    };
    serde_json::from_slice(&text).map_err(place)
}

fn random() -> Result<u64, String> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|error| error.to_string())?;
    Ok(u64::from_le_bytes(bytes))
}

fn wall_millis() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}

/// Returns once stdin is at its end. The thread that reads it ends with the process.
async fn stdin_closed() {
    let (closed, wait) = oneshot::channel();
    std::thread::spawn(move || {
        let mut sink = [0; 512];
        while matches!(std::io::stdin().read(&mut sink), Ok(count) if count > 0) {}
        let _ = closed.send(());
    });
    let _ = wait.await;
}

fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
}
