//! The compiler's messages for a wrong use of the attributes, and for errors beside a right one.
//!
//! The sources are in `../ui/tests/ui`, and are compiled with the few dependencies of that package: as a
//! part of this one, which has some three hundred, the test took seven minutes on a busy machine.
//! `TRYBUILD=overwrite` writes the messages of now to the `.stderr` files.

#[test]
fn errors() {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");
    // SAFETY: this is the only test of this program. While it runs, the main thread waits for it, and no
    // other thread reads or writes the environment.
    unsafe { std::env::set_var("CARGO_MANIFEST_DIR", package) };
    std::env::set_current_dir(package).expect("the directory is there");
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
