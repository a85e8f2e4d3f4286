//! Whom to ask: a process by its socket, or a server by its address.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;

use crate::args::Target;
use crate::failure::Failure;
use crate::find;
use crate::output::visible;

/// Somebody who answers HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) at: At,
    /// Where the routes are mounted: empty, or with a slash at the front and none at the end.
    pub(crate) prefix: String,
    pub(crate) token: Option<String>,
    /// How long to wait for an answer, or for more of it.
    pub(crate) patience: Duration,
    /// The process, where it is known.
    pub(crate) process: Option<u32>,
}

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The host, without brackets.
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Server {
    /// Whom the arguments mean.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let server = match (&target.addr, target.process()) {
            (_, Some(process)) => Self::of(process, find::socket_of(process)?),
            (Some(address), None) => {
                let (at, prefix) = parse(address).map_err(Failure::Usage)?;
                Self {
                    at,
                    prefix,
                    token: None,
                    patience: Duration::ZERO,
                    process: None,
                }
            }
            (None, None) => {
                let found = find::the_only_one()?;
                Self::of(found.process, found.path)
            }
        };
        Ok(Self {
            token: target.token.clone().filter(|token| !token.is_empty()),
            patience: target.timeout,
            ..server
        })
    }

    /// A process, by its socket.
    pub(crate) fn of(process: u32, path: PathBuf) -> Self {
        Self {
            at: At::Unix(path),
            prefix: String::new(),
            token: None,
            patience: Duration::from_secs(2),
            process: Some(process),
        }
    }

    /// What it is asked by, as HTTP wants to be told.
    pub(crate) fn authority(&self) -> String {
        match &self.at {
            At::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            At::Tcp(host, port) => format!("{host}:{port}"),
            At::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The name of a file for what it has answered.
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
            (At::Tcp(..), None) => write!(f, "http://{}{}", self.authority(), self.prefix),
            (At::Unix(path), None) => write!(f, "{}", visible(&path.display().to_string())),
        }
    }
}

/// `http://host:port/prefix`, `host:port` or `unix:/path`.
fn parse(address: &str) -> Result<(At, String), String> {
    if let Some(path) = address.strip_prefix("unix:") {
        // As in `unix:///path`.
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path.starts_with('/') {
            true => Ok((At::Unix(path.into()), String::new())),
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
            "`{address}` is not spoken to: tasktrace speaks plain HTTP, so go through a tunnel such as \
             ssh -L 6670:localhost:6670 HOST"
        ));
    }
    let address = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let uri: Uri = address.parse().map_err(|_| wrong("is no address"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("is no address of HTTP"));
    }
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| wrong("names no host"))?;
    if uri.query().is_some() {
        return Err(wrong("has a query"));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(80);
    let prefix = uri.path().trim_end_matches('/');
    Ok((At::Tcp(host.to_owned(), port), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |host: &str, port| At::Tcp(host.to_owned(), port);
        for (address, at, prefix) in [
            ("http://127.0.0.1:6670", tcp("127.0.0.1", 6670), ""),
            ("http://localhost:80/", tcp("localhost", 80), ""),
            ("http://host/debug/tasks/", tcp("host", 80), "/debug/tasks"),
            ("host:1/a", tcp("host", 1), "/a"),
            ("http://[::1]:9", tcp("::1", 9), ""),
            ("unix:/run/a.sock", At::Unix("/run/a.sock".into()), ""),
            ("unix:///run/a.sock", At::Unix("/run/a.sock".into()), ""),
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
        ] {
            assert!(parse(address).is_err(), "{address}");
        }
    }

    #[test]
    fn hosts_as_they_are_written() {
        let server = |address| {
            let (at, prefix) = parse(address).expect("it is one");
            Server {
                at,
                prefix,
                token: None,
                patience: Duration::ZERO,
                process: None,
            }
        };
        assert_eq!(server("http://[::1]:9/a").to_string(), "http://[::1]:9/a");
        assert_eq!(server("host:9").authority(), "host:9");
    }
}
