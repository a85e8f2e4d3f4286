//! Which signals are blocked in wakers, which are called on threads of ours.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::support::{LONG, Leaf};

/// The signals that are blocked on the calling thread.
fn blocked() -> Vec<i32> {
    // SAFETY: it writes the current set, which is read then.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set);
        let all = 1..=libc::SIGRTMAX();
        all.filter(|signal| libc::sigismember(&set, *signal) == 1)
            .collect()
    }
}

/// Tells what was blocked in it, and on a thread that it has spawned, and what a child of it was ended by.
struct Tells(mpsc::Sender<(Vec<i32>, Vec<i32>, Option<i32>)>);

impl Wake for Tells {
    fn wake(self: Arc<Self>) {
        let spawned = std::thread::spawn(blocked).join().unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        // SAFETY: it takes two numbers. The child has not been waited for, so the number is its own.
        unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
        // If it ignores that, it is ended by this.
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
        let _ = self.0.send((blocked(), spawned, status.signal()));
    }
}

#[test]
fn no_more_signals_are_blocked_in_a_waker_than_in_the_program() {
    let program = blocked();
    assert!(!program.contains(&libc::SIGTERM));
    let (tell, told) = mpsc::channel();
    let (task, handle) = tasktrace::traced(async { Leaf::new().0.await });
    let mut task = Box::pin(task);
    let waker = Waker::from(Arc::new(Tells(tell)));
    let mut cx = Context::from_waker(&waker);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    let asker = std::thread::spawn(move || handle.backtrace_timeout(LONG));
    let (in_waker, spawned, ended_by) = told.recv_timeout(LONG).unwrap();
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(asker.join().unwrap().is_ok());
    assert_eq!(in_waker, program);
    assert_eq!(spawned, program);
    assert_eq!(ended_by, Some(libc::SIGTERM));
}
