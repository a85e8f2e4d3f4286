//! Starts servers that never answer, or answer in part.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;
use tower_service::Service;

/// The WebSocket of a client.
pub type WebSocket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

/// Returns a connection to a server that never reads.
///
/// # Panics
///
/// If the system refuses a socket.
pub async fn websocket() -> WebSocket {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        std::future::pending::<()>().await;
    });
    let url = format!("ws://{address}/");
    tokio_tungstenite::connect_async(url).await.unwrap().0
}

/// Returns the address of a Redis server that answers the greeting, and nothing else.
///
/// # Panics
///
/// If the system refuses a socket.
pub async fn redis_server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // One answer for each command in the greeting.
        let mut greeting = vec![0; 1000];
        let read = stream.read(&mut greeting).await.unwrap();
        let commands = greeting[..read]
            .iter()
            .filter(|byte| **byte == b'*')
            .count();
        stream
            .write_all("+OK\r\n".repeat(commands).as_bytes())
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    format!("redis://{address}/")
}

/// Returns the address of a server that never completes its response.
///
/// # Panics
///
/// If the system refuses a socket.
pub async fn half_a_response() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1000]).await;
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello";
        stream.write_all(half).await.unwrap();
        std::future::pending::<()>().await;
    });
    format!("http://{address}/")
}

/// Returns the address of a PostgreSQL server that accepts every user, and answers no query.
///
/// # Panics
///
/// If the system refuses a socket.
pub async fn postgres_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut streams = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            loop {
                let mut length = [0; 4];
                stream.read_exact(&mut length).await.unwrap();
                let length = u32::from_be_bytes(length) as usize;
                let mut message = vec![0; length - 4];
                stream.read_exact(&mut message).await.unwrap();
                // Refuses TLS.
                if message.starts_with(&80_877_103_u32.to_be_bytes()) {
                    stream.write_all(b"N").await.unwrap();
                    continue;
                }
                break;
            }
            // Sends "authenticated" and "ready for queries".
            let greeting = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
            stream.write_all(greeting).await.unwrap();
            streams.push(stream);
        }
    });
    address
}

/// Returns the address of a gRPC server with a service `shop.Orders` whose methods never answer.
///
/// # Panics
///
/// If the system refuses a socket.
pub async fn grpc_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(Orders);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

#[derive(Clone)]
struct Orders;

impl tonic::server::NamedService for Orders {
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
        Box::pin(std::future::pending())
    }
}
