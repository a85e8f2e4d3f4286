//! Tests functions that a `macro_rules!` macro writes.

use std::fmt::Display;

use futures::executor::block_on;
use tasktrace::traced;
use tasktrace_tests::probe;

use crate::pause;

macro_rules! function {
    ($(#[$attr:meta])* $vis:vis $name:ident -> $output:ty $body:block) => {
        #[traced]
        $(#[$attr])*
        $vis async fn $name() -> $output $body
    };
}

macro_rules! item {
    ($item:item) => {
        #[traced]
        $item
    };
}

macro_rules! arguments {
    ($name:literal, $probe:path, $output:ty) => {
        #[traced(name = $name, crate = $probe)]
        async fn arguments() -> $output {
            3
        }
    };
}

macro_rules! output {
    ($($output:tt)*) => { $($output)* };
}

function!(#[must_use] parts -> u32 {
    pause().await;
    1
});

item! {
    async fn whole() -> u32 {
        pause().await;
        2
    }
}

arguments!("from a macro", probe, u32);

#[traced]
async fn macro_as_type() -> output!(impl Display) {
    pause().await;
    4
}

#[test]
fn functions_from_macros_are_traced() {
    assert_eq!(block_on(parts()), 1);
    assert_eq!(block_on(whole()), 2);
    assert_eq!(block_on(arguments()), 3);
    assert_eq!(probe::entered()[0].name, Some("from a macro"));
    assert_eq!(block_on(macro_as_type()).to_string(), "4");
}
