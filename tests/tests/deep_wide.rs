//! Tests trees with more frames than a recursion has stack for, and with very many branches: they are captured, merged,
//! printed, read and dropped without recursion, in time linear in their size.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tasktrace::{Frame, Trace};
use tasktrace_tests::thread_time;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Enough to poll ten thousand nested futures without optimisation.
const LARGE_STACK: usize = 1 << 30;
/// Less than a tenth of the stack that a recursion through ten thousand frames would need.
const SMALL_STACK: usize = 256 << 10;

fn on_a_stack_of<T: Send>(size: usize, run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new().stack_size(size);
        let thread = thread.spawn_scoped(threads, run).unwrap();
        thread.join().unwrap()
    })
}

async fn leaf() {
    std::future::poll_fn(|cx| {
        let _registered = cx.waker().clone();
        Poll::Pending
    })
    .await
}

/// Two functions that call each other, because a run of calls of one function is printed in short.
async fn odd(depth: usize) {
    match depth {
        1 => leaf().await,
        _ => deep(depth - 1).await,
    }
}

async fn even(depth: usize) {
    deep(depth - 1).await;
}

fn deep(depth: usize) -> Boxed {
    match depth % 2 {
        0 => Box::pin(even(depth)),
        _ => Box::pin(odd(depth)),
    }
}

async fn same(depth: usize) {
    match depth {
        1 => leaf().await,
        _ => same_boxed(depth - 1).await,
    }
}

fn same_boxed(depth: usize) -> Boxed {
    Box::pin(same(depth))
}

/// Polls all of its children each time, as `join!` does.
async fn all(mut children: Vec<Boxed>) {
    std::future::poll_fn(|cx| {
        for child in &mut children {
            assert!(child.as_mut().poll(cx).is_pending());
        }
        Poll::Pending
    })
    .await
}

/// A hundred functions with different names.
mod hundred {
    macro_rules! tens {
        ($($ten:ident)*) => {
            $(pub(super) mod $ten {
                units!(u0 u1 u2 u3 u4 u5 u6 u7 u8 u9);
            })*
            pub(super) const ALL: [[fn(Vec<super::Boxed>) -> super::Boxed; 10]; 10] =
                [$($ten::ALL),*];
        };
    }
    macro_rules! units {
        ($($unit:ident)*) => {
            $(async fn $unit(children: Vec<super::super::Boxed>) {
                // The compiler merges functions that differ only in their names.
                std::hint::black_box(concat!(module_path!(), stringify!($unit)));
                super::super::all(children).await;
            })*
            pub(in super::super) const ALL: [fn(Vec<super::super::Boxed>) -> super::super::Boxed; 10] =
                [$(|children| Box::pin($unit(children))),*];
        };
    }
    tens!(t0 t1 t2 t3 t4 t5 t6 t7 t8 t9);
}

/// A tree with `leaves` leaves, all at different places.
async fn wide(leaves: usize) {
    let functions = hundred::ALL.as_flattened();
    let branches = functions.iter().take(leaves / 100).map(|function| {
        let twigs = functions.iter().map(|function| {
            let leaf: Boxed = Box::pin(leaf());
            function(vec![leaf])
        });
        function(twigs.collect())
    });
    all(branches.collect()).await;
}

fn capture(future: Boxed) -> Trace {
    let (task, handle) = tasktrace::traced(future);
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = std::pin::pin!(handle.backtrace());
    assert!(answer.as_mut().poll(&mut cx).is_pending());
    assert!(Box::pin(task).as_mut().poll(&mut cx).is_pending());
    match answer.as_mut().poll(&mut cx) {
        Poll::Ready(Some(trace)) => trace,
        _ => panic!("the request was not answered"),
    }
}

fn count<'a>(frames: &'a [Frame], matches: impl Fn(&Frame) -> bool) -> usize {
    let mut pending: Vec<&'a Frame> = frames.iter().collect();
    let mut count = 0;
    while let Some(frame) = pending.pop() {
        count += usize::from(matches(frame));
        pending.extend(frame.children());
    }
    count
}

/// Uses a trace in all ways, and returns the text of `{}`.
fn use_and_drop(trace: Trace) -> String {
    let simplified = trace.to_string();
    let full = format!("{trace:#}");
    assert!(full.len() >= simplified.len());
    assert!(!trace.ansi().to_string().is_empty());
    assert!(!format!("{trace:?} {:?}", trace.frames()).is_empty());
    assert!(!trace.leaves().is_empty() && !trace.all_frames().is_empty());
    assert!(trace.contains("leaf") && !trace.contains("nowhere"));
    drop(trace.clone());
    drop(trace);
    simplified
}

#[test]
fn a_tree_of_ten_thousand_levels_is_used_without_recursion() {
    let trace = on_a_stack_of(LARGE_STACK, || capture(deep(10_000)));
    let text = on_a_stack_of(SMALL_STACK, move || {
        let is_ours =
            |frame: &Frame| matches!(frame.name().rsplit("::").next(), Some("odd" | "even"));
        assert_eq!(count(trace.frames(), is_ours), 10_000);
        assert_eq!(trace.leaves().len(), 1);
        use_and_drop(trace)
    });
    assert_eq!(text.lines().count(), 10_001, "{}", excerpt(&text));
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest < Some(300), "{widest:?}: {}", excerpt(&text));
}

#[test]
fn ten_thousand_calls_of_one_function_are_printed_in_short() {
    let trace = on_a_stack_of(LARGE_STACK, || capture(same_boxed(10_000)));
    let text = on_a_stack_of(SMALL_STACK, move || use_and_drop(trace));
    assert!(text.lines().count() < 20, "{}", excerpt(&text));
    assert!(
        text.contains("more nested calls of the same function"),
        "{text}"
    );
}

#[test]
fn a_tree_of_ten_thousand_leaves_is_printed_whole() {
    let trace = capture(Box::pin(wide(10_000)));
    let text = on_a_stack_of(SMALL_STACK, move || {
        assert_eq!(trace.leaves().len(), 10_000);
        assert_eq!(
            count(trace.frames(), |frame| frame.children().len() == 100),
            101
        );
        use_and_drop(trace)
    });
    assert_eq!(
        text.lines().filter(|line| line.contains("leaf")).count(),
        10_000
    );
    assert!(!text.contains("not recorded"), "{}", excerpt(&text));
}

#[test]
fn ten_thousand_equal_leaves_are_one_line() {
    let children = (0..10_000).map(|_| Box::pin(leaf()) as Boxed).collect();
    let trace = capture(Box::pin(all(children)));
    let text = on_a_stack_of(SMALL_STACK, move || use_and_drop(trace));
    assert!(text.contains("(×10000)"), "{}", excerpt(&text));
    assert!(text.lines().count() < 10, "{}", excerpt(&text));
}

/// Frames beyond the limits are left out, with a note.
#[test]
fn a_tree_beyond_the_limits_has_a_note() {
    let trace = on_a_stack_of(LARGE_STACK, || {
        let children = (0..500).map(|at| deep(2000 + at)).collect();
        capture(Box::pin(all(children)))
    });
    let text = on_a_stack_of(SMALL_STACK, move || {
        assert!(!trace.leaves().is_empty());
        let mut text = String::new();
        write!(text, "{trace}").unwrap();
        text
    });
    let note = text.lines().last().unwrap();
    assert!(note.contains("not recorded"), "{note}");
}

fn excerpt(text: &str) -> String {
    text.lines().take(50).collect::<Vec<_>>().join("\n")
}

/// Asserts that a trace five times as large takes less than 20 times as much processor time. Linear work takes 5 times as
/// much, and quadratic work 25 times.
#[track_caller]
fn check_linear(make: impl Fn(usize) -> Trace + Send + Sync) {
    let measure = |size| {
        let take = || {
            let start = thread_time();
            let trace = make(size);
            let _printed = (trace.to_string(), format!("{trace:#}"));
            thread_time() - start
        };
        // The faster of two measurements is the less disturbed one. The first one also looks up the symbols.
        (0..2).map(|_| take()).min().unwrap()
    };
    on_a_stack_of(LARGE_STACK, || {
        let (small, large) = (measure(2000), measure(10_000));
        assert!(
            large < small * 20,
            "{small:?} for 2,000, {large:?} for 10,000"
        );
    });
}

#[test]
fn the_time_is_linear_in_the_depth() {
    check_linear(|depth| capture(deep(depth)));
}

#[test]
fn the_time_is_linear_in_the_width() {
    check_linear(|leaves| capture(Box::pin(wide(leaves))));
}
