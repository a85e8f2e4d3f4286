//! Tests labels with runtime values.

use std::cell::Cell;
use std::fmt::{self, Debug, Display};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Waker};

use futures::FutureExt;
use futures::executor::block_on;
use tasktrace::traced;
use tasktrace_tests::probe;

use crate::pause;

/// An argument that counts how often it is formatted, and is not `Copy`.
struct Counted<'a>(&'a Cell<u32>);

impl Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(self.0.get() + 1);
        f.write_str("counted")
    }
}

#[traced("conn {peer} req={}", id, crate = probe)]
async fn captured_and_positional(peer: &str, id: u32) -> String {
    pause().await;
    format!("{peer}{id}")
}

#[traced(crate = probe, "{0:?} {total:>3} {0:?}", text, total = text.len() + 1)]
async fn named(text: String) -> String {
    pause().await;
    text
}

#[traced("{argument}", crate = probe)]
#[expect(clippy::future_not_send, reason = "a `Cell` counts")]
async fn counted(argument: Counted<'_>) {
    let moved = argument;
    pause().await;
    let _: &Counted<'_> = &moved;
}

#[traced("{first} {second}", crate = probe)]
async fn patterns((first, _): (u32, u32), [second, ..]: [u32; 2]) -> u32 {
    pause().await;
    first + second
}

#[traced("{value:?}", crate = probe)]
async fn generic<T: Debug>(value: T) -> T {
    pause().await;
    value
}

/// Takes an argument that only the label names.
#[traced("{only_shown}", crate = probe)]
#[expect(clippy::future_not_send, reason = "an `Rc` is not")]
async fn unused(only_shown: Rc<str>) {
    pause().await;
}

/// The label formats its arguments before the body runs.
#[traced("{}", { numbers.push(1); numbers.len() }, crate = probe)]
async fn changed(numbers: &mut Vec<u32>) -> usize {
    numbers.push(2);
    pause().await;
    numbers.len()
}

#[traced("{}", crate::labels::LIMIT, crate = probe)]
#[expect(unused_qualifications, reason = "two meanings of `crate`")]
async fn path_of_crate() {}

const LIMIT: u32 = 3;

#[traced("nothing", crate = probe)]
async fn nothing_to_format() {}

#[traced("{{braces}}", crate = probe)]
async fn escaped() {}

#[traced(r#"a "raw" {} string"#, 1 + 1, crate = probe)]
async fn raw() {}

#[traced("{bytes:?}", crate = probe)]
#[expect(unused_mut, reason = "as it is without the attribute")]
async fn mutable(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

struct Session {
    id: u32,
}

impl Session {
    #[traced("session {}", self.id, crate = probe)]
    async fn by_ref(&self) -> u32 {
        pause().await;
        self.id
    }

    #[traced("{self} at {place}", crate = probe)]
    async fn by_mut(&mut self, place: u32) -> &mut Self {
        pause().await;
        self.id = place;
        self
    }

    #[traced("{} {}", self.id, Self::NAME, crate = probe)]
    async fn by_value(self) -> u32 {
        pause().await;
        self.id
    }

    const NAME: &str = "Session";
}

impl Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.id)
    }
}

#[traced("{text} {doubled}", crate = probe)]
fn block(text: &str) -> impl Future<Output = usize> {
    let doubled = text.len() * 2;
    async move {
        pause().await;
        text.len() + doubled
    }
}

#[traced("{text}", crate = probe)]
fn boxed_block<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = &'a str> + Send + 'a>> {
    Box::pin(async move {
        pause().await;
        text
    })
}

macro_rules! from_a_macro {
    ($name:ident, $label:literal, $($arg:tt)*) => {
        #[traced($label, $($arg)*, crate = probe)]
        async fn $name(value: u32) -> u32 {
            value
        }
    };
}

from_a_macro!(by_macro, "{} {}", 1, Vec::<(u32, u32)>::new().len());

fn labels() -> Vec<String> {
    probe::entered();
    probe::labels()
}

#[test]
fn labels_show_the_values_of_arguments() {
    block_on(async {
        assert_eq!(captured_and_positional("::1", 7).await, "::17");
        assert_eq!(labels(), ["conn ::1 req=7"]);
        assert_eq!(named("ab".to_owned()).await, "ab");
        assert_eq!(labels(), ["\"ab\"   3 \"ab\""]);
        assert_eq!(patterns((1, 2), [3, 4]).await, 4);
        assert_eq!(labels(), ["1 3"]);
        assert_eq!(*generic(Box::new([1])).await, [1]);
        assert_eq!(labels(), ["[1]"]);
        unused("only".into()).await;
        assert_eq!(labels(), ["only"]);
        assert_eq!(changed(&mut Vec::new()).await, 2);
        assert_eq!(labels(), ["1"]);
        path_of_crate().await;
        assert_eq!(labels(), ["3"]);
        raw().await;
        assert_eq!(labels(), ["a \"raw\" 2 string"]);
        assert_eq!(mutable(vec![1]).await, [1]);
        assert_eq!(labels(), ["[1]"]);
        assert_eq!(by_macro(1).await, 1);
        assert_eq!(labels(), ["1 0"]);
    });
}

#[test]
fn labels_of_methods_can_name_the_receiver() {
    block_on(async {
        let mut session = Session { id: 1 };
        assert_eq!(session.by_ref().await, 1);
        assert_eq!(session.by_mut(2).await.id, 2);
        assert_eq!(session.by_value().await, 2);
    });
    assert_eq!(labels(), ["session 1", "#1 at 2", "2 Session"]);
}

/// In a function that ends with an async block, the label can name the variables before the block.
#[test]
fn labels_of_blocks_can_name_the_variables_before() {
    assert_eq!(block_on(block("abc")), 9);
    assert_eq!(block_on(boxed_block("abc")), "abc");
    assert_eq!(labels(), ["abc 6", "abc"]);
}

/// A label without arguments is the same as `name = "…"`.
#[test]
fn a_label_without_arguments_is_a_name() {
    block_on(async {
        nothing_to_format().await;
        escaped().await;
    });
    assert_eq!(probe::labels(), [""; 0]);
    let names: Vec<_> = probe::entered()
        .iter()
        .map(|entered| entered.name)
        .collect();
    assert_eq!(names, [Some("nothing"), Some("{braces}")]);
}

#[test]
fn a_label_is_formatted_once_at_the_first_poll() {
    let times = Cell::new(0);
    let mut future = pin!(counted(Counted(&times)));
    assert_eq!(times.get(), 0);
    let mut context = Context::from_waker(Waker::noop());
    for expected in [false, true] {
        assert_eq!(future.as_mut().poll(&mut context).is_ready(), expected);
        assert_eq!(times.get(), 1);
    }
    assert_eq!(labels(), ["counted"]);

    drop(counted(Counted(&times)));
    assert_eq!(times.get(), 1);
}

/// Takes an argument that is not `Sync`: the future is `Send` all the same.
#[traced("{} {:?}", cell.get(), cell)]
async fn not_sync(cell: Cell<u32>) -> u32 {
    pause().await;
    cell.get()
}

/// Drops its argument in the body: formatting borrows the argument only while it formats.
#[traced("{text}")]
async fn dropped_by_the_body(text: String) -> usize {
    let length = text.len();
    drop(text);
    pause().await;
    length
}

#[test]
fn a_label_requires_neither_sync_nor_longer_borrows_of_arguments() {
    const fn require_send<T: Send>(future: T) -> T {
        future
    }
    assert_eq!(block_on(require_send(not_sync(Cell::new(1)))), 1);
    assert_eq!(dropped_by_the_body("ab".to_owned()).now_or_never(), None);
}
