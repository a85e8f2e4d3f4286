//! Reads the addresses of the sockets of a process from `/proc/PID/net`.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The sockets of a process. A core file has none.
pub(crate) struct Sockets {
    pid: Option<u32>,
    /// The addresses in words, by inode. They are read when a socket is first asked for.
    addresses: OnceCell<HashMap<u64, String>>,
}

impl Sockets {
    pub(crate) fn new(pid: Option<u32>) -> Self {
        Self {
            pid,
            addresses: OnceCell::new(),
        }
    }

    /// Returns the local address of a file descriptor, and that of the peer if it is connected.
    pub(crate) fn address(&self, file: u32) -> Option<&str> {
        let pid = self.pid?;
        let target = fs::read_link(format!("/proc/{pid}/fd/{file}")).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?;
        let inode = inode.strip_suffix(']')?.parse().ok()?;
        let addresses = self.addresses.get_or_init(|| read(pid));
        addresses.get(&inode).map(String::as_str)
    }
}

fn read(pid: u32) -> HashMap<u64, String> {
    let tables = ["tcp", "tcp6", "udp", "udp6"];
    let texts = tables.map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let lines = texts.iter().flatten().flat_map(|text| text.lines());
    lines.filter_map(line).collect()
}

/// Reads a line: the number of the line, the local and the remote address, and, as the tenth word, the inode.
fn line(line: &str) -> Option<(u64, String)> {
    let mut words = line.split_ascii_whitespace();
    let local = address(words.nth(1)?)?;
    let peer = address(words.next()?)?;
    let inode = words.nth(6)?.parse().ok()?;
    let text = match peer.port() {
        0 => local.to_string(),
        _ => format!("{local} to {peer}"),
    };
    Some((inode, text))
}

/// Reads an address in hexadecimal digits, of which each group of eight is a number in the order of the processor.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let groups = ip.as_bytes().chunks(8);
    let groups = groups.map(|group| u32::from_str_radix(std::str::from_utf8(group).ok()?, 16).ok());
    let bytes: Option<Vec<[u8; 4]>> = groups.map(|group| group.map(u32::to_le_bytes)).collect();
    let bytes = bytes?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).map(Ipv6Addr::from).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_tables_of_the_kernel() {
        for (text, expected) in [
            (
                "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1 0 100 0 0 10 0",
                Some((77, "127.0.0.1:8080".to_owned())),
            ),
            (
                "   1: 0100007F:1F90 0200000A:C350 01 00000000:00000000 00:00000000 00000000 0 0 78 1 0 20 4 30 10 -1",
                Some((78, "127.0.0.1:8080 to 10.0.0.2:50000".to_owned())),
            ),
            (
                "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 79",
                Some((79, "[::1]:80".to_owned())),
            ),
            (
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
                None,
            ),
        ] {
            assert_eq!(line(text), expected);
        }
    }
}
