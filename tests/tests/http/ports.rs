//! Tests that browsers open pages at the ports that the documentation and the help of `tasktrace` name.

use tasktrace::http::DEFAULT_PORT;

/// The ports at which Chromium (`net/base/port_util.cc`) or Firefox (`gBadPortList`) open no page.
const REFUSED: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
];

const DOCS: [&str; 3] = [
    include_str!("../../../tasktrace/docs/http.md"),
    include_str!("../../../tasktrace/docs/cli.md"),
    include_str!("../../../tasktrace-cli/src/args.rs"),
];

#[test]
fn browsers_open_the_default_port() {
    assert!(!REFUSED.contains(&DEFAULT_PORT));
}

#[test]
fn browsers_open_every_port_of_the_documentation() {
    let mut has_default = false;
    for text in DOCS {
        // Ports in tests do not count.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for host in ["localhost:", "127.0.0.1:"] {
            for (at, _) in text.match_indices(host) {
                let rest = &text[at + host.len()..];
                let end = rest.find(|it: char| !it.is_ascii_digit());
                let port = rest[..end.unwrap_or(rest.len())].parse();
                assert!(
                    !REFUSED.iter().any(|it| port == Ok(*it)),
                    "{host}{rest:.30}"
                );
                has_default |= port == Ok(DEFAULT_PORT);
            }
        }
    }
    assert!(has_default);
}
