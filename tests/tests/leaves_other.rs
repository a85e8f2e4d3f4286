//! Tests the leaves outside of tokio: each is shown under the name that its users know, below the function that waits
//! and the line of its `.await`.

use std::sync::Arc;

use tasktrace_tests::{AwaitPoint, HOUR, outline, trace_of, waits_for_all};

/// Defines tests of the names of leaves, each with the body of the function that waits.
macro_rules! leaf_tests {
    ($($test:ident($($resource:literal),*) |$at:ident| $body:block)*) => {$(
        #[test]
        fn $test() {
            async fn waits($at: AwaitPoint) $body
            waits_for_all(waits, &[$($resource),*]);
        }
    )*};
}

leaf_tests! {
    async_channel_recv("async_channel::Receiver::recv") |at| {
        let (_sender, receiver) = async_channel::bounded::<()>(1);
        at.next(line!());
        let _ = receiver.recv().await;
    }

    async_channel_send("async_channel::Sender::send") |at| {
        let (sender, _receiver) = async_channel::bounded(1);
        sender.send(()).await.unwrap();
        at.next(line!());
        let _ = sender.send(()).await;
    }

    async_channel_stream("async_channel::Receiver::next") |at| {
        use futures::StreamExt;
        let (_sender, receiver) = async_channel::bounded::<()>(1);
        futures::pin_mut!(receiver);
        at.next(line!());
        receiver.next().await;
    }

    event_listener("event_listener::EventListener") |at| {
        let event = event_listener::Event::<()>::new();
        at.next(line!());
        event.listen().await;
    }

    async_lock_mutex("async_lock::Mutex::lock") |at| {
        let mutex = async_lock::Mutex::new(());
        let _guard = mutex.lock().await;
        at.next(line!());
        mutex.lock().await;
    }

    async_lock_mutex_arc("async_lock::Mutex::lock_arc") |at| {
        let mutex = Arc::new(async_lock::Mutex::new(()));
        let _guard = mutex.lock().await;
        at.next(line!());
        mutex.lock_arc().await;
    }

    async_lock_rwlock_read("async_lock::RwLock::read") |at| {
        let lock = async_lock::RwLock::new(());
        let _guard = lock.write().await;
        at.next(line!());
        lock.read().await;
    }

    async_lock_rwlock_write("async_lock::RwLock::write") |at| {
        let lock = async_lock::RwLock::new(());
        let _guard = lock.read().await;
        at.next(line!());
        lock.write().await;
    }

    async_lock_semaphore("async_lock::Semaphore::acquire") |at| {
        let semaphore = async_lock::Semaphore::new(0);
        at.next(line!());
        semaphore.acquire().await;
    }

    async_lock_barrier("async_lock::Barrier::wait") |at| {
        let barrier = async_lock::Barrier::new(2);
        at.next(line!());
        barrier.wait().await;
    }

    async_lock_once_cell("async_lock::OnceCell::wait") |at| {
        let cell = async_lock::OnceCell::<()>::new();
        at.next(line!());
        cell.wait().await;
    }

    async_io_timer("async_io::Timer") |at| {
        at.next(line!());
        async_io::Timer::after(HOUR).await;
    }

    async_io_readable("async_io::Async::readable") |at| {
        let address = ([127, 0, 0, 1], 0);
        let socket = async_io::Async::<std::net::UdpSocket>::bind(address).unwrap();
        at.next(line!());
        let _ = socket.readable().await;
    }

    async_net_accept("async_net::TcpListener::accept") |at| {
        let listener = async_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        at.next(line!());
        let _ = listener.accept().await;
    }

    async_net_read("async_net::TcpStream::read") |at| {
        use smol::io::AsyncReadExt;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = async_io::Async::new(listener.accept().unwrap().0).unwrap();
        let mut stream = async_net::TcpStream::from(stream);
        at.next(line!());
        let _ = stream.read(&mut [0]).await;
    }

    futures_concurrency_join("futures_concurrency::future::Join::join") |at| {
        use futures_concurrency::prelude::*;
        let timers = [smol::Timer::never(), smol::Timer::never()];
        at.next(line!());
        timers.join().await;
    }

    futures_concurrency_try_join("futures_concurrency::future::TryJoin::try_join") |at| {
        use futures_concurrency::prelude::*;
        let never = || async { smol::Timer::never().await; Ok::<(), ()>(()) };
        let timers = vec![never(), never()];
        at.next(line!());
        let _ = timers.try_join().await;
    }

    futures_concurrency_group("futures_concurrency::future::FutureGroup::next") |at| {
        use futures::StreamExt;
        let mut group = futures_concurrency::future::FutureGroup::new();
        group.insert(smol::Timer::never());
        at.next(line!());
        group.next().await;
    }

    futures_concurrency_merge("futures_concurrency::stream::Merge::merge") |at| {
        use futures::StreamExt;
        use futures_concurrency::prelude::*;
        let mut timers = [smol::Timer::never(), smol::Timer::never()].merge();
        at.next(line!());
        timers.next().await;
    }

    futures_concurrency_zip("futures_concurrency::stream::Zip::zip") |at| {
        use futures::StreamExt;
        use futures_concurrency::prelude::*;
        let mut timers = [smol::Timer::never(), smol::Timer::never()].zip();
        at.next(line!());
        timers.next().await;
    }

    futures_concurrency_for_each("futures_concurrency::concurrent_stream::ConcurrentStream::for_each") |at| {
        use futures_concurrency::prelude::*;
        let numbers = vec![1, 2].into_co_stream();
        at.next(line!());
        numbers.for_each(|_| async { smol::Timer::never().await; }).await;
    }

    smol_task("async_task::Task") |at| {
        let executor = smol::LocalExecutor::new();
        let task = executor.spawn(std::future::pending::<()>());
        at.next(line!());
        task.await;
    }

    smol_unblock("async_task::Task") |at| {
        let (_sender, receiver) = std::sync::mpsc::channel::<()>();
        at.next(line!());
        let _ = smol::unblock(move || receiver.recv()).await;
    }

    smol_yield_now("futures_lite::future::yield_now") |at| {
        loop {
            at.next(line!());
            smol::future::yield_now().await;
        }
    }

    smol_zip("async_io::Timer", "async_lock::Barrier::wait") |at| {
        let barrier = async_lock::Barrier::new(2);
        let wait = Box::pin(barrier.wait());
        let timer = async_io::Timer::after(HOUR);
        at.next(line!());
        smol::future::zip(timer, wait).await;
    }

    flume_recv("flume::Receiver::recv_async") |at| {
        let (_sender, receiver) = flume::bounded::<()>(1);
        at.next(line!());
        let _ = receiver.recv_async().await;
    }

    futures_mpsc("futures::channel::mpsc::Receiver::next") |at| {
        use futures::StreamExt;
        let (_sender, mut receiver) = futures::channel::mpsc::channel::<()>(1);
        at.next(line!());
        receiver.next().await;
    }

    futures_mpsc_recv("futures::channel::mpsc::Receiver::next") |at| {
        let (_sender, mut receiver) = futures::channel::mpsc::channel::<()>(1);
        at.next(line!());
        let _ = receiver.recv().await;
    }

    futures_mpsc_send("futures::channel::mpsc::Sender::send") |at| {
        use futures::SinkExt;
        let (mut sender, _receiver) = futures::channel::mpsc::channel(0);
        sender.try_send(()).unwrap();
        at.next(line!());
        let _ = sender.send(()).await;
    }

    futures_mpsc_unbounded("futures::channel::mpsc::UnboundedReceiver::next") |at| {
        use futures::StreamExt;
        let (_sender, mut receiver) = futures::channel::mpsc::unbounded::<()>();
        at.next(line!());
        receiver.next().await;
    }

    futures_oneshot("futures::channel::oneshot::Receiver") |at| {
        let (_sender, receiver) = futures::channel::oneshot::channel::<()>();
        at.next(line!());
        let _ = receiver.await;
    }

    futures_lock("futures::lock::Mutex::lock") |at| {
        let mutex = futures::lock::Mutex::new(());
        let _guard = mutex.lock().await;
        at.next(line!());
        mutex.lock().await;
    }

    futures_timer("futures_timer::Delay") |at| {
        at.next(line!());
        futures_timer::Delay::new(HOUR).await;
    }

    futures_shared("futures::future::Shared") |at| {
        use futures::FutureExt;
        let (_sender, receiver) = futures::channel::oneshot::channel::<()>();
        let shared = receiver.shared();
        at.next(line!());
        let _ = shared.await;
    }

    futures_abortable("futures::channel::oneshot::Receiver", "futures::future::Abortable") |at| {
        let (_sender, receiver) = futures::channel::oneshot::channel::<()>();
        let (abortable, _handle) = futures::future::abortable(receiver);
        at.next(line!());
        let _ = abortable.await;
    }

    futures_unordered("futures::stream::FuturesUnordered::next") |at| {
        use futures::StreamExt;
        let mut futures = futures::stream::FuturesUnordered::new();
        futures.push(std::future::pending::<()>());
        at.next(line!());
        futures.next().await;
    }

    futures_join_all("tokio::time::sleep") |at| {
        let sleeps = (0..3).map(|_| tokio::time::sleep(HOUR));
        at.next(line!());
        futures::future::join_all(sleeps).await;
    }

    futures_select("tokio::sync::oneshot::Receiver", "tokio::time::sleep") |at| {
        let (_sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let sleep = Box::pin(tokio::time::sleep(HOUR));
        at.next(line!());
        futures::future::select(receiver, sleep).await;
    }

    futures_map("tokio::time::sleep") |at| {
        use futures::FutureExt;
        let sleep = tokio::time::sleep(HOUR).map(|()| 1).fuse().boxed_local();
        at.next(line!());
        std::panic::AssertUnwindSafe(sleep).catch_unwind().await.unwrap();
    }

    futures_stream("futures::channel::mpsc::Receiver::next") |at| {
        use futures::StreamExt;
        let (_sender, receiver) = futures::channel::mpsc::channel::<()>(1);
        let mut stream = receiver.map(|()| 1).filter(|_| async { true }).boxed_local().peekable();
        at.next(line!());
        stream.next().await;
    }

    futures_fold("futures::channel::mpsc::Receiver::next") |at| {
        use futures::StreamExt;
        let (_sender, receiver) = futures::channel::mpsc::channel::<()>(1);
        at.next(line!());
        receiver.for_each(|()| async {}).await;
    }

    futures_try_stream("futures::channel::mpsc::Receiver::next") |at| {
        use futures::{StreamExt, TryStreamExt};
        let (_sender, receiver) = futures::channel::mpsc::channel::<()>(1);
        let mut stream = receiver.map(Ok::<_, ()>);
        at.next(line!());
        let _ = stream.try_next().await;
    }
}

#[test]
fn a_request_for_a_trace_is_a_leaf() {
    async fn waits(at: AwaitPoint) {
        let (_task, handle) = tasktrace::traced(std::future::pending::<()>());
        at.next(line!());
        handle.backtrace().await;
    }

    let (trace, line) = trace_of(waits);
    let outline = outline(&trace);
    let (function, resource) = outline.split_once('\n').unwrap_or_default();
    let waits = format!("leaves_other::a_request_for_a_trace_is_a_leaf::waits:{line}");
    assert_eq!(function, waits, "\n{trace:#}");
    let name = "  tasktrace::TraceHandle::backtrace:";
    assert!(resource.starts_with(name), "\n{trace}\n{trace:#}");
}
