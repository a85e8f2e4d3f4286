//! Tests when arguments are dropped.

use std::cell::RefCell;

use futures::FutureExt;
use futures::executor::block_on;

use crate::pause;

thread_local! {
    static DROPPED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

struct Noisy(&'static str);

impl Drop for Noisy {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0));
    }
}

async fn untraced(first: Noisy, second: Noisy, _: Noisy, _unused: Noisy) {
    let _local = Noisy("local");
    pause().await;
    let _: (&Noisy, &Noisy) = (&second, &first);
}

#[tasktrace::traced]
async fn with_attribute(first: Noisy, second: Noisy, _: Noisy, _unused: Noisy) {
    let _local = Noisy("local");
    pause().await;
    let _: (&Noisy, &Noisy) = (&second, &first);
}

/// Has a label that names an argument which the body does not name.
#[tasktrace::traced("{} {}", unused.0, first.0)]
async fn with_label(first: Noisy, second: Noisy, _: Noisy, unused: Noisy) {
    let _local = Noisy("local");
    pause().await;
    let _: (&Noisy, &Noisy) = (&second, &first);
}

macro_rules! call {
    ($function:ident) => {
        $function(Noisy("first"), Noisy("second"), Noisy("_"), Noisy("unused"))
    };
}

/// Locals are dropped first and arguments after them, as without the attribute. The arguments that the body names are
/// dropped with the body, in the order in which it names them, and the others follow.
#[test]
fn a_completed_function_drops_the_arguments_its_body_names_first() {
    block_on(call!(untraced));
    assert_eq!(DROPPED.take(), ["local", "unused", "_", "second", "first"]);
    block_on(call!(with_attribute));
    assert_eq!(DROPPED.take(), ["local", "second", "first", "unused", "_"]);
    block_on(call!(with_label));
    assert_eq!(DROPPED.take(), ["local", "second", "first", "unused", "_"]);
}

#[test]
fn a_cancelled_function_drops_the_arguments_its_body_names_first() {
    assert!(call!(untraced).now_or_never().is_none());
    assert_eq!(DROPPED.take(), ["local", "unused", "_", "second", "first"]);
    assert!(call!(with_attribute).now_or_never().is_none());
    assert_eq!(DROPPED.take(), ["local", "second", "first", "unused", "_"]);
    assert!(call!(with_label).now_or_never().is_none());
    assert_eq!(DROPPED.take(), ["local", "second", "first", "unused", "_"]);
}

#[test]
fn a_function_never_polled_drops_its_arguments_in_the_usual_order() {
    drop(call!(untraced));
    let untraced = DROPPED.take();
    drop(call!(with_attribute));
    assert_eq!(DROPPED.take(), untraced);
    drop(call!(with_label));
    assert_eq!(DROPPED.take(), untraced);
}
