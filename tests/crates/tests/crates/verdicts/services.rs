//! Tests verdicts about services of tower and tonic.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tasktrace_crates::{grpc_server, silent_server};
use tokio::sync::Semaphore;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceExt};

type Answer = BoxFuture<'static, Result<u32, Infallible>>;

fn never(_: u32) -> Answer {
    let never = Arc::new(Semaphore::new(0)).acquire_owned();
    never.map(|_| Ok(1)).boxed()
}

type Never = tower::util::ServiceFn<fn(u32) -> Answer>;

fn service() -> Never {
    tower::service_fn(never)
}

/// A codec that passes the bytes of a message unchanged.
#[derive(Clone, Default)]
struct Bytes;

impl tonic::codec::Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;
    fn encode(
        &mut self,
        item: Vec<u8>,
        out: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), tonic::Status> {
        std::io::Write::write_all(&mut bytes::BufMut::writer(out), &item)
            .map_err(|error| tonic::Status::unknown(error.to_string()))?;
        Ok(())
    }
}

impl tonic::codec::Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;
    fn decode(
        &mut self,
        _: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<Vec<u8>>, tonic::Status> {
        Ok(None)
    }
}

fn grpc(address: SocketAddr) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    Grpc::new(endpoint.connect_lazy())
}

fn method() -> http::uri::PathAndQuery {
    http::uri::PathAndQuery::from_static("/shop.Orders/List")
}

super::hangs! {
    tower_service("in tower::util::Oneshot (tokio::sync::Semaphore::acquire_owned)") {
        let service = service();
    } fetch(service: Never) {
        let _ = service.oneshot(1).await;
    }

    tower_buffer_is_full("in tower::util::Ready (tokio::sync::mpsc::Sender::reserve_owned)") {
        let (service, worker) = Buffer::pair(service(), 1);
        let mut service = service;
        let _answer = service.ready().await.unwrap().call(1);
        std::mem::forget(worker);
        let service = &mut service;
    } fetch(service: &mut Buffer<u32, Answer>) {
        let _ = service.ready().await;
    }

    tower_buffer_answers("in tower::buffer::future::ResponseFuture (tokio::sync::Semaphore::acquire_owned)") {
        let mut service = Buffer::new(service(), 1);
        let service = &mut service;
    } fetch(service: &mut Buffer<u32, Answer>) {
        let answer = service.ready().await.unwrap().call(1);
        let _ = answer.await;
    }

    tower_concurrency_limit("in tower::util::Ready (tokio::sync::Semaphore::acquire_many_owned)") {
        let mut service = ConcurrencyLimit::new(service(), 1);
        let mut other = service.clone();
        let _answer = other.ready().await.unwrap().call(1);
        let service = &mut service;
    } fetch(service: &mut ConcurrencyLimit<Never>) {
        let _ = service.ready().await;
    }

    tonic_connects("in tonic::client::Grpc::unary (tokio::sync::oneshot::Receiver)") {
        let client = grpc(silent_server());
    } fetch(client: Grpc<Channel>) {
        let mut client = client;
        let _ = client.ready().await;
        let _ = client.unary(tonic::Request::new(Vec::new()), method(), Bytes).await;
    }

    tonic_unary("in tonic::client::Grpc::unary (tokio::sync::oneshot::Receiver)") {
        let client = grpc(grpc_server().await);
    } fetch(client: Grpc<Channel>) {
        let mut client = client;
        client.ready().await.unwrap();
        let _ = client.unary(tonic::Request::new(Vec::new()), method(), Bytes).await;
    }
}
