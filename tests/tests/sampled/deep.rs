//! Tests stacks that are deeper than the part that is copied: the frames nearest to the leaf are shown, and a note says
//! that others are missing.

use std::future::Future;
use std::pin::Pin;

use tasktrace::{Frame, Trace, traced};
use tasktrace_tests::sampled::{Site, alone, sample_until};

use crate::support::{Poller, sleep};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Enough for ten thousand nested polls without optimisation.
const STACK: usize = 1 << 30;

fn names(trace: &Trace) -> Vec<&str> {
    let mut names = Vec::new();
    let mut frames = trace.frames();
    while let [frame] = frames {
        names.push(frame.name().rsplit("::").next().unwrap_or_default());
        frames = frame.children();
    }
    names
}

#[inline(never)]
fn recurse(depth: usize, site: &Site) {
    let large = std::hint::black_box([depth; 64]);
    match depth {
        0 => sleep(site),
        _ => recurse(depth - 1, site),
    }
    std::hint::black_box(large);
}

#[traced]
async fn outer(depth: usize, site: Site) {
    inner(depth, site).await;
}

#[traced("{depth} deep")]
async fn inner(depth: usize, site: Site) {
    recurse(depth, &site);
}

/// The recursion needs a megabyte of stack.
#[test]
fn a_recursion_deeper_than_the_copy_shows_its_inner_end() {
    let _alone = alone();
    for (depth, is_cut) in [(100, false), (3000, true)] {
        let site = Site::default();
        let poller = Poller::with_stack(STACK, outer(depth, site.clone()));
        let task = sample_until(poller.id(), |leaf| leaf.name() == "std::thread::sleep");
        site.end();
        poller.join();
        let trace = task.trace();
        let names = names(trace);
        assert_eq!(&names[..2], ["outer", "inner"], "{trace}\n{trace:#}");
        assert_eq!(&names[names.len() - 2..], ["sleep", "sleep"], "{trace}");
        let missing = "(frames nearer to the root were not recorded: the stack is too deep)";
        assert_eq!(names[2] == missing, is_cut, "{trace}");
        let calls = names.iter().filter(|name| **name == "recurse").count();
        assert!(
            if is_cut {
                calls > 100 && calls < depth
            } else {
                calls == depth + 1
            },
            "{calls}"
        );
    }
}

#[traced("{depth}")]
async fn odd(depth: usize, site: Site) {
    match depth {
        1 => sleep(&site),
        _ => deep(depth - 1, site).await,
    }
}

#[traced("{depth}")]
async fn even(depth: usize, site: Site) {
    deep(depth - 1, site).await;
}

fn deep(depth: usize, site: Site) -> Boxed {
    match depth % 2 {
        0 => Box::pin(even(depth, site)),
        _ => Box::pin(odd(depth, site)),
    }
}

fn labels(trace: &Trace) -> Vec<usize> {
    let mut labels = Vec::new();
    let mut frames = trace.frames();
    while let [frame] = frames {
        let label = frame.label().map(|label| label.parse::<usize>());
        labels.extend(label.transpose().unwrap());
        frames = frame.children();
    }
    labels
}

#[test]
fn ten_thousand_nested_traced_functions_show_the_inner_ones() {
    let _alone = alone();
    let site = Site::default();
    let poller = Poller::with_stack(STACK, deep(10_000, site.clone()));
    let is_asleep = |leaf: &Frame| leaf.name() == "std::thread::sleep";
    let task = sample_until(poller.id(), is_asleep);
    site.end();
    poller.join();
    let trace = task.trace();
    let labels = labels(trace);
    // The labels count down from the outside in, without gaps or repeats.
    assert!(
        labels.windows(2).all(|pair| pair[0] == pair[1] + 1),
        "{trace}"
    );
    assert_eq!(labels.last(), Some(&1), "{trace}");
    assert!(labels.len() >= 500, "{}", labels.len());
    let text = trace.to_string();
    assert!(text.contains("not recorded"), "{text}");
    assert!(trace.to_string().len() + format!("{trace:#}").len() < 10 << 20);
}
