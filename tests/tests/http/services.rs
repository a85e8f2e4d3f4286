//! Tests the names of requests in other servers, and of the tasks that hyper spawns for them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tasktrace::hyper::Executor;
use tasktrace::tower::TraceLayer;
use tasktrace_tests::multi_thread;
use tokio::net::TcpListener;
use tower_service::Service;

use crate::support::{builder, serve_axum};

/// Reports that a handler is about to wait for ever.
#[derive(Clone)]
struct Begun(mpsc::Sender<()>);

impl Begun {
    async fn hang(&self) {
        let mut is_told = false;
        // The task is suspended once before it reports, so that a capture finds it suspended.
        std::future::poll_fn(|cx| {
            if !is_told {
                is_told = true;
                cx.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
            self.0.send(()).unwrap();
            std::task::Poll::Ready(())
        })
        .await;
        tokio::time::sleep(tasktrace_tests::HOUR).await;
    }
}

fn router() -> (Router, mpsc::Receiver<()>) {
    let (sender, begun) = mpsc::channel();
    let (first, second) = (Begun(sender.clone()), Begun(sender));
    let router = Router::new()
        .route("/orders", get(async move || orders(first).await))
        .route(
            "/orders/{id}",
            get(async move |id: Path<String>| order(second, id).await),
        );
    (router, begun)
}

async fn orders(begun: Begun) {
    begun.hang().await;
}

async fn order(begun: Begun, Path(_): Path<String>) {
    begun.hang().await;
}

/// Sends a request without waiting for its response.
fn send_request(address: SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    client
}

fn dump() -> String {
    tasktrace::dump_blocking(Duration::from_secs(10)).to_string()
}

/// Asserts that the dump has a line that names `request`, and a line below it that names `handler`.
#[track_caller]
fn assert_shows(dump: &str, request: &str, handler: &str) {
    let lines: Vec<&str> = dump.lines().collect();
    let name = format!("╼ request \"{request}\" (made at tests/tests/http/services.rs:");
    let at = lines.iter().position(|line| line.contains(&name));
    let at = at.unwrap_or_else(|| panic!("no {name:?} in\n{dump}"));
    let handler = format!("╼ http::services::{handler} at tests/tests/http/services.rs:");
    let below = lines[at..].iter().take_while(|line| !line.is_empty());
    assert!(
        below.clone().any(|line| line.contains(&handler)),
        "no {handler:?} in\n{dump}"
    );
}

#[test]
fn requests_in_axum_are_named_by_method_and_path() {
    let runtime = multi_thread();
    let (router, begun) = router();
    let address = serve_axum(&runtime, router.layer(TraceLayer::new()));
    let _clients = [
        send_request(address, "/orders?token=secret"),
        send_request(address, "/orders/%1b[31m7"),
    ];
    for _ in 0..2 {
        begun.recv().unwrap();
    }
    let text = dump();
    assert_shows(&text, "GET /orders", "orders");
    assert_shows(&text, "GET /orders/%1b[31m7", "order");
    assert!(!text.contains("secret"), "{text}");

    // A snapshot captures no task, and works when all workers are blocked.
    let snapshot = tasktrace::snapshot().to_string();
    assert!(snapshot.contains("\"GET /orders\""), "{snapshot}");
    // The task of the server itself is not traced, and counted.
    assert!(
        text.contains("tokio task on the runtime of task "),
        "{text}"
    );

    let (_page, page) = crate::support::serve(builder());
    let view = tasktrace_tests::http::get(page, "/view.json");
    assert!(view.text().contains("GET /orders"), "{}", view.text());
    assert!(
        view.text().contains("`tasktrace::spawn`"),
        "{}",
        view.text()
    );
}

#[test]
fn the_program_can_name_its_requests() {
    let runtime = multi_thread();
    let (router, begun) = router();
    let layer = TraceLayer::named(|request: &http::Request<axum::body::Body>| {
        format!("{} for all\n", request.uri().path())
    });
    let address = serve_axum(&runtime, router.layer(layer));
    let _client = send_request(address, "/orders");
    begun.recv().unwrap();
    assert_shows(&dump(), "/orders for all\u{fffd}", "orders");
}

/// The connections and streams of a hyper server are traced, and so is a hyper client.
#[test]
fn tasks_spawned_by_hyper_are_shown() {
    let runtime = multi_thread();
    let (router, begun) = router();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower_layer::Layer::layer(&TraceLayer::new(), router);
    let service = with_incoming_body(service);
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tasktrace::TaskBuilder::new()
                .name("connection")
                .spawn(async move {
                    let server = auto::Builder::new(Executor::new());
                    let served = server.serve_connection(TokioIo::new(stream), service);
                    served.await.ok();
                });
        }
    });
    let client = Client::builder(Executor::new())
        .http2_only(true)
        .build_http::<String>();
    let uri = format!("http://{address}/orders").parse().unwrap();
    runtime.spawn(client.get(uri));
    begun.recv().unwrap();
    let text = dump();
    assert_shows(&text, "GET /orders", "orders");
    // The stream of the request, the connection, and the client's end of the connection.
    for name in [
        "hyper::proto::h2::server::H2Stream",
        "\"connection\"",
        "hyper::proto::h2::client::",
    ] {
        assert!(text.contains(name), "no {name} in\n{text}");
    }
    let spawned = "spawned at tests/tests/http/services.rs:";
    assert!(text.contains(spawned), "{text}");
}

/// Fixes the type of the body to hyper's.
fn with_incoming_body<S>(service: S) -> S
where
    S: Service<http::Request<hyper::body::Incoming>> + Clone,
{
    service
}
