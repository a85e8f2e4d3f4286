//! Accepts connections and limits their number.
//!
//! At the limit, a new connection replaces the connection that has been idle for longest. So a client cannot keep
//! others out by holding connections. A connection with a request in progress is not replaced.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::connection::{self, ConnectionActivity};
use crate::service::TasksService;

/// The delay after an error of the listener, such as too many open files. Meanwhile other files may be closed.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A source of connections.
pub(super) trait Listen: Send + 'static {
    type Stream: Stream;

    /// Waits for the next connection. Dropping the future loses no connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Returns `true` if the client, which sends nothing more, has certainly closed the connection.
    fn is_closed(&self) -> bool;
}

/// Serves connections until the server is stopped.
pub(super) async fn serve_until<L: Listen>(
    stopped: oneshot::Receiver<()>,
    mut listener: L,
    service: TasksService,
) {
    let mut open = OpenConnections::new(service.settings().connections);
    let accept = async {
        loop {
            match listener.accept().await {
                Ok(stream) => open.add(stream, &service),
                Err(error) if concerns_one_connection(&error) => {}
                Err(_) => tokio::time::sleep(RETRY_DELAY).await,
            }
        }
    };
    until_either_completes(stopped, accept).await;
}

/// Polls both futures until one of them completes.
async fn until_either_completes(one: impl Future, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    std::future::poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() {
            return std::task::Poll::Ready(());
        }
        other.as_mut().poll(cx)
    })
    .await;
}

/// Returns `true` if the error concerns one connection, and not the listener.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    let kinds = [
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        Interrupted,
    ];
    kinds.contains(&error.kind())
}

/// The open connections.
struct OpenConnections {
    most: usize,
    /// The connections in the order in which they were accepted.
    connections: Vec<(AbortHandle, ConnectionActivity)>,
}

impl OpenConnections {
    fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            connections: Vec::new(),
        }
    }

    /// Serves a connection, or closes it if there is no room.
    fn add(&mut self, stream: impl Stream, service: &TasksService) {
        if !self.make_room() {
            return;
        }
        let activity = ConnectionActivity::default();
        let served = connection::serve(stream, service.clone(), activity.clone());
        let handle = tokio::spawn(served).abort_handle();
        self.connections.push((handle, activity));
    }

    /// Replaces the connection that has been idle for longest, if the limit is reached. Returns `true` if there is
    /// room.
    fn make_room(&mut self) -> bool {
        if self.connections.len() < self.most {
            return true;
        }
        self.connections.retain(|(handle, _)| !handle.is_finished());
        if self.connections.len() < self.most {
            return true;
        }
        let idle = self.connections.iter().enumerate();
        let idle = idle.filter_map(|(at, (_, activity))| Some((activity.idle_since()?, at)));
        let Some((_, longest)) = idle.min() else {
            return false;
        };
        let (handle, _) = self.connections.remove(longest);
        handle.abort();
        true
    }
}
