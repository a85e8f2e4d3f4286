//! A server on a thread and a runtime of its own.
//!
//! * [`bind`]: where it listens, and whether it may; [`error`]: why not.
//! * [`accept`]: connections, and how many; [`connection`]: one of them.
//! * [`io`]: what is between a connection and hyper; [`timer`]: hyper's clock.
//!
//! Nothing on that thread takes long: dumps are taken by others. So it answers whatever the program
//! does, as long as it gets a processor.

mod accept;
mod bind;
mod connection;
mod error;
mod io;
mod timer;

use std::io::Result;
use std::net::SocketAddr;
use std::process;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::{fmt, io as std_io};

use tokio::sync::oneshot;

use super::service::TasksService;
use crate::os;
pub(crate) use accept::{Listen, Stream};
pub(super) use bind::bind;
pub use error::BindError;

/// A server that answers requests about the tasks of this process: see [`serve`](super::serve()).
///
/// It is stopped when this is dropped: connections are cut, and the address is free when that
/// returns. [`detach`](Self::detach) lets it run for as long as the process.
///
/// ```
/// let server = tasktrace::http::serve("127.0.0.1:0")?;
/// println!("tasks: http://{}/", server.local_addr());
/// # Ok::<_, tasktrace::http::BindError>(())
/// ```
#[must_use = "the server is stopped when this is dropped"]
pub struct Server {
    address: SocketAddr,
    running: Running,
}

impl Server {
    /// Where it listens.
    ///
    /// ```
    /// let server = tasktrace::http::serve("127.0.0.1:0")?;
    /// assert_ne!(server.local_addr().port(), 0);
    /// # Ok::<_, tasktrace::http::BindError>(())
    /// ```
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Lets it run until the process ends.
    ///
    /// ```
    /// tasktrace::http::serve("127.0.0.1:0")?.detach();
    /// # Ok::<_, tasktrace::http::BindError>(())
    /// ```
    pub fn detach(self) {
        self.running.detach();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The thread of a server, which ends when this is dropped.
pub(crate) struct Running {
    /// `None` if nobody will tell it.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The process that it is a thread of.
    process: u32,
}

impl Running {
    /// Starts a thread with a runtime, and serves who connects.
    ///
    /// `open` is called on that thread, in that runtime.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread or a runtime, or whatever `open` returns.
    pub(crate) fn start<L: Listen>(
        name: &str,
        service: TasksService,
        open: impl FnOnce() -> Result<L> + Send + 'static,
    ) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = os::thread::spawn(name, move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = match builder.enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let listener = {
                let _inside = runtime.enter();
                open()
            };
            match listener {
                Ok(listener) => {
                    let _ = tell.send(Ok(()));
                    drop(tell);
                    runtime.block_on(accept::until(stopped, listener, service));
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        let gone = |_| {
            Err(std_io::Error::other(
                "the thread of the server has panicked",
            ))
        };
        told.recv().unwrap_or_else(gone)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            process: process::id(),
        })
    }

    pub(crate) fn detach(mut self) {
        if let Some(stop) = self.stop.take() {
            // A channel whose other end is gone would be the same as being told.
            std::mem::forget(stop);
        }
        self.thread = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child of `fork` has a copy of this, but no such thread.
        if self.process != process::id() {
            std::mem::forget((self.stop.take(), self.thread.take()));
            return;
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
