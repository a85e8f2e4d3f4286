//! Reads 10,000 suspended tasks, ten functions deep, in the process that has them: `cargo bench -p tasktrace-inspect`.
//!
//! Prints the time of the first answer, which includes reading the debug info of this program, and the median of those
//! after it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tasktrace_inspect::{Limits, OwnProcess};
use tokio::runtime::Builder;

const TASKS: usize = 10_000;

/// The number of answers after the first.
const ROUNDS: usize = 21;

/// The number of tasks that wait.
static WAITING: AtomicUsize = AtomicUsize::new(0);

fn main() {
    thread::spawn(|| {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for number in 0..TASKS {
                tokio::spawn(one(number));
            }
            std::future::pending::<()>().await;
        });
    });
    while WAITING.load(Ordering::SeqCst) < TASKS {
        thread::yield_now();
    }
    let reader = thread::Builder::new().stack_size(OwnProcess::STACK);
    reader.spawn(measure).unwrap().join().unwrap();
}

fn measure() {
    let begun = Instant::now();
    let mut times = OwnProcess::open(|process| {
        let read = |_| {
            let report = process.read(&[], Limits::default()).unwrap();
            let waits = |task: &&tasktrace_inspect::Task| task.name == "read::one";
            assert_eq!(report.tasks.iter().filter(waits).count(), TASKS);
        };
        read(0);
        println!("first answer: {:.0} ms", milliseconds(begun.elapsed()));
        let times = (0..ROUNDS).map(|round| {
            let begun = Instant::now();
            read(round);
            begun.elapsed()
        });
        times.collect::<Vec<_>>()
    })
    .unwrap();
    times.sort_unstable();
    println!(
        "answers after it: {:.1} ms (median of {ROUNDS}; {:.1} to {:.1} ms)",
        milliseconds(times[ROUNDS / 2]),
        milliseconds(times[0]),
        milliseconds(times[ROUNDS - 1])
    );
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

macro_rules! chain {
    ($($name:ident calls $next:ident;)*) => {
        $(async fn $name(number: usize) {
            $next(number).await;
            std::hint::black_box(number);
        })*
    };
}

chain! {
    one calls two;
    two calls three;
    three calls four;
    four calls five;
    five calls six;
    six calls seven;
    seven calls eight;
    eight calls nine;
    nine calls ten;
}

async fn ten(number: usize) {
    WAITING.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3600 + number as u64)).await;
}
