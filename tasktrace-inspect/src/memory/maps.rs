//! The ranges of `/proc/PID/maps`.

use super::{Code, Region};
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

/// Returns the parts of files that may be executed. Their paths are those below the directory `root`.
pub(crate) fn code(maps: &str, root: &str) -> Vec<Code> {
    let code = |line: &str| {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let is_code = words.next()?.contains('x');
        let place = u64::from_str_radix(words.next()?, 16).ok()?;
        let path = words.nth(2)?.trim_start();
        (is_code && path.starts_with('/')).then(|| {
            Some(Code {
                range: number(start)?.get()..number(end)?.get(),
                place,
                path: format!("{root}{path}").into(),
            })
        })?
    };
    maps.lines().filter_map(code).collect()
}

/// Returns the ranges without the addresses from `start` to `end`.
pub(crate) fn without(regions: &[Region], start: Address, end: Address) -> Vec<Region> {
    let around = |region: &Region| {
        let before = Region {
            end: region.end.min(start),
            ..region.clone()
        };
        let after = Region {
            start: region.start.max(end),
            ..region.clone()
        };
        [before, after]
    };
    let parts = regions.iter().flat_map(around);
    parts.filter(|part| part.start < part.end).collect()
}

fn number(text: &str) -> Option<Address> {
    u64::from_str_radix(text, 16).ok().map(Address::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0c0a00000-55d0c0a21000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 r--p 00000000 08:01 42                         /usr/lib/libc.so.6
7f0000001000-7f0000001800 r-xp 00001000 08:01 42                         /usr/lib/libc.so.6
7f0000001800-7f0000002000 rw-p 00001000 08:01 42                         /usr/lib/libc.so.6
7f0000003000-7f0000004000 rw-s 00000000 00:01 7                          /dev/zero
7f0000005000-7f0000006000 r-xp 00000000 08:01 43                         /opt/a b.so (deleted)
7f0000007000-7f0000008000 r-xp 00000000 00:00 0                          [vdso]
nonsense
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn a_range_in_the_middle_is_left_out() {
        let region = |start, end| Region {
            start: Address::new(start),
            end: Address::new(end),
            is_file: false,
        };
        let regions = [region(0x1000, 0x4000), region(0x5000, 0x6000)];
        let left = without(&regions, Address::new(0x2000), Address::new(0x3000));
        assert_eq!(
            left,
            [
                region(0x1000, 0x2000),
                region(0x3000, 0x4000),
                region(0x5000, 0x6000)
            ]
        );
        let left = without(&regions, Address::new(0x3000), Address::new(0x7000));
        assert_eq!(left, [region(0x1000, 0x3000)]);
    }

    #[test]
    fn private_writable_ranges_are_read() {
        let regions = writable(MAPS);
        let starts: Vec<u64> = regions.iter().map(|it| it.start.get()).collect();
        assert_eq!(
            starts,
            [0x55d0_c0a0_0000, 0x7f00_0000_1800, 0x7ffd_0000_0000]
        );
        assert_eq!(regions[0].length(), 0x21000);
        assert!(!regions[0].is_file && regions[1].is_file);
    }

    #[test]
    fn code_of_files_is_read() {
        let code = code(MAPS, "/root");
        let paths: Vec<&str> = code.iter().filter_map(|it| it.path.to_str()).collect();
        let expected = ["/root/usr/lib/libc.so.6", "/root/opt/a b.so (deleted)"];
        assert_eq!(paths, expected);
        assert_eq!(code[0].range, 0x7f00_0000_1000..0x7f00_0000_1800);
        assert_eq!(code[0].place, 0x1000);
    }
}
