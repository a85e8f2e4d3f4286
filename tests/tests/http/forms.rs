//! Tests the formats of dumps, by path and by the client's `Accept` header.

use std::net::SocketAddr;

use tasktrace_tests::http::{Answer, get, request};

use crate::support::{Waiting, builder, serve};

#[track_caller]
fn accepting(address: SocketAddr, path: &str, accept: &str) -> Answer {
    request(address, "GET", path, &[("Accept", accept)])
}

#[track_caller]
fn media(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("Content-Type").unwrap()
}

#[track_caller]
fn json(answer: &Answer) -> serde_json::Value {
    assert_eq!(media(answer), "application/json");
    serde_json::from_str(answer.text()).unwrap()
}

#[test]
fn each_path_answers_in_its_format() {
    let task = Waiting::new(1);
    let (_server, address) = serve(builder());

    let text = get(address, "/dump.txt");
    assert_eq!(media(&text), "text/plain; charset=utf-8");
    assert!(text.text().contains("waits_for_ever"), "{}", text.text());
    let forest = get(address, "/dump.txt?by=awaiter");
    assert!(forest.text().contains("waits_for_ever"));

    let dump = json(&get(address, "/dump.json"));
    assert_eq!(dump["schema"], "tasktrace.dump/1");
    let tasks = dump["tasks"].as_array().unwrap();
    assert!(tasks.iter().any(|it| it["id"] == task.id.get()));

    let view = json(&get(address, "/view.json"));
    assert_eq!(view["schema"], "tasktrace.view/1");

    let folded = get(address, "/dump.folded");
    assert!(
        folded
            .text()
            .lines()
            .any(|line| line.contains("waits_for_ever"))
    );
    let by_time = get(address, "/dump.folded?weight=waited&capture=0");
    assert!(
        by_time
            .text()
            .lines()
            .any(|line| line.contains("waits_for_ever"))
    );

    let svg = get(address, "/dump.svg");
    assert_eq!(media(&svg), "image/svg+xml");
    assert!(svg.text().contains("<svg"));

    let pprof = get(address, "/dump.pb.gz");
    assert_eq!(media(&pprof), "application/octet-stream");
    assert_eq!(pprof.body[..2], [0x1f, 0x8b]);
    let disposition = pprof.header("Content-Disposition").unwrap();
    assert_eq!(disposition, "attachment; filename=\"tasks.pb.gz\"");
}

#[test]
fn the_accept_header_chooses_the_format() {
    let (_server, address) = serve(builder());
    let accepted = [
        ("*/*", "text/plain; charset=utf-8"),
        (
            "text/html,application/xml;q=0.9,*/*;q=0.8",
            "text/html; charset=utf-8",
        ),
        ("application/json", "application/json"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/x-folded", "text/plain; charset=utf-8"),
        ("application/x-protobuf", "application/octet-stream"),
        ("image/png, application/json;q=0.1", "application/json"),
    ];
    for (accept, expected) in accepted {
        let answer = accepting(address, "/?capture=0", accept);
        assert_eq!(media(&answer), expected, "{accept}");
    }
    assert_eq!(
        media(&get(address, "/?capture=0")),
        "text/plain; charset=utf-8"
    );
    let answer = accepting(address, "/", "image/png");
    assert_eq!(answer.status, 406);
    assert!(answer.text().contains("application/json"));
}

#[test]
fn a_path_with_an_id_answers_with_one_task() {
    let task = Waiting::new(2);
    let (_server, address) = serve(builder());
    let path = format!("/tasks/{}", task.id);
    let text = get(address, &path);
    assert!(text.text().contains("label 2"), "{}", text.text());
    let snapshot = json(&get(address, &format!("{path}.json?capture=0")));
    assert_eq!(snapshot["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(snapshot["tasks"][0]["source"]["kind"], "snapshot");
    let asked = json(&accepting(address, &path, "application/json"));
    assert_eq!(asked["tasks"][0]["source"]["kind"], "capture");
    assert_eq!(get(address, &format!("{path}.txt")).status, 200);
    for missing in [
        "/tasks/18446744073709551614",
        "/tasks/",
        "/tasks/x",
        "/tasks/+1",
    ] {
        assert_eq!(get(address, missing).status, 404, "{missing}");
    }
}

/// A `HEAD` request takes no dump.
#[test]
fn head_requests_answer_with_headers_only() {
    let task = Waiting::new(3);
    let (_server, address) = serve(builder());
    let of_task = format!("/tasks/{}", task.id);
    for path in [
        "/dump.json",
        "/dump.txt",
        "/dump.pb.gz",
        "/view.json",
        &of_task,
    ] {
        let head = request(address, "HEAD", path, &[]);
        assert_eq!(head.status, 200, "{path}");
        assert!(head.body.is_empty());
        let body = get(address, path);
        for header in [
            "Content-Type",
            "Content-Disposition",
            "Content-Security-Policy",
        ] {
            assert_eq!(head.header(header), body.header(header), "{path}");
        }
    }
    assert_eq!(request(address, "HEAD", "/tasks/x", &[]).status, 404);
    let page = request(address, "HEAD", "/", &[("Accept", "text/html")]);
    assert_eq!(page.status, 200);
    assert!(page.body.is_empty());
}

/// The headers restrict the browser.
#[test]
fn answers_forbid_sharing_and_foreign_content() {
    let (_server, address) = serve(builder());
    for path in ["/", "/dump.json", "/dump.svg", "/debug/pprof/", "/nowhere"] {
        for accept in ["text/html", "*/*"] {
            let answer = accepting(address, path, accept);
            assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
            assert_eq!(answer.header("Cache-Control"), Some("no-store"));
            assert_eq!(
                answer.header("Cross-Origin-Resource-Policy"),
                Some("same-origin")
            );
            assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
            let policy = answer.header("Content-Security-Policy").unwrap();
            assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
            let is_sandbox = policy.starts_with("sandbox allow-scripts;");
            assert_eq!(is_sandbox, path == "/dump.svg");
            assert!(is_sandbox || !policy.contains("unsafe"), "{path}: {policy}");
        }
    }
    let page = accepting(address, "/", "text/html");
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.contains("script-src 'sha256-") && policy.contains("style-src 'sha256-"));
    // The page fetches nothing from other origins.
    for outside in ["src=\"", "src='", "@import", "url(http"] {
        assert!(!page.text().contains(outside), "{outside}");
    }
    let mut links = page.text().split("<link ").skip(1);
    assert!(links.all(|link| link.starts_with("rel=\"icon\" href=\"data:")));
}
