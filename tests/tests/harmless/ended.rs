//! Tasks that panicked, or were dropped before they had ended, are told of in dumps.

use std::future::pending;
use std::process::{Command, Output};

use tasktrace::{HowEnded, TaskBuilder, traced};
use tasktrace_tests::current_thread;

/// Set in a process that a test has started, to be the test.
const CHILD: &str = "TASKTRACE_TESTS_ENDED";

/// Runs a test in a process of its own, with its output. `None` in that process.
fn in_child(test: &str) -> Option<Output> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let mut child = Command::new(std::env::current_exe().expect("it is known"));
    child.args(["--exact", "--nocapture", test]).env(CHILD, "1");
    child.env("RUST_BACKTRACE", "0");
    let output = child.output().expect("it can be started");
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
fn the_last_that_did_not_end_are_told() {
    if let Some(output) = in_child("ended::the_last_that_did_not_end_are_told") {
        let text = String::from_utf8_lossy(&output.stderr);
        // The message first, then who has panicked, and where that was spawned.
        let (_, after) = text.split_once("is not here").expect("it has panicked");
        let (_, task) = after.split_once("in task ").expect("it is told");
        let mut lines = task.lines();
        let who = lines.next().expect("there is a line");
        assert!(who.contains("\"unlucky\", spawned at tests/"), "{text}");
        assert!(lines.next().expect("one more").contains("fails"), "{text}");
        return;
    }
    tasktrace::panic_hook();
    current_thread().block_on(async {
        let unlucky = TaskBuilder::new().name("unlucky").spawn(fails(7));
        let unlucky_id = unlucky.trace_handle().id();
        assert!(unlucky.await.is_err());
        let lucky = TaskBuilder::new().name("lucky").spawn(fails(0));
        lucky.await.expect("it ends");
        let aborted = TaskBuilder::new().name("aborted").spawn(pending::<()>());
        tokio::task::yield_now().await;
        aborted.abort();
        assert!(aborted.await.is_err());
        // What has not begun has not been ended.
        drop(traced_later());
        // Who loses is no task.
        tokio::select! {
            biased;
            () = fails(0) => {}
            () = waits() => {}
        }

        let dump = tasktrace::snapshot();
        let told: Vec<_> = dump
            .ended()
            .iter()
            .map(|it| (it.label(), it.how()))
            .collect();
        let expected = [
            (Some("aborted"), HowEnded::Dropped),
            (Some("unlucky"), HowEnded::Panicked),
        ];
        assert_eq!(told, expected);
        let panicked = &dump.ended()[1];
        assert_eq!(panicked.id(), unlucky_id);
        assert_eq!(panicked.panic_message(), Some("key 7\nis not here"));
        let (file, ..) = panicked.panicked_at().expect("the hook has told");
        assert!(file.ends_with("ended.rs"), "{file}");
        let spawned_at = panicked.spawned_at().expect("it was spawned");
        assert!(spawned_at.file().ends_with("ended.rs"));

        let text = dump.to_string();
        let (_, ended) = text
            .split_once("\nended before their time:\n")
            .expect("some are");
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

/// Without a hook it is known that, but not why. And many take no more room than a few.
#[test]
fn no_more_are_kept_than_the_last() {
    if in_child("ended::no_more_are_kept_than_the_last").is_some() {
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
    let label = last.label().expect("it has one");
    assert!(label.starts_with("100 ") && label.len() <= 512, "{label}");
    assert_eq!(last.panic_message(), None);
}
