//! The service in servers of others, and without any.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;

use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tasktrace::http::{Body, TasksService};
use tasktrace_tests::http::{get, request};
use tasktrace_tests::{current_thread, multi_thread};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower_service::Service;

use crate::support::{Waiting, builder};

/// Serves it on this runtime, which is there as long as the test wants.
fn axum(runtime: &Runtime, router: Router) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
    address
}

fn router(service: TasksService) -> Router {
    Router::new()
        .route("/", axum::routing::get(async || "the program"))
        .nest_service("/debug/tasks", service)
}

#[test]
fn in_axum() {
    let _task = Waiting::new(5);
    let runtime = multi_thread();
    let address = axum(&runtime, router(builder().service()));
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

/// The task of the connection is there only to ask.
#[test]
fn the_connection_that_asks_is_not_counted() {
    let runtime = multi_thread();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (serve, _handle) = tasktrace::traced(async {
        axum::serve(listener, router(builder().service()))
            .await
            .unwrap();
    });
    runtime.spawn(serve);
    // The connection that asked before may not be closed yet.
    let untraced = || {
        let view = get(address, "/debug/tasks/view.json");
        let view: serde_json::Value = serde_json::from_str(view.text()).unwrap();
        view["untraced"].as_u64().unwrap()
    };
    while untraced() != 0 {
        std::thread::yield_now();
    }
}

/// The one thread of the runtime polls the tasks that are asked, and the connection.
#[test]
fn in_axum_on_one_thread() {
    let runtime = current_thread();
    let (address, told) = std::sync::mpsc::channel();
    // It goes when the process does.
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
fn in_hyper() {
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

/// There is no runtime.
#[test]
fn in_any_executor() {
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

/// Those who wait for a dump are in it.
#[test]
fn in_a_task_that_is_asked_itself() {
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
