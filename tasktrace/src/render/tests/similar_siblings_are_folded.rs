//! Tests that many similar siblings of a tree are shown as one frame.

use super::*;

/// Returns the frame that handles one of many requests.
fn request(number: u32) -> Frame {
    Frame::sample("app::handle", 20)
        .with_label(&format!("req {number}"))
        .aged(f64::from(number))
        .with_children([Frame::sample("app::query", 30)
            .aged(0.5)
            .with_children([Frame::sample("tokio::sync::Semaphore::acquire", 40)])])
}

fn serve(requests: impl Iterator<Item = Frame>) -> Frame {
    let mut serve = Frame::sample("app::serve", 10).with_children([]);
    serve.add_children(requests);
    serve
}

/// Asserts the lines of the tree of a dump.
#[track_caller]
fn tree(dump: impl ToString, expected: &[&str]) {
    let text = dump.to_string();
    let lines = text.lines().skip_while(|line| !line.contains('╼'));
    check(lines.collect::<Vec<_>>().join("\n"), expected);
}

#[test]
fn many_similar_siblings_are_one_line_with_labels_and_ages() {
    let dump = dump([task(1, "app::serve").at([serve((1..=9).map(request))])]);
    tree(
        &dump,
        &[
            "  ╼ app::serve at src/main.rs:10:5",
            "   └╼ app::handle \"req 1\", \"req 2\", \"req 3\" and 6 more at src/main.rs:20:5 (1.0s to 9.0s) (×9)",
            "      └╼ app::query at src/main.rs:30:5 (500ms)",
            "         └╼ tokio::sync::Semaphore::acquire at src/main.rs:40:5",
        ],
    );
    let count = |text: String| text.matches("app::handle").count();
    assert_eq!(count(format!("{dump:#}")), 9);
    let trace = dump.get(id(1)).map(|task| task.trace());
    assert_eq!(trace.map(|trace| count(trace.to_string())), Some(9));
}

#[test]
fn few_siblings_are_shown_separately() {
    let dump = dump([task(1, "app::serve").at([serve((1..=5).map(request))])]);
    assert_eq!(
        dump.to_string().matches("app::handle").count(),
        5,
        "\n{dump}"
    );
}

#[test]
fn other_siblings_keep_their_order() {
    let other = |number: u32| {
        let handle = Frame::sample("app::handle", 20).with_label(&format!("req {number}"));
        handle
            .aged(1.0)
            .with_children([Frame::sample("tokio::time::sleep", 50)])
    };
    let requests = (1..=12).map(|number| match number {
        3 => other(number),
        _ => request(number),
    });
    let logger = Frame::sample("app::log", 99);
    tree(
        dump([task(1, "app::serve").at([serve(requests.chain([logger]))])]),
        &[
            "  ╼ app::serve at src/main.rs:10:5",
            "   ├╼ app::handle \"req 1\", \"req 2\", \"req 4\" and 8 more at src/main.rs:20:5 (1.0s to 12.0s) (×11)",
            "   │  └╼ app::query at src/main.rs:30:5 (500ms)",
            "   │     └╼ tokio::sync::Semaphore::acquire at src/main.rs:40:5",
            "   ├╼ app::handle \"req 3\" at src/main.rs:20:5 (1.0s)",
            "   │  └╼ tokio::time::sleep at src/main.rs:50:5",
            "   └╼ app::log at src/main.rs:99:5",
        ],
    );
}

#[test]
fn folded_frames_nest_and_merge_over_groups() {
    let outer = |number: u32| {
        let requests = (1..=6).map(|request_number| request(number * 100 + request_number));
        serve(requests)
            .with_label(&format!("shard {number}"))
            .aged(7.0)
    };
    let root = |from: u32| {
        let mut root = Frame::sample("app::main", 1).with_children([]);
        root.add_children((from..from + 6).map(outer));
        root
    };
    tree(
        dump([
            task(1, "app::main").at([root(1)]),
            task(2, "app::main").at([root(7)]),
        ]),
        &[
            "  ╼ app::main at src/main.rs:1:5",
            "   └╼ app::serve \"shard 1\", \"shard 2\", \"shard 3\" and 3 more at src/main.rs:10:5 (7.0s) (×6)",
            "      └╼ app::handle \"req 101\", \"req 102\", \"req 103\" and 3 more at src/main.rs:20:5 (1m41s to 20m06s) (×6)",
            "         └╼ app::query at src/main.rs:30:5 (500ms)",
            "            └╼ tokio::sync::Semaphore::acquire at src/main.rs:40:5",
        ],
    );
}

#[test]
fn folding_multiplies_the_counts_of_leaves() {
    let leaves = (1..=6).map(|number| {
        let leaf = Frame::sample("app::leaf", 20).with_label(&format!("{number}"));
        leaf.times(2)
    });
    tree(
        dump([task(1, "app::serve").at([serve(leaves)])]),
        &[
            "  ╼ app::serve at src/main.rs:10:5",
            "   └╼ app::leaf \"1\", \"2\", \"3\" and 3 more at src/main.rs:20:5 (×12)",
        ],
    );
}

#[test]
fn folding_100_000_siblings_takes_linear_time() {
    on_a_small_stack(|| {
        let begun = cpu_time();
        let dump = dump([task(1, "app::serve").at([serve((1..=100_000).map(request))])]);
        assert_eq!(dump.to_string().lines().count(), 7, "\n{dump}");
        assert!(cpu_time() - begun < Duration::from_secs(60));
    });
}
