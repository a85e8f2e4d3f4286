//! What the annotation of one function costs, when nobody asks: tasktrace, and its peers.
//!
//! A *root* is what is polled outside of any task: a task that was spawned. *Nested* is what is
//! polled inside of one.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use await_tree::{Config, InstrumentAwait, Registry};
use tasktrace_benches::{Case, Way, compare, header};

const TIMES: u32 = 100_000;

/// Waits for ever, and cannot be optimised away.
async fn wait() {
    poll_fn(|cx| {
        black_box(cx.waker());
        black_box(Poll::<()>::Pending)
    })
    .await;
}

/// The functions to be measured, with an attribute or without.
macro_rules! functions {
    ($name:ident $(, #[$attribute:meta])?) => {
        mod $name {
            $(#[$attribute])?
            pub(super) async fn waits() {
                super::wait().await;
            }

            $(#[$attribute])?
            pub(super) async fn is_ready() -> u32 {
                std::hint::black_box(7)
            }
        }
    };
}

functions!(plain);
functions!(tasktrace_, #[tasktrace::traced]);
functions!(async_backtrace_, #[async_backtrace::framed]);

fn main() {
    let registry = Registry::new(Config::default());
    let root = || registry.register_anonymous("root");

    header("One annotated function, nobody asks");
    compare_all(
        "root: a poll",
        polls(plain::waits),
        polls(tasktrace_::waits),
        polls(async_backtrace_::waits),
        polls(|| root().instrument(plain::waits())),
    );
    compare_all(
        "root: create, resolve, drop",
        lives::<1, _>(plain::is_ready),
        lives::<1, _>(tasktrace_::is_ready),
        lives::<1, _>(async_backtrace_::is_ready),
        lives::<1, _>(|| root().instrument(plain::is_ready())),
    );
    compare_all(
        "root: create, suspend, poll, drop",
        lives::<2, _>(plain::waits),
        lives::<2, _>(tasktrace_::waits),
        lives::<2, _>(async_backtrace_::waits),
        lives::<2, _>(|| root().instrument(plain::waits())),
    );
    compare_all(
        "nested: a poll",
        in_root(Root::Plain, polls(plain::waits)),
        in_root(Root::Tasktrace, polls(tasktrace_::waits)),
        in_root(Root::AsyncBacktrace, polls(async_backtrace_::waits)),
        in_root(
            Root::AwaitTree(&registry),
            polls(|| plain::waits().instrument_await("nested")),
        ),
    );
    compare_all(
        "nested: create, resolve, drop",
        in_root(Root::Plain, lives::<1, _>(plain::is_ready)),
        in_root(Root::Tasktrace, lives::<1, _>(tasktrace_::is_ready)),
        in_root(
            Root::AsyncBacktrace,
            lives::<1, _>(async_backtrace_::is_ready),
        ),
        in_root(
            Root::AwaitTree(&registry),
            lives::<1, _>(|| plain::is_ready().instrument_await("nested")),
        ),
    );
    compare_all(
        "nested: create, suspend, poll, drop",
        in_root(Root::Plain, lives::<2, _>(plain::waits)),
        in_root(Root::Tasktrace, lives::<2, _>(tasktrace_::waits)),
        in_root(Root::AsyncBacktrace, lives::<2, _>(async_backtrace_::waits)),
        in_root(
            Root::AwaitTree(&registry),
            lives::<2, _>(|| plain::waits().instrument_await("nested")),
        ),
    );
}

fn compare_all(
    name: &str,
    plain: Way<'_>,
    tasktrace: Way<'_>,
    async_backtrace: Way<'_>,
    await_tree: Way<'_>,
) {
    let ways = vec![
        ("not annotated", plain),
        ("tasktrace", tasktrace),
        ("async-backtrace", async_backtrace),
        ("await-tree", await_tree),
    ];
    compare(Case { name, ways }, TIMES);
}

/// Polls of one future, which is suspended.
fn polls<'a, F: Future>(make: impl Fn() -> F + 'a) -> Way<'a> {
    Box::new(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut future = pin!(make());
        assert!(future.as_mut().poll(&mut cx).is_pending());
        repeat(times, || {
            black_box(future.as_mut().poll(&mut cx).is_pending())
        })
    })
}

/// Lives of futures, of that many polls each.
fn lives<'a, const POLLS: usize, F: Future>(make: impl Fn() -> F + 'a) -> Way<'a> {
    Box::new(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        repeat(times, || {
            let mut future = pin!(make());
            for _ in 0..POLLS {
                black_box(future.as_mut().poll(&mut cx).is_pending());
            }
        })
    })
}

fn repeat<R>(times: u32, mut work: impl FnMut() -> R) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        black_box(work());
    }
    start.elapsed()
}

/// What the nested functions are nested in.
#[derive(Clone, Copy)]
enum Root<'a> {
    Plain,
    Tasktrace,
    AsyncBacktrace,
    AwaitTree(&'a Registry),
}

/// Does it in a poll of a root.
fn in_root<'a>(root: Root<'a>, mut way: Way<'a>) -> Way<'a> {
    Box::new(move |times| {
        let inside = async { way(times) };
        let mut cx = Context::from_waker(Waker::noop());
        let polled = match root {
            Root::Plain => pin!(inside).poll(&mut cx),
            Root::Tasktrace => pin!(tasktrace::traced(inside).0).poll(&mut cx),
            Root::AsyncBacktrace => pin!(async_backtrace::frame!(inside)).poll(&mut cx),
            Root::AwaitTree(registry) => {
                let root = registry.register_anonymous("root");
                pin!(root.instrument(inside)).poll(&mut cx)
            }
        };
        match polled {
            Poll::Ready(elapsed) => elapsed,
            Poll::Pending => unreachable!("nothing is awaited in it"),
        }
    })
}
