//! The requests of other servers, and the tasks that hyper spawns for them.

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
use tokio::runtime::Runtime;
use tower_service::Service;

use crate::support::builder;

/// Tells when a handler is about to wait for ever.
#[derive(Clone)]
struct Begun(mpsc::Sender<()>);

impl Begun {
    async fn hang(&self) {
        let mut is_told = false;
        // Suspended once before it tells, so that whoever asks finds it suspended.
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

/// Sends a request, whose response is not waited for.
fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    client
}

fn dump() -> String {
    tasktrace::dump_blocking(Duration::from_secs(10)).to_string()
}

/// The line of a tree that names a request, and the line in which a handler is named below it.
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

/// `axum::serve` on this runtime, and the addresses of it and of a page beside it.
fn axum(runtime: &Runtime, router: Router) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
    address
}

#[test]
fn requests_of_axum() {
    let runtime = multi_thread();
    let (router, begun) = router();
    let address = axum(&runtime, router.layer(TraceLayer::new()));
    let _clients = [
        ask(address, "/orders?token=secret"),
        ask(address, "/orders/%1b[31m7"),
    ];
    for _ in 0..2 {
        begun.recv().unwrap();
    }
    let text = dump();
    assert_shows(&text, "GET /orders", "orders");
    assert_shows(&text, "GET /orders/%1b[31m7", "order");
    assert!(!text.contains("secret"), "{text}");

    // Without anybody being asked, as when the workers are blocked.
    let snapshot = tasktrace::snapshot().to_string();
    assert!(snapshot.contains("\"GET /orders\""), "{snapshot}");
    // The server itself is counted.
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
fn requests_with_names_of_the_programs() {
    let runtime = multi_thread();
    let (router, begun) = router();
    let layer = TraceLayer::named(|request: &http::Request<axum::body::Body>| {
        format!("{} for all\n", request.uri().path())
    });
    let address = axum(&runtime, router.layer(layer));
    let _client = ask(address, "/orders");
    begun.recv().unwrap();
    assert_shows(&dump(), "/orders for all\u{fffd}", "orders");
}

/// A server of hyper's, with connections and streams that are traced, and a client that is.
#[test]
fn tasks_of_hyper() {
    let runtime = multi_thread();
    let (router, begun) = router();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower_layer::Layer::layer(&TraceLayer::new(), router);
    let service = tower(service);
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
    // The stream that the request is in, the connection, and the other end of it.
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

/// Names the type of the body, as hyper has it.
fn tower<S>(service: S) -> S
where
    S: Service<http::Request<hyper::body::Incoming>> + Clone,
{
    service
}
