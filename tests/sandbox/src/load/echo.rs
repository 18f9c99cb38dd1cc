//! The bare server that the agent is measured against: it reads lines and writes lines, and does nothing else.

use std::io;
use std::path::Path;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Threads, as many as the agent's runtime has.
const THREADS: usize = 2;
const HELLO: &[u8] = b"{\"id\":1,\"hello\":{\"protocol\":1,\"agent\":\"echo/0\"}}\n";
const BEFORE: &str = "{\"id\":2,\"reply\":{\"credentials\":\"";
const AFTER: &str = "\"}}\n";

/// Answers the first line of each connection by a greeting, and every other one by a line of so many bytes. `ready` is
/// called once it listens; ends with the process.
pub fn echo(socket: &Path, bytes: usize, ready: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let filler = "x".repeat(bytes.saturating_sub(BEFORE.len() + AFTER.len()));
    let answer: &'static [u8] = format!("{BEFORE}{filler}{AFTER}").into_bytes().leak();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(async {
        let listener = UnixListener::bind(socket)?;
        ready()?;
        // In a task, like the agent's connections: the thread that waits here is none of the two.
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(serve(stream, answer));
            }
        })
        .await?
    })
}

async fn serve(mut stream: UnixStream, answer: &'static [u8]) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let (mut reader, mut line, mut next) = (BufReader::new(reader), Vec::new(), HELLO);
    while reader.read_until(b'\n', &mut line).await? > 0 {
        writer.write_all(next).await?;
        next = answer;
        line.clear();
    }
    Ok(())
}
