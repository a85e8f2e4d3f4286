//! Tests the steps of `#[tasktrace::main]` and `#[tasktrace::test]` around their task.
#![deny(
    warnings,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::panic,
    clippy::panic_in_result_fn
)]

use std::future::{pending, ready};
use std::num::ParseIntError;
use std::panic::{PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::process::ExitCode;
use std::sync::{Once, mpsc};

use futures::executor::{LocalPool, block_on};
use tasktrace::traced;
use tasktrace_tests::probe::{self, Kind};
use tracing::instrument;
use tracing_subscriber::Registry;

/// A value that notes its drop.
struct NotesDrop(&'static str);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        probe::step(self.0);
    }
}

/// Lets all threads of this process collect spans from now on. A subscriber of one thread would not do: the first thread
/// that reaches a span decides if it is wanted, and that may be the thread of another test.
fn collect_spans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Registry::default()).expect("it is the first");
    });
}

fn on_a_thread<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| block_on(future));
        thread.join().expect("it does not panic")
    })
}

/// A test counts as running from before its runtime is built until after the runtime has shut down.
mod running {
    use super::*;

    #[tasktrace::test(tasktrace = probe, timeout = "30s")]
    async fn on_tokio() {
        let _variable = NotesDrop("drop a variable");
        tokio::spawn(async {
            let _dropped = NotesDrop("shut down");
            pending::<()>().await;
        });
        tokio::task::yield_now().await;
        probe::step("body");
    }

    #[tasktrace::test(timeout = "1.5ms", block_on = block_on, tasktrace = probe)]
    async fn on_another_executor() {
        let _variable = NotesDrop("drop a variable");
        ready(()).await;
        probe::step("body");
    }

    /// The probe asserts that the library knows the test on that thread.
    #[tasktrace::test(timeout = "1m30s", block_on = on_a_thread, tasktrace = probe)]
    async fn on_another_thread() {
        assert_eq!(probe::steps(), [""; 0]);
    }

    #[tasktrace::test(flavor = "multi_thread", worker_threads = 2, timeout = "1h", tasktrace = probe)]
    async fn on_workers() {
        tokio::task::yield_now().await;
    }

    #[test]
    fn a_test_runs_from_before_its_runtime_until_after_the_shutdown() {
        on_tokio();
        let begin = "begin on_tokio Nanos(30000000000)";
        assert_eq!(
            probe::steps(),
            [
                begin,
                "body",
                "drop a variable",
                "shut down",
                "end on_tokio"
            ]
        );
        on_another_executor();
        let begin = "begin on_another_executor Nanos(1500000)";
        let end = "end on_another_executor";
        assert_eq!(probe::steps(), [begin, "body", "drop a variable", end]);
        on_another_thread();
        let begin = "begin on_another_thread Nanos(90000000000)";
        assert_eq!(probe::steps(), [begin, "end on_another_thread"]);
        on_workers();
        let begin = "begin on_workers Nanos(3600000000000)";
        assert_eq!(probe::steps(), [begin, "end on_workers"]);
    }

    #[tasktrace::test(timeout = "none", tasktrace = probe)]
    async fn unlimited() {
        assert_eq!(probe::steps(), ["begin unlimited None"]);
    }

    #[tasktrace::test(tasktrace = probe)]
    async fn unsaid() {
        assert_eq!(probe::steps(), ["begin unsaid Default"]);
    }

    #[tasktrace::test(tasktrace = probe, block_on = block_on)]
    async fn unsaid_on_another_executor() {
        let begin = "begin unsaid_on_another_executor Default";
        assert_eq!(probe::steps(), [begin]);
    }

    #[tasktrace::test(tasktrace = probe, timeout = "5s")]
    #[should_panic(expected = "on purpose")]
    async fn panics() {
        assert_eq!("on purpose", "");
    }

    #[tasktrace::test(tasktrace = probe, timeout = "5s", block_on = block_on)]
    #[should_panic(expected = "on purpose")]
    async fn panics_on_another_executor() {
        assert_eq!("on purpose", "");
    }

    #[test]
    fn a_panicking_test_ends() {
        assert!(catch_unwind(panics).is_err());
        let begin = "begin panics Nanos(5000000000)";
        let expects = "to panic: on purpose";
        assert_eq!(probe::steps(), [expects, begin, "end panics"]);
        assert!(catch_unwind(panics_on_another_executor).is_err());
        assert_eq!(probe::steps().len(), 3);
    }
}

/// The attributes, outputs and places of test functions.
mod forms {
    #![forbid(
        unreachable_code,
        unused_braces,
        unused_must_use,
        reason = "nothing is to be silenced by an `allow`"
    )]

    use super::*;

    /// Has documentation.
    #[tasktrace::test(timeout = "5s")]
    #[ignore = "it would fail"]
    async fn ignored() {
        assert!(ready(false).await);
    }

    #[tasktrace::test(timeout = "5s")]
    #[cfg(not(test))]
    async fn not_compiled() {
        missing()
    }

    #[tasktrace::test(timeout = "5s", tasktrace = probe)]
    #[cfg_attr(test, should_panic(expected = "on purpose"))]
    /// Documentation between the attributes and the function.
    async fn inner_attribute() {
        #![expect(clippy::bool_assert_comparison, reason = "an attribute inside")]
        assert_eq!(ready(false).await, true, "on purpose");
    }

    #[tasktrace::test(timeout = "5s", tasktrace = probe)]
    async fn result() -> Result<(), ParseIntError> {
        let number: u32 = ready("1").await.parse()?;
        if number == 1 {
            return Ok(());
        }
        "one".parse::<u32>().map(drop)
    }

    #[tasktrace::test(timeout = "5s", tasktrace = probe, block_on = block_on)]
    async fn result_on_another_executor() -> Result<(), Box<dyn std::error::Error>> {
        let number: u32 = ready("1").await.parse()?;
        if number == 2 {
            return Err("two".into());
        }
        Ok(())
    }

    #[tasktrace::test(timeout = "5s", tasktrace = probe)]
    async fn exit_code() -> ExitCode {
        ready(ExitCode::SUCCESS).await
    }

    #[tasktrace::test(timeout = "5s", tasktrace = probe, block_on = block_on)]
    async fn opaque() -> impl std::process::Termination {
        ready(ExitCode::SUCCESS).await
    }

    #[tasktrace::test(timeout = "5s", tasktrace = probe)]
    #[should_panic(expected = "on purpose")]
    async fn diverges() {
        loop {
            assert!(ready(false).await, "on purpose");
        }
    }

    mod re {
        pub(super) use tasktrace_tests::probe as export;
        pub(super) use tokio as runtime;
    }

    #[tasktrace::test(crate = re::runtime, timeout = "5s", tasktrace = "re::export")]
    async fn renamed() {
        assert_eq!(probe::steps().len(), 1);
    }

    mod by_a_macro {
        macro_rules! tests {
            ($($name:ident $timeout:literal $body:block)*) => {
                $(
                    #[tasktrace::test(timeout = $timeout, tasktrace = $crate::forms::re::export)]
                    async fn $name() $body

                    mod $name {
                        #[tasktrace::test(
                            timeout = $timeout,
                            dump_on_signal = "USR2",
                            tasktrace = crate::forms::re::export,
                            block_on = crate::block_on,
                        )]
                        async fn $name() $body
                    }
                )*
            };
        }

        tests! {
            first "1s" {
                assert_eq!(crate::probe::names().len(), 1);
            }
            second "none" {}
        }
    }

    #[test]
    fn tests_of_every_form_return_their_output() {
        assert_eq!(result(), Ok(()));
        assert!(result_on_another_executor().is_ok());
        assert_eq!(exit_code(), ExitCode::SUCCESS);
        let _: ExitCode = std::process::Termination::report(opaque());
        assert_eq!(probe::steps().len(), 8);
    }
}

/// A failure of a test from outside is a panic at the test itself.
mod failures {
    use super::*;

    /// Runs a test that fails from outside, and returns the message and the place of its panic.
    fn panic_of(test: fn()) -> (String, String) {
        let (sender, receiver) = mpsc::channel();
        let this = std::thread::current().id();
        let before = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if std::thread::current().id() != this {
                return before(info);
            }
            let message = info.payload().downcast_ref().cloned();
            let place = info.location().map(ToString::to_string);
            let _ = sender.send(message.zip(place));
        }));
        probe::fail("hangs");
        assert!(catch_unwind(test).is_err());
        drop(take_hook());
        let panic = receiver.recv().expect("it did panic");
        panic.expect("with a `String`, somewhere")
    }

    #[tasktrace::test(tasktrace = probe)]
    async fn on_tokio() {}
    const ON_TOKIO: u32 = line!() - 1;

    #[tasktrace::test(tasktrace = probe, timeout = "5s", block_on = block_on)]
    // A comment between attributes.
    #[should_panic = "on purpose"]
    async fn on_another_executor() {
        assert_eq!("on purpose", "");
    }
    const ON_ANOTHER_EXECUTOR: u32 = line!() - 3;

    #[test]
    fn a_failure_from_outside_panics_at_the_test() {
        let expected = |line: u32| ("hangs".to_owned(), format!("{}:{line}:11", file!()));
        assert_eq!(panic_of(on_tokio), expected(ON_TOKIO));
        assert_eq!(panic_of(on_another_executor), expected(ON_ANOTHER_EXECUTOR));
        // Both tests have ended. One of them has registered the panic that it expects.
        assert_eq!(probe::steps().len(), 5);
        assert_eq!(probe::names(), []);
    }
}

/// The attributes beside `#[traced]` and others that rewrite a function.
mod beside {
    use super::*;

    fn frame(name: &str) -> (Kind, String) {
        (Kind::Frame, name.to_owned())
    }

    fn task(name: &str) -> (Kind, String) {
        (Kind::Task, name.to_owned())
    }

    #[traced("above {}", 1, crate = probe)]
    #[tasktrace::test(tasktrace = probe, timeout = "5s")]
    async fn above() {}

    #[tasktrace::test(tasktrace = probe, timeout = "5s")]
    #[traced("below {}", 1, crate = probe)]
    async fn below() -> Result<(), ParseIntError> {
        ready("1").await.parse::<u32>()?;
        Ok(())
    }

    #[traced(crate = probe, wait_limit = "1s")]
    #[tasktrace::test(tasktrace = probe, timeout = "5s", block_on = block_on)]
    async fn above_block_on() {}

    #[tasktrace::test(tasktrace = probe, timeout = "5s", block_on = block_on, dump_on_signal)]
    #[traced(crate = probe)]
    async fn below_block_on() {}

    #[tasktrace::test(tasktrace = probe, timeout = "5s", block_on = LocalPool::new().run_until)]
    #[traced(crate = probe)]
    async fn below_a_method() {}

    #[tasktrace::main(tasktrace = probe, dump_on_signal = "usr1")]
    #[traced(crate = probe)]
    async fn below_main() {}

    #[test]
    fn tests_compose_with_traced_in_either_order() {
        above();
        assert_eq!(probe::names(), [task("above"), frame("above")]);
        assert_eq!(below(), Ok(()));
        assert_eq!(probe::names(), [frame("below"), task("below")]);
        assert_eq!(probe::labels(), ["above 1", "below 1"]);
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
        below_a_method();
        assert_eq!(
            probe::names(),
            [frame("below_a_method"), task("below_a_method")]
        );
        below_main();
        assert_eq!(probe::names(), [frame("below_main"), task("below_main")]);
        let steps = probe::steps();
        assert_eq!(steps.len(), 12);
        assert_eq!(steps[0], "begin above Nanos(5000000000)");
    }

    fn span() -> Option<&'static str> {
        let span = tracing::Span::current();
        span.metadata().map(tracing::Metadata::name)
    }

    #[instrument]
    #[tasktrace::test(tasktrace = probe, timeout = "5s")]
    async fn instrumented() {
        ready(()).await;
        probe::step(span().unwrap_or_default());
    }

    /// Instruments the function that runs the test, including the steps around its body.
    #[tasktrace::test(tasktrace = probe, timeout = "5s")]
    #[instrument]
    #[traced(crate = probe)]
    async fn instrumented_below() {
        ready(()).await;
        probe::step(span().unwrap_or_default());
    }

    #[test]
    fn tests_compose_with_instrument_in_either_order() {
        collect_spans();
        instrumented();
        let begin = "begin instrumented Nanos(5000000000)";
        assert_eq!(probe::steps(), [begin, "instrumented", "end instrumented"]);
        instrumented_below();
        let begin = "begin instrumented_below Nanos(5000000000)";
        let end = "end instrumented_below";
        assert_eq!(probe::steps(), [begin, "instrumented_below", end]);
        assert_eq!(
            probe::names(),
            [
                task("instrumented"),
                frame("instrumented_below"),
                task("instrumented_below")
            ]
        );
    }
}

/// The first steps of a program, and of a test with the same arguments.
mod starting {
    use super::*;

    #[tasktrace::main(tasktrace = probe)]
    async fn unsaid(argument: NotesDrop) -> Vec<String> {
        let _: &NotesDrop = &argument;
        probe::steps()
    }

    #[tasktrace::main(tasktrace = probe, dump_on_signal, flavor = "current_thread")]
    async fn usual_signal() -> Vec<String> {
        probe::steps()
    }

    #[tasktrace::main(dump_on_signal = "usr2", tasktrace = probe, worker_threads = 1)]
    async fn signal() -> Result<Vec<String>, String> {
        if ready(true).await {
            return Ok(probe::steps());
        }
        Err(String::new())
    }

    #[tasktrace::main(block_on = block_on, tasktrace = probe)]
    async fn on_another_executor(argument: NotesDrop) -> Vec<String> {
        let _: &NotesDrop = &argument;
        probe::steps()
    }

    #[tasktrace::main(block_on = on_a_thread, dump_on_signal = "SIGINFO", tasktrace = probe)]
    async fn on_another_thread() -> Vec<String> {
        probe::steps()
    }

    #[tasktrace::main(block_on = LocalPool::new().run_until, tasktrace = probe)]
    async fn by_a_method() -> Vec<String> {
        probe::steps()
    }

    #[tasktrace::test(block_on = LocalPool::new().run_until, tasktrace = probe)]
    async fn test_by_a_method() {
        assert_eq!(probe::steps(), ["begin test_by_a_method Default"]);
    }

    #[tasktrace::test(tasktrace = probe, dump_on_signal = "SigHup", timeout = "1ns")]
    async fn test() {
        let begin = "begin test Nanos(1)";
        assert_eq!(probe::steps(), ["start Some(\"SIGHUP\")", begin]);
    }

    #[tasktrace::main(tasktrace = probe, attach, flavor = "current_thread")]
    async fn attached() -> Vec<String> {
        probe::steps()
    }

    #[tasktrace::main(block_on = block_on, dump_on_signal, tasktrace = probe, attach)]
    async fn attached_on_another_executor() -> Vec<String> {
        probe::steps()
    }

    #[tasktrace::test(tasktrace = probe, attach, timeout = "1ns")]
    async fn attached_test() {
        let begin = "begin attached_test Nanos(1)";
        assert_eq!(probe::steps(), ["start None", "attach", begin]);
    }

    #[tasktrace::test(block_on = block_on, tasktrace = probe, dump_on_signal)]
    async fn test_on_another_executor() {
        let begin = "begin test_on_another_executor Default";
        assert_eq!(probe::steps(), ["start Some(\"\")", begin]);
    }

    #[test]
    fn dumps_and_the_socket_are_set_up_before_the_task() {
        assert_eq!(unsaid(NotesDrop("dropped")), ["start None"]);
        assert_eq!(probe::steps(), ["dropped"]);
        assert_eq!(usual_signal(), ["start Some(\"\")"]);
        let expected = "start Some(\"SIGUSR2\")".to_owned();
        assert_eq!(signal(), Ok(vec![expected]));
        assert_eq!(on_another_executor(NotesDrop("dropped")), ["start None"]);
        assert_eq!(probe::steps(), ["dropped"]);
        assert_eq!(attached(), ["start None", "attach"]);
        let expected = ["start Some(\"\")", "attach"];
        assert_eq!(attached_on_another_executor(), expected);
        // The first step happens on this thread, before the other thread begins.
        assert_eq!(on_another_thread(), [""; 0]);
        assert_eq!(probe::steps(), ["start Some(\"SIGINFO\")"]);
        assert_eq!(by_a_method(), ["start None"]);
    }
}
