//! What a dump of a program looks like. There is one test here, because a dump is of all tasks of
//! the process.

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
    // Blocks its thread.
    end.recv().expect_err("the test drops the sender");
}

#[traced]
async fn wait() {
    pending::<()>().await;
}

/// Replaces what is different each time: times, numbers of threads, and lines of this file. Leaves
/// out what depends on how fast the machine is: what is said to take long.
fn normal(text: &str) -> Vec<String> {
    let (summary, tasks) = text.split_once("\n\n").unwrap_or((text, ""));
    let counts = summary.lines().take(1);
    let tasks = tasks.lines().map(|line| line.trim_start_matches("! "));
    counts.chain([""]).chain(tasks).map(normal_line).collect()
}

fn normal_line(line: &str) -> String {
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
fn the_urgent_first_and_the_alike_together() {
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
    // Later than that, so that it is never said to take long when the other is not.
    let (new, _handle) = tasktrace::traced(read());

    let dump = tasktrace::snapshot();
    let text = dump.to_string();
    let mut lines = normal(&text);
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

    let detailed = normal(&format!("{dump:#}"));
    let sessions_told = detailed
        .iter()
        .filter(|line| line.contains("dump_text::session, "));
    assert_eq!(sessions_told.count(), 7, "\n{dump:#}");
    // Nobody awaits anybody.
    assert_eq!(normal(&dump.by_awaiter().to_string()), normal(&text));

    drop(end);
    thread.join().expect("it does not panic");
    drop((sessions, waits, new));
    assert!(tasktrace::snapshot().is_empty());
    assert_eq!(tasktrace::snapshot().to_string(), "no traced tasks");
}
