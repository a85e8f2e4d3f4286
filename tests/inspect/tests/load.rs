//! Reads the memory of tasks that are polled all the time: nothing is shown that cannot be. `TASKTRACE_TEST_LOAD=full`
//! runs ten thousand tasks, and reads a thousand times. The only test of this program.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tasktrace_inspect_tests::{dump_until, tree};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};

static PASSED: AtomicU64 = AtomicU64::new(0);

async fn player(mut from: Receiver<u32>, to: Sender<u32>, begin: Arc<Notify>) {
    begin.notified().await; // begin
    loop {
        let ball = take(&mut from).await; // take
        let Some(ball) = ball else {
            return;
        };
        PASSED.fetch_add(1, Ordering::Relaxed);
        let given = give(&to, ball).await; // give
        if given.is_none() {
            return;
        }
    }
}

async fn take(from: &mut Receiver<u32>) -> Option<u32> {
    from.recv().await // recv
}

async fn give(to: &Sender<u32>, ball: u32) -> Option<()> {
    to.send(ball).await.ok() // send
}

/// Returns all trees that a player can have.
fn legal() -> [Vec<String>; 3] {
    let line = |mark| tasktrace_inspect_tests::line(include_str!("load.rs"), mark);
    let frame = |indent: &str, name: &str, mark| format!("{indent}load::{name} @ {}", line(mark));
    [
        vec![
            frame("", "player", "begin"),
            "  tokio::sync::Notify::notified".to_owned(),
        ],
        vec![
            frame("", "player", "take"),
            frame("  ", "take", "recv"),
            "    tokio::sync::mpsc::Receiver::recv".to_owned(),
        ],
        vec![
            frame("", "player", "give"),
            frame("  ", "give", "send"),
            "    tokio::sync::mpsc::Sender::send".to_owned(),
        ],
    ]
}

#[test]
fn tasks_that_are_polled_meanwhile_are_shown_as_they_were_or_not_at_all() {
    let is_full = std::env::var_os("TASKTRACE_TEST_LOAD").is_some();
    let (players, readings) = if is_full { (10_000, 1_000) } else { (500, 20) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let begin = Arc::new(Notify::new());
    let channels: Vec<_> = (0..players).map(|_| mpsc::channel(1)).collect();
    let (senders, receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
    for (at, receiver) in receivers.into_iter().enumerate() {
        let to: Sender<u32> = senders[(at + 1) % players].clone();
        // Every second one is traced.
        let player = player(receiver, to, begin.clone());
        match at % 2 {
            0 => drop(runtime.spawn(player)),
            _ => drop(runtime.spawn(tasktrace::traced(player).0)),
        }
    }
    let waiting = dump_until(|inspection| {
        let players = inspection
            .tasks()
            .filter(|task| task.name == "load::player");
        players.filter(|task| task.problem.is_none()).count() == senders.len()
    });
    assert_eq!(waiting.len(), players / 2);
    begin.notify_waiters();
    for sender in senders.iter().step_by(3) {
        let _ = sender.try_send(1);
    }
    let legal = legal();
    let (mut shown, mut moved) = (0, 0);
    let begun = Instant::now();
    for _ in 0..readings {
        let before = PASSED.load(Ordering::Relaxed);
        let dump = tasktrace::dump_blocking(Duration::from_secs(10));
        moved += usize::from(PASSED.load(Ordering::Relaxed) > before);
        let inspection = dump.inspected().unwrap();
        assert_eq!(inspection.problem(), None);
        assert_eq!(inspection.report().unwrap().deadlocks, []);
        for task in inspection
            .tasks()
            .filter(|task| task.name.contains("player"))
        {
            if task.problem.is_none() {
                let tree = tree(task);
                assert!(legal.contains(&tree), "{task}");
                shown += 1;
            }
        }
    }
    println!(
        "{shown} of {} tasks were shown in {:?}",
        players * readings,
        begun.elapsed()
    );
    assert!(shown > players * readings / 4, "{shown}");
    assert!(moved > readings / 2, "{moved}");
    runtime.shutdown_background();
}
