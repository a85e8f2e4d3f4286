//! Creates a few tasks of each kind.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper_util::rt::TokioIo;
use tasktrace::{Frame, JoinHandle, TaskDump, TaskState, traced};
use tasktrace_tests::HOUR;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, Semaphore, mpsc, oneshot};
use tokio::time::sleep;

/// The commands that the tests may send.
pub(crate) struct Commands {
    next: Arc<Notify>,
}

impl Commands {
    /// Ends the task `guest "guest n"`, and starts `guest "guest n+1"`.
    pub(crate) fn next(&self) {
        self.next.notify_one();
    }
}

/// Labels from a hostile user. Each would have a visible effect if the page did not show it as text.
const HOSTILE: [&str; 6] = [
    "<img src=x onerror=\"window.pwned=1\">",
    "</script><script>window.pwned=1</script>",
    "\"'><svg onload=window.pwned=1>",
    "javascript:window.pwned=1",
    "\u{202e}gnp.exe \u{1b}[31mred\u{1b}[0m\nsecond line\0",
    "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}",
];

pub(crate) fn start(runtime: &Runtime) -> Commands {
    let next = Arc::new(Notify::new());
    runtime.spawn(traced(program(Arc::clone(&next))).0);
    super::wait_until(|dump| dump.len() == TASKS && dump.tasks().all(is_settled));
    Commands { next }
}

const ORDERS: usize = 24;
const USERS: u32 = 9;
const PERMITS: u32 = 2;

/// The number of tasks: several of some functions, and one of each other function.
const TASKS: usize = ORDERS + USERS as usize + HOSTILE.len() + 1 + 14;

/// A thread that is blocked, or a frame that is held, for less than this may be work in progress, so it is not
/// reported.
const LONG: Duration = Duration::from_secs(1);

/// Returns `true` if a task is in its final state.
fn is_settled(task: &TaskDump) -> bool {
    let is_suspended = *task.state() == TaskState::Suspended;
    let name = task.name().rsplit("::").next();
    match name.unwrap_or_default() {
        "checksum" => {
            matches!(task.state(), TaskState::Running(running) if running.duration() >= LONG)
        }
        "forgets" => is_suspended && task.trace().frames().iter().any(has_held),
        "program" | "supervise" | "debit" | "credit" => is_suspended && task.awaits().len() == 1,
        // This task never stops.
        "tick" => true,
        _ => is_suspended,
    }
}

/// Returns `true` if the frame, or one below it, has not been polled for long.
fn has_held(frame: &Frame) -> bool {
    frame.not_polled_for().is_some_and(|time| time >= LONG) || frame.children().iter().any(has_held)
}

#[traced]
async fn program(next: Arc<Notify>) {
    let stock = Arc::new(Mutex::new(0));
    let pool = Arc::new(Semaphore::new(PERMITS as usize));
    tasktrace::spawn(compact(Arc::clone(&stock).lock_owned().await));
    for order in 0..ORDERS {
        tasktrace::spawn(write(Arc::clone(&stock), 1000 + order as u64));
    }
    let served = Arc::new(Notify::new());
    for user in 0..USERS {
        tasktrace::spawn(session(Arc::clone(&pool), Arc::clone(&served), user));
        // The first users have the permits, whichever threads poll them.
        if user < PERMITS {
            served.notified().await;
        }
    }
    for label in HOSTILE {
        tasktrace::spawn(greet(label.into()));
    }
    tasktrace::spawn(greet("x".repeat(5_000)));
    tasktrace::spawn(fan_out());
    tasktrace::spawn(forgets());
    tasktrace::spawn(lost());
    tasktrace::spawn(guests(next));
    tasktrace::spawn(gateway());
    tasktrace::spawn(tick());
    deadlock();
    let (send, receive) = mpsc::channel(1);
    let consumer = tasktrace::spawn(consume(receive));
    let supervisor = tasktrace::spawn(supervise(consumer));
    tasktrace::spawn(checksum());
    supervisor.await.expect("the supervisor never ends");
    drop(send);
}

/// Holds the lock for a long time.
#[traced]
async fn compact(mut stock: OwnedMutexGuard<u64>) {
    sleep(HOUR).await;
    *stock = 0;
}

/// Waits for the lock, as many others do: a convoy.
#[traced("order {order}")]
async fn write(stock: Arc<Mutex<u64>>, order: u64) {
    *stock.lock().await += order;
}

/// Waits for a permit of an exhausted pool.
#[traced("user {user}")]
async fn session(pool: Arc<Semaphore>, served: Arc<Notify>, user: u32) {
    let _permit = pool.acquire().await;
    served.notify_one();
    query("SELECT stock FROM items WHERE id = $1", user).await;
}

#[traced("{sql} [{id}]")]
async fn query(sql: &str, id: u32) {
    sleep(HOUR).await;
}

#[traced("{label}")]
async fn greet(label: String) {
    Notify::new().notified().await;
}

/// Polls many futures at a time, in one task.
#[traced]
async fn fan_out() {
    let mut requests: FuturesUnordered<_> = (0..40).map(request).collect();
    requests.next().await;
}

#[traced("GET /item/{item}")]
async fn request(item: u32) {
    let news = Notify::new();
    tokio::join!(sleep(HOUR), news.notified());
}

/// A futurelock: the task waits for a lock that its own held future has.
#[traced]
async fn forgets() {
    let lock = Arc::new(Mutex::new(()));
    let mut first = std::pin::pin!(hold(Arc::clone(&lock)));
    tokio::select! {
        // The second poll does not poll `first`.
        biased;
        () = tokio::task::yield_now() => {
            let _guard = lock.lock().await;
        }
        () = &mut first => {}
    }
}

#[traced]
async fn hold(lock: Arc<Mutex<()>>) {
    let _guard = lock.lock().await;
    sleep(HOUR).await;
}

/// Registers no waker.
#[traced]
async fn lost() {
    std::future::poll_fn(|_| Poll::<()>::Pending).await;
}

#[traced]
async fn guests(next: Arc<Notify>) {
    static GUESTS: AtomicU64 = AtomicU64::new(1);
    loop {
        let number = GUESTS.fetch_add(1, Ordering::Relaxed);
        let guest = tasktrace::spawn(guest(number));
        next.notified().await;
        guest.abort();
    }
}

#[traced("guest {number}")]
async fn guest(number: u64) {
    sleep(HOUR).await;
}

#[traced]
async fn tick() {
    loop {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for a request that never comes, with functions of libraries in between.
#[traced]
async fn gateway() {
    let (_client, server) = tokio::io::duplex(1000);
    let service = hyper::service::service_fn(|_| async {
        Ok::<_, std::io::Error>(hyper::Response::new(http_body_util::Empty::<&[u8]>::new()))
    });
    let connection = hyper::server::conn::http1::Builder::new();
    let connection = connection.serve_connection(TokioIo::new(server), service);
    let _ = connection.await;
}

/// Starts two tasks that await each other.
fn deadlock() {
    let (give_debit, debit_handle) = oneshot::channel();
    let (give_credit, credit_handle) = oneshot::channel();
    let debit = tasktrace::spawn(debit(credit_handle));
    let credit = tasktrace::spawn(credit(debit_handle));
    give_debit.send(debit).ok();
    give_credit.send(credit).ok();
}

type Handle = JoinHandle<()>;

#[traced("account 17")]
async fn debit(other: oneshot::Receiver<Handle>) {
    settle(other).await;
}

#[traced("account 42")]
async fn credit(other: oneshot::Receiver<Handle>) {
    settle(other).await;
}

// Without the box, the types would contain themselves.
fn settle(other: oneshot::Receiver<Handle>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if let Ok(other) = other.await {
            other.await.ok();
        }
    })
}

#[traced]
async fn consume(mut jobs: mpsc::Receiver<u32>) {
    while jobs.recv().await.is_some() {}
}

#[traced]
async fn supervise(consumer: Handle) {
    consumer.await.expect("the consumer never ends");
}

/// Blocks its worker thread.
#[traced]
async fn checksum() {
    tokio::task::yield_now().await;
    std::thread::sleep(HOUR);
}
