//! A runtime that does nothing any more.

use tasktrace_tests::http::get;

use crate::support::{Wedged, builder, serve};

#[test]
fn it_is_told_what_blocks() {
    let (_server, address) = serve(builder());
    let _wedged = Wedged::new();
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
