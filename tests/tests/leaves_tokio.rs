//! Tests the leaves of tokio: each is shown under the name that its users know, below the function that waits and the
//! line of its `.await`.

use std::future::{pending, poll_fn};
use std::sync::Arc;

use futures::FutureExt;
use tasktrace_tests::{AwaitPoint, HOUR, waits_for, waits_for_all};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use tokio::net::{UnixDatagram, UnixListener, UnixStream};
use tokio::sync::{
    Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, oneshot, watch,
};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

/// Defines tests of the names of leaves, each with the body of the function that waits.
macro_rules! leaf_tests {
    ($($(#[$attr:meta])* $test:ident($($resource:literal),*) |$at:ident| $body:block)*) => {$(
        #[test]
        $(#[$attr])*
        fn $test() {
            async fn waits($at: AwaitPoint) $body
            waits_for_all(waits, &[$($resource),*]);
        }
    )*};
}

#[test]
fn time_sleep() {
    async fn waits(at: AwaitPoint) {
        at.next(line!());
        sleep(HOUR).await;
    }
    waits_for(waits, "tokio::time::sleep");
}

leaf_tests! {
    time_sleep_until("tokio::time::sleep") |at| {
        let deadline = Instant::now() + HOUR;
        at.next(line!());
        sleep_until(deadline).await;
    }

    time_sleep_by_reference("tokio::time::sleep") |at| {
        let sleep = sleep(HOUR);
        tokio::pin!(sleep);
        at.next(line!());
        sleep.await;
    }

    time_interval("tokio::time::Interval::tick") |at| {
        let mut interval = interval(HOUR);
        interval.tick().await;
        at.next(line!());
        interval.tick().await;
    }

    time_timeout("tokio::sync::oneshot::Receiver", "tokio::time::timeout") |at| {
        let (_sender, receiver) = oneshot::channel::<()>();
        at.next(line!());
        let _ = timeout(HOUR, receiver).await;
    }

    time_timeout_of_sleep("tokio::time::sleep", "tokio::time::timeout") |at| {
        at.next(line!());
        let _ = timeout(HOUR, sleep(HOUR)).await;
    }

    time_timeout_of_nothing("tokio::time::timeout") |at| {
        at.next(line!());
        let _ = timeout(HOUR, pending::<()>()).await;
    }

    tcp_accept("tokio::net::TcpListener::accept") |at| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        at.next(line!());
        let _ = listener.accept().await;
    }

    tcp_read("tokio::net::TcpStream::read") |at| {
        let (_peer, mut stream) = tcp().await;
        at.next(line!());
        let _ = stream.read(&mut [0]).await;
    }

    tcp_read_exact("tokio::net::TcpStream::read") |at| {
        let (_peer, mut stream) = tcp().await;
        at.next(line!());
        let _ = stream.read_exact(&mut [0]).await;
    }

    tcp_read_line("tokio::net::TcpStream::read") |at| {
        let (_peer, stream) = tcp().await;
        let mut line = String::new();
        let mut stream = BufReader::new(stream);
        at.next(line!());
        let _ = stream.read_line(&mut line).await;
    }

    tcp_read_buf("tokio::net::TcpStream::read") |at| {
        let (_peer, mut stream) = tcp().await;
        let mut buffer = Vec::with_capacity(16);
        at.next(line!());
        let _ = stream.read_buf(&mut buffer).await;
    }

    tcp_readable("tokio::net::TcpStream::readable") |at| {
        let (_peer, stream) = tcp().await;
        // tokio takes a new socket for readable until a read has failed.
        assert!(stream.try_read(&mut [0]).is_err());
        at.next(line!());
        let _ = stream.readable().await;
    }

    tcp_peek("tokio::net::TcpStream::peek") |at| {
        let (_peer, stream) = tcp().await;
        at.next(line!());
        let _ = stream.peek(&mut [0]).await;
    }

    tcp_write("tokio::net::TcpStream::write") |at| {
        let (_peer, mut stream) = tcp().await;
        while stream.try_write(&[0; 65536]).is_ok() {}
        at.next(line!());
        let _ = stream.write_all(&[0; 1 << 26]).await;
    }

    tcp_owned_half("tokio::net::tcp::OwnedReadHalf::read") |at| {
        let (_peer, stream) = tcp().await;
        let (mut read, _write) = stream.into_split();
        at.next(line!());
        let _ = read.read(&mut [0]).await;
    }

    tcp_half("tokio::net::tcp::ReadHalf::read") |at| {
        let (_peer, mut stream) = tcp().await;
        let (mut read, _write) = stream.split();
        at.next(line!());
        let _ = read.read(&mut [0]).await;
    }

    udp_recv("tokio::net::UdpSocket::recv") |at| {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        at.next(line!());
        let _ = socket.recv(&mut [0]).await;
    }

    udp_recv_from("tokio::net::UdpSocket::recv_from") |at| {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        at.next(line!());
        let _ = socket.recv_from(&mut [0]).await;
    }

    #[cfg(unix)]
    unix_accept("tokio::net::UnixListener::accept") |at| {
        let (_dir, path) = temporary_path("accept");
        let listener = UnixListener::bind(path).unwrap();
        at.next(line!());
        let _ = listener.accept().await;
    }

    #[cfg(unix)]
    unix_read("tokio::net::UnixStream::read") |at| {
        let (mut stream, _peer) = UnixStream::pair().unwrap();
        at.next(line!());
        let _ = stream.read(&mut [0]).await;
    }

    #[cfg(unix)]
    unix_datagram("tokio::net::UnixDatagram::recv") |at| {
        let (socket, _peer) = UnixDatagram::pair().unwrap();
        at.next(line!());
        let _ = socket.recv(&mut [0]).await;
    }

    #[cfg(unix)]
    unix_pipe("tokio::net::unix::pipe::Receiver::read") |at| {
        let (_sender, mut receiver) = tokio::net::unix::pipe::pipe().unwrap();
        at.next(line!());
        let _ = receiver.read(&mut [0]).await;
    }

    mpsc_recv("tokio::sync::mpsc::Receiver::recv") |at| {
        let (_sender, mut receiver) = mpsc::channel::<()>(1);
        at.next(line!());
        receiver.recv().await;
    }

    mpsc_recv_many("tokio::sync::mpsc::Receiver::recv_many") |at| {
        let (_sender, mut receiver) = mpsc::channel::<()>(1);
        at.next(line!());
        receiver.recv_many(&mut Vec::new(), 8).await;
    }

    mpsc_unbounded_recv("tokio::sync::mpsc::UnboundedReceiver::recv") |at| {
        let (_sender, mut receiver) = mpsc::unbounded_channel::<()>();
        at.next(line!());
        receiver.recv().await;
    }

    mpsc_poll_recv("tokio::sync::mpsc::Receiver::recv") |at| {
        let (_sender, mut receiver) = mpsc::channel::<()>(1);
        at.next(line!());
        poll_fn(|cx| receiver.poll_recv(cx)).await;
    }

    mpsc_send("tokio::sync::mpsc::Sender::send") |at| {
        let (sender, _receiver) = mpsc::channel(1);
        sender.send(()).await.unwrap();
        at.next(line!());
        let _ = sender.send(()).await;
    }

    mpsc_reserve("tokio::sync::mpsc::Sender::reserve") |at| {
        let (sender, _receiver) = mpsc::channel(1);
        sender.send(()).await.unwrap();
        at.next(line!());
        let _ = sender.reserve().await;
    }

    mpsc_closed("tokio::sync::mpsc::Sender::closed") |at| {
        let (sender, _receiver) = mpsc::channel::<()>(1);
        at.next(line!());
        sender.closed().await;
    }

    oneshot_receiver("tokio::sync::oneshot::Receiver") |at| {
        let (_sender, receiver) = oneshot::channel::<()>();
        at.next(line!());
        let _ = receiver.await;
    }

    oneshot_closed("tokio::sync::oneshot::Sender::closed") |at| {
        let (mut sender, _receiver) = oneshot::channel::<()>();
        at.next(line!());
        sender.closed().await;
    }

    broadcast_recv("tokio::sync::broadcast::Receiver::recv") |at| {
        let (_sender, mut receiver) = broadcast::channel::<()>(1);
        at.next(line!());
        let _ = receiver.recv().await;
    }

    watch_changed("tokio::sync::watch::Receiver::changed") |at| {
        let (_sender, mut receiver) = watch::channel(());
        at.next(line!());
        let _ = receiver.changed().await;
    }

    watch_wait_for("tokio::sync::watch::Receiver::wait_for") |at| {
        let (_sender, mut receiver) = watch::channel(());
        at.next(line!());
        let _ = receiver.wait_for(|()| false).await;
    }

    watch_closed("tokio::sync::watch::Sender::closed") |at| {
        let (sender, _receiver) = watch::channel(());
        at.next(line!());
        sender.closed().await;
    }

    mutex_lock("tokio::sync::Mutex::lock") |at| {
        let mutex = Mutex::new(());
        let _guard = mutex.lock().await;
        at.next(line!());
        let _ = mutex.lock().await;
    }

    mutex_lock_owned("tokio::sync::Mutex::lock_owned") |at| {
        let mutex = Arc::new(Mutex::new(()));
        let _guard = mutex.lock().await;
        at.next(line!());
        let _ = Arc::clone(&mutex).lock_owned().await;
    }

    rwlock_read("tokio::sync::RwLock::read") |at| {
        let lock = RwLock::new(());
        let _guard = lock.write().await;
        at.next(line!());
        let _ = lock.read().await;
    }

    rwlock_write("tokio::sync::RwLock::write") |at| {
        let lock = RwLock::new(());
        let _guard = lock.read().await;
        at.next(line!());
        let _ = lock.write().await;
    }

    rwlock_write_owned("tokio::sync::RwLock::write_owned") |at| {
        let lock = Arc::new(RwLock::new(()));
        let _guard = lock.read().await;
        at.next(line!());
        let _ = Arc::clone(&lock).write_owned().await;
    }

    semaphore_acquire("tokio::sync::Semaphore::acquire") |at| {
        let semaphore = Semaphore::new(0);
        at.next(line!());
        let _ = semaphore.acquire().await;
    }

    semaphore_acquire_many_owned("tokio::sync::Semaphore::acquire_many_owned") |at| {
        let semaphore = Arc::new(Semaphore::new(0));
        at.next(line!());
        let _ = semaphore.acquire_many_owned(2).await;
    }

    notify_notified("tokio::sync::Notify::notified") |at| {
        let notify = Notify::new();
        at.next(line!());
        notify.notified().await;
    }

    notify_notified_owned("tokio::sync::Notify::notified_owned") |at| {
        let notify = Arc::new(Notify::new());
        at.next(line!());
        notify.notified_owned().await;
    }

    barrier_wait("tokio::sync::Barrier::wait") |at| {
        let barrier = Barrier::new(2);
        at.next(line!());
        barrier.wait().await;
    }

    once_cell("tokio::sync::OnceCell::get_or_init") |at| {
        let cell = OnceCell::new();
        let first = cell.get_or_init(pending::<()>);
        tokio::pin!(first);
        assert!(futures::poll!(first.as_mut()).is_pending());
        at.next(line!());
        cell.get_or_init(|| async {}).await;
    }

    task_join_handle("tokio::task::JoinHandle") |at| {
        let task = tokio::spawn(pending::<()>());
        at.next(line!());
        let _ = task.await;
    }

    task_join_handle_by_reference("tokio::task::JoinHandle") |at| {
        let mut task = tokio::spawn(pending::<()>());
        at.next(line!());
        let _ = (&mut task).await;
    }

    task_spawn_blocking("tokio::task::JoinHandle") |at| {
        let (_sender, receiver) = std::sync::mpsc::channel::<()>();
        let task = tokio::task::spawn_blocking(move || receiver.recv());
        at.next(line!());
        let _ = task.await;
    }

    task_join_set("tokio::task::JoinSet::join_next") |at| {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(pending::<()>());
        at.next(line!());
        tasks.join_next().await;
    }

    task_join_all("tokio::task::JoinSet::join_all") |at| {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(pending::<()>());
        at.next(line!());
        tasks.join_all().await;
    }

    task_yield_now("tokio::task::yield_now") |at| {
        loop {
            at.next(line!());
            tokio::task::yield_now().await;
        }
    }

    task_consume_budget("tokio::task::coop::consume_budget") |at| {
        loop {
            at.next(line!());
            tokio::task::consume_budget().await;
        }
    }

    task_exhausted_budget("tokio::sync::mpsc::UnboundedReceiver::recv") |at| {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        loop {
            sender.send(()).unwrap();
            at.next(line!());
            receiver.recv().await;
        }
    }

    task_unconstrained("tokio::sync::Notify::notified") |at| {
        let notify = Notify::new();
        at.next(line!());
        tokio::task::unconstrained(notify.notified()).await;
    }

    task_local_scope("tokio::time::sleep") |at| {
        tokio::task_local! { static LOCAL: u8; }
        at.next(line!());
        LOCAL.scope(1, sleep(HOUR)).await;
    }

    task_local_set("tokio::task::LocalSet::run_until") |at| {
        let local = tokio::task::LocalSet::new();
        at.next(line!());
        local.run_until(pending::<()>()).await;
    }

    signal_ctrl_c("tokio::signal::ctrl_c") |at| {
        at.next(line!());
        let _ = tokio::signal::ctrl_c().await;
    }

    #[cfg(unix)]
    signal_unix("tokio::signal::unix::Signal::recv") |at| {
        let kind = tokio::signal::unix::SignalKind::user_defined1();
        let mut signal = tokio::signal::unix::signal(kind).unwrap();
        at.next(line!());
        signal.recv().await;
    }

    process_wait("tokio::process::Child::wait") |at| {
        let mut child = sleeping_child();
        at.next(line!());
        let _ = child.wait().await;
    }

    process_stdin("tokio::process::ChildStdin::write") |at| {
        let mut child = sleeping_child();
        let mut stdin = child.stdin.take().unwrap();
        // The first write makes the pipe known as not writable.
        stdin.write_all(&[0]).await.unwrap();
        while stdin.write(&[0; 65536]).now_or_never().is_some() {}
        // On Windows, a thread writes, and may only have been slow.
        at.next(line!());
        while stdin.write(&[0; 65536]).await.is_ok() {}
    }

    io_duplex("tokio::io::DuplexStream::read") |at| {
        let (mut stream, _peer) = tokio::io::duplex(1);
        at.next(line!());
        let _ = stream.read(&mut [0]).await;
    }

    io_copy("tokio::io::DuplexStream::read") |at| {
        let (mut stream, _peer) = tokio::io::duplex(1);
        at.next(line!());
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }

    io_copy_bidirectional("tokio::io::DuplexStream::read", "tokio::net::TcpStream::read") |at| {
        let (mut one, _one_peer) = tokio::io::duplex(1);
        let (_other_peer, mut other) = tcp().await;
        at.next(line!());
        let _ = tokio::io::copy_bidirectional(&mut one, &mut other).await;
    }

    io_split("tokio::net::TcpStream::read") |at| {
        let (_peer, stream) = tcp().await;
        let (mut read, _write) = tokio::io::split(stream);
        at.next(line!());
        let _ = read.read(&mut [0]).await;
    }

    io_lines("tokio::net::TcpStream::read") |at| {
        let (_peer, stream) = tcp().await;
        let mut lines = BufReader::new(stream).lines();
        at.next(line!());
        let _ = lines.next_line().await;
    }

    stream_of_receiver("tokio::sync::mpsc::Receiver::recv") |at| {
        use tokio_stream::StreamExt;
        let (_sender, receiver) = mpsc::channel::<()>(1);
        let mut stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        at.next(line!());
        stream.next().await;
    }

    stream_of_interval("tokio::time::Interval::tick") |at| {
        use tokio_stream::StreamExt;
        let mut interval = interval(HOUR);
        interval.tick().await;
        let mut stream = tokio_stream::wrappers::IntervalStream::new(interval).map(|_| ());
        at.next(line!());
        stream.next().await;
    }

    stream_of_broadcast("tokio::sync::broadcast::Receiver::recv") |at| {
        use futures::StreamExt;
        let (_sender, receiver) = broadcast::channel::<()>(1);
        let mut stream = tokio_stream::wrappers::BroadcastStream::new(receiver);
        at.next(line!());
        stream.next().await;
    }

    util_cancellation("tokio_util::sync::CancellationToken::cancelled") |at| {
        let token = tokio_util::sync::CancellationToken::new();
        at.next(line!());
        token.cancelled().await;
    }

    util_task_tracker("tokio_util::task::TaskTracker::wait") |at| {
        let tracker = tokio_util::task::TaskTracker::new();
        at.next(line!());
        tracker.wait().await;
    }

    util_framed("tokio::net::TcpStream::read") |at| {
        use futures::StreamExt;
        let (_peer, stream) = tcp().await;
        let codec = tokio_util::codec::LinesCodec::new();
        let mut framed = tokio_util::codec::Framed::new(stream, codec);
        at.next(line!());
        framed.next().await;
    }

    util_delay_queue("tokio_util::time::DelayQueue") |at| {
        use futures::StreamExt;
        let mut queue = tokio_util::time::DelayQueue::new();
        queue.insert((), HOUR);
        at.next(line!());
        queue.next().await;
    }
}

/// A thread reads the file, and no thread may be free for it.
#[cfg(unix)]
#[test]
fn fs_read() {
    async fn waits(at: AwaitPoint) {
        let (_removed, path) = temporary_path("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        at.next(line!());
        let _ = tokio::fs::read(path).await;
    }
    waits_for(waits, "tokio::fs::read");
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.unwrap(), other.unwrap().0)
}

#[cfg(unix)]
fn temporary_path(name: &str) -> (RemoveOnDrop, std::path::PathBuf) {
    let name = format!("tasktrace-{name}-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    (RemoveOnDrop(path.clone()), path)
}

#[cfg(unix)]
struct RemoveOnDrop(std::path::PathBuf);

#[cfg(unix)]
impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The environment variable of the child process of [`sleeping_child`].
const CHILD: &str = "TASKTRACE_TEST_SLEEPS";

/// Starts this program as a child process that sleeps and reads nothing. Not all systems have a program for that.
fn sleeping_child() -> tokio::process::Child {
    tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sleeps_in_a_child_process"])
        .env(CHILD, "1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The test that [`sleeping_child`] runs.
#[test]
fn sleeps_in_a_child_process() {
    while std::env::var_os(CHILD).is_some() {
        std::thread::park();
    }
}
