//! Compares an executable with the one that is in memory.

use crate::address::Address;
use crate::bytes::{u16_at, u32_at, u64_at};
use crate::debug::DebugFile;
use crate::memory::Memory;

const PAGE: u64 = 4096;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;
/// The largest part with notes that is read.
const NOTES: u64 = 1 << 16;

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    Same,
    /// It is another build: that with this build id, if it has one.
    Other(Option<Vec<u8>>),
    /// The headers of the program are not in memory.
    Unknown,
}

/// Compares the build id of a file with that of the program whose program headers are at an address. If neither has a
/// build id, compares the first page, whose ELF header tells where in the file the sections are.
pub(crate) fn compare(memory: &dyn Memory, headers: Option<u64>, image: &DebugFile) -> Build {
    let Some(start) = headers.map(|headers| headers & !(PAGE - 1)) else {
        return Build::Unknown;
    };
    let mut page = vec![0; PAGE as usize];
    if memory.read(Address::new(start), &mut page).is_err() || !page.starts_with(b"\x7fELF") {
        return Build::Unknown;
    }
    let id = build_id(memory, start, &page);
    let is_same = match (&id, image.build_id()) {
        (Some(id), Some(other)) => id == other,
        (None, None) => {
            let in_file = image.first_bytes(page.len());
            page.get(..in_file.len()) == Some(in_file)
        }
        _ => false,
    };
    match is_same {
        true => Build::Same,
        false => Build::Other(id),
    }
}

/// Reads the build id of the program that begins with a page.
fn build_id(memory: &dyn Memory, start: u64, page: &[u8]) -> Option<Vec<u8>> {
    let at = usize::try_from(u64_at(page, 32)?).ok()?;
    let size = usize::from(u16_at(page, 54)?);
    let count = usize::from(u16_at(page, 56)?);
    let headers = (0..count).filter_map(|number| {
        let at = at.checked_add(number.checked_mul(size)?)?;
        page.get(at..at.checked_add(56)?)
    });
    let headers: Vec<&[u8]> = headers.collect();
    let is_of = |header: &&&[u8], kind| u32_at(header, 0) == Some(kind);
    let loads = headers.iter().filter(|header| is_of(header, PT_LOAD));
    let lowest = loads.filter_map(|header| u64_at(header, 16)).min()?;
    let bias = start.wrapping_sub(lowest & !(PAGE - 1));
    let mut notes = headers.iter().filter(|header| is_of(header, PT_NOTE));
    notes.find_map(|header| {
        let address = Address::new(bias.wrapping_add(u64_at(header, 16)?));
        let length = usize::try_from(u64_at(header, 32)?.min(NOTES)).ok()?;
        let mut notes = vec![0; length];
        memory.read(address, &mut notes).ok()?;
        build_id_in(&notes).map(<[u8]>::to_vec)
    })
}

fn build_id_in(notes: &[u8]) -> Option<&[u8]> {
    let mut at = 0_usize;
    loop {
        let name = u32_at(notes, at)? as usize;
        let length = u32_at(notes, at + 4)? as usize;
        let kind = u32_at(notes, at + 8)?;
        let from = at + 12 + name.next_multiple_of(4);
        let to = from.checked_add(length)?;
        if kind == NT_GNU_BUILD_ID && notes.get(at + 12..)?.starts_with(b"GNU\0") {
            return notes.get(from..to);
        }
        at = to.checked_next_multiple_of(4)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_id_is_found_among_other_notes() {
        let note = |kind: u32, bytes: &[u8]| {
            let mut note = Vec::new();
            for word in [4, bytes.len() as u32, kind] {
                note.extend(word.to_le_bytes());
            }
            note.extend(b"GNU\0");
            note.extend(bytes);
            note.resize(note.len().next_multiple_of(4), 0);
            note
        };
        let notes = [note(1, &[9; 16]), note(NT_GNU_BUILD_ID, &[7; 5])].concat();
        assert_eq!(build_id_in(&notes), Some(&[7; 5][..]));
        assert_eq!(build_id_in(&notes[..30]), None);
        assert_eq!(build_id_in(&[0xff; 40]), None);
    }
}
