//! Writes core files, so that the tests need neither `gcore` nor the settings of the system.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// A mapped range: from `/proc/PID/maps`.
struct Range {
    start: u64,
    end: u64,
    writable: bool,
    path: String,
}

/// Returns the core file of a process: the memory it can write to, and the constants of the executable.
pub(crate) fn of(pid: u32) -> Vec<u8> {
    let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let executable = executable.to_str().unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut files: Vec<Range> = Vec::new();
    let mut ranges: Vec<(Range, Vec<u8>)> = Vec::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (start, end) = words[0].split_once('-').unwrap();
        let range = Range {
            start: u64::from_str_radix(start, 16).unwrap(),
            end: u64::from_str_radix(end, 16).unwrap(),
            writable: words[1].starts_with("rw"),
            path: words.get(5).unwrap_or(&"").to_string(),
        };
        let is_executable = range.path == executable;
        if is_executable {
            files.push(Range {
                path: executable.to_owned(),
                ..range
            });
        }
        if range.writable || is_executable && words[1].starts_with("r--") {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            if memory.read_exact_at(&mut bytes, range.start).is_ok() {
                ranges.push((range, bytes));
            }
        }
    }
    let auxv = fs::read(format!("/proc/{pid}/auxv")).unwrap();
    let notes = [note(6, &auxv), note(0x4649_4c45, &mapped(&files))].concat();
    file(&notes, &ranges)
}

fn note(kind: u32, bytes: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [5, bytes.len() as u32, kind] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"CORE\0\0\0\0");
    note.extend(bytes);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// Returns the note with the mapped files.
fn mapped(files: &[Range]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [files.len() as u64, 4096] {
        note.extend(word.to_le_bytes());
    }
    for file in files {
        for word in [file.start, file.end, 0] {
            note.extend(word.to_le_bytes());
        }
    }
    for file in files {
        note.extend(file.path.as_bytes());
        note.push(0);
    }
    note
}

fn file(notes: &[u8], ranges: &[(Range, Vec<u8>)]) -> Vec<u8> {
    let count = ranges.len() + 1;
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [4_u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for word in [0_u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, u16::try_from(count).unwrap(), 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut at = 64 + 56 * count as u64;
    let mut header = |kind: u32, flags: u32, address: u64, length: u64| {
        for half in [kind, flags] {
            file.extend(half.to_le_bytes());
        }
        for word in [at, address, 0, length, length, 1] {
            file.extend(word.to_le_bytes());
        }
        at += length;
    };
    header(4, 4, 0, notes.len() as u64);
    for (range, bytes) in ranges {
        let flags = if range.writable { 6 } else { 4 };
        header(1, flags, range.start, bytes.len() as u64);
    }
    file.extend(notes);
    for (_, bytes) in ranges {
        file.extend(bytes);
    }
    file
}
