//! Tests that the meaning of an expansion does not depend on the names around it.
#![deny(warnings, clippy::all, clippy::pedantic)]
#![expect(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "what shadows a name is there to be left alone"
)]

use std::time::Duration;

use futures::executor::block_on;
use tasktrace_tests::probe::{self, Kind};

/// Gives another meaning to every name that an expansion could use.
mod shadowed {
    mod core {}
    mod std {}
    mod alloc {}
    mod tasktrace {}
    mod tokio {}
    mod futures {}

    struct Option;
    struct Some;
    struct None;
    struct Result;
    struct Ok;
    struct Err;
    struct Box;
    struct Pin;
    trait Future {}
    trait IntoFuture {}
    trait Fn {}
    trait Send {}

    const META: u32 = 1;
    const fn here() -> u32 {
        2
    }
    const fn frame() -> u32 {
        4
    }

    macro_rules! line {
        () => {
            compile_error!("not this one")
        };
    }
    use line as column;
    use line as file;
    use line as format;
    use line as format_args;
    struct String;

    #[::tasktrace::traced]
    pub(crate) async fn traced(output: u32) -> u32 {
        let _ = Some;
        META + here() + frame() + output
    }

    #[::tasktrace::traced]
    #[expect(
        clippy::manual_async_fn,
        reason = "the attribute goes by what is written"
    )]
    pub(crate) fn block() -> impl ::core::future::Future<Output = u32> {
        async { META + here() + frame() }
    }

    #[::tasktrace::traced("{output} {}", META, crate = ::tasktrace_tests::probe)]
    pub(crate) async fn labelled(output: u32) -> u32 {
        META + output
    }

    #[::tasktrace::traced(wait_limit = "5s")]
    pub(crate) async fn limited(output: u32) -> u32 {
        META + here() + output
    }

    #[::tasktrace::traced("{output}")]
    pub(crate) fn returned(
        output: u32,
    ) -> ::core::pin::Pin<
        ::std::boxed::Box<dyn ::core::future::Future<Output = u32> + ::core::marker::Send>,
    > {
        'end: {
            if output == 0 {
                break 'end;
            }
            return ::std::boxed::Box::pin(::core::future::ready(META + output));
        }
        ::std::boxed::Box::pin(::core::future::ready(META))
    }

    #[::tasktrace::traced]
    pub(crate) fn opaque(output: u32) -> impl ::core::future::Future<Output = u32> {
        if output == 0 {
            return ::core::future::ready(META);
        }
        ::core::future::ready(output)
    }

    pub(crate) struct Type;

    #[::tasktrace::traced(crate = ::tasktrace_tests::probe)]
    impl Type {
        pub(crate) async fn method(&self, output: u32) -> u32 {
            META + output
        }

        #[::tasktrace::traced("{self_}", self_ = 1)]
        pub(crate) async fn labelled(&self) {}
    }

    /// Takes arguments with the names of the variables in the expansions of `main` and `test`.
    #[::tasktrace::main(block_on = ::futures::executor::block_on)]
    pub(crate) async fn entry(body: u32, block_on: u32, output: u32) -> u32 {
        body + block_on + output + META + here()
    }

    #[::tasktrace::main(crate = ::tokio, flavor = "current_thread", dump_on_signal)]
    pub(crate) async fn entry_of_tokio(body: u32, output: u32) -> u32 {
        body + output + META + here()
    }

    #[::tasktrace::test(block_on = ::futures::executor::block_on, timeout = "5s")]
    async fn test() {
        assert!(META + here() == 3);
    }

    #[::tasktrace::test(crate = ::tokio, dump_on_signal = "USR1", timeout = "none")]
    async fn test_of_tokio() {
        assert!(META + here() == 3);
    }
}

/// A module without a prelude.
#[no_implicit_prelude]
mod bare {
    #[::tasktrace::traced]
    pub(crate) async fn traced() -> u32 {
        1
    }

    #[::tasktrace::main(block_on = ::futures::executor::block_on)]
    pub(crate) async fn main() -> u32 {
        traced().await
    }

    #[::tasktrace::test(block_on = ::futures::executor::block_on, timeout = "5s")]
    async fn test() {
        ::std::assert!(traced().await == 1);
    }

    #[::tasktrace::test(crate = ::tokio, dump_on_signal, timeout = "5s")]
    async fn test_of_tokio() {
        ::std::assert!(traced().await == 1);
    }

    #[::tasktrace::traced("{number}", wait_limit = "1h")]
    pub(crate) fn returned(number: u32) -> impl ::core::future::Future<Output = u32> {
        if number == 0 {
            return ::core::future::ready(1);
        }
        ::core::future::ready(number)
    }

    #[::tasktrace::traced]
    pub(crate) mod inner {
        pub(crate) async fn function() {}
    }
}

/// Renames the runtime crate, and reaches it by a path of each kind.
mod renamed {
    pub(crate) mod re {
        pub(crate) use tasktrace_tests::probe as export;
    }
    mod inner {
        #[tasktrace::traced(crate = super::re::export)]
        pub(crate) async fn relative() {}
    }
    pub(crate) use inner::relative;

    #[tasktrace::traced(crate = re::export)]
    pub(crate) async fn local() {}

    #[tasktrace::traced(crate = crate::renamed::re::export, wait_limit = "5s")]
    pub(crate) async fn from_root() {}

    #[tasktrace::traced(crate = "re::export")]
    pub(crate) async fn in_a_string() {}

    macro_rules! exported {
        () => {
            #[tasktrace::traced(crate = $crate::renamed::re::export, wait_limit = "5s")]
            pub(crate) async fn from_a_macro() {}

            #[tasktrace::traced(crate = $crate::renamed::re::export)]
            pub(crate) mod module_from_a_macro {
                pub(crate) mod inner {
                    pub(crate) async fn in_a_module() {}
                }
            }
        };
    }
    exported!();

    #[tasktrace::main(tasktrace = re::export, block_on = futures::executor::block_on)]
    pub(crate) async fn main() {}

    #[tasktrace::main(tasktrace = "re::export", flavor = "current_thread")]
    pub(crate) async fn main_of_tokio() {}

    #[tasktrace::test(tasktrace = re::export, timeout = "1s")]
    async fn test() {
        assert_eq!(super::probe::steps(), ["begin test Nanos(1000000000)"]);
    }

    mod tests {
        #[tasktrace::test(tasktrace = super::re::export, timeout = "none", dump_on_signal)]
        async fn relative() {
            let begin = "begin relative None";
            assert_eq!(probe::steps(), ["start Some(\"\")", begin]);
        }

        use tasktrace_tests::probe;
    }
}

/// Takes arguments with the names of items in the expansion.
#[expect(non_snake_case, reason = "the name of an item")]
#[tasktrace::traced]
async fn arguments(META: u32, here: u32, frame: u32, output: u32) -> u32 {
    META + here + frame + output
}

/// Defines items with the names of items in the expansion.
#[tasktrace::traced]
async fn items() -> u32 {
    const META: u32 = 1;
    const fn here() -> u32 {
        2
    }
    META + here()
}

#[test]
fn shadowed_names_do_not_change_the_expansions() {
    assert_eq!(block_on(shadowed::traced(8)), 15);
    assert_eq!(block_on(shadowed::block()), 7);
    assert_eq!(shadowed::entry(4, 8, 16), 31);
    assert_eq!(shadowed::entry_of_tokio(4, 8), 15);
    assert_eq!(block_on(shadowed::labelled(2)), 3);
    assert_eq!(block_on(shadowed::limited(4)), 7);
    assert_eq!(block_on(shadowed::returned(0)), 1);
    assert_eq!(block_on(shadowed::returned(2)), 3);
    assert_eq!(block_on(shadowed::opaque(0)), 1);
    assert_eq!(block_on(shadowed::Type.method(2)), 3);
    block_on(shadowed::Type.labelled());
    assert_eq!(probe::labels(), ["2 1", "1"]);
    assert_eq!(probe::names().len(), 3);
    assert_eq!(bare::main(), 1);
    assert_eq!(block_on(bare::returned(0)), 1);
    block_on(bare::inner::function());
    assert_eq!(block_on(arguments(1, 2, 4, 8)), 15);
    assert_eq!(block_on(items()), 3);
}

#[test]
fn a_renamed_crate_is_reached_by_each_kind_of_path() {
    block_on(async {
        renamed::relative().await;
        renamed::local().await;
        renamed::from_root().await;
        renamed::in_a_string().await;
        renamed::from_a_macro().await;
        renamed::module_from_a_macro::inner::in_a_module().await;
    });
    let frame = |name: &str| (Kind::Frame, name.to_owned());
    assert_eq!(
        probe::names(),
        [
            frame("relative"),
            frame("local"),
            frame("from_root"),
            frame("in_a_string"),
            frame("from_a_macro"),
            frame("in_a_module"),
        ]
    );
    assert_eq!(probe::limits(), [Duration::from_secs(5); 2]);
    renamed::main();
    renamed::main_of_tokio();
    let task = |name: &str| (Kind::Task, name.to_owned());
    assert_eq!(probe::names(), [task("main"), task("main_of_tokio")]);
}
