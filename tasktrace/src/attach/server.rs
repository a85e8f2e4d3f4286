//! Who is answered: the server of HTTP does that, on a thread and a runtime of its own.

use std::io;
use std::os::unix::net::UnixListener as StdListener;

use tokio::net::{UnixListener, UnixStream};

use super::place::user;
use crate::http::{self, Access, Listen, Running, Stream};
use crate::os::peer;

/// Answers whoever connects, until it is dropped.
///
/// # Errors
///
/// If the system refuses the thread, or its runtime.
pub(super) fn start(listener: StdListener) -> io::Result<Running> {
    // Of those who come in, the system has said who they are.
    let service = http::service().with_access(Access::Local);
    Running::start("tasktrace-unix", service.of_this_runtime(), || {
        UnixListener::from_std(listener).map(Door)
    })
}

/// Where they come in.
struct Door(UnixListener);

impl Listen for Door {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.0.accept().await?;
            if is_welcome(&stream) {
                return Ok(stream);
            }
            // Closed without a word.
        }
    }
}

impl Stream for UnixStream {
    fn is_closed(&self) -> bool {
        peer::has_hung_up(self)
    }
}

/// Whether it is the same user, or root, at the other end. It is the system that says so, and of the
/// moment when they connected.
fn is_welcome(stream: &UnixStream) -> bool {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    peer.is_ok_and(|peer| peer == user() || peer == 0)
}
