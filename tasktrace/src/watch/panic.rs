//! The async stack of a panic.

use std::cell::Cell;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::os;
use crate::trace::Trace;

thread_local! {
    /// Whether a panic of this thread says already where it is.
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// Has panics tell where they are in the task that panics, if they are in one: the async stack is
/// written to standard error. Then the hook is called that was there before, which by default writes
/// the message.
///
/// In a `#[tasktrace::test]`, this is so already.
///
/// A panic is told once, however often this is called.
///
/// ```
/// tasktrace::panic_hook();
///
/// #[tasktrace::traced]
/// async fn serve() {
///     panic!("on purpose");
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert!(tokio::spawn(serve()).await.is_err());
/// # }
/// ```
///
/// ```text
/// in task 1 app::serve:
/// ╼ app::serve at src/main.rs:5:5
/// thread 'main' panicked at src/main.rs:5:5:
/// on purpose
/// ```
pub fn panic_hook() {
    install();
}

/// What a test does first.
pub(crate) fn in_tests() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        IN_TESTS.store(true, Ordering::Relaxed);
        install();
    });
}

/// Whether there are tests in this process.
static IN_TESTS: AtomicBool = AtomicBool::new(false);

/// Calls what panics, and tells its own stack.
pub(crate) fn without_stack<R>(run: impl FnOnce() -> R) -> R {
    let _told = Told::new();
    run()
}

/// While there is one, panics of this thread are told.
struct Told {
    before: bool,
}

impl Told {
    fn new() -> Self {
        // Where there are no thread-locals any more, there is no task either.
        let before = IS_TOLD.try_with(|told| told.replace(true)).unwrap_or(true);
        Self { before }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = IS_TOLD.try_with(|told| told.set(self.before));
    }
}

/// Nothing in here may panic: a panic in a hook ends the process.
fn install() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let told = Told::new();
        if !told.before
            && let Some(text) = stack()
        {
            if IN_TESTS.load(Ordering::Relaxed) {
                // It goes where the message goes: to the output of the test.
                eprint!("{text}");
            } else {
                os::stderr::write(&text);
            }
        }
        before(info);
    }));
}

/// The async stack of the caller, who panics.
fn stack() -> Option<String> {
    let task = crate::task::current()?;
    let trace = Trace::here()?;
    let label = task.label().map(|label| format!(" {label:?}"));
    let label = label.unwrap_or_default();
    Some(format!(
        "in task {} {}{label}:\n{trace}\n",
        task.id(),
        task.name()
    ))
}
