//! Tasks that wait for channels of flume, async-channel and futures.

use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use smol::channel;
use tasktrace_inspect_programs::{arrive, ready};

/// Polls a future only once.
struct Once<F> {
    future: Pin<Box<F>>,
    is_polled: bool,
}

impl<F: Future> Future for Once<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match std::mem::replace(&mut self.is_polled, true) {
            true => Poll::Pending,
            false => self.future.as_mut().poll(context),
        }
    }
}

fn once<F: Future>(future: F) -> Once<F> {
    Once {
        future: Box::pin(future),
        is_polled: false,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let flume_kept = spawn_flume();
    let async_kept = spawn_async_channel().await;
    let futures_kept = spawn_futures();
    let left = spawn_left().await;
    ready(18).await;
    pending::<()>().await;
    drop((flume_kept, async_kept, futures_kept, left));
}

fn spawn_flume() -> impl Sized {
    let (sender, receiver) = flume::bounded(4);
    tokio::spawn(flume_receives(receiver));
    let senders = (sender.clone(), sender);
    let (full, never_received) = flume::bounded(1);
    _ = full.send(0);
    tokio::spawn(flume_sends(full));
    let (meets, never_meets) = flume::bounded(0);
    tokio::spawn(flume_meets(meets));
    let (unbounded, owned) = flume::unbounded();
    tokio::spawn(flume_owns(owned));
    let (streamed, stream) = flume::bounded(3);
    tokio::spawn(flume_streams(stream));
    (senders, never_received, never_meets, unbounded, streamed)
}

async fn flume_receives(receiver: flume::Receiver<u8>) {
    arrive();
    _ = receiver.recv_async().await; // await: flume_receives
}

async fn flume_sends(sender: flume::Sender<u8>) {
    arrive();
    _ = sender.send_async(1).await; // await: flume_sends
}

async fn flume_meets(sender: flume::Sender<u8>) {
    arrive();
    _ = sender.send_async(1).await; // await: flume_meets
}

async fn flume_owns(receiver: flume::Receiver<String>) {
    arrive();
    _ = receiver.into_recv_async().await; // await: flume_owns
}

async fn flume_streams(receiver: flume::Receiver<u8>) {
    arrive();
    _ = receiver.stream().next().await; // await: flume_streams
}

async fn spawn_async_channel() -> impl Sized {
    let (sender, receiver) = channel::bounded(4);
    tokio::spawn(async_receives(receiver));
    let senders = (sender.clone(), sender);
    // The messages are at the end and at the start of the ring.
    let (full, kept) = channel::bounded(3);
    for number in 0..5 {
        _ = full.send(number).await;
        if number < 2 {
            _ = kept.recv().await;
        }
    }
    tokio::spawn(async_sends(full));
    let (single, one) = channel::bounded(1);
    _ = single.send(0).await;
    tokio::spawn(async_sends_one(single));
    // The messages are in three blocks.
    let (unbounded, queue) = channel::unbounded();
    for number in 0..75 {
        _ = unbounded.send(number).await;
        if number < 25 {
            _ = queue.recv().await;
        }
    }
    tokio::spawn(async_waits_for_end(unbounded));
    let (unused, empty) = channel::unbounded();
    tokio::spawn(async_receives_nothing(empty));
    (senders, kept, one, queue, unused)
}

async fn async_receives(receiver: channel::Receiver<u8>) {
    arrive();
    _ = receiver.recv().await; // await: async_receives
}

async fn async_sends(sender: channel::Sender<u8>) {
    arrive();
    _ = sender.send(1).await; // await: async_sends
}

async fn async_sends_one(sender: channel::Sender<u8>) {
    arrive();
    _ = sender.send(1).await; // await: async_sends_one
}

async fn async_waits_for_end(sender: channel::Sender<u8>) {
    arrive();
    sender.closed().await; // await: async_waits_for_end
}

async fn async_receives_nothing(receiver: channel::Receiver<[u64; 3]>) {
    arrive();
    _ = receiver.recv().await; // await: async_receives_nothing
}

fn spawn_futures() -> impl Sized {
    let (sender, receiver) = mpsc::channel(3);
    tokio::spawn(futures_receives(receiver));
    let (unbounded, receiver) = mpsc::unbounded();
    tokio::spawn(futures_receives_unbounded(receiver));
    let (once, receiver) = oneshot::channel();
    tokio::spawn(futures_waits(receiver));
    (sender.clone(), sender, unbounded, once)
}

async fn futures_receives(mut receiver: mpsc::Receiver<u8>) {
    arrive();
    _ = receiver.next().await; // await: futures_receives
}

async fn futures_receives_unbounded(mut receiver: mpsc::UnboundedReceiver<u8>) {
    arrive();
    _ = receiver.next().await; // await: futures_receives_unbounded
}

async fn futures_waits(receiver: oneshot::Receiver<u8>) {
    arrive();
    _ = receiver.await; // await: futures_waits
}

/// Spawns tasks that have begun to wait, and do not look when the other end has sent or is gone.
async fn spawn_left() -> impl Sized {
    let (flume_sender, receiver) = flume::bounded(4);
    tokio::spawn(flume_left(receiver));
    let (async_sender, receiver) = channel::bounded(4);
    tokio::spawn(async_left(receiver));
    let (value, receiver) = oneshot::channel();
    tokio::spawn(futures_is_sent(receiver));
    let (no_value, receiver) = oneshot::channel();
    tokio::spawn(futures_left(receiver));
    let (no_messages, receiver) = mpsc::channel(2);
    tokio::spawn(futures_messages_left(receiver));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    _ = flume_sender.send_async(0).await;
    _ = async_sender.send(0).await;
    _ = value.send(0);
    drop((flume_sender, async_sender, no_value, no_messages));
}

async fn flume_left(receiver: flume::Receiver<u8>) {
    arrive();
    _ = once(receiver.recv_async()).await; // await: flume_left
}

async fn async_left(receiver: channel::Receiver<u8>) {
    arrive();
    _ = once(receiver.recv()).await; // await: async_left
}

async fn futures_is_sent(receiver: oneshot::Receiver<u8>) {
    arrive();
    _ = once(receiver).await; // await: futures_is_sent
}

async fn futures_left(receiver: oneshot::Receiver<u8>) {
    arrive();
    _ = once(receiver).await; // await: futures_left
}

async fn futures_messages_left(mut receiver: mpsc::Receiver<u8>) {
    arrive();
    _ = once(receiver.next()).await; // await: futures_messages_left
}
