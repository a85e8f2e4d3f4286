//! A program that starts as with an attribute, for `tests/signals.rs`.
//!
//! The argument is that of the attribute, if there is one. It says `ready`, and ends when its input
//! does.

use std::io::Read;

fn main() {
    let attribute = std::env::args().nth(1);
    // As often as there are tests in a process.
    for _ in 0..3 {
        tasktrace::__private::start(attribute.as_deref());
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    println!("bye");
}
