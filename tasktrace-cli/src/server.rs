//! Identifies the server to ask: a process by its socket, or a server by its address.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;

use crate::args::Target;
use crate::failure::Failure;
use crate::find;
use crate::output::visible;

/// An HTTP server to ask.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) at: Endpoint,
    /// The path where the service is mounted. It is empty, or begins with a slash and does not end with one.
    pub(crate) prefix: String,
    pub(crate) token: Option<String>,
    /// The longest time to wait until an answer begins, and for each further 64 KiB of it.
    pub(crate) time_limit: Duration,
    /// The process id, if it is known.
    pub(crate) process: Option<u32>,
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The host, without brackets.
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Server {
    /// Returns the server that the arguments name.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let server = match (&target.addr, target.process()) {
            (_, Some(process)) => Self::of(process, find::socket_of(process)?),
            (Some(address), None) => {
                let (at, prefix) = parse(address).map_err(Failure::Usage)?;
                Self {
                    at,
                    prefix,
                    token: None,
                    time_limit: Duration::ZERO,
                    process: None,
                }
            }
            (None, None) => {
                let found = find::only_process()?;
                Self::of(found.process, found.path)
            }
        };
        Ok(Self {
            token: target.token.clone().filter(|token| !token.is_empty()),
            time_limit: target.timeout,
            ..server
        })
    }

    /// Returns the server behind the socket of a process.
    pub(crate) fn of(process: u32, path: PathBuf) -> Self {
        Self {
            at: Endpoint::Unix(path),
            prefix: String::new(),
            token: None,
            time_limit: Duration::from_secs(2),
            process: Some(process),
        }
    }

    /// Returns the value of the header `Host`.
    pub(crate) fn authority(&self) -> String {
        match &self.at {
            Endpoint::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Endpoint::Tcp(host, port) => format!("{host}:{port}"),
            Endpoint::Unix(_) => "localhost".to_owned(),
        }
    }

    /// Returns the name of a file for an answer of the server.
    pub(crate) fn file(&self, extension: &str) -> String {
        match self.process {
            Some(process) => format!("tasktrace-{process}.{extension}"),
            None => format!("tasktrace.{extension}"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.at, self.process) {
            (_, Some(process)) => write!(f, "process {process}"),
            (Endpoint::Tcp(..), None) => write!(f, "http://{}{}", self.authority(), self.prefix),
            (Endpoint::Unix(path), None) => write!(f, "{}", visible(&path.display().to_string())),
        }
    }
}

/// Parses `http://host:port/prefix`, `host:port` or `unix:/path`.
fn parse(address: &str) -> Result<(Endpoint, String), String> {
    if let Some(path) = address.strip_prefix("unix:") {
        // Also accepts `unix:///path`.
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path.starts_with('/') {
            true => Ok((Endpoint::Unix(path.into()), String::new())),
            false => Err(format!(
                "`{address}` has no path: write unix:/path/to/socket"
            )),
        };
    }
    let wrong = |why: &str| {
        format!("`{address}` {why}: write http://HOST:PORT, and the path if there is one")
    };
    if address.starts_with("https:") {
        return Err(format!(
            "`{address}` is not supported: tasktrace speaks only plain HTTP, so use a tunnel such as \
             ssh -L 6670:localhost:6670 HOST"
        ));
    }
    let address = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let uri: Uri = address.parse().map_err(|_| wrong("is not an address"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("is not an HTTP address"));
    }
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| wrong("names no host"))?;
    if uri.query().is_some() {
        return Err(wrong("has a query"));
    }
    let authority = uri
        .authority()
        .and_then(|it| it.as_str().rsplit('@').next());
    let after_host = authority.and_then(|authority| authority.strip_prefix(host));
    let port = match (uri.port_u16(), after_host) {
        (Some(port), _) => port,
        (None, Some("" | ":")) => 80,
        _ => return Err(wrong("has no valid port")),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let prefix = uri.path().trim_end_matches('/');
    Ok((Endpoint::Tcp(host.to_owned(), port), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_invalid_ones_are_not() {
        let tcp = |host: &str, port| Endpoint::Tcp(host.to_owned(), port);
        for (address, at, prefix) in [
            ("http://127.0.0.1:6670", tcp("127.0.0.1", 6670), ""),
            ("http://localhost:80/", tcp("localhost", 80), ""),
            ("http://host/debug/tasks/", tcp("host", 80), "/debug/tasks"),
            ("host:1/a", tcp("host", 1), "/a"),
            ("http://[::1]:9", tcp("::1", 9), ""),
            ("http://[::1]", tcp("::1", 80), ""),
            ("http://user@host:", tcp("host", 80), ""),
            ("unix:/run/a.sock", Endpoint::Unix("/run/a.sock".into()), ""),
            (
                "unix:///run/a.sock",
                Endpoint::Unix("/run/a.sock".into()),
                "",
            ),
        ] {
            assert_eq!(parse(address), Ok((at, prefix.to_owned())), "{address}");
        }
        for address in [
            "",
            "http://",
            "ftp://a",
            "https://a",
            "http://a?b",
            "unix:a",
            "http://a b",
            "http://a:65536",
            "a:80b",
            "6:65536",
        ] {
            assert!(parse(address).is_err(), "{address}");
        }
    }

    #[test]
    fn ipv6_hosts_keep_their_brackets() {
        let server = |address| {
            let (at, prefix) = parse(address).expect("it is one");
            Server {
                at,
                prefix,
                token: None,
                time_limit: Duration::ZERO,
                process: None,
            }
        };
        assert_eq!(server("http://[::1]:9/a").to_string(), "http://[::1]:9/a");
        assert_eq!(server("host:9").authority(), "host:9");
    }
}
