//! Serves HTTP on the Unix socket, on a thread and a runtime of its own.

use std::io;
use std::os::unix::net::UnixListener as StdListener;

use tokio::net::{UnixListener, UnixStream};

use super::directory::user;
use crate::http::{self, Access, Listen, ServerThread, Stream};
use crate::os::peer;

/// Starts the server, which stops when the returned value is dropped.
///
/// # Errors
///
/// Returns an error if the system refuses the thread or its runtime.
pub(super) fn start(listener: StdListener) -> io::Result<ServerThread> {
    // The listener has checked the user of each client.
    let service = http::service().with_access(Access::Local);
    ServerThread::start("tasktrace-unix", service.of_this_runtime(), || {
        UnixListener::from_std(listener).map(CheckedListener)
    })
}

/// A listener that accepts connections of the same user and of root only.
struct CheckedListener(UnixListener);

impl Listen for CheckedListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.0.accept().await?;
            if is_allowed(&stream) {
                return Ok(stream);
            }
            // Other clients are disconnected without an answer.
        }
    }
}

impl Stream for UnixStream {
    fn is_closed(&self) -> bool {
        peer::has_hung_up(self)
    }
}

/// Returns `true` if the client is the same user or root. The system recorded its user when it connected.
fn is_allowed(stream: &UnixStream) -> bool {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    peer.is_ok_and(|peer| peer == user() || peer == 0)
}
