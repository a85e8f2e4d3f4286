//! Tests the service mounted in other servers, and called without a server.

use std::convert::Infallible;
use std::pin::pin;

use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tasktrace::http::{Body, TasksService};
use tasktrace_tests::http::{get, request};
use tasktrace_tests::{current_thread, multi_thread};
use tokio::net::TcpListener;
use tower_service::Service;

use crate::support::{Waiting, builder, serve_axum};

fn router(service: TasksService) -> Router {
    Router::new()
        .route("/", axum::routing::get(async || "the program"))
        .nest_service("/debug/tasks", service)
}

#[test]
fn the_service_works_nested_in_axum() {
    let _task = Waiting::new(5);
    let runtime = multi_thread();
    let address = serve_axum(&runtime, router(builder().service()));
    assert_eq!(get(address, "/").text(), "the program");
    for path in ["/debug/tasks", "/debug/tasks/", "/debug/tasks/dump.txt"] {
        let answer = get(address, path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text().contains("waits_for_ever"));
    }
    let page = request(address, "GET", "/debug/tasks/", &[("Accept", "text/html")]);
    assert!(page.text().starts_with("<!doctype html>"));
    let profile = get(address, "/debug/tasks/debug/pprof/goroutine");
    assert_eq!(profile.body[..2], [0x1f, 0x8b]);
    assert_eq!(get(address, "/debug/tasks/nowhere").status, 404);
    let answer = request(address, "GET", "/debug/tasks/", &[("Host", "example.com")]);
    assert_eq!(answer.status, 403);
    let head = request(address, "HEAD", "/debug/tasks/dump.txt", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// The task of the connection exists only for the request.
#[test]
fn the_requesting_connection_is_not_counted() {
    let runtime = multi_thread();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (serve, _handle) = tasktrace::traced(async {
        axum::serve(listener, router(builder().service()))
            .await
            .unwrap();
    });
    runtime.spawn(serve);
    // The connection of the previous request may still be open, and counts.
    let untraced = || {
        let view = get(address, "/debug/tasks/view.json");
        let view: serde_json::Value = serde_json::from_str(view.text()).unwrap();
        view["untraced"].as_u64().unwrap()
    };
    while untraced() != 0 {
        std::thread::yield_now();
    }
}

/// The runtime's one thread polls both the captured tasks and the connection.
#[test]
fn a_single_threaded_server_captures_its_own_tasks() {
    let runtime = current_thread();
    let (address, told) = std::sync::mpsc::channel();
    // The thread runs until the process ends.
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::spawn(tasktrace::traced(tokio::time::sleep(tasktrace_tests::HOUR)).0);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router(builder().service()))
                .await
                .unwrap();
        });
    });
    let address = told.recv().unwrap();
    let dump = get(address, "/debug/tasks/dump.json");
    let dump: serde_json::Value = serde_json::from_str(dump.text()).unwrap();
    let captured = dump["tasks"].as_array().unwrap().iter().any(|task| {
        task["source"]["kind"] == "capture" && task["trace"].to_string().contains("time::sleep")
    });
    assert!(captured, "{dump:#}");
}

#[test]
fn the_service_works_in_hyper() {
    let runtime = multi_thread();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(builder().service());
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service.clone()));
        }
    });
    let answer = get(address, "/dump.json?capture=0");
    assert!(answer.text().starts_with(r#"{"schema":"tasktrace.dump/1""#));
}

async fn whole(body: Body) -> Vec<u8> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await
    {
        bytes.extend(frame.unwrap().into_data().unwrap());
    }
    bytes
}

/// No tokio runtime exists here.
#[test]
fn the_service_works_in_any_executor() {
    let _task = Waiting::new(6);
    let mut service = builder().service();
    let request = || {
        http::Request::get("http://localhost/dump.txt")
            .body(())
            .unwrap()
    };
    let text = pollster::block_on(async {
        let response: Result<_, Infallible> = service.call(request()).await;
        whole(response.unwrap().into_body()).await
    });
    assert!(String::from_utf8(text).unwrap().contains("waits_for_ever"));
    let text = smol::block_on(async {
        let response = service.call(request()).await.unwrap();
        whole(response.into_body()).await
    });
    assert!(String::from_utf8(text).unwrap().contains("waits_for_ever"));
}

/// The task that waits for the dump is in it.
#[test]
fn the_requesting_task_is_captured_itself() {
    #[tasktrace::traced]
    async fn asks_over_http() -> Vec<u8> {
        let request = http::Request::get("http://localhost/dump.json")
            .body(())
            .unwrap();
        let response = builder().service().call(request).await.unwrap();
        whole(response.into_body()).await
    }

    let dump = current_thread().block_on(asks_over_http());
    let dump: serde_json::Value = serde_json::from_slice(&dump).unwrap();
    let tasks = dump["tasks"].as_array().unwrap();
    let own = tasks
        .iter()
        .find(|task| task["name"].as_str().unwrap().ends_with("asks_over_http"));
    assert_eq!(own.unwrap()["source"]["kind"], "capture", "{dump:#}");
}
