//! Tests that nested tasks in the middle of their polls each have a tree of their own.

use tasktrace::{Frame, TaskDump, traced};
use tasktrace_tests::sampled::{Site, alone, dump_until, is_sample, sample_until, short};

use crate::support::{Poller, sleep};

async fn outside(site: Site) {
    // `futures::executor` does not allow an executor inside of an executor.
    pollster::block_on(traced(middle(site)).0);
}

async fn middle(site: Site) {
    traced(inside(site)).0.await;
}

#[traced("in the {}", "dark")]
async fn inside(site: Site) {
    sleep(&site);
}

fn is_sleep(leaf: &Frame) -> bool {
    leaf.name() == "std::thread::sleep"
}

#[test]
fn nested_tasks_have_trees_of_their_own() {
    let _alone = alone();
    let site = Site::default();
    let outer = Poller::new(outside(site.clone()));
    // The first dump may have counted the tasks before the innermost one was created.
    sample_until(outer.id(), is_sleep);
    // A thread that waits for a processor between two of its sleeps is in neither of them.
    let sleeps =
        |task: &TaskDump| is_sample(task) && task.trace().leaves().into_iter().all(is_sleep);
    let dump = dump_until(outer.id(), sleeps);
    let [first, second, third] = &dump.tasks().collect::<Vec<_>>()[..] else {
        panic!("{dump:#}");
    };
    assert!(is_sample(first) && is_sample(second) && is_sample(third));
    // One sample of a thread serves all tasks on it.
    let inside = r#"inside "in the dark" > sleep > sleep"#;
    assert_eq!(short(third.trace()), inside, "{dump:#}");
    let middle = format!("middle > {inside}");
    assert_eq!(short(second.trace()), middle, "{dump:#}");
    assert_eq!(
        short(first.trace()),
        format!("outside > {middle}"),
        "{dump:#}"
    );
    assert_eq!(second.parent(), Some(first.id()));
    assert_eq!(third.parent(), Some(second.id()));
    site.end();
    outer.join();
}
