use super::super::weight::Weight;
use crate::dump::fixture::{dump, task};
use crate::dump::{Dump, TaskDump};
use crate::trace::{Frame, Trace};

fn waiting_in(number: u64, leaves: &[&str]) -> TaskDump {
    let mut root = Frame::sample("app::serve<T>", 1).with_children([]);
    root.add_children(leaves.iter().map(|leaf| Frame::sample(leaf, 2)));
    TaskDump {
        trace: Trace::sample(vec![root]),
        ..task(number, "app::serve").suspended_for(1.5)
    }
}

fn draw(dump: &Dump, weight: Weight) -> String {
    let mut svg = Vec::new();
    dump.write_flamegraph(weight, &mut svg)
        .expect("writing to a `Vec` cannot fail");
    String::from_utf8(svg).expect("a flamegraph is UTF-8")
}

#[test]
fn flames_have_names_and_numbers() {
    let dump = dump([waiting_in(1, &["lock"]), waiting_in(2, &["lock"])]);
    let svg = draw(&dump, Weight::Tasks);
    assert!(
        svg.contains("<title>lock (2 tasks, 100.00%)</title>"),
        "{svg}"
    );
    assert!(
        svg.contains("<title>app::serve&lt;T&gt; (2 tasks, 100.00%)</title>"),
        "{svg}"
    );
    let svg = draw(&dump, Weight::Waited);
    assert!(
        svg.contains("<title>lock (3,000 ms, 100.00%)</title>"),
        "{svg}"
    );
}

#[test]
fn a_task_is_split_between_its_paths() {
    let dump = dump([waiting_in(1, &["lock", "sleep"])]);
    let svg = draw(&dump, Weight::Tasks);
    for leaf in ["lock", "sleep"] {
        let title = format!("<title>{leaf} (50 hundredths of a task, 50.00%)</title>");
        assert!(svg.contains(&title), "{svg}");
    }
}

#[test]
fn the_same_dump_has_the_same_flamegraph() {
    let dump = dump([waiting_in(1, &["lock"]), waiting_in(2, &["sleep"])]);
    assert_eq!(draw(&dump, Weight::Tasks), draw(&dump, Weight::Tasks));
}

#[test]
fn a_dump_without_waits_has_a_document_that_says_so() {
    let running = dump([waiting_in(1, &["lock"]).running_for(1.0)]);
    for svg in [
        draw(&dump([]), Weight::Tasks),
        draw(&running, Weight::Waited),
    ] {
        assert!(
            svg.contains("<svg") && svg.contains("No task waits."),
            "{svg}"
        );
    }
}

#[test]
fn the_flamegraph_of_a_profile_says_its_duration_and_samples() {
    let sample = || dump([waiting_in(1, &["lock"])]);
    let profile = crate::profile::fixture::profile([sample(), sample()]);
    let mut svg = Vec::new();
    let written = profile.write_flamegraph(Weight::Waited, &mut svg);
    written.expect("writing to a `Vec` cannot fail");
    let svg = String::from_utf8(svg).expect("a flamegraph is UTF-8");
    assert!(svg.contains("Where tasks waited in 2.0 s"), "{svg}");
    assert!(svg.contains("2 samples, 10 skipped"), "{svg}");
    assert!(
        svg.contains("<title>lock (2,000 ms, 100.00%)</title>"),
        "{svg}"
    );
}
