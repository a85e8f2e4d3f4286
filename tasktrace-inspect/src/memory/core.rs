//! Core files: ELF files with the memory of a program that has ended.

use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::{Code, Memory, Region, Thread, Unreadable};
use crate::address::Address;
use crate::bytes::{u16_at, u32_at, u64_at};
use crate::error::Error;
use crate::mapped_file;

const ET_CORE: u16 = 4;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PF_W: u32 = 2;
const PROGRAM_HEADER: usize = 56;
/// There are more segments than the field can say: the first section says how many.
const PN_XNUM: u16 = 0xffff;
const NT_PRSTATUS: u32 = 1;
const NT_AUXV: u32 = 6;
const NT_FILE: u32 = 0x4649_4c45;
/// The largest number of segments and of mapped files that are read.
const MANY: usize = 1 << 20;

/// A core file.
pub(crate) struct CoreFile {
    map: Mmap,
    /// By address, without overlaps.
    segments: Vec<Segment>,
    regions: Vec<Region>,
    threads: Vec<Thread>,
    /// The value of `AT_ENTRY`: the address of the first instruction of the program.
    entry: Option<u64>,
    /// The value of `AT_PHDR`: the address of the program headers.
    headers: Option<u64>,
    /// The number of bytes that the headers promise, and that the file does not have.
    lost: u64,
    /// The mapped files, by address.
    files: Vec<Code>,
}

#[derive(Clone, Copy)]
struct Segment {
    address: u64,
    /// The length of what is in the file.
    length: u64,
    /// The place in the file.
    at: u64,
}

impl CoreFile {
    /// Opens and maps a core file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let map = mapped_file::map(path)?;
        let mut core = Self {
            map,
            segments: Vec::new(),
            regions: Vec::new(),
            threads: Vec::new(),
            entry: None,
            headers: None,
            lost: 0,
            files: Vec::new(),
        };
        core.parse().map_err(|reason| Error::Elf {
            path: path.to_owned(),
            reason: reason.to_owned(),
        })?;
        Ok(core)
    }

    /// Returns `true` if the bytes begin like those of a core file.
    pub(crate) fn is_core(bytes: &[u8]) -> bool {
        bytes.starts_with(b"\x7fELF") && u16_at(bytes, 16) == Some(ET_CORE)
    }

    fn parse(&mut self) -> Result<(), &'static str> {
        const SHORT: &str = "it is too short";
        let bytes = &self.map[..];
        if !bytes.starts_with(b"\x7fELF\x02\x01") {
            return Err("it is not 64-bit and little-endian");
        }
        if u16_at(bytes, 16) != Some(ET_CORE) {
            return Err("it is not a core file");
        }
        if u16_at(bytes, 18) != Some(EM_X86_64) {
            return Err("it is of another processor");
        }
        let headers = u64_at(bytes, 32).ok_or(SHORT)?;
        let size = usize::from(u16_at(bytes, 54).ok_or(SHORT)?);
        if size < PROGRAM_HEADER {
            return Err("its program headers are too small");
        }
        let mut count = usize::from(u16_at(bytes, 56).ok_or(SHORT)?);
        if count == usize::from(PN_XNUM) {
            let sections = u64_at(bytes, 40).ok_or(SHORT)?;
            // `sh_info` of the first section.
            let at = usize::try_from(sections)
                .ok()
                .and_then(|at| at.checked_add(44));
            count = at.and_then(|at| u32_at(bytes, at)).ok_or(SHORT)? as usize;
        }
        let mut notes = Vec::new();
        for number in 0..count.min(MANY) {
            let at = number
                .checked_mul(size)
                .and_then(|at| at.checked_add(usize::try_from(headers).ok()?))
                .ok_or(SHORT)?;
            let Some(header) = bytes.get(at..at.saturating_add(PROGRAM_HEADER)) else {
                break;
            };
            let field = |at| u64_at(header, at).unwrap_or_default();
            let (offset, address) = (field(8), field(16));
            let (in_file, in_memory) = (field(32), field(40));
            match u32_at(header, 0) {
                Some(PT_LOAD) => {
                    let available = (bytes.len() as u64).saturating_sub(offset);
                    let length = in_file.min(in_memory).min(available);
                    self.lost = self.lost.saturating_add(in_file.saturating_sub(available));
                    self.segments.push(Segment {
                        address,
                        length,
                        at: offset,
                    });
                    if u32_at(header, 4).is_some_and(|flags| flags & PF_W != 0) {
                        self.regions.push(Region {
                            start: Address::new(address),
                            end: Address::new(address.saturating_add(length)),
                            is_file: false,
                        });
                    }
                }
                Some(PT_NOTE) => notes.push((offset, in_file)),
                _ => {}
            }
        }
        self.segments.sort_by_key(|segment| segment.address);
        self.regions.sort_by_key(|region| region.start);
        for (offset, length) in notes {
            self.parse_notes(offset, length);
        }
        Ok(())
    }

    /// Reads the notes in a part of the file, as far as they are well-formed.
    fn parse_notes(&mut self, offset: u64, length: u64) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let end = end.min(self.map.len());
        let mut at = start;
        while at < end {
            let header = |index: usize| u32_at(&self.map[..end], at + index * 4);
            let (Some(name), Some(description), Some(kind)) = (header(0), header(1), header(2))
            else {
                return;
            };
            let from = at + 12 + (name as usize).next_multiple_of(4);
            let to = from.saturating_add(description as usize);
            let Some(note) = self.map.get(from..to.min(end)) else {
                return;
            };
            let note = note.to_vec();
            match kind {
                NT_PRSTATUS => self.threads.extend(Thread::from_prstatus(&note)),
                NT_AUXV => {
                    self.entry = of_auxv(&note, AT_ENTRY);
                    self.headers = of_auxv(&note, AT_PHDR);
                }
                NT_FILE => self.parse_files(&note),
                _ => {}
            }
            at = to.next_multiple_of(4);
        }
    }

    /// Reads the note with the mapped files: a count, the size of a page, three numbers for each, and the names.
    fn parse_files(&mut self, note: &[u8]) {
        let (Some(count), Some(page_size)) = (u64_at(note, 0), u64_at(note, 8)) else {
            return;
        };
        let count = usize::try_from(count).unwrap_or(MANY).min(MANY);
        let Some(names) = count
            .checked_mul(24)
            .and_then(|size| note.get(size.checked_add(16)?..))
        else {
            return;
        };
        for (number, name) in names.split(|byte| *byte == 0).take(count).enumerate() {
            let word = |index: usize| u64_at(note, 16 + number * 24 + index * 8);
            let (Some(start), Some(end), Some(pages)) = (word(0), word(1), word(2)) else {
                return;
            };
            self.files.push(Code {
                path: PathBuf::from(String::from_utf8_lossy(name).into_owned()),
                range: start..end,
                place: pages.saturating_mul(page_size),
            });
        }
    }

    pub(crate) fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// Returns the address of the first instruction of the program.
    pub(crate) fn entry(&self) -> Option<u64> {
        self.entry
    }

    /// Returns the address of the program headers.
    pub(crate) fn headers(&self) -> Option<u64> {
        self.headers
    }

    /// Returns the number of bytes that are missing at the end of the file.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the executable: the file that the first instruction is in.
    pub(crate) fn executable(&self) -> Option<&Path> {
        let has_entry = |file: &&Code| self.entry.is_some_and(|it| file.range.contains(&it));
        let file = self.files.iter().find(has_entry);
        Some(&file.or(self.files.first())?.path)
    }

    /// Returns the parts of files that were mapped, which may be executed or not.
    pub(crate) fn code(&self) -> &[Code] {
        &self.files
    }

    /// Returns the address of the first byte of the executable.
    pub(crate) fn executable_start(&self) -> Option<Address> {
        let executable = self.executable()?;
        let mut parts = self.files.iter().filter(|file| file.path == executable);
        Some(Address::new(parts.next()?.range.start))
    }
}

/// The kind of the address of the program headers in an auxiliary vector.
pub(super) const AT_PHDR: u64 = 3;
/// The kind of the address of the first instruction.
pub(super) const AT_ENTRY: u64 = 9;

/// Returns the value of this kind in an auxiliary vector.
pub(super) fn of_auxv(bytes: &[u8], kind: u64) -> Option<u64> {
    let mut pairs = bytes.chunks_exact(16);
    let pair = pairs.find(|pair| u64_at(pair, 0) == Some(kind))?;
    u64_at(pair, 8)
}

impl Memory for CoreFile {
    fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let unreadable = Unreadable { address };
        let mut done = 0;
        while done < buffer.len() {
            let at = address.offset(done as u64).get();
            let after = self
                .segments
                .partition_point(|segment| segment.address <= at);
            let segment = after
                .checked_sub(1)
                .and_then(|index| self.segments.get(index))
                .ok_or(unreadable)?;
            let within = at - segment.address;
            let left = segment.length.checked_sub(within).ok_or(unreadable)?;
            let length = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len() - done);
            if length == 0 {
                return Err(unreadable);
            }
            let from = segment
                .at
                .checked_add(within)
                .and_then(|from| usize::try_from(from).ok())
                .ok_or(unreadable)?;
            let bytes = self
                .map
                .get(from..from.saturating_add(length))
                .ok_or(unreadable)?;
            buffer[done..done + length].copy_from_slice(bytes);
            done += length;
        }
        Ok(())
    }

    fn regions(&self) -> &[Region] {
        &self.regions
    }
}
