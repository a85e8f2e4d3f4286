//! Which names the server answers to.
//!
//! A page from elsewhere cannot read what a server on this machine answers, but for one trick: its
//! own name can be made to resolve to this machine, and then the browser takes the two for the same
//! (DNS rebinding). Its requests carry that name in `Host`. So only those are answered that carry a
//! name which nobody else can have.

use std::net::IpAddr;

/// The names.
#[derive(Clone, Debug)]
pub(super) enum Hosts {
    /// `localhost`, addresses of this machine to itself, and these.
    Named(Vec<String>),
    /// Anything.
    Any,
}

impl Default for Hosts {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Hosts {
    /// Answers to this name as well.
    pub(super) fn allow(&mut self, name: String) {
        if let Self::Named(names) = self {
            names.push(name);
        }
    }

    /// Whether a request to this name, with or without a port, is answered.
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

/// The name, without the port.
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
    fn this_machine_is_known() {
        let hosts = Hosts::default();
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
    fn others_are_not() {
        let hosts = Hosts::default();
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
    fn names_can_be_added() {
        let mut hosts = Hosts::default();
        hosts.allow("Ops.example.com".into());
        hosts.allow("[fd00::1]".into());
        assert!(hosts.allows("ops.example.com:443"));
        assert!(hosts.allows("[fd00::1]:443"));
        assert!(hosts.allows("localhost"));
        assert!(!hosts.allows("example.com"));
        assert!(Hosts::Any.allows("example.com"));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(host in ".*") {
            let _ = Hosts::default().allows(&host);
        }

        /// Whatever is put around a name that is not ours does not make it ours.
        #[test]
        fn no_name_of_others_is_taken_for_ours(
            before in "([a-z0-9@:.\\[\\]-]*[.@])?", after in "(:[0-9]*)?",
        ) {
            let host = format!("{before}example.com{after}");
            prop_assert!(!Hosts::default().allows(&host), "{}", host);
        }

        #[test]
        fn any_port_will_do(port in 0..=u16::MAX) {
            for name in ["localhost", "127.0.0.1", "[::1]"] {
                let host = format!("{name}:{port}");
                prop_assert!(Hosts::default().allows(&host));
            }
        }
    }
}
