//! Reads 10,000 suspended tasks, ten functions deep, in the process that has them: `cargo bench -p tasktrace-inspect`.
//!
//! Prints the time of the first answer, which includes reading the debug info of this program, and the medians of those
//! after it: the time until the report is there and dropped again, and the processor time of the process.

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
    let (times, used): (Vec<_>, Vec<_>) = OwnProcess::open(|process| {
        let read = |_| {
            let report = process.read(&[], Limits::default()).unwrap();
            let waits = |task: &&tasktrace_inspect::Task| task.name == "read::one";
            assert_eq!(report.tasks.iter().filter(waits).count(), TASKS);
        };
        read(0);
        println!("first answer: {:.0} ms", milliseconds(begun.elapsed()));
        let times = (0..ROUNDS).map(|round| {
            let (begun, used) = (Instant::now(), processor_time());
            read(round);
            (begun.elapsed(), processor_time() - used)
        });
        times.unzip()
    })
    .unwrap();
    print("answers after it", times);
    print("processor time", used);
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!(
        "{what}: {:.1} ms (median of {ROUNDS}; {:.1} to {:.1} ms)",
        milliseconds(times[ROUNDS / 2]),
        milliseconds(times[0]),
        milliseconds(times[ROUNDS - 1])
    );
}

/// Returns the processor time that this process has used.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: The call writes one `timespec` to the pointer, which is that of a live local variable.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
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
