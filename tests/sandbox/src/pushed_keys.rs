//! `claviger-sandbox pushed-keys`: what sshd's AuthorizedKeysCommand asks, in place of EC2's metadata.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long sshd is kept waiting at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;

/// The keys that let this user into this instance now, a line each.
pub(crate) fn ask(endpoint: &str, instance: &str, user: &str) -> Result<String, String> {
    let address = endpoint.strip_prefix("http://").ok_or("the endpoint is http://ADDRESS:PORT")?.trim_end_matches('/');
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let question = format!(
        "GET /_sandbox/pushed-keys?instance={}&user={} HTTP/1.0\r\nHost: {address}\r\n\r\n",
        encoded(instance),
        encoded(user)
    );
    let answer = exchange(address, &question).map_err(|error| format!("{address}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the sandbox's answer ends too soon")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(format!("the sandbox answers {}", head.lines().next().unwrap_or_default())),
    }
}

fn exchange(address: &str, question: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_LIMIT).read_to_string(&mut answer)?;
    Ok(answer)
}
