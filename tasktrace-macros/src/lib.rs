//! The attributes of `tasktrace`. Use them through that crate.
//!
//! An attribute is read (`args`, `item`, `items`), checked (`validate`) and expanded (`expand`), each
//! in a module of its own. `rewritten` knows functions that another attribute has expanded before.

mod args;
mod expand;
mod item;
mod items;
mod rewritten;
mod tokens;
mod validate;

use proc_macro::TokenStream;

use crate::validate::Macro;

/// Names a function in the traces of the tasks that run it.
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
/// A task's trace marks the call with the function's path and place, although symbols may have
/// been stripped or the function inlined. Called where there is no task, the function is a task of
/// its own.
///
/// # Labels
///
/// A label tells one call from another. It takes what [`format!`] takes: a literal, in which
/// arguments of the function can be named, and then arguments of the format.
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
/// It is formatted once for each call, when the body is first polled, right before the body begins.
/// From then on it borrows nothing: the body may move and change what the label names. Of the
/// arguments it asks what the format asks of them. A label that has something to format costs that,
/// with its allocation; without one, and with a `name`, nothing is allocated.
///
/// # Arguments
///
/// - `"…", arguments…`: a label, as above.
/// - `name = "…"`: a name to show with the function, the same for all of its calls.
/// - `wait_limit = "5s"`: how long a call may wait. See [below](#limits). It was called `stalled_after`,
///   which is deprecated.
/// - `crate = path`: where the `tasktrace` crate is, if not at `::tasktrace`. A macro that writes the attribute for its users passes
///   `crate = $crate::…`.
/// - `skip`, alone: leaves everything as it is. It is for functions in an `impl`, a trait or a module with the attribute,
///   see [below](#on-everything-in-a-block-a-trait-or-a-module). On a function of its own it changes nothing, and is
///   allowed, so that a function can be moved, or a macro write it.
///
/// With a label, the others stand before it or after all of its arguments.
///
/// # Limits
///
/// `wait_limit` is the limit of one function: a watchdog reports a call of it that waits for longer than
/// this. A task in which there is such a function is left out of account by the limit of the whole
/// program, `watchdog().wait_limit(…)`.
///
/// ```
/// use tasktrace::traced;
///
/// // Waits for the next message, which may be hours away.
/// #[traced("{peer}", wait_limit = "1d")]
/// async fn receive(peer: &str) {
///     # let _ = peer;
///     tokio::task::yield_now().await;
/// }
///
/// // Is told at once that it is done.
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
/// A duration is a number with a unit, or several of them: `"30s"`, `"1.5s"`, `"1m30s"`. The units
/// are `ns`, `us` or `µs`, `ms`, `s`, `m` or `min`, `h` and `d`. A duration of zero is an error.
///
/// # On everything in a block, a trait or a module
///
/// On an `impl` block, a `trait` or a `mod name { … }`, the attribute traces each `async fn` in it
/// that has a body, and so on inwards. `#[traced(skip)]` opts out. A function with an attribute of
/// its own, also one in a `cfg_attr`, is left to that, and is not traced twice.
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
///     // Too small to be of interest.
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
/// What is not async is left alone, also if it returns a future, and so are the functions inside of
/// functions and those that macros write. Functions with `#[tasktrace::main]` or
/// `#[tasktrace::test]` are tasks already. A `crate = path` applies to all of it; a path that begins
/// with `::` or `crate` means the same in inner modules.
///
/// # Functions that return futures
///
/// Besides the `async fn`, the attribute accepts
///
/// - a `fn` whose last expression is `async { … }` or `Box::pin(async { … })`: the block is traced
///   as the body of an `async fn` is, and a label in it can name what is in scope of the block;
/// - a `fn` that returns `impl Future` or `Pin<Box<dyn Future>>` (or `BoxFuture`, or
///   `LocalBoxFuture`), however it comes by the future: whatever it returns is traced. A label is
///   formatted at the call, before the body.
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
/// A boxed future that is not made of an async block at the end of the function is boxed once more,
/// which is an allocation for each call. So is that of a function which also returns early.
///
/// The return type is known by its name. Under another one, an early return before a final
/// async block is not traced. Nor is the `return` of a macro, which cannot be seen; where the
/// function returns `impl Future`, such a macro is an error.
///
/// # Beside other attributes
///
/// It stands above or below `#[tokio::main]`, `#[tokio::test]` and `#[tracing::instrument]`, as you
/// like, and so with the `main` and `test` of other runtimes; on methods of what has an
/// `#[async_trait]`, and above or below it:
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
/// Under `#[async_trait]`, a label cannot name what a pattern among the parameters binds, such as
/// `(a, b): (u32, u32)`: there it is bound after the label.
///
/// Below an attribute that has made a plain function of an `async fn`, it looks for the async block that
/// this hands to a `block_on`, a `run` or the like, or for the one `async fn` in it. Where there is none,
/// it is an error, and `#[traced]` goes above that attribute. So it does with an attribute that copies
/// others to what it makes, such as `#[mockall::automock]`.
///
/// # What it changes
///
/// The body becomes a future in the function's own, and is polled through a frame. Without a label
/// nothing is allocated for it here, nothing is required of the arguments, and the future is
/// [`Send`] where it would be without the attribute. What can be observed is this:
///
/// - Arguments are dropped after the body's variables, as ever. Among the arguments, those that
///   the body names are dropped first, in the order in which it names them; then the others.
/// - A closure that is returned as `impl Fn(…)` has to name the types of its arguments.
///
/// # Errors
///
/// Anything else under the attribute, and any other argument, is an error at compile time, and so
/// are a label together with a `name`, either of them or `wait_limit` on what is not a function,
/// and a module in a file of its own, whose content the attribute cannot see.
#[proc_macro_attribute]
pub fn traced(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::traced(args.into(), item.into()).into()
}

/// Runs an `async fn main` on tokio, as a task that can be traced.
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
/// This is `#[tokio::main]` with the body as a task named after the function. The function returns
/// what the body returns.
///
/// # Arguments
///
/// Those of `#[tokio::main]`, with the same defaults, as they are handed over to it: `flavor`,
/// `worker_threads`, `start_paused`, `unhandled_panic`, `crate = "path"` (where *tokio* is), and
/// what the tokio that you depend on accepts besides.
///
/// ```
/// #[tasktrace::main(flavor = "current_thread")]
/// async fn main() {
///     tokio::task::yield_now().await;
/// }
/// ```
///
/// And four more, in any place among those:
///
/// - `block_on = path::to::fn`: runs the task with this function, which takes a future and returns
///   its output, and without tokio. It excludes the arguments of tokio.
/// - `dump_on_signal`: has the process dump its tasks when it is sent a signal. See
///   [below](#signals).
/// - `attach`: lets the program `tasktrace`, run by the same user, ask this process, as
///   `tasktrace::attach` does. It takes the feature `attach`; without, it is an error. The environment
///   variable `TASKTRACE_ATTACH` has the last word: `1` attaches without this argument, `0` does not
///   with it.
/// - `tasktrace = path`: where the `tasktrace` crate is, if not at `::tasktrace`.
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
/// `dump_on_signal` names the signal, or leaves it to `tasktrace` which one it is. Most signals end a program
/// before `main` has begun, and after `exec`: see the function `tasktrace::dump_on_signal`.
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
/// A name is one of `SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGUSR1`, `SIGUSR2`, `SIGALRM`, `SIGTERM`,
/// `SIGURG`, `SIGXCPU`, `SIGVTALRM`, `SIGPROF`, `SIGWINCH`, `SIGIO` and `SIGINFO`, with or without
/// `SIG`, in capital letters or not. It is checked at compile time. Whether there is such a signal
/// is up to the system.
///
/// It begins before the task does: in a `main` on tokio when the runtime has been built, in a test
/// before that.
///
/// # Errors
///
/// Anything but an `async fn` is an error at compile time, and so are arguments of `main` and a
/// second attribute that runs the function. As with tokio, the function can have another name than
/// `main`, and then it can have arguments.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::entry(Macro::Main, args.into(), item.into()).into()
}

/// Runs an `async fn` as a test on tokio, as a task that can be traced.
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
/// This is `#[tokio::test]` with the body as a task named after the function.
///
/// # Arguments
///
/// Those of [`macro@main`], with the defaults of `#[tokio::test]`, and one more:
///
/// - `timeout = "30s"`: how long the test may take. One that takes longer fails, and says where its
///   tasks wait. It is a [duration](macro@traced#durations), or `"none"` for as long as it likes.
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
/// The time is that of the whole function: the runtime is built in it, and shut down. What an
/// attribute between this one and the function adds, such as to wait for other tests, is not a part
/// of it.
///
/// A test fails by a panic at the next poll of its body, or when its function returns. If its thread stays blocked it
/// can do neither: its report is printed, and after a few seconds the process ends, and with it all other tests.
///
/// # Errors
///
/// Anything but an `async fn`, a second attribute that makes a test of the function, and what is not
/// a duration, is an error at compile time.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::entry(Macro::Test, args.into(), item.into()).into()
}

/// Puts what it is given before the body of a function. `test` leaves it to be expanded after
/// tokio's attribute.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn around_test(statements: TokenStream, item: TokenStream) -> TokenStream {
    expand::around_test(&statements.into(), item.into()).into()
}
