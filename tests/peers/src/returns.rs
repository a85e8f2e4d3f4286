//! Makes calls that return at once, in several shapes, because the cost of an attribute depends on the function.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::cases::Root;
use crate::stopwatch::Stopwatch;
use crate::{Alternative, Case, OURS};

/// Defines the functions, with an attribute or without.
macro_rules! functions {
    ($name:ident $(, #[$attribute:meta])?) => {
        mod $name {
            use std::hint::black_box;

            $(#[$attribute])?
            pub(super) async fn unit() {
                black_box(7_u64);
            }

            $(#[$attribute])?
            pub(super) async fn number() -> u32 {
                black_box(7)
            }

            $(#[$attribute])?
            pub(super) async fn borrows(text: &str, bytes: &[u8]) -> Result<usize, String> {
                match bytes.get(black_box(1)) {
                    Some(byte) => Ok(text.len() + usize::from(*byte)),
                    None => Err(text.to_owned()),
                }
            }

            $(#[$attribute])?
            pub(super) async fn eight_words(words: [u64; 8]) -> [u64; 8] {
                black_box(words)
            }

            $(#[$attribute])?
            pub(super) async fn string(text: String) -> String {
                black_box(text)
            }

            $(#[$attribute])?
            pub(super) async fn awaits_what_is_ready() -> u32 {
                std::future::ready(black_box(7)).await
            }

            $(#[$attribute])?
            pub(super) async fn three_deep() -> u32 {
                two_deep().await
            }

            $(#[$attribute])?
            async fn two_deep() -> u32 {
                number().await
            }
        }
    };
}

functions!(plain);
functions!(tasktrace_, #[tasktrace::traced]);
functions!(async_backtrace_, #[async_backtrace::framed]);

/// The poll of the task in which a function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    FirstPoll,
    LaterPoll,
}

/// Makes a case of one expression, in which `$of` is the module of the functions of tasktrace or of a peer.
macro_rules! case {
    ($name:literal, $poll:expr, $of:ident => $call:expr) => {
        Case {
            name: $name,
            alternatives: vec![
                ("not annotated", {
                    use plain as $of;
                    calls(Root::Plain, $poll, async || _ = black_box($call))
                }),
                (OURS, {
                    use tasktrace_ as $of;
                    calls(Root::Tasktrace, $poll, async || _ = black_box($call))
                }),
                ("async-backtrace", {
                    use async_backtrace_ as $of;
                    calls(Root::AsyncBacktrace, $poll, async || _ = black_box($call))
                }),
            ],
        }
    };
}

/// Returns a case for each shape.
pub fn cases() -> Vec<Case<'static>> {
    vec![
        case!("unit", In::FirstPoll, of => of::unit().await),
        case!("`u32`", In::FirstPoll, of => of::number().await),
        case!(
            "borrowed arguments to `Result`",
            In::FirstPoll,
            of => of::borrows(black_box("text"), black_box(&[1, 2])).await
        ),
        case!(
            "eight words in and out",
            In::FirstPoll,
            of => of::eight_words(black_box([7; 8])).await
        ),
        case!("`String`", In::FirstPoll, of => of::string(String::new()).await),
        case!(
            "awaits what is ready",
            In::FirstPoll,
            of => of::awaits_what_is_ready().await
        ),
        case!("three deep", In::FirstPoll, of => of::three_deep().await),
        case!(
            "polled by hand, in the first poll of its task",
            In::FirstPoll,
            of => by_hand(of::number())
        ),
        case!(
            "polled by hand, in a later poll of its task",
            In::LaterPoll,
            of => by_hand(of::number())
        ),
        case!("`u32`, in a later poll", In::LaterPoll, of => of::number().await),
    ]
}

fn by_hand<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns the alternative that calls a function in a poll of a task.
fn calls(root: Root<'static>, within: In, call: impl AsyncFn() + 'static) -> Alternative<'static> {
    Box::new(move |times| {
        root.run(async {
            if within == In::LaterPoll {
                let mut is_later = false;
                std::future::poll_fn(|_| match std::mem::replace(&mut is_later, true) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
                .await;
            }
            let start = Stopwatch::start();
            for _ in 0..times {
                call().await;
            }
            start.elapsed()
        })
    })
}
