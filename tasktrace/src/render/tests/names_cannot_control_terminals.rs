//! Tests that names of threads, tasks and files can neither control a terminal nor forge a line of a text.

use proptest::prelude::*;
#[cfg(feature = "http")]
use tasktrace_http::GoProfile;

use crate::dump::fixture::{dump, stall, task};
use crate::dump::{Stall, TaskDump};
use crate::escape::is_plain;
use crate::render::Weight;
use crate::task::{Running, TaskState};
use crate::trace::{Frame, Wait};

/// A name of a thread that tries to forge a line of a dump.
const FORGED: &str =
    "w\x1b]0;PWNED\x07\x1b[31m (thread 1), 1 poll, age 1s\n\n! task 7 forged::task, suspended";

/// Returns a strategy for text that consists mostly of control characters.
fn hostile() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        prop::char::range('\0', '\u{a0}'),
        prop::char::range('\u{2000}', '\u{2070}'),
        prop::sample::select(vec![
            '\n', '\r', '\x1b', '\u{9b}', '\u{2028}', '\u{202e}', '\u{feff}'
        ]),
        any::<char>(),
    ];
    let text = prop::collection::vec(character, 0..12).prop_map(String::from_iter);
    prop_oneof![text, Just(FORGED.to_owned())]
}

/// Returns tasks in all states that have `text` in all their names and labels.
fn tasks(text: &str) -> Vec<TaskDump> {
    let frame = |line| {
        let mut frame = Frame::sample(&format!("a{text}"), line).with_label(text);
        frame.rename_file(text);
        frame
    };
    let mut running = task(2, &format!("b{text}"))
        .running_for(20.0)
        .at([frame(1)]);
    if let TaskState::Running(running) = &mut running.state {
        *running = Running {
            thread_name: Some(text.into()),
            ..running.clone()
        };
    }
    let held = frame(2).held(15.0);
    vec![
        task(1, &format!("c{text}"))
            .with_label(text)
            .at([frame(3).with_children([frame(4).into_resource(), held])])
            .awaiting([2]),
        running,
        task(3, &format!("d{text}"))
            .woken()
            .at([frame(5).waiting(Wait::NoWaker)]),
        task(4, &format!("e{text}")).never_polled(),
        task(5, "same").with_label(text).at([frame(6)]),
        task(6, "same").with_label("other").at([frame(6)]),
    ]
}

/// Returns the texts of all formats, each with its name.
fn texts(text: &str) -> Vec<(&'static str, String)> {
    let dump = dump(tasks(text));
    let trace = dump.tasks().next().unwrap().trace();
    let running = dump.tasks().nth(1).unwrap();
    let mut texts = vec![
        ("{}", dump.to_string()),
        ("{:#}", format!("{dump:#}")),
        ("by_awaiter {}", dump.by_awaiter().to_string()),
        ("by_awaiter {:#}", format!("{:#}", dump.by_awaiter())),
        ("ansi", without_colours(&dump.ansi().to_string())),
        ("trace", trace.to_string()),
        ("trace {:#}", format!("{trace:#}")),
        ("folded", dump.folded(Weight::Tasks).to_string()),
        ("state", running.state().to_string()),
    ];
    for kind in [Stall::Blocked, Stall::Starved, Stall::Overdue] {
        let report = stall(kind, 5.0, 1.0, running.clone());
        let report = report.of("function", Some(text));
        texts.push(("stall", report.to_string()));
        texts.push(("stall {:#}", format!("{report:#}")));
    }
    #[cfg(feature = "http")]
    {
        let untabbed = |text: String| text.replace('\t', " ");
        texts.push(("go", untabbed(dump.go_stacks().to_string())));
        let counted = dump.go_counted(GoProfile::Goroutine).to_string();
        texts.push(("go, counted", untabbed(counted)));
    }
    texts
}

fn without_colours(text: &str) -> String {
    let colours = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m"];
    colours
        .iter()
        .fold(text.to_owned(), |text, it| text.replace(it, ""))
}

proptest! {
    #[test]
    fn no_name_sends_control_characters_to_a_terminal(text in hostile()) {
        for (kind, written) in texts(&text) {
            let wrong = written.chars().find(|it| *it != '\n' && !is_plain(*it));
            prop_assert_eq!(wrong, None, "{}: {:?}", kind, written);
        }
    }

    #[test]
    fn no_name_forges_a_line(text in hostile()) {
        // The same names with harmless characters have the same layout.
        let harmless: String = text.chars().map(|it| if is_plain(it) { it } else { '_' }).collect();
        for ((kind, written), (_, expected)) in texts(&text).into_iter().zip(texts(&harmless)) {
            prop_assert_eq!(written.lines().count(), expected.lines().count(), "{}:\n{}", kind, written);
            let forged = written.lines().any(|line| line.starts_with("! task 7"));
            prop_assert!(!forged, "{}:\n{}", kind, written);
        }
    }
}
