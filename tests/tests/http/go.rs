//! Tests the addresses of Go's `net/http/pprof`.

use tasktrace_tests::http::get;

use crate::support::{Waiting, builder, serve};

#[test]
fn each_profile_of_go_is_served() {
    let (_server, address) = serve(builder());
    for name in [
        "goroutine",
        "block",
        "mutex",
        "heap",
        "allocs",
        "threadcreate",
    ] {
        for parameters in ["", "?debug=0", "?gc=1"] {
            let answer = get(address, &format!("/debug/pprof/{name}{parameters}"));
            assert_eq!(answer.status, 200, "{name}");
            assert_eq!(
                answer.header("Content-Type"),
                Some("application/octet-stream")
            );
            assert_eq!(answer.body[..2], [0x1f, 0x8b], "{name}");
        }
    }
}

#[test]
fn profiles_are_served_as_text_on_demand() {
    let _task = Waiting::new(4);
    let (_server, address) = serve(builder());
    let first_line = |path: &str| {
        let answer = get(address, &format!("/debug/pprof/{path}?debug=1"));
        assert_eq!(
            answer.header("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        answer.text().lines().next().unwrap().to_owned()
    };
    assert!(first_line("goroutine").starts_with("goroutine profile: total "));
    assert_eq!(first_line("block"), "--- contention:");
    assert_eq!(first_line("mutex"), "--- mutex:");
    for empty in ["heap", "allocs", "threadcreate"] {
        let answer = get(address, &format!("/debug/pprof/{empty}?debug=1"));
        assert_eq!(answer.status, 400, "{empty}");
    }
    let counted = get(address, "/debug/pprof/goroutine?debug=1");
    assert!(
        counted.text().contains("waits_for_ever+0x0\t"),
        "{}",
        counted.text()
    );
    let stacks = get(address, "/debug/pprof/goroutine?debug=2");
    assert!(
        stacks.text().contains("waits_for_ever(...)\n\t"),
        "{}",
        stacks.text()
    );
}

#[test]
fn index_command_line_and_symbols_are_served() {
    let (_server, address) = serve(builder());
    for path in ["/debug/pprof", "/debug/pprof/"] {
        assert!(get(address, path).text().contains("goroutine?debug=1"));
    }
    let arguments = std::env::args().collect::<Vec<_>>().join("\0");
    assert_eq!(get(address, "/debug/pprof/cmdline").text(), arguments);
    assert_eq!(
        get(address, "/debug/pprof/symbol").text(),
        "num_symbols: 0\n"
    );
    assert_eq!(get(address, "/debug/pprof/trace?seconds=1").status, 501);
}
