//! Tests the server beside a runtime whose threads are all blocked.

use tasktrace_tests::http::get;

use crate::support::{BlockedRuntime, builder, serve};

#[test]
fn a_dump_shows_the_tasks_that_block_their_threads() {
    let (_server, address) = serve(builder());
    let _blocked = BlockedRuntime::new();
    let dump = get(address, "/dump.json");
    assert_eq!(dump.status, 200);
    let dump: serde_json::Value = serde_json::from_str(dump.text()).unwrap();
    let blocking = dump["tasks"].as_array().unwrap().iter().filter(|task| {
        let name = task["name"].as_str().unwrap();
        name.ends_with("blocks_its_thread") && task["state"]["kind"] == "running"
    });
    assert!(blocking.count() >= 2, "{dump:#}");
    let text = get(address, "/debug/pprof/goroutine?debug=2");
    assert!(text.text().contains(" [running"), "{}", text.text());
}
