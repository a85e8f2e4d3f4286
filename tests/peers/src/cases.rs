//! Defines the operations on one annotated function that nothing captures, for tasktrace and its peers.
//!
//! A *root* is polled outside of any task, as a spawned task is. A *nested* function is polled inside of a task.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use await_tree::{Config, InstrumentAwait, Registry};

use crate::stopwatch::Stopwatch;
use crate::{Alternative, Case, OURS};

/// Defines the measured functions in a module `$name`, with an attribute or without.
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

/// Returns the cases, with the names of their goals.
pub fn cases(registry: &Registry) -> Vec<(&'static str, Case<'_>)> {
    let root = || registry.register_anonymous("root");
    let in_await_tree = Root::AwaitTree(registry);
    vec![
        (
            "root-poll",
            case(
                "root: a poll",
                polls(without_kept(plain::waits)),
                polls(without_kept(tasktrace_::waits)),
                Some(polls(|| tasktrace_0_1::traced(plain::waits()))),
                polls(without_kept(async_backtrace_::waits)),
                polls(without_kept(move || root().instrument(plain::waits()))),
            ),
        ),
        (
            "root-ready",
            case(
                "root: create, resolve, drop",
                lives::<1, _, _>(without_kept(plain::is_ready)),
                lives::<1, _, _>(without_kept(tasktrace_::is_ready)),
                Some(lives::<1, _, _>(
                    || tasktrace_0_1::traced(plain::is_ready()),
                )),
                lives::<1, _, _>(without_kept(async_backtrace_::is_ready)),
                lives::<1, _, _>(without_kept(move || root().instrument(plain::is_ready()))),
            ),
        ),
        (
            "root-life",
            case(
                "root: create, suspend, resolve, drop",
                lives::<2, _, _>(without_kept(plain::waits_once)),
                lives::<2, _, _>(without_kept(tasktrace_::waits_once)),
                Some(lives::<2, _, _>(|| {
                    tasktrace_0_1::traced(plain::waits_once())
                })),
                lives::<2, _, _>(without_kept(async_backtrace_::waits_once)),
                lives::<2, _, _>(without_kept(move || root().instrument(plain::waits_once()))),
            ),
        ),
        (
            "nested-poll",
            case(
                "nested: a poll",
                in_root(Root::Plain, polls(without_kept(plain::waits))),
                in_root(Root::Tasktrace, polls(without_kept(tasktrace_::waits))),
                None,
                in_root(
                    Root::AsyncBacktrace,
                    polls(without_kept(async_backtrace_::waits)),
                ),
                in_root(
                    in_await_tree,
                    polls(without_kept(|| marked(plain::waits()))),
                ),
            ),
        ),
        (
            "nested-ready",
            case(
                "nested: create, resolve, drop",
                in_root(Root::Plain, lives::<1, _, _>(without_kept(plain::is_ready))),
                in_root(
                    Root::Tasktrace,
                    lives::<1, _, _>(without_kept(tasktrace_::is_ready)),
                ),
                None,
                in_root(
                    Root::AsyncBacktrace,
                    lives::<1, _, _>(without_kept(async_backtrace_::is_ready)),
                ),
                in_root(
                    in_await_tree,
                    lives::<1, _, _>(without_kept(|| marked(plain::is_ready()))),
                ),
            ),
        ),
        (
            "nested-life",
            case(
                "nested: create, suspend, resolve, drop",
                in_root(
                    Root::Plain,
                    lives::<2, _, _>(without_kept(plain::waits_once)),
                ),
                in_root(
                    Root::Tasktrace,
                    lives::<2, _, _>(without_kept(tasktrace_::waits_once)),
                ),
                None,
                in_root(
                    Root::AsyncBacktrace,
                    lives::<2, _, _>(without_kept(async_backtrace_::waits_once)),
                ),
                in_root(
                    in_await_tree,
                    lives::<2, _, _>(without_kept(|| marked(plain::waits_once()))),
                ),
            ),
        ),
    ]
}

/// Returns the registry for the tasks of await-tree.
pub fn registry() -> Registry {
    Registry::new(Config::default())
}

/// Marks a call, which await-tree annotates instead of the function.
fn marked<F: Future>(future: F) -> await_tree::Instrumented<F> {
    future.instrument_await("nested")
}

/// Makes a case of its alternatives. tasktrace 0.1 has no frames, so it has no alternative for nested functions.
fn case<'a>(
    name: &'a str,
    plain: Alternative<'a>,
    ours: Alternative<'a>,
    tasktrace_0_1: Option<Alternative<'a>>,
    async_backtrace: Alternative<'a>,
    await_tree: Alternative<'a>,
) -> Case<'a> {
    let mut alternatives = vec![
        ("not annotated", plain),
        (OURS, ours),
        ("async-backtrace", async_backtrace),
        ("await-tree", await_tree),
    ];
    alternatives.extend(tasktrace_0_1.map(|alternative| ("tasktrace 0.1.1", alternative)));
    Case { name, alternatives }
}

/// Makes futures that need nothing else to be kept alive.
fn without_kept<F>(make: impl Fn() -> F) -> impl Fn() -> (F, ()) {
    move || (make(), ())
}

/// Returns the alternative that polls one suspended future.
fn polls<'a, F: Future, Kept>(make: impl Fn() -> (F, Kept) + 'a) -> Alternative<'a> {
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

/// Returns the alternative that makes a future, polls it `POLLS` times, and drops it.
fn lives<'a, const POLLS: usize, F: Future, Kept>(
    make: impl Fn() -> (F, Kept) + 'a,
) -> Alternative<'a> {
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

/// The task around nested functions.
#[derive(Clone, Copy)]
pub(crate) enum Root<'a> {
    Plain,
    Tasktrace,
    AsyncBacktrace,
    AwaitTree(&'a Registry),
}

impl Root<'_> {
    /// Polls a future inside such a root until it is ready.
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

/// Runs an alternative inside a poll of a root.
fn in_root<'a>(root: Root<'a>, mut alternative: Alternative<'a>) -> Alternative<'a> {
    Box::new(move |times| root.run(async { alternative(times) }))
}
