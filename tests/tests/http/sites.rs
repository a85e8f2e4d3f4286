//! Tests that the server refuses requests that a browser sends for pages of other sites.

use tasktrace_tests::http::{get, request};
use tower_service::Service as _;

use crate::support::{builder, serve};

const PATHS: [&str; 7] = [
    "/",
    "/dump.txt",
    "/view.json",
    "/process.json",
    "/tasks/1",
    "/profile?seconds=0.1",
    "/debug/pprof/goroutine",
];

#[test]
fn requests_of_foreign_pages_are_refused() {
    let (_server, address) = serve(builder());
    let own = format!("http://{address}");
    for path in PATHS {
        for (name, value) in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Origin", "http://evil.example"),
            ("Origin", "null"),
            ("Origin", "http://localhost:1"),
        ] {
            let answer = request(address, "GET", path, &[(name, value)]);
            assert_eq!(answer.status, 403, "{path} {name}: {value}");
            assert!(
                answer.text().contains("page of another site"),
                "{}",
                answer.text()
            );
        }
    }
    for (name, value) in [
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Origin", own.as_str()),
    ] {
        let answer = request(address, "GET", "/dump.txt?capture=0", &[(name, value)]);
        assert_eq!(answer.status, 200, "{name}: {value}");
    }
    assert_eq!(get(address, "/dump.txt?capture=0").status, 200);
}

/// A browser sends a token that it remembers on behalf of every page.
#[test]
fn a_token_does_not_admit_foreign_pages() {
    let (_server, address) = serve(builder().token("open sesame open"));
    let status = |site| {
        let token = ("Authorization", "Basic Om9wZW4gc2VzYW1lIG9wZW4=");
        let headers = [token, ("Sec-Fetch-Site", site)];
        request(address, "GET", "/dump.txt?capture=0", &headers).status
    };
    assert_eq!(status("none"), 200);
    assert_eq!(status("cross-site"), 403);
}

#[tokio::test]
async fn a_mounted_service_refuses_foreign_pages() {
    let mut service = tasktrace::http::builder().allow_any_host().service();
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "https://ops.example.com", 200),
    ] {
        let request = http::Request::get("/dump.txt?capture=0")
            .header("host", "ops.example.com")
            .header(name, value)
            .body(())
            .unwrap();
        let response = service.call(request).await.unwrap();
        assert_eq!(response.status(), status, "{name}: {value}");
    }
}
