use super::*;
use crate::origin::{FrameMeta, Identity};
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
        address_without_line: None,
    }
}

/// Checks the names and lines of the frames that are made of some functions.
#[track_caller]
fn check(functions: &[(Class, &str, usize, u32)], expected: &[(&str, u32)]) {
    let symbols: Symbols = functions
        .iter()
        .map(|(class, function, closures, line)| symbol(*class, function, *closures, *line))
        .collect();
    let paths = PathShortener::new();
    let part = StackPart::Functions(symbols, Vec::new());
    let mut path = LeafPath::new(&paths, false, 1);
    path.push(&part);
    let found: Vec<(String, u32)> = frames(&mut path, LeafKind::Registered)
        .iter()
        .map(|frame| (frame.place.name.to_string(), frame.place.line.unwrap_or(0)))
        .collect();
    let found: Vec<(&str, u32)> = found.iter().map(|(name, line)| (&**name, *line)).collect();
    assert_eq!(found, expected);
}

/// Returns the frames of a tree that has only this path.
fn frames(path: &mut LeafPath<'_>, kind: LeafKind) -> Vec<Frame> {
    let mut builder = TreeBuilder::default();
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
fn each_function_has_one_frame_and_the_resource_another() {
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
fn closures_have_frames_only_if_they_are_async_blocks() {
    // The async block begins above its `.await`.
    check(
        &[(User, "app::serve", 1, 10), (User, "app::serve", 2, 8)],
        &[("app::serve", 10), ("app::serve::{async block}", 8)],
    );
    // The attribute is above the body that it wraps.
    check(
        &[
            (User, "app::serve", 1, 10),
            (Runtime, "tracing::instrument::Instrumented::poll", 0, 1),
            (User, "app::serve", 2, 12),
        ],
        &[("app::serve", 12)],
    );
    // The branches of a macro are below its line.
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
fn recursive_calls_have_a_frame_each() {
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
fn functions_without_names_are_not_merged() {
    check(
        &[(User, "", 1, 10), (User, "", 2, 20)],
        &[("", 10), ("", 20)],
    );
}

#[test]
fn a_path_has_at_least_one_frame() {
    check(&[], &[("", 0)]);
    check(&[(Std, "core::task::Waker::clone", 0, 1)], &[("", 0)]);
    let paths = PathShortener::new();
    for kind in [LeafKind::NoWaker, LeafKind::Here, LeafKind::Woken] {
        let frames = frames(&mut LeafPath::new(&paths, false, 1), kind);
        assert_eq!(frames.len(), 1);
        assert!(!frames[0].is_resource);
    }
    let mut path = LeafPath::new(&paths, false, 1);
    let part = StackPart::Functions(Symbols::from([symbol(Runtime, SLEEP, 0, 7)]), Vec::new());
    path.push(&part);
    let missing = StackPart::Missing(super::super::cut());
    path.push(&missing);
    let frames = frames(&mut path, LeafKind::Woken);
    assert_eq!(frames.len(), 2);
    assert!(frames[1].is_resource);
    assert_eq!(frames[1].wait, Some(Wait::Yielded));
}

/// Without debug information, neither the function of the frame nor those that are inlined into it have symbols.
#[test]
fn the_function_that_polls_a_frame_is_not_what_the_frame_waits_for() {
    static FETCH: FrameMeta = FrameMeta::new(None, || "app::fetch::item", "src/main.rs", 20, 1);

    let unknown_place = |function| {
        let found = symbol(Runtime, function, 0, 0);
        Symbols::from([Symbol {
            file: None,
            ..found
        }])
    };
    let fetch = ScopeMarker {
        task: 1,
        key: Some(1),
        identity: Identity::Static(&FETCH),
        own_waker: true,
    };
    let children =
        unknown_place("futures_util::stream::futures_unordered::FuturesUnordered::poll_next");
    let children = StackPart::Functions(children, vec![&fetch]);
    let acquire = unknown_place("tokio::sync::batch_semaphore::Acquire::poll");
    let acquire = StackPart::Functions(acquire, Vec::new());
    let paths = PathShortener::new();
    let mut path = LeafPath::new(&paths, false, 1);
    path.push(&children);
    path.push(&acquire);
    let frames = frames(&mut path, LeafKind::Registered);
    let names: Vec<&str> = frames.iter().map(Frame::name).collect();
    assert_eq!(
        names,
        ["app::fetch", "a lock, permit or channel of tokio::sync"]
    );
}

#[test]
fn a_library_that_registers_two_wakers_is_counted_once() {
    let part = |function: &str, line, address: usize| {
        let found = symbol(User, function, 0, line);
        let symbols = Symbols::from([Symbol {
            is_library: function != "app::send",
            file: Some(
                "/home/me/.cargo/registry/src/index/tokio-tungstenite-0.28.0/src/lib.rs".into(),
            ),
            address_without_line: (line == 0).then_some(ReturnAddress(address)),
            ..found
        }]);
        StackPart::Functions(symbols, Vec::new())
    };
    let count_of = |registers: [StackPart<'_>; 2]| {
        let [one, other] = registers;
        let before = [
            part("app::send", 10, 1),
            part("tokio_tungstenite::WebSocketStream::poll_flush", 20, 2),
        ];
        let parts: Vec<StackPart<'_>> = before.into_iter().chain([one, other]).collect();
        let paths = PathShortener::new();
        let mut path = LeafPath::new(&paths, false, 1);
        let mut builder = TreeBuilder::default();
        for (shared, own) in [(0, 0..3), (2, 3..4)] {
            path.follow(&parts, &StackParts { shared, own });
            path.add_to(&mut builder, LeafKind::Registered, 1);
        }
        let frames = builder.finish().frames;
        assert_eq!(
            frames[0].children()[0].name(),
            "tokio_tungstenite::WebSocketStream::poll_flush"
        );
        frames[0].children()[0].count()
    };
    let set_waker = |line, address| {
        part(
            "tokio_tungstenite::compat::AllowStd::set_waker",
            line,
            address,
        )
    };
    assert_eq!(count_of([set_waker(30, 3), set_waker(31, 4)]), 1);
    // An optimised build may have no line for calls that the compiler has merged.
    assert_eq!(count_of([set_waker(0, 3), set_waker(0, 4)]), 1);
    assert_eq!(count_of([set_waker(0, 3), set_waker(0, 3)]), 2);
}

/// A path that is built from the previous path has the same frames as one that is built from scratch.
#[test]
fn paths_built_from_the_previous_path_equal_paths_built_alone() {
    let paths = PathShortener::new();
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
    let mut stacks: Vec<(StackParts, Vec<usize>)> = Vec::new();
    for _ in 0..2000 {
        let mut path_parts = stacks
            .last()
            .map(|(_, path_parts)| path_parts.clone())
            .unwrap_or_default();
        path_parts.truncate(below(path_parts.len() + 1));
        let shared = path_parts.len();
        let start = parts.len();
        for _ in 0..below(4) {
            let (class, function, closures) = functions[below(functions.len())];
            let symbols = [symbol(class, function, closures, below(50) as u32)];
            path_parts.push(parts.len());
            parts.push(StackPart::Functions(Symbols::from(symbols), Vec::new()));
        }
        let own = start..parts.len();
        stacks.push((StackParts { shared, own }, path_parts));
    }
    let mut path = LeafPath::new(&paths, false, 1);
    let mut builder = TreeBuilder::default();
    let mut alone = TreeBuilder::default();
    for (number, (stack_parts, path_parts)) in stacks.iter().enumerate() {
        path.follow(&parts, stack_parts);
        // Some paths are not added to the tree.
        if number % 3 == 0 {
            continue;
        }
        path.add_to(&mut builder, LeafKind::Registered, 1);
        let mut one = LeafPath::new(&paths, false, 1);
        for part in path_parts {
            one.push(&parts[*part]);
        }
        one.add_to(&mut alone, LeafKind::Registered, 1);
    }
    let (together, alone) = (builder.finish().frames, alone.finish().frames);
    assert_eq!(format!("{together:?}"), format!("{alone:?}"));
}
