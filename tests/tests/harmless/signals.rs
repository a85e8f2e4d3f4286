//! Tests that the library's own threads call wakers with no more signals blocked than the program has.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::support::{LONG, Leaf};

/// Returns the signals that are blocked on the calling thread.
fn blocked_signals() -> Vec<i32> {
    // SAFETY: a null pointer for the new set leaves the mask as it is. The call writes the current mask to a pointer
    // that is valid for writes, and `sigismember` reads it after that.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set);
        let all = 1..=libc::SIGRTMAX();
        all.filter(|signal| libc::sigismember(&set, *signal) == 1)
            .collect()
    }
}

/// A waker that sends the signals blocked on its thread, those blocked on a thread that it spawns, and the signal that
/// ended a child process of it.
struct ReportsSignals(mpsc::Sender<(Vec<i32>, Vec<i32>, Option<i32>)>);

impl Wake for ReportsSignals {
    fn wake(self: Arc<Self>) {
        let spawned = std::thread::spawn(blocked_signals).join().unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        // SAFETY: `kill` takes two numbers. The child has not been waited for, so its number belongs to no other
        // process.
        unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
        // A child that ignores the signal is killed after this time.
        let end = std::time::Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if std::time::Instant::now() > end {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let _ = self.0.send((blocked_signals(), spawned, status.signal()));
    }
}

#[test]
fn a_waker_runs_with_the_signal_mask_of_the_program() {
    let program = blocked_signals();
    assert!(!program.contains(&libc::SIGTERM));
    let (sender, receiver) = mpsc::channel();
    let (task, handle) = tasktrace::traced(async { Leaf::new().0.await });
    let mut task = Box::pin(task);
    let waker = Waker::from(Arc::new(ReportsSignals(sender)));
    let mut cx = Context::from_waker(&waker);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    let request = std::thread::spawn(move || handle.backtrace_timeout(LONG));
    let (in_waker, spawned, ended_by) = receiver.recv_timeout(LONG).unwrap();
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(request.join().unwrap().is_ok());
    assert_eq!(in_waker, program);
    assert_eq!(spawned, program);
    assert_eq!(ended_by, Some(libc::SIGTERM));
}
