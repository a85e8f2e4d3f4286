//! Contains tests that hang when they run in a child process, and pass at once otherwise.
//!
//! Their limit is 2 seconds, or 5 seconds if the verdict is about something that must have lasted for a second.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, mpsc as std_mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tasktrace::traced;
use tasktrace_tests::HOUR;
use tasktrace_tests::by_hand::LONG;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::is_wanted;

/// The path of this file in reports. It depends on the workspace that builds the tests.
pub(crate) const FILE: &str = file!();

/// Two tasks lock the same two locks in opposite order.
#[tasktrace::test(timeout = "2s")]
async fn deadlock() {
    if is_wanted() {
        two_locks().await;
    }
}

/// Wakes another task, and waits to be woken by it.
#[traced]
async fn wakes(other: Arc<Notify>, own: Arc<Notify>) {
    loop {
        other.notify_one();
        own.notified().await;
    }
}

#[tasktrace::test(timeout = "5s")]
async fn two_tasks_that_wake_each_other() {
    if is_wanted() {
        let (one, two) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let other = tasktrace::spawn(wakes(one.clone(), two.clone()));
        tasktrace::spawn(wakes(two, one)).await.unwrap();
        other.await.unwrap();
    }
}

#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 2)]
async fn deadlock_multi_thread() {
    if is_wanted() {
        two_locks().await;
    }
}

#[tasktrace::test(timeout = "2s", start_paused = true)]
async fn deadlock_paused() {
    if is_wanted() {
        two_locks().await;
    }
}

#[tasktrace::test(timeout = "2s", block_on = pollster::block_on)]
async fn deadlock_without_tokio() {
    if is_wanted() {
        let lock = async_lock::Mutex::new(());
        let _guard = lock.lock().await;
        let _again = lock.lock().await;
    }
}

async fn two_locks() {
    let (one, two) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    // The barrier lets each task lock its first lock before either task requests its second.
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let first = tokio::spawn(one_then_two(one.clone(), two.clone(), both.clone()));
    let second = tokio::spawn(two_then_one(one, two, both));
    first.await.unwrap();
    second.await.unwrap();
}

type Lock = Arc<Mutex<()>>;

#[traced]
async fn one_then_two(one: Lock, two: Lock, both: Arc<tokio::sync::Barrier>) {
    let _one = one.lock().await;
    both.wait().await;
    let _two = two.lock().await;
}

#[traced]
async fn two_then_one(one: Lock, two: Lock, both: Arc<tokio::sync::Barrier>) {
    let _two = two.lock().await;
    both.wait().await;
    let _one = one.lock().await;
}

#[tasktrace::test(timeout = "2s")]
async fn lost_wake() {
    if is_wanted() {
        forgets_its_waker().await;
    }
}

#[traced]
async fn forgets_its_waker() {
    poll_fn(|_| Poll::<()>::Pending).await;
}

/// The notification comes before the task waits for it.
#[tasktrace::test(timeout = "2s")]
async fn notified_too_early() {
    if is_wanted() {
        let notify = Notify::new();
        notify.notify_waiters();
        wait_for(&notify).await;
    }
}

async fn wait_for(notify: &Notify) {
    notify.notified().await;
}

#[tasktrace::test(timeout = "2s")]
async fn nobody_sends() {
    if is_wanted() {
        let (_sender, receiver) = mpsc::channel::<()>(1);
        receive(receiver).await;
    }
}

async fn receive(mut receiver: mpsc::Receiver<()>) {
    receiver.recv().await;
}

#[tasktrace::test(timeout = "5s", flavor = "multi_thread", worker_threads = 2)]
async fn sleeping_worker() {
    if is_wanted() {
        tokio::spawn(sleeps()).await.unwrap();
    }
}

#[traced]
async fn sleeps() {
    std::thread::sleep(HOUR);
}

#[tasktrace::test(timeout = "5s", flavor = "multi_thread", worker_threads = 2)]
async fn busy_worker() {
    if is_wanted() {
        tokio::spawn(spins()).await.unwrap();
    }
}

#[traced]
async fn spins() {
    while std::hint::black_box(true) {
        std::hint::spin_loop();
    }
}

/// One branch of the `select!` is always ready, so the loop never yields.
#[tasktrace::test(timeout = "5s")]
async fn busy_select() {
    if is_wanted() {
        let (_sender, mut receiver) = mpsc::channel::<()>(1);
        loop {
            tokio::select! {
                _ = receiver.recv() => {}
                () = std::future::ready(()) => {}
            }
        }
    }
}

#[tasktrace::test(timeout = "2s")]
async fn yields_for_ever() {
    if is_wanted() {
        tasktrace::spawn(async {
            let (_sender, mut idle) = mpsc::channel::<()>(1);
            idle.recv().await
        });
        yields().await;
    }
}

async fn yields() {
    while std::hint::black_box(true) {
        yield_now().await;
    }
}

/// The channel is closed and therefore always ready, so only tokio's coop budget ends a poll.
#[tasktrace::test(timeout = "2s")]
async fn ready_all_the_time() {
    if is_wanted() {
        let (_, mut closed) = mpsc::channel::<()>(1);
        let stop = Notify::new();
        loop {
            tokio::select! {
                _ = closed.recv() => {}
                () = stop.notified() => {}
            }
        }
    }
}

/// `true` once `sleeping_test` has begun.
pub(crate) static IS_ASLEEP: AtomicBool = AtomicBool::new(false);

/// Blocks the thread of the test itself.
#[tasktrace::test(timeout = "2s")]
async fn sleeping_test() {
    if is_wanted() {
        IS_ASLEEP.store(true, Ordering::Release);
        sleeps().await;
    }
}

/// A `std::sync::Mutex` is held across an await, and another future of the same thread locks it.
#[tasktrace::test(timeout = "2s")]
async fn synchronous_lock() {
    if is_wanted() {
        let lock = StdMutex::new(());
        tokio::join!(holds(&lock), wants(&lock));
    }
}

#[traced]
#[allow(clippy::await_holding_lock)]
async fn holds(lock: &StdMutex<()>) {
    let _guard = lock.lock().unwrap();
    yield_now().await;
}

#[traced]
async fn wants(lock: &StdMutex<()>) {
    let _guard = lock.lock().unwrap();
}

/// A worker calls `block_on` for a message that only another task of that worker could send.
#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 1)]
async fn nested_block_on() {
    if is_wanted() {
        let (sender, receiver) = oneshot::channel();
        let blocked = tokio::spawn(blocks_on(receiver));
        let sends = tokio::spawn(async move { sender.send(()) });
        blocked.await.unwrap();
        sends.await.unwrap().unwrap();
    }
}

#[traced]
async fn blocks_on(receiver: oneshot::Receiver<()>) {
    futures::executor::block_on(receiver).unwrap();
}

#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 2)]
async fn all_workers_blocked() {
    if is_wanted() {
        let (_sender, receiver) = std_mpsc::channel();
        let receiver = Arc::new(StdMutex::new(receiver));
        let one = tokio::spawn(receives(receiver.clone()));
        let two = tokio::spawn(receives(receiver));
        one.await.unwrap();
        two.await.unwrap();
    }
}

#[traced]
async fn receives(receiver: Arc<StdMutex<std_mpsc::Receiver<()>>>) {
    receiver.lock().unwrap().recv().unwrap();
}

/// A future that the task still holds but no longer polls has the lock.
#[tasktrace::test(timeout = "2s")]
async fn futurelock() {
    if is_wanted() {
        let lock = Mutex::new(());
        let mut fetch = std::pin::pin!(fetches(&lock));
        tokio::select! {
            biased;
            () = &mut fetch => {}
            () = yield_now() => stores(&lock).await,
        }
    }
}

#[traced]
async fn fetches(lock: &Mutex<()>) {
    let _guard = lock.lock().await;
    sleep(HOUR).await;
}

#[traced]
async fn stores(lock: &Mutex<()>) {
    let _guard = lock.lock().await;
}

/// The body is the accept loop of a server, and one of the server's handlers waits for a lock.
#[tasktrace::test(timeout = "2s")]
async fn server_in_body() {
    if is_wanted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lock = Arc::new(Mutex::new(()));
        let _leaked = lock.clone().lock_owned().await;
        tasktrace::spawn(async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"x").await.unwrap();
            client.read_u8().await.unwrap();
        });
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tasktrace::spawn(handles(stream, lock.clone()));
        }
    }
}

async fn handles(mut stream: TcpStream, lock: Lock) {
    stream.read_u8().await.unwrap();
    let _guard = lock.lock().await;
}

/// A session waits for its peer or for the program to stop.
#[tasktrace::test(timeout = "2s")]
async fn session_with_stop() {
    if is_wanted() {
        let (stream, _peer) = tokio::io::duplex(1);
        session(stream, CancellationToken::new()).await;
    }
}

async fn session(mut stream: DuplexStream, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        read = stream.read_u8() => drop(read),
    }
}

#[tasktrace::test(timeout = "2s")]
async fn abortable() {
    if is_wanted() {
        let (future, _handle) = futures::future::abortable(sleeps_long());
        future.await.unwrap();
    }
}

async fn sleeps_long() {
    sleep(HOUR).await;
}

/// A helper task is parked on purpose, and the body locks a lock twice.
#[tasktrace::test(timeout = "2s")]
async fn parked_helper() {
    if is_wanted() {
        let _helper = tasktrace::spawn(pending::<()>());
        let lock = Mutex::new(());
        let _guard = lock.lock().await;
        stores(&lock).await;
    }
}

/// The body awaits a task of another runtime, which other tests could share.
#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 1)]
async fn other_runtime() {
    if is_wanted() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let lock = Arc::new(Mutex::new(()));
        let _guard = lock.clone().lock_owned().await;
        let outer = tasktrace::spawn_on(
            async move { tasktrace::spawn(waits_for_lock(lock)).await.unwrap() },
            runtime.handle(),
        );
        std::mem::forget(runtime);
        outer.await.unwrap();
    }
}

async fn waits_for_lock(lock: Lock) {
    let _guard = lock.lock().await;
}

/// A buffered stream holds futures that it has started while the body awaits something else for an item.
#[tasktrace::test(timeout = "2s")]
async fn buffered() {
    if is_wanted() {
        let lock = Arc::new(Mutex::new(()));
        let items = futures::stream::iter(0..5).map(|number| item(lock.clone(), number));
        let mut items = items.buffered(3);
        while items.next().await.is_some() {
            stores(&lock).await;
        }
    }
}

#[traced("item {number}")]
async fn item(lock: Lock, number: u32) {
    let _guard = lock.lock().await;
    sleep(Duration::from_millis(10)).await;
    let _ = number;
}

/// The future registers its waker in its first poll only.
#[tasktrace::test(timeout = "2s")]
async fn registers_once() {
    if is_wanted() {
        once().await;
    }
}

#[traced]
async fn once() {
    let mut kept = None;
    poll_fn(move |cx| {
        kept.get_or_insert_with(|| cx.waker().clone());
        Poll::<()>::Pending
    })
    .await;
}

/// The body ends, but its runtime does not shut down.
#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 2)]
async fn no_shutdown() {
    if is_wanted() {
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(sleeps_after(sender));
        receiver.await.unwrap();
    }
}

#[traced]
async fn sleeps_after(sender: oneshot::Sender<()>) {
    sender.send(()).unwrap();
    std::thread::sleep(HOUR);
}

/// Hangs at the same time as `other_of_two`.
#[tasktrace::test(timeout = "2s")]
async fn one_of_two() {
    if is_wanted() {
        tokio::spawn(of_one()).await.unwrap();
    }
}

#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 1)]
async fn other_of_two() {
    if is_wanted() {
        tokio::spawn(of_other()).await.unwrap();
    }
}

#[traced]
async fn of_one() {
    sleep(HOUR).await;
}

#[traced]
async fn of_other() {
    sleep(HOUR).await;
}

/// Would pass if the limit ended it with a panic of its own.
#[tasktrace::test(timeout = "2s")]
#[should_panic]
async fn should_panic() {
    if is_wanted() {
        pending::<()>().await;
    }
    panic!("as it should");
}

/// Passes because it expects the panic of its limit.
#[tasktrace::test(timeout = "100ms")]
#[should_panic(expected = "hung::expected (fn at ")]
async fn expected() {
    pending::<()>().await;
}

/// Hangs without a limit.
#[tasktrace::test(timeout = "none")]
async fn for_ever() {
    if is_wanted() {
        std::thread::spawn(announce_wait);
        let (_sender, receiver) = mpsc::channel::<()>(1);
        receive(receiver).await;
    }
}

/// Tells the parent process that the test waits.
///
/// Before that, it looks up the names that a report needs, by its dumps. The first look-up reads the debug info of the
/// program. On a busy machine, this may take longer than the test waits for a report on SIGTERM.
fn announce_wait() {
    let wait = "tokio::sync::mpsc::Receiver::recv";
    let start = Instant::now();
    while !tasktrace::dump_blocking(LONG).to_string().contains(wait) {
        if start.elapsed() > LONG {
            std::process::exit(1);
        }
    }
    println!("waiting");
}

/// Takes longer than its limit, and ends.
#[tasktrace::test(timeout = "2s")]
async fn slow() {
    if is_wanted() {
        sleep(Duration::from_secs(3)).await;
    }
}

/// Hangs, with a limit that soon passes.
#[tasktrace::test(timeout = "2s")]
async fn soon_over() {
    if is_wanted() {
        pending::<()>().await;
    }
}

/// The hanging tasks are spawned with `tokio::spawn` and not traced.
#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 2)]
async fn untraced_handlers() {
    if is_wanted() {
        for _ in 0..5 {
            tokio::spawn(pending::<()>());
        }
        sleep(HOUR).await;
    }
}

#[tasktrace::test(timeout = "2s")]
async fn untraced_join_handle() {
    if is_wanted() {
        tokio::spawn(pending::<()>()).await.unwrap();
    }
}

/// The future would be ready in its second poll, but nothing wakes it for one.
#[tasktrace::test(timeout = "2s")]
async fn loses_a_wake_up() {
    if is_wanted() {
        let mut is_there = false;
        poll_fn(|_| match std::mem::replace(&mut is_there, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

/// Blocks its thread until the parent process closes the standard input.
#[tasktrace::test(timeout = "1s")]
async fn is_blocked_for_too_long() {
    if is_wanted() {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("it is a pipe");
    }
}

#[tasktrace::test(timeout = "2s")]
async fn joins_in_a_local_set() {
    if is_wanted() {
        let set = tokio::task::LocalSet::new();
        let joined = async {
            let (future, _handle) = tasktrace::traced(sleeps_long());
            tokio::task::spawn_local(future).await.unwrap();
        };
        set.run_until(joined).await;
    }
}

/// The task is not traced, so only the `LocalSet` knows it.
#[tasktrace::test(timeout = "2s")]
async fn sleeps_beside_a_local_task() {
    if is_wanted() {
        let set = tokio::task::LocalSet::new();
        set.spawn_local(std::future::pending::<()>());
        set.run_until(sleeps_long()).await;
    }
}

#[tasktrace::test(timeout = "2s")]
async fn initializes_once() {
    if is_wanted() {
        let (_sender, receiver) = oneshot::channel::<u8>();
        let cell = tokio::sync::OnceCell::new();
        let first = cell.get_or_init(|| initializes(receiver));
        tokio::join!(first, cell.get_or_init(|| async { 2 }));
    }
}

async fn initializes(receiver: oneshot::Receiver<u8>) -> u8 {
    receiver.await.unwrap()
}

/// The joined futures are not traced.
#[tasktrace::test(timeout = "2s")]
async fn hidden_children() {
    if is_wanted() {
        futures::future::join_all((0..40).map(|_| sleep(HOUR))).await;
    }
}

/// The joined futures are traced.
#[tasktrace::test(timeout = "2s")]
async fn shown_children() {
    #[traced]
    async fn child() {
        sleep(HOUR).await;
    }
    if is_wanted() {
        futures::future::join_all((0..40).map(|_| child())).await;
    }
}

/// Waits for two messages in one function.
#[tasktrace::test(timeout = "2s")]
async fn joins_two() {
    if is_wanted() {
        let (_sender, mut one) = mpsc::channel::<()>(1);
        let (_sender, mut other) = mpsc::channel::<()>(1);
        tokio::join!(one.recv(), other.recv());
    }
}

/// All tasks of the tracker have ended, but nothing closed the tracker.
#[tasktrace::test(timeout = "2s")]
async fn open_tracker() {
    if is_wanted() {
        let tracker = TaskTracker::new();
        tracker.spawn(async {}).await.unwrap();
        tracker.wait().await;
    }
}

/// Simulates a panic hook that reads debug information for a long time.
#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 1)]
async fn stays_in_the_panic_hook() {
    if is_wanted() {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("tokio-rt-worker") {
                std::thread::sleep(HOUR);
            }
            before(info);
        }));
        let falls = tasktrace::spawn(falls());
        assert!(falls.await.is_ok(), "it has panicked");
    }
}

#[traced]
async fn falls() {
    yield_now().await;
    panic!("on purpose");
}

/// The task that should have sent has panicked, and another task was aborted. Nothing awaits the two. On a busy machine
/// the panic hook reads debug information for seconds.
#[tasktrace::test(timeout = "10s")]
async fn outlives_its_tasks() {
    if is_wanted() {
        let (sender, receiver) = oneshot::channel::<()>();
        let aborted = tasktrace::spawn(sleeps_long());
        let falls = tasktrace::spawn(falls());
        yield_now().await;
        aborted.abort();
        while !falls.is_finished() || !aborted.is_finished() {
            yield_now().await;
        }
        let _ = receiver.await;
        drop(sender);
    }
}
