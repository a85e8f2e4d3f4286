//! Checks the host name of a request.
//!
//! A page on another site cannot read the answers of a server on this machine, with one exception: the page can make
//! its own name resolve to this machine, and then the browser treats both as the same site (DNS rebinding). The
//! requests of such a page have that name in `Host`. So only requests with a name that no other site can have are
//! answered.

use std::net::IpAddr;

/// The host names to which requests are answered.
#[derive(Clone, Debug)]
pub(super) enum AllowedHosts {
    /// `localhost`, the loopback addresses, and these names.
    Named(Vec<String>),
    /// All names.
    Any,
}

impl Default for AllowedHosts {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl AllowedHosts {
    /// Adds a name.
    pub(super) fn allow(&mut self, name: String) {
        if let Self::Named(names) = self {
            names.push(name);
        }
    }

    /// Returns `true` if a request to this name, with or without a port, is answered.
    pub(super) fn allows(&self, host: &str) -> bool {
        let Self::Named(names) = self else {
            return true;
        };
        let Some(name) = name(host) else {
            return false;
        };
        is_loopback(name) || names.iter().any(|it| it.eq_ignore_ascii_case(name))
    }
}

fn is_loopback(name: &str) -> bool {
    let address = match name.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(inner) => inner.parse().map(IpAddr::V6),
        None => name.parse().map(IpAddr::V4),
    };
    match address {
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

/// Returns the name without the port, or `None` if the text is not valid.
fn name(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(inner) => inner.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    (is_port && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_this_machine_are_allowed() {
        let hosts = AllowedHosts::default();
        for host in [
            "localhost",
            "LocalHost:80",
            "127.0.0.1",
            "127.0.0.1:6670",
            "127.1.2.3",
            "[::1]",
            "[::1]:6670",
            "[0:0:0:0:0:0:0:1]",
            "localhost:",
        ] {
            assert!(hosts.allows(host), "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        let hosts = AllowedHosts::default();
        for host in [
            "",
            ":80",
            "example.com",
            "localhost.example.com",
            "example.com:80",
            "127.0.0.1.example.com",
            "127.0.0.1@example.com",
            "localhost@example.com",
            "localhost:80@example.com",
            "localhost:80:80",
            "localhost/",
            "localhost ",
            "127.0.0.1:x",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "::1",
            "[localhost]",
        ] {
            assert!(!hosts.allows(host), "{host}");
        }
    }

    #[test]
    fn added_names_are_allowed() {
        let mut hosts = AllowedHosts::default();
        hosts.allow("Ops.example.com".into());
        hosts.allow("[fd00::1]".into());
        assert!(hosts.allows("ops.example.com:443"));
        assert!(hosts.allows("[fd00::1]:443"));
        assert!(hosts.allows("localhost"));
        assert!(!hosts.allows("example.com"));
        assert!(AllowedHosts::Any.allows("example.com"));
    }

    proptest! {
        #[test]
        fn arbitrary_names_cause_no_panic(host in ".*") {
            let _ = AllowedHosts::default().allows(&host);
        }

        /// Text around the name of another site does not make it an allowed name.
        #[test]
        fn names_of_other_sites_are_refused(
            before in "([a-z0-9@:.\\[\\]-]*[.@])?", after in "(:[0-9]*)?",
        ) {
            let host = format!("{before}example.com{after}");
            prop_assert!(!AllowedHosts::default().allows(&host), "{}", host);
        }

        #[test]
        fn any_port_is_allowed(port in 0..=u16::MAX) {
            for name in ["localhost", "127.0.0.1", "[::1]"] {
                let host = format!("{name}:{port}");
                prop_assert!(AllowedHosts::default().allows(&host));
            }
        }
    }
}
