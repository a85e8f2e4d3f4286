//! Prints the async stack of a panic.

use std::cell::Cell;
use std::panic::{self, Location};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::LocalKey;

use crate::escape::Escaped;
use crate::origin::{self, Title};
use crate::os;
use crate::symbol::PathShortener;
use crate::sync::fork::NoForkSection;
use crate::task::note_panic_message;
use crate::trace::Trace;

thread_local! {
    /// `true` while one of tasktrace's hooks runs on this thread. A program can have several of them, and one prints
    /// the stack.
    static IS_IN_HOOK: Cell<bool> = const { Cell::new(false) };
    /// `true` while panics of this thread are printed without a stack, because their messages contain one.
    static HAS_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Installs a panic hook that prints the async stack of a panic inside a task.
///
/// The hook first calls the previous hook, which by default prints the message. When that returns, it prints the async
/// stack to standard error. If this function is called several times, each panic is still printed once.
///
/// `#[tasktrace::test]` installs the hook itself. [`Dump::ended`](crate::Dump::ended) lists the last tasks that
/// panicked, with the message.
///
/// # Panics
///
/// Panics if it is called from a thread that is panicking, like [`std::panic::set_hook`].
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

/// Installs a hook that records panics for [`Dump::ended`](crate::Dump::ended) and prints nothing. `main` calls this
/// first.
pub(crate) fn record_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _installing = lock_hooks();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if crate::task::current().is_some() {
                note_panic_message(message(info), info.location());
            }
            before(info);
        }));
    });
}

/// Returns the message of a panic, if it is text. Every `panic!` with a message has text.
fn message<'a>(info: &'a panic::PanicHookInfo<'_>) -> Option<&'a str> {
    let payload = info.payload();
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| Some(payload.downcast_ref::<String>()?.as_str()))
}

/// Installs the panic hook with the effects for tests. A test calls this first.
pub(crate) fn install_for_tests() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        IN_TESTS.store(true, Ordering::Relaxed);
        install();
    });
}

/// `true` if there are tests in this process.
static IN_TESTS: AtomicBool = AtomicBool::new(false);

/// Calls a function whose panics are not printed with a stack, because their message has one.
pub(crate) fn without_stack<R>(run: impl FnOnce() -> R) -> R {
    let _has_stack = FlagGuard::new(&HAS_STACK);
    run()
}

/// Sets a flag of this thread until this guard is dropped.
struct FlagGuard {
    flag: &'static LocalKey<Cell<bool>>,
    before: bool,
}

impl FlagGuard {
    fn new(flag: &'static LocalKey<Cell<bool>>) -> Self {
        // If the thread-locals are destroyed, the thread ends, and no task is running on it.
        let before = flag.try_with(|flag| flag.replace(true)).unwrap_or(true);
        Self { flag, before }
    }
}

impl Drop for FlagGuard {
    fn drop(&mut self) {
        let _ = self.flag.try_with(|flag| flag.set(self.before));
    }
}

/// A panic hook of any kind.
type AnyHook = Box<dyn Fn(&panic::PanicHookInfo<'_>) + Sync + Send>;

/// The address of the hook that [`install`] has installed last. It is 0 if any of tasktrace's hooks was dropped since,
/// because another hook might get the address of a dropped one.
static LAST_INSTALLED: AtomicUsize = AtomicUsize::new(0);

fn address(hook: &AnyHook) -> usize {
    std::ptr::from_ref(&**hook).cast::<()>().addr()
}

/// Locks the panic hook against other threads that install tasktrace's hooks. A hook is taken and put back in two
/// steps: without the lock, a thread that takes the hook between these steps gets the default hook, and a hook is lost.
///
/// Hooks are allocated and dropped meanwhile, so this is not one of the locks under which nothing may be allocated.
fn lock_hooks() -> (MutexGuard<'static, ()>, NoForkSection) {
    static INSTALLING: Mutex<()> = Mutex::new(());
    // A child of `fork` must not find the lock locked by a thread that it does not have.
    let section = NoForkSection::enter();
    let guard = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    (guard, section)
}

/// Installs the hook, unless a panic already calls it first. If each call installed another one, all of them would be
/// on the stack in a panic.
fn install() {
    let _installing = lock_hooks();
    let before = panic::take_hook();
    if address(&before) == LAST_INSTALLED.load(Ordering::Acquire) {
        panic::set_hook(before);
        return;
    }
    let hook = StackHook { before };
    let hook: AnyHook = Box::new(move |info| hook.call(info));
    LAST_INSTALLED.store(address(&hook), Ordering::Release);
    panic::set_hook(hook);
}

/// The hook that prints the async stack.
struct StackHook {
    before: AnyHook,
}

impl Drop for StackHook {
    fn drop(&mut self) {
        LAST_INSTALLED.store(0, Ordering::Release);
    }
}

impl StackHook {
    /// Calls the hook. It must not panic, because a panic in a hook ends the process.
    fn call(&self, info: &panic::PanicHookInfo<'_>) {
        let in_hook = FlagGuard::new(&IS_IN_HOOK);
        let message = message(info);
        if crate::task::current().is_some() {
            note_panic_message(message, info.location());
        }
        (self.before)(info);
        if in_hook.before {
            return;
        }
        let in_tests = IN_TESTS.load(Ordering::Relaxed);
        let text = match HAS_STACK.try_with(Cell::get) {
            Ok(true) => None,
            _ => stack(),
        };
        if let Some(text) = &text {
            if in_tests && super::test::is_captured() {
                // `eprint!` goes to the captured output of the test, like the message.
                eprint!("{text}");
            } else {
                // `eprint!` would panic if the reader of stderr had closed it.
                os::stderr::write(text);
            }
        }
        if in_tests {
            keep_for_test(message, info.location(), text.as_deref());
        }
    }
}

/// Returns the async stack of the caller, which is panicking.
fn stack() -> Option<String> {
    let task = crate::task::current()?;
    let trace = Trace::here()?;
    let title = Title::new(task.name(), task.label());
    let mut text = format!("in task {} {}", task.id(), Escaped(title));
    let spawned_at = task.spawned_at().filter(|place| {
        // A future without a type is named by this place.
        !origin::is_in_name(task.name(), place.file(), place.line())
    });
    if spawned_at.is_some() || task.parent().is_some() {
        text.push_str(", spawned");
    }
    if let Some(place) = spawned_at {
        let file = PathShortener::new().shorten(place.file()).into_owned();
        text += &format!(" at {file}:{}:{}", place.line(), place.column());
    }
    if let Some(parent) = task.parent() {
        text += &format!(" by task {parent}");
    }
    Some(format!("{text}:\n{trace}\n"))
}

/// Keeps the text of a panic, in case a test has to print it again.
fn keep_for_test(message: Option<&str>, place: Option<&Location<'_>>, stack: Option<&str>) {
    let name = os::thread::name();
    let name = name.as_deref().unwrap_or("<unnamed>");
    let place = place.map_or_else(String::new, |place| format!(" at {place}"));
    let shown_message = message.unwrap_or("Box<dyn Any>");
    let mut text = format!(
        "thread '{}' panicked{place}:\n{shown_message}\n",
        Escaped(name)
    );
    text.push_str(stack.unwrap_or_default());
    super::test::note_panic(name, message, text);
}
