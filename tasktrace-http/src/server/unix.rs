//! Listens on a Unix socket, for the clients of one user and of root.

use std::io;
use std::os::unix::net::UnixListener as StdListener;

use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

use super::accept::{Listen, Stream};
use super::{ServerThread, peer};
use crate::service::TasksService;

/// Starts the server, which stops when the returned value is dropped.
///
/// # Errors
///
/// Returns an error if the system refuses the thread or its runtime.
pub(crate) fn serve(
    listener: StdListener,
    user: u32,
    service: TasksService,
) -> io::Result<ServerThread> {
    ServerThread::start("tasktrace-unix", service, move || {
        let listener = UnixListener::from_std(listener)?;
        Ok(CheckedListener { listener, user })
    })
}

/// A listener that accepts connections of one user and of root only.
struct CheckedListener {
    listener: UnixListener,
    user: u32,
}

impl Listen for CheckedListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            if is_allowed(&stream, self.user) {
                return Ok(stream);
            }
            // Other clients are disconnected without an answer.
        }
    }
}

impl Stream for UnixStream {
    fn is_closed(&self) -> bool {
        peer::has_hung_up(self.ready(Interest::WRITABLE))
    }
}

/// Returns `true` if the client is the user or root. The system recorded its user when it connected.
fn is_allowed(stream: &UnixStream, user: u32) -> bool {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    peer.is_ok_and(|peer| peer == user || peer == 0)
}
