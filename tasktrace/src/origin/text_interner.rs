//! Interns texts that are derived from static texts.
//!
//! A text is created once and never freed. Each function and each type of a future has at most one, so the code of the
//! program bounds their number. No lock is taken, because an allocator may request a text.

use std::sync::OnceLock;

use crate::sync::fork::get_or_init;

/// The address and the length of the source text, and a place.
type TextKey = [usize; 3];

/// A node in the list of a bucket. It is never freed, so neither is its text.
struct TextNode {
    key: TextKey,
    text: Box<str>,
    next: OnceLock<Box<TextNode>>,
}

static BUCKETS: [OnceLock<Box<TextNode>>; 256] = [const { OnceLock::new() }; 256];

/// Returns the text that is derived from `source` at a `place`. Calls `make` if the text does not exist yet.
///
/// Other threads may add nodes at the same time. So a new node goes to the end of the list as it is then, and is
/// dropped if one of them has added a node there in between.
pub(super) fn intern_text(
    source: &'static str,
    place: usize,
    make: impl Fn() -> String,
) -> &'static str {
    let key = [source.as_ptr().addr(), source.len(), place];
    let hash = (key[0] ^ key[1].rotate_left(17) ^ key[2].rotate_left(7)) / 8;
    let mut slot: &'static OnceLock<Box<TextNode>> = &BUCKETS[hash % BUCKETS.len()];
    loop {
        let node = get_or_init(slot, || {
            Box::new(TextNode {
                key,
                text: make().into(),
                next: OnceLock::new(),
            })
        });
        if node.key == key {
            return &node.text;
        }
        slot = &node.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_the_text_of_a_source_and_a_place() {
        let texts: &'static [String] = (0..1000)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .leak();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    let all = texts.iter();
                    let made = all.map(|text| intern_text(text, 7, || format!("made of {text}")));
                    made.map(str::as_ptr)
                        .map(<*const u8>::addr)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let mut all = threads.into_iter().map(|thread| thread.join().unwrap());
        let first = all.next().unwrap();
        assert!(all.all(|other| other == first));
        let again = intern_text(&texts[3], 7, || unreachable!("the text exists"));
        assert_eq!(again, "made of 3");
        assert_eq!(
            intern_text(&texts[3], 8, || "another place".into()),
            "another place"
        );
    }
}
