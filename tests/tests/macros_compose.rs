//! The attributes beside those of tokio, tracing and async-trait, in either order.
#![deny(warnings, clippy::all, clippy::pedantic)]

use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use tasktrace::traced;
use tasktrace_tests::probe::{self, Kind};
use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::instrument;
use tracing_subscriber::Registry;

fn frame(name: &str) -> (Kind, String) {
    (Kind::Frame, name.to_owned())
}

fn task(name: &str) -> (Kind, String) {
    (Kind::Task, name.to_owned())
}

/// The name of the `tracing` span that is entered after the task was suspended.
async fn span_after_a_pause() -> Option<&'static str> {
    tokio::task::yield_now().await;
    tracing::Span::current()
        .metadata()
        .map(tracing::Metadata::name)
}

mod tokio_attributes {
    use super::*;

    #[traced(crate = probe)]
    #[tokio::main]
    async fn above() -> Result<u32, std::num::ParseIntError> {
        tokio::task::yield_now().await;
        let number = "1".parse()?;
        Ok(number)
    }

    #[tokio::main]
    #[traced(crate = probe)]
    async fn below() -> Result<u32, std::num::ParseIntError> {
        tokio::task::yield_now().await;
        let number = "2".parse()?;
        Ok(number)
    }

    #[tokio::main(flavor = "current_thread")]
    #[traced(crate = probe)]
    async fn below_current_thread(argument: &str) -> usize {
        tokio::task::yield_now().await;
        argument.len()
    }

    #[test]
    fn main() {
        assert_eq!(above(), Ok(1));
        assert_eq!(below(), Ok(2));
        assert_eq!(below_current_thread("abc"), 3);
        assert_eq!(
            probe::names(),
            [
                frame("above"),
                frame("below"),
                frame("below_current_thread")
            ]
        );
    }

    #[traced(crate = probe)]
    #[tokio::test]
    async fn test_above() {
        tokio::task::yield_now().await;
        assert_eq!(probe::names(), [frame("test_above")]);
    }

    #[tokio::test]
    #[traced(crate = probe)]
    async fn test_below() {
        tokio::task::yield_now().await;
        assert_eq!(probe::names(), [frame("test_below")]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    #[traced(crate = probe)]
    async fn test_below_multi_thread() -> Result<(), std::num::ParseIntError> {
        tokio::task::yield_now().await;
        let _: u32 = "1".parse()?;
        assert_eq!(probe::names(), [frame("test_below_multi_thread")]);
        Ok(())
    }
}

/// As the attributes of other runtimes leave an `async fn`, with `#[traced]` below them.
mod other_runtimes {
    use super::*;

    /// A runtime that counts the futures that it has been given.
    struct System(Cell<Box<u32>>);

    impl System {
        fn new() -> Self {
            Self(Cell::default())
        }

        fn block_on<F: Future>(&self, future: F) -> F::Output {
            futures::executor::block_on(self.run(future))
        }

        fn run<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
            self.0.set(Box::new(*self.0.take() + 1));
            future
        }
    }

    fn test_block_on<F: Future>(future: F) -> F::Output {
        System::new().block_on(future)
    }

    fn run_test<F: Future>(test: fn(u32) -> F, argument: u32) -> F::Output {
        System::new().block_on(test(argument))
    }

    /// As `actix_web::main`, `ntex::main` and `compio::main`.
    #[traced(crate = probe)]
    fn method() -> Result<u32, std::num::ParseIntError> {
        <System>::new().block_on(async move {
            {
                std::future::ready(()).await;
                let number = "1".parse()?;
                Ok(number)
            }
        })
    }

    /// As `#[sqlx::test]` and `#[async_std::test]`.
    #[traced("{text}", crate = probe)]
    fn function(text: &str) -> usize {
        self::test_block_on(async { text.len() })
    }

    /// As `#[sqlx::test]` with a pool.
    #[traced("argument {argument}", crate = probe)]
    fn inner_function() -> u32 {
        async fn inner_function(argument: u32) -> u32 {
            std::future::ready(argument).await
        }

        let argument = 3;
        let test: fn(_) -> _ = inner_function;
        run_test(test, argument)
    }

    #[traced(crate = probe)]
    fn variable() -> u32 {
        let system = System::new();
        let main = async move { std::future::ready(4).await };
        let output = system.block_on(main);
        drop(system);
        output
    }

    /// As `smol_macros::main`.
    macro_rules! smol_main {
        (
            $(#[$attr:meta])*
            async fn $name:ident ($ex:ident : &$ty:ty) -> $output:ty $block:block
        ) => {
            $(#[$attr])*
            fn $name() -> $output {
                (|ex: &$ty| {
                    test_block_on(ex.run(async move {
                        let $ex = ex;
                        $block
                    }))
                })(&<$ty>::new())
            }
        };
    }

    smol_main! {
        #[traced(crate = probe)]
        async fn executor(ex: &System) -> u32 {
            ex.run(async { 5 }).await
        }
    }

    /// What is run on the way is not the future that is returned.
    #[traced(crate = probe)]
    fn returns_another() -> impl Future<Output = u32> {
        let ran = System::new().run(async { 6 });
        async_from(ran)
    }

    async fn async_from(future: impl Future<Output = u32>) -> u32 {
        std::future::ready(()).await;
        future.await
    }

    #[test]
    fn all() {
        assert_eq!(method(), Ok(1));
        assert_eq!(function("ab"), 2);
        assert_eq!(inner_function(), 3);
        assert_eq!(variable(), 4);
        assert_eq!(executor(), 5);
        assert_eq!(futures::executor::block_on(returns_another()), 6);
        let names = [
            "method",
            "function",
            "inner_function",
            "variable",
            "executor",
            "returns_another",
        ];
        assert_eq!(probe::names(), names.map(frame));
        assert_eq!(probe::labels(), ["ab", "argument 3"]);
    }
}

mod instrumented {
    use super::*;

    #[instrument]
    #[traced(crate = probe)]
    async fn above(value: u32) -> Option<&'static str> {
        span_after_a_pause().await
    }

    #[traced(crate = probe)]
    #[instrument(ret)]
    async fn below(value: u32) -> Option<&'static str> {
        span_after_a_pause().await
    }

    struct Type(u32);

    impl Type {
        #[instrument(skip(self), fields(number = self.0), err)]
        #[traced(crate = probe)]
        async fn method_above(&self) -> Result<&'static str, std::fmt::Error> {
            span_after_a_pause().await.ok_or(std::fmt::Error)
        }

        #[traced(crate = probe)]
        #[instrument(skip(self), fields(number = self.0))]
        async fn method_below(&mut self) -> Option<&'static str> {
            self.0 += 1;
            span_after_a_pause().await
        }
    }

    #[tokio::main]
    #[instrument(err)]
    #[traced(crate = probe)]
    async fn between_main_and_traced() -> Result<&'static str, std::fmt::Error> {
        span_after_a_pause().await.ok_or(std::fmt::Error)
    }

    #[test]
    fn functions_and_methods() {
        let _guard = tracing::subscriber::set_default(Registry::default());
        futures::executor::block_on(async {
            assert_eq!(above(1).await, Some("above"));
            assert_eq!(below(1).await, Some("below"));
            let mut value = Type(1);
            assert_eq!(value.method_above().await, Ok("method_above"));
            assert_eq!(value.method_below().await, Some("method_below"));
        });
        assert_eq!(
            probe::names(),
            [
                frame("above"),
                frame("below"),
                frame("method_above"),
                frame("method_below"),
            ]
        );
        assert_eq!(between_main_and_traced(), Ok("between_main_and_traced"));
        assert_eq!(probe::names(), [frame("between_main_and_traced")]);
    }
}

mod async_traits {
    use super::*;

    #[async_trait]
    trait Service<T: Sync> {
        /// Has no body.
        async fn call(&self, argument: &T) -> Option<&'static str>;

        #[traced(crate = probe)]
        async fn provided(&self, argument: &T) -> Option<&'static str> {
            self.call(argument).await
        }

        #[traced(crate = probe)]
        async fn associated(value: T) -> T
        where
            T: Send + 'static,
        {
            tokio::task::yield_now().await;
            value
        }

        #[instrument(skip_all)]
        #[traced(crate = probe)]
        async fn above(&self) -> Option<&'static str> {
            span_after_a_pause().await
        }

        #[traced(crate = probe)]
        #[instrument(skip_all)]
        async fn below(&self) -> Option<&'static str> {
            span_after_a_pause().await
        }
    }

    struct Type;

    #[async_trait]
    impl<T: Sync> Service<T> for Type {
        /// With attributes around it.
        #[traced(crate = probe)]
        #[inline]
        async fn call(&self, _argument: &T) -> Option<&'static str> {
            if std::mem::size_of::<T>() == 0 {
                return None;
            }
            span_after_a_pause().await.or(Some("none"))
        }
    }

    #[async_trait(?Send)]
    trait Local {
        async fn number(&self) -> Result<u32, Box<dyn std::error::Error>>;
    }

    #[async_trait(?Send)]
    impl Local for std::rc::Rc<str> {
        #[traced(crate = probe)]
        async fn number(&self) -> Result<u32, Box<dyn std::error::Error>> {
            let number = self.parse()?;
            tokio::task::yield_now().await;
            Ok(number)
        }
    }

    #[test]
    fn methods() {
        let _guard = tracing::subscriber::set_default(Registry::default());
        futures::executor::block_on(async {
            assert_eq!(Type.provided(&1).await, Some("none"));
            assert_eq!(Type.call(&()).await, None);
            assert_eq!(<Type as Service<u32>>::associated(3).await, 3);
            assert_eq!(Service::<u32>::above(&Type).await, Some("above"));
            assert_eq!(Service::<u32>::below(&Type).await, Some("below"));
            let local: std::rc::Rc<str> = "4".into();
            assert_eq!(local.number().await.ok(), Some(4));
        });
        assert_eq!(
            probe::names(),
            [
                frame("provided"),
                frame("call"),
                frame("call"),
                frame("associated"),
                frame("above"),
                frame("below"),
                frame("number"),
            ]
        );
    }

    /// The trait object is still `Send`.
    #[test]
    fn send() {
        fn require_send<T: Send>(_: &T) {}
        let object: &dyn Object = &Type;
        require_send(&object.boxed());
    }

    #[async_trait]
    trait Object {
        async fn boxed(&self);
    }

    #[async_trait]
    impl Object for Type {
        #[traced]
        async fn boxed(&self) {
            tokio::task::yield_now().await;
        }
    }
}

/// Labels that name arguments which the other attribute moves.
mod labels {
    use super::*;

    /// Neither copied nor borrowed.
    struct Peer(String);

    #[traced("{} {id}", peer.0, wait_limit = "1s", crate = probe)]
    #[tokio::main]
    async fn tokio_above(peer: Peer, id: u32) -> Peer {
        tokio::task::yield_now().await;
        let _: u32 = id;
        peer
    }

    #[tokio::main]
    #[traced("{} {id}", peer.0, crate = probe)]
    async fn tokio_below(peer: Peer, id: u32) -> Peer {
        tokio::task::yield_now().await;
        let _: u32 = id;
        peer
    }

    #[instrument(skip(peer))]
    #[traced("{} {id}", peer.0, crate = probe)]
    async fn instrument_above(peer: Peer, id: u32) -> Option<&'static str> {
        drop(peer);
        span_after_a_pause().await
    }

    #[traced("{} {id}", peer.0, crate = probe, wait_limit = "2s")]
    #[instrument(skip(peer))]
    async fn instrument_below(peer: Peer, id: u32) -> Option<&'static str> {
        drop(peer);
        span_after_a_pause().await
    }

    #[traced("{} {id}", peer.0, crate = probe)]
    #[tasktrace::main(block_on = futures::executor::block_on)]
    async fn main_below(peer: Peer, id: u32) -> usize {
        peer.0.len() + usize::try_from(id).unwrap_or_default()
    }

    #[tasktrace::main]
    #[traced("{} {id}", peer.0, crate = probe)]
    async fn main_above(peer: Peer, id: u32) -> usize {
        peer.0.len() + usize::try_from(id).unwrap_or_default()
    }

    fn peer() -> Peer {
        Peer("::1".to_owned())
    }

    #[test]
    fn functions() {
        assert_eq!(tokio_above(peer(), 1).0, "::1");
        assert_eq!(tokio_below(peer(), 2).0, "::1");
        let _guard = tracing::subscriber::set_default(Registry::default());
        futures::executor::block_on(async {
            assert_eq!(instrument_above(peer(), 3).await, Some("instrument_above"));
            assert_eq!(instrument_below(peer(), 4).await, Some("instrument_below"));
        });
        assert_eq!(main_below(peer(), 5), 8);
        assert_eq!(main_above(peer(), 6), 9);
        assert_eq!(
            probe::labels(),
            ["::1 1", "::1 2", "::1 3", "::1 4", "::1 5", "::1 6"]
        );
        assert_eq!(
            probe::limits(),
            [Duration::from_secs(1), Duration::from_secs(2)]
        );
    }

    #[async_trait]
    trait Service {
        async fn by_ref(&self, text: &str) -> Option<&'static str>;
        async fn by_mut(&mut self, text: String) -> usize;
        async fn by_value(self, mut items: Vec<u32>) -> Vec<u32>;

        #[traced("{value} in {}", std::any::type_name::<Self>(), crate = probe, wait_limit = "3s")]
        async fn provided(value: u32) -> u32 {
            tokio::task::yield_now().await;
            value
        }
    }

    #[async_trait]
    impl Service for Peer {
        #[instrument(skip_all)]
        #[traced("{} {text}", self.0, crate = probe)]
        async fn by_ref(&self, text: &str) -> Option<&'static str> {
            span_after_a_pause().await
        }

        #[traced("{0} {text}", self.0, crate = probe)]
        #[instrument(skip_all)]
        async fn by_mut(&mut self, text: String) -> usize {
            tokio::task::yield_now().await;
            self.0 = text;
            self.0.len()
        }

        #[traced("{} {items:?}", self.0, crate = probe)]
        async fn by_value(self, mut items: Vec<u32>) -> Vec<u32> {
            tokio::task::yield_now().await;
            items.push(1);
            items
        }
    }

    #[test]
    fn async_traits() {
        let _guard = tracing::subscriber::set_default(Registry::default());
        futures::executor::block_on(async {
            assert_eq!(peer().by_ref("a").await, Some("by_ref"));
            assert_eq!(peer().by_mut("b".to_owned()).await, 1);
            assert_eq!(peer().by_value(vec![0]).await, [0, 1]);
            assert_eq!(<Peer as Service>::provided(2).await, 2);
        });
        let provided = format!("2 in {}", std::any::type_name::<Peer>());
        assert_eq!(
            probe::labels(),
            ["::1 a", "::1 b", "::1 [0]", provided.as_str()]
        );
        assert_eq!(probe::limits(), [Duration::from_secs(3)]);
    }
}

/// Containers, beside attributes on them and on what is in them.
mod containers {
    use super::*;

    #[async_trait]
    #[traced(crate = probe)]
    trait AboveTrait: Sync {
        async fn required(&self) -> u32;

        async fn provided(&self) -> u32 {
            tokio::task::yield_now().await;
            self.required().await
        }

        #[traced(skip)]
        async fn skipped(&self) -> u32 {
            self.required().await
        }

        /// Looks like an async fn that was expanded, and is not one.
        fn boxed(&self) -> futures::future::BoxFuture<'_, u32> {
            Box::pin(async move { self.required().await })
        }
    }

    #[traced(crate = probe)]
    #[async_trait]
    trait BelowTrait: Sync {
        async fn provided(&mut self, text: &str) -> Option<&'static str>
        where
            Self: Send,
        {
            let _: usize = text.len();
            span_after_a_pause().await
        }

        #[traced("{text}")]
        async fn labelled(&self, text: &str) -> Result<u32, std::num::ParseIntError> {
            let number = text.parse()?;
            tokio::task::yield_now().await;
            Ok(number)
        }
    }

    struct Type(u32);

    #[traced(crate = probe)]
    #[async_trait]
    impl AboveTrait for Type {
        async fn required(&self) -> u32 {
            tokio::task::yield_now().await;
            self.0
        }
    }

    #[async_trait]
    #[traced(crate = probe)]
    impl BelowTrait for Type {
        #[instrument(skip_all)]
        async fn provided(&mut self, _text: &str) -> Option<&'static str>
        where
            Self: Send,
        {
            span_after_a_pause().await
        }
    }

    struct Provided;

    impl BelowTrait for Provided {}

    #[traced(crate = probe)]
    impl Type {
        #[instrument(skip_all)]
        async fn instrumented(&self) -> Option<&'static str> {
            span_after_a_pause().await
        }
    }

    #[test]
    fn names() {
        let _guard = tracing::subscriber::set_default(Registry::default());
        futures::executor::block_on(async {
            let mut value = Type(1);
            assert_eq!(AboveTrait::provided(&value).await, 1);
            assert_eq!(value.skipped().await + value.boxed().await, 2);
            assert_eq!(
                BelowTrait::provided(&mut value, "a").await,
                Some("provided")
            );
            assert_eq!(BelowTrait::provided(&mut Provided, "a").await, None);
            assert_eq!(value.labelled("2").await, Ok(2));
            assert_eq!(value.instrumented().await, Some("instrumented"));
        });
        assert_eq!(
            probe::names(),
            [
                frame("provided"),
                frame("required"),
                frame("required"),
                frame("required"),
                frame("provided"),
                frame("provided"),
                frame("labelled"),
                frame("instrumented"),
            ]
        );
        assert_eq!(probe::labels(), ["2"]);
    }
}

/// Functions that return a future, and are instrumented.
mod returning {
    use super::*;
    use futures::future::BoxFuture;

    #[instrument]
    #[traced("{value}", crate = probe)]
    fn above(value: u32) -> BoxFuture<'static, u32> {
        if value == 0 {
            return Box::pin(std::future::ready(0));
        }
        Box::pin(async move { value })
    }

    #[traced("{value}", crate = probe)]
    #[instrument]
    fn below(value: u32) -> impl Future<Output = u32> {
        std::future::ready(value)
    }

    #[test]
    fn either_order() {
        let _guard = tracing::subscriber::set_default(Registry::default());
        futures::executor::block_on(async {
            assert_eq!((above(0).await, above(1).await), (0, 1));
            assert_eq!(below(2).await, 2);
        });
        assert_eq!(probe::labels(), ["0", "1", "2"]);
    }
}

/// `#[tasktrace::main]` and `#[tasktrace::test]` on tokio.
mod on_tokio {
    use super::*;

    fn flavor() -> (RuntimeFlavor, usize) {
        let runtime = Handle::current();
        (runtime.runtime_flavor(), runtime.metrics().num_workers())
    }

    #[tasktrace::main(tasktrace = probe)]
    async fn default_main() -> (RuntimeFlavor, usize) {
        flavor()
    }

    #[tasktrace::main(flavor = "multi_thread", worker_threads = 3, tasktrace = probe)]
    async fn three_workers() -> (RuntimeFlavor, usize) {
        flavor()
    }

    #[tasktrace::main(flavor = "current_thread", start_paused = true)]
    async fn paused(duration: Duration) -> Duration {
        let start = tokio::time::Instant::now();
        tokio::time::sleep(duration).await;
        start.elapsed()
    }

    mod re {
        pub(super) use tokio as export;
    }

    #[tasktrace::main(crate = "re::export", flavor = "current_thread")]
    async fn renamed_in_a_string() -> (RuntimeFlavor, usize) {
        flavor()
    }

    #[tasktrace::main(flavor = "current_thread", crate = re::export)]
    async fn renamed() -> (RuntimeFlavor, usize) {
        flavor()
    }

    #[test]
    fn arguments_of_tokio() {
        let (multi_thread, workers) = default_main();
        assert_eq!(multi_thread, RuntimeFlavor::MultiThread);
        assert_eq!((multi_thread, workers), tokio_default());
        assert_eq!(three_workers(), (RuntimeFlavor::MultiThread, 3));
        assert_eq!(
            probe::names(),
            [task("default_main"), task("three_workers")]
        );

        // A day: only on a paused clock does this end.
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(paused(day) >= day);
        assert_eq!(renamed_in_a_string(), (RuntimeFlavor::CurrentThread, 1));
        assert_eq!(renamed(), (RuntimeFlavor::CurrentThread, 1));
    }

    #[tokio::main]
    async fn tokio_default() -> (RuntimeFlavor, usize) {
        flavor()
    }

    #[tasktrace::test(tasktrace = probe)]
    async fn default_test() {
        assert_eq!(flavor(), (RuntimeFlavor::CurrentThread, 1));
        assert_eq!(probe::names(), [task("default_test")]);
    }

    #[tasktrace::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_workers() -> Result<(), std::num::ParseIntError> {
        assert_eq!(flavor(), (RuntimeFlavor::MultiThread, 2));
        let _: u32 = "1".parse()?;
        Ok(())
    }

    /// A test with attributes.
    #[tasktrace::test(start_paused = true)]
    #[should_panic(expected = "after a day")]
    #[cfg(test)]
    async fn attributes() {
        tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
        panic!("after a day");
    }

    #[cfg(not(test))]
    #[tasktrace::test]
    async fn not_compiled() {
        missing()
    }
}

/// The same on another executor.
mod on_another_executor {
    use super::*;

    #[tasktrace::main(block_on = futures::executor::block_on, tasktrace = probe)]
    async fn by_path() -> bool {
        Handle::try_current().is_err()
    }

    #[tasktrace::main(block_on = "futures::executor::block_on")]
    async fn by_path_in_a_string() -> bool {
        Handle::try_current().is_err()
    }

    fn on_a_thread<T: Send>(future: impl Future<Output = T> + Send) -> T {
        let run = || futures::executor::block_on(future);
        std::thread::scope(|scope| scope.spawn(run).join().expect("it does not panic"))
    }

    #[tasktrace::main(block_on = on_a_thread)]
    async fn borrowing(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn main() {
        assert!(by_path());
        assert_eq!(probe::names(), [task("by_path")]);
        assert!(by_path_in_a_string());
        assert_eq!(borrowing("abc"), "abc");
    }

    #[tasktrace::test(block_on = futures::executor::block_on, tasktrace = probe)]
    async fn test() -> Result<(), std::num::ParseIntError> {
        assert!(Handle::try_current().is_err());
        assert_eq!(probe::names(), [task("test")]);
        let _: u32 = "1".parse()?;
        Ok(())
    }

    #[tasktrace::test(block_on = futures::executor::block_on)]
    #[should_panic(expected = "in the test")]
    async fn attributes() {
        panic!("in the test");
    }
}

/// What the body returns is what the function returns.
mod outputs {
    use super::*;

    type Error = Box<dyn std::error::Error>;

    #[tasktrace::main(flavor = "current_thread")]
    async fn result(text: &str) -> Result<u8, Error> {
        let number: u8 = text.parse()?;
        if number > 100 {
            return Err("too large".into());
        }
        Ok(number)
    }

    #[tasktrace::main]
    async fn exit_code(code: u8) -> ExitCode {
        ExitCode::from(code)
    }

    #[tasktrace::main]
    async fn opaque() -> impl std::process::Termination + std::fmt::Debug {
        ExitCode::from(7)
    }

    #[tasktrace::main(block_on = futures::executor::block_on)]
    async fn opaque_on_another_executor() -> impl std::process::Termination + std::fmt::Debug {
        ExitCode::from(7)
    }

    #[test]
    fn returned() {
        assert_eq!(result("1").ok(), Some(1));
        assert_eq!(result("101").unwrap_err().to_string(), "too large");
        assert!(result("x").unwrap_err().is::<std::num::ParseIntError>());
        assert_eq!(exit_code(7), ExitCode::from(7));
        let seven = format!("{:?}", ExitCode::from(7));
        assert_eq!(format!("{:?}", opaque()), seven);
        assert_eq!(format!("{:?}", opaque_on_another_executor()), seven);
    }

    #[tasktrace::main(flavor = "current_thread")]
    async fn never() -> ! {
        panic!("the only way out")
    }

    #[test]
    #[should_panic(expected = "the only way out")]
    fn not_returned() {
        never()
    }
}

/// `#[traced]` beside `#[tasktrace::main]`: a frame in the task or around it.
mod both {
    use super::*;

    #[traced(crate = probe)]
    #[tasktrace::main(tasktrace = probe)]
    async fn above() {}

    #[tasktrace::main(tasktrace = probe)]
    #[traced(crate = probe)]
    async fn below() {}

    #[traced(crate = probe)]
    #[tasktrace::main(tasktrace = probe, block_on = futures::executor::block_on)]
    async fn above_block_on() {}

    #[tasktrace::main(tasktrace = probe, block_on = futures::executor::block_on)]
    #[traced(crate = probe)]
    async fn below_block_on() {}

    #[test]
    fn either_order() {
        above();
        assert_eq!(probe::names(), [task("above"), frame("above")]);
        below();
        assert_eq!(probe::names(), [frame("below"), task("below")]);
        above_block_on();
        assert_eq!(
            probe::names(),
            [task("above_block_on"), frame("above_block_on")]
        );
        below_block_on();
        assert_eq!(
            probe::names(),
            [frame("below_block_on"), task("below_block_on")]
        );
    }
}
