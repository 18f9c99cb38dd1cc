//! Other agents behind this one: their identities are listed after its own, in the order of `[ssh] upstream`, and their
//! signatures passed through. Each is told of the connection's bindings, so that its own constraints hold; nothing is
//! ever added to it, removed from it or locked. One that is not there is passed over.

use super::connection::Connection;
use super::record::Signature;
use crate::ssh::codec::{Frames, ListedIdentity, Reply, Upstream as Message};
use std::io;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// How long an agent may take to list what it has, or to take a binding. A signature may wait for a person there.
const LIST_MILLIS: u64 = 5_000;
/// Bytes that are read at once.
const READ_BYTES: usize = 4096;

/// What a connection has of one other agent.
pub(super) struct Upstream {
    path: PathBuf,
    /// Open once it was needed; one for each connection here, so that bindings stay apart.
    stream: Option<UnixStream>,
    /// What it has listed, blob and comment.
    listed: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many of the connection's bindings it has been told.
    told: usize,
}

impl Upstream {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, stream: None, listed: Vec::new(), told: 0 }
    }

    /// Lists what it has; nothing where it is not there.
    async fn list(&mut self, bindings: &[Vec<u8>]) -> &[(Vec<u8>, Vec<u8>)] {
        let answer = self.ask(&Message::List.encode(), bindings).await;
        self.listed = answer.as_deref().and_then(Message::identities).unwrap_or_default();
        &self.listed
    }

    /// Its answer to a message, after it was told of all bindings. None where it is not there.
    async fn ask(&mut self, message: &[u8], bindings: &[Vec<u8>]) -> Option<Vec<u8>> {
        let answer = self.try_ask(message, bindings).await;
        if let Err(error) = &answer {
            tracing::info!(%error, path = %self.path.display(), "an upstream agent does not answer");
        }
        answer.ok()
    }

    async fn try_ask(&mut self, message: &[u8], bindings: &[Vec<u8>]) -> io::Result<Vec<u8>> {
        // Taken out meanwhile: who stops waiting, or fails, leaves no answer behind that another would take for theirs.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.told = 0;
                UnixStream::connect(&self.path).await?
            }
        };
        for binding in bindings.iter().skip(self.told) {
            // Whether it takes one is its own to judge: what it refuses, its own keys do not sign for.
            exchange(&mut stream, &Message::Extension(binding).encode()).await?;
            self.told = self.told.saturating_add(1);
        }
        let answer = exchange(&mut stream, message).await?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

async fn exchange(stream: &mut UnixStream, message: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(message).await?;
    let (mut frames, mut buffer) = (Frames::default(), Zeroizing::new([0; READ_BYTES]));
    loop {
        let count = stream.read(buffer.as_mut_slice()).await?;
        let mut read = buffer.get(..count).filter(|read| !read.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let frame = frames.take(&mut read).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        match frame {
            // It says nothing that it was not asked for.
            Some(frame) if read.is_empty() => return Ok(frame.to_vec()),
            Some(_) => return Err(io::ErrorKind::InvalidData.into()),
            None => {}
        }
    }
}

impl Connection {
    /// What the other agents list, in order.
    pub(super) async fn upstream_identities(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        let deadline = self.door.world.clock.boot().plus_millis(LIST_MILLIS);
        for upstream in &mut self.upstream {
            let clock = self.door.world.clock.clone();
            tokio::select! {
                listed = upstream.list(&self.bindings) => all.extend_from_slice(listed),
                () = clock.sleep_until(deadline) => {
                    tracing::info!("an upstream agent took too long to list its keys");
                }
            }
        }
        all
    }

    /// Has the first agent sign that lists the key.
    pub(super) async fn sign_upstream(
        &mut self,
        blob: &[u8],
        data: &[u8],
        flags: u32,
        signature: &Signature<'_>,
    ) -> Vec<u8> {
        let knows = |upstream: &Upstream| upstream.listed.iter().any(|(listed, _)| listed == blob);
        if !self.upstream.iter().any(knows) {
            self.upstream_identities().await;
        }
        if let Some(at) = self.upstream.iter().position(knows)
            && let Some(upstream) = self.upstream.get_mut(at)
        {
            let message = Message::Sign { key: blob, data, flags }.encode();
            let answer = upstream.ask(&message, &self.bindings).await;
            if let Some(made) = answer.as_deref().and_then(Message::signature) {
                self.record(blob, signature, None);
                return Reply::Signature(made).encode();
            }
        }
        tracing::info!("an SSH client asked to sign with a key that is not here, or refused upstream");
        Reply::Failure.encode()
    }
}

/// Own identities and those of others, each key once.
pub(super) fn joined<'a>(own: Vec<ListedIdentity<'a>>, upstream: &'a [(Vec<u8>, Vec<u8>)]) -> Vec<ListedIdentity<'a>> {
    let mut all = own;
    for (key, comment) in upstream {
        if all.iter().all(|listed| listed.key != key) {
            all.push(ListedIdentity { key, comment });
        }
    }
    all
}
