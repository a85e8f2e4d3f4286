//! Distinguishes clients that have closed a connection from clients that have closed only their sending half.
//!
//! Both send nothing more, and a closed connection shows nothing else until the server writes to it. But the system
//! knows more about the sockets of its own processes, and most clients are processes of the same machine.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::io::Ready;

/// Returns `true` if the system reports that no process reads from the other end of the socket.
///
/// `ready` is the future of the socket's [`ready`](tokio::net::TcpStream::ready) for writing. It is polled once.
pub(super) fn has_hung_up(ready: impl Future<Output = io::Result<Ready>>) -> bool {
    // Other systems report the same for a client that has closed only its sending half.
    if !cfg!(target_os = "linux") {
        return false;
    }
    let polled = pin!(ready).poll(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Ready(Ok(ready)) if ready.is_write_closed())
}

/// Returns `true` if the other end of a TCP connection, which sends nothing more, belonged to a process of this machine
/// that has closed it.
///
/// The call takes time in proportion to the number of sockets of the machine.
pub(super) fn is_closed_here(local: SocketAddr, peer: SocketAddr) -> bool {
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
    use std::net::Ipv6Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
    use tokio::net::{TcpListener, TcpStream, UnixStream};
    use tokio::task::yield_now;

    use super::*;

    fn has_left(stream: &TcpStream) -> bool {
        let local = stream.local_addr().expect("it is connected");
        // After a reset, the system no longer knows the address of the peer.
        let peer = stream.peer_addr();
        has_hung_up(stream.ready(Interest::WRITABLE))
            || peer.is_ok_and(|peer| is_closed_here(local, peer))
    }

    async fn read_end(stream: &mut TcpStream) {
        assert_eq!(stream.read(&mut [0]).await.expect("it is no error"), 0);
    }

    async fn wait_until_left(stream: &TcpStream) {
        while !has_left(stream) {
            yield_now().await;
        }
    }

    /// Checks a server with this address, which clients reach at the address `client`. Does nothing if the machine has
    /// no such address.
    async fn check(server: IpAddr, client: IpAddr) {
        let Ok(listener) = TcpListener::bind((server, 0)).await else {
            return;
        };
        let port = listener.local_addr().expect("it is bound").port();
        let connect = async || {
            let client = TcpStream::connect((client, port)).await;
            let (stream, _) = listener.accept().await.expect("one has come");
            (stream, client.expect("it listens"))
        };
        let (mut stream, mut client) = connect().await;
        assert!(!has_left(&stream));
        client.shutdown().await.expect("it is connected");
        read_end(&mut stream).await;
        assert!(!has_left(&stream), "it waits");
        drop(client);
        wait_until_left(&stream).await;
        let (mut stream, client) = connect().await;
        drop(client);
        read_end(&mut stream).await;
        wait_until_left(&stream).await;
    }

    #[tokio::test]
    async fn a_half_closed_connection_is_not_closed() {
        let (four, six) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        check(four.into(), four.into()).await;
        check(six.into(), six.into()).await;
        check(Ipv6Addr::UNSPECIFIED.into(), four.into()).await;
        check(Ipv6Addr::UNSPECIFIED.into(), six.into()).await;
    }

    #[tokio::test]
    async fn unix_sockets_report_a_closed_connection() {
        let (mut stream, mut client) = UnixStream::pair().expect("the system has some");
        let has_left = |stream: &UnixStream| has_hung_up(stream.ready(Interest::WRITABLE));
        assert!(!has_left(&stream));
        client.shutdown().await.expect("it is connected");
        assert_eq!(stream.read(&mut [0]).await.expect("it is no error"), 0);
        assert!(!has_left(&stream), "it waits");
        drop(client);
        while !has_left(&stream) {
            yield_now().await;
        }
    }
}
