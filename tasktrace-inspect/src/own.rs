//! Reads the tasks of this process repeatedly, on one of its own threads.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::debug::{DebugFile, Kind, TypeId, Types};
use crate::error::Error;
use crate::limits::Limits;
use crate::report::Report;
use crate::tokio::KnownLists;
use crate::value::{Reader, Value};

/// A future whose place its owner knows, so that it is found whatever executor polls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The number that the owner gives to it.
    pub number: u64,
    /// The number that tokio gives to the task around the future, if there is one.
    pub task: Option<u64>,
    /// The address of the future, which is pinned.
    pub future: Address,
    /// The address of the vtable of a type with a field `future`, which is a pointer to the type of the future.
    pub vtable: Address,
    /// The address of a word that changes with each poll. Its lowest bit is set during a poll.
    pub polls: Address,
}

/// The debug info of this process, read once.
///
/// It reads the memory of the process with `process_vm_readv`, so that an address that leads nowhere is an error and no
/// fault. It stops no thread, polls no task, and writes nothing but its own memory.
///
/// ```no_run
/// use tasktrace_inspect::{Limits, OwnProcess};
///
/// let reader = std::thread::Builder::new().stack_size(OwnProcess::STACK);
/// let reader = reader.spawn(|| {
///     OwnProcess::open(|process| println!("{}", process.read(&[], Limits::default()).unwrap()))
/// })?;
/// reader.join().unwrap().unwrap();
/// # std::io::Result::Ok(())
/// ```
pub struct OwnProcess<'i> {
    #[cfg_attr(
        not(all(target_os = "linux", target_arch = "x86_64")),
        allow(dead_code, reason = "other systems are not supported")
    )]
    program: Program<'i>,
}

/// The files of the program that runs.
#[cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    allow(dead_code, reason = "other systems are not supported")
)]
pub(crate) struct Program<'i> {
    pub(crate) image: &'i DebugFile,
    pub(crate) name: PathBuf,
    pub(crate) types: Types<'i>,
    /// The time that reading debug info took.
    pub(crate) indexed: Duration,
    /// The lists of tasks that earlier readings found.
    pub(crate) lists: RefCell<KnownLists>,
    /// The lowest and the highest address of the stack of the thread that reads, which is not searched.
    pub(crate) stack: (Address, Address),
}

impl OwnProcess<'_> {
    /// The size of the stack of the thread that reads, in bytes. Types and memory may be nested deeply.
    pub const STACK: usize = crate::inspect::STACK;

    /// Reads the debug info of this process, and calls `run` with it. This takes from a tenth of a second to some
    /// seconds, depending on the size of the debug info and on the optimisation of this crate.
    ///
    /// The calling thread must have a stack of [`STACK`](Self::STACK) bytes, most of which is not used yet.
    ///
    /// # Errors
    ///
    /// If the executable has no debug info, or its memory may not be read.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub fn open<R>(run: impl FnOnce(&OwnProcess<'_>) -> R) -> Result<R, Error> {
        use crate::debug::{SplitFiles, debug_file};
        use crate::memory::ProcessMemory;

        let begun = std::time::Instant::now();
        let memory = ProcessMemory::own()?;
        let image = DebugFile::open(&memory.executable())?;
        let name = memory.executable_name();
        let name = name.unwrap_or_else(|| image.path().to_owned());
        let separate = debug_file(&image, Some(&name), None)?;
        let info = separate.as_ref().unwrap_or(&image);
        let split = SplitFiles::open(info, &name, None)?;
        let types = Types::load(info, &split, &name)?;
        let process = OwnProcess {
            program: Program {
                image: &image,
                name,
                types,
                indexed: begun.elapsed(),
                lists: RefCell::default(),
                stack: crate::inspect::rest_of_stack(),
            },
        };
        Ok(run(&process))
    }

    /// Fails.
    ///
    /// # Errors
    ///
    /// Always: this system is not supported.
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    pub fn open<R>(_run: impl FnOnce(&OwnProcess<'_>) -> R) -> Result<R, Error> {
        Err(Error::Unsupported)
    }

    /// Reads where the tasks of this process wait: those of tokio, and the futures at `roots`.
    ///
    /// # Errors
    ///
    /// If the memory of the process may not be read.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub fn read(&self, roots: &[Root], limits: Limits) -> Result<Report, Error> {
        crate::inspect::own(&self.program, roots, limits)
    }

    /// Fails.
    ///
    /// # Errors
    ///
    /// Always: this system is not supported.
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    pub fn read(&self, _roots: &[Root], _limits: Limits) -> Result<Report, Error> {
        Err(Error::Unsupported)
    }
}

/// Returns the future at a root with its type, if the debug info has the vtable of the root.
pub(crate) fn future(reader: &Reader<'_, '_>, root: &Root) -> Option<Value> {
    let linked = root.vtable.get().wrapping_sub(reader.bias);
    let wrapper = *reader.types.index().vtables.get(&linked)?;
    let (_, pointer) = reader.offset(wrapper, "future")?;
    Some(Value {
        address: root.future,
        id: target(reader, pointer)?,
    })
}

/// Returns the type that the outermost pointer in a type points to.
fn target(reader: &Reader<'_, '_>, id: TypeId) -> Option<TypeId> {
    let value = Value {
        address: Address::new(0),
        id,
    };
    match reader.ty(reader.find_pointer(value)?)?.kind {
        Kind::Pointer(target) => target,
        _ => None,
    }
}
