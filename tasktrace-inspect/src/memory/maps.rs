//! The ranges of `/proc/PID/maps`.

use super::Region;
use crate::address::Address;

/// Returns the ranges that can be written to and are the program's own.
pub(crate) fn writable(maps: &str) -> Vec<Region> {
    maps.lines().filter_map(region).collect()
}

/// Reads a line: `start-end rwxp offset device inode path`.
fn region(line: &str) -> Option<Region> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let access = words.next()?;
    if !access.starts_with("rw") || !access.ends_with('p') {
        return None;
    }
    let inode = words.nth(2)?;
    Some(Region {
        start: number(start)?,
        end: number(end)?,
        is_file: inode != "0",
    })
}

fn number(text: &str) -> Option<Address> {
    u64::from_str_radix(text, 16).ok().map(Address::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_writable_ranges_are_read() {
        let maps = "\
55d0c0a00000-55d0c0a21000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 r--p 00000000 08:01 42                         /usr/lib/libc.so.6
7f0000001000-7f0000002000 rw-p 00001000 08:01 42                         /usr/lib/libc.so.6
7f0000003000-7f0000004000 rw-s 00000000 00:01 7                          /dev/zero
nonsense
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
";
        let regions = writable(maps);
        let starts: Vec<u64> = regions.iter().map(|it| it.start.get()).collect();
        assert_eq!(
            starts,
            [0x55d0_c0a0_0000, 0x7f00_0000_1000, 0x7ffd_0000_0000]
        );
        assert_eq!(regions[0].length(), 0x21000);
        assert!(!regions[0].is_file && regions[1].is_file);
    }
}
