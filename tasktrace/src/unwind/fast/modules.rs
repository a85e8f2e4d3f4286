//! The unwind tables of the program and of its shared libraries, found with `dl_iterate_phdr`.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use framehop::{ExplicitModuleSectionInfo, Module, MustNotAllocateDuringUnwind, Unwinder as _};

/// A section of a module that is mapped into this process.
type Section = &'static [u8];

#[cfg(target_arch = "x86_64")]
pub(super) type Modules = framehop::x86_64::UnwinderX86_64<Section, MustNotAllocateDuringUnwind>;
#[cfg(target_arch = "aarch64")]
pub(super) type Modules = framehop::aarch64::UnwinderAarch64<Section, MustNotAllocateDuringUnwind>;

/// How many modules the loader has ever added and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation {
    added: u64,
    removed: u64,
}

impl Generation {
    pub(super) fn now() -> Self {
        let mut now = Self::default();
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

/// The modules of `generation`. They are read once for all walkers.
pub(super) fn loaded(generation: Generation) -> Modules {
    static LOADED: Mutex<Option<(Generation, Modules)>> = Mutex::new(None);
    let lock = || LOADED.lock().unwrap_or_else(PoisonError::into_inner);

    let known = lock().clone();
    match known {
        Some((of, modules)) if of == generation => modules,
        // Not under our lock: the loader holds a lock of its own while it calls us.
        _ => {
            let modules = read_modules();
            *lock() = Some((generation, modules.clone()));
            modules
        }
    }
}

fn read_modules() -> Modules {
    let mut modules = Modules::new();
    for_each_module(|info, _| {
        if let Some(module) = read_module(info) {
            modules.add_module(module);
        }
        true
    });
    modules
}

fn read_module(info: &libc::dl_phdr_info) -> Option<Module<Section>> {
    // SAFETY: the loader passes the address and the number of the program headers of a module
    // that stays loaded while its callback runs.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = info.dlpi_addr;
    let stated = |header: &libc::Elf64_Phdr| header.p_vaddr..header.p_vaddr + header.p_memsz;

    let segments = || {
        headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD)
    };
    let first = segments().map(|header| stated(header).start).min()?;
    let last = segments().map(|header| stated(header).end).max()?;
    let text = segments().find(|header| header.p_flags & libc::PF_X != 0);
    let table = headers
        .iter()
        .find(|header| header.p_type == libc::PT_GNU_EH_FRAME)
        .map(stated)?;

    // SAFETY: the header says that these addresses of the module are mapped.
    let table_data = unsafe { section(base, table.clone()) };
    let frames = frames_start(table_data, table.start)?;
    // The length of `.eh_frame` is written nowhere, but it ends with its segment at the latest.
    let frames = segments()
        .map(stated)
        .find(|segment| segment.contains(&frames))
        .map(|segment| frames..segment.end)?;

    Some(Module::new(
        String::new(),
        base.wrapping_add(first)..base.wrapping_add(last),
        base,
        ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: text.map(stated),
            eh_frame_hdr: Some(table_data),
            eh_frame_hdr_svma: Some(table),
            // SAFETY: the range lies in a loaded segment.
            eh_frame: Some(unsafe { section(base, frames.clone()) }),
            eh_frame_svma: Some(frames),
            ..ExplicitModuleSectionInfo::default()
        },
    ))
}

/// Where `.eh_frame` starts, as stated in `.eh_frame_hdr`, which starts at `at` itself.
fn frames_start(table: &[u8], at: u64) -> Option<u64> {
    /// Version 1, and a pointer that is a signed 32-bit distance: what every linker writes.
    const VERSION: u8 = 1;
    const RELATIVE_I32: u8 = 0x1b;
    const POINTER: usize = 4;

    let &[VERSION, RELATIVE_I32, ..] = table else {
        return None;
    };
    let distance = table.get(POINTER..POINTER + 4)?.try_into().ok()?;
    (at + POINTER as u64).checked_add_signed(i32::from_ne_bytes(distance).into())
}

/// # Safety
///
/// The stated range, moved by `base`, must be mapped and readable while the module is loaded.
unsafe fn section(base: u64, stated: Range<u64>) -> Section {
    let start = std::ptr::with_exposed_provenance((base.wrapping_add(stated.start)) as usize);
    // SAFETY: mapped, as the caller asserts. It is not mapped for ever, but it is read only to
    // unwind a frame whose code is in the same module, and code that is about to be returned to
    // has not been unloaded. When a module is unloaded, the counters in `Generation` move, and the
    // slice is dropped before the next walk.
    unsafe { std::slice::from_raw_parts(start, (stated.end - stated.start) as usize) }
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
    // SAFETY: `call` expects a pointer to a `V`.
    unsafe { libc::dl_iterate_phdr(Some(call::<V>), (&raw mut visit).cast()) };
}
