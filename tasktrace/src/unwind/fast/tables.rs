//! Finds the unwind tables of the program and of its shared libraries with `dl_iterate_phdr`.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use gimli::{
    BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, NativeEndian, ParsedEhFrameHdr, UnwindContext,
    UnwindSection as _, UnwindTableRow, Vendor,
};

use super::rule::{self, UnwindRule};
use crate::sync::{HeldLock, StaticMutex as Mutex, fork};

/// A section of a module that is mapped into this process.
type TableSection = EndianSlice<'static, NativeEndian>;

/// The unwind tables of all modules.
pub(super) struct Tables {
    modules: Vec<Module>,
}

/// The program or a shared library.
struct Module {
    /// The addresses of the module.
    range: Range<usize>,
    /// The section `.eh_frame_hdr`: an index from addresses to entries of the table.
    index: ParsedEhFrameHdr<TableSection>,
    /// The section `.eh_frame`.
    table: EhFrame<TableSection>,
    /// The addresses of the two sections.
    bases: BaseAddresses,
}

impl Tables {
    /// Returns the rule that finds the caller of a function that is at `address`.
    pub(super) fn rule_at(
        &self,
        address: usize,
        context: &mut UnwindContext<usize>,
    ) -> Option<UnwindRule> {
        UnwindRule::of(self.row_at(address, context)?)
    }

    /// Returns `true` if the function at `address` has no caller, because a thread starts in it.
    pub(super) fn is_outermost(&self, address: usize, context: &mut UnwindContext<usize>) -> bool {
        self.row_at(address, context)
            .is_some_and(rule::is_outermost)
    }

    /// Returns the start of the function at `address`.
    pub(super) fn start_of_function_at(&self, address: usize) -> Option<usize> {
        let module = self.module_of(address)?;
        let entry = module.index.table()?.fde_for_address(
            &module.table,
            &module.bases,
            address as u64,
            EhFrame::cie_from_offset,
        );
        let entry = entry.ok()?;
        // The index has only the starts of functions, so the address may be behind the end of the function.
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

    /// Returns `true` if the address is in a module that has unwind tables.
    pub(super) fn is_code(&self, address: usize) -> bool {
        self.module_of(address).is_some()
    }

    fn module_of(&self, address: usize) -> Option<&Module> {
        let mut modules = self.modules.iter();
        modules.find(|module| module.range.contains(&address))
    }
}

/// The numbers of modules that the loader has added and removed so far. It changes whenever a library is loaded or
/// unloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation {
    added: u64,
    removed: u64,
}

/// `true` if the loader's lock is taken for each walk. The loader calls back with its own lock held. ThreadSanitizer
/// takes that lock too, to report, while it holds other locks, which it also takes in functions of this crate. So with
/// ThreadSanitizer, frequent operations do without the loader. The tests that run with it load and unload no library.
const HOLDS_LOADER: bool = !cfg!(tasktrace_tsan);

impl Generation {
    pub(super) fn now() -> Self {
        let mut now = Self::default();
        if !HOLDS_LOADER {
            return now;
        }
        // Each module has the same counters, so the first module is enough.
        for_each_module(|info, size| {
            now = Self::of(info, size);
            false
        });
        now
    }

    fn of(info: &libc::dl_phdr_info, size: usize) -> Self {
        // Old C libraries pass a shorter structure, which has no counters.
        if size < size_of::<libc::dl_phdr_info>() {
            return Self::default();
        }
        Self {
            added: info.dlpi_adds,
            removed: info.dlpi_subs,
        }
    }
}

/// Returns the unwind tables of `generation`. All walkers share them.
pub(super) fn loaded(generation: Generation) -> Arc<Tables> {
    static LOADED: Mutex<Option<(Generation, Arc<Tables>)>> = Mutex::new(None);
    let lock = || LOADED.lock().unwrap_or_else(PoisonError::into_inner);

    let known = lock().clone();
    match known {
        Some((of, tables)) if of == generation => tables,
        // The lock is not held during the search, because the loader calls back with its own lock held.
        _ => {
            let tables = Arc::new(find());
            let before = lock().replace((generation, Arc::clone(&tables)));
            drop(before);
            tables
        }
    }
}

/// Calls `run` while no module can be unloaded. Returns `None` if there is no module, which cannot happen.
pub(super) fn while_loaded<R>(run: impl FnOnce() -> R) -> Option<R> {
    if !HOLDS_LOADER {
        return Some(run());
    }
    let mut run = Some(run);
    let mut result = None;
    // The loader holds its lock during the callback. The lock is recursive, so `run` may call the loader again.
    for_each_module(|_, _| {
        result = run.take().map(|run| run());
        false
    });
    result
}

fn find() -> Tables {
    let mut modules = Vec::new();
    // Nothing may be allocated while the loader's lock is held. So the capacity is reserved before, until it suffices.
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
    // SAFETY: `dl_iterate_phdr` passes the address and the number of the program headers of a loaded module. The module
    // stays loaded during the callback, in which this function is called.
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
    // SAFETY: `index` is the range of the program header `PT_GNU_EH_FRAME`, which says that the module maps this range
    // readable.
    let index = unsafe { section(index) };
    let index = EhFrameHdr::from(index);
    let index = index.parse(&bases, size_of::<usize>() as u8).ok()?;

    // The length of `.eh_frame` is not stored anywhere, but it ends with its segment at the latest.
    let start = index.eh_frame_ptr().direct().ok()?;
    let table = segments().find(|segment| segment.contains(&(start as usize)))?;
    // SAFETY: `table` is a loaded segment that contains `start`, so the module maps the range from `start` to its end.
    // The segment of an unwind table is readable.
    let table = unsafe { section(start as usize..table.end) };
    let mut table = EhFrame::from(table);
    if cfg!(target_arch = "aarch64") {
        // The instruction that says that a return address is signed has this vendor's number.
        table.set_vendor(Vendor::AArch64);
    }
    Some(Module {
        range: first..last,
        index,
        table,
        bases: bases.set_eh_frame(start),
    })
}

/// Returns the bytes of a section of a module.
///
/// # Safety
///
/// The range must be mapped and readable as long as its module is loaded.
unsafe fn section(range: Range<usize>) -> TableSection {
    let start = std::ptr::with_exposed_provenance(range.start);
    // SAFETY: the range is mapped, by the `# Safety` section. It may be unmapped later, when its module is unloaded.
    // But the slice is read only to unwind a frame whose code is in the same module, and a module to whose code a
    // function will return is not unloaded. When a module is unloaded, the counters in `Generation` change, and the
    // slice is dropped before the next capture. (There is one exception. If a captured poll unloads a library, loads
    // another one at the same address, and then waits in its code, the slice of the unloaded library is read.)
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
        // SAFETY: `dl_iterate_phdr` passes on the pointer that it was given, which is that of `visit` below: a `V` that
        // is not used otherwise until `dl_iterate_phdr` returns. `info` points to a structure that is valid during this
        // call.
        let (visit, info) = unsafe { (&mut *visit.cast::<V>(), &*info) };
        libc::c_int::from(!visit(info, size))
    }
    // The loader's lock must not be locked in a child of `fork`.
    let _section = fork::NoForkSection::enter();
    // An allocator may call the loader while it holds locks of its own, so a callback must not allocate. The loader's
    // lock is counted, because tests check that nothing is allocated while a counted lock is held.
    let _lock = HeldLock::new();
    // SAFETY: `call::<V>` expects a pointer to a `V`, and `visit` is a `V` that outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(call::<V>), (&raw mut visit).cast()) };
}
