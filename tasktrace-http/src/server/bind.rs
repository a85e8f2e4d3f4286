//! Listens on an address, if that is allowed.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use super::accept::{Listen, Stream};
use super::{BindError, Server, ServerThread, peer};
use crate::service::TasksService;
use crate::settings::Settings;

/// Listens on the first of the addresses that is free.
pub(crate) fn bind(
    addresses: impl ToSocketAddrs,
    service: TasksService,
) -> Result<Server, BindError> {
    let addresses: Vec<SocketAddr> = addresses.to_socket_addrs()?.collect();
    for address in &addresses {
        check(*address, service.settings())?;
    }
    let listener = StdListener::bind(&*addresses)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let running = ServerThread::start("tasktrace-serve", service, || {
        TcpListener::from_std(listener)
    })?;
    Ok(Server { address, running })
}

fn check(address: SocketAddr, settings: &Settings) -> Result<(), BindError> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if !settings.is_remote_allowed {
        return Err(BindError::NotLoopback { address });
    }
    match &settings.token {
        None => Err(BindError::NoToken { address }),
        Some(token) if token.is_short() => Err(BindError::ShortToken),
        Some(_) => Ok(()),
    }
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Small writes are sent at once, without waiting for an acknowledgement.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

impl Stream for TcpStream {
    fn is_closed(&self) -> bool {
        let addresses = self.local_addr().ok().zip(self.peer_addr().ok());
        peer::has_hung_up(self.ready(Interest::WRITABLE))
            || addresses.is_some_and(|(local, peer)| peer::is_closed_here(local, peer))
    }
}
