//! A program that starts like one with an attribute, for `tests/tests/signals`.
//!
//! The argument of the program is that of the attribute, if it has one. The program prints `ready`, and ends when its
//! input ends.

use std::io::Read;

fn main() {
    let attribute = std::env::args().nth(1);
    // Each test in a process starts the library again.
    for _ in 0..3 {
        tasktrace::__private::start(attribute.as_deref());
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    println!("bye");
}
