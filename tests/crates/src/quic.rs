//! Makes QUIC connections on the loopback interface.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use quinn::rustls::{self, RootCertStore};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig};

/// The number of streams of one kind that a peer may open.
pub const STREAMS: u32 = 3;

/// Returns the endpoints of a client and of a server that it trusts.
///
/// # Panics
///
/// If the system refuses a socket.
#[must_use]
pub fn endpoints() -> (Endpoint, Endpoint) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(certified.cert);
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let mut transport = TransportConfig::default();
    transport.max_concurrent_bidi_streams(STREAMS.into());
    transport.max_concurrent_uni_streams(STREAMS.into());
    // The runtime lives as long as the process.
    transport.max_idle_timeout(None);
    let transport = Arc::new(transport);

    let mut server = ServerConfig::with_single_cert(vec![certificate.clone()], key).unwrap();
    server.transport_config(Arc::clone(&transport));
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Endpoint::server(server, loopback).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(transport);
    let mut client = Endpoint::client(loopback).unwrap();
    client.set_default_client_config(config);
    (client, server)
}

/// Returns both ends of a connection.
///
/// # Panics
///
/// If the system refuses a socket.
pub async fn connection() -> (Connection, Connection) {
    let (client, server) = endpoints();
    let address = server.local_addr().unwrap();
    let connecting = client.connect(address, "localhost").unwrap();
    let accepting = async { server.accept().await.unwrap().await.unwrap() };
    let (connected, accepted) = tokio::join!(connecting, accepting);
    // The endpoints must outlive their connections.
    (connected.unwrap(), accepted)
}
