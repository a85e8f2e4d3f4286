//! Tests that tasks with the same name, state and stack are shown as one group.

use super::*;

/// Returns a task that reads from a connection.
fn conn(number: u64, idle: f64) -> TaskDump {
    let label = format!("conn 10.0.0.{number}");
    let read = Frame::sample("app::read", 20)
        .aged(idle)
        .with_children([Frame::sample("tokio::net::TcpStream::read", 30)]);
    let serve = Frame::sample("app::serve", 10)
        .with_label(&label)
        .aged(idle + 1.0);
    let mut conn = task(number, "app::serve")
        .with_label(&label)
        .suspended_for(idle)
        .old(idle + 2.0)
        .at([serve.with_children([read])]);
    conn.polls = number;
    conn
}

#[test]
fn a_group_shows_ranges_and_its_longest_waits() {
    let (place, shown) = spawn_site();
    let conns = (1..=7).map(|number| {
        let mut conn = conn(number, 2.0 * number as f64);
        conn.spawned_at = Some(place);
        conn.parent = Some(id(number / 4 + 100));
        conn
    });
    let header = format!(
        "7 tasks app::serve, suspended 2.0s to 14.0s, 1 to 7 polls, age 4.0s to 16.0s, spawned at {shown} by 2 tasks"
    );
    check(
        dump(conns),
        &[
            "7 tasks: 7 suspended",
            "",
            &header,
            "  the longest: task 7 \"conn 10.0.0.7\" 14.0s, task 6 \"conn 10.0.0.6\" 12.0s, task 5 \"conn 10.0.0.5\" 10.0s, task 4 \"conn 10.0.0.4\" 8.0s, task 3 \"conn 10.0.0.3\" 6.0s and 2 more",
            "  ╼ app::serve \"conn 10.0.0.7\" and others at src/main.rs:10:5 (3.0s to 15.0s)",
            "   └╼ app::read at src/main.rs:20:5 (2.0s to 14.0s)",
            "      └╼ tokio::net::TcpStream::read at src/main.rs:30:5",
        ],
    );
}

#[test]
fn each_state_of_a_group_is_worded() {
    let two = |like: fn(TaskDump) -> TaskDump| {
        let text = dump([like(task(1, "w")), like(task(2, "w"))]).to_string();
        let group: Vec<String> = text.lines().map(str::to_owned).skip(1).collect();
        group
    };
    assert_eq!(
        two(TaskDump::finished),
        [
            "",
            "2 tasks w, finished, 41 polls, age 15.0s",
            "  task 1, task 2"
        ]
    );
    assert_eq!(
        two(|task| task.never_polled().old(0.5)),
        [
            "",
            "2 tasks w, never polled, age 500ms",
            "  the longest: task 1 500ms, task 2 500ms"
        ]
    );
    assert_eq!(
        two(|task| TaskDump {
            polls: 1,
            last_polled: None,
            ..task.woken()
        }),
        [
            "",
            "2 tasks w, woken, but not polled yet, 1 poll, age 15.0s",
            "  task 1, task 2"
        ]
    );
    assert_eq!(
        two(|task| task.running_for(0.1)),
        [
            "",
            "2 tasks w, running 100ms, 41 polls, age 15.0s",
            "  the longest: task 1 100ms on tokio-rt-worker (thread 4711), task 2 100ms on tokio-rt-worker (thread 4711)",
        ]
    );
}

#[test]
fn a_group_lists_the_tasks_that_its_members_await() {
    let text = |awaited: [u64; 7]| {
        let tasks = (1..).zip(awaited);
        let dump = dump(tasks.map(|(number, awaited)| task(number, "w").awaiting([awaited])));
        dump.to_string().lines().last().map(str::to_owned)
    };
    let different = text([11, 12, 13, 14, 15, 16, 17]);
    let line = "  they await tasks 11, 12, 13, 14, 15 and 2 more";
    assert_eq!(different.as_deref(), Some(line));
    assert_eq!(text([9; 7]).as_deref(), Some("  all await task 9"));
}

#[test]
fn tasks_without_an_answer_are_grouped_by_the_reason() {
    let asked = |number, waited, reason| {
        let waited = secs(waited);
        let error = Some(TraceError::NoAnswer { waited, reason });
        TaskDump {
            source: Source::Snapshot { error },
            ..task(number, "w")
        }
    };
    let dump = dump([
        asked(1, 2.0, NoAnswer::Running),
        asked(2, 1.9, NoAnswer::Running),
        asked(3, 2.0, NoAnswer::NotPolled),
        task(4, "w"),
    ]);
    assert_eq!(headers(&dump), ["2 tasks w", "task 3 w", "task 4 w"]);
}

#[test]
fn full_detail_has_no_groups() {
    let text = format!("{:#}", dump([conn(1, 1.0), conn(2, 2.0)]));
    check(
        text,
        &[
            "2 tasks: 2 suspended",
            "",
            "task 1 app::serve \"conn 10.0.0.1\", suspended 1.0s, 1 poll, age 3.0s",
            "  ╼ app::serve \"conn 10.0.0.1\" at src/main.rs:10:5 (2.0s)",
            "   └╼ app::read at src/main.rs:20:5 (1.0s)",
            "      └╼ tokio::net::TcpStream::read at src/main.rs:30:5",
            "",
            "task 2 app::serve \"conn 10.0.0.2\", suspended 2.0s, 2 polls, age 4.0s",
            "  ╼ app::serve \"conn 10.0.0.2\" at src/main.rs:10:5 (3.0s)",
            "   └╼ app::read at src/main.rs:20:5 (2.0s)",
            "      └╼ tokio::net::TcpStream::read at src/main.rs:30:5",
        ],
    );
}

#[test]
fn tasks_of_a_group_differ_only_in_labels_and_times() {
    let at = |number, name: &str, frame| task(number, name).at([frame]);
    let dump = dump([
        at(1, "a", Frame::sample("f", 1)),
        at(2, "a", Frame::sample("f", 1).aged(2.0).with_label("two")),
        at(3, "a", Frame::sample("f", 2)),
        at(4, "a", Frame::sample("f", 1).times(2)),
        at(5, "a", Frame::sample("f", 1).waiting(Wait::Yielded)),
        at(6, "a", Frame::sample("f", 1)).running_for(0.1),
        at(7, "b", Frame::sample("f", 1)),
        at(
            8,
            "a",
            Frame::sample("f", 1).with_children([Frame::sample("g", 1)]),
        ),
        at(
            9,
            "a",
            Frame::sample("f", 1).with_children([Frame::sample("g", 1)]),
        ),
    ]);
    assert_eq!(
        headers(&dump),
        [
            "task 6 a",
            "2 tasks a",
            "2 tasks a",
            "task 3 a",
            "task 4 a",
            "task 5 a",
            "task 7 b"
        ],
        "\n{dump}"
    );
}

#[test]
fn trees_with_the_same_frames_in_another_shape_are_different_groups() {
    let leaf = |name| Frame::sample(name, 1);
    let nested = leaf("f").with_children([leaf("g").with_children([leaf("h")])]);
    let flat = leaf("f").with_children([leaf("g"), leaf("h")]);
    assert_eq!(
        headers(&dump([task(1, "a").at([nested]), task(2, "a").at([flat])])).len(),
        2
    );
}

#[test]
fn grouping_100_000_tasks_takes_linear_time() {
    on_a_small_stack(|| {
        const MANY: u64 = 100_000;
        let like = dump((1..=MANY).map(|number| conn(number, 1.0)));
        let other = dump((1..=MANY).map(|number| {
            task(number, "app::serve").at([Frame::sample("app::serve", number as u32)])
        }));
        // It would take minutes if every task were compared with every other.
        let begun = cpu_time();
        assert_eq!(headers(&like), ["100000 tasks app::serve"]);
        assert_eq!(headers(&other).len() as u64, MANY);
        assert!(cpu_time() - begun < Duration::from_secs(60));
    });
}
