//! Tests the text of a dump. This file has one test, because a dump contains all tasks of the process.

use std::future::{Future, pending};
use std::sync::mpsc;
use std::task::{Context, Waker};

use tasktrace::traced;
use tokio::sync::oneshot;

#[traced]
async fn session() {
    read().await;
}

#[traced]
async fn read() {
    pending::<()>().await;
}

#[traced]
async fn spin(running: oneshot::Sender<()>, end: mpsc::Receiver<()>) {
    running.send(()).expect("the test waits for it");
    // Blocks the thread.
    end.recv().expect_err("the test drops the sender");
}

#[traced]
async fn wait() {
    pending::<()>().await;
}

/// Replaces the parts that differ from run to run: times, numbers of threads, and places in this file. Leaves out the
/// marks of long waits, which depend on the speed of the machine.
fn normalized(text: &str) -> Vec<String> {
    let (summary, tasks) = text.split_once("\n\n").unwrap_or((text, ""));
    let counts = summary.lines().take(1);
    let tasks = tasks.lines().map(|line| line.trim_start_matches("! "));
    counts
        .chain([""])
        .chain(tasks)
        .map(normalized_line)
        .collect()
}

fn normalized_line(line: &str) -> String {
    let mut before = "";
    let words = line.split(' ').map(|word| {
        let bare = word.trim_matches(['(', ')', ',']);
        let is_time = bare.starts_with(|c: char| c.is_ascii_digit()) && bare.ends_with(['s', 'm']);
        let shown = match before {
            _ if is_time => word.replace(bare, "TIME"),
            "(thread" => word.replace(bare, "ID"),
            "at" => word.replace(bare, "PLACE"),
            _ => word.to_owned(),
        };
        before = word;
        shown
    });
    let words: Vec<String> = words.collect();
    words.join(" ").replace("TIME to TIME", "TIME")
}

#[test]
fn urgent_tasks_come_first_and_equal_tasks_are_grouped() {
    let mut cx = Context::from_waker(Waker::noop());
    let mut sessions: Vec<_> = (0..7).map(|_| Box::pin(session())).collect();
    for session in &mut sessions {
        assert!(session.as_mut().poll(&mut cx).is_pending());
    }
    let mut waits = Box::pin(wait());
    assert!(waits.as_mut().poll(&mut cx).is_pending());

    let (running, runs) = oneshot::channel();
    let (end, ends) = mpsc::channel();
    let thread = std::thread::Builder::new().name("spinner".into());
    let thread = thread
        .spawn(move || pollster::block_on(spin(running, ends)))
        .expect("a thread can be spawned");
    pollster::block_on(runs).expect("it runs");
    // This task is younger than the running one, so it is never marked as long unless the running one is.
    let (new, _handle) = tasktrace::traced(read());

    let dump = tasktrace::snapshot();
    let text = dump.to_string();
    let mut lines = normalized(&text);
    let longest = lines
        .iter()
        .position(|line| line.starts_with("  the longest: "));
    let longest = longest.map(|at| lines.remove(at));
    assert_eq!(
        lines,
        [
            "10 tasks: 8 suspended, 1 running, 1 never polled",
            "",
            "task 9 dump_text::spin, running TIME on spinner (thread ID), 1 poll, age TIME",
            "  ╼ dump_text::spin (fn at PLACE)",
            "",
            "task 10 dump_text::read, never polled, age TIME, spawned at PLACE",
            "  ╼ dump_text::read (made at PLACE)",
            "",
            "7 tasks dump_text::session, suspended TIME, 1 poll, age TIME",
            "  ╼ dump_text::session (fn at PLACE)",
            "   └╼ dump_text::read (fn at PLACE) (TIME)",
            "",
            "task 8 dump_text::wait, suspended TIME, 1 poll, age TIME",
            "  ╼ dump_text::wait (fn at PLACE)",
        ],
        "\n{text}"
    );
    let longest = longest.unwrap_or_default();
    assert!(longest.ends_with(" TIME and 2 more"), "\n{text}");

    let detailed = normalized(&format!("{dump:#}"));
    let sessions_told = detailed
        .iter()
        .filter(|line| line.contains("dump_text::session, "));
    assert_eq!(sessions_told.count(), 7, "\n{dump:#}");
    // No task awaits another, so the forest is the list.
    assert_eq!(
        normalized(&dump.by_awaiter().to_string()),
        normalized(&text)
    );

    drop(end);
    thread.join().expect("it does not panic");
    drop((sessions, waits, new));
    assert!(tasktrace::snapshot().is_empty());
    assert_eq!(tasktrace::snapshot().to_string(), "no traced tasks");
}
