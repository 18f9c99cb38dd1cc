//! Other agents behind this one: their identities are listed after its own, in the order of `[ssh] upstream`, and their
//! signatures passed through. Each is told of the connection's bindings, so that its own constraints hold; nothing is
//! ever added to it, removed from it or locked. One that is not there is passed over.

use super::Server;
use super::connection::Connection;
use super::record::Signature;
use crate::server::listen::{Way, path_of};
use crate::ssh::codec::{Frames, ListedIdentity, Reply, Upstream as Message};
use std::future::{Future, poll_fn};
use std::io;
use std::path::PathBuf;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// How long an agent may take to list what it has.
const LIST_MILLIS: u64 = 5_000;
/// How long it may take to sign: a person may be asked there, as long as here.
const SIGN_MILLIS: u64 = 120_000;
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

    /// Lists what it has; nothing where it is not there, or takes too long.
    async fn list(&mut self, bindings: &[Vec<u8>]) {
        self.listed.clear();
        let answer = self.ask(&Message::List.encode(), bindings).await;
        self.listed = answer.as_deref().and_then(Message::identities).unwrap_or_default();
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

impl Server {
    /// The other agents' sockets. Not this one's own: it would ask itself without end.
    pub(super) fn upstream_paths(&self) -> Vec<PathBuf> {
        let mut paths = self.config().ssh_upstream.clone();
        let own = self.succession.door(Way::Ssh).as_ref().and_then(|door| path_of(&door.socket));
        paths.retain(|path| own.as_ref() != Some(path));
        paths
    }
}

impl Connection {
    /// What the other agents list, in order. All are asked at once: one that hangs hides nobody else.
    pub(super) async fn upstream_identities(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        if self.upstream.is_empty() {
            return Vec::new();
        }
        let clock = self.door.world.clock.clone();
        let bindings = &self.bindings;
        let mut lists: Vec<_> =
            self.upstream.iter_mut().map(|upstream| Some(Box::pin(upstream.list(bindings)))).collect();
        let all = poll_fn(|context| {
            for list in &mut lists {
                if list.as_mut().is_some_and(|list| list.as_mut().poll(context).is_ready()) {
                    *list = None;
                }
            }
            if lists.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = all => {}
            () = clock.sleep_until(clock.boot().plus_millis(LIST_MILLIS)) => {
                tracing::info!("an upstream agent took too long to list its keys");
            }
        }
        drop(lists);
        self.upstream.iter().flat_map(|upstream| upstream.listed.clone()).collect()
    }

    /// Has the first agent sign that lists the key.
    pub(super) async fn sign_upstream(
        &mut self,
        blob: &[u8],
        data: &[u8],
        flags: u32,
        signature: &mut Signature<'_>,
    ) -> Vec<u8> {
        let knows = |upstream: &Upstream| upstream.listed.iter().any(|(listed, _)| listed == blob);
        if !self.upstream.iter().any(knows) {
            self.upstream_identities().await;
        }
        if let Some(at) = self.upstream.iter().position(knows)
            && let Some(upstream) = self.upstream.get_mut(at)
        {
            let comment = upstream.listed.iter().find(|(listed, _)| listed == blob).map(|(_, comment)| comment);
            signature.called(comment.map_or(&[], Vec::as_slice));
            let message = Message::Sign { key: blob, data, flags }.encode();
            let clock = self.door.world.clock.clone();
            let answer = tokio::select! {
                biased;
                answer = upstream.ask(&message, &self.bindings) => answer,
                () = clock.sleep_until(clock.boot().plus_millis(SIGN_MILLIS)) => None,
            };
            if let Some(made) = answer.as_deref().and_then(Message::signature).filter(|_| !self.is_locked()) {
                self.record(blob, signature, None);
                self.touch();
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
