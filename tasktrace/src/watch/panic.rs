//! The async stack of a panic.

use std::cell::{Cell, RefCell};
use std::panic::{self, Location};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::escape::Escaped;
use crate::origin::Title;
use crate::os;
use crate::symbol::Paths;
use crate::task::set_panic;
use crate::trace::Trace;

thread_local! {
    /// The last panic of this thread, in a process with tests.
    static KEPT: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether a panic of this thread says already where it is.
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// Has panics tell where they are in the task that panics, if they are in one. First the hook is called
/// that was there before, which by default writes the message; then the async stack is written to
/// standard error, if that hook has returned.
///
/// In a `#[tasktrace::test]`, this is so already.
///
/// [`Dump::ended`](crate::Dump::ended) shows the last tasks that have panicked, with the message.
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
/// thread 'main' panicked at src/main.rs:5:5:
/// on purpose
/// in task 7 app::serve "conn 1", spawned at src/main.rs:9:5 by task 1:
/// ╼ app::serve "conn 1" at src/main.rs:5:5
/// ```
pub fn panic_hook() {
    install();
}

/// Keeps what panics say, for [`Dump::ended`](crate::Dump::ended), and prints nothing: what a `main` does
/// first.
pub(crate) fn remember() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if crate::task::current().is_some() {
                set_panic(message(info), info.location());
            }
            before(info);
        }));
    });
}

/// The message, if it is text, as all messages are that `panic!` writes. The type of anything else is
/// its owner's business.
fn message<'a>(info: &'a panic::PanicHookInfo<'_>) -> Option<&'a str> {
    let payload = info.payload();
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| Some(payload.downcast_ref::<String>()?.as_str()))
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
        let message = message(info);
        if crate::task::current().is_some() {
            set_panic(message, info.location());
        }
        before(info);
        let in_tests = IN_TESTS.load(Ordering::Relaxed);
        let text = if told.before { None } else { stack() };
        if let Some(text) = &text {
            if in_tests {
                // It goes where the message goes: to the output of the test.
                eprint!("{text}");
            } else {
                os::stderr::write(text);
            }
        }
        if in_tests {
            keep(message, info.location(), text.as_deref());
        }
    }));
}

/// The async stack of the caller, who panics.
fn stack() -> Option<String> {
    let task = crate::task::current()?;
    let trace = Trace::here()?;
    let title = Title::new(task.name(), task.label());
    let mut text = format!("in task {} {}", task.id(), Escaped(title));
    if task.spawned_at().is_some() || task.parent().is_some() {
        text.push_str(", spawned");
    }
    if let Some(place) = task.spawned_at() {
        let file = Paths::new().shorten(place.file()).into_owned();
        text += &format!(" at {file}:{}:{}", place.line(), place.column());
    }
    if let Some(parent) = task.parent() {
        text += &format!(" by task {parent}");
    }
    Some(format!("{text}:\n{trace}\n"))
}

/// The last panic of this thread, as it was told.
pub(crate) fn take_kept() -> Option<String> {
    let kept = KEPT.try_with(|kept| kept.try_borrow_mut().ok()?.take());
    kept.ok().flatten()
}

/// Keeps what has been told of a panic, if a test has to tell it once more.
fn keep(message: Option<&str>, place: Option<&Location<'_>>, stack: Option<&str>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = place.map_or_else(String::new, |place| format!(" at {place}"));
    let message = message.unwrap_or("Box<dyn Any>");
    let mut text = format!("thread '{}' panicked{place}:\n{message}\n", Escaped(name));
    // The outermost of our hooks is the last to keep it, and has the stack.
    text.push_str(stack.unwrap_or_default());
    super::test::note_panic(name, &text);
    let before = KEPT.try_with(|kept| kept.try_borrow_mut().ok()?.replace(text));
    drop(before);
}
