use super::*;
use crate::trace::frame::Wait;

const SLEEP: &str = "tokio::time::sleep::Sleep::poll";

fn symbol(class: Class, function: &str, closures: usize, line: u32) -> Symbol {
    Symbol {
        name: function.into(),
        function: function.into(),
        closures,
        class,
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
    let mut path = Path::new(&paths, LeafKind::Registered, 1);
    path.push(&part);
    let (frames, resource) = path.finish();
    let places = frames
        .into_iter()
        .map(|(place, _)| place)
        .chain(resource.map(|resource| resource.place));
    let found: Vec<(String, u32)> = places
        .map(|place| (place.name.to_string(), place.line.unwrap_or(0)))
        .collect();
    let found: Vec<(&str, u32)> = found.iter().map(|(name, line)| (&**name, *line)).collect();
    assert_eq!(found, expected);
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
        let (frames, resource) = Path::new(&paths, kind, 1).finish();
        assert_eq!(frames.len(), 1);
        assert!(resource.is_none());
    }
    let mut path = Path::new(&paths, LeafKind::Woken, 1);
    let part = Part::Functions(Symbols::from([symbol(Runtime, SLEEP, 0, 7)]), Vec::new());
    path.push(&part);
    let missing = Part::Missing(super::super::cut());
    path.push(&missing);
    let (frames, resource) = path.finish();
    assert_eq!(frames.len(), 1);
    assert_eq!(resource.map(|resource| resource.wait), Some(Wait::Yielded));
}
