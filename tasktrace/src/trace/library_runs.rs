//! Finds runs of library functions, of which text shows only the first: the function that the program has called.
//!
//! A run begins with a library function and continues as long as each function has called a single other library
//! function. Leaves, and frames with a label or an age of their own, are in no run, and neither are the functions of
//! the program. A function that takes something out of a pool begins a run of its own, because it names what the
//! program waits for. Below such a function, others do not. For a run of three or more functions, text shows the first,
//! and the number and the crates of the others.

use super::Frame;
use super::library_call::takes_from_pool;

/// The least number of functions that are hidden, so a run has at least one more function.
const MIN_HIDDEN_FUNCTIONS: usize = 2;

/// The largest number of crates that text names.
const MAX_NAMED_CRATES: usize = 5;

/// The hidden functions of a run, which are all but the first.
pub(crate) struct HiddenRun<'a> {
    /// The number of hidden functions, at least [`MIN_HIDDEN_FUNCTIONS`].
    pub(crate) count: usize,
    /// The last hidden function.
    pub(crate) last: &'a Frame,
}

/// Returns the hidden functions of the run that begins with `first`, if the run is long enough.
pub(crate) fn hidden_below(first: &Frame) -> Option<HiddenRun<'_>> {
    let mut hidden = HiddenRun {
        count: 0,
        last: first,
    };
    if !first.is_dependency() {
        return None;
    }
    let is_in_pool = takes_from_pool(first);
    while let Some(next) = next_in_run(hidden.last)
        && (is_in_pool || !takes_from_pool(next))
    {
        hidden.count += 1;
        hidden.last = next;
    }
    (hidden.count >= MIN_HIDDEN_FUNCTIONS).then_some(hidden)
}

/// Returns the function after `frame` in its run.
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

/// Returns the crates of the hidden functions below `first`, each once: `reqwest, tower, hyper_util and 2 more`.
pub(crate) fn crates(first: &Frame, hidden: &HiddenRun<'_>) -> String {
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
    let named = crates.len().min(MAX_NAMED_CRATES);
    let mut text = crates[..named].join(", ");
    if crates.len() > named {
        text.push_str(&format!(" and {} more", crates.len() - named));
    }
    text
}

/// Returns the crate of a function, or `None` for the standard library, whose types explain nothing.
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

    /// Returns a chain of library functions, each of which calls the next. The last one calls `leaf`.
    fn chain(names: &[&str], leaf: Frame) -> Frame {
        let names = names.iter().rev();
        names.fold(leaf, |below, name| library(name).with_children([below]))
    }

    fn resource() -> Frame {
        library("tokio::time::sleep").into_resource()
    }

    #[test]
    fn runs_of_three_or_more_functions_hide_all_but_the_first() {
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
    fn the_function_that_takes_from_a_pool_begins_a_run() {
        let chain = chain(
            &[
                "a::Query::f",
                "a::g",
                "a::h",
                "a::Pool::get",
                "a::Pool::timeout_get",
                "a::i",
            ],
            resource(),
        );
        let hidden = |frame: &Frame| {
            let hidden = hidden_below(frame);
            hidden.map(|hidden| (hidden.count, hidden.last.name().to_owned()))
        };
        assert_eq!(hidden(&chain), Some((2, "a::h".to_owned())));
        let mut pool = &chain;
        while pool.name() != "a::Pool::get" {
            pool = &pool.children()[0];
        }
        assert_eq!(hidden(pool), Some((2, "a::i".to_owned())));
    }

    #[test]
    fn leaves_callbacks_and_traced_frames_end_a_run() {
        // A library function that is a leaf is in no run.
        let leaf = chain(&["a::f", "b::g"], library("c::h"));
        assert!(hidden_below(&leaf).is_none());
        // A function of the program that a library calls back is in no run.
        let back = Frame::sample("app::f", 1).with_children([resource()]);
        let back = chain(&["a::f", "b::g"], back);
        assert!(hidden_below(&back).is_none());
        let traced = library("b::g").with_label("x").with_children([resource()]);
        let traced = chain(&["a::f", "a::g"], traced);
        assert!(hidden_below(&traced).is_none());
        // A function that has called several others ends the run, but is still in it.
        let fork = library("c::h").with_children([resource(), resource()]);
        let fork = chain(&["a::f", "b::g"], fork);
        assert_eq!(hidden_below(&fork).map(|hidden| hidden.count), Some(2));
        let program = Frame::sample("app::f", 1).with_children([fork]);
        assert!(hidden_below(&program).is_none());
    }
}
