//! Tests stacks that are switched in the middle of a poll, and whose thread blocks there.

use std::future::Future;
use std::sync::mpsc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use tasktrace::{Dump, NoSample, TaskDump, TaskState, TraceError, TraceHandle, traced};
use tasktrace_tests::sampled::{Site, alone, dump_until, error, is_sample, short};

use crate::support::{Poller, sleep};

const STACK: usize = 1 << 20;

#[traced]
async fn switches(site: Site, call: impl Fn(&mut dyn FnMut())) {
    call(&mut || blocks(&site));
}

#[inline(never)]
fn blocks(site: &Site) {
    sleep(site);
}

/// Asserts that the part on the new stack is shown, with a note that other frames are missing.
#[track_caller]
fn check<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Site) -> F) {
    let _alone = alone();
    let site = Site::default();
    let poller = Poller::new(body(site.clone()));
    let is_asleep = |task: &TaskDump| {
        is_sample(task) && task.trace().leaves()[0].name() == "std::thread::sleep"
    };
    let dump = dump_until(poller.id(), is_asleep);
    let trace = dump.get(poller.id()).unwrap().trace();
    site.end();
    poller.join();
    let text = short(trace);
    assert!(
        text.contains("blocks > sleep > sleep"),
        "{trace}\n{trace:#}"
    );
    assert!(
        !text.contains("blocks > sleep > sleep")
            || trace.to_string().contains("could not be followed"),
        "{trace}\n{trace:#}"
    );
}

#[test]
fn a_stack_that_grows_shows_its_new_part() {
    check(|site| switches(site, |call| stacker::grow(STACK, call)));
}

#[test]
fn a_stack_that_grows_on_demand_shows_its_new_part() {
    check(|site| {
        switches(site, |call| {
            stacker::maybe_grow(usize::MAX / 2, STACK, call)
        })
    });
}

#[test]
fn a_stack_that_grows_twice_shows_its_new_part() {
    check(|site| {
        switches(site, |call| {
            stacker::grow(STACK, || stacker::grow(STACK, &mut *call))
        })
    });
}

#[test]
fn a_stack_that_is_switched_shows_its_new_part() {
    check(|site| {
        switches(site, |call| {
            let mut stack = DefaultStack::new(STACK).unwrap();
            corosensei::on_stack(&mut stack, call);
        })
    });
}

#[traced]
async fn resumes(site: Site) {
    let mut coroutine = Coroutine::new(move |_: &Yielder<(), ()>, ()| blocks(&site));
    assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
}

#[test]
fn a_coroutine_shows_its_own_stack() {
    check(resumes);
}

/// Returns a coroutine that polls a task, and is suspended in the middle of that poll.
fn suspends(sender: mpsc::Sender<TraceHandle>) -> Coroutine<(), (), ()> {
    Coroutine::new(move |suspend: &Yielder<(), ()>, ()| {
        let (task, handle) = tasktrace::traced(async {
            suspend.suspend(());
        });
        sender.send(handle).unwrap();
        pollster::block_on(task);
    })
}

#[track_caller]
fn check_suspended(suspended: &TraceHandle, blocking: &TraceHandle) {
    let is_asleep = |task: &TaskDump| {
        is_sample(task) && task.trace().leaves()[0].name() == "std::thread::sleep"
    };
    // The dump may have read the suspended task before its first poll, and the blocking one later.
    let was_polled = |dump: &Dump| {
        let task = dump.get(suspended.id());
        task.is_some_and(|task| *task.state() != TaskState::NeverPolled)
    };
    let dump = loop {
        let dump = dump_until(blocking.id(), is_asleep);
        if was_polled(&dump) {
            break dump;
        }
    };
    let trace = dump.get(blocking.id()).unwrap().trace();
    let text = short(trace);
    assert!(text.ends_with("> blocks > sleep > sleep"), "{dump:#}");
    assert!(!text.contains("known"), "{dump:#}");
    let suspended = dump.get(suspended.id()).unwrap();
    let other_stack = TraceError::NoSample(NoSample::OtherStack);
    assert_eq!(error(suspended), Some(&other_stack), "{dump:#}");
}

/// The poll of a task is suspended in a coroutine, while the thread polls another task.
#[test]
fn a_poll_suspended_in_a_coroutine_has_no_sample() {
    let _alone = alone();
    let site = Site::default();
    let (sender, receiver) = mpsc::channel();
    let (blocking, handle) = tasktrace::traced(blocks_later(site.clone()));
    let thread = std::thread::spawn(move || {
        let mut coroutine = suspends(sender);
        assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
        pollster::block_on(blocking);
        assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
    });
    check_suspended(&receiver.recv().unwrap(), &handle);
    site.end();
    thread.join().unwrap();
}

async fn blocks_later(site: Site) {
    blocks(&site);
}

/// As above, but the coroutine starts and is suspended in the poll that blocks.
#[test]
fn a_poll_suspended_inside_of_another_has_no_sample() {
    async fn begins(site: Site, sender: mpsc::Sender<TraceHandle>) {
        let mut coroutine = suspends(sender);
        assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
        blocks(&site);
        assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
    }
    let _alone = alone();
    let site = Site::default();
    let (sender, receiver) = mpsc::channel();
    let poller = Poller::new(begins(site.clone(), sender));
    check_suspended(&receiver.recv().unwrap(), &poller.handle);
    site.end();
    poller.join();
}
