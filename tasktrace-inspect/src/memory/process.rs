//! The memory of a running process, read with `process_vm_readv`. The process is not stopped.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::maps;
use super::{Memory, Region, Thread, Unreadable};
use crate::address::Address;
use crate::error::Error;

/// The memory of a running process.
#[derive(Debug)]
pub struct ProcessMemory {
    pid: u32,
    regions: Vec<Region>,
}

impl ProcessMemory {
    /// Looks at the memory of a process.
    ///
    /// # Errors
    ///
    /// If there is no such process, or its memory may not be read.
    pub fn new(pid: u32) -> Result<Self, Error> {
        let maps = fs::read(format!("/proc/{pid}/maps")).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Error::Permission { pid },
            _ => Error::NoProcess { pid },
        })?;
        let memory = Self {
            pid,
            regions: maps::writable(&String::from_utf8_lossy(&maps)),
        };
        // Kernels let everybody open the file, and let nobody without permission read from it.
        let first = memory.regions.first().ok_or(Error::Permission { pid })?;
        let mut byte = [0];
        match memory.read(first.start, &mut byte) {
            Ok(()) => Ok(memory),
            Err(Unreadable { .. }) => match io::Error::last_os_error().raw_os_error() {
                Some(libc::ESRCH) => Err(Error::NoProcess { pid }),
                _ => Err(Error::Permission { pid }),
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
    pub(crate) fn leave_out(&mut self, start: Address, end: Address) {
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
        let auxv = fs::read(format!("/proc/{}/auxv", self.pid)).ok()?;
        super::core::entry_of_auxv(&auxv)
    }

    /// Returns the threads. Of those that are in a system call, the kernel tells the stack pointer without stopping
    /// them.
    pub(crate) fn threads(&self) -> Vec<Thread> {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return Vec::new();
        };
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut threads: Vec<Thread> = ids
            .map(|id| Thread {
                id,
                stack_pointer: self.stack_pointer(id),
            })
            .collect();
        threads.sort_by_key(|thread| thread.id);
        threads
    }

    /// Reads the last word but one of `/proc/PID/task/TID/syscall`.
    fn stack_pointer(&self, id: u32) -> Option<Address> {
        let text = fs::read_to_string(format!("/proc/{}/task/{id}/syscall", self.pid)).ok()?;
        let word = text.split_ascii_whitespace().rev().nth(1)?;
        let number = u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()?;
        Some(Address::new(number))
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

    fn regions(&self) -> &[Region] {
        &self.regions
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
    fn a_process_that_is_not_there_is_said_to_be_missing() {
        assert!(matches!(
            ProcessMemory::new(u32::MAX / 4),
            Err(Error::NoProcess { .. })
        ));
    }
}
