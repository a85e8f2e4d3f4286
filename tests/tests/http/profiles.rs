//! Tests profiles over HTTP.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use tasktrace::http::TasksService;
use tasktrace_tests::HOUR;
use tasktrace_tests::http::{connect, get};

use crate::support::{Waiting, begin, builder, call, poll, serve};

#[test]
fn profiles_are_served_in_each_format() {
    let _task = Waiting::new(7);
    let (_server, address) = serve(builder());
    let begun = Instant::now();
    let json = get(address, "/profile.json?seconds=0.5");
    assert!(begun.elapsed() >= Duration::from_millis(500));
    let json: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!(json["schema"], "tasktrace.profile/1");
    assert_eq!(json["source"], "snapshots");
    assert!(json["lasted_ns"].as_u64().unwrap() >= 500_000_000);

    let folded = get(address, "/profile?seconds=0.2&format=folded&capture=1");
    assert!(
        folded.text().contains("waits_for_ever"),
        "{}",
        folded.text()
    );
    let svg = get(address, "/profile.svg?seconds=0.2");
    assert_eq!(svg.header("Content-Type"), Some("image/svg+xml"));
    for path in ["/profile?seconds=0.2", "/debug/pprof/profile?seconds=0.2"] {
        let pprof = get(address, path);
        assert_eq!(
            pprof.header("Content-Type"),
            Some("application/octet-stream")
        );
        assert_eq!(pprof.body[..2], [0x1f, 0x8b]);
    }
    for name in ["goroutine", "block", "mutex"] {
        let pprof = get(address, &format!("/debug/pprof/{name}?seconds=0.2"));
        assert_eq!(pprof.body[..2], [0x1f, 0x8b]);
    }
}

#[test]
fn a_profile_may_not_last_longer_than_allowed() {
    let (_server, address) = serve(builder().max_profile(Duration::from_secs(1)));
    let answer = get(address, "/profile?seconds=2");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("up to 1"), "{}", answer.text());
    // Without a parameter the profile lasts as long as allowed.
    assert_eq!(get(address, "/debug/pprof/profile").status, 200);
}

/// Requests for the same profile share one.
#[test]
fn profiles_do_not_delay_dumps() {
    let (_server, address) = serve(builder());
    let begun = Instant::now();
    thread::scope(|scope| {
        let profiles: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| get(address, "/profile.json?seconds=4")))
            .collect();
        assert_eq!(get(address, "/dump.txt?capture=0").status, 200);
        assert!(begun.elapsed() < Duration::from_secs(4));
        for profile in profiles {
            assert_eq!(profile.join().unwrap().status, 200);
        }
    });
}

/// Asserts that requests other than profiles are answered.
#[track_caller]
fn assert_others_are_answered(service: &mut TasksService) {
    let paths = [
        "/",
        "/dump.txt?capture=0",
        "/process.json",
        "/view.json?capture=0",
    ];
    for path in paths {
        let response = futures::executor::block_on(call(service, path));
        assert_eq!(response.status(), 200, "{path}");
    }
}

#[track_caller]
fn assert_is_refused(service: &mut TasksService, path: &str) {
    let response = futures::executor::block_on(call(service, path));
    assert_eq!(response.status(), 503, "{path}");
    assert_eq!(response.headers()["Retry-After"], "1", "{path}");
}

#[test]
fn a_third_long_profile_is_refused_and_other_requests_are_answered() {
    let mut service = builder().max_profile(HOUR).service();
    let long = [
        begin(&mut service, "/profile?seconds=1800"),
        begin(&mut service, "/profile?seconds=1801"),
        // A request for a running profile joins it.
        begin(&mut service, "/profile?seconds=1801"),
    ];
    assert_is_refused(&mut service, "/profile?seconds=1802");
    assert_is_refused(&mut service, "/debug/pprof/profile?seconds=1803");
    assert_others_are_answered(&mut service);
    let short = call(&mut service, "/profile.txt?seconds=0.1");
    assert_eq!(futures::executor::block_on(short).status(), 200);

    // Dropping the responses ends their profiles and makes room for others.
    drop(long);
    let begun = Instant::now();
    while poll(&mut call(&mut service, "/profile?seconds=1804")).is_ready() {
        assert!(begun.elapsed() < Duration::from_secs(60), "they go on");
        thread::yield_now();
    }
}

#[test]
fn a_fifth_short_profile_is_refused_and_other_requests_are_answered() {
    let mut service = builder().max_profile(HOUR).service();
    let paths = (26..30).map(|seconds| format!("/profile?seconds={seconds}"));
    let short: Vec<_> = paths.map(|path| begin(&mut service, &path)).collect();
    assert_is_refused(&mut service, "/profile?seconds=30");
    assert_others_are_answered(&mut service);
    let _long = begin(&mut service, "/profile?seconds=1800");
    drop(short);
}

/// All of them could join one profile, but each would occupy a connection until it ends.
#[test]
fn at_most_half_of_the_connections_wait_for_profiles() {
    let builder = builder().max_profile(HOUR).max_connections(8);
    let mut service = builder.clone().service();
    let path = "/profile?seconds=1800";
    let short = "/profile?seconds=10";
    let waiting: Vec<_> = (0..4).map(|_| begin(&mut service, short)).collect();
    assert_is_refused(&mut service, short);
    assert_others_are_answered(&mut service);
    drop(waiting);

    let (_server, address) = serve(builder);
    let clients = (0..20).map(|_| {
        let mut client = connect(address);
        write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        client
    });
    let _clients: Vec<_> = clients.collect();
    for path in ["/dump.txt?capture=0", "/process.json"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
}

/// Half of the waiting places are reserved for short profiles.
#[test]
fn long_profiles_leave_places_for_short_ones() {
    let mut service = builder().max_profile(HOUR).service();
    let path = "/profile?seconds=100";
    let _waiting: Vec<_> = (0..16).map(|_| begin(&mut service, path)).collect();
    assert_is_refused(&mut service, path);
    let short = call(&mut service, "/profile.json?seconds=0.1");
    assert_eq!(futures::executor::block_on(short).status(), 200);
}

/// Profiles of disconnected clients make room for others.
#[test]
fn profiles_end_when_their_clients_disconnect() {
    let (_server, address) = serve(builder());
    for seconds in 20..30 {
        let mut stream = connect(address);
        let head = format!("GET /profile?seconds={seconds} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    }
    let begun = Instant::now();
    // At most four short profiles run at a time.
    while get(address, "/profile?seconds=0.1").status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(15), "they go on");
        thread::yield_now();
    }
}
