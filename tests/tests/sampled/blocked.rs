//! Tests samples of blocked threads: the dump has the function, its line, and the call that blocks.

use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, RwLock, mpsc};

use futures::channel::oneshot;
use tasktrace::{Frame, TaskState, Wait};
use tasktrace_tests::name_of;
use tasktrace_tests::sampled::{Site, alone, dump_until, is_sample, path, sample_until};

use crate::support::Poller;

/// Asserts that a sample of a task that runs `body` has the noted line of `body`, and `resource` as its leaf.
#[track_caller]
pub(crate) fn check<T, F>(
    resource: &str,
    body: impl FnOnce(Site, T) -> F + Send,
    argument: T,
    release: impl FnOnce(),
) where
    F: Future<Output = ()> + Send + 'static,
{
    let _alone = alone();
    let function = name_of(&body);
    let site = Site::default();
    let poller = Poller::new(body(site.clone(), argument));
    // The C library has several names for one function.
    let is_resource = |leaf: &Frame| match resource.strip_prefix("C ") {
        None => leaf.name() == resource,
        Some(function) => leaf.name().ends_with(function) && !leaf.name().contains("::"),
    };
    let task = sample_until(poller.id(), is_resource);
    let trace = task.trace();
    let [frame, leaf] = path(trace)[..] else {
        panic!("not a function and a leaf:\n{trace}\n{trace:#}");
    };
    assert_eq!(frame.name(), function, "\n{trace}\n{trace:#}");
    assert_eq!(frame.line(), Some(site.line()), "\n{trace}\n{trace:#}");
    assert_eq!(leaf.wait(), Some(Wait::Running), "\n{trace}");
    let TaskState::Running(running) = task.state() else {
        panic!("{}", task.state());
    };
    assert_eq!(running.thread_name(), Some("poller"));
    site.end();
    release();
    poller.join();
}

#[test]
fn a_receive_from_a_channel_is_shown() {
    async fn receives(site: Site, channel: mpsc::Receiver<()>) {
        site.next(line!());
        let _ = channel.recv();
    }
    let (sender, receiver) = mpsc::channel();
    let resource = "std::sync::mpsc::Receiver::recv";
    check(resource, receives, receiver, || drop(sender));
}

#[test]
fn a_sleep_is_shown() {
    async fn sleeps(site: Site, (): ()) {
        while !site.is_over() {
            site.next(line!());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    check("std::thread::sleep", sleeps, (), || ());
}

#[test]
fn a_lock_of_a_mutex_is_shown() {
    async fn locks(site: Site, lock: Arc<Mutex<()>>) {
        site.next(line!());
        drop(lock.lock());
    }
    let lock = Arc::new(Mutex::new(()));
    let guard = lock.lock().unwrap();
    let resource = "std::sync::Mutex::lock";
    check(resource, locks, Arc::clone(&lock), || drop(guard));
}

#[test]
fn a_read_lock_is_shown() {
    async fn reads(site: Site, lock: Arc<RwLock<()>>) {
        site.next(line!());
        drop(lock.read());
    }
    let lock = Arc::new(RwLock::new(()));
    let guard = lock.write().unwrap();
    let resource = "std::sync::RwLock::read";
    check(resource, reads, Arc::clone(&lock), || drop(guard));
}

#[test]
fn a_wait_for_a_condition_is_shown() {
    async fn waits(site: Site, shared: Arc<(Mutex<bool>, Condvar)>) {
        let mut is_set = shared.0.lock().unwrap();
        while !*is_set {
            site.next(line!());
            is_set = shared.1.wait(is_set).unwrap();
        }
    }
    let shared = Arc::<(Mutex<bool>, Condvar)>::default();
    let resource = "std::sync::Condvar::wait";
    check(resource, waits, Arc::clone(&shared), || {
        *shared.0.lock().unwrap() = true;
        shared.1.notify_all();
    });
}

#[test]
fn a_join_of_a_thread_is_shown() {
    async fn joins(site: Site, thread: std::thread::JoinHandle<()>) {
        site.next(line!());
        let _ = thread.join();
    }
    let (sender, receiver) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let _ = receiver.recv();
    });
    let resource = "std::thread::JoinHandle::join";
    check(resource, joins, thread, || drop(sender));
}

#[test]
fn a_blocking_run_of_a_future_is_shown() {
    async fn blocks_on(site: Site, answer: oneshot::Receiver<()>) {
        site.next(line!());
        let _ = pollster::block_on(answer);
    }
    let (sender, receiver) = oneshot::channel();
    let resource = "pollster::block_on";
    check(resource, blocks_on, receiver, || drop(sender));
}

/// `smol::block_on` parks its thread, or waits for events in place of the reactor, with functions of other crates.
#[cfg(debug_assertions)]
#[test]
fn a_blocking_run_of_a_future_and_a_reactor_is_shown() {
    async fn blocks_on(site: Site, answer: oneshot::Receiver<()>) {
        site.next(line!());
        let _ = smol::block_on(answer);
    }
    let (sender, receiver) = oneshot::channel();
    let resource = "async_io::block_on";
    check(resource, blocks_on, receiver, || drop(sender));
}

#[test]
fn an_accept_on_a_socket_is_shown() {
    async fn accepts(site: Site, listener: TcpListener) {
        site.next(line!());
        let _ = listener.accept();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let resource = "std::net::TcpListener::accept";
    check(resource, accepts, listener, || {
        drop(TcpStream::connect(address));
    });
}

/// The task does not block, so the dump shows only the place where it runs.
///
/// In an optimized program the sample may always be in code that is inlined there: the processor decides at which of
/// the few instructions of so short a loop it is interrupted.
#[test]
fn a_running_loop_is_shown() {
    async fn computes(site: Site) {
        site.next(line!());
        while !site.is_over() {}
    }
    let _alone = alone();
    let site = Site::default();
    let poller = Poller::new(computes(site.clone()));
    let is_there = |frame: &Frame| frame.line() == Some(site.line());
    let dump = dump_until(poller.id(), |task| {
        is_sample(task) && task.trace().frames().iter().any(is_there)
    });
    let trace = dump.get(poller.id()).unwrap().trace();
    let path = path(trace);
    let (frame, inlined) = path.split_first().unwrap();
    assert_eq!(frame.name(), name_of(&computes), "\n{trace:#}");
    let names: Vec<_> = inlined.iter().map(|frame| frame.name()).collect();
    let is_over = "tasktrace_tests::sampled::Site::is_over";
    assert!(names.is_empty() || names == [is_over], "\n{trace:#}");
    let leaf = inlined.last().unwrap_or(frame);
    assert_eq!(leaf.wait(), Some(Wait::Running), "\n{trace:#}");
    site.end();
    poller.join();
}
