//! Tests that requests during a dump share it.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use tasktrace_tests::http::get;

use crate::support::{BlockedRuntime, builder, serve};

/// Two dumps are never equal, because they contain the ages of tasks in nanoseconds.
#[test]
fn requests_during_a_dump_share_it() {
    const CALLERS: usize = 16;

    // The blocked tasks make each dump take its whole budget.
    let _blocked = BlockedRuntime::new();
    let (_server, address) = serve(builder().budget(Duration::from_secs(2)));
    let barrier = Barrier::new(CALLERS);
    let bodies: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    get(address, "/dump.json")
                })
            })
            .collect();
        let answers = callers.into_iter().map(|it| it.join().unwrap());
        answers
            .map(|answer| {
                assert_eq!(answer.status, 200);
                answer.body
            })
            .collect()
    });
    let dumps: BTreeSet<_> = bodies.iter().collect();
    assert!(
        dumps.len() <= 2,
        "{} dumps for {CALLERS} callers",
        dumps.len()
    );
    let later = get(address, "/dump.json");
    assert!(!dumps.contains(&later.body));
}
