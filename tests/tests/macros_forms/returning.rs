//! Tests functions that return a future without being async and without ending in an async block.

use std::fmt::{Debug, Display};
use std::future::{Ready, ready};
use std::pin::Pin;

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{BoxFuture, Either, LocalBoxFuture};
use tasktrace::traced;
use tasktrace_tests::probe;

use crate::pause;

async fn double(value: u32) -> u32 {
    pause().await;
    value * 2
}

#[traced(crate = probe)]
fn forwarded(value: u32) -> impl Future<Output = u32> {
    let value = value + 1;
    double(value)
}

#[traced(crate = probe)]
fn early(value: u32) -> impl Future<Output = u32> {
    if value == 0 {
        return Either::Left(ready(0));
    }
    Either::Right(async move { double(value).await })
}

#[traced(crate = probe)]
fn boxed<'a>(text: &'a str, early: bool) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
    if early {
        return Box::pin(ready(0));
    }
    for byte in text.bytes() {
        if byte == b'!' {
            return async move { text.len() * 10 }.boxed();
        }
    }
    Box::pin(async move {
        // This `return` returns from the block.
        if text.is_empty() {
            return 1;
        }
        pause().await;
        text.len()
    })
}

#[traced(crate = probe)]
fn by_alias(value: &u32) -> BoxFuture<'_, u32> {
    double(*value).boxed()
}

#[traced(crate = probe)]
fn by_local_alias(value: std::rc::Rc<u32>) -> LocalBoxFuture<'static, u32> {
    async move { double(*value).await }.boxed_local()
}

#[traced(crate = probe)]
fn only_returns(value: u32) -> BoxFuture<'static, u32> {
    match value {
        0 => return ready(0).boxed(),
        1 => return Box::pin(double(1)),
        _ => {}
    }
    return Box::pin(double(value));
}

/// Contains `return`s from closures, blocks and items, which the attribute must leave unchanged.
#[traced(crate = probe)]
#[expect(clippy::needless_return, reason = "it is the point")]
fn other_returns(value: u32) -> impl Future<Output = u32> + use<> {
    fn item(value: u32) -> Ready<u32> {
        return ready(value);
    }
    struct Type;
    impl Type {
        const fn method(value: u32) -> u32 {
            return value;
        }
    }
    let closure = |value: u32| {
        if value == 0 {
            return 1;
        }
        value
    };
    let block = async {
        if value == 0 {
            return 1;
        }
        2
    };
    assert!(block.now_or_never().is_some());
    if value > 100 {
        return item(100);
    }
    let short = |value: u32| return value;
    item(Type::method(closure(short(value))))
}

#[traced(crate = probe)]
fn in_loops(limit: u32) -> BoxFuture<'static, u32> {
    let mut sum = 0;
    'outer: loop {
        for value in 0.. {
            sum += value;
            if sum > limit {
                return Box::pin(ready(sum));
            }
            if value == 3 {
                continue 'outer;
            }
            if sum == 5 {
                break 'outer;
            }
        }
    }
    Box::pin(ready(0))
}

#[traced(crate = probe)]
fn opaque_output(value: u32) -> Pin<Box<dyn Future<Output = impl Display>>> {
    if value == 0 {
        return Box::pin(ready("none".to_owned()));
    }
    Box::pin(async move { value.to_string() })
}

struct Type(Vec<u32>);

impl Type {
    /// Returns a future that borrows from a mutable argument.
    #[traced("type of {}", self.0.len(), crate = probe)]
    fn push(&mut self, value: u32) -> Pin<Box<dyn Future<Output = &mut u32> + Send + '_>> {
        self.0.push(value);
        let Some(last) = self.0.last_mut() else {
            return Box::pin(std::future::pending());
        };
        Box::pin(ready(last))
    }

    #[traced(crate = probe)]
    fn first(&self) -> impl Future<Output = Option<u32>> + Send {
        ready(self.0.first().copied())
    }
}

trait Service {
    fn call(&self) -> BoxFuture<'_, u32>;

    #[traced(crate = probe)]
    fn provided(&self) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
        self.call()
    }

    fn native(&self) -> impl Future<Output = u32> + Send;
}

impl Service for Type {
    #[traced(crate = probe)]
    fn call(&self) -> BoxFuture<'_, u32> {
        ready(self.0[0]).boxed()
    }

    #[traced(crate = probe)]
    fn native(&self) -> impl Future<Output = u32> + Send {
        self.call()
    }
}

/// The label is formatted at the call, because the body consumes the argument that it names.
#[traced("{text} {}", text.len(), crate = probe)]
fn labelled(text: String) -> impl Future<Output = String> {
    ready(text)
}

#[traced(crate = probe)]
fn never() -> BoxFuture<'static, u32> {
    panic!("on purpose")
}

/// Returns from inside a macro: the attribute does not see this `return`, so its future keeps its type and is not
/// traced.
#[traced(crate = probe)]
fn macro_returns(value: Option<u32>) -> BoxFuture<'static, u32> {
    macro_rules! some {
        ($value:expr) => {
            match $value {
                Some(value) => value,
                None => return ready(0).boxed(),
            }
        };
    }
    ready(some!(value)).boxed()
}

/// Returns a future that also implements `Debug`, which callers may use.
#[traced]
fn shown() -> impl Future<Output = ()> + Debug {
    ready(())
}

#[traced("shown {}", 1)]
fn shown_with_label() -> impl Future<Output = ()> + Debug {
    ready(())
}

fn names() -> Vec<String> {
    probe::names().into_iter().map(|(_, name)| name).collect()
}

#[test]
fn each_returned_future_is_a_frame() {
    block_on(async {
        assert_eq!(forwarded(1).await, 4);
        assert_eq!(names(), ["forwarded"]);
        assert_eq!((early(0).await, early(2).await), (0, 4));
        assert_eq!(names(), ["early", "early"]);
        assert_eq!(boxed("", true).await, 0);
        assert_eq!(boxed("", false).await, 1);
        assert_eq!(boxed("ab", false).await, 2);
        assert_eq!(boxed("a!", false).await, 20);
        assert_eq!(names(), ["boxed"; 4]);
        assert_eq!(by_alias(&1).await, 2);
        assert_eq!(by_local_alias(std::rc::Rc::new(1)).await, 2);
        assert_eq!(names(), ["by_alias", "by_local_alias"]);
        for value in 0..3 {
            assert_eq!(only_returns(value).await, value * 2);
        }
        assert_eq!(names(), ["only_returns"; 3]);
        assert_eq!(other_returns(0).await, 1);
        assert_eq!(other_returns(101).await, 100);
        assert_eq!(names(), ["other_returns"; 2]);
        assert_eq!((in_loops(2).await, in_loops(7).await), (3, 9));
        assert_eq!(names(), ["in_loops"; 2]);
        assert_eq!(format!("{}", opaque_output(0).await), "none");
        assert_eq!(format!("{}", opaque_output(1).await), "1");
        assert_eq!(names(), ["opaque_output"; 2]);
        assert_eq!(macro_returns(None).await, 0);
        assert_eq!(names(), [""; 0]);
        assert_eq!(macro_returns(Some(1)).await, 1);
        assert_eq!(names(), ["macro_returns"]);
    });
}

#[test]
fn futures_returned_by_methods_are_frames_and_send() {
    const fn require_send<T: Send>(future: T) -> T {
        future
    }
    block_on(async {
        let mut value = Type(Vec::new());
        *require_send(value.push(1)).await += 1;
        assert_eq!(require_send(value.first()).await, Some(2));
        assert_eq!(require_send(value.provided()).await, 2);
        assert_eq!(require_send(value.native()).await, 2);
    });
    assert_eq!(probe::labels(), ["type of 0"]);
    assert_eq!(
        names(),
        ["push", "first", "call", "provided", "call", "native"]
    );
}

#[test]
fn returned_futures_implement_debug_if_promised() {
    let shown = [
        format!("{:?}", shown()),
        format!("{:?}", shown_with_label()),
    ];
    for shown in shown {
        assert!(shown.contains("Ready(Some(()))"), "{shown}");
        assert!(shown.contains("shown"), "{shown}");
    }
}

#[test]
fn the_label_of_a_returned_future_is_formatted_at_the_call() {
    let future = labelled("ab".to_owned());
    assert_eq!(probe::labels(), ["ab 2"]);
    assert_eq!(block_on(future), "ab");
}

#[test]
#[should_panic(expected = "on purpose")]
fn a_function_that_panics_before_it_returns_a_future_panics() {
    drop(never());
}
