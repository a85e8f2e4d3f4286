//! Tests verdicts about channels, locks, cells and WebSockets.

use futures::{SinkExt, StreamExt};
use tasktrace_crates::{WebSocket, websocket};

super::hangs! {
    async_broadcast_recv("on async_broadcast::Receiver::recv") {
        let (_sender, mut receiver) = async_broadcast::broadcast::<u32>(1);
        let receiver = &mut receiver;
    } fetch(receiver: &mut async_broadcast::Receiver<u32>) {
        let _ = receiver.recv().await;
    }

    async_broadcast_send("on async_broadcast::Sender::broadcast") {
        let (sender, _receiver) = async_broadcast::broadcast::<u32>(1);
        let sender = &sender;
    } fetch(sender: &async_broadcast::Sender<u32>) {
        let _ = sender.broadcast(1).await;
        let _ = sender.broadcast(2).await;
    }

    async_lock_mutex("on async_lock::Mutex::lock") {
        let mutex = async_lock::Mutex::new(());
        let _guard = mutex.lock().await;
        let mutex = &mutex;
    } fetch(mutex: &async_lock::Mutex<()>) {
        let _ = mutex.lock().await;
    }

    async_lock_semaphore("on async_lock::Semaphore::acquire") {
        let semaphore = async_lock::Semaphore::new(0);
        let semaphore = &semaphore;
    } fetch(semaphore: &async_lock::Semaphore) {
        let _ = semaphore.acquire().await;
    }

    kanal_recv("on kanal::AsyncReceiver::recv") {
        let (_sender, receiver) = kanal::bounded_async::<u32>(1);
        let receiver = &receiver;
    } fetch(receiver: &kanal::AsyncReceiver<u32>) {
        let _ = receiver.recv().await;
    }

    // The tests in `resources` cover the name, which is known only in a first poll.
    kanal_send("no waker") {
        let (sender, _receiver) = kanal::bounded_async::<u32>(1);
        let sender = &sender;
    } fetch(sender: &kanal::AsyncSender<u32>) {
        let _ = sender.send(1).await;
        let _ = sender.send(2).await;
    }

    async_cell_get("on async_cell::AsyncCell::get") {
        let cell = async_cell::sync::AsyncCell::<u32>::new();
        let cell = &cell;
    } fetch(cell: &async_cell::sync::AsyncCell<u32>) {
        let _ = cell.get().await;
    }

    async_cell_take("on async_cell::AsyncCell::take") {
        let cell = async_cell::sync::AsyncCell::<u32>::new();
        let cell = &cell;
    } fetch(cell: &async_cell::sync::AsyncCell<u32>) {
        let _ = cell.take().await;
    }

    websocket_next("on tokio_tungstenite::WebSocketStream::next") {
        let mut socket = websocket().await;
        let socket = &mut socket;
    } fetch(socket: &mut WebSocket) {
        let _ = socket.next().await;
    }

    websocket_send("on tokio_tungstenite::WebSocketStream::poll_flush") {
        let mut socket = websocket().await;
        let socket = &mut socket;
    } fetch(socket: &mut WebSocket) {
        let message = tokio_tungstenite::tungstenite::Message::binary(vec![0; 100_000]);
        while socket.send(message.clone()).await.is_ok() {}
    }

    websocket_flush("on tokio_tungstenite::WebSocketStream::poll_flush") {
        let mut socket = websocket().await;
        let socket = &mut socket;
    } fetch(socket: &mut WebSocket) {
        let message = tokio_tungstenite::tungstenite::Message::binary(vec![0; 10_000_000]);
        let _ = socket.feed(message).await;
        let _ = socket.flush().await;
    }
}
