//! Accepts connections and limits their number.
//!
//! At the limit, a new connection replaces the connection that has been idle for longest. That connection is also
//! closed if the listener cannot accept a new one: in most cases, the process has too many open files. So a client
//! cannot keep others out by holding connections. A connection with a request in progress is not closed.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::connection::{self, ConnectionActivity};
use crate::service::TasksService;

/// The delay after an error of the listener if no connection is idle. Meanwhile the program may close other files.
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
                // The connection is closed when its task is next polled.
                Err(_) if open.close_longest_idle() => tokio::task::yield_now().await,
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
        // If this were left to the first poll, the connection would until then be the one that is idle for longest.
        activity.note_io();
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
        self.forget_closed();
        self.connections.len() < self.most || self.close_longest_idle()
    }

    fn forget_closed(&mut self) {
        self.connections.retain(|(handle, _)| !handle.is_finished());
    }

    /// Closes the connection that has been idle for longest. Returns `false` if no connection is idle.
    fn close_longest_idle(&mut self) -> bool {
        self.forget_closed();
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;
    use tokio::sync::mpsc;

    use super::*;
    use crate::backend::{Backend, DataRequest, Document, GatherError};
    use crate::builder::Builder;

    struct NoTasks;

    impl Backend for NoTasks {
        fn gather(&self, _: DataRequest) -> Result<Box<dyn Document>, GatherError> {
            Err(GatherError::Cancelled)
        }
    }

    /// A connection whose client sends this and no more.
    struct Client {
        sends: &'static [u8],
        _open: Arc<()>,
    }

    impl Stream for Client {
        fn is_closed(&self) -> bool {
            false
        }
    }

    impl AsyncRead for Client {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match std::mem::take(&mut self.sends) {
                b"" => Poll::Pending,
                sent => {
                    into.put_slice(sent);
                    Poll::Ready(Ok(()))
                }
            }
        }
    }

    impl AsyncWrite for Client {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The listener of a process that can open this many files.
    struct Limited {
        files: usize,
        open: Arc<()>,
        accepted: mpsc::UnboundedSender<()>,
    }

    impl Listen for Limited {
        type Stream = Client;

        async fn accept(&mut self) -> io::Result<Client> {
            if Arc::strong_count(&self.open) > self.files {
                return Err(io::Error::other("too many open files"));
            }
            let _ = self.accepted.send(());
            Ok(Client {
                sends: b"",
                _open: Arc::clone(&self.open),
            })
        }
    }

    #[tokio::test]
    async fn the_connection_that_was_accepted_last_is_not_the_one_that_is_idle_for_longest() {
        // Times are in milliseconds since the first one.
        ConnectionActivity::default().note_io();
        let service = Builder::new(NoTasks).service();
        let mut open = OpenConnections::new(2);
        let clients = [(); 3].map(Arc::new);
        let [idle, new, newest] = &clients;
        let client = |sends: &'static [u8], open: &Arc<()>| Client {
            sends,
            _open: Arc::clone(open),
        };
        tokio::time::sleep(Duration::from_millis(5)).await;
        open.add(client(b"GET ", idle), &service);
        // The server reads what the client sends.
        tokio::time::sleep(Duration::from_millis(5)).await;
        open.add(client(b"", new), &service);
        open.add(client(b"", newest), &service);
        tokio::task::yield_now().await;
        let is_open = [idle, new, newest].map(|client| Arc::strong_count(client) > 1);
        assert_eq!(is_open, [false, true, true]);
    }

    #[tokio::test]
    async fn idle_connections_make_room_if_the_process_can_open_no_more_files() {
        let (accepted, mut accepts) = mpsc::unbounded_channel();
        let listener = Limited {
            files: 3,
            open: Arc::new(()),
            accepted,
        };
        let service = Builder::new(NoTasks).max_connections(100).service();
        let (_stop, stopped) = oneshot::channel();
        let server = serve_until(stopped, listener, service);
        let clients = async {
            for _ in 0..10 {
                accepts.recv().await.expect("the server runs");
            }
        };
        let limit = Duration::from_secs(30);
        tokio::select! {
            () = server => unreachable!("it is not stopped"),
            served = tokio::time::timeout(limit, clients) => served.expect("all are accepted"),
        }
    }
}
