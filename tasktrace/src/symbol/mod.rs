//! Resolves addresses to names, files and lines.
//!
//! An address is resolved once in a process, when it is first printed or inspected, through the `backtrace` crate.
//! While the program's file or a source file cannot be opened because file descriptors or memory have run out, results
//! are not cached. A [`Symbol`] has the raw name and path, and the parts that `origin`, [`path`] and [`class`] derive
//! from them.
#![forbid(unsafe_code)]

mod callee;
mod class;
mod path;
mod source;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

pub(crate) use crate::origin::split_name;
use crate::origin::with_slashes;
pub(crate) use class::{Class, is_runtime, learn_crate};
pub(crate) use path::{PathShortener, is_in_library, learn_workspace, module};

use crate::os;
pub(crate) use crate::os::program::is_file_gone as is_program_file_gone;
use crate::sync::{self, LockedMap, fork};
pub(crate) use crate::unwind::ReturnAddress;
use crate::unwind::is_in_function;

/// A function at an address. If functions were inlined, an address has several.
#[derive(Debug)]
pub(crate) struct Symbol {
    /// The demangled name without its hash, as the compiler spells it.
    pub(crate) name: Arc<str>,
    /// The path of the function, without generics and closures: `krate::Type::method`.
    pub(crate) function: Arc<str>,
    /// The number of closures, async blocks and bodies of async fns in the function that the code is nested in.
    pub(crate) closures: usize,
    pub(crate) class: Class,
    /// `true` if the function belongs to a library and not to the program.
    pub(crate) is_library: bool,
    pub(crate) file: Option<Arc<str>>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    /// The address, if the debug information has a file but no line for it.
    pub(crate) address_without_line: Option<ReturnAddress>,
}

/// The functions at an address, the outermost first.
pub(crate) type Symbols = Arc<[Symbol]>;

/// The resolved addresses. The map grows with the number of call sites in the program.
static RESOLVED: LockedMap<ReturnAddress, Symbols> = LockedMap::new();

/// The number of look-ups so far, for a test that each address is looked up once.
static LOOK_UPS: AtomicUsize = AtomicUsize::new(0);

/// The number of look-ups that found nothing or less because the program's file or a source file could not be opened.
static FAILURES: AtomicUsize = AtomicUsize::new(0);

/// The error number of the last failed look-up. It is written before `FAILURES` is incremented.
static LAST_ERROR: AtomicI32 = AtomicI32::new(0);

/// The number of look-ups that had failed at some moment because the program's file or a source file could not be
/// opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LookupFailures(usize);

impl LookupFailures {
    pub(crate) fn so_far() -> Self {
        Self(FAILURES.load(Ordering::Acquire))
    }

    /// Returns the error number of the last failed look-up on any thread, if a look-up has failed since.
    pub(crate) fn since(self) -> Option<i32> {
        (Self::so_far() != self).then(|| LAST_ERROR.load(Ordering::Relaxed))
    }
}

/// Returns the functions at `address`, or an empty list if the address is unknown.
pub(crate) fn resolve(address: ReturnAddress) -> Symbols {
    if let Some(known) = RESOLVED.get(&address) {
        return known;
    }
    if sync::is_reentrant() {
        // A look-up has called an allocator of the program, and that requests another look-up.
        return Arc::default();
    }
    LOOK_UPS.fetch_add(1, Ordering::Relaxed);
    let (mut symbols, mut failure) = look_up_names(address);
    if symbols.is_empty() && !fork::is_lookup_blocked() {
        // `backtrace` returns nothing both for an address without a name and if it could not open the program's file.
        (symbols, failure) = match os::program::try_to_map() {
            Err(error) => (symbols, Some(error)),
            // The file can be opened now, but opening it may have failed a moment ago.
            Ok(()) => look_up_names(address),
        };
    }
    if let Some(error) = failure {
        LAST_ERROR.store(error.raw_os_error().unwrap_or(0), Ordering::Relaxed);
        FAILURES.fetch_add(1, Ordering::Release);
        return symbols;
    }
    match RESOLVED.insert(address, Arc::clone(&symbols)) {
        Ok(()) => symbols,
        // Another thread has looked up the address at the same time.
        Err(_) => RESOLVED.get(&address).unwrap_or(symbols),
    }
}

/// Returns the function that was called at `address`, if it has ended with a tail call of the function at `next`.
/// `symbols` are the functions at `next`, which is the next address on the stack.
///
/// The line of the result is the first line of the function.
pub(crate) fn tail_caller(
    address: ReturnAddress,
    next: ReturnAddress,
    symbols: &[Symbol],
) -> Option<Symbols> {
    let called = symbols.first()?;
    let start = callee::callee_of_call_before(address)?;
    // This check avoids a look-up, which takes long if it is the first in its part of the program.
    if is_in_function(next, start) {
        return None;
    }
    // `resolve` takes a return address, which is behind the start of the function.
    let callee = resolve(ReturnAddress(start.checked_add(1)?));
    let tail_caller = callee.first()?;
    // If the linker has merged functions with the same code, the same function may have several names.
    (tail_caller.name != called.name && !tail_caller.name.is_empty()).then(|| Arc::clone(&callee))
}

/// Returns the number of look-ups since the process started.
pub(crate) fn look_ups() -> usize {
    LOOK_UPS.load(Ordering::Relaxed)
}

/// Frees the debug information that was read, which is large. It is read again for the next unknown address.
#[cfg(feature = "http")]
pub(crate) fn forget_debug_info() {
    fork::look_up_names(backtrace::clear_symbol_cache);
}

/// Looks up an address. Also returns an error if names are missing because a source file could not be read now.
fn look_up_names(address: ReturnAddress) -> (Symbols, Option<io::Error>) {
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

/// A function at an address, as stated in the debug information.
struct RawSymbol {
    address: ReturnAddress,
    name: String,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
}

impl RawSymbol {
    fn address_without_line(&self) -> Option<ReturnAddress> {
        (self.file.is_some() && self.line.is_none()).then_some(self.address)
    }
}

/// Looks up an address in the debug information.
fn look_up_exactly(address: ReturnAddress) -> Vec<RawSymbol> {
    // In debug information, 0 stands for an unknown number.
    let known = |number: Option<u32>| number.filter(|number| *number != 0);
    let mut functions = Vec::new();
    // `backtrace::resolve` takes a return address, which is that of the instruction after the call.
    let ip = std::ptr::without_provenance_mut(address.0);
    let add = |symbol: &backtrace::Symbol| {
        let name = symbol.name().map(|name| format!("{name:#}"));
        let file = symbol
            .filename()
            .map(|file| with_slashes(&file.to_string_lossy()).into_owned());
        if name.is_some() || file.is_some() {
            functions.push(RawSymbol {
                address,
                name: name.unwrap_or_default(),
                file,
                line: known(symbol.lineno()),
                column: known(symbol.colno()),
            });
        }
    };
    fork::look_up_names(|| backtrace::resolve(ip, add));
    // `backtrace::resolve` passes the innermost function first.
    functions.reverse();
    functions
}

/// The number of bytes before an instruction that are searched for an instruction with a line.
const MAX_LINE_DISTANCE: usize = 64;

/// Gives the innermost function at `address` the line of the nearest earlier instruction that has one.
///
/// Some instructions belong to no line, such as the jump at the end of a loop, and a thread may be interrupted at any
/// instruction.
fn complete_line(address: ReturnAddress, functions: &mut [RawSymbol]) {
    for back in 1..=MAX_LINE_DISTANCE {
        let Some(before) = address.0.checked_sub(back) else {
            return;
        };
        let mut before = look_up_exactly(ReturnAddress(before));
        let names =
            |functions: &[RawSymbol]| functions.first().map(|outermost| outermost.name.clone());
        if names(&before) != names(functions) {
            // The earlier address belongs to another function.
            return;
        }
        // Further functions that are inlined at the earlier address are callees of the innermost function.
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
    /// Returns `true` for a function of another language, for example of the C library.
    pub(crate) fn is_foreign(&self) -> bool {
        let in_rust = |file: &str| file.ends_with(".rs");
        self.class == Class::User
            && !self.function.contains("::")
            && !self.file.as_deref().is_some_and(in_rust)
    }

    /// Returns `true` if the function has the name of a method that polls: `poll…` or `try_poll…`.
    pub(crate) fn is_poll_method(&self) -> bool {
        let method = self.function.rsplit("::").next().unwrap_or_default();
        method.starts_with("poll") || method.starts_with("try_poll")
    }

    /// Returns `true` for the functions of the standard library that call the panic hook.
    pub(crate) fn begins_panic(&self) -> bool {
        let function = &*self.function;
        self.class == Class::Std
            && (function.starts_with("core::panicking::")
                || function.starts_with("std::panicking::begin_panic")
                || function.ends_with("rust_begin_unwind"))
    }

    fn new(raw: &RawSymbol, failure: &mut Option<io::Error>) -> Self {
        let (name, file, line) = (&*raw.name, raw.file.as_deref(), raw.line);
        let mut split = split_name(name);
        let class = class::classify(name, &split, file);
        if let Some(file) = file.filter(|file| class == Class::User && file.ends_with(".rs")) {
            path::learn_from_sources(file);
        }
        if matches!(class, Class::User | Class::Runtime) && !split.function.contains("::") {
            // The debug information has only lines. It has no paths, and no names of async fns.
            let from_source = file.zip(line);
            let from_source =
                from_source.map(|(file, line)| source::function_at(file.as_ref(), line));
            let from_source = from_source.transpose().unwrap_or_else(|error| {
                *failure = Some(error);
                None
            });
            let from_source = from_source.flatten();
            // For a function of a runtime, the name without a path stays, because readers learn more from the file.
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
            address_without_line: raw.address_without_line(),
        }
    }
}

#[cfg(all(test, not(miri), not(tasktrace_loom)))]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// Spins in a loop. The jump back to the beginning of the loop belongs to no line.
    async fn spins() {
        while std::hint::black_box(true) {
            std::hint::spin_loop();
        }
    }

    /// Returns the start of the code that polls a future.
    fn code_of<F: Future>(_: F) -> usize {
        let poll: fn(Pin<&mut F>, &mut Context<'_>) -> Poll<F::Output> = F::poll;
        (poll as *const ()).addr()
    }

    /// The nested look-up stands for that of an allocator, which a look-up calls.
    #[test]
    fn a_look_up_within_a_look_up_finds_nothing() {
        // No other test looks up the prologue of this future.
        let address = ReturnAddress(code_of(async {}) + 1);
        let nested = fork::look_up_names(|| resolve(address)).expect("this is no child of a fork");
        assert!(nested.is_empty());
        assert!(!resolve(address).is_empty());
    }

    #[test]
    fn each_instruction_has_a_line() {
        let start = code_of(spins());
        let name = |symbols: &Symbols| symbols.first().map(|symbol| Arc::clone(&symbol.name));
        let at = |at: usize| look_up_names(ReturnAddress(start + 1 + at)).0;
        let own = name(&at(0)).expect("tests have debug information");
        let mut seen = 0;
        // The code behind the function has its name, but no file.
        let is_own = |symbols: &Symbols| {
            let file = symbols.first().and_then(|symbol| symbol.file.as_ref());
            name(symbols).as_deref() == Some(&*own) && file.is_some()
        };
        for symbols in (0..4096).map(at).take_while(is_own) {
            let innermost = symbols.last().expect("the list is not empty");
            assert!(innermost.line.is_some(), "byte {seen}: {symbols:?}");
            seen += 1;
        }
        assert!((4..4096).contains(&seen), "{seen} bytes");
    }
}
