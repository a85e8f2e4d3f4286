//! From addresses to names, files and lines.
//!
//! An address is resolved once for the process, when it is first printed or inspected, through
//! the `backtrace` crate. What comes out is data for the reader: the raw name and path, and what
//! [`name`], [`path`] and [`class`] make of them.
#![forbid(unsafe_code)]

mod callee;
mod class;
mod name;
mod path;
mod source;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

pub(crate) use class::{Class, is_runtime};
pub(crate) use name::split as split_name;
pub(crate) use path::{Paths, learn_workspace, module};

use crate::sync::StaticMutex as Mutex;
use crate::unwind::{ReturnAddress, is_in_function};

/// One function at an address. Where functions were inlined there are several at one address.
#[derive(Debug)]
pub(crate) struct Symbol {
    /// As the compiler spells it, demangled, without its hash.
    pub(crate) name: Arc<str>,
    /// The path of the function, without generics and closures: `krate::Type::method`.
    pub(crate) function: Arc<str>,
    /// How many closures (or async blocks, or bodies of async fns) deep in the function it is.
    pub(crate) closures: usize,
    pub(crate) class: Class,
    pub(crate) file: Option<Arc<str>>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
}

/// The functions at an address, the outermost first.
pub(crate) type Symbols = Arc<[Symbol]>;

/// What has been resolved so far. It grows with the number of call sites in the program.
static RESOLVED: Mutex<Option<HashMap<ReturnAddress, Symbols>>> = Mutex::new(None);

/// For the test that this happens once an address.
static LOOK_UPS: AtomicUsize = AtomicUsize::new(0);

/// The functions at `address`. Empty if nothing is known about it.
pub(crate) fn resolve(address: ReturnAddress) -> Symbols {
    let lock = || RESOLVED.lock().unwrap_or_else(PoisonError::into_inner);

    let known = lock().get_or_insert_default().get(&address).cloned();
    known.unwrap_or_else(|| {
        // Not under the lock: it takes long.
        let symbols = look_up(address);
        let mut resolved = lock();
        let resolved = resolved.get_or_insert_default();
        Arc::clone(resolved.entry(address).or_insert(symbols))
    })
}

/// The function that was called at `address`, if it is not the one that `symbols`, the functions at
/// the `next` address on the stack, are of: it has ended by calling that one.
///
/// The line is that of its start.
pub(crate) fn tail_caller(
    address: ReturnAddress,
    next: ReturnAddress,
    symbols: &[Symbol],
) -> Option<Symbols> {
    let called = symbols.first()?;
    let start = callee::of_call_before(address)?;
    // To look up a name takes longer, if it is the first of its part of the program.
    if is_in_function(next, start) {
        return None;
    }
    // A return address is in the function, not at its start.
    let callee = resolve(ReturnAddress(start.checked_add(1)?));
    let tail_caller = callee.first()?;
    // Where functions of the same code were made one, names are no longer what they were.
    (tail_caller.name != called.name && !tail_caller.name.is_empty()).then(|| Arc::clone(&callee))
}

/// How many times an address has been looked up since the process started.
pub(crate) fn look_ups() -> usize {
    LOOK_UPS.load(Ordering::Relaxed)
}

fn look_up(address: ReturnAddress) -> Symbols {
    LOOK_UPS.fetch_add(1, Ordering::Relaxed);
    let mut symbols = Vec::new();
    let ip = std::ptr::without_provenance_mut(address.0);
    // Takes the address of the instruction after the call, as it is on the stack.
    backtrace::resolve(ip, |symbol| {
        let name = symbol.name().map(|name| format!("{name:#}"));
        let file = symbol.filename().map(|file| file.to_string_lossy());
        if name.is_none() && file.is_none() {
            return;
        }
        symbols.push(Symbol::new(
            name.as_deref().unwrap_or_default(),
            file.as_deref(),
            symbol.lineno(),
            symbol.colno(),
        ));
    });
    // They come with the innermost first.
    symbols.reverse();
    symbols.into()
}

impl Symbol {
    /// Whether it is where the recording of a stack begins: what it calls is of no interest.
    pub(crate) fn is_recording(&self) -> bool {
        const RECORDING: [&str; 3] = [
            "tasktrace::capture::waker::clone",
            "tasktrace::capture::waker::wake_by_ref",
            "tasktrace::capture::here",
        ];
        RECORDING.contains(&&*self.function)
    }

    /// Whether it is a function of another language, such as one of the C library.
    pub(crate) fn is_foreign(&self) -> bool {
        let in_rust = |file: &str| file.ends_with(".rs");
        self.class == Class::User
            && !self.function.contains("::")
            && !self.file.as_deref().is_some_and(in_rust)
    }

    fn new(name: &str, file: Option<&str>, line: Option<u32>, column: Option<u32>) -> Self {
        let mut split = name::split(name);
        let class = class::of(name, &split, file);
        if matches!(class, Class::User | Class::Runtime) && !split.function.contains("::") {
            // The debug information has only lines: no paths, and no names for async fns.
            let from_source = file.zip(line);
            let from_source =
                from_source.and_then(|(file, line)| source::function_at(file.as_ref(), line));
            // Of runtimes, the file alone tells something.
            if class == Class::User || from_source.is_some() {
                split.complete(from_source);
            }
        }
        Self {
            name: name.into(),
            function: split.function.into(),
            closures: split.closures,
            class,
            file: file.map(Arc::from),
            line,
            column,
        }
    }
}
