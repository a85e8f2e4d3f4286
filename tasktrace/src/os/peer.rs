//! Distinguishes clients that have closed a connection from clients that have closed only their sending half.
//!
//! Both send nothing more, and a closed connection shows nothing else until the server writes to it. But the system
//! knows more about the sockets of its own processes, and most clients are processes of the same machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Returns `true` if the system reports that no process reads from the other end of the socket.
#[cfg(target_os = "linux")]
pub(crate) fn has_hung_up(socket: &impl std::os::fd::AsRawFd) -> bool {
    let mut poll = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: 0,
        revents: 0,
    };
    // SAFETY: `poll` points to one `pollfd`, which is valid for reads and writes during the call. The call does not
    // wait. The system reports an invalid descriptor in `revents`.
    let count = unsafe { libc::poll(&raw mut poll, 1, 0) };
    count == 1 && poll.revents & (libc::POLLHUP | libc::POLLERR) != 0
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn has_hung_up<T>(_: &T) -> bool {
    false
}

/// Returns `true` if the other end of a TCP connection, which sends nothing more, belonged to a process of this machine
/// that has closed it.
///
/// The call takes time in proportion to the number of sockets of the machine.
pub(crate) fn is_closed_here(local: SocketAddr, peer: SocketAddr) -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    let is_here = peer.ip() == local.ip() || peer.ip().to_canonical().is_loopback();
    is_here
        && ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
            .iter()
            .any(|table| {
                let text = std::fs::read_to_string(table).unwrap_or_default();
                // The local address of the other end is the peer address of this end.
                text.lines()
                    .skip(1)
                    .any(|line| is_closed(line, peer, local))
            })
}

/// The state of a connection that neither side has closed.
const ESTABLISHED: &str = "01";

/// Returns `true` if a line of the system's table describes this end of the connection, and no process has it open.
fn is_closed(line: &str, local: SocketAddr, peer: SocketAddr) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let mut next = || fields.next().unwrap_or_default();
    if !is_address(next(), local) || !is_address(next(), peer) {
        return false;
    }
    // An established connection has no inode while it waits to be accepted.
    next() != ESTABLISHED && fields.nth(5) == Some("0")
}

/// Returns `true` if a field is this address, as IPv4 or as IPv6.
fn is_address(field: &str, address: SocketAddr) -> bool {
    let Some((ip, port)) = field.split_once(':') else {
        return false;
    };
    u16::from_str_radix(port, 16) == Ok(address.port())
        && parse(ip).is_some_and(|ip| ip.to_canonical() == address.ip().to_canonical())
}

/// Parses an address. The system writes it as 32-bit words in the byte order of the machine.
fn parse(ip: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = ip.get(8 * at..8 * at + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    if ip.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(1)?, word(2)?, word(3)?];
    let bytes: [u8; 16] = words.concat().try_into().ok()?;
    Some(bytes.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn has_left(stream: &TcpStream) -> bool {
        let local = stream.local_addr().expect("it is connected");
        // After a reset, the system no longer knows the address of the peer.
        let peer = stream.peer_addr();
        has_hung_up(stream) || peer.is_ok_and(|peer| is_closed_here(local, peer))
    }

    /// Checks a server with this address, which clients reach at the address `client`. Does nothing if the machine has
    /// no such address.
    fn check(server: IpAddr, client: IpAddr) {
        let Ok(listener) = TcpListener::bind((server, 0)) else {
            return;
        };
        let port = listener.local_addr().expect("it is bound").port();
        let connect = || {
            let client = TcpStream::connect((client, port)).expect("it listens");
            (listener.accept().expect("one has come").0, client)
        };
        let read_end = |mut stream: &TcpStream| {
            assert_eq!(stream.read(&mut [0]).expect("it is no error"), 0);
        };
        let (stream, client) = connect();
        assert!(!has_left(&stream));
        client.shutdown(Shutdown::Write).expect("it is connected");
        read_end(&stream);
        assert!(!has_left(&stream), "it waits");
        drop(client);
        while !has_left(&stream) {
            std::thread::yield_now();
        }
        let (stream, client) = connect();
        drop(client);
        read_end(&stream);
        while !has_left(&stream) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_half_closed_connection_is_not_closed() {
        let (four, six) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        check(four.into(), four.into());
        check(six.into(), six.into());
        check(Ipv6Addr::UNSPECIFIED.into(), four.into());
        check(Ipv6Addr::UNSPECIFIED.into(), six.into());
    }

    #[test]
    fn unix_sockets_report_a_closed_connection() {
        let (stream, client) = UnixStream::pair().expect("the system has some");
        assert!(!has_hung_up(&stream));
        client.shutdown(Shutdown::Write).expect("it is connected");
        assert!(!has_hung_up(&stream), "it waits");
        drop(client);
        assert!(has_hung_up(&stream));
    }
}
