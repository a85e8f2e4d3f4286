//! Tests the first dump of a process, which cannot wait for the debug info. The only test of this program.

use std::time::Duration;

use tasktrace_inspect_tests::dump_until;

#[test]
fn a_dump_without_time_says_that_debug_info_is_being_read() {
    let first = tasktrace::dump_blocking(Duration::ZERO);
    let problem = first.inspected().unwrap().problem().unwrap();
    assert!(problem.contains("still being read"), "{problem}");
    let text = first.to_string();
    assert!(
        text.ends_with(&format!("\nnote: memory was not read: {problem}")),
        "{text}"
    );
    let later = dump_until(|inspection| inspection.problem().is_none());
    assert!(later.inspected().unwrap().report().is_some());
}
