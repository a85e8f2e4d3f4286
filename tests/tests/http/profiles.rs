//! What is seen over a time.

use std::thread;
use std::time::{Duration, Instant};

use tasktrace_tests::http::get;

use crate::support::{Waiting, builder, serve};

#[test]
fn each_form() {
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
fn they_have_an_end() {
    let (_server, address) = serve(builder().max_profile(Duration::from_secs(1)));
    let answer = get(address, "/profile?seconds=2");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("up to 1"), "{}", answer.text());
    // Without a parameter it is what is allowed.
    assert_eq!(get(address, "/debug/pprof/profile").status, 200);
}

/// However many there are, dumps are taken meanwhile, and those who ask for the same share one.
#[test]
fn they_stall_nobody() {
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

/// What nobody waits for any more makes room for others.
#[test]
fn they_end_with_those_who_ask() {
    let (_server, address) = serve(builder());
    for seconds in 60..70 {
        use std::io::Write;
        let mut stream = tasktrace_tests::http::connect(address);
        write!(
            stream,
            "GET /profile?seconds={seconds} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        .unwrap();
    }
    let begun = Instant::now();
    // At most four at a time.
    while get(address, "/profile?seconds=0.1").status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "they go on");
        thread::yield_now();
    }
}
