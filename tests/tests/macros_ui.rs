//! Tests the compiler's messages for wrong uses of the attributes, and for errors beside correct uses.
//!
//! The sources are in `../ui/tests/ui`, and are compiled with the few dependencies of that package. As a part of this
//! package, which has about three hundred dependencies, the test took seven minutes on a busy machine.
//! `TRYBUILD=overwrite` writes the current messages to the `.stderr` files.

#[test]
fn the_messages_of_the_compiler_match() {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");
    // SAFETY: this is the only test of this program. While it runs, the main thread waits for it, and no
    // other thread reads or writes the environment.
    unsafe { std::env::set_var("CARGO_MANIFEST_DIR", package) };
    std::env::set_current_dir(package).expect("the directory is there");
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
