//! Tests the attribute on `impl` blocks, traits and modules.
#![expect(
    clippy::redundant_pub_crate,
    reason = "what `unreachable_pub` asks for"
)]

use std::fmt::{Debug, Display};

use futures::executor::block_on;
use tasktrace::traced;
use tasktrace_tests::probe;

use crate::pause;

fn names() -> Vec<String> {
    probe::names().into_iter().map(|(_, name)| name).collect()
}

struct Type<T, const N: usize>(T);

#[traced(crate = probe)]
impl<T: Debug + Display + Sync, const N: usize> Type<T, N> {
    #![expect(clippy::unused_self, reason = "an attribute inside the block")]

    const LIMIT: usize = {
        const fn one() -> usize {
            1
        }
        one() + N
    };

    pub(crate) async fn by_ref(&self) -> &T {
        pause().await;
        &self.0
    }

    /// Is not async, so it is no frame.
    #[must_use]
    const fn sync(&self) -> usize {
        Self::LIMIT
    }

    fn returns_future(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Has braces before its body.
    async fn array(&self) -> Type<u32, { 1 + 1 }>
    where
        Type<u32, { 1 + 1 }>: Sized,
    {
        pause().await;
        Type(2)
    }

    #[traced(skip)]
    async fn skipped(&self) {
        pause().await;
    }

    #[traced("own label {}", self.0)]
    async fn own_label(&self) {
        pause().await;
    }

    #[tasktrace::traced]
    async fn own(&self) {
        pause().await;
    }

    #[cfg_attr(test, traced(name = "under a condition", crate = probe))]
    async fn under_a_condition(&self) {
        pause().await;
    }

    #[traced(crate = tasktrace)]
    async fn own_crate(&self) {
        pause().await;
    }

    async unsafe fn not_safe(&self) -> u32 {
        3
    }
}

#[test]
fn async_methods_of_an_impl_block_are_frames() {
    let value = Type::<_, 2>("text");
    block_on(async {
        assert_eq!(*value.by_ref().await, "text");
        assert_eq!(value.sync(), 3);
        value.returns_future().await;
        assert_eq!(value.array().await.0, 2);
        value.skipped().await;
        value.own_label().await;
        value.own().await;
        value.under_a_condition().await;
        value.own_crate().await;
        // SAFETY: `not_safe` has no requirements, because its body does nothing unsafe.
        assert_eq!(unsafe { value.not_safe() }.await, 3);
    });
    assert_eq!(probe::labels(), ["own label text"]);
    assert_eq!(
        names(),
        [
            "by_ref",
            "array",
            "own_label",
            "own",
            "under_a_condition",
            "not_safe"
        ]
    );
}

#[traced(crate = probe)]
trait Trait {
    type Output: Default;
    const ONE: u32 = 1;

    async fn required(&self) -> u32;

    async fn provided(&self) -> u32 {
        pause().await;
        self.required().await + Self::ONE
    }

    #[traced(skip)]
    async fn skipped(&self) -> Self::Output {
        pause().await;
        Self::Output::default()
    }

    fn sync(&self) -> u32 {
        1
    }
}

#[traced(crate = probe)]
impl Trait for u32 {
    type Output = Self;

    async fn required(&self) -> Self {
        *self
    }
}

#[test]
fn provided_and_implemented_methods_of_a_trait_are_frames() {
    block_on(async {
        assert_eq!(1.provided().await, 2);
        assert_eq!(1.skipped().await + 1.sync(), 1);
    });
    assert_eq!(names(), ["provided", "required"]);
}

#[traced(crate = ::tasktrace_tests::probe)]
pub(crate) mod module {
    //! Has documentation of its own.
    #![expect(clippy::needless_pass_by_ref_mut, reason = "an attribute inside")]

    use std::{fmt, pin::pin};

    use super::*;

    pub(crate) static COUNT: fn(&str) -> usize = |text| {
        struct Inside;
        let Inside = Inside;
        text.len()
    };

    macro_rules! not_expanded {
        ($name:ident) => {
            pub(crate) async fn $name() {
                pause().await;
            }
        };
    }

    not_expanded!(from_a_macro);
    not_expanded! { from_braces }

    pub(crate) async fn function() -> u32 {
        pause().await;
        1
    }

    #[derive(Default)]
    pub(crate) struct Type {
        pub(crate) function: Option<fn(u32) -> u32>,
    }

    pub(crate) struct Tuple<const N: usize = { 1 }>(pub(crate) fn() -> [(); N]);

    pub(crate) enum Enum {
        Variant { number: u32 },
    }

    pub(crate) type Alias = Tuple<{ 1 + 1 }>;

    unsafe extern "C" {
        safe fn abs(number: i32) -> i32;
    }

    impl Display for Type {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.function.is_some())
        }
    }

    impl Type {
        pub(crate) async fn method(&mut self) -> i32 {
            pin!(pause()).await;
            abs(-1)
        }
    }

    pub(crate) trait Provided {
        async fn provided(&self) -> u32 {
            pause().await;
            2
        }
    }

    #[traced(skip)]
    impl Provided for Type {
        async fn provided(&self) -> u32 {
            pause().await;
            3
        }
    }

    impl Provided for Enum {}

    pub(crate) mod inner {
        pub(in crate::containers) mod innermost {
            pub(in crate::containers) async fn function() {}
        }

        #[traced(skip)]
        pub(crate) mod skipped {
            pub(crate) async fn function() {
                nothing().await;
            }

            /// `skip` has no effect outside traced containers.
            #[tasktrace::traced(skip)]
            async fn nothing() {
                pause().await;
            }

            use crate::pause;
        }

        #[traced]
        pub(crate) mod own {
            pub(crate) async fn function() {}
        }

        use tasktrace::traced;
    }

    #[tasktrace::main(tasktrace = probe, block_on = block_on)]
    pub(crate) async fn main() {}

    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn tokio_main() {}

    #[tasktrace::test(tasktrace = probe)]
    async fn test() {
        function().await;
        assert_eq!(names(), ["test", "function"]);
    }

    #[tokio::test]
    async fn tokio_test() {
        function().await;
        assert_eq!(names(), ["tokio_test", "function"]);
    }
}

#[test]
fn async_functions_anywhere_in_a_module_are_frames() {
    use module::{Enum, Provided, Type, inner};
    let mut value = Type::default();
    block_on(async {
        module::from_a_macro().await;
        module::from_braces().await;
        assert_eq!(module::function().await, 1);
        assert_eq!(value.method().await, 1);
        assert_eq!(value.provided().await, 3);
        let Enum::Variant { number } = Enum::Variant { number: 1 };
        assert_eq!(Enum::Variant { number }.provided().await, 2);
        inner::innermost::function().await;
        inner::skipped::function().await;
        inner::own::function().await;
    });
    assert_eq!(
        names(),
        ["function", "method", "provided", "function", "function"]
    );
    let module::Tuple(array) = module::Alias::from(module::Tuple(|| [(); 2]));
    assert_eq!((array)().len() + (module::COUNT)("a"), 3);
    assert_eq!(value.to_string(), "false");
}

/// An entry point is a task, and not also a frame in itself.
#[test]
fn entry_points_in_a_module_are_tasks_and_no_frames() {
    module::main();
    module::tokio_main();
    assert_eq!(
        probe::names(),
        [
            (probe::Kind::Task, "main".to_owned()),
            (probe::Kind::Frame, "tokio_main".to_owned()),
        ]
    );
}

macro_rules! module_of {
    ($(#[$attr:meta])* $vis:vis mod $name:ident { $($item:item)* }) => {
        $(#[$attr])*
        #[traced(crate = probe)]
        $vis mod $name { $($item)* }
    };
}

macro_rules! impl_of {
    ($type:ty { $($vis:vis $name:ident $body:block)* }) => {
        #[traced(crate = probe)]
        impl $type { $($vis async fn $name(&self) $body)* }
    };
}

module_of! {
    /// Made by a macro.
    pub(crate) mod by_macro {
        pub(crate) use super::*;
        /// Has an attribute.
        pub(crate) async fn first() {}
        pub(crate) struct Type;
        pub(crate) async fn second() {}
    }
}

impl_of!(by_macro::Type { pub(crate) one { pause().await } two { pause().await } });

#[test]
fn containers_from_macros_are_traced() {
    block_on(async {
        by_macro::first().await;
        by_macro::second().await;
        by_macro::Type.one().await;
        by_macro::Type.two().await;
    });
    assert_eq!(names(), ["first", "second", "one", "two"]);
}

/// `skip` leaves each item unchanged.
#[traced(skip)]
async fn skipped() -> u32 {
    pause().await;
    1
}

#[traced(skip)]
struct Skipped;

#[test]
fn skip_leaves_items_unchanged() {
    let Skipped = Skipped;
    assert_eq!(block_on(skipped()), 1);
}
