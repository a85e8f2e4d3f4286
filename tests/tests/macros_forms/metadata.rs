//! Tests the metadata of a function that the expansion passes to the runtime.

use futures::executor::block_on;
use tasktrace::traced;
use tasktrace_tests::probe;

#[traced(crate = probe)]
async fn plain() {}

#[traced(name = "a label", crate = "tasktrace_tests::probe")]
async fn labelled() {}

#[traced(crate = ::tasktrace_tests::probe,)]
async fn absolute() {}

#[traced(crate = self::probe)]
/// Documentation between the attribute and the function.
#[cfg_attr(test, doc = "An attribute with arguments.")]
async fn far_below() {}

struct Type;

trait Trait {
    async fn method(&self);
}

impl Trait for Type {
    #[traced(crate = probe)]
    async fn method(&self) {}
}

#[traced(crate = probe)]
fn returned() -> impl Future<Output = ()> {
    std::future::ready(())
}

#[traced(crate = probe)]
impl Type {
    async fn in_a_block(&self) {}
}

#[test]
fn the_metadata_contains_kind_name_and_path() {
    block_on(async {
        plain().await;
        labelled().await;
        absolute().await;
        Type.method().await;
        returned().await;
        Type.in_a_block().await;
    });
    let [plain, labelled, absolute, method, returned, in_a_block] = probe::entered()[..] else {
        panic!("six functions were called");
    };
    let module = module_path!();
    assert_eq!(plain.kind, probe::Kind::Frame);
    assert_eq!(plain.name, None);
    assert_eq!(
        plain.path,
        format!("{module}::plain::{{{{closure}}}}::Here")
    );
    assert_eq!(labelled.name, Some("a label"));
    assert_eq!(
        absolute.path,
        format!("{module}::absolute::{{{{closure}}}}::Here")
    );
    assert_eq!(
        method.path,
        format!("<{module}::Type as {module}::Trait>::method::{{{{closure}}}}::Here"),
    );
    assert_eq!(returned.path, format!("{module}::returned::Here"));
    assert_eq!(
        in_a_block.path,
        format!("{module}::Type::in_a_block::{{{{closure}}}}::Here")
    );
}

/// The place is that of the function, and not of the attribute.
#[test]
fn the_metadata_contains_the_place_of_the_function() {
    #[rustfmt::skip]
    let (function, line) = {
        #[traced(crate = probe)]
        // A comment between attributes.

        #[must_use]
        async fn function() -> u32 { 1 }
        (function(), line!() - 1)
    };
    block_on(async {
        assert_eq!(function.await, 1);
        far_below().await;
        Type.in_a_block().await;
    });
    let [function, far_below, in_a_block] = probe::entered()[..] else {
        panic!("three functions were called");
    };
    assert_eq!(function.place, (file!(), line, 15));
    assert!(far_below.place.1 < line);
    assert_eq!(in_a_block.place.2, 11);
}
