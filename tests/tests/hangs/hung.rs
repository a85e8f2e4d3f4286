//! Tests that hang.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex as StdMutex, mpsc as std_mpsc};
use std::task::Poll;
use std::time::Duration;

use tasktrace::traced;
use tasktrace_tests::HOUR;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::support::is_wanted;

/// Two tasks, two locks, in opposite order.
#[tasktrace::test(timeout = "2s")]
async fn deadlock() {
    if is_wanted() {
        two_locks().await;
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
    // Each has its first lock before any asks for its second.
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

/// Woken before it waits.
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

#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 2)]
async fn sleeping_worker() {
    if is_wanted() {
        tokio::spawn(sleeps()).await.unwrap();
    }
}

#[traced]
async fn sleeps() {
    std::thread::sleep(HOUR);
}

#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 2)]
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

/// The same on the thread of the test itself.
#[tasktrace::test(timeout = "2s")]
async fn sleeping_test() {
    if is_wanted() {
        sleeps().await;
    }
}

/// A lock of the standard library is held across an await, and another task of the same thread waits
/// for it.
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

/// `block_on` in a worker, for something that only another task could send.
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

/// A future is held and not polled any more, and has the lock.
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

/// The body ends, and the runtime does not.
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

/// Two that hang at the same time.
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

/// It would pass if it were made to panic.
#[tasktrace::test(timeout = "2s")]
#[should_panic]
async fn should_panic() {
    if is_wanted() {
        pending::<()>().await;
    }
    panic!("as it should");
}

/// That is what it expects.
#[tasktrace::test(timeout = "100ms")]
#[should_panic(expected = "hung::expected at")]
async fn expected() {
    pending::<()>().await;
}

/// Without a limit.
#[tasktrace::test(timeout = "none")]
async fn for_ever() {
    if is_wanted() {
        // Told to whoever waits for it.
        println!("waiting");
        let (_sender, receiver) = mpsc::channel::<()>(1);
        receive(receiver).await;
    }
}

/// Takes longer than its limit.
#[tasktrace::test(timeout = "10ms")]
async fn slow() {
    if is_wanted() {
        sleep(Duration::from_millis(300)).await;
    }
}

/// For ever, with a limit that is soon over.
#[tasktrace::test(timeout = "10ms")]
async fn soon_over() {
    if is_wanted() {
        pending::<()>().await;
    }
}
