use super::super::weight::Weight;
use super::push;
use crate::dump::TaskDump;
use crate::dump::fixture::{dump, task};
use crate::trace::{Frame, Trace, Wait};

fn waiting_in(number: u64, frame: Frame) -> TaskDump {
    TaskDump {
        trace: Trace::sample(vec![frame]),
        ..task(number, "app::serve").suspended_for(1.0)
    }
}

fn serve(leaf: Frame) -> Frame {
    Frame::sample("app::serve", 3).with_children([leaf])
}

fn name(name: &str) -> String {
    let mut stack = String::new();
    push(&mut stack, name);
    stack
}

#[test]
fn equal_stacks_are_added_up_in_one_line() {
    let dump = dump([
        waiting_in(1, serve(Frame::sample("sleep", 4).with_label("one"))),
        waiting_in(2, serve(Frame::sample("sleep", 5).with_label("two"))),
        waiting_in(3, serve(Frame::sample("lock", 6))),
    ]);
    let tasks = dump.folded(Weight::Tasks).to_string();
    assert_eq!(tasks, "app::serve;lock 1\napp::serve;sleep 2\n");
    let waited = dump.folded(Weight::Waited).to_string();
    assert_eq!(
        waited,
        "app::serve;lock 1000000\napp::serve;sleep 2000000\n"
    );
}

#[test]
fn states_and_unusual_waits_are_remarks() {
    let leaf = || serve(Frame::sample("lock", 4));
    let waiting = |wait| serve(Frame::sample("lock", 4).waiting(wait));
    let dump = dump([
        waiting_in(1, leaf()).never_polled(),
        waiting_in(2, leaf()).running_for(1.0),
        waiting_in(3, leaf()).woken(),
        waiting_in(4, leaf()).finished(),
        waiting_in(5, waiting(Wait::NoWaker)),
        waiting_in(6, waiting(Wait::NotPolled)),
        waiting_in(7, waiting(Wait::Yielded)),
        waiting_in(8, waiting(Wait::OutOfBudget)),
        waiting_in(9, waiting(Wait::Suspended)),
        task(10, "app::bare"),
    ]);
    let expected = "\
app::bare 1
app::serve;lock 1
app::serve;lock;[coop budget exhausted] 1
app::serve;lock;[finished] 1
app::serve;lock;[held, but not polled] 1
app::serve;lock;[no waker registered] 1
app::serve;lock;[not polled yet] 1
app::serve;lock;[running] 1
app::serve;lock;[woken again at once] 1
app::serve;lock;[woken, but not polled yet] 1
";
    assert_eq!(dump.folded(Weight::Tasks).to_string(), expected);
}

#[test]
fn characters_that_a_parser_would_misread_are_replaced() {
    assert_eq!(
        name("<[u8; 4] as app::Read>::read"),
        "<[u8,_4] as app::Read>::read"
    );
    assert_eq!(name("worker 7"), "worker_7");
    assert_eq!(name("worker -7.5"), "worker_-7.5");
    assert_eq!(name("two\nlines\tand a \u{7}bell"), "two lines and a  bell");
    assert_eq!(name("# no remark"), "_ no remark");
    assert_eq!(name(" "), "_");
    assert_eq!(name("größe"), "größe");
    let unknown = waiting_in(1, Frame::sample("", 4));
    let folded = dump([unknown]).folded(Weight::Tasks).to_string();
    assert_eq!(folded, "(unknown function) 1\n");
}

#[test]
fn an_empty_dump_has_no_lines() {
    assert_eq!(dump([]).folded(Weight::Tasks).to_string(), "");
}

#[test]
fn the_numbers_of_a_trace_are_its_leaves() {
    let root = Frame::sample("app::main", 1).with_children([
        Frame::sample("sleep", 2).times(7),
        Frame::sample("accept", 3),
    ]);
    let trace = Trace::sample(vec![root]);
    assert_eq!(
        trace.folded().to_string(),
        "app::main;accept 1\napp::main;sleep 7\n"
    );
    assert_eq!(Trace::sample(Vec::new()).folded().to_string(), "");
}

/// The use of memory and of the stack must not depend on the depth of a tree.
#[test]
fn ten_thousand_nested_frames_are_folded() {
    let mut frame = Frame::sample("leaf", 1);
    for _ in 0..10_000 {
        frame = Frame::sample("f", 1).with_children([frame]);
    }
    let folded = dump([waiting_in(1, frame)])
        .folded(Weight::Tasks)
        .to_string();
    assert_eq!(folded, format!("{}leaf 1\n", "f;".repeat(10_000)));
}
