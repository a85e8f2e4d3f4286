//! Tests the text in which each task is below the tasks that await it.

use super::*;

#[test]
fn a_task_is_written_once_below_a_task_that_awaits_it() {
    let at = |task: TaskDump, line| task.at([Frame::sample("app::work", line)]);
    let dump = dump([
        at(task(1, "app::main"), 1).awaiting([2, 3]),
        at(task(2, "app::two"), 2).awaiting([4, 99]),
        at(task(3, "app::three"), 3).awaiting([4]),
        at(task(4, "app::four"), 4).suspended_for(12.0),
        at(task(5, "app::alone"), 5),
        at(task(6, "app::alone"), 5),
    ]);
    check(
        dump.by_awaiter(),
        &[
            "6 tasks: 6 suspended",
            "",
            "task 1 app::main, suspended 500ms, 41 polls, age 15.0s",
            "│  ╼ app::work at src/main.rs:1:5",
            "├─ awaits task 2 app::two, suspended 500ms, 41 polls, age 15.0s",
            "│  │  ╼ app::work at src/main.rs:2:5",
            "│  ├─ awaits task 4 app::four, suspended 12.0s, 41 polls, age 15.0s",
            "│  │     ╼ app::work at src/main.rs:4:5",
            "│  └─ awaits task 99, which is not in this dump",
            "└─ awaits task 3 app::three, suspended 500ms, 41 polls, age 15.0s",
            "   │  ╼ app::work at src/main.rs:3:5",
            "   └─ awaits task 4 app::four, shown above",
            "",
            "2 tasks app::alone, suspended 500ms, 41 polls, age 15.0s",
            "  the longest: task 5 500ms, task 6 500ms",
            "  ╼ app::work at src/main.rs:5:5",
        ],
    );
}

#[test]
fn a_cycle_is_a_finding_and_is_marked_in_the_tree() {
    let join = || Frame::sample("app::join", 1);
    let ring = |other: TaskDump| {
        dump([
            task(3, "app::three").awaiting([5]).at([join()]),
            other.awaiting([3]),
        ])
    };
    let text = [
        "2 tasks: 2 suspended",
        "! task 3 → task 5 → task 3: a cycle: none of them can go on",
        "",
        "! task 3 app::three, suspended 500ms, 41 polls, age 15.0s",
        "│  ╼ app::join at src/main.rs:1:5",
        "└─ ! awaits task 5 app::five, suspended 500ms, 41 polls, age 15.0s",
        "   │  ╼ app::join at src/main.rs:1:5",
        "   └─ awaits task 3 app::three, shown above: a cycle",
    ];
    check(ring(task(5, "app::five").at([join()])).by_awaiter(), &text);

    let select = join().with_children([Frame::sample("one", 1), Frame::sample("other", 2)]);
    let may_go_on = ring(task(5, "app::five").at([select])).to_string();
    let line = "! task 3 → task 5 → task 3: a cycle: none of them can go on, unless one of them also waits for something else";
    assert_eq!(may_go_on.lines().nth(1), Some(line));
}

#[test]
fn long_cycles_and_many_cycles_are_abbreviated() {
    let ring = dump((1..=10).map(|number| task(number, "ring").awaiting([number % 10 + 1])));
    assert!(
        ring.to_string()
            .contains("→ task 8 → 2 more → task 1: a cycle"),
        "\n{ring}"
    );

    let rings = dump((1..=5).map(|number| task(number, "ring").awaiting([number])));
    assert!(
        rings.to_string().contains("\n! 2 more cycles\n"),
        "\n{rings}"
    );
}

#[test]
fn a_chain_of_10_000_tasks_is_written_without_recursion() {
    on_a_small_stack(|| {
        const MANY: u64 = 10_000;
        let row = dump((1..=MANY).map(|number| task(number, "row").awaiting([number + 1])));
        let text = row.by_awaiter().to_string();
        assert_eq!(text.matches("awaits task").count() as u64, MANY);
        assert!(text.contains("(depth 9999) awaits task 10000 row, "));
        // The length is linear, because the indent is limited.
        assert!(text.len() < 300 * MANY as usize, "{}", text.len());
    });
}
