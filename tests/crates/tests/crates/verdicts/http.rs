//! Tests verdicts about clients and servers of HTTP.

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tasktrace_crates::{half_a_response, silent_server};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

type Sender = hyper::client::conn::http1::SendRequest<Empty<&'static [u8]>>;

/// Reads the whole request, and answers with more than fits into a buffer.
async fn answer(request: Request<Incoming>) -> std::io::Result<Response<Full<&'static [u8]>>> {
    let _ = request.into_body().collect().await;
    Ok(Response::new(Full::new(&[0; 100_000])))
}

/// Never answers.
async fn locked(_: Request<Incoming>) -> std::io::Result<Response<Full<&'static [u8]>>> {
    let mutex = tokio::sync::Mutex::new(());
    let _guard = mutex.lock().await;
    let _ = mutex.lock().await;
    Ok(Response::new(Full::new(&[])))
}

super::hangs! {
    reqwest_get("in reqwest::get (tokio::sync::oneshot::Receiver)") {
        let url = format!("http://{}/", silent_server());
        let url = &url;
    } fetch(url: &str) {
        let _ = ::reqwest::get(url).await;
    }

    reqwest_client("in reqwest::Pending (tokio::sync::oneshot::Receiver)") {
        let url = format!("http://{}/", silent_server());
        let url = &url;
    } fetch(url: &str) {
        let client = ::reqwest::Client::new();
        let _ = client.post(url).body("hello").send().await;
    }

    reqwest_text("in reqwest::Response::text (hyper::body::Incoming::poll_frame)") {
        let response = ::reqwest::get(half_a_response().await).await.unwrap();
    } fetch(response: ::reqwest::Response) {
        let _ = response.text().await;
    }

    hyper_request("in hyper::client::conn::http1::SendRequest::send_request (tokio::sync::oneshot::Receiver)") {
        let stream = TcpStream::connect(silent_server()).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
    } fetch(sender: Sender) {
        let mut sender = sender;
        let _ = sender.send_request(Request::new(Empty::new())).await;
    }

    hyper_idle("in hyper::server::conn::http1::Connection (hyper connection (idle))") {
        let (_client, server) = tokio::io::duplex(1000);
    } fetch(server: DuplexStream) {
        let _ = Builder::new().serve_connection(TokioIo::new(server), service_fn(answer)).await;
    }

    hyper_reading("in hyper::server::conn::http1::Connection (hyper connection (reading))") {
        let (mut client, server) = tokio::io::duplex(1000);
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhello").await.unwrap();
    } fetch(server: DuplexStream) {
        let _ = Builder::new().serve_connection(TokioIo::new(server), service_fn(answer)).await;
    }

    hyper_writing("in hyper::server::conn::http1::Connection (hyper connection (writing))") {
        let (mut client, server) = tokio::io::duplex(1000);
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    } fetch(server: DuplexStream) {
        let _ = Builder::new().serve_connection(TokioIo::new(server), service_fn(answer)).await;
    }

    hyper_client_connection("in hyper::client::conn::http1::Connection (hyper connection (idle))") {
        let stream = TcpStream::connect(silent_server()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Empty<&[u8]>>(TokioIo::new(stream)).await.unwrap();
        let request = sender.send_request(Request::new(Empty::new()));
        tokio::spawn(request);
    } fetch(connection: hyper::client::conn::http1::Connection<TokioIo<TcpStream>, Empty<&'static [u8]>>) {
        let _ = connection.await;
    }
}

/// The verdict about a connection that waits for its handler names the handler.
mod handler {
    use super::*;

    #[test]
    fn the_verdict_names_the_handler_and_its_lock() {
        let text = crate::verdicts::hang(module_path!());
        let verdict = crate::verdicts::verdict(&text);
        let subject = "crates::verdicts::http::locked at ";
        assert!(verdict.starts_with(subject), "{text}");
        let (_, rest) = verdict.split_once(" is waiting ").expect("it waits");
        assert!(
            rest.starts_with("on tokio::sync::Mutex::lock (in "),
            "{text}"
        );
    }

    #[tasktrace::test(timeout = "2s")]
    async fn hangs() {
        if crate::verdicts::is_wanted() {
            let (mut client, server) = tokio::io::duplex(1000);
            let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhello";
            client.write_all(request).await.unwrap();
            let connection = Builder::new();
            let _ = connection
                .serve_connection(TokioIo::new(server), service_fn(locked))
                .await;
        }
    }
}
