//! Tests the names of requests and connections of tonic.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use tasktrace::hyper::Executor;
use tasktrace::tower::TraceLayer;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tower_service::Service;

/// A service of the form that `tonic-build` generates, with one method that never answers.
#[derive(Clone)]
struct Orders {
    begun: mpsc::Sender<()>,
}

impl NamedService for Orders {
    const NAME: &'static str = "shop.Orders";
}

impl Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        Box::pin(list(self.begun.clone()))
    }
}

async fn list(begun: mpsc::Sender<()>) -> Result<http::Response<Body>, Infallible> {
    tokio::task::yield_now().await;
    begun.send(()).expect("the test waits for it");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    Ok(http::Response::new(Body::empty()))
}

#[test]
fn a_request_of_tonic_is_named_by_its_method() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let (begun, has_begun) = mpsc::channel();
    let address = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("it is free");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        let server = Server::builder()
            .layer(TraceLayer::new())
            .add_service(Orders { begun });
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        address
    });
    runtime.spawn(async move {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("it is one");
        let endpoint = endpoint.executor(Executor::new());
        let mut channel = endpoint.connect().await.expect("the server listens");
        let request = http::Request::post("/shop.Orders/List")
            .header("content-type", "application/grpc")
            .body(Body::empty())
            .expect("it is one");
        std::future::poll_fn(|cx| channel.poll_ready(cx))
            .await
            .expect("it is connected");
        channel.call(request).await.expect("it is answered");
    });
    has_begun.recv().expect("the method is called");
    let dump = tasktrace::dump_blocking(Duration::from_secs(20)).to_string();
    // The request is named by the gRPC method, and not "POST".
    let request = "╼ request \"/shop.Orders/List\" (made at ";
    let at = dump.find(request);
    let at = at.unwrap_or_else(|| panic!("no {request:?} in\n{dump}"));
    assert!(dump[at..].contains("services::list at "), "{dump}");
    // The connection of the client is a traced task, and the server's connections are counted as not traced.
    assert!(dump.contains(" hyper::"), "{dump}");
    assert!(
        dump.contains("are not traced") || dump.contains("is not traced"),
        "{dump}"
    );
}
