//! A minimal HTTP client over plain TCP, which sends exactly what a test passes to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A timeout that is longer than any response takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status of the response.
    pub status: u16,
    head: String,
    /// The bytes after the head.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let header = headers.find(|(it, _)| it.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value)
    }

    /// Returns the body, as text.
    ///
    /// # Panics
    ///
    /// If the body is not UTF-8.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the response is UTF-8")
    }
}

/// Opens a connection to `address`.
///
/// # Panics
///
/// If the connection is refused.
#[must_use]
#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("the timeout can be set");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("the timeout can be set");
    stream
}

/// Sends `request`, and reads the response until the server closes the connection.
///
/// # Panics
///
/// If there is no response, or no valid one.
#[must_use]
#[track_caller]
pub fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(address);
    stream
        .write_all(request.as_bytes())
        .expect("the server reads the request");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("the server responds");
    let at = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let at = at.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(&answer)));
    let head = String::from_utf8(answer[..at].to_vec()).expect("the response is UTF-8");
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    Answer {
        status: status.expect("the head has a status"),
        head,
        body: answer[at + 4..].to_vec(),
    }
}

/// Sends a request with this method, path and headers.
#[must_use]
#[track_caller]
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    exchange(address, &request)
}

/// Sends a `GET` request.
#[must_use]
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, &[])
}
