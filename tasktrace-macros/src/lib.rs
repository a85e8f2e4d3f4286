//! The attributes of `tasktrace`. Use them through that crate.
//!
//! An attribute is parsed (`args`, `item`, `items`), validated (`validate`) and expanded (`expand`). `rewritten`
//! recognises functions that another attribute has already expanded.

mod args;
mod expand;
mod item;
mod items;
mod rewritten;
mod tokens;
mod validate;

use proc_macro::TokenStream;

use crate::validate::Macro;

/// Traces an async function as a frame of its task, or as a task.
///
/// ```
/// use tasktrace::traced;
///
/// #[traced]
/// async fn serve(peer: &str) {
///     for id in 0..3 {
///         request(peer, id).await;
///     }
/// }
///
/// #[traced("request {id} of {peer}")]
/// async fn request(peer: &str, id: u32) {
///     # let _ = (peer, id);
///     tokio::task::yield_now().await;
/// }
/// # futures::executor::block_on(serve("::1"));
/// ```
///
/// The trace of a task shows each call of the function with its path and location, even if the symbols were stripped or
/// the function was inlined. If it is called outside any task, the function becomes a task of its own.
///
/// # Labels
///
/// A label distinguishes the calls of a function. It has the syntax of [`format!`]: a string literal, which can name
/// the arguments of the function, and then format arguments.
///
/// ```
/// use tasktrace::traced;
///
/// struct Session {
///     id: u32,
/// }
///
/// impl Session {
///     #[traced("session {}: {} bytes for {peer:?}", self.id, data.len())]
///     async fn send(&mut self, peer: &str, data: Vec<u8>) {
///         self.id += 1;
///         # let _ = peer;
///         drop(data);
///         tokio::task::yield_now().await;
///     }
///
///     // Braces are doubled, as in any format. With nothing to format, this is `name = "close {}"`.
///     #[traced("close {{}}")]
///     async fn close(self) {}
/// }
/// # let mut session = Session { id: 1 };
/// # futures::executor::block_on(async {
/// #     session.send("::1", vec![1, 2]).await;
/// #     session.close().await;
/// # });
/// ```
///
/// The label is formatted once per call, in the first poll, right before the body begins. After that it borrows
/// nothing, so the body may move and change the values. The format determines the traits that the values must
/// implement. A label with format arguments costs the formatting and one allocation. A label without them, and a
/// `name`, allocates nothing.
///
/// # Arguments
///
/// - `"…", arguments…`: a label, as above.
/// - `name = "…"`: a name to show with the function, the same for all calls.
/// - `wait_limit = "5s"`: the longest time that a call may wait, see [below](#limits). Its former name,
///   `stalled_after`, is deprecated.
/// - `crate = path`: the path of the `tasktrace` crate, if it is not `::tasktrace`. A macro that emits the attribute
///   passes `crate = $crate::…`.
/// - `skip`, as the only argument: does not trace the function. Use it for functions in an `impl` block, a trait or a
///   module with the attribute, see [below](#on-everything-in-a-block-a-trait-or-a-module). On other functions it is
///   allowed and has no effect.
///
/// Put the other arguments before the label, or after all of its format arguments.
///
/// # Limits
///
/// `wait_limit` is the limit of one function. A watchdog reports a call that waits for longer. The limit of the whole
/// program, `watchdog().wait_limit(…)`, does not apply to a task that contains such a function.
///
/// ```
/// use tasktrace::traced;
///
/// // The next message may be hours away.
/// #[traced("{peer}", wait_limit = "1d")]
/// async fn receive(peer: &str) {
///     # let _ = peer;
///     tokio::task::yield_now().await;
/// }
///
/// // The answer arrives at once.
/// #[traced(wait_limit = "500ms")]
/// async fn acknowledge() {
///     tokio::task::yield_now().await;
/// }
/// # futures::executor::block_on(async {
/// #     receive("::1").await;
/// #     acknowledge().await;
/// # });
/// ```
///
/// # Durations
///
/// A duration is a number with a unit, or several of these: `"30s"`, `"1.5s"`, `"1m30s"`. The units are `ns`, `us` or
/// `µs`, `ms`, `s`, `m` or `min`, `h` and `d`. A duration of zero is an error.
///
/// # On everything in a block, a trait or a module
///
/// On an `impl` block, a `trait` or a `mod name { … }`, the attribute traces each `async fn` in it that has a body, and
/// those in nested blocks, traits and modules. `#[traced(skip)]` exempts a function. A function with its own
/// `#[traced]`, even in a `cfg_attr`, is traced only by that.
///
/// ```
/// use tasktrace::traced;
///
/// struct Store;
///
/// #[traced]
/// impl Store {
///     async fn get(&self, key: &str) -> Option<String> {
///         self.lookup(key).await.or(Some(String::new()))
///     }
///
///     #[traced("lookup of {key}")]
///     async fn lookup(&self, key: &str) -> Option<String> {
///         # let _ = key;
///         self.is_open().await.then(String::new)
///     }
///
///     // Too short to be worth a frame.
///     #[traced(skip)]
///     async fn is_open(&self) -> bool {
///         true
///     }
/// }
///
/// #[traced]
/// mod jobs {
///     pub trait Job {
///         async fn run(&self);
///
///         async fn run_twice(&self) {
///             self.run().await;
///             self.run().await;
///         }
///     }
///
///     pub async fn all(jobs: &[impl Job]) {
///         for job in jobs {
///             job.run_twice().await;
///         }
///     }
/// }
/// # impl jobs::Job for Store {
/// #     async fn run(&self) {
/// #         self.get("job").await;
/// #     }
/// # }
/// # futures::executor::block_on(jobs::all(&[Store]));
/// ```
///
/// The attribute leaves other functions alone, even those that return futures. It also leaves alone functions inside
/// functions, and functions that macros generate. Functions with `#[tasktrace::main]` or `#[tasktrace::test]` are tasks
/// already. `crate = path` applies to all functions in the block. Use a path that begins with `::` or `crate`, which
/// means the same in inner modules.
///
/// # Functions that return futures
///
/// The attribute also accepts
///
/// - a `fn` whose last expression is `async { … }` or `Box::pin(async { … })`. The block is traced like the body of an
///   `async fn`, and the label can name the variables in scope of the block;
/// - a `fn` that returns `impl Future` or `Pin<Box<dyn Future>>` (or `BoxFuture`, or `LocalBoxFuture`). Any future that
///   it returns is traced. The label is formatted at the call, before the body.
///
/// ```
/// use std::pin::Pin;
/// use tasktrace::traced;
///
/// #[traced("{key}")]
/// fn lookup(key: &str) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>> {
///     if key.is_empty() {
///         return Box::pin(std::future::ready(None));
///     }
///     remote(key)
/// }
///
/// # fn remote(key: &str) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>> {
/// #     Box::pin(std::future::ready(Some(key.to_owned())))
/// # }
/// #[traced]
/// fn length(key: &str) -> impl Future<Output = usize> + use<> {
///     std::future::ready(key.len())
/// }
/// # futures::executor::block_on(async {
/// #     assert_eq!(lookup("key").await.as_deref(), Some("key"));
/// #     assert_eq!(length("key").await, 3);
/// # });
/// ```
///
/// A boxed future is boxed a second time, which costs an allocation per call, unless it comes from an async block at
/// the end of the function and the function does not return early.
///
/// The attribute recognises the return type by its name. With a type alias, an early return before a final async block
/// is not traced. A `return` inside a macro is not visible, so it is not traced either. If the function returns
/// `impl Future`, such a macro is an error.
///
/// # With other attributes
///
/// The attribute works above and below `#[tokio::main]`, `#[tokio::test]`, `#[tracing::instrument]`, and the `main` and
/// `test` attributes of other runtimes. With `#[async_trait]`, it works above it, below it, and on the methods:
///
/// ```
/// use tasktrace::traced;
///
/// #[async_trait::async_trait]
/// trait Store {
///     async fn get(&self, key: &str) -> Option<String>;
/// }
///
/// struct Memory {
///     name: &'static str,
/// }
///
/// #[async_trait::async_trait]
/// impl Store for Memory {
///     #[traced("{key} of {}", self.name)]
///     async fn get(&self, key: &str) -> Option<String> {
///         # let _ = key;
///         std::future::ready(None).await
///     }
/// }
/// # let store = Memory { name: "store" };
/// # assert_eq!(futures::executor::block_on(store.get("key")), None);
/// ```
///
/// Under `#[async_trait]`, a label cannot name the variables of a parameter pattern, such as `(a, b): (u32, u32)`,
/// because they are bound after the label is formatted.
///
/// Below an attribute that has turned the `async fn` into a plain function, `#[traced]` looks for the async block that
/// the function passes to `block_on`, `run` or the like, or for the only `async fn` in it. If there is none, it is a
/// compile error, and `#[traced]` must go above that attribute. It must also go above an attribute that copies other
/// attributes to the code that it generates, such as `#[mockall::automock]`, and as `#[rstest]` does, where a label
/// names an argument.
///
/// # Effect on the function
///
/// The body becomes an inner future, which is polled through a frame. Without a label, the attribute allocates nothing
/// and requires nothing of the arguments, and the future is [`Send`] if it would be without the attribute. There are
/// two visible differences:
///
/// - Arguments are dropped after the variables of the body, as usual. Among the arguments, those that the body names
///   are dropped first, in the order in which it names them, and then the others.
/// - A closure that is returned as `impl Fn(…)` must name the types of its arguments.
///
/// # Errors
///
/// It is a compile error to use the attribute on another item or with another argument; to combine a label with a
/// `name`; to give a label, a `name` or a `wait_limit` to something that is not a function; and to use it on a module
/// in a separate file, whose content the attribute cannot see.
#[proc_macro_attribute]
pub fn traced(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::traced(args.into(), item.into()).into()
}

/// Runs an `async fn main` on tokio, as a traced task.
///
/// ```
/// #[tasktrace::main]
/// async fn main() -> Result<(), std::num::ParseIntError> {
///     let number: u32 = std::future::ready("1").await.parse()?;
///     assert_eq!(number, 1);
///     Ok(())
/// }
/// ```
///
/// The attribute expands to `#[tokio::main]`. The body becomes a task with the name of the function, and the function
/// returns the output of the body.
///
/// # Arguments
///
/// The attribute passes the arguments of `#[tokio::main]` on to it, so they have the same defaults: `flavor`,
/// `worker_threads`, `start_paused`, `unhandled_panic`, `crate = "path"` (the path of *tokio*), and any others that
/// your version of tokio accepts.
///
/// ```
/// #[tasktrace::main(flavor = "current_thread")]
/// async fn main() {
///     tokio::task::yield_now().await;
/// }
/// ```
///
/// It has four arguments of its own, in any order:
///
/// - `block_on = path::to::fn`: runs the task with this function instead of tokio. The function takes a future and
///   returns its output. It cannot be combined with arguments of tokio.
/// - `dump_on_signal`: dumps all tasks when the process receives a signal, see [below](#signals).
/// - `attach`: lets the program `tasktrace` of the same user ask this process, like `tasktrace::attach`. It is an error
///   without the feature `attach`. The environment variable `TASKTRACE_ATTACH` overrides the argument: `1` attaches
///   without it, and `0` does not attach with it.
/// - `tasktrace = path`: the path of the `tasktrace` crate, if it is not `::tasktrace`.
///
/// ```
/// #[tasktrace::main(block_on = futures::executor::block_on)]
/// async fn main() {
///     std::future::ready(()).await;
/// }
/// ```
///
/// # Signals
///
/// `dump_on_signal = "…"` names the signal, and `dump_on_signal` alone uses the default signal. Most signals end a
/// program before its `main` has begun, and after `exec`: see the function `tasktrace::dump_on_signal`.
///
/// ```
/// #[tasktrace::main(flavor = "current_thread", dump_on_signal = "SIGUSR2")]
/// async fn main() {
///     tokio::task::yield_now().await;
/// }
///
/// # mod another {
/// #[tasktrace::main(dump_on_signal)]
/// async fn main() {
///     tokio::task::yield_now().await;
/// }
/// # }
/// ```
///
/// The name is one of `SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGUSR1`, `SIGUSR2`, `SIGALRM`, `SIGTERM`, `SIGURG`, `SIGXCPU`,
/// `SIGVTALRM`, `SIGPROF`, `SIGWINCH`, `SIGIO` and `SIGINFO`, with or without `SIG`, in upper or lower case. The name
/// is checked at compile time. Not every system has every signal.
///
/// The handler is installed before the task starts: in a `main` on tokio after the runtime is built, and in a test
/// before that.
///
/// # Errors
///
/// It is a compile error to use the attribute on anything but an `async fn`, to give `main` arguments, or to add a
/// second attribute that runs the function. As with tokio, a function with another name than `main` can have arguments.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::entry(Macro::Main, args.into(), item.into()).into()
}

/// Runs an `async fn` as a test on tokio, as a traced task that reports why it hangs.
///
/// ```
/// #[tasktrace::test]
/// async fn sums() {
///     assert_eq!(std::future::ready(1).await + 1, 2);
/// }
///
/// #[tasktrace::test(flavor = "multi_thread", worker_threads = 2)]
/// async fn fails() -> Result<(), std::num::ParseIntError> {
///     let _: u32 = "1".parse()?;
///     Ok(())
/// }
///
/// #[tasktrace::test(block_on = futures::executor::block_on)]
/// #[should_panic(expected = "on purpose")]
/// async fn panics() {
///     panic!("on purpose");
/// }
/// ```
///
/// The attribute expands to `#[tokio::test]`, and the body becomes a task with the name of the function.
///
/// # Arguments
///
/// The arguments are those of [`macro@main`], with the defaults of `#[tokio::test]`, and one more:
///
/// - `timeout = "30s"`: the longest time that the test may take. A test that takes longer fails, and reports where its
///   tasks wait. The value is a [duration](macro@traced#durations), or `"none"` for no limit. The default is 50
///   seconds.
///
/// ```
/// #[tasktrace::test(timeout = "30s")]
/// async fn answers() {
///     # async fn answer() -> u32 { 42 }
///     assert_eq!(answer().await, 42);
/// }
///
/// #[tasktrace::test(flavor = "multi_thread", timeout = "none")]
/// async fn soaks() {
///     tokio::task::yield_now().await;
/// }
/// ```
///
/// The time includes the start and the shutdown of the runtime. It does not include code that an attribute between this
/// one and the function adds, such as waiting for other tests.
///
/// A test that takes too long panics at the next poll of its body, or when its function returns. If its thread stays
/// blocked, it can do neither. Then its report is printed, and after a few seconds the process exits, which ends all
/// other tests as well.
///
/// # Errors
///
/// It is a compile error to use the attribute on anything but an `async fn`, to add a second attribute that makes the
/// function a test, or to give an invalid duration.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::entry(Macro::Test, args.into(), item.into()).into()
}

/// Inserts statements before the body of a function. `test` emits it, to be expanded after tokio's attribute.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn around_test(statements: TokenStream, item: TokenStream) -> TokenStream {
    expand::around_test(&statements.into(), item.into()).into()
}
