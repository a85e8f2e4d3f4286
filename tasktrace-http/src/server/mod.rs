//! Serves HTTP on a thread and a runtime of its own.
//!
//! * [`bind`]: checks the address and listens; [`error`]: the reasons to refuse. `unix`: listens on a Unix socket.
//! * [`accept`]: accepts and limits connections; [`connection`]: serves one connection.
//! * [`io`]: adapts a connection to hyper; [`timer`]: adapts tokio's timers to hyper; [`peer`]: notices that a client
//!   has disconnected.
//!
//! Other threads take the dumps, so the server's thread never blocks for long. It answers independently of the program,
//! as long as it gets a processor.

mod accept;
mod bind;
mod connection;
mod error;
mod io;
mod peer;
mod timer;
#[cfg(unix)]
mod unix;

use std::io::Result;
use std::net::SocketAddr;
use std::process;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::{fmt, io as std_io};

use tokio::sync::oneshot;

use super::service::TasksService;
use accept::Listen;
pub(super) use bind::bind;
pub use error::BindError;
#[cfg(unix)]
pub(super) use unix::serve as serve_unix;

/// A handle of a server: see [`Builder::bind`](super::Builder::bind).
///
/// Dropping the handle stops the server. It closes all connections, and the address is free when the drop returns.
/// [`detach`](Self::detach) lets the server run until the process ends.
///
/// ```
/// let server = tasktrace::http::serve("127.0.0.1:0")?;
/// println!("tasks: http://{}/", server.local_addr());
/// # Ok::<_, tasktrace::http::BindError>(())
/// ```
#[must_use = "the server is stopped when this is dropped"]
pub struct Server {
    address: SocketAddr,
    running: ServerThread,
}

impl Server {
    /// Returns the address that the server listens on.
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

    /// Lets the server run until the process ends.
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

/// A handle of the thread of a server. Dropping it stops the server and waits until the thread has ended, except in a
/// child of `fork`, which has no such thread.
#[must_use = "the server is stopped when this is dropped"]
pub struct ServerThread {
    /// Stops the thread when it is dropped. `None` if the server is detached.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The process of the thread.
    process: u32,
}

impl ServerThread {
    /// Starts a thread with a runtime, and serves the clients that connect.
    ///
    /// `open` is called on that thread, inside the runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses a thread or a runtime, and the errors of `open`.
    fn start<L: Listen>(
        name: &str,
        service: TasksService,
        open: impl FnOnce() -> Result<L> + Send + 'static,
    ) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (result_sender, result) = mpsc::channel();
        let backend = service.backend();
        let run = move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = match builder.enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(result_sender.send(Err(error))),
            };
            let listener = {
                let _inside = runtime.enter();
                open()
            };
            match listener {
                Ok(listener) => {
                    let _ = result_sender.send(Ok(()));
                    drop(result_sender);
                    runtime.block_on(accept::serve_until(stopped, listener, service));
                }
                Err(error) => drop(result_sender.send(Err(error))),
            }
        };
        let thread = backend.spawn(name, Box::new(run))?;
        let no_result = |_| {
            Err(std_io::Error::other(
                "the thread of the server has panicked",
            ))
        };
        result.recv().unwrap_or_else(no_result)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            process: process::id(),
        })
    }

    /// Lets the server run until the process ends.
    pub fn detach(mut self) {
        if let Some(stop) = self.stop.take() {
            // Dropping the sender would stop the server.
            std::mem::forget(stop);
        }
        self.thread = None;
    }
}

impl fmt::Debug for ServerThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerThread").finish_non_exhaustive()
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        // A child of `fork` has a copy of this, but not the thread.
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
