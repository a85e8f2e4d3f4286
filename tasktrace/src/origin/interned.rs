//! Texts that are made once and kept, found by the text that they were made of.
//!
//! They are as many as there are functions and types of futures that need it, which a program's code
//! bounds. Nothing is locked: an allocator may ask for one.

use std::sync::OnceLock;

/// Where a static text is, which tells it from others.
type Key = [usize; 3];

struct Node {
    key: Key,
    text: &'static str,
    next: OnceLock<Box<Node>>,
}

static BUCKETS: [OnceLock<Box<Node>>; 256] = [const { OnceLock::new() }; 256];

/// The text that was made of `of` at a `place`, or is made now.
pub(super) fn interned(
    of: &'static str,
    place: usize,
    make: impl FnOnce() -> String,
) -> &'static str {
    let key = [of.as_ptr().addr(), of.len(), place];
    let hash = (key[0] ^ key[1].rotate_left(17) ^ key[2].rotate_left(7)) / 8;
    let mut slot = &BUCKETS[hash % BUCKETS.len()];
    while let Some(node) = slot.get() {
        if node.key == key {
            return node.text;
        }
        slot = &node.next;
    }
    let mut node = Box::new(Node {
        key,
        text: make().leak(),
        next: OnceLock::new(),
    });
    // Others may add theirs meanwhile.
    loop {
        let text = node.text;
        match slot.set(node) {
            Ok(()) => return text,
            Err(back) => node = back,
        }
        match slot.get() {
            Some(other) if other.key == key => return other.text,
            Some(other) => slot = &other.next,
            // It was set, so this cannot be.
            None => return text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_interned_once() {
        let texts: &'static [String] = (0..1000)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .leak();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    let all = texts.iter();
                    let made = all.map(|text| interned(text, 7, || format!("made of {text}")));
                    made.map(str::as_ptr)
                        .map(<*const u8>::addr)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let mut all = threads.into_iter().map(|thread| thread.join().unwrap());
        let first = all.next().unwrap();
        assert!(all.all(|other| other == first));
        let again = interned(&texts[3], 7, || unreachable!("it is there"));
        assert_eq!(again, "made of 3");
        assert_eq!(
            interned(&texts[3], 8, || "another place".into()),
            "another place"
        );
    }
}
