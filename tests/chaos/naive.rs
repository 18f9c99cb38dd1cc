//! A client as one writes it in an afternoon: it reads to the end, follows redirects, takes what looks like credentials.

use super::{ENDLESS, split};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What an answer did to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// It has these credentials, whole and right as far as it knows: id, secret, token and end.
    Credentials([String; 4]),
    /// It would unpack what it was sent.
    Inflates,
    /// It took all of an answer without end.
    Flooded,
    /// It sent the request elsewhere.
    Followed,
    /// It would wait for ever.
    Hangs,
    /// It has nothing, and tells nobody why.
    Nothing,
}

/// Sends a request as it is; `patience` is what a test waits until it says that a client waits for ever.
pub(crate) fn naive(address: SocketAddr, request: &[u8], patience: Duration) -> Harm {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(patience)).expect("a timeout");
    stream.write_all(request).expect("sent");
    let (mut answer, mut taken, mut piece) = (Vec::new(), 0_u64, vec![0; 1 << 20]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => {
                taken += u64::try_from(read).unwrap_or(u64::MAX);
                if answer.len() < 1 << 20 {
                    answer.extend_from_slice(piece.get(..read).unwrap_or_default());
                }
                if taken >= ENDLESS {
                    return Harm::Flooded;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Harm::Hangs,
            Err(_) => break,
        }
    }
    let head = String::from_utf8_lossy(split(&answer).map_or(&[][..], |(head, _)| head)).to_ascii_lowercase();
    if let Some(to) = head.lines().find_map(|line| line.strip_prefix("location: http://")) {
        let to = to.trim_end_matches('/').parse().expect("an address");
        TcpStream::connect::<SocketAddr>(to).expect("a connection").write_all(request).expect("sent");
        return Harm::Followed;
    }
    if head.contains("content-encoding: gzip") {
        return Harm::Inflates;
    }
    let answer = String::from_utf8_lossy(&answer);
    let found = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"].map(|name| {
        let rest = answer.split_once(name).map_or("", |(_, rest)| rest.trim_start_matches(['>', '"', ':']));
        rest.split(['<', '"']).next().unwrap_or_default().to_owned()
    });
    if found.iter().all(String::is_empty) { Harm::Nothing } else { Harm::Credentials(found) }
}
