use super::*;
use crate::trace::frame::{Frame, Wait};

const SLEEP: &str = "tokio::time::sleep::Sleep::poll";

fn symbol(class: Class, function: &str, closures: usize, line: u32) -> Symbol {
    Symbol {
        name: function.into(),
        function: function.into(),
        closures,
        class,
        is_library: false,
        file: Some("/app/src/main.rs".into()),
        line: (line > 0).then_some(line),
        column: None,
    }
}

/// The names and lines of the frames that are made of some functions.
#[track_caller]
fn check(functions: &[(Class, &str, usize, u32)], expected: &[(&str, u32)]) {
    let symbols: Symbols = functions
        .iter()
        .map(|(class, function, closures, line)| symbol(*class, function, *closures, *line))
        .collect();
    let paths = Paths::new();
    let part = Part::Functions(symbols, Vec::new());
    let mut path = Path::new(&paths, false, 1);
    path.push(&part);
    let found: Vec<(String, u32)> = frames(&mut path, LeafKind::Registered)
        .iter()
        .map(|frame| (frame.place.name.to_string(), frame.place.line.unwrap_or(0)))
        .collect();
    let found: Vec<(&str, u32)> = found.iter().map(|(name, line)| (&**name, *line)).collect();
    assert_eq!(found, expected);
}

/// The frames of a tree of this way only.
fn frames(path: &mut Path<'_>, kind: LeafKind) -> Vec<Frame> {
    let mut builder = Builder::default();
    path.add_to(&mut builder, kind, 1);
    let mut frames = Vec::new();
    let mut level = builder.finish().frames;
    while let [frame] = &mut *level {
        let below = std::mem::take(&mut frame.children);
        frames.append(&mut level);
        level = below;
    }
    frames
}

use crate::symbol::Symbols;
use Class::{PollFn, Runtime, Std, User};

#[test]
fn functions_are_shown_once() {
    check(
        &[
            (User, "app::serve", 1, 10),
            (Std, "core::pin::Pin::poll", 0, 1),
            (User, "app::listen", 1, 20),
            (Runtime, SLEEP, 0, 7),
        ],
        &[
            ("app::serve", 10),
            ("app::listen", 20),
            ("tokio::time::sleep", 7),
        ],
    );
}

#[test]
fn closures_are_shown_where_they_are_async_blocks() {
    // The block is above its `.await`.
    check(
        &[(User, "app::serve", 1, 10), (User, "app::serve", 2, 8)],
        &[("app::serve", 10), ("app::serve::{async block}", 8)],
    );
    // An attribute is above the body that it is for.
    check(
        &[
            (User, "app::serve", 1, 10),
            (Runtime, "tracing::instrument::Instrumented::poll", 0, 1),
            (User, "app::serve", 2, 12),
        ],
        &[("app::serve", 12)],
    );
    // The branches of a macro are below it.
    check(
        &[
            (User, "app::serve", 1, 10),
            (PollFn, "core::future::poll_fn::PollFn::poll", 0, 1),
            (Runtime, "app::serve", 2, 1),
            (Runtime, "tokio::future::maybe_done::MaybeDone::poll", 0, 1),
            (User, "app::serve", 2, 12),
        ],
        &[("app::serve", 10), ("app::serve::{async block}", 12)],
    );
    for caller in [
        (PollFn, "core::future::poll_fn::PollFn::poll", 0, 1),
        (Std, "std::thread::local::LocalKey::with", 0, 1),
        (Runtime, "futures_util::fns::FnMut1::call_mut", 0, 1),
    ] {
        check(
            &[
                (User, "app::serve", 1, 10),
                caller,
                (User, "app::serve", 2, 12),
                (User, "app::read", 1, 20),
            ],
            &[("app::serve", 10), ("app::read", 20)],
        );
    }
}

#[test]
fn recursion_stays() {
    check(
        &[
            (User, "app::walk", 1, 10),
            (User, "app::walk", 1, 10),
            (User, "app::walk", 1, 10),
        ],
        &[("app::walk", 10), ("app::walk", 10), ("app::walk", 10)],
    );
}

#[test]
fn unknown_functions_are_not_the_same() {
    check(
        &[(User, "", 1, 10), (User, "", 2, 20)],
        &[("", 10), ("", 20)],
    );
}

#[test]
fn there_is_always_something() {
    check(&[], &[("", 0)]);
    check(&[(Std, "core::task::Waker::clone", 0, 1)], &[("", 0)]);
    let paths = Paths::new();
    for kind in [LeafKind::NoWaker, LeafKind::Here, LeafKind::Woken] {
        let frames = frames(&mut Path::new(&paths, false, 1), kind);
        assert_eq!(frames.len(), 1);
        assert!(!frames[0].is_resource);
    }
    let mut path = Path::new(&paths, false, 1);
    let part = Part::Functions(Symbols::from([symbol(Runtime, SLEEP, 0, 7)]), Vec::new());
    path.push(&part);
    let missing = Part::Missing(super::super::cut());
    path.push(&missing);
    let frames = frames(&mut path, LeafKind::Woken);
    assert_eq!(frames.len(), 2);
    assert!(frames[1].is_resource);
    assert_eq!(frames[1].wait, Some(Wait::Yielded));
}

/// Each way is made of the one before it, and is as if it were the first.
#[test]
fn ways_that_follow_each_other_are_those_that_each_of_them_is_alone() {
    let paths = Paths::new();
    let functions = [
        (User, "app::serve", 1),
        (User, "app::serve", 2),
        (User, "app::listen", 0),
        (User, "app::listen", 1),
        (Std, "core::pin::Pin::poll", 0),
        (Runtime, SLEEP, 0),
        (Runtime, "tokio::sync::mpsc::Receiver::recv", 0),
    ];
    let mut random = 7_u64;
    let mut below = |bound: usize| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (random >> 33) as usize % bound
    };
    let mut parts = Vec::new();
    let mut lines: Vec<(Line, Vec<usize>)> = Vec::new();
    for _ in 0..2000 {
        let mut way = lines.last().map(|(_, way)| way.clone()).unwrap_or_default();
        way.truncate(below(way.len() + 1));
        let shared = way.len();
        let start = parts.len();
        for _ in 0..below(4) {
            let (class, function, closures) = functions[below(functions.len())];
            let symbols = [symbol(class, function, closures, below(50) as u32)];
            way.push(parts.len());
            parts.push(Part::Functions(Symbols::from(symbols), Vec::new()));
        }
        let own = start..parts.len();
        lines.push((Line { shared, own }, way));
    }
    let mut path = Path::new(&paths, false, 1);
    let mut builder = Builder::default();
    let mut alone = Builder::default();
    for (number, (line, way)) in lines.iter().enumerate() {
        path.follow(&parts, line);
        // Some are not shown.
        if number % 3 == 0 {
            continue;
        }
        path.add_to(&mut builder, LeafKind::Registered, 1);
        let mut one = Path::new(&paths, false, 1);
        for part in way {
            one.push(&parts[*part]);
        }
        one.add_to(&mut alone, LeafKind::Registered, 1);
    }
    let (together, alone) = (builder.finish().frames, alone.finish().frames);
    assert_eq!(format!("{together:?}"), format!("{alone:?}"));
}
