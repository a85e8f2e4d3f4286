//! Measures the memory that annotated, suspended functions add to their futures: in the future itself, and beside it.
//!
//! Each measurement has a process of its own, because memory that is kept for reuse is not freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use await_tree::InstrumentAwait;
use tasktrace_benches::cases::registry;
use tasktrace_benches::goals::{self, Figure, Unit};
use tasktrace_benches::{OURS, child};

/// An allocator that counts bytes.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

// SAFETY: each method passes its arguments unchanged to `System`, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        ALLOCATED.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as of `System`'s, and all memory is
        // `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as of `System`'s, and all memory is
        // `System`'s.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Leaves calls unchanged, for functions with an attribute or without.
trait Unmarked: Future + Sized {
    fn marked(self) -> Self {
        self
    }
}
impl<F: Future> Unmarked for F {}

/// Marks calls for await-tree, which annotates calls instead of functions.
trait Marked: Future + Sized {
    fn marked(self) -> await_tree::Instrumented<Self> {
        self.instrument_await("call")
    }
}
impl<F: Future> Marked for F {}

/// Functions that wait the given number of calls deep, and one that does not wait.
macro_rules! functions {
    ($name:ident, $marks:ident $(, #[$attribute:meta])?) => {
        mod $name {
            use super::$marks as _;

            $(#[$attribute])?
            pub(super) async fn waits_0() {
                std::future::pending::<()>().await;
            }

            functions!(
                [$(#[$attribute])?]
                waits_0 waits_1 waits_2 waits_3 waits_4 waits_5 waits_6 waits_7 waits_8 waits_9 waits_10
            );

            $(#[$attribute])?
            async fn is_ready() {}

            pub(super) async fn calls_what_is_ready() {
                is_ready().marked().await;
            }
        }
    };
    ([$(#[$attribute:meta])?] $inner:ident) => {};
    ([$(#[$attribute:meta])?] $inner:ident $outer:ident $($others:ident)*) => {
        $(#[$attribute])?
        pub(super) async fn $outer() {
            $inner().marked().await;
        }

        functions!([$(#[$attribute])?] $outer $($others)*);
    };
}

functions!(plain, Unmarked);
functions!(tasktrace_, Unmarked, #[tasktrace::traced]);
functions!(async_backtrace_, Unmarked, #[async_backtrace::framed]);
functions!(await_tree_, Marked);

const PEERS: [&str; 2] = ["async-backtrace", "await-tree"];

fn main() {
    if let Some(job) = child::job() {
        println!("{}", measure(&job[0], &job[1]));
        return;
    }
    println!("\nBytes that are added, beside and in the future\n");
    println!("| | a root | a call in it | each of ten calls | allocated by a call that is ready |");
    println!("|---|---:|---:|---:|---:|");
    let rows: Vec<(&str, [f64; 4])> = [OURS, "tasktrace 0.1.1", PEERS[0], PEERS[1]]
        .map(|who| (who, added(who)))
        .into();
    for (who, row) in &rows {
        let shown = row.map(|bytes| match bytes.is_nan() {
            true => "-".to_owned(),
            false => Unit::Bytes.show(bytes),
        });
        println!("| {who} | {} |", shown.join(" | "));
    }
    let ids = [
        "root-bytes",
        "nested-bytes",
        "nested-bytes-deep",
        "ready-bytes",
    ];
    for (column, id) in ids.into_iter().enumerate() {
        let ours = rows[0].1[column];
        let peers = rows[1..].iter().filter(|(_, row)| !row[column].is_nan());
        let best = peers.min_by(|one, other| one.1[column].total_cmp(&other.1[column]));
        let best = best.map(|(who, row)| ((*who).to_owned(), row[column]));
        goals::note(
            id,
            &Figure {
                ours,
                ratio: best.as_ref().map(|(_, best)| ours / best),
                best_peer: best,
            },
        );
    }
}

/// Returns the bytes added by a root, a call, each of ten calls, and a call that is ready.
fn added(who: &str) -> [f64; 4] {
    let added = |what: &str| child::measure(&[who, what]) - child::measure(&["plain", what]);
    let root = added("0");
    if who == "tasktrace 0.1.1" {
        return [root, f64::NAN, f64::NAN, f64::NAN];
    }
    [
        root,
        added("1") - root,
        (added("10") - root) / 10.0,
        added("ready"),
    ]
}

fn measure(who: &str, what: &str) -> f64 {
    let registry = registry();
    /// `$root` makes a root of the outermost function, and `$in_root` makes one of a future that is no root yet.
    macro_rules! measure {
        ($functions:ident, $root:expr, $in_root:expr) => {
            match what {
                "0" => suspended(|| ($root)($functions::waits_0())),
                "1" => suspended(|| ($root)($functions::waits_1())),
                "10" => suspended(|| ($root)($functions::waits_10())),
                _ => allocated(($in_root)(calls($functions::calls_what_is_ready))),
            }
        };
    }
    match who {
        "plain" => measure!(plain, |it| it, |it| it),
        OURS => measure!(tasktrace_, |it| it, |it| tasktrace::traced(it).0),
        "async-backtrace" => {
            measure!(async_backtrace_, |it| it, |it| async_backtrace::frame!(it))
        }
        "await-tree" => {
            let root = || registry.register_anonymous("root");
            measure!(await_tree_, |it| root().instrument(it), |it| root()
                .instrument(it))
        }
        _ => suspended(|| {
            let (future, handle) = tasktrace_0_1::traced(plain::waits_0());
            // The task can be captured as long as its handle exists, which takes memory beside the future.
            std::mem::forget(handle);
            future
        }),
    }
}

/// Returns the bytes of each of many futures that have been polled once.
///
/// Some memory is allocated in chunks that double, so the result is the mean over numbers of futures from about 8,000
/// to about 16,000.
fn suspended<F: Future>(make: impl Fn() -> F) -> f64 {
    let mut cx = Context::from_waker(Waker::noop());
    let mut futures: Vec<Pin<Box<F>>> = Vec::with_capacity(16_000);
    let before = LIVE.load(Ordering::Relaxed);
    let numbers = (8_500..16_000).step_by(1000);
    let each = numbers.clone().map(|number| {
        while futures.len() < number {
            let mut future = Box::pin(make());
            assert!(future.as_mut().poll(&mut cx).is_pending());
            futures.push(future);
        }
        (LIVE.load(Ordering::Relaxed) - before) as f64 / number as f64
    });
    each.sum::<f64>() / numbers.count() as f64
}

/// Calls `call` many times, and returns the number of bytes allocated in each call.
async fn calls<F: Future<Output = ()>>(call: fn() -> F) -> f64 {
    const TIMES: u32 = 1000;
    call().await;
    let before = ALLOCATED.load(Ordering::Relaxed);
    for _ in 0..TIMES {
        call().await;
    }
    (ALLOCATED.load(Ordering::Relaxed) - before) as f64 / f64::from(TIMES)
}

fn allocated(calls: impl Future<Output = f64>) -> f64 {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(calls).poll(&mut cx) {
        Poll::Ready(bytes) => bytes,
        Poll::Pending => unreachable!("nothing is waited for"),
    }
}
