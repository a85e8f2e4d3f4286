//! From addresses to names, files and lines.
//!
//! An address is resolved once for the process, when it is first printed or inspected, through
//! the `backtrace` crate. Nothing is remembered while the program's file, or a source file, cannot
//! be opened for want of file descriptors or memory. What comes out is data for the reader: the raw name and path, and what
//! `origin`'s names, [`path`] and [`class`] make of them.
#![forbid(unsafe_code)]

mod callee;
mod class;
mod path;
mod source;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

pub(crate) use crate::origin::split_name;
pub(crate) use class::{Class, is_runtime, learn_crate};
pub(crate) use path::{Paths, is_in_library, learn_workspace, module};

use crate::os;
use crate::sync::{self, Map, fork};
pub(crate) use crate::unwind::ReturnAddress;
use crate::unwind::is_in_function;

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
    /// The function is a library's, and not the program's own.
    pub(crate) is_library: bool,
    pub(crate) file: Option<Arc<str>>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
}

/// The functions at an address, the outermost first.
pub(crate) type Symbols = Arc<[Symbol]>;

/// What has been resolved so far. It grows with the number of call sites in the program.
static RESOLVED: Map<ReturnAddress, Symbols> = Map::new();

/// For the test that this happens once an address.
static LOOK_UPS: AtomicUsize = AtomicUsize::new(0);

/// How many look-ups found nothing, or less, because the program's file or a source file could not be opened.
static FAILURES: AtomicUsize = AtomicUsize::new(0);

/// The error number of the last of them. Written before they are counted.
static FAILURE: AtomicI32 = AtomicI32::new(0);

/// The look-ups that had failed at some moment because the program's file or a source file could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failures(usize);

impl Failures {
    pub(crate) fn so_far() -> Self {
        Self(FAILURES.load(Ordering::Acquire))
    }

    /// Returns the error number of the last look-up that has failed since, on any thread.
    pub(crate) fn since(self) -> Option<i32> {
        (Self::so_far() != self).then(|| FAILURE.load(Ordering::Relaxed))
    }
}

/// The functions at `address`. Empty if nothing is known about it.
pub(crate) fn resolve(address: ReturnAddress) -> Symbols {
    if let Some(known) = RESOLVED.get(&address) {
        return known;
    }
    if sync::is_inside() {
        // An allocator that is called by a look-up asks for another.
        return Arc::default();
    }
    LOOK_UPS.fetch_add(1, Ordering::Relaxed);
    let (mut symbols, mut failure) = look_up(address);
    if symbols.is_empty() && !fork::are_names_lost() {
        // `backtrace` does not tell an address without a name from a file that it could not open.
        (symbols, failure) = match os::program::try_to_map() {
            Err(error) => (symbols, Some(error)),
            // It can be opened now, but may have been refused a moment ago.
            Ok(()) => look_up(address),
        };
    }
    if let Some(error) = failure {
        FAILURE.store(error.raw_os_error().unwrap_or(0), Ordering::Relaxed);
        FAILURES.fetch_add(1, Ordering::Release);
        return symbols;
    }
    match RESOLVED.insert(address, Arc::clone(&symbols)) {
        Ok(()) => symbols,
        // Another thread has looked it up meanwhile.
        Err(_) => RESOLVED.get(&address).unwrap_or(symbols),
    }
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

/// Gives back what was read of debug information, which is much. It is read again for the next address that
/// is not known yet.
#[cfg(feature = "http")]
pub(crate) fn forget_debug_info() {
    fork::look_up(backtrace::clear_symbol_cache);
}

/// Looks up an address. Returns the error too if there is less because a source file could not be read now.
fn look_up(address: ReturnAddress) -> (Symbols, Option<io::Error>) {
    let mut raw = look_up_exactly(address);
    if raw
        .last()
        .is_some_and(|innermost| innermost.file.is_some() && innermost.line.is_none())
    {
        complete_line(address, &mut raw);
    }
    let mut failure = None;
    let symbols = raw
        .iter()
        .map(|raw| Symbol::new(raw, &mut failure))
        .collect();
    (symbols, failure)
}

/// A function at an address, as the debug information has it.
struct Raw {
    name: String,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
}

fn look_up_exactly(address: ReturnAddress) -> Vec<Raw> {
    // In debug information, 0 stands for a number that is not known.
    let known = |number: Option<u32>| number.filter(|number| *number != 0);
    let mut functions = Vec::new();
    // Takes the address of the instruction after the call, as it is on the stack.
    let ip = std::ptr::without_provenance_mut(address.0);
    let add = |symbol: &backtrace::Symbol| {
        let name = symbol.name().map(|name| format!("{name:#}"));
        let file = symbol
            .filename()
            .map(|file| file.to_string_lossy().into_owned());
        if name.is_some() || file.is_some() {
            functions.push(Raw {
                name: name.unwrap_or_default(),
                file,
                line: known(symbol.lineno()),
                column: known(symbol.colno()),
            });
        }
    };
    fork::look_up(|| backtrace::resolve(ip, add));
    // They come with the innermost first.
    functions.reverse();
    functions
}

/// So many bytes before an instruction without a line, one with a line is looked for.
const NEAREST_LINE: usize = 64;

/// Gives the innermost of the functions at `address` the line of the nearest instruction before that has one.
///
/// Some instructions belong to no line, such as the jump at the end of a loop, and a thread may be interrupted at any.
fn complete_line(address: ReturnAddress, functions: &mut [Raw]) {
    for back in 1..=NEAREST_LINE {
        let Some(before) = address.0.checked_sub(back) else {
            return;
        };
        let mut before = look_up_exactly(ReturnAddress(before));
        let names = |functions: &[Raw]| functions.first().map(|outermost| outermost.name.clone());
        if names(&before) != names(functions) {
            // The function begins after that.
            return;
        }
        // What else is inlined there lies deeper.
        before.truncate(functions.len());
        let is_same = before.len() == functions.len()
            && before
                .iter()
                .zip(&*functions)
                .all(|(before, function)| before.name == function.name);
        if let (true, Some(before), Some(innermost)) =
            (is_same, before.last(), functions.last_mut())
            && before.line.is_some()
        {
            (innermost.line, innermost.column) = (before.line, before.column);
            return;
        }
    }
}

impl Symbol {
    /// Whether it is a function of another language, such as one of the C library.
    pub(crate) fn is_foreign(&self) -> bool {
        let in_rust = |file: &str| file.ends_with(".rs");
        self.class == Class::User
            && !self.function.contains("::")
            && !self.file.as_deref().is_some_and(in_rust)
    }

    /// Returns `true` for the functions of the standard library that call the panic hook.
    pub(crate) fn begins_panic(&self) -> bool {
        let function = &*self.function;
        self.class == Class::Std
            && (function.starts_with("core::panicking::")
                || function.starts_with("std::panicking::begin_panic")
                || function.ends_with("rust_begin_unwind"))
    }

    fn new(raw: &Raw, failure: &mut Option<io::Error>) -> Self {
        let (name, file, line) = (&*raw.name, raw.file.as_deref(), raw.line);
        let mut split = split_name(name);
        let class = class::of(name, &split, file);
        if let Some(file) = file.filter(|file| class == Class::User && file.ends_with(".rs")) {
            path::learn_from_sources(file);
        }
        if matches!(class, Class::User | Class::Runtime) && !split.function.contains("::") {
            // The debug information has only lines: no paths, and no names for async fns.
            let from_source = file.zip(line);
            let from_source =
                from_source.map(|(file, line)| source::function_at(file.as_ref(), line));
            let from_source = from_source.transpose().unwrap_or_else(|error| {
                *failure = Some(error);
                None
            });
            let from_source = from_source.flatten();
            // Of runtimes, the file alone tells something.
            if class == Class::User || from_source.is_some() {
                split.complete(from_source);
            }
        }
        let is_library = class::is_library(&split, class, file);
        Self {
            name: name.into(),
            function: split.function.into(),
            closures: split.closures,
            class,
            is_library,
            file: file.map(Arc::from),
            line,
            column: raw.column,
        }
    }
}

#[cfg(all(test, not(miri), not(tasktrace_loom)))]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// The jump back to the beginning of the loop belongs to no line.
    async fn spins() {
        while std::hint::black_box(true) {
            std::hint::spin_loop();
        }
    }

    /// The start of the code that polls a future.
    fn code_of<F: Future>(_: F) -> usize {
        let poll: fn(Pin<&mut F>, &mut Context<'_>) -> Poll<F::Output> = F::poll;
        (poll as *const ()).addr()
    }

    /// As an allocator asks that `backtrace` calls.
    #[test]
    fn no_name_is_looked_up_while_the_tables_of_backtrace_are_in_use() {
        // Its prologue, which no other test looks up.
        let address = ReturnAddress(code_of(async {}) + 1);
        let nested = fork::look_up(|| resolve(address)).expect("this is no child of a fork");
        assert!(nested.is_empty());
        assert!(!resolve(address).is_empty());
    }

    #[test]
    fn each_instruction_has_a_line() {
        let start = code_of(spins());
        let name = |symbols: &Symbols| symbols.first().map(|symbol| Arc::clone(&symbol.name));
        let at = |at: usize| look_up(ReturnAddress(start + 1 + at)).0;
        let own = name(&at(0)).expect("tests have debug information");
        let mut seen = 0;
        // What comes after it is named after it, but belongs to no file.
        let is_own = |symbols: &Symbols| {
            let file = symbols.first().and_then(|symbol| symbol.file.as_ref());
            name(symbols).as_deref() == Some(&*own) && file.is_some()
        };
        for symbols in (0..4096).map(at).take_while(is_own) {
            let innermost = symbols.last().expect("it has a name");
            assert!(innermost.line.is_some(), "byte {seen}: {symbols:?}");
            seen += 1;
        }
        assert!((4..4096).contains(&seen), "{seen} bytes");
    }
}
