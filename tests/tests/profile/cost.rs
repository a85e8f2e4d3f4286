//! What it costs is measured, and no more than is allowed.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::runtime;

#[tasktrace::traced]
async fn one_of_many() {
    pending().await
}

#[test]
fn what_costs_too_much_is_done_less_often() {
    let runtime = runtime();
    let mut last = None;
    for _ in 0..5000 {
        let (future, handle) = tasktrace::traced(one_of_many());
        runtime.spawn(future);
        last = Some(handle);
    }
    crate::settle(&last.expect("there is one"));

    let costs = Arc::new(Mutex::new(vec![Duration::ZERO]));
    let known = Arc::clone(&costs);
    let profile = tasktrace::profile()
        .every(Duration::from_millis(1))
        .lasting(Duration::from_millis(1500))
        .on_sample(move |progress| known.lock().unwrap().push(progress.cost()))
        .run_blocking();
    assert!(profile.most_tasks() >= 5000);
    assert!(profile.cost() > Duration::ZERO);
    // Each looks at thousands of tasks: a thousand times a second is too often.
    assert!(
        profile.skipped() > profile.samples(),
        "{}",
        profile.samples()
    );
    let costs = costs.lock().unwrap();
    assert_eq!(costs.last(), Some(&profile.cost()));
    // No more than a hundredth, but for what one sample has cost more than was expected.
    let dearest = costs.windows(2).map(|two| two[1] - two[0]).max();
    let allowed = profile.lasted().mul_f64(0.01) + dearest.expect("there were samples");
    assert!(
        profile.cost() <= allowed,
        "{:?} of {allowed:?}",
        profile.cost()
    );
}
