//! The memory of a running process, read with `process_vm_readv`. The process is not stopped.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::core::{AT_ENTRY, AT_PHDR, of_auxv};
use super::maps;
use super::{Code, Memory, Region, Thread, Unreadable};
use crate::address::Address;
use crate::bytes::u64_at;
use crate::error::Error;

/// The memory of a running process.
#[derive(Debug)]
pub struct ProcessMemory {
    pid: u32,
    regions: Vec<Region>,
    /// The auxiliary vector, which the kernel gives to a program when it starts.
    auxv: Vec<u8>,
    /// The state of each page, if the kernel tells it.
    pages: Option<File>,
}

fn auxv(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/auxv")).unwrap_or_default()
}

impl ProcessMemory {
    /// Looks at the memory of a process.
    ///
    /// # Errors
    ///
    /// If there is no such process, or its memory may not be read.
    pub fn new(pid: u32) -> Result<Self, Error> {
        let maps = fs::read(format!("/proc/{pid}/maps")).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Error::permission(pid),
            _ => Error::NoProcess { pid },
        })?;
        let memory = Self {
            pid,
            auxv: auxv(pid),
            pages: File::open(format!("/proc/{pid}/pagemap")).ok(),
            regions: maps::writable(&String::from_utf8_lossy(&maps)),
        };
        // The list is empty if the process has ended, is a thread of the kernel, or (on some kernels) may not be read.
        let Some(first) = memory.regions.first() else {
            return Err(without_memory(pid));
        };
        let mut byte = [0];
        match memory.read(first.start, &mut byte) {
            Ok(()) => Ok(memory),
            Err(Unreadable { .. }) => match io::Error::last_os_error().raw_os_error() {
                Some(libc::ESRCH) => Err(Error::NoProcess { pid }),
                _ => Err(Error::permission(pid)),
            },
        }
    }

    /// Looks at the memory of this process.
    ///
    /// # Errors
    ///
    /// If the system forbids it.
    pub fn own() -> Result<Self, Error> {
        Self::new(std::process::id())
    }

    /// Leaves out a range of addresses from the regions.
    pub(crate) fn leave_out(&mut self, (start, end): (Address, Address)) {
        self.regions = super::maps::without(&self.regions, start, end);
    }

    /// Returns the number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the path under which the executable can be opened, even if its file was removed.
    pub(crate) fn executable(&self) -> PathBuf {
        format!("/proc/{}/exe", self.pid).into()
    }

    /// Returns the name of the executable.
    pub(crate) fn executable_name(&self) -> Option<PathBuf> {
        fs::read_link(self.executable()).ok()
    }

    /// Returns the address of the first instruction of the program.
    pub(crate) fn entry(&self) -> Option<u64> {
        of_auxv(&self.auxv, AT_ENTRY)
    }

    /// Returns the address of the program headers.
    pub(crate) fn headers(&self) -> Option<u64> {
        of_auxv(&self.auxv, AT_PHDR)
    }

    /// Returns `true` if the process still runs the program that it ran at first.
    pub(crate) fn is_alive(&self) -> bool {
        // The vector has addresses that are chosen anew for each program. That of a process that has ended is empty.
        !self.auxv.is_empty() && auxv(self.pid) == self.auxv
    }

    /// Returns the threads. Of those that are in a system call, the kernel tells two registers without stopping them.
    pub(crate) fn threads(&self) -> Vec<Thread> {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return Vec::new();
        };
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut threads: Vec<Thread> = ids.map(|id| self.thread(id)).collect();
        threads.sort_by_key(|thread| thread.id);
        threads
    }

    /// Reads the last two words of `/proc/PID/task/TID/syscall`.
    fn thread(&self, id: u32) -> Thread {
        let text = fs::read_to_string(format!("/proc/{}/task/{id}/syscall", self.pid));
        let text = text.unwrap_or_default();
        let mut words = text.split_ascii_whitespace().rev().map(|word| {
            let number = u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()?;
            Some(Address::new(number))
        });
        Thread {
            id,
            instruction: words.next().flatten(),
            stack_pointer: words.next().flatten(),
        }
    }

    /// Returns the parts of files that the process may execute.
    pub(crate) fn code(&self) -> Vec<Code> {
        let maps = fs::read(format!("/proc/{}/maps", self.pid)).unwrap_or_default();
        let maps = String::from_utf8_lossy(&maps);
        let root = format!("/proc/{}/root", self.pid);
        maps::code(&maps, &root)
    }
}

/// Returns why a process has no memory.
fn without_memory(pid: u32) -> Error {
    /// The flag of threads of the kernel.
    const PF_KTHREAD: u64 = 0x0020_0000;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program is in brackets, and may have any characters.
    let mut words = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace();
    let state = words.next();
    let flags = words.nth(5).and_then(|flags| flags.parse::<u64>().ok());
    match state {
        None => Error::NoProcess { pid },
        Some("Z" | "X") => Error::Ended { pid },
        Some(_) if flags.is_some_and(|flags| flags & PF_KTHREAD != 0) => {
            Error::KernelThread { pid }
        }
        Some(_) => Error::permission(pid),
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let mut done = 0;
        while done < buffer.len() {
            let rest = &mut buffer[done..];
            let local = libc::iovec {
                iov_base: rest.as_mut_ptr().cast(),
                iov_len: rest.len(),
            };
            let remote = libc::iovec {
                iov_base: address.offset(done as u64).get() as usize as *mut libc::c_void,
                iov_len: rest.len(),
            };
            // SAFETY: The kernel writes at most `local.iov_len` bytes to `local.iov_base`: exactly the slice `rest`,
            // which is borrowed exclusively for the call. The remote address is never dereferenced here: the kernel
            // checks it and fails with EFAULT if it is not mapped in that process.
            let read = unsafe {
                libc::process_vm_readv(self.pid as libc::pid_t, &local, 1, &remote, 1, 0)
            };
            match usize::try_from(read) {
                Ok(0) | Err(_) => return Err(Unreadable { address }),
                Ok(read) => done += read,
            }
        }
        Ok(())
    }

    fn read_all(&self, parts: &mut [(Address, &mut [u8])]) -> Result<(), Unreadable> {
        /// The largest number of ranges that the kernel takes at once (`IOV_MAX`).
        const AT_ONCE: usize = 1024;
        for parts in parts.chunks_mut(AT_ONCE) {
            let mut local = Vec::with_capacity(parts.len());
            let mut remote = Vec::with_capacity(parts.len());
            let mut length = 0;
            for (address, buffer) in parts.iter_mut() {
                length += buffer.len();
                local.push(libc::iovec {
                    iov_base: buffer.as_mut_ptr().cast(),
                    iov_len: buffer.len(),
                });
                remote.push(libc::iovec {
                    iov_base: address.get() as usize as *mut libc::c_void,
                    iov_len: buffer.len(),
                });
            }
            let count = parts.len() as libc::c_ulong;
            // SAFETY: `local` and `remote` have `count` elements each. The kernel writes at most `iov_len` bytes to
            // the `iov_base` of each element of `local`: exactly one of the slices in `parts`, which are borrowed
            // exclusively until the end of this call. The remote addresses are never dereferenced here: the kernel
            // checks them, and reads less than `length` bytes if one is not mapped in that process.
            let read = unsafe {
                libc::process_vm_readv(
                    self.pid as libc::pid_t,
                    local.as_ptr(),
                    count,
                    remote.as_ptr(),
                    count,
                    0,
                )
            };
            // It reads less, too, if there is too much for one call. Then the parts are read one by one.
            if usize::try_from(read) != Ok(length) {
                let mut parts = parts.iter_mut();
                parts.try_for_each(|(address, buffer)| self.read(*address, buffer))?;
            }
        }
        Ok(())
    }

    fn regions(&self) -> &[Region] {
        &self.regions
    }

    fn is_untouched(&self, address: Address, length: u64) -> bool {
        /// The size of a page, and of its entry.
        const PAGE: u64 = 4096;
        const ENTRY: u64 = 8;
        /// The page is in memory, or on the disk.
        const IS_THERE: u64 = 0b11 << 62;
        let first = address.get() / PAGE;
        let end = address.get().saturating_add(length).div_ceil(PAGE);
        let Some(pages) = &self.pages else {
            return false;
        };
        let Ok(size) = usize::try_from((end - first).saturating_mul(ENTRY)) else {
            return false;
        };
        let mut entries = vec![0; size];
        let is_read = pages.read_exact_at(&mut entries, first.saturating_mul(ENTRY));
        let mut entries = entries.chunks_exact(ENTRY as usize);
        is_read.is_ok()
            && entries.all(|entry| u64_at(entry, 0).is_some_and(|entry| entry & IS_THERE == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_read() {
        let memory = ProcessMemory::own().unwrap();
        let value = [0x1234_5678_u32, 9];
        let mut bytes = [0; 8];
        let address = Address::new(value.as_ptr().expose_provenance() as u64);
        memory.read(address, &mut bytes).unwrap();
        assert_eq!(bytes, [0x78, 0x56, 0x34, 0x12, 9, 0, 0, 0]);
        assert!(memory.read(Address::new(8), &mut bytes).is_err());
        assert!(memory.read(Address::new(u64::MAX), &mut bytes).is_err());
        assert!(memory.entry().is_some());
        assert!(!memory.threads().is_empty());
    }

    #[test]
    fn many_parts_are_read_at_once() {
        let memory = ProcessMemory::own().unwrap();
        let words: Vec<u64> = (0..3000).collect();
        let start = Address::new(words.as_ptr().expose_provenance() as u64);
        let mut copies = vec![[0; 8]; words.len()];
        let parts = copies.iter_mut().zip(0..);
        let mut parts: Vec<(Address, &mut [u8])> = parts
            .map(|(copy, number)| (start.offset(number * 8), &mut copy[..]))
            .collect();
        memory.read_all(&mut parts).unwrap();
        parts[1500].0 = Address::new(8);
        let unreadable = Unreadable {
            address: Address::new(8),
        };
        assert_eq!(memory.read_all(&mut parts), Err(unreadable));
        assert!(copies.iter().map(|it| u64::from_le_bytes(*it)).eq(words));
    }

    #[test]
    fn memory_that_was_never_written_to_is_known() {
        const LENGTH: usize = 1 << 22;
        let mut zeros: Vec<u8> = vec![0; LENGTH];
        let start = Address::new(zeros.as_ptr().expose_provenance() as u64);
        let middle = start.offset(LENGTH as u64 / 4);
        let memory = ProcessMemory::own().unwrap();
        if memory.pages.is_none() {
            return;
        }
        let length = LENGTH as u64 / 2;
        assert!(memory.is_untouched(middle, length));
        zeros[LENGTH / 2] = 1;
        assert!(!memory.is_untouched(middle, length));
        std::hint::black_box(&zeros);
    }

    #[test]
    fn a_process_that_is_not_there_is_said_to_be_missing() {
        assert!(matches!(
            ProcessMemory::new(u32::MAX / 4),
            Err(Error::NoProcess { .. })
        ));
    }
}
