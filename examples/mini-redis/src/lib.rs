//! Runs a server and two clients that wait for each other, and takes a trace of each.
//!
//! The server, its protocol and the functions in the traces are those of the
//! [`mini_redis`] crate, which does not use tasktrace. This crate adds the loops around its clients,
//! and the calls of [`tasktrace::traced`].

use mini_redis::client::{self, Message, Subscriber};
use mini_redis::{Connection, Frame, Result};
use tasktrace::{Trace, TraceHandle, traced};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;

/// A trace of each task.
#[derive(Debug)]
pub struct Traces {
    /// The server, which waits for the next connection.
    pub server: Trace,
    /// A client blocked in `SUBSCRIBE`, which waits for the next message.
    pub subscriber: Trace,
    /// A connection that is idle: it has had the reply to its only request.
    pub idle: Trace,
}

/// Starts the server and the clients, takes traces when all of them are waiting, and ends them.
///
/// # Errors
///
/// If the server or a client fails, or ends before it is told to.
pub async fn traces() -> Result<Traces> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (shut_down, shutdown) = oneshot::channel::<()>();
    let (future, server) = traced(mini_redis::server::run(listener, shutdown));
    let server_task = tokio::spawn(future);

    let subscriptions = vec!["news".to_owned()];
    let subscriber = client::connect(address).await?;
    let subscriber = subscriber.subscribe(subscriptions).await?;
    let (report, mut messages) = mpsc::unbounded_channel();
    let (future, subscriber) = traced(listen(subscriber, report));
    let subscriber_task = tokio::spawn(future);

    let connection = Connection::new(TcpStream::connect(address).await?);
    let (report, mut replies) = mpsc::unbounded_channel();
    let (future, idle) = traced(stay_connected(connection, report));
    let idle_task = tokio::spawn(future);

    // The subscriber has the published message, so it waits for more, or is about to. The server
    // has accepted this last connection, because it has answered on it.
    let mut publisher = client::connect(address).await?;
    let subscribers = publisher.publish("news", "hello".into()).await?;
    let message = messages.recv().await.ok_or("the subscriber has ended")?;
    assert_eq!((subscribers, &*message.content), (1, b"hello".as_slice()));

    // The connection has the reply, so it waits for more, or is about to.
    let reply = replies.recv().await.ok_or("the connection has ended")?;
    assert!(matches!(reply, Frame::Null), "{reply:?}");

    let traces = Traces {
        server: trace(&server).await?,
        subscriber: trace(&subscriber).await?,
        idle: trace(&idle).await?,
    };

    // The server waits until the handlers of all connections have ended. The handlers close their
    // connections, so the clients end as well.
    drop(shut_down);
    server_task.await??;
    subscriber_task.await??;
    idle_task.await??;
    Ok(traces)
}

/// Forwards all messages.
async fn listen(mut subscriber: Subscriber, messages: UnboundedSender<Message>) -> Result<()> {
    while let Some(message) = subscriber.next_message().await? {
        messages.send(message)?;
    }
    Ok(())
}

/// Requests a key that does not exist, and keeps the connection.
///
/// [`client::Client`] reads only while it waits for an answer, so this function uses mini-redis's
/// [`Connection`] instead.
async fn stay_connected(mut connection: Connection, replies: UnboundedSender<Frame>) -> Result<()> {
    let request = ["get", "greeting"].map(|word| Frame::Bulk(word.into()));
    connection
        .write_frame(&Frame::Array(request.into()))
        .await?;
    while let Some(reply) = connection.read_frame().await? {
        replies.send(reply)?;
    }
    Ok(())
}

async fn trace(task: &TraceHandle) -> Result<Trace> {
    let trace = task.backtrace().await;
    Ok(trace.ok_or_else(|| format!("{} has ended", task.name()))?)
}
