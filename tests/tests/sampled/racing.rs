//! Tests threads that are interrupted at any instruction, thousands of times, in many kinds of code. The program keeps
//! working, and each sample shows the frames of its own thread.

use std::ffi::{c_int, c_void};
use std::future::Future;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tasktrace::traced;
use tasktrace_tests::name_of;
use tasktrace_tests::sampled::{Site, alone};

use crate::support::{Poller, affordable, sample_often};

const TIMES: usize = 2000;

/// Asserts that the stacks of `body`, which runs until its site is over, can nearly always be walked.
#[track_caller]
fn check<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Site) -> F + Send) {
    let lost = count_lost(body);
    let times = affordable(TIMES);
    println!("{lost} of {times} could not be followed");
    assert!(lost < times / 10, "{lost}");
}

/// Returns the number of samples of `body` whose stacks could not be walked. `body` runs until its site is over.
#[track_caller]
fn count_lost<F>(body: impl FnOnce(Site) -> F + Send) -> usize
where
    F: Future<Output = ()> + Send + 'static,
{
    let _alone = alone();
    let function = name_of(&body);
    let site = Site::default();
    let poller = Poller::new(body(site.clone()));
    let lost = AtomicUsize::new(0);
    sample_often(poller.id(), affordable(TIMES), |task| {
        let trace = task.trace();
        let [root] = trace.frames() else {
            panic!("{trace}\n{trace:#}");
        };
        assert_eq!(root.name(), function, "{trace}\n{trace:#}");
        let is_lost = trace.to_string().contains("could not be followed");
        lost.fetch_add(usize::from(is_lost), Ordering::Relaxed);
        true
    });
    site.end();
    poller.join();
    lost.into_inner()
}

#[inline(never)]
fn unwind(depth: usize) {
    let _dropped = Box::new(depth);
    match depth {
        // A panic with a message would be printed.
        0 => resume_unwind(Box::new(())),
        _ => unwind(depth - 1),
    }
}

#[test]
fn a_thread_that_unwinds_can_be_sampled() {
    async fn unwinds(site: Site) {
        while !site.is_over() {
            catch_unwind(|| unwind(20)).unwrap_err();
        }
    }
    check(unwinds);
}

#[test]
fn a_thread_that_allocates_can_be_sampled() {
    async fn allocates(site: Site) {
        let mut kept = Vec::new();
        let mut size = 1;
        while !site.is_over() {
            size = size * 7 % 100_003;
            kept.push(vec![1_u8; size]);
            if kept.len() > 100 {
                kept.drain(..50);
            }
        }
    }
    check(allocates);
}

#[test]
fn a_thread_that_copies_memory_can_be_sampled() {
    async fn copies(site: Site) {
        let (from, mut to) = (vec![1_u8; 1 << 16], vec![0_u8; 1 << 16]);
        let mut size = 1;
        while !site.is_over() {
            size = size * 7 % 65_537;
            to[..size].copy_from_slice(&from[..size]);
            to.rotate_left(size / 2);
        }
    }
    check(copies);
}

#[test]
fn a_thread_that_makes_system_calls_can_be_sampled() {
    async fn calls(site: Site) {
        while !site.is_over() {
            // SAFETY: `getppid` takes no arguments and always succeeds.
            unsafe { libc::getppid() };
        }
    }
    check(calls);
}

#[test]
fn a_thread_that_reads_the_clock_can_be_sampled() {
    async fn reads(site: Site) {
        while !site.is_over() {
            std::hint::black_box(Instant::now());
        }
    }
    check(reads);
}

/// Unwind tables are added and removed.
#[test]
fn a_thread_that_loads_libraries_can_be_sampled() {
    type Function = extern "C" fn(f64) -> f64;

    async fn loads(site: Site) {
        while !site.is_over() {
            // SAFETY: `tgamma` of the C library has this type, and is called only while its library is loaded.
            unsafe {
                let library = libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW);
                assert!(!library.is_null());
                let function = libc::dlsym(library, c"tgamma".as_ptr());
                let function = std::mem::transmute::<*mut c_void, Function>(function);
                for at in 0..100 {
                    std::hint::black_box(function(f64::from(at)));
                }
                assert_eq!(libc::dlclose(library), 0);
            }
        }
    }
    check(loads);
}

/// The active scopes change all the time.
#[test]
fn a_thread_that_polls_frames_can_be_sampled() {
    #[traced]
    async fn polls(site: Site) {
        let mut count = 0;
        while !site.is_over() {
            middle(count).await;
            count += 1;
        }
    }
    #[traced("{count}")]
    async fn middle(count: usize) {
        traced(inner()).0.await;
        inner().await;
        let _ = count;
    }
    #[traced]
    async fn inner() {
        let mut has_yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut has_yielded, true) {
                return std::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }
    async fn drives(site: Site) {
        pollster::block_on(polls(site));
    }
    check(drives);
}

/// A signal handler of the program is on the stack. The frames that it interrupted are not known.
#[test]
fn a_thread_that_handles_signals_can_be_sampled() {
    extern "C" fn on_signal(_: c_int) {
        for _ in 0..10_000 {
            std::hint::spin_loop();
        }
    }
    async fn raises(site: Site) {
        let handler = on_signal as extern "C" fn(c_int);
        // SAFETY: the handler is a function, so it exists for ever. It only spins, so it is safe in a signal handler.
        unsafe { libc::signal(libc::SIGUSR2, handler as libc::sighandler_t) };
        while !site.is_over() {
            // SAFETY: `raise` takes a number. The signal has a handler, so it does not end the process.
            unsafe { libc::raise(libc::SIGUSR2) };
        }
        // SAFETY: `SIG_DFL` is a valid disposition, and no other code of this process handles this signal.
        unsafe { libc::signal(libc::SIGUSR2, libc::SIG_DFL) };
    }
    assert!(count_lost(raises) > 0);
}
