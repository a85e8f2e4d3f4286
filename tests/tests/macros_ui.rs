//! What the compiler says of a wrong use of the attributes, and of errors beside a right one.
//!
//! `TRYBUILD=overwrite` writes what it says now to the `.stderr` files.

#[test]
fn errors() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
