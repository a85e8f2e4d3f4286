//! Tests verdicts about streams and connections of QUIC.

use std::sync::Arc;

use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tasktrace_crates::quic;

super::hangs! {
    quinn_accepts("on quinn::Endpoint::accept") {
        let (_client, server) = quic::endpoints();
        let server = &server;
    } fetch(server: &Endpoint) {
        let _ = server.accept().await;
    }

    quinn_connects("in quinn::Connecting (tokio::sync::oneshot::Receiver)") {
        let (client, _server) = quic::endpoints();
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (client, nobody) = (&client, nobody.local_addr().unwrap());
    } fetch(client: &Endpoint, nobody: std::net::SocketAddr) {
        let connecting = client.connect(nobody, "localhost").unwrap();
        let _ = connecting.await;
    }

    quinn_accept_bi("on quinn::Connection::accept_bi") {
        let (_client, server) = quic::connection().await;
        let server = &server;
    } fetch(server: &Connection) {
        let _ = server.accept_bi().await;
    }

    quinn_accept_uni("on quinn::Connection::accept_uni") {
        let (_client, server) = quic::connection().await;
        let server = &server;
    } fetch(server: &Connection) {
        let _ = server.accept_uni().await;
    }

    quinn_open_bi("on quinn::Connection::open_bi") {
        let (client, _server) = quic::connection().await;
        let mut open = Vec::new();
        for _ in 0..quic::STREAMS {
            open.push(client.open_bi().await.unwrap());
        }
        let client = &client;
    } fetch(client: &Connection) {
        let _ = client.open_bi().await;
    }

    quinn_open_uni("on quinn::Connection::open_uni") {
        let (client, _server) = quic::connection().await;
        let mut open = Vec::new();
        for _ in 0..quic::STREAMS {
            open.push(client.open_uni().await.unwrap());
        }
        let client = &client;
    } fetch(client: &Connection) {
        let _ = client.open_uni().await;
    }

    quinn_read("on quinn::RecvStream::read") {
        let (client, _server) = quic::connection().await;
        let (_send, mut receive) = client.open_bi().await.unwrap();
        let receive = &mut receive;
    } fetch(receive: &mut RecvStream) {
        let _ = receive.read(&mut [0; 10]).await;
    }

    quinn_write("on quinn::SendStream::write_all") {
        let (client, _server) = quic::connection().await;
        let (mut send, _receive) = client.open_bi().await.unwrap();
        let send = &mut send;
    } fetch(send: &mut SendStream) {
        let _ = send.write_all(&vec![0; 100_000_000]).await;
    }

    quinn_datagram("on quinn::Connection::read_datagram") {
        let (client, _server) = quic::connection().await;
        let client = &client;
    } fetch(client: &Connection) {
        let _ = client.read_datagram().await;
    }

    quinn_closed("in quinn::Connection::closed (tokio::sync::Notify::notified)") {
        let (client, _server) = quic::connection().await;
        let client = Arc::new(client);
    } fetch(client: Arc<Connection>) {
        let _ = client.closed().await;
    }
}
