//! Makes the tasks of a server: many tasks, each polled once in a while, when it is out of the cache.
//!
//! Each poll of a suspended task resumes its innermost function, which is suspended again.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use await_tree::Registry;

use crate::stopwatch::Stopwatch;
use crate::{Alternative, Case, OURS};

/// A task that never ends.
type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Is pending once, and cannot be optimised away.
async fn suspend() {
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

/// Defines the functions of a task, with an attribute or without.
macro_rules! functions {
    ($name:ident $(, #[$attribute:meta])?) => {
        mod $name {
            use std::hint::black_box;

            use super::{Task, suspend};

            $(#[$attribute])?
            pub(super) async fn root() {
                loop {
                    suspend().await;
                }
            }

            $(#[$attribute])?
            pub(super) async fn root_with_two_calls() {
                outer().await;
            }

            $(#[$attribute])?
            async fn outer() {
                inner().await;
            }

            $(#[$attribute])?
            async fn inner() {
                loop {
                    suspend().await;
                }
            }

            $(#[$attribute])?
            pub(super) async fn request() {
                handler().await;
            }

            $(#[$attribute])?
            async fn handler() {
                let query: Task = Box::pin(query());
                query.await;
            }

            $(#[$attribute])?
            async fn query() {
                reads().await;
            }

            $(#[$attribute])?
            async fn reads() {
                loop {
                    let read = is_there(black_box(7)).await;
                    black_box(is_there(read).await);
                    suspend().await;
                }
            }

            $(#[$attribute])?
            async fn is_there(number: u64) -> u64 {
                black_box(number)
            }
        }
    };
}

functions!(plain);
functions!(tasktrace_, #[tasktrace::traced]);
functions!(async_backtrace_, #[async_backtrace::framed]);

/// The same functions for await-tree, which annotates calls instead of functions.
mod await_tree_ {
    use std::hint::black_box;

    use await_tree::InstrumentAwait as _;

    use super::{Task, suspend};

    pub(super) async fn root_with_two_calls() {
        outer().instrument_await("outer").await;
    }

    async fn outer() {
        inner().instrument_await("inner").await;
    }

    async fn inner() {
        loop {
            suspend().await;
        }
    }

    pub(super) async fn request() {
        handler().instrument_await("handler").await;
    }

    async fn handler() {
        let query: Task = Box::pin(query());
        query.instrument_await("query").await;
    }

    async fn query() {
        reads().instrument_await("reads").await;
    }

    async fn reads() {
        loop {
            let read = is_there(black_box(7)).instrument_await("one").await;
            black_box(is_there(read).instrument_await("other").await);
            suspend().await;
        }
    }

    async fn is_there(number: u64) -> u64 {
        black_box(number)
    }
}

/// Returns the cases for `count` tasks, with the names of their goals.
pub fn cases(count: usize, registry: &Registry) -> Vec<(&'static str, Case<'_>)> {
    let root = move || registry.register_anonymous("root");
    let alternative = |name, make: fn() -> Task| (name, polls(count, make));
    vec![
        (
            "cold-root",
            Case {
                name: "a suspended root",
                alternatives: vec![
                    alternative("not annotated", || Box::pin(plain::root())),
                    alternative(OURS, || Box::pin(tasktrace_::root())),
                    alternative("async-backtrace", || Box::pin(async_backtrace_::root())),
                    (
                        "await-tree",
                        polls(count, move || Box::pin(root().instrument(plain::root()))),
                    ),
                    alternative("tasktrace 0.1.1", || {
                        Box::pin(tasktrace_0_1::traced(plain::root()).0)
                    }),
                ],
            },
        ),
        (
            "cold-nested",
            Case {
                name: "a root with two suspended calls",
                alternatives: vec![
                    alternative("not annotated", || Box::pin(plain::root_with_two_calls())),
                    alternative(OURS, || Box::pin(tasktrace_::root_with_two_calls())),
                    alternative("async-backtrace", || {
                        Box::pin(async_backtrace_::root_with_two_calls())
                    }),
                    (
                        "await-tree",
                        polls(count, move || {
                            Box::pin(root().instrument(await_tree_::root_with_two_calls()))
                        }),
                    ),
                ],
            },
        ),
        (
            "cold-request",
            Case {
                name: "a request: three suspended calls, one boxed, and two that return at once",
                alternatives: vec![
                    alternative("not annotated", || Box::pin(plain::request())),
                    alternative(OURS, || Box::pin(tasktrace_::request())),
                    alternative("async-backtrace", || Box::pin(async_backtrace_::request())),
                    (
                        "await-tree",
                        polls(count, move || {
                            Box::pin(root().instrument(await_tree_::request()))
                        }),
                    ),
                ],
            },
        ),
    ]
}

/// Returns the alternative that polls `count` tasks in an order in which no cache helps. The tasks are made on first
/// use, and kept.
fn polls<'a>(count: usize, make: impl Fn() -> Task + 'a) -> Alternative<'a> {
    let mut tasks: Vec<Task> = Vec::new();
    Box::new(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        if tasks.is_empty() {
            tasks = (0..count).map(|_| make()).collect();
            for task in &mut tasks {
                assert!(task.as_mut().poll(&mut cx).is_pending());
            }
            shuffle(&mut tasks);
        }
        let start = Stopwatch::start();
        for at in (0..count).cycle().take(times as usize) {
            black_box(tasks[at].as_mut().poll(&mut cx).is_pending());
        }
        start.elapsed()
    })
}

/// Shuffles a slice, always into the same order (Fisher and Yates, with numbers of Marsaglia's xorshift).
fn shuffle<T>(all: &mut [T]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..all.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = state % (at as u64 + 1);
        all.swap(at, usize::try_from(other).unwrap_or(0));
    }
}
