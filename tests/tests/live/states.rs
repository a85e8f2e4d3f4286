//! What a handle tells of its task without asking it.

use std::sync::mpsc;
use std::time::Duration;

use tasktrace::{TaskState, TraceHandle, current, tasks, traced};

use crate::support::{DrivenTask, let_time_pass, wait_for_ever};

fn is_listed(handle: &TraceHandle) -> bool {
    tasks().any(|task| task.id() == handle.id())
}

#[test]
fn from_the_first_to_the_last() {
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
    assert_eq!(handle.polls(), 3, "what was so is remembered");
}

#[test]
fn running_on_a_thread_with_a_name() {
    let (tell, told) = mpsc::channel();
    let (let_go, go) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("the poller".into());
    let poller = thread.spawn(move || {
        let mut task = DrivenTask::new(async move {
            tell.send(current().unwrap()).unwrap();
            go.recv().unwrap();
        });
        assert!(task.poll().is_ready());
    });
    let poller = poller.unwrap();
    let handle = told.recv().unwrap();
    let TaskState::Running(running) = handle.state() else {
        panic!("it is in the middle of a poll: {:?}", handle.state());
    };
    assert_eq!(running.thread_name(), Some("the poller"));
    assert_ne!(running.thread_id(), 0);
    assert!(running.duration() <= handle.age() + Duration::from_millis(10));
    let_go.send(()).unwrap();
    poller.join().unwrap();
    assert_eq!(handle.state(), TaskState::Finished);
}

#[test]
fn woken_by_a_question() {
    let mut task = DrivenTask::new(wait_for_ever());
    task.suspend();
    let asked = task.handle.clone();
    let asker = std::thread::spawn(move || asked.backtrace_timeout(Duration::from_secs(100)));
    // Dumps of other tests wake it as well.
    while !asker.is_finished() {
        if task.handle.state() == TaskState::Woken {
            task.suspend();
        }
        std::thread::yield_now();
    }
    assert!(asker.join().unwrap().is_ok());
    while task.handle.state() == TaskState::Woken {
        task.suspend();
    }
    assert_eq!(task.handle.state(), TaskState::Suspended);
}

/// A task that has been suspended for long, and was woken just now, is not starved.
#[test]
fn a_task_that_was_woken_just_now_is_not_called_starved() {
    let mut task = DrivenTask::new(wait_for_ever());
    task.suspend();
    // Long enough to be called starved, had it been woken then.
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
    check(
        tasktrace::dump_blocking(Duration::from_millis(20)),
        "no answer within 20ms: it was woken, and has not been polled since",
    );

    // Another requester has woken it, at a time that is not known.
    let asked = task.handle.clone();
    let asker = std::thread::spawn(move || asked.backtrace_timeout(Duration::from_secs(100)));
    while task.handle.state() != TaskState::Woken {
        std::thread::yield_now();
    }
    check(tasktrace::snapshot(), "woken, but not polled yet");
    // It may still be the dump that has woken it, and the request may come after this poll.
    while !asker.is_finished() {
        if task.handle.state() == TaskState::Woken {
            task.suspend();
        }
        std::thread::yield_now();
    }
    assert!(asker.join().unwrap().is_ok());
}

#[test]
fn where_and_by_whom() {
    #[traced]
    async fn root() -> TraceHandle {
        // Of a task that is made by its first poll, nobody knows where the future was made.
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
fn a_capture_is_no_progress() {
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
            "it has been waiting all along"
        );
    }
    // A poll of its own counts, once the time under which it is filed is late by less than that.
    while task.handle.last_polled() >= before {
        task.suspend();
        std::thread::yield_now();
    }
}
