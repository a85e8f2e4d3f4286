//! Connections, and how many of them.
//!
//! There is a limit. When it is reached, one that does nothing has to give way to the one that comes,
//! so that whoever just holds connections keeps nobody out. Those whose requests are being answered
//! do not.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::connection::{self, Activity};
use crate::http::service::TasksService;

/// After an error, such as that there are too many open files, it waits for others to be closed.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(crate) trait Listen: Send + 'static {
    type Stream: Stream;

    /// The next one. It can be dropped, and then none is lost.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// A connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Returns `true` if the client, which sends nothing more, certainly does not wait for a response either.
    fn is_closed(&self) -> bool;
}

/// Serves who connects, until it is told to stop.
pub(super) async fn until<L: Listen>(
    stopped: oneshot::Receiver<()>,
    mut listener: L,
    service: TasksService,
) {
    let mut open = Open::new(service.settings().connections);
    let accept = async {
        loop {
            match listener.accept().await {
                Ok(stream) => open.add(stream, &service),
                Err(error) if is_of_connection(&error) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    first(stopped, accept).await;
}

/// Awaits the two until one has ended.
async fn first(one: impl Future, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    std::future::poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() {
            return std::task::Poll::Ready(());
        }
        other.as_mut().poll(cx)
    })
    .await;
}

/// Whether it is about the connection, and not about the socket that listens.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    let kinds = [
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        Interrupted,
    ];
    kinds.contains(&error.kind())
}

/// The connections that are open.
struct Open {
    most: usize,
    /// In the order in which they came.
    connections: Vec<(AbortHandle, Activity)>,
}

impl Open {
    fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            connections: Vec::new(),
        }
    }

    /// Serves this one, if there is room for it.
    fn add(&mut self, stream: impl Stream, service: &TasksService) {
        if !self.make_room() {
            return;
        }
        let activity = Activity::default();
        let served = connection::serve(stream, service.clone(), activity.clone());
        let handle = tokio::spawn(served).abort_handle();
        self.connections.push((handle, activity));
    }

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
