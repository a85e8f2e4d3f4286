//! The unwind tables of the program and of its shared libraries, found with `dl_iterate_phdr`.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use gimli::{
    BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, NativeEndian, ParsedEhFrameHdr, UnwindContext,
    UnwindSection as _, UnwindTableRow,
};

use super::rule::{self, Rule};
use crate::sync::{StaticMutex as Mutex, fork};

/// A section of a module that is mapped into this process.
type Section = EndianSlice<'static, NativeEndian>;

/// The tables of all modules.
pub(super) struct Tables {
    modules: Vec<Module>,
}

/// The program or a shared library.
struct Module {
    /// From the first to the last of its addresses.
    range: Range<usize>,
    /// `.eh_frame_hdr`, where an address is looked up.
    index: ParsedEhFrameHdr<Section>,
    /// `.eh_frame`.
    table: EhFrame<Section>,
    /// Where the two are.
    bases: BaseAddresses,
}

impl Tables {
    /// How to find the caller of a function that is at `address`.
    pub(super) fn rule_at(
        &self,
        address: usize,
        context: &mut UnwindContext<usize>,
    ) -> Option<Rule> {
        Rule::of(self.row_at(address, context)?)
    }

    /// Whether the function that is at `address` has no caller: it is where a thread begins.
    pub(super) fn is_outermost(&self, address: usize, context: &mut UnwindContext<usize>) -> bool {
        self.row_at(address, context)
            .is_some_and(rule::is_outermost)
    }

    /// Where the function that is at `address` starts.
    pub(super) fn start_of_function_at(&self, address: usize) -> Option<usize> {
        let module = self.module_of(address)?;
        let entry = module.index.table()?.fde_for_address(
            &module.table,
            &module.bases,
            address as u64,
            EhFrame::cie_from_offset,
        );
        let entry = entry.ok()?;
        // The index has only where functions start.
        let is_in_it = entry.contains(address as u64);
        is_in_it.then(|| entry.initial_address() as usize)
    }

    fn row_at<'a>(
        &self,
        address: usize,
        context: &'a mut UnwindContext<usize>,
    ) -> Option<&'a UnwindTableRow<usize>> {
        let module = self.module_of(address)?;
        let row = module.index.table()?.unwind_info_for_address(
            &module.table,
            &module.bases,
            context,
            address as u64,
            EhFrame::cie_from_offset,
        );
        row.ok()
    }

    /// Whether the address is in a module that has tables.
    pub(super) fn is_code(&self, address: usize) -> bool {
        self.module_of(address).is_some()
    }

    fn module_of(&self, address: usize) -> Option<&Module> {
        let mut modules = self.modules.iter();
        modules.find(|module| module.range.contains(&address))
    }
}

/// How many modules the loader has ever added and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation {
    added: u64,
    removed: u64,
}

/// The loader calls us with a lock of its own held. ThreadSanitizer takes that as well, to report, while it holds
/// others, which it takes in our functions: so with it, what is done often is done without. In what is tested
/// like that, nothing is loaded or unloaded.
const HOLDS_LOADER: bool = !cfg!(tasktrace_tsan);

impl Generation {
    pub(super) fn now() -> Self {
        let mut now = Self::default();
        if !HOLDS_LOADER {
            return now;
        }
        // The counters are the same with every module: look at the first only.
        for_each_module(|info, size| {
            now = Self::of(info, size);
            false
        });
        now
    }

    fn of(info: &libc::dl_phdr_info, size: usize) -> Self {
        // A C library older than the counters passes a shorter structure.
        if size < size_of::<libc::dl_phdr_info>() {
            return Self::default();
        }
        Self {
            added: info.dlpi_adds,
            removed: info.dlpi_subs,
        }
    }
}

/// The tables of `generation`. They are looked for once for all walkers.
pub(super) fn loaded(generation: Generation) -> Arc<Tables> {
    static LOADED: Mutex<Option<(Generation, Arc<Tables>)>> = Mutex::new(None);
    let lock = || LOADED.lock().unwrap_or_else(PoisonError::into_inner);

    let known = lock().clone();
    match known {
        Some((of, tables)) if of == generation => tables,
        // Not under our lock: the loader holds a lock of its own while it calls us.
        _ => {
            let tables = Arc::new(find());
            let before = lock().replace((generation, Arc::clone(&tables)));
            drop(before);
            tables
        }
    }
}

/// Calls `run` while no module can be unloaded. `None` if there is no module, which cannot be.
pub(super) fn while_loaded<R>(run: impl FnOnce() -> R) -> Option<R> {
    if !HOLDS_LOADER {
        return Some(run());
    }
    let mut run = Some(run);
    let mut result = None;
    // The loader's lock is held while it is called, and may be taken again by the same thread.
    for_each_module(|_, _| {
        result = run.take().map(|run| run());
        false
    });
    result
}

fn find() -> Tables {
    let mut modules = Vec::new();
    // Nothing is allocated while the loader's lock is held, so room is made before, until it is enough.
    loop {
        let mut missing = 0;
        modules.clear();
        for_each_module(|info, _| {
            match find_in(info) {
                Some(module) if modules.len() < modules.capacity() => modules.push(module),
                Some(_) => missing += 1,
                None => {}
            }
            true
        });
        if missing == 0 {
            return Tables { modules };
        }
        modules.reserve(modules.len() + missing);
    }
}

fn find_in(info: &libc::dl_phdr_info) -> Option<Module> {
    // SAFETY: the loader passes the address and the number of the program headers of a module
    // that stays loaded while its callback runs.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let mapped = |header: &libc::Elf64_Phdr| {
        let start = info.dlpi_addr.wrapping_add(header.p_vaddr) as usize;
        start..start.wrapping_add(header.p_memsz as usize)
    };
    let segments = || {
        let loaded = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD);
        loaded.map(mapped)
    };
    let first = segments().map(|segment| segment.start).min()?;
    let last = segments().map(|segment| segment.end).max()?;

    let index = headers
        .iter()
        .find(|header| header.p_type == libc::PT_GNU_EH_FRAME)
        .map(mapped)?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(index.start as u64);
    // SAFETY: the header says that these addresses of the module are mapped.
    let index = unsafe { section(index) };
    let index = EhFrameHdr::from(index);
    let index = index.parse(&bases, size_of::<usize>() as u8).ok()?;

    // The length of `.eh_frame` is written nowhere, but it ends with its segment at the latest.
    let start = index.eh_frame_ptr().direct().ok()?;
    let table = segments().find(|segment| segment.contains(&(start as usize)))?;
    // SAFETY: the range lies in a loaded segment.
    let table = unsafe { section(start as usize..table.end) };
    Some(Module {
        range: first..last,
        index,
        table: EhFrame::from(table),
        bases: bases.set_eh_frame(start),
    })
}

/// # Safety
///
/// The range must be mapped and readable while the module is loaded.
unsafe fn section(range: Range<usize>) -> Section {
    let start = std::ptr::with_exposed_provenance(range.start);
    // SAFETY: mapped, as the caller asserts. It is not mapped for ever, but it is read only to
    // unwind a frame whose code is in the same module, and code that is about to be returned to
    // has not been unloaded. When a module is unloaded, the counters in `Generation` move, and the
    // slice is dropped before the next capture. (Only if a library is unloaded in a poll that is
    // being captured, and in the same poll another is loaded in its place and waits, would the
    // table be read that was there before.)
    let bytes = unsafe { std::slice::from_raw_parts(start, range.end - range.start) };
    EndianSlice::new(bytes, NativeEndian)
}

/// Calls `visit` with each loaded module until it returns `false`.
fn for_each_module<V>(mut visit: V)
where
    V: FnMut(&libc::dl_phdr_info, usize) -> bool,
{
    unsafe extern "C" fn call<V>(
        info: *mut libc::dl_phdr_info,
        size: libc::size_t,
        visit: *mut c_void,
    ) -> libc::c_int
    where
        V: FnMut(&libc::dl_phdr_info, usize) -> bool,
    {
        // SAFETY: `dl_iterate_phdr` passes on the pointer to `visit` that it was given, and a
        // structure that is valid during the call.
        let (visit, info) = unsafe { (&mut *visit.cast::<V>(), &*info) };
        libc::c_int::from(!visit(info, size))
    }
    // The loader's lock.
    let _section = fork::Section::enter();
    // SAFETY: `call` expects a pointer to a `V`.
    unsafe { libc::dl_iterate_phdr(Some(call::<V>), (&raw mut visit).cast()) };
}
