//! What can be done with one annotated function that nobody asks about, by whoever annotates it.
//!
//! A *root* is what is polled outside of any task: a task that was spawned. *Nested* is what is
//! polled inside of one.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use await_tree::{Config, InstrumentAwait, Registry};

use crate::stopwatch::Stopwatch;
use crate::{Case, OURS, Way};

/// Functions to be measured, in a module of this name, with an attribute or without.
#[macro_export]
macro_rules! functions {
    ($name:ident $(, #[$attribute:meta])?) => {
        #[allow(missing_docs)]
        pub mod $name {
            use std::future::poll_fn;
            use std::hint::black_box;
            use std::task::Poll;

            /// Waits for ever, and cannot be optimised away.
            $(#[$attribute])?
            pub async fn waits() {
                poll_fn(|cx| {
                    black_box(cx.waker());
                    black_box(Poll::<()>::Pending)
                })
                .await;
            }

            $(#[$attribute])?
            pub async fn is_ready() {
                black_box(7_u64);
            }

            $(#[$attribute])?
            pub async fn waits_once() {
                let mut polled = black_box(false);
                poll_fn(|cx| match std::mem::replace(&mut polled, black_box(true)) {
                    true => Poll::Ready(()),
                    false => {
                        black_box(cx.waker());
                        Poll::Pending
                    }
                })
                .await;
            }
        }
    };
}

functions!(plain);
functions!(tasktrace_, #[tasktrace::traced]);
functions!(async_backtrace_, #[async_backtrace::framed]);

/// The names of the goals that are about these, and their cases.
pub fn cases(registry: &Registry) -> Vec<(&'static str, Case<'_>)> {
    let root = || registry.register_anonymous("root");
    let in_await_tree = Root::AwaitTree(registry);
    vec![
        (
            "root-poll",
            case(
                "root: a poll",
                polls(alone(plain::waits)),
                polls(alone(tasktrace_::waits)),
                Some(polls(|| tasktrace_0_1::traced(plain::waits()))),
                polls(alone(async_backtrace_::waits)),
                polls(alone(move || root().instrument(plain::waits()))),
            ),
        ),
        (
            "root-ready",
            case(
                "root: create, resolve, drop",
                lives::<1, _, _>(alone(plain::is_ready)),
                lives::<1, _, _>(alone(tasktrace_::is_ready)),
                Some(lives::<1, _, _>(
                    || tasktrace_0_1::traced(plain::is_ready()),
                )),
                lives::<1, _, _>(alone(async_backtrace_::is_ready)),
                lives::<1, _, _>(alone(move || root().instrument(plain::is_ready()))),
            ),
        ),
        (
            "root-life",
            case(
                "root: create, suspend, resolve, drop",
                lives::<2, _, _>(alone(plain::waits_once)),
                lives::<2, _, _>(alone(tasktrace_::waits_once)),
                Some(lives::<2, _, _>(|| {
                    tasktrace_0_1::traced(plain::waits_once())
                })),
                lives::<2, _, _>(alone(async_backtrace_::waits_once)),
                lives::<2, _, _>(alone(move || root().instrument(plain::waits_once()))),
            ),
        ),
        (
            "nested-poll",
            case(
                "nested: a poll",
                in_root(Root::Plain, polls(alone(plain::waits))),
                in_root(Root::Tasktrace, polls(alone(tasktrace_::waits))),
                None,
                in_root(Root::AsyncBacktrace, polls(alone(async_backtrace_::waits))),
                in_root(in_await_tree, polls(alone(|| marked(plain::waits())))),
            ),
        ),
        (
            "nested-ready",
            case(
                "nested: create, resolve, drop",
                in_root(Root::Plain, lives::<1, _, _>(alone(plain::is_ready))),
                in_root(
                    Root::Tasktrace,
                    lives::<1, _, _>(alone(tasktrace_::is_ready)),
                ),
                None,
                in_root(
                    Root::AsyncBacktrace,
                    lives::<1, _, _>(alone(async_backtrace_::is_ready)),
                ),
                in_root(
                    in_await_tree,
                    lives::<1, _, _>(alone(|| marked(plain::is_ready()))),
                ),
            ),
        ),
        (
            "nested-life",
            case(
                "nested: create, suspend, resolve, drop",
                in_root(Root::Plain, lives::<2, _, _>(alone(plain::waits_once))),
                in_root(
                    Root::Tasktrace,
                    lives::<2, _, _>(alone(tasktrace_::waits_once)),
                ),
                None,
                in_root(
                    Root::AsyncBacktrace,
                    lives::<2, _, _>(alone(async_backtrace_::waits_once)),
                ),
                in_root(
                    in_await_tree,
                    lives::<2, _, _>(alone(|| marked(plain::waits_once()))),
                ),
            ),
        ),
    ]
}

/// What await-tree's tasks are registered with.
pub fn registry() -> Registry {
    Registry::new(Config::default())
}

/// In await-tree it is the calls that are marked.
fn marked<F: Future>(future: F) -> await_tree::Instrumented<F> {
    future.instrument_await("nested")
}

/// `tasktrace_0_1` has no frames: there a nested function is not seen.
fn case<'a>(
    name: &'a str,
    plain: Way<'a>,
    ours: Way<'a>,
    tasktrace_0_1: Option<Way<'a>>,
    async_backtrace: Way<'a>,
    await_tree: Way<'a>,
) -> Case<'a> {
    let mut ways = vec![
        ("not annotated", plain),
        (OURS, ours),
        ("async-backtrace", async_backtrace),
        ("await-tree", await_tree),
    ];
    ways.extend(tasktrace_0_1.map(|way| ("tasktrace 0.1.1", way)));
    Case { name, ways }
}

/// With nothing that is kept for as long as the future is.
fn alone<F>(make: impl Fn() -> F) -> impl Fn() -> (F, ()) {
    move || (make(), ())
}

/// Polls of one future, which is suspended.
fn polls<'a, F: Future, Kept>(make: impl Fn() -> (F, Kept) + 'a) -> Way<'a> {
    Box::new(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        let (future, _kept) = make();
        let mut future = pin!(future);
        assert!(future.as_mut().poll(&mut cx).is_pending());
        repeat(times, || {
            black_box(future.as_mut().poll(&mut cx).is_pending());
        })
    })
}

/// Lives of futures, of that many polls each.
fn lives<'a, const POLLS: usize, F: Future, Kept>(make: impl Fn() -> (F, Kept) + 'a) -> Way<'a> {
    Box::new(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        repeat(times, || {
            let (future, _kept) = make();
            let mut future = pin!(future);
            for _ in 0..POLLS {
                black_box(future.as_mut().poll(&mut cx).is_pending());
            }
        })
    })
}

fn repeat(times: u32, mut work: impl FnMut()) -> Duration {
    let start = Stopwatch::start();
    for _ in 0..times {
        work();
    }
    start.elapsed()
}

/// What the nested functions are nested in.
#[derive(Clone, Copy)]
pub(crate) enum Root<'a> {
    Plain,
    Tasktrace,
    AsyncBacktrace,
    AwaitTree(&'a Registry),
}

impl Root<'_> {
    /// Polls a future in such a root, until it is ready.
    pub(crate) fn run<T>(self, inside: impl Future<Output = T>) -> T {
        fn finish<T>(root: impl Future<Output = T>) -> T {
            let mut root = pin!(root);
            let mut cx = Context::from_waker(Waker::noop());
            loop {
                if let Poll::Ready(value) = root.as_mut().poll(&mut cx) {
                    return value;
                }
            }
        }
        match self {
            Root::Plain => finish(inside),
            Root::Tasktrace => finish(tasktrace::traced(inside).0),
            Root::AsyncBacktrace => finish(async_backtrace::frame!(inside)),
            Root::AwaitTree(registry) => {
                finish(registry.register_anonymous("root").instrument(inside))
            }
        }
    }
}

/// Does it in a poll of a root.
fn in_root<'a>(root: Root<'a>, mut way: Way<'a>) -> Way<'a> {
    Box::new(move |times| root.run(async { way(times) }))
}
