//! Every form of function that `#[traced]` accepts does what it does without the attribute.
//!
//! The lints are part of the test: nothing that the attribute adds is to be reported to the user,
//! and nothing in it is to be silenced by an `allow`, which `forbid` does not accept.
#![forbid(unreachable_code, unused_braces, unused_must_use)]
#![deny(
    warnings,
    unused,
    rust_2018_idioms,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Display};
use std::num::ParseIntError;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;
use futures::executor::block_on;
use tasktrace::traced;
use tasktrace_tests::probe;

/// Returns `Pending` once.
async fn pause() {
    let mut polled = false;
    std::future::poll_fn(|cx| {
        if polled {
            return std::task::Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

mod functions {
    use super::*;

    #[traced]
    async fn nothing() {}

    #[traced]
    async fn unit() {
        pause().await;
    }

    #[traced]
    async fn patterns((a, b): (u32, u32), [first, ..]: [u32; 3], mut sum: u32, _: String) -> u32 {
        sum += a;
        pause().await;
        sum + b + first
    }

    #[traced]
    async fn generic<'a, T, const N: usize>(items: &'a [T; N], other: &'a T) -> &'a T
    where
        T: PartialOrd + Sync,
    {
        pause().await;
        items.iter().fold(other, |a, b| if a > b { a } else { b })
    }

    #[traced]
    async fn argument(text: impl Display + Send, each: impl Fn(&str) -> usize) -> usize {
        pause().await;
        each(&text.to_string())
    }

    #[traced]
    async fn elided(text: &str, _other: u8) -> usize {
        pause().await;
        text.len()
    }

    #[traced]
    async fn borrowed(text: &str) -> &str {
        pause().await;
        text.trim()
    }

    #[traced]
    async unsafe fn not_safe(value: &[u32], index: usize) -> u32 {
        pause().await;
        // SAFETY: the caller's index is within bounds.
        unsafe { *value.get_unchecked(index) }
    }

    #[traced]
    async extern "Rust" fn with_abi(value: u32) -> u32 {
        pause().await;
        value
    }

    #[expect(improper_ctypes_definitions, reason = "a future has no layout in C")]
    #[traced]
    async unsafe extern "C" fn not_safe_with_abi(value: u32) -> u32 {
        pause().await;
        value
    }

    /// Keeps what is written above it.
    #[must_use = "it is only computed"]
    #[traced]
    #[inline]
    async fn attributes(value: u32) -> u32 {
        #![expect(non_snake_case, reason = "an attribute inside the function")]
        let Value = value;
        pause().await;
        Value
    }

    #[traced]
    async fn conditional(#[cfg(not(test))] missing: Missing, #[cfg(test)] value: u32) -> u32 {
        pause().await;
        value
    }

    #[traced]
    async fn items() -> u32 {
        use std::mem::size_of;
        const fn double(value: u32) -> u32 {
            value * 2
        }
        const SIZE: usize = size_of::<u16>();
        pause().await;
        double(u32::try_from(SIZE).unwrap_or_default())
    }

    #[traced]
    async fn nested() -> u32 {
        #[traced]
        async fn inner() -> u32 {
            pause().await;
            4
        }
        inner().await
    }

    #[traced]
    async fn recursive(depth: u32) -> u32 {
        if depth == 0 {
            return 0;
        }
        pause().await;
        Box::pin(recursive(depth - 1)).await + 1
    }

    #[traced]
    async fn control_flow(limit: u32) -> u32 {
        let mut sum = 0;
        'outer: loop {
            for i in 0.. {
                if sum > limit {
                    break 'outer;
                }
                if i == 3 {
                    continue 'outer;
                }
                sum += i;
                pause().await;
            }
        }
        if sum.is_multiple_of(2) {
            return sum;
        }
        sum + 1
    }

    #[traced]
    async fn never() -> ! {
        loop {
            pause().await;
        }
    }

    #[test]
    fn run() {
        block_on(async {
            nothing().await;
            unit().await;
            assert_eq!(patterns((1, 2), [3, 0, 0], 4, String::new()).await, 10);
            assert_eq!(*generic(&[1, 5, 2], &3).await, 5);
            assert_eq!(argument(12, str::len).await, 2);
            assert_eq!(elided("abc", 0).await, 3);
            assert_eq!(borrowed(" abc ").await, "abc");
            // SAFETY: the index is within bounds.
            assert_eq!(unsafe { not_safe(&[6, 7], 1) }.await, 7);
            assert_eq!(with_abi(8).await, 8);
            // SAFETY: there is nothing unsafe in it.
            assert_eq!(unsafe { not_safe_with_abi(9) }.await, 9);
            assert_eq!(attributes(10).await, 10);
            assert_eq!(conditional(11).await, 11);
            assert_eq!(items().await, 4);
            assert_eq!(nested().await, 4);
            assert_eq!(recursive(50).await, 50);
            assert_eq!(control_flow(5).await, 6);
            assert_eq!(never().now_or_never().map(|never| never), None);
        });
    }
}

mod methods {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Counter<T>(T);

    impl<T: Clone + Debug + Send + Sync> Counter<T> {
        #[traced]
        async fn new(value: T) -> Self {
            pause().await;
            Self(value)
        }

        #[traced]
        async fn by_ref(&self) -> &T {
            pause().await;
            &self.0
        }

        #[traced]
        async fn by_mut(&mut self, value: T) -> &mut Self {
            pause().await;
            self.0 = value;
            self
        }

        #[traced]
        async fn by_value(mut self, value: T) -> Self {
            self.0 = value;
            pause().await;
            self
        }

        #[traced]
        async fn boxed(self: Box<Self>) -> T {
            pause().await;
            self.0
        }

        #[traced]
        async fn shared(self: Arc<Self>) -> T {
            pause().await;
            self.0.clone()
        }

        #[traced]
        async fn pinned(self: Pin<&mut Self>) -> T
        where
            T: Unpin,
        {
            pause().await;
            self.get_mut().0.clone()
        }
    }

    #[test]
    fn run() {
        block_on(async {
            let mut counter = Counter::new(1).await;
            assert_eq!(*counter.by_ref().await, 1);
            assert_eq!(counter.by_mut(2).await.0, 2);
            assert_eq!(counter.clone().by_value(3).await, Counter(3));
            assert_eq!(Box::new(counter.clone()).boxed().await, 2);
            assert_eq!(Arc::new(counter.clone()).shared().await, 2);
            assert_eq!(Pin::new(&mut counter).pinned().await, 2);
        });
    }
}

mod traits {
    use super::*;

    trait Source {
        type Item<'a>: Debug
        where
            Self: 'a;

        async fn next(&mut self) -> Option<Self::Item<'_>>;

        #[traced]
        async fn count(&mut self) -> usize {
            let mut count = 0;
            while self.next().await.is_some() {
                count += 1;
            }
            count
        }

        #[traced]
        async fn zero() -> u32
        where
            Self: Sized,
        {
            pause().await;
            0
        }
    }

    struct Words<'a>(std::str::SplitWhitespace<'a>);

    impl Source for Words<'_> {
        type Item<'b>
            = &'b str
        where
            Self: 'b;

        #[traced]
        async fn next(&mut self) -> Option<Self::Item<'_>> {
            pause().await;
            self.0.next()
        }
    }

    #[test]
    fn run() {
        let mut words = Words("a b c".split_whitespace());
        assert_eq!(block_on(words.next()), Some("a"));
        assert_eq!(block_on(words.count()), 2);
        assert_eq!(block_on(Words::zero()), 0);
    }
}

/// Functions whose future is an `async` block.
mod blocks {
    use super::*;

    #[traced]
    fn unboxed(value: &u32) -> impl Future<Output = u32> {
        let value = value + 1;
        async move {
            pause().await;
            value
        }
    }

    #[traced]
    fn boxed(value: &u32) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
        let one = 1;
        Box::pin(async move {
            pause().await;
            value + one
        })
    }

    #[traced]
    fn boxed_by_path() -> Pin<Box<dyn Future<Output = u32>>> {
        ::std::boxed::Box::pin(async { 1 })
    }

    #[test]
    fn run() {
        assert_eq!(block_on(unboxed(&1)), 2);
        assert_eq!(block_on(boxed(&1)), 2);
        assert_eq!(block_on(boxed_by_path()), 1);
    }
}

/// Functions that a `macro_rules!` macro writes.
mod macros {
    use super::*;

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
    fn run() {
        assert_eq!(block_on(parts()), 1);
        assert_eq!(block_on(whole()), 2);
        assert_eq!(block_on(arguments()), 3);
        assert_eq!(probe::entered()[0].name, Some("from a macro"));
        assert_eq!(block_on(macro_as_type()).to_string(), "4");
    }
}

/// What the return type tells the compiler about the body.
mod inference {
    use super::*;

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

    #[traced]
    async fn question_mark(text: &str) -> Result<u8> {
        let parsed = text.parse()?;
        pause().await;
        if parsed > 100 {
            return Err("too large".into());
        }
        if parsed > 50 {
            return Err(Box::new(std::fmt::Error));
        }
        Ok(parsed)
    }

    #[traced]
    async fn collected(text: &str) -> std::result::Result<Vec<u8>, ParseIntError> {
        pause().await;
        text.split(' ').map(str::parse).collect()
    }

    #[traced]
    async fn trait_object(first: bool) -> Box<dyn Debug> {
        pause().await;
        if first {
            return Box::new(1);
        }
        Box::new("two")
    }

    #[traced]
    async fn closure() -> Box<dyn Fn(&str) -> usize> {
        pause().await;
        Box::new(|text| text.trim().len())
    }

    #[traced]
    async fn slice() -> &'static [u8] {
        pause().await;
        &[1, 2, 3]
    }

    #[traced]
    async fn function() -> fn(u32) -> u32 {
        pause().await;
        |value| value + 1
    }

    #[traced]
    async fn default<T: Default>() -> T {
        pause().await;
        Default::default()
    }

    #[traced]
    async fn opaque(text: &str) -> impl Iterator<Item = u8> + use<'_> {
        pause().await;
        text.bytes().rev()
    }

    #[traced]
    async fn opaque_inside(text: &str) -> Result<(impl Iterator<Item = u8>, u64)> {
        pause().await;
        let number = text.parse()?;
        if number == 0 {
            return Err(Box::new(std::fmt::Error));
        }
        Ok((text.bytes(), number))
    }

    #[test]
    fn run() {
        block_on(async {
            assert_eq!(question_mark("12").await.ok(), Some(12));
            assert!(question_mark("x").await.is_err());
            assert_eq!(
                question_mark("101").await.unwrap_err().to_string(),
                "too large"
            );
            assert!(
                question_mark("60")
                    .await
                    .unwrap_err()
                    .is::<std::fmt::Error>()
            );
            assert_eq!(collected("1 2").await, Ok(vec![1, 2]));
            assert_eq!(format!("{:?}", trait_object(true).await), "1");
            assert_eq!(format!("{:?}", trait_object(false).await), "\"two\"");
            assert_eq!(closure().await("abc"), 3);
            assert_eq!(slice().await, [1, 2, 3]);
            assert_eq!(function().await(1), 2);
            assert_eq!(default::<u8>().await, 0);
            assert_eq!(opaque("ab").await.collect::<Vec<_>>(), b"ba");
            let (bytes, number) = opaque_inside("12").await.expect("a number");
            assert_eq!((bytes.collect::<Vec<_>>(), number), (b"12".to_vec(), 12));
            assert!(opaque_inside("0").await.is_err());
        });
    }
}

/// The future implements `Send` where it would without the attribute.
mod auto_traits {
    use super::*;

    const fn require_send<T: Send>(future: T) -> T {
        future
    }

    #[traced]
    async fn sent<T>(value: T, borrowed: &T) -> T
    where
        T: Send + Sync,
    {
        let _: &T = borrowed;
        pause().await;
        value
    }

    /// The argument is `Send` and not `Sync`: the future is `Send` only if it owns it.
    #[traced]
    async fn not_sync(cell: Cell<u32>) -> u32 {
        cell.set(cell.get() + 1);
        pause().await;
        cell.get()
    }

    #[traced]
    #[expect(clippy::future_not_send, reason = "it is the point")]
    async fn not_send(value: Rc<u32>) -> u32 {
        let other = Rc::clone(&value);
        pause().await;
        *other
    }

    #[traced]
    async fn recursive(depth: u32) -> u32 {
        if depth == 0 {
            return 0;
        }
        deeper(depth - 1).await + 1
    }

    fn deeper(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(recursive(depth))
    }

    #[test]
    fn run() {
        assert_eq!(block_on(require_send(sent(1, &2))), 1);
        assert_eq!(block_on(require_send(not_sync(Cell::new(1)))), 2);
        assert_eq!(block_on(not_send(Rc::new(3))), 3);
        assert_eq!(block_on(require_send(recursive(4))), 4);
    }
}

/// What the expansion says of the function to the runtime.
mod metadata {
    use super::*;

    #[traced(crate = probe)]
    async fn plain() {}

    #[traced(name = "a label", crate = "tasktrace_tests::probe")]
    async fn labelled() {}

    #[traced(crate = ::tasktrace_tests::probe,)]
    async fn absolute() {}

    #[traced(crate = self::probe)]
    /// Between the attribute and the function.
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

    #[test]
    fn names() {
        block_on(async {
            plain().await;
            labelled().await;
            absolute().await;
            Type.method().await;
        });
        let [plain, labelled, absolute, method] = probe::entered()[..] else {
            panic!("four functions were called");
        };
        let module = module_path!();
        assert_eq!(plain.kind, probe::Kind::Frame);
        assert_eq!(plain.name, None);
        assert_eq!(
            plain.path,
            format!("{module}::plain::{{{{closure}}}}::here")
        );
        assert_eq!(labelled.name, Some("a label"));
        assert_eq!(
            absolute.path,
            format!("{module}::absolute::{{{{closure}}}}::here")
        );
        assert_eq!(
            method.path,
            format!("<{module}::Type as {module}::Trait>::method::{{{{closure}}}}::here"),
        );
    }

    /// The place is that of the function, wherever the attribute is.
    #[test]
    fn places() {
        #[rustfmt::skip]
        let (function, line) = {
            #[traced(crate = probe)]
            // A comment.

            #[must_use]
            async fn function() -> u32 { 1 }
            (function(), line!() - 1)
        };
        block_on(async {
            assert_eq!(function.await, 1);
            far_below().await;
        });
        let [function, far_below] = probe::entered()[..] else {
            panic!("two functions were called");
        };
        assert_eq!(function.place, (file!(), line, 19));
        assert!(far_below.place.1 < line);
    }
}

/// An allocator that counts, for this thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: `System` does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

mod cost {
    use super::*;

    async fn untraced(text: &str, number: u32) -> String {
        pause().await;
        format!("{text}{number}")
    }

    #[traced(crate = probe)]
    async fn traced(text: &str, number: u32) -> String {
        pause().await;
        format!("{text}{number}")
    }

    fn allocations<T>(future: impl Future<Output = T>) -> usize {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let before = ALLOCATIONS.get();
        while future.as_mut().poll(&mut context).is_pending() {}
        ALLOCATIONS.get() - before
    }

    #[test]
    fn no_allocation_is_added() {
        // The probe's list of calls has room for the second call after the first one.
        allocations(traced("warm", 1));
        assert_eq!(allocations(traced("up", 2)), allocations(untraced("up", 2)));
        assert_eq!(probe::entered().len(), 2);
    }
}

mod drop_order {
    use super::*;

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

    #[traced]
    async fn traced(first: Noisy, second: Noisy, _: Noisy, _unused: Noisy) {
        let _local = Noisy("local");
        pause().await;
        let _: (&Noisy, &Noisy) = (&second, &first);
    }

    macro_rules! call {
        ($function:ident) => {
            $function(Noisy("first"), Noisy("second"), Noisy("_"), Noisy("unused"))
        };
    }

    /// Locals first and arguments after them, as ever. Among the arguments, those that the body
    /// names are dropped with it, in the order in which it names them, and the others follow.
    #[test]
    fn completed() {
        block_on(call!(untraced));
        assert_eq!(DROPPED.take(), ["local", "unused", "_", "second", "first"]);
        block_on(call!(traced));
        assert_eq!(DROPPED.take(), ["local", "second", "first", "unused", "_"]);
    }

    #[test]
    fn cancelled() {
        assert!(call!(untraced).now_or_never().is_none());
        assert_eq!(DROPPED.take(), ["local", "unused", "_", "second", "first"]);
        assert!(call!(traced).now_or_never().is_none());
        assert_eq!(DROPPED.take(), ["local", "second", "first", "unused", "_"]);
    }

    #[test]
    fn never_polled() {
        drop(call!(untraced));
        let untraced = DROPPED.take();
        drop(call!(traced));
        assert_eq!(DROPPED.take(), untraced);
    }
}
