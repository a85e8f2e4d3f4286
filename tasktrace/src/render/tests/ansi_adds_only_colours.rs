//! Tests the text for terminals.

use std::fmt::Write as _;

use super::*;

#[test]
fn the_text_without_escape_sequences_is_the_plain_text() {
    let dump = dump([
        task(1, "app::main")
            .suspended_for(100.0)
            .at([Frame::sample("f", 1).with_children([Frame::sample("g", 2).held(3.0)])]),
        task(2, "app::other"),
    ]);
    let coloured = dump.ansi().to_string();
    assert!(
        coloured.contains("\x1b[1mtask 2 app::other\x1b[0m, "),
        "{coloured}"
    );
    let mut plain = String::new();
    for (at, part) in coloured.split("\x1b[").enumerate() {
        let text = part.split_once('m').map_or(part, |(_, text)| text);
        let text = if at == 0 { part } else { text };
        plain
            .write_str(text)
            .expect("writing to a string cannot fail");
    }
    assert_eq!(plain, dump.to_string());
    assert!(!plain.contains('\x1b'));
}
