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
/// async fn fetch(key: &str) -> Option<String> {
///     lookup(key).await
/// }
///
/// #[traced(name = "the lookup")]
/// async fn lookup(key: &str) -> Option<String> {
///     # let _ = key;
///     std::future::ready(None).await
/// }
/// # futures::executor::block_on(fetch("key"));
/// ```
///
/// A task's trace marks the call with the function's path and place, although symbols may have
/// been stripped or the function inlined. Called where there is no task, the function is a task of
/// its own.
///
/// # Arguments
///
/// - `name = "…"`: a label to show with the function.
/// - `crate = path`: where the `tasktrace` crate is, if not at `::tasktrace`. A macro that writes
///   the attribute for its users passes `crate = $crate::…`.
///
/// # Where it can stand
///
/// On an `async fn` with a body: a function or a method of any form, in an `impl` or a `trait`,
/// including one under `#[async_trait]`:
///
/// ```
/// use tasktrace::traced;
///
/// #[async_trait::async_trait]
/// trait Store {
///     async fn get(&self, key: &str) -> Option<String>;
/// }
///
/// struct Memory;
///
/// #[async_trait::async_trait]
/// impl Store for Memory {
///     #[traced]
///     async fn get(&self, key: &str) -> Option<String> {
///         # let _ = key;
///         std::future::ready(None).await
///     }
/// }
/// ```
///
/// Also on a `fn` whose last expression is the future: `async { … }`, or
/// `Box::pin(async { … })`.
///
/// It stands above or below `#[tokio::main]`, `#[tokio::test]` and `#[tracing::instrument]`, as you
/// like.
///
/// # What it changes
///
/// The body becomes a future in the function's own, and is polled through a frame. Nothing is
/// allocated for it here, nothing is required of the arguments, and the future is [`Send`] where it
/// would be without the attribute. What can be observed is this:
///
/// - Arguments are dropped after the body's variables, as ever. Among the arguments, those that
///   the body names are dropped first, in the order in which it names them; then the others.
/// - A closure that is returned as `impl Fn(…)` has to name the types of its arguments.
///
/// # Errors
///
/// Anything else under the attribute, and any other argument, is an error at compile time.
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
/// And two more:
///
/// - `block_on = path::to::fn`: runs the task with this function, which takes a future and returns
///   its output, and without tokio. It excludes the arguments of tokio.
/// - `tasktrace = path`: where the `tasktrace` crate is, if not at `::tasktrace`.
///
/// ```
/// #[tasktrace::main(block_on = futures::executor::block_on)]
/// async fn main() {
///     std::future::ready(()).await;
/// }
/// ```
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
/// This is `#[tokio::test]` with the body as a task named after the function. The arguments are
/// those of [`macro@main`], with the defaults of `#[tokio::test]`.
///
/// # Errors
///
/// Anything but an `async fn`, and a second attribute that makes a test of the function, is an
/// error at compile time.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::entry(Macro::Test, args.into(), item.into()).into()
}
