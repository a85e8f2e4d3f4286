//! Tests what a handle reports of its task without a request.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tasktrace::{Source, TaskState, TraceHandle, current, tasks, traced};

use crate::dumping::{while_dumping, without_dumps};
use crate::support::{DrivenTask, let_time_pass, wait_for_ever};
use crate::woken::Woken;

fn is_listed(handle: &TraceHandle) -> bool {
    tasks().any(|task| task.id() == handle.id())
}

#[test]
fn a_handle_reports_each_state_of_its_task() {
    let _undisturbed = without_dumps();
    let mut task = DrivenTask::new(async {
        wait_for_ever().await;
    });
    let handle = task.handle.clone();
    assert_eq!(handle.state(), TaskState::NeverPolled);
    assert_eq!((handle.polls(), handle.last_polled()), (0, None));
    assert!(is_listed(&handle));

    for polls in 1..=3 {
        task.suspend();
        assert_eq!(handle.state(), TaskState::Suspended);
        assert_eq!(handle.polls(), polls);
        assert!(handle.last_polled() <= Some(handle.age()));
    }

    drop(task);
    assert_eq!(handle.state(), TaskState::Finished);
    assert!(!is_listed(&handle));
    assert_eq!(handle.polls(), 3, "the count is kept after the end");
}

#[test]
fn a_running_task_reports_its_thread() {
    let (send_handle, receive_handle) = mpsc::channel();
    let (release, wait_for_release) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("the poller".into());
    let poller = thread.spawn(move || {
        let mut task = DrivenTask::new(async move {
            send_handle.send(current().unwrap()).unwrap();
            wait_for_release.recv().unwrap();
        });
        assert!(task.poll().is_ready());
    });
    let poller = poller.unwrap();
    let handle = receive_handle.recv().unwrap();
    let TaskState::Running(running) = handle.state() else {
        panic!("the task is in the middle of a poll: {:?}", handle.state());
    };
    assert_eq!(running.thread_name(), Some("the poller"));
    assert_ne!(running.thread_id(), 0);
    assert!(running.duration() <= handle.age() + Duration::from_millis(10));
    release.send(()).unwrap();
    poller.join().unwrap();
    assert_eq!(handle.state(), TaskState::Finished);
}

#[test]
fn a_request_wakes_its_task() {
    let mut task = DrivenTask::new(wait_for_ever());
    task.suspend();
    let handle = task.handle.clone();
    let requester = std::thread::spawn(move || handle.backtrace_timeout(Duration::from_secs(100)));
    // Dumps of other tests wake the task as well.
    while !requester.is_finished() {
        if task.handle.state() == TaskState::Woken {
            task.suspend();
        }
        std::thread::yield_now();
    }
    assert!(requester.join().unwrap().is_ok());
    while task.handle.state() == TaskState::Woken {
        task.suspend();
    }
    assert_eq!(task.handle.state(), TaskState::Suspended);
}

#[test]
fn a_suspended_task_that_was_just_woken_is_not_called_starved() {
    let _alone = while_dumping();
    let mut task = DrivenTask::new(wait_for_ever());
    task.suspend();
    // A task that was woken this long ago would be called starved.
    std::thread::sleep(Duration::from_millis(1200));
    let id = task.handle.id().get();
    let check = |dump: tasktrace::Dump, expected: &str| {
        let text = format!("{dump:#}");
        let start = format!("task {id} ");
        let header = text.lines().find(|line| line.contains(&start));
        let header = header.unwrap_or_else(|| panic!("no {start:?} in\n{text}"));
        assert!(
            header.starts_with(&start) && header.contains(expected),
            "{header}"
        );
        for finding in ["starved", "late"] {
            let found = format!("\"kind\":\"{finding}\"");
            let json = dump.json().to_string();
            let tasks = json.split(&found).nth(1).and_then(|rest| {
                let (_, rest) = rest.split_once("\"tasks\":[")?;
                Some(rest.split_once(']')?.0.to_owned())
            });
            let mut tasks = tasks.iter().flat_map(|tasks| tasks.split(','));
            assert!(!tasks.any(|task| task == id.to_string()), "{json}");
        }
    };
    // On a busy machine, the time of a dump may be over before it has asked the task.
    let mut tries = 0;
    let dump = loop {
        let dump = tasktrace::dump_blocking(Duration::from_millis(20));
        tries += 1;
        let source = dump.get(task.handle.id()).unwrap().source();
        if matches!(source, Source::Snapshot { error: Some(_) }) || tries == 100 {
            break dump;
        }
    };
    check(
        dump,
        "no answer within 20ms: it was woken, and has not been polled since",
    );

    // Another requester has woken the task, at a time that is not known.
    let handle = task.handle.clone();
    let requester = std::thread::spawn(move || handle.backtrace_timeout(Duration::from_secs(100)));
    while task.handle.state() != TaskState::Woken {
        std::thread::yield_now();
    }
    check(tasktrace::snapshot(), "woken, but not polled yet");
    // The task may still be woken for the dump, and the request may come after this poll.
    while !requester.is_finished() {
        if task.handle.state() == TaskState::Woken {
            task.suspend();
        }
        std::thread::yield_now();
    }
    assert!(requester.join().unwrap().is_ok());
}

#[test]
fn a_task_knows_where_and_by_which_task_it_was_spawned() {
    #[traced]
    async fn root() -> TraceHandle {
        // A task that is made by its first poll does not know where its future was created.
        assert_eq!(current().unwrap().spawned_at(), None);
        let line = line!() + 1;
        let (_future, handle) = tasktrace::traced(async {});
        let place = handle.spawned_at().unwrap();
        assert_eq!((place.file(), place.line()), (file!(), line));
        assert_eq!(handle.parent(), Some(current().unwrap().id()));
        handle
    }
    let handle = futures::executor::block_on(root());
    assert!(handle.is_finished());
    let (_future, handle) = tasktrace::traced(async {});
    assert_eq!(handle.parent(), None);
}

#[test]
fn a_capture_does_not_count_as_progress() {
    let mut task = DrivenTask::new(async {
        inner().await;
    });
    #[traced]
    async fn inner() {
        wait_for_ever().await;
    }
    task.suspend();
    let_time_pass(); // so that a poll that counts would be seen
    let before = task.handle.last_polled();
    for _ in 0..3 {
        assert!(task.capture().contains("inner"));
        assert!(
            task.handle.last_polled() >= before,
            "the task was waiting all the time"
        );
    }
    // Other polls count, as soon as the coarse clock has moved on.
    while task.handle.last_polled() >= before {
        task.suspend();
        std::thread::yield_now();
    }
}

/// Its trace shows where it waits after the poll in which the dump found it.
#[test]
fn a_task_that_answers_after_its_poll_is_suspended() {
    let _alone = while_dumping();
    let (inside, wait_until_inside) = mpsc::channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let body = {
        let woken = woken.clone();
        let mut polls = 0;
        std::future::poll_fn(move |cx| {
            let _registered = cx.waker().clone();
            polls += 1;
            // Each second poll lasts until a dump wakes the task.
            if polls % 2 == 0 && inside.send(()).is_ok() {
                while !woken.0.swap(false, Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            }
            Poll::<()>::Pending
        })
    };
    let (task, handle) = traced(body);
    let poller = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            let (mut task, waker) = (Box::pin(task), Waker::from(woken));
            while !is_over.load(Ordering::SeqCst) {
                assert!(
                    task.as_mut()
                        .poll(&mut Context::from_waker(&waker))
                        .is_pending()
                );
            }
        }
    });
    let dumped = loop {
        wait_until_inside.recv().unwrap();
        let dump = tasktrace::dump_blocking(Duration::from_secs(10));
        let task = dump.get(handle.id()).unwrap();
        // If the machine is busy, the thread may be interrupted in the poll.
        if *task.source() == Source::Capture {
            break task.state().clone();
        }
    };
    assert_eq!(dumped, TaskState::Suspended);
    is_over.store(true, Ordering::SeqCst);
    drop(wait_until_inside);
    while !poller.is_finished() {
        // The last poll may wait to be woken.
        let _ = handle.backtrace_timeout(Duration::from_millis(1));
    }
    poller.join().unwrap();
}
