//! Tests that each resource is shown under the name by which users know it.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tasktrace_crates::{
    HOUR, Manager, half_a_response, leaves, redis_server, silent_server, trace_until, waits_for,
    websocket,
};

/// Defines tests of the names of the resources that the bodies wait for.
macro_rules! waits {
    ($($test:ident($($resource:literal),*) $body:block)*) => {$(
        #[test]
        fn $test() {
            async fn waits() $body
            waits_for(waits, &[$($resource),*]);
        }
    )*};
}

waits! {
    async_lock_mutex("async_lock::Mutex::lock") {
        let mutex = async_lock::Mutex::new(());
        let _guard = mutex.lock().await;
        mutex.lock().await;
    }

    async_lock_mutex_arc("async_lock::Mutex::lock_arc") {
        let mutex = Arc::new(async_lock::Mutex::new(()));
        let _guard = mutex.lock_arc().await;
        mutex.lock_arc().await;
    }

    async_lock_read("async_lock::RwLock::read") {
        let lock = async_lock::RwLock::new(());
        let _guard = lock.write().await;
        lock.read().await;
    }

    async_lock_write("async_lock::RwLock::write") {
        let lock = async_lock::RwLock::new(());
        let _guard = lock.read().await;
        lock.write().await;
    }

    async_lock_semaphore("async_lock::Semaphore::acquire") {
        async_lock::Semaphore::new(0).acquire().await;
    }

    async_lock_barrier("async_lock::Barrier::wait") {
        async_lock::Barrier::new(2).wait().await;
    }

    async_broadcast_recv("async_broadcast::Receiver::recv") {
        let (_sender, mut receiver) = async_broadcast::broadcast::<u32>(1);
        let _ = receiver.recv().await;
    }

    async_broadcast_send("async_broadcast::Sender::broadcast") {
        let (sender, _receiver) = async_broadcast::broadcast::<u32>(1);
        let _ = sender.broadcast(1).await;
        let _ = sender.broadcast(2).await;
    }

    kanal_recv("kanal::AsyncReceiver::recv") {
        let (_sender, receiver) = kanal::bounded_async::<u32>(1);
        let _ = receiver.recv().await;
    }

    kanal_send("kanal::AsyncSender::send") {
        let (sender, _receiver) = kanal::bounded_async::<u32>(1);
        let _ = sender.send(1).await;
        let _ = sender.send(2).await;
    }

    async_cell_get("async_cell::AsyncCell::get") {
        async_cell::sync::AsyncCell::<u32>::new().get().await;
    }

    async_cell_take("async_cell::AsyncCell::take") {
        async_cell::sync::AsyncCell::<u32>::new().take().await;
    }

    join_all("futures::future::join_all") {
        let sleeps = (0..40).map(|_| tokio::time::sleep(HOUR));
        futures::future::join_all(sleeps).await;
    }

    try_join_all("futures::future::try_join_all") {
        let sleeps = (0..40).map(|_| async { tokio::time::sleep(HOUR).await; Ok::<(), ()>(()) });
        let _ = futures::future::try_join_all(sleeps).await;
    }

    futures_unordered("futures::stream::FuturesUnordered::next") {
        let mut all: futures::stream::FuturesUnordered<_> = [tokio::time::sleep(HOUR)].into_iter().collect();
        all.next().await;
    }

    futures_ordered("futures::stream::FuturesOrdered::next") {
        let mut all: futures::stream::FuturesOrdered<_> = [tokio::time::sleep(HOUR)].into_iter().collect();
        all.next().await;
    }

    buffered("futures::stream::Buffered::next") {
        let sleeps = futures::stream::iter(0..3).map(|_| tokio::time::sleep(HOUR));
        sleeps.buffered(2).next().await;
    }

    buffer_unordered("futures::stream::BufferUnordered::next") {
        let sleeps = futures::stream::iter(0..3).map(|_| tokio::time::sleep(HOUR));
        sleeps.buffer_unordered(2).next().await;
    }

    try_buffer_unordered("futures::stream::TryBufferUnordered::next") {
        use futures::TryStreamExt;
        let sleeps = futures::stream::iter((0..3).map(|_| {
            Ok::<_, ()>(Box::pin(async { tokio::time::sleep(HOUR).await; Ok::<(), ()>(()) }))
        }));
        let _ = sleeps.try_buffer_unordered(2).try_next().await;
    }

    for_each_concurrent("futures::stream::StreamExt::for_each_concurrent") {
        let numbers = futures::stream::iter(0..3);
        numbers.for_each_concurrent(2, |_| tokio::time::sleep(HOUR)).await;
    }

    select_all_of_streams("futures::stream::SelectAll::next") {
        let streams = (0..3).map(|_| futures::stream::pending::<()>());
        futures::stream::select_all(streams).next().await;
    }

    futures_buffered("futures_buffered::FuturesUnorderedBounded") {
        let mut all = futures_buffered::FuturesUnorderedBounded::new(4);
        all.push(tokio::time::sleep(HOUR));
        all.next().await;
    }

    abortable_in_a_span("futures::future::Abortable") {
        use tracing::Instrument;
        let (future, _handle) = futures::future::abortable(std::future::pending::<()>());
        let _ = future.instrument(tracing::info_span!("rpc")).await;
    }

    websocket_next("tokio_tungstenite::WebSocketStream::next") {
        let mut socket = websocket().await;
        socket.next().await;
    }

    websocket_send("tokio_tungstenite::WebSocketStream::poll_flush") {
        let mut socket = websocket().await;
        let message = tokio_tungstenite::tungstenite::Message::binary(vec![0; 100_000]);
        while socket.send(message.clone()).await.is_ok() {}
    }

    hyper_body("hyper::body::Incoming::poll_frame") {
        let response = reqwest::get(half_a_response().await).await.unwrap();
        let _ = response.text().await;
    }

    deadpool_get("tokio::sync::Semaphore::acquire") {
        let pool = deadpool::managed::Pool::<Manager>::builder(Manager)
            .max_size(1)
            .build()
            .unwrap();
        let _taken = pool.get().await;
        let _ = pool.get().await;
    }

    bb8_get("tokio::sync::Notify::notified", "tokio::time::timeout") {
        let pool = bb8::Pool::builder().max_size(1).build(Manager).await.unwrap();
        let _taken = pool.get().await;
        let _ = pool.get().await;
    }

    mobc_get("futures_timer::Delay", "tokio::sync::Semaphore::acquire_owned") {
        let pool = mobc::Pool::builder().max_open(1).build(Manager);
        let _taken = pool.get().await;
        let _ = pool.get().await;
    }

    redis_query("redis::aio::MultiplexedConnection") {
        let client = redis::Client::open(redis_server().await).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        connection.set_response_timeout(HOUR);
        let _: redis::RedisResult<String> = redis::cmd("GET").arg("x").query_async(&mut connection).await;
    }

    moka_get_with("moka::future::Cache (another call initializes the value)") {
        let cache = moka::future::Cache::<u32, u32>::new(10);
        let other = cache.clone();
        tokio::spawn(async move {
            other.get_with(1, std::future::pending()).await;
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        cache.get_with(1, async { 1 }).await;
    }

    hyper_idle("hyper connection (idle)") {
        let (client, server) = tokio::io::duplex(1000);
        let service = hyper::service::service_fn(|_| async {
            Ok::<_, std::io::Error>(hyper::Response::new(http_body_util::Empty::<&'static [u8]>::new()))
        });
        let io = hyper_util::rt::TokioIo::new(server);
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        drop(client);
    }

    mpsc_in_a_stream_map("tokio::sync::broadcast::Receiver::recv", "tokio::sync::mpsc::Receiver::recv") {
        let (_sender, receiver) = tokio::sync::mpsc::channel::<u32>(1);
        let mut map = tokio_stream::StreamMap::new();
        map.insert("a", tokio_stream::wrappers::ReceiverStream::new(receiver).boxed());
        let (_sender, receiver) = tokio::sync::broadcast::channel::<u32>(1);
        map.insert("b", tokio_stream::wrappers::BroadcastStream::new(receiver).map(Result::unwrap).boxed());
        map.next().await;
    }

    // This second caller of the function prevents that it is inlined into the first.
    mpsc_in_a_stream("tokio::sync::mpsc::Receiver::recv") {
        let (_sender, receiver) = tokio::sync::mpsc::channel::<u32>(1);
        tokio_stream::wrappers::ReceiverStream::new(receiver).next().await;
    }
}

/// A dozen functions of libraries are between the program and the socket.
#[test]
fn functions_of_libraries_are_folded_into_one_line() {
    async fn fetch() -> String {
        let url = format!("http://{}/", silent_server());
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }
    // In one poll, the request can first wait for a connection and then, on this connection, for the answer. The trace
    // of that poll has both.
    let trace = trace_until(fetch, |trace| {
        leaves(trace) == ["tokio::sync::oneshot::Receiver"]
    });
    let text = trace.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() <= 4, "{text}\n{trace:#}");
    assert!(
        lines[0].contains("fetch at tests/crates/resources.rs:"),
        "{text}"
    );
    assert!(lines[1].contains("reqwest::get at reqwest-"), "{text}");
    assert!(lines[1].contains(" frames in reqwest, "), "{text}");
    assert!(lines[1].contains("hyper_util"), "{text}");
    // The detailed text and the JSON contain all frames.
    let full = format!("{trace:#}");
    assert!(full.lines().count() > 20, "{full}");
    let json = trace.json().to_string();
    assert!(json.matches("\"folded\":true").count() >= 3, "{json}");
    assert!(json.contains("\"dependency\":false"), "{json}");
}

/// The leaf is below the pool's function that the program has called.
#[test]
fn a_wait_for_a_pool_names_its_function() {
    async fn acquire() {
        let url = format!("postgres://me@{}/db", silent_server());
        let options = sqlx::postgres::PgPoolOptions::new().acquire_timeout(HOUR);
        let pool = options.connect_lazy(&url).unwrap();
        let _ = pool.acquire().await;
    }
    let trace = trace_until(acquire, |trace| trace.contains("sqlx::Pool::acquire"));
    assert!(trace.contains("sqlx::Pool::acquire"), "{trace}\n{trace:#}");
}

/// In debug information, 0 stands for an unknown column.
#[test]
fn unknown_columns_are_not_shown() {
    let notified = || async {
        let notify = tokio::sync::Notify::new();
        let _ = tokio::time::timeout(HOUR, notify.notified()).await;
    };
    let resources = ["tokio::sync::Notify::notified", "tokio::time::timeout"];
    let trace = waits_for(notified, &resources);
    for text in [trace.to_string(), format!("{trace:#}")] {
        assert!(!text.contains(":0\n") && !text.ends_with(":0"), "{text}");
    }
    assert!(!trace.json().to_string().contains("\"column\":0,"));
}
