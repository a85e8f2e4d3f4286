//! Tests the trees of frames.

use super::*;

/// Returns the frames of a futurelock: a future holds a lock and is not polled, while its task waits for the lock.
fn futurelock() -> [Frame; 1] {
    [Frame::sample("app::serve", 10).aged(9.0).with_children([
        Frame::sample("app::store", 20)
            .aged(8.0)
            .with_line(LineIs::Definition)
            .with_children([Frame::sample("shard", 12).with_line(LineIs::Creation)])
            .held(5.0),
        Frame::sample("app::load", 30)
            .with_label("key")
            .aged(7.0)
            .with_children([Frame::sample("tokio::sync::Mutex::lock", 455)]),
    ])]
}

#[test]
fn a_held_future_is_marked_with_its_time() {
    check(
        dump([task(1, "app::serve").at(futurelock())]),
        &[
            "1 task: 1 suspended",
            "! holding a future without polling it for 1s or longer: task 1",
            "",
            "! task 1 app::serve, suspended 500ms, 41 polls, age 15.0s",
            "  ╼ app::serve at src/main.rs:10:5 (9.0s)",
            "   ├╼ app::store (fn at src/main.rs:20) (8.0s): held, but not polled for 5.0s: its task polls something else",
            "   │  └╼ shard (made at src/main.rs:12)",
            "   └╼ app::load \"key\" at src/main.rs:30:5 (7.0s)",
            "      └╼ tokio::sync::Mutex::lock at src/main.rs:455:5",
        ],
    );
}

#[test]
fn a_single_trace_shows_no_ages_but_the_times_of_held_futures() {
    check(
        Trace::sample(futurelock().into()),
        &[
            "╼ app::serve at src/main.rs:10:5",
            " ├╼ app::store (fn at src/main.rs:20): held, but not polled for 5.0s: its task polls something else",
            " │  └╼ shard (made at src/main.rs:12)",
            " └╼ app::load \"key\" at src/main.rs:30:5",
            "    └╼ tokio::sync::Mutex::lock at src/main.rs:455:5",
        ],
    );
}

#[test]
fn a_briefly_held_future_is_not_a_finding() {
    let held = Frame::sample("app::store", 20).held(0.2);
    check(
        dump([task(1, "app::serve").at([held])]),
        &[
            "1 task: 1 suspended",
            "",
            "task 1 app::serve, suspended 500ms, 41 polls, age 15.0s",
            "  ╼ app::store at src/main.rs:20:5: held, but not polled for 200ms: its task polls something else",
        ],
    );
}

#[test]
fn recursive_calls_are_shown_as_one_line() {
    let mut frame = Frame::sample("app::end", 20).aged(1.0);
    for age in 2..12 {
        frame = Frame::sample("app::again", 10)
            .aged(f64::from(age))
            .with_children([frame]);
    }
    check(
        dump([task(1, "app::again").at([frame])]),
        &[
            "1 task: 1 suspended",
            "",
            "task 1 app::again, suspended 500ms, 41 polls, age 15.0s",
            "  ╼ app::again at src/main.rs:10:5 (11.0s)",
            "   └╼ … 9 more nested calls of the same function",
            "      └╼ app::end at src/main.rs:20:5 (1.0s)",
        ],
    );
}

#[test]
fn the_note_on_missing_debug_information_is_written_once() {
    let lacking = |number| {
        let mut task = task(number, "app::work");
        let notes = Notes {
            missing: Some(Missing::DebugInfo),
            dropped: 2,
            remote_clones: 0,
        };
        task.trace =
            Trace::sample_with_notes(vec![Frame::sample("app::work", number as u32)], notes);
        task
    };
    let text = dump([lacking(1), lacking(2)]).to_string();
    assert_eq!(
        text.matches("without debug information").count(),
        1,
        "\n{text}"
    );
    assert_eq!(
        text.matches("2 more leaves were not recorded").count(),
        2,
        "\n{text}"
    );
    let last = text.lines().last();
    assert!(
        last.is_some_and(|line| line.starts_with("note: ")),
        "\n{text}"
    );
}

#[test]
fn one_more_leaf_and_one_more_task_are_in_the_singular() {
    let notes = Notes {
        missing: None,
        dropped: 1,
        remote_clones: 0,
    };
    let frames = vec![Frame::sample("app::work", 1)];
    let task = TaskDump {
        trace: Trace::sample_with_notes(frames, notes),
        ..task(1, "app::work").awaiting([2, 3, 4, 5, 6, 7])
    };
    let text = dump([task]).to_string();
    for line in [
        "  note: 1 more leaf was not recorded: the trace is too large",
        "  awaits 1 more task",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[test]
fn awaited_tasks_are_listed_below_the_tree() {
    check(
        dump([
            task(1, "app::main")
                .awaiting([2, 9])
                .at([Frame::sample("app::main", 10)]),
            task(2, "app::work").running_for(0.5),
        ]),
        &[
            "2 tasks: 1 suspended, 1 running",
            "",
            "task 2 app::work, running 500ms on tokio-rt-worker (thread 4711), 41 polls, age 15.0s",
            "",
            "task 1 app::main, suspended 500ms, 41 polls, age 15.0s",
            "  ╼ app::main at src/main.rs:10:5",
            "  awaits task 2 app::work, running 500ms on tokio-rt-worker (thread 4711)",
            "  awaits task 9, which is not in this dump",
        ],
    );
}

#[test]
fn deep_and_wide_trees_are_written_without_recursion() {
    on_a_small_stack(|| {
        let mut deep = Frame::sample("leaf", 1);
        for line in 0..10_000 {
            deep = Frame::sample("deep", line).aged(1.0).with_children([deep]);
        }
        let mut wide = Frame::sample("wide", 1).with_children([]);
        wide.add_children((0..10_000).map(|line| Frame::sample("leaf", line)));
        let dump = dump([task(1, "deep").at([deep]), task(2, "wide").at([wide])]);
        let text = dump.to_string();
        assert_eq!(text.lines().count(), 10_001 + 10_001 + 5);
        assert_eq!(format!("{dump:#}"), text);
        assert_eq!(dump.by_awaiter().to_string(), text);
    });
}
