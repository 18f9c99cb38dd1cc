//! The double over HTTP/1.1.

use crate::control::http::{PREFIX, answer};
use crate::reply::response;
use crate::sandbox::{Answer, Sandbox};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// Serves a double on a listener until dropped. Ends only with the listener's own failure.
pub async fn serve(listener: TcpListener, sandbox: Sandbox) -> io::Result<()> {
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            // A client that gave up before it was accepted is no failure of the listener.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            // Too many connections: the next may fit once one of them ends.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                tokio::task::yield_now().await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let Ok(socket) = stream.as_fd().try_clone_to_owned().map(Arc::new) else { continue };
        let sandbox = sandbox.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| exchange(sandbox.clone(), socket.clone(), request));
            // An error here is a client that went away, or a fault that we made.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn exchange(sandbox: Sandbox, socket: Arc<OwnedFd>, request: Request<Incoming>) -> io::Result<Response<Reply>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return Ok(whole(response(413, "text/plain", "the body is larger than one MiB\n")));
    };
    let request = Request::from_parts(parts, body.to_bytes());
    if request.uri().path().starts_with(PREFIX) {
        return Ok(whole(answer(&sandbox, &request)));
    }
    if let Some(millis) = sandbox.delay(&request) {
        // Whoever releases what hangs releases this as well.
        let _ = tokio::time::timeout(Duration::from_millis(millis), sandbox.hang()).await;
    }
    match sandbox.answer(&request) {
        Answer::Reply(reply) => Ok(whole(reply)),
        Answer::Hang => {
            sandbox.hang().await;
            Ok(whole(sandbox.resume(&request)))
        }
        Answer::Mute(reply) => {
            sandbox.hang().await;
            Ok(whole(reply))
        }
        Answer::Reset => {
            // Without lingering, closing sends RST and not FIN.
            rustix::net::sockopt::set_socket_linger(socket.as_fd(), Some(Duration::ZERO))?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Answer::Truncated(mut reply, lacks) => {
            let length = (reply.body().len() + lacks).into();
            reply.headers_mut().insert(http::header::CONTENT_LENGTH, length);
            Ok(reply.map(|bytes| Reply { bytes: Some(bytes), lacks, flushed: false }))
        }
    }
}

fn whole(reply: Response<Bytes>) -> Response<Reply> {
    reply.map(|bytes| Reply { bytes: Some(bytes), lacks: 0, flushed: false })
}

/// A body that may end before its length says so.
struct Reply {
    bytes: Option<Bytes>,
    lacks: usize,
    flushed: bool,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.bytes.take() {
            Some(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            _ if self.lacks > 0 && !self.flushed => {
                // An error drops what hyper still holds; a pause lets it write that first.
                self.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ if self.lacks > 0 => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            _ => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let here = self.bytes.as_ref().map(Bytes::len).unwrap_or_default();
        SizeHint::with_exact(u64::try_from(here + self.lacks).unwrap_or(u64::MAX))
    }
}
