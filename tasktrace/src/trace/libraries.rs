//! Runs of libraries' functions, of which a reader wants to see the first: the one that the program
//! has called.
//!
//! A run begins with a function of a library and goes on as long as that has called a single other
//! one. The last of all, which waits, is not in it, nor is what has a label or an age of its own. Of
//! a run of three and more the first is told, and of the others how many they are, and of which
//! crates. The program's functions are in no run.

use super::Frame;

/// A run has at least so many functions beside its first.
const FEWEST_HIDDEN: usize = 2;

/// The largest number of crates that are named.
const FEW_CRATES: usize = 5;

/// The functions of a run but the first.
pub(crate) struct Hidden<'a> {
    /// How many they are, at least [`FEWEST_HIDDEN`].
    pub(crate) count: usize,
    /// The last of them.
    pub(crate) last: &'a Frame,
}

/// The functions that are not told, if a run begins with this one that is long enough.
pub(crate) fn hidden_below(first: &Frame) -> Option<Hidden<'_>> {
    let mut hidden = Hidden {
        count: 0,
        last: first,
    };
    while let Some(next) = next_in_run(hidden.last) {
        hidden.count += 1;
        hidden.last = next;
    }
    (hidden.count >= FEWEST_HIDDEN).then_some(hidden)
}

fn next_in_run(frame: &Frame) -> Option<&Frame> {
    let [next] = frame.children() else {
        return None;
    };
    let is_plain = next.wait().is_none() && next.label().is_none() && next.age().is_none();
    let is_in_run = frame.is_dependency()
        && frame.wait().is_none()
        && next.is_dependency()
        && is_plain
        && !next.children().is_empty();
    is_in_run.then_some(next)
}

/// The crates of what is hidden below a frame, each once: `reqwest, tower, hyper_util and 2 more`.
pub(crate) fn crates(first: &Frame, hidden: &Hidden<'_>) -> String {
    let mut crates: Vec<&str> = Vec::new();
    let mut frame = first;
    for _ in 0..hidden.count {
        let Some(next) = frame.children().first() else {
            break;
        };
        frame = next;
        if let Some(krate) = crate_of(frame)
            && !crates.contains(&krate)
        {
            crates.push(krate);
        }
    }
    let named = crates.len().min(FEW_CRATES);
    let mut text = crates[..named].join(", ");
    if crates.len() > named {
        text.push_str(&format!(" and {} more", crates.len() - named));
    }
    text
}

/// The crate that a function is of. A type of the standard library tells nothing.
fn crate_of(frame: &Frame) -> Option<&str> {
    let (krate, _) = frame.name().split_once("::")?;
    let is_std = ["alloc", "core", "std"].contains(&krate);
    (!is_std).then_some(krate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str) -> Frame {
        Frame::sample(name, 1).into_dependency()
    }

    /// `outer` calls the first, that the second, and so on to the last, which waits.
    fn chain(names: &[&str], leaf: Frame) -> Frame {
        let names = names.iter().rev();
        names.fold(leaf, |below, name| library(name).with_children([below]))
    }

    fn resource() -> Frame {
        library("tokio::time::sleep").into_resource()
    }

    #[test]
    fn runs_of_three_and_more_are_told_as_their_first() {
        let count = |names: &[&str]| {
            let chain = chain(names, resource());
            hidden_below(&chain).map(|hidden| (hidden.count, crates(&chain, &hidden)))
        };
        assert_eq!(count(&["a::f"]), None);
        assert_eq!(count(&["a::f", "b::g"]), None);
        assert_eq!(
            count(&["a::f", "b::g", "c::h"]),
            Some((2, "b, c".to_owned()))
        );
        assert_eq!(
            count(&["a::f", "a::g", "a::h", "b::i", "core::j"]),
            Some((4, "a, b".to_owned()))
        );
        let many = [
            "a::f", "b::f", "c::f", "d::f", "e::f", "f::f", "g::f", "h::f",
        ];
        assert_eq!(
            count(&many),
            Some((7, "b, c, d, e, f and 2 more".to_owned()))
        );
    }

    #[test]
    fn leaves_callbacks_and_traced_frames_end_a_run() {
        // A leaf that is a library's function.
        let leaf = chain(&["a::f", "b::g"], library("c::h"));
        assert!(hidden_below(&leaf).is_none());
        // The program's, called back.
        let back = Frame::sample("app::f", 1).with_children([resource()]);
        let back = chain(&["a::f", "b::g"], back);
        assert!(hidden_below(&back).is_none());
        let traced = library("b::g").with_label("x").with_children([resource()]);
        let traced = chain(&["a::f", "a::g"], traced);
        assert!(hidden_below(&traced).is_none());
        // The last that has called several is still in it.
        let fork = library("c::h").with_children([resource(), resource()]);
        let fork = chain(&["a::f", "b::g"], fork);
        assert_eq!(hidden_below(&fork).map(|hidden| hidden.count), Some(2));
        let program = Frame::sample("app::f", 1).with_children([fork]);
        assert!(hidden_below(&program).is_none());
    }
}
