//! Tests that each address is looked up once, however many traces are printed.
//!
//! No other test may print a trace in this process, because it counts all look-ups.

use tasktrace::__private::resolved_addresses;
use tasktrace_tests::{HOUR, traces_of};

#[test]
fn a_thousand_traces_are_resolved_like_one() {
    let (traces, _) = traces_of(
        |at| async move {
            at.next(line!());
            tokio::join!(sleep(), outer());
        },
        1000,
    );
    assert_eq!(
        resolved_addresses(),
        0,
        "an address was looked up before the first print"
    );

    let (first, others) = traces.split_first().unwrap();
    let (tidy, full) = (first.to_string(), format!("{first:#}"));
    let resolved = resolved_addresses();
    assert!(resolved > 0);

    for other in others {
        assert_eq!(other.to_string(), tidy);
        assert_eq!(format!("{other:#}"), full);
    }
    assert_eq!(resolved_addresses(), resolved);
}

async fn sleep() {
    tokio::time::sleep(HOUR).await;
}

async fn outer() {
    sleep().await;
}
