//! Tests a program with line tables only: one clear sentence, and everything else works. Only the profile `lines` has
//! this program, which that profile compiles without debug assertions.
#![cfg(not(debug_assertions))]

use std::time::Duration;

use tasktrace_inspect_tests::HOUR;

async fn sleeps() {
    tokio::time::sleep(HOUR).await;
}

#[test]
fn a_program_with_line_tables_says_that_it_has_no_types() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.spawn(tasktrace::traced(sleeps()).0);
    let dump = loop {
        let dump = tasktrace::dump_blocking(Duration::from_secs(20));
        let is_polled = dump.tasks().any(|task| task.polls() > 0);
        let problem = dump.inspected().unwrap().problem().unwrap();
        if is_polled && !problem.contains("still being read") {
            break dump;
        }
    };
    let problem = dump.inspected().unwrap().problem().unwrap();
    assert!(
        problem.ends_with(" has line tables only, and no types: build it with `debug = 2`"),
        "{problem}"
    );
    let text = dump.to_string();
    assert!(
        text.contains("╼ lines::sleeps at tests/lines.rs:"),
        "{text}"
    );
    assert!(
        text.ends_with(&format!("\nnote: memory was not read: {problem}")),
        "{text}"
    );
}
