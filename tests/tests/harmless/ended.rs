//! Tests that dumps list tasks that panicked, or were dropped before they finished.

use std::future::pending;
use std::panic::{AssertUnwindSafe, PanicHookInfo, resume_unwind};
use std::process::{Command, Output};

use futures::FutureExt as _;
use tasktrace::{HowEnded, TaskBuilder, traced};
use tasktrace_tests::current_thread;

/// Set in the process that runs a single test.
const CHILD: &str = "TASKTRACE_TESTS_ENDED";

/// Runs a test in a process of its own, and returns its output. Returns `None` in that process.
fn in_child(test: &str) -> Option<Output> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let mut child =
        Command::new(std::env::current_exe().expect("the path of this program is known"));
    child.args(["--exact", "--nocapture", test]).env(CHILD, "1");
    child.env("RUST_BACKTRACE", "0");
    let output = child.output().expect("the program can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    Some(output)
}

#[traced]
async fn fails(key: u32) {
    tokio::task::yield_now().await;
    assert!(key == 0, "key {key}\nis not here");
}

#[traced]
async fn waits() {
    pending().await
}

#[test]
fn a_dump_lists_tasks_that_panicked_or_were_dropped() {
    if let Some(output) = in_child("ended::a_dump_lists_tasks_that_panicked_or_were_dropped") {
        let text = String::from_utf8_lossy(&output.stderr);
        // The message comes first, then the task that panicked, and the place that spawned it.
        let (_, after) = text
            .split_once("is not here")
            .expect("the task has panicked");
        let (_, task) = after
            .split_once("in task ")
            .expect("the output names the task");
        let mut lines = task.lines();
        let header = lines.next().expect("the task has a line");
        assert!(header.contains("\"unlucky\", spawned at tests/"), "{text}");
        assert!(
            lines.next().expect("a frame follows").contains("fails"),
            "{text}"
        );
        return;
    }
    tasktrace::panic_hook();
    current_thread().block_on(async {
        let unlucky = TaskBuilder::new().name("unlucky").spawn(fails(7));
        let unlucky_id = unlucky.trace_handle().id();
        assert!(unlucky.await.is_err());
        let lucky = TaskBuilder::new().name("lucky").spawn(fails(0));
        lucky.await.expect("the task ends");
        let aborted = TaskBuilder::new().name("aborted").spawn(pending::<()>());
        tokio::task::yield_now().await;
        aborted.abort();
        assert!(aborted.await.is_err());
        // A task that was never polled is not listed.
        drop(traced_later());
        // The losing branch of a `select!` is no task.
        tokio::select! {
            biased;
            () = fails(0) => {}
            () = waits() => {}
        }

        let dump = tasktrace::snapshot();
        let ended: Vec<_> = dump
            .ended()
            .iter()
            .map(|it| (it.label(), it.how()))
            .collect();
        let expected = [
            (Some("aborted"), HowEnded::Dropped),
            (Some("unlucky"), HowEnded::Panicked),
        ];
        assert_eq!(ended, expected);
        let panicked = &dump.ended()[1];
        assert_eq!(panicked.id(), unlucky_id);
        assert_eq!(panicked.panic_message(), Some("key 7\nis not here"));
        let (file, ..) = panicked.panicked_at().expect("the hook noted the place");
        assert!(file.ends_with("ended.rs"), "{file}");
        let spawned_at = panicked.spawned_at().expect("the task was spawned");
        assert!(spawned_at.file().ends_with("ended.rs"));

        let text = dump.to_string();
        let (_, ended) = text
            .split_once("\nended by panic or cancellation:\n")
            .expect("the dump lists ended tasks");
        let lines: Vec<&str> = ended.lines().collect();
        assert!(lines[0].contains("\"unlucky\" panicked "), "{text}");
        assert!(
            lines[0].contains(": \"key 7\\nis not here\", spawned at "),
            "{text}"
        );
        assert!(lines[1].contains(" \"aborted\" "), "{text}");
        assert!(lines[1].contains(" was dropped "), "{text}");
        let json = dump.json().to_string();
        assert!(
            json.contains("\"message\":\"key 7\\nis not here\""),
            "{json}"
        );
    });
}

fn traced_later() -> impl Future {
    tasktrace::traced(pending::<()>()).0
}

/// `resume_unwind` does not call the panic hook, so the message is not known. The dump must not show the message of an
/// earlier panic that was caught.
#[test]
fn a_caught_panic_does_not_name_the_message_of_a_later_one() {
    if in_child("ended::a_caught_panic_does_not_name_the_message_of_a_later_one").is_some() {
        return;
    }
    tasktrace::panic_hook();
    current_thread().block_on(async {
        let catches = tasktrace::spawn(async {
            let caught = AssertUnwindSafe(fails(1)).catch_unwind().await;
            assert!(caught.is_err());
            tokio::task::yield_now().await;
            resume_unwind(Box::new("another"));
        });
        assert!(catches.await.is_err());
        let outer = tasktrace::spawn(async {
            let inner = tasktrace::traced(fails(2)).0;
            let caught = AssertUnwindSafe(inner).catch_unwind().await;
            assert!(caught.is_err());
        });
        outer.await.expect("the task has caught the panic");
        let other = tasktrace::spawn(async {
            tokio::task::yield_now().await;
            resume_unwind(Box::new("another"));
        });
        assert!(other.await.is_err());
        let panics = tasktrace::spawn(async {
            let inner = tasktrace::traced(fails(3)).0;
            inner.await;
        });
        assert!(panics.await.is_err());
    });
    let dump = tasktrace::snapshot();
    let mut ended = dump.ended().to_vec();
    ended.sort_by_key(|task| task.id());
    let ended: Vec<_> = ended.iter().map(|task| task.panic_message()).collect();
    let message = |key: u32| format!("key {key}\nis not here");
    let (two, three) = (message(2), message(3));
    let expected = [
        None,
        // The task that the next one polled.
        Some(two.as_str()),
        None,
        // Both tasks ended with the same panic.
        Some(three.as_str()),
        Some(three.as_str()),
    ];
    assert_eq!(ended, expected);
}

/// The panic hooks of the program are on the same stack, below the panic.
#[test]
fn the_stack_of_a_panic_ends_at_the_line_that_panics() {
    if let Some(output) = in_child("ended::the_stack_of_a_panic_ends_at_the_line_that_panics") {
        let text = String::from_utf8_lossy(&output.stderr);
        let (_, stack) = text
            .split_once("in task ")
            .expect("the output names the task");
        let (stack, _) = stack.split_once("complained").unwrap_or((stack, ""));
        assert!(stack.contains("╼ harmless::ended::fails at "), "{text}");
        assert!(!stack.contains("complain"), "{text}");
        assert_eq!(stack.matches('╼').count(), 1, "{text}");
        return;
    }
    fn complain(before: &dyn Fn(&PanicHookInfo<'_>), info: &PanicHookInfo<'_>) {
        before(info);
        eprintln!("complained");
    }
    tasktrace::panic_hook();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| complain(&before, info)));
    current_thread().block_on(async {
        assert!(tasktrace::spawn(fails(1)).await.is_err());
    });
}

#[test]
fn panics_on_several_threads_at_once_are_all_kept() {
    if in_child("ended::panics_on_several_threads_at_once_are_all_kept").is_some() {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    for round in 0..200 {
        let ids: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let (task, handle) = tasktrace::traced(async { panic!() });
                        let run = || futures::executor::block_on(task);
                        assert!(std::panic::catch_unwind(AssertUnwindSafe(run)).is_err());
                        handle.id()
                    })
                })
                .collect();
            let ids = threads.into_iter().map(|thread| thread.join().unwrap());
            ids.collect()
        });
        let dump = tasktrace::snapshot();
        let is_kept = |id| dump.ended().iter().any(|task| task.id() == id);
        assert!(ids.into_iter().all(is_kept), "round {round}: {dump}");
    }
}

/// Without a hook the message of a panic is not known. Many ended tasks take no more room than a few.
#[test]
fn only_the_last_sixteen_ended_tasks_are_kept() {
    if in_child("ended::only_the_last_sixteen_ended_tasks_are_kept").is_some() {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    current_thread().block_on(async {
        for key in 1..=100 {
            let name = format!("{key} {}", "x".repeat(1000));
            let task = TaskBuilder::new().name(name).spawn(fails(key));
            assert!(task.await.is_err());
        }
    });
    let dump = tasktrace::snapshot();
    assert_eq!(dump.ended().len(), 16);
    let last = &dump.ended()[0];
    let label = last.label().expect("the task has a label");
    assert!(label.starts_with("100 ") && label.len() <= 512, "{label}");
    assert_eq!(last.panic_message(), None);
}

/// Each hook calls the one before it.
#[test]
fn a_hook_that_is_installed_very_often_does_not_overflow_the_stack() {
    let test = "ended::a_hook_that_is_installed_very_often_does_not_overflow_the_stack";
    if let Some(output) = in_child(test) {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.matches("in task ").count(), 2, "{text}");
        return;
    }
    let panics = || {
        let caught = AssertUnwindSafe(async { fails(1).await }).catch_unwind();
        assert!(current_thread().block_on(traced(caught).0).is_err());
    };
    for _ in 0..100_000 {
        tasktrace::panic_hook();
    }
    panics();
    // The hook is gone, so it is installed again.
    drop(std::panic::take_hook());
    tasktrace::panic_hook();
    panics();
}

#[test]
fn threads_that_install_the_hook_at_the_same_time_keep_the_hook_of_the_program() {
    let test = "ended::threads_that_install_the_hook_at_the_same_time_keep_the_hook_of_the_program";
    if let Some(output) = in_child(test) {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.matches("the program's hook").count(), 1, "{text}");
        assert_eq!(text.matches("in task ").count(), 1, "{text}");
        return;
    }
    std::panic::set_hook(Box::new(|_| eprintln!("the program's hook")));
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                (0..50_000).for_each(|_| tasktrace::panic_hook());
            });
        }
    });
    let caught = AssertUnwindSafe(async { fails(1).await }).catch_unwind();
    assert!(current_thread().block_on(traced(caught).0).is_err());
}
