//! Frames of functions that park a thread.
//!
//! A worker of a runtime that has no task to poll parks. The functions that park it get no value of the program. But
//! their frames may lie where those of an earlier poll were, and still contain its words, such as pointers to locks.
//! Only the registers that they store for their callers contain values of the program.
//!
//! The frames are found by unwinding from the system call that the thread is in: through functions of the C library,
//! then through functions of the standard library and of runtimes. They end with the outermost function that parks. If
//! a function is unknown, or an unwind table needs a register that is unknown, the frames before it are all that is
//! found.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use crate::address::Address;
use crate::bytes::u64_at;
use crate::debug::{DebugFile, Registers, UnwindTables};
use crate::memory::{Code, Memory, Thread};

/// The largest number of frames of one thread.
const FRAMES: usize = 100;

/// The length of the beginning of a file that is compared with the memory.
const COMPARED: usize = 4096;

/// Crates with functions that park threads, and with the functions that these call.
const CRATES: &[&str] = &[
    "alloc",
    "core",
    "lock_api",
    "mio",
    "parking_lot",
    "parking_lot_core",
    "std",
    "tokio",
];

/// A loaded file.
struct Library {
    file: DebugFile,
    /// The distance by which it was moved when it was loaded.
    bias: u64,
    /// The addresses of its code.
    range: Range<u64>,
}

/// The program that the threads execute.
pub(crate) struct Program<'p> {
    pub(crate) memory: &'p dyn Memory,
    pub(crate) image: &'p DebugFile,
    /// The distance by which the program was moved when it was loaded.
    pub(crate) bias: u64,
    pub(crate) code: &'p [Code],
    /// The crates of the program, which may have the name of a listed one.
    pub(crate) own_crates: &'p BTreeSet<&'p str>,
}

/// The frames that park a thread.
#[derive(Clone, Debug)]
pub(crate) struct ParkedFrames {
    /// The stack pointer of the caller of the outermost function.
    pub(crate) end: Address,
    /// The places among the frames at which registers of that caller are stored.
    pub(crate) stored: Vec<Address>,
}

/// Returns the frames that park each thread. Threads that are not parked are left out.
pub(crate) fn frames(program: &Program<'_>, threads: &[Thread]) -> BTreeMap<u32, ParkedFrames> {
    let functions = program.image.functions();
    let Some(tables) = program.image.unwind_tables() else {
        return BTreeMap::new();
    };
    let libraries = program.libraries(threads);
    let libraries: Vec<(&Library, UnwindTables<'_>)> = libraries
        .iter()
        .filter_map(|library| Some((library, library.file.unwind_tables()?)))
        .collect();
    let library_of = |address: u64| {
        let mut libraries = libraries.iter();
        libraries.find(|(library, _)| library.range.contains(&address))
    };
    let frames = |thread: &Thread| {
        let mut registers = Registers::new(thread.instruction?.get(), thread.stack_pointer?.get());
        let mut address = registers.instruction;
        let mut frames = None;
        // A system call is in the C library.
        for _ in 0..FRAMES {
            let Some((library, tables)) = library_of(address) else {
                break;
            };
            let linked = address.wrapping_sub(library.bias);
            registers = tables.caller(linked, registers, |address| program.word(address))?;
            address = address_of_call(registers);
        }
        for _ in 0..FRAMES {
            let linked = address.wrapping_sub(program.bias);
            let Some(name) = function_at(&functions, linked) else {
                break;
            };
            let name = format!("{:#}", rustc_demangle::demangle(name));
            if !is_of_listed_crates(&name, program.own_crates) {
                break;
            }
            let caller = tables.caller(linked, registers, |address| program.word(address));
            let Some(caller) = caller else {
                break;
            };
            registers = caller;
            address = address_of_call(registers);
            let is_function = function_at(&functions, address.wrapping_sub(program.bias)).is_some();
            if is_function && parks(&name) {
                let stored = registers.stored.into_iter().flatten();
                frames = Some(ParkedFrames {
                    end: Address::new(registers.stack_pointer),
                    stored: stored.map(Address::new).collect(),
                });
            }
        }
        Some((thread.id, frames?))
    };
    threads.iter().filter_map(frames).collect()
}

/// Returns an address in the call to which the registers belong. The address after it may be that of another function.
fn address_of_call(registers: Registers) -> u64 {
    registers.instruction.wrapping_sub(1)
}

impl Program<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.memory.read(Address::new(address), &mut bytes).ok()?;
        u64_at(&bytes, 0)
    }

    /// Opens the libraries in which threads are.
    fn libraries(&self, threads: &[Thread]) -> Vec<Library> {
        let mut found: BTreeMap<PathBuf, Library> = BTreeMap::new();
        for thread in threads {
            let code = thread.instruction.and_then(|instruction| {
                let mut code = self.code.iter();
                code.find(|code| code.range.contains(&instruction.get()))
            });
            if let Some(code) = code
                && !found.contains_key(&code.path)
                && let Some(library) = self.library(code)
            {
                found.insert(code.path.clone(), library);
            }
        }
        found.into_values().collect()
    }

    /// Opens a library, if it is the one that was loaded.
    fn library(&self, code: &Code) -> Option<Library> {
        let file = DebugFile::open(&code.path).ok()?;
        let bias = code.range.start.wrapping_sub(file.address_of(code.place)?);
        let start = file.first_bytes(COMPARED);
        let mut loaded = vec![0; start.len()];
        let at = Address::new(file.start().wrapping_add(bias));
        self.memory.read(at, &mut loaded).ok()?;
        (loaded == start).then(|| Library {
            bias,
            range: code.range.clone(),
            file,
        })
    }
}

/// Returns the name of the function at an address.
fn function_at<'f>(functions: &[(Range<u64>, &'f str)], address: u64) -> Option<&'f str> {
    let after = functions.partition_point(|(range, _)| range.start <= address);
    let (range, name) = functions.get(after.checked_sub(1)?)?;
    range.contains(&address).then_some(name)
}

/// Returns `true` if a demangled name consists of names of the listed crates. A function of another crate, or one with
/// its types or closures, may contain code of the program. So may the functions that call a function value.
fn is_of_listed_crates(name: &str, own_crates: &BTreeSet<&str>) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let mut crates = 0;
    let mut rest = name;
    while let Some(start) = rest.find(is_word) {
        let before = &rest[..start];
        let word = &rest[start..];
        let end = word.find(|char| !is_word(char)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        if after.starts_with("::") && !before.ends_with("::") {
            if !CRATES.contains(&word) || own_crates.contains(word) {
                return false;
            }
            crates += 1;
        }
        rest = after;
    }
    crates > 0 && !name.starts_with("core::ops::function::")
}

/// Returns `true` for functions that park the thread, and for closures in them. The other functions with such names get
/// no value of the program either, except those of `tokio::sync`, which call closures of the program.
fn parks(name: &str) -> bool {
    if name.trim_start_matches('<').starts_with("tokio::sync::") {
        return false;
    }
    let name = without_generic_arguments(name);
    let mut segments = name.rsplit("::");
    let function = segments.find(|segment| !segment.is_empty() && !segment.starts_with('{'));
    function.is_some_and(|name| {
        name.starts_with("park") || ["wait", "wait_for", "wait_timeout"].contains(&name)
    })
}

/// Removes the parts in angle brackets.
fn without_generic_arguments(name: &str) -> String {
    let mut depth = 0_usize;
    let mut is_outside = |char| {
        match char {
            '<' => depth += 1,
            '>' => {
                depth = depth.saturating_sub(1);
                return false;
            }
            _ => {}
        }
        depth == 0
    };
    name.chars().filter(|char| is_outside(*char)).collect()
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use std::hint::black_box;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;
    use crate::memory::ProcessMemory;

    /// Sends the address of a variable of its frame, and the number of its thread. Then it calls `wait`.
    #[inline(never)]
    fn wait_above_variable(sender: &Sender<(u32, u64)>, wait: impl FnOnce()) {
        let variable = [0_u64; 16];
        let address = black_box(&variable).as_ptr().expose_provenance() as u64;
        // SAFETY: The call has no arguments and cannot fail.
        let id = unsafe { libc::gettid() };
        sender.send((id as u32, address)).unwrap();
        wait();
        black_box(&variable);
    }

    /// Returns the thread once it is in a system call other than that of the channel, where its stack stays the same.
    fn end_of(
        messages: &Receiver<(u32, u64)>,
        is_there: impl Fn(Option<Address>) -> bool,
    ) -> (u64, Option<Address>) {
        let (variable, frames) = frames_of(messages, |it| is_there(it.map(|it| it.end)));
        (variable, frames.map(|it| it.end))
    }

    fn frames_of(
        messages: &Receiver<(u32, u64)>,
        are_there: impl Fn(Option<&ParkedFrames>) -> bool,
    ) -> (u64, Option<ParkedFrames>) {
        let (id, variable) = messages.recv().unwrap();
        let memory = ProcessMemory::own().unwrap();
        let image = DebugFile::open(Path::new("/proc/self/exe")).unwrap();
        let program = Program {
            memory: &memory,
            image: &image,
            bias: memory.entry().unwrap().wrapping_sub(image.entry()),
            code: &memory.code(),
            own_crates: &BTreeSet::new(),
        };
        loop {
            let mut threads = memory.threads();
            threads.retain(|thread| thread.id == id);
            let frames = frames(&program, &threads).remove(&id);
            if threads[0].stack_pointer.is_some() && are_there(frames.as_ref()) {
                assert!(threads[0].stack_pointer.unwrap() < Address::new(variable));
                return (variable, frames);
            }
            thread::yield_now();
        }
    }

    #[test]
    fn the_frames_that_park_a_thread_end_below_those_of_the_program() {
        let (sender, messages) = channel();
        let parked = thread::spawn(move || wait_above_variable(&sender, thread::park));
        let (variable, end) = end_of(&messages, |end| end.is_some());
        assert!(end.unwrap() <= Address::new(variable));
        parked.thread().unpark();
        parked.join().unwrap();
    }

    #[test]
    fn registers_of_the_program_that_are_stored_by_the_functions_that_park_are_found() {
        const VALUE: u64 = 0x5afe_0123_4567_89ab;
        extern "C" fn park() {
            thread::park();
        }
        let (sender, messages) = channel();
        let parked = thread::spawn(move || {
            wait_above_variable(&sender, || {
                // SAFETY: The stack is aligned for calls, because `asm!` aligns it. The function keeps these registers,
                // and does not unwind.
                unsafe {
                    std::arch::asm!(
                        "call {park}",
                        park = sym park,
                        in("r12") VALUE,
                        in("r13") VALUE,
                        in("r14") VALUE,
                        in("r15") VALUE,
                        clobber_abi("C"),
                    );
                }
            });
        });
        let (_, frames) = frames_of(&messages, |frames| frames.is_some());
        let stored = frames.unwrap().stored;
        // SAFETY: The thread is parked, so its stack is alive.
        let words = stored.iter().map(|at| unsafe {
            std::ptr::with_exposed_provenance::<u64>(at.get() as usize).read_volatile()
        });
        assert!(
            words.filter(|word| *word == VALUE).count() > 0,
            "{stored:?}"
        );
        parked.thread().unpark();
        parked.join().unwrap();
    }

    #[test]
    fn a_thread_in_another_call_is_not_parked() {
        let (sender, messages) = channel();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let blocked = thread::spawn(move || {
            wait_above_variable(&sender, || {
                std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
            });
        });
        let (_, end) = end_of(&messages, |end| end.is_none());
        assert_eq!(end, None);
        drop(writer);
        blocked.join().unwrap();
    }

    #[test]
    fn functions_that_park_are_recognised_by_name() {
        for name in [
            "std::thread::park",
            "tokio::runtime::park::CachedParkThread::park::{{closure}}",
            "tokio::runtime::scheduler::multi_thread::worker::Context::park_internal",
            "std::sync::poison::condvar::Condvar::wait_timeout",
            "<std::sys::sync::condvar::futex::Condvar>::wait",
            "<std::sync::poison::condvar::Condvar>::wait::<alloc::vec::Vec<u8>>",
        ] {
            assert!(parks(name), "{name}");
        }
        for name in [
            "tokio::runtime::park::CachedParkThread::block_on",
            "std::sync::poison::condvar::Condvar::wait_while",
            "tokio::runtime::scheduler::multi_thread::park::Inner::shutdown",
            // It calls a closure of the program.
            "tokio::sync::watch::Receiver<T>::wait_for::{{closure}}",
            "<tokio::sync::watch::Receiver<u8>>::wait_for::<fn(&u8) -> bool>::{closure#0}",
            "std::sys::backtrace::__rust_begin_short_backtrace::<std::park_all::{closure#0}, ()>",
        ] {
            assert!(!parks(name), "{name}");
        }
    }

    #[test]
    fn functions_that_may_contain_code_of_the_program_are_not_of_listed_crates() {
        for name in [
            "std::thread::park",
            "<std::sys::sync::condvar::futex::Condvar>::wait",
            "<&mut tokio::park::Parker as core::fmt::Debug>::fmt",
            "tokio::runtime::park::CachedParkThread::park::{{closure}}",
            "<parking_lot::condvar::Condvar>::wait::<alloc::vec::Vec<&'a mut [u8]>>",
        ] {
            assert!(is_of_listed_crates(name, &BTreeSet::new()), "{name}");
        }
        for name in [
            "shop::park",
            "<[shop::Order]>::len",
            "<alloc::sync::Arc<shop::Lot> as shop::Park>::park",
            "<alloc::sync::Arc<shop::Lot> as core::future::future::Future>::poll",
            "std::sys::backtrace::__rust_begin_short_backtrace::<shop::park_all::{closure#0}, ()>",
            "core::ops::function::Fn::call",
            // A program may be called so.
            "parking::park",
            "main",
            "park",
            "",
        ] {
            assert!(!is_of_listed_crates(name, &BTreeSet::new()), "{name}");
        }
        // The program is called so.
        assert!(!is_of_listed_crates("mio::park", &BTreeSet::from(["mio"])));
    }
}
