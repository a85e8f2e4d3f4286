//! Tests the requests that the server refuses.

use tasktrace_tests::http::{exchange, get, request};

use crate::support::{builder, serve};

#[test]
fn only_get_and_head_are_allowed() {
    let (_server, address) = serve(builder());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        let answer = request(address, method, "/dump.txt", &[("Content-Length", "0")]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("Allow"), Some("GET, HEAD"));
    }
}

#[test]
fn requests_for_other_host_names_are_refused() {
    let (_server, address) = serve(builder().allow_host("ops.example.com"));
    let port = address.port();
    for host in ["localhost", "127.0.0.1:1", "[::1]", "ops.example.com:443"] {
        let answer = request(address, "HEAD", "/", &[("Host", host)]);
        assert_eq!(answer.status, 200, "{host}");
    }
    for host in [
        "example.com",
        &format!("evil.example:{port}"),
        "localhost.evil.example",
    ] {
        let answer = request(address, "GET", "/", &[("Host", host)]);
        assert_eq!(answer.status, 403, "{host}");
        assert!(answer.text().contains("allow_host"));
    }
    let twice =
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(address, twice).status, 400);
    assert_eq!(exchange(address, "GET / HTTP/1.0\r\n\r\n").status, 400);
    let foreign_address = "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\
        Connection: close\r\n\r\n";
    assert_eq!(exchange(address, foreign_address).status, 400);
    let (_server, address) = serve(builder().allow_any_host());
    let answer = request(address, "HEAD", "/", &[("Host", "example.com")]);
    assert_eq!(answer.status, 200);
}

#[test]
fn requests_without_the_token_are_refused() {
    let (_server, address) = serve(builder().token("open sesame open"));
    let status =
        |authorization| request(address, "HEAD", "/", &[("Authorization", authorization)]).status;
    assert_eq!(status("Bearer open sesame open"), 200);
    // Browsers send the token as the password of no user: `:open sesame open`.
    assert_eq!(status("Basic Om9wZW4gc2VzYW1lIG9wZW4="), 200);
    for wrong in [
        "Bearer open sesame",
        "Bearer",
        "open sesame open",
        "Basic Om9wZW4=",
    ] {
        assert_eq!(status(wrong), 401, "{wrong}");
    }
    let without = get(address, "/dump.txt");
    assert_eq!(without.status, 401);
    assert!(
        without
            .header("WWW-Authenticate")
            .unwrap()
            .contains("Bearer")
    );
    // Nor does the server tell which addresses exist.
    assert_eq!(get(address, "/nowhere").status, 401);
    assert_eq!(request(address, "POST", "/", &[]).status, 401);
}

#[test]
fn unknown_paths_are_not_found() {
    let (_server, address) = serve(builder());
    for path in [
        "/nowhere",
        "/dump",
        "/dump.",
        "/dump.xml",
        "/dump.txt/",
        "//dump.txt",
        "/../etc/passwd",
        "/%64ump.txt",
        "/debug/pprof/nothing",
        "/debug",
        "*",
    ] {
        assert_eq!(get(address, path).status, 404, "{path}");
    }
}

#[test]
fn wrong_values_of_known_parameters_are_refused() {
    let (_server, address) = serve(builder());
    for path in [
        "/dump.txt?capture=yes",
        "/dump.txt?by=name",
        "/dump.svg?weight=bytes",
        "/dump.txt?capture",
        "/debug/pprof/goroutine?debug=9",
    ] {
        let answer = get(address, path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().starts_with("the parameter `"));
    }
    // Unknown parameters are ignored.
    assert_eq!(get(address, "/dump.txt?capture=0&cache=1").status, 200);
}

#[test]
fn an_answer_above_the_limit_is_refused() {
    let (_server, address) = serve(builder().max_response(10));
    let answer = get(address, "/dump.json?capture=0");
    assert_eq!(answer.status, 507);
    assert!(answer.text().contains("max_response"));
}
