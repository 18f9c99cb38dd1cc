//! Stands between the agent and STS: hears both, learns the secrets of the answers, and can answer itself.

use super::record::{Class, Place, Record};
use data_encoding::{BASE32_NOPAD, BASE64};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub(crate) struct Tap {
    pub(crate) address: String,
    /// What is answered to the next requests of an action instead of passing them on: action, status line, body.
    answers: Arc<Mutex<Vec<(String, String, String)>>>,
}

impl Tap {
    pub(crate) fn before(sandbox: &str, record: Arc<Record>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (answers, target) = (Arc::new(Mutex::new(Vec::new())), sandbox.to_owned());
        let ours = answers.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (record, answers, target) = (record.clone(), ours.clone(), target.clone());
                std::thread::spawn(move || while pass(&client, &target, &record, &answers).is_some() {});
            }
        });
        Self { address, answers }
    }

    /// The next request of this action is answered so.
    pub(crate) fn answer(&self, action: &str, status: &str, body: &str) {
        self.answers.lock().expect("answers").push((action.to_owned(), status.to_owned(), body.to_owned()));
    }

    /// Whether all those answers were given.
    pub(crate) fn is_idle(&self) -> bool {
        self.answers.lock().expect("answers").is_empty()
    }
}

/// One request and its answer. None at the end of the connection.
fn pass(
    client: &TcpStream,
    target: &str,
    record: &Record,
    answers: &Mutex<Vec<(String, String, String)>>,
) -> Option<()> {
    let request = message(client)?;
    record.keep(Place::Network, "a request", &request);
    let body = String::from_utf8_lossy(&request).into_owned();
    let body = body.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let parameter = |name: &str| url::form_urlencoded::parse(body.as_bytes()).find(|(key, _)| key == name);
    for (name, class) in [
        ("TokenCode", Class::Code),
        ("AuthenticationCode1", Class::Code),
        ("AuthenticationCode2", Class::Code),
        ("OldPassword", Class::Password),
        ("NewPassword", Class::Password),
    ] {
        if let Some((_, secret)) = parameter(name) {
            record.learn(class, secret.as_bytes());
        }
    }
    let action = parameter("Action").map(|(_, action)| action.into_owned()).unwrap_or_default();
    let scripted = {
        let mut answers = answers.lock().expect("answers");
        answers.iter().position(|(wanted, ..)| *wanted == action).map(|at| answers.remove(at))
    };
    let answer = match scripted {
        Some((_, status, body)) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n");
            (head + &body).into_bytes()
        }
        None => {
            let mut sandbox = TcpStream::connect(target).ok()?;
            sandbox.write_all(&request).ok()?;
            let answer = message(&sandbox)?;
            let text = String::from_utf8_lossy(&answer);
            let inside = |element: &str| {
                let rest = text.split_once(&format!("<{element}>")).map(|(_, rest)| rest)?;
                rest.split_once('<').map(|(inside, _)| inside)
            };
            let keys = if action == "CreateAccessKey" { Class::AccessKeySecret } else { Class::SessionSecret };
            for (element, class) in [("SecretAccessKey", keys), ("SessionToken", Class::SessionToken)] {
                if let Some(secret) = inside(element) {
                    record.learn(class, secret);
                }
            }
            // Text in base32, as a blob.
            if let Some(blob) = inside("Base32StringSeed") {
                let letters = BASE64.decode(blob.as_bytes()).expect("base64");
                record.learn(Class::Seed, BASE32_NOPAD.decode(&letters).expect("base32"));
                record.learn(Class::Seed, letters);
            }
            record.keep(Place::Network, "an answer", &answer);
            answer
        }
    };
    let mut client = client;
    client.write_all(&answer).ok()
}

/// A message of HTTP/1.1 with a Content-Length.
fn message(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some([head, body].concat())
}
