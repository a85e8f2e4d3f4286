//! Configures a service or a server.

use std::fmt;
#[cfg(unix)]
use std::io;
use std::net::ToSocketAddrs;
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use super::auth::AccessToken;
use super::backend::Backend;
use super::host::AllowedHosts;
use super::server::{BindError, Server, bind};
#[cfg(unix)]
use super::server::{ServerThread, serve_unix};
use super::service::TasksService;
#[cfg(unix)]
use super::settings::Access;
use super::settings::Settings;

/// Configures a service or a server.
///
/// `tasktrace::http::builder` returns one for the tasks of the process. [`new`](Self::new) serves the data of another
/// [`Backend`].
#[derive(Clone, Default)]
#[must_use = "nothing is served until `service` or `bind` is called"]
pub struct Builder<B> {
    settings: Settings,
    backend: B,
}

impl<B> fmt::Debug for Builder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, .. } = self;
        f.debug_struct("Builder")
            .field("settings", settings)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Builder<B> {
    /// Returns a builder of services and servers that get their data from a backend. The documentation of
    /// [the crate](crate) has an example.
    pub fn new(backend: B) -> Self {
        Self {
            settings: Settings::default(),
            backend,
        }
    }

    /// Answers only requests with this token.
    ///
    /// A client sends the token as `Authorization: Bearer …`, or as the password of `Authorization: Basic …`. The
    /// latter is what browsers and `go tool pprof http://:token@host/` send. Tokens are compared in constant time.
    ///
    /// With a token, `Host` is not checked. With an empty token, no request is answered.
    ///
    /// ```
    /// let token = std::env::var("TASKS_TOKEN").unwrap_or_default();
    /// let service = tasktrace::http::builder().token(token).service();
    /// # drop(service);
    /// ```
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(AccessToken::new(token.into()));
        self
    }

    /// Also answers requests to this host name, on any port.
    ///
    /// By default only requests to `localhost`, `127.0.0.1` and `[::1]` are answered. Otherwise a page on another site
    /// could make its own name resolve to this machine (DNS rebinding), and read the answers. If your server has a host
    /// name, allow it here.
    ///
    /// ```
    /// let service = tasktrace::http::builder().allow_host("ops.example.com").service();
    /// # drop(service);
    /// ```
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.settings.hosts.allow(name.into());
        self
    }

    /// Answers requests to any host name. Use it for a service behind your own authentication.
    ///
    /// ```
    /// let service = tasktrace::http::builder().allow_any_host().service();
    /// # drop(service);
    /// ```
    pub fn allow_any_host(mut self) -> Self {
        self.settings.hosts = AllowedHosts::Any;
        self
    }

    /// Lets [`bind`](Self::bind) listen on addresses that other machines can reach. This requires a
    /// [`token`](Self::token) of at least 16 characters.
    ///
    /// Responses are not encrypted.
    ///
    /// ```no_run
    /// let token = std::env::var("TASKS_TOKEN")?;
    /// let builder = tasktrace::http::builder().token(token).allow_remote();
    /// builder.bind("0.0.0.0:6670")?.detach();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_remote(mut self) -> Self {
        self.settings.is_remote_allowed = true;
        self
    }

    /// Sets the time that tasks have to answer. Tasks that do not answer in time are shown as in a snapshot. The
    /// default is two seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let service = tasktrace::http::builder().budget(Duration::from_millis(500)).service();
    /// # drop(service);
    /// ```
    pub fn budget(mut self, budget: Duration) -> Self {
        self.settings.budget = budget;
        self
    }

    /// Sets the longest profile that a request may ask for. The default is two minutes.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let service = tasktrace::http::builder().max_profile(Duration::from_secs(30)).service();
    /// # drop(service);
    /// ```
    pub fn max_profile(mut self, longest: Duration) -> Self {
        self.settings.longest_profile = longest;
        self
    }

    /// Sets the largest size of a response, in bytes. The default is 64 MiB. All responses that clients have not read
    /// yet may together have twice this size.
    ///
    /// ```
    /// let service = tasktrace::http::builder().max_response(16 << 20).service();
    /// # drop(service);
    /// ```
    pub fn max_response(mut self, bytes: usize) -> Self {
        self.settings.largest_response = bytes;
        self
    }

    /// Sets the time after which a client of [`bind`](Self::bind) that reads nothing of its response is disconnected.
    /// The default is 30 seconds. Any response that a client has not read after four times this time is discarded.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let service = tasktrace::http::builder().write_timeout(Duration::from_secs(5)).service();
    /// # drop(service);
    /// ```
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.settings.write_timeout = timeout;
        self
    }

    /// Sets the time that a client of [`bind`](Self::bind) has to send the head of a request. It begins when the client
    /// connects, or when its previous request was answered. After it the client is disconnected. The default is 10
    /// seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let service = tasktrace::http::builder().read_timeout(Duration::from_secs(5)).service();
    /// # drop(service);
    /// ```
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.settings.read_timeout = timeout;
        self
    }

    /// Sets the largest number of connections to [`bind`](Self::bind). The default is 128.
    ///
    /// A connection beyond this number replaces the connection that has been idle for longest. If no connection is
    /// idle, the new one is closed.
    ///
    /// ```
    /// let service = tasktrace::http::builder().max_connections(16).service();
    /// # drop(service);
    /// ```
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.settings.connections = connections;
        self
    }

    /// Returns a service to mount in your own server.
    ///
    /// Mount it in axum with `nest_service`, and in hyper with hyper-util's `TowerToHyperService`. It works on any
    /// executor, blocks no thread, and never returns an error.
    ///
    /// ```
    /// let service = tasktrace::http::builder().service();
    /// # drop(service);
    /// ```
    #[must_use]
    pub fn service(self) -> TasksService {
        TasksService::new(self.settings, Arc::new(self.backend))
    }

    /// Starts a server on a thread and a runtime of its own, and returns a handle that stops it when dropped.
    ///
    /// So it answers even if all threads of the program's runtime are blocked. The address must be one of this machine
    /// only; for others see [`allow_remote`](Self::allow_remote).
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot listen there, or must not: see [`BindError`].
    ///
    /// ```
    /// let server = tasktrace::http::builder().bind("127.0.0.1:0")?;
    /// # drop(server);
    /// # Ok::<_, tasktrace::http::BindError>(())
    /// ```
    pub fn bind(mut self, address: impl ToSocketAddrs) -> Result<Server, BindError> {
        self.backend = self.backend.for_server();
        bind(address, self.service())
    }

    /// Starts a server on a Unix socket, for the clients of one user and of root. It has a thread and a runtime of its
    /// own.
    ///
    /// The system tells the user of each client, so neither token nor host is checked. The listener must be
    /// nonblocking. `tasktrace::attach` uses this for the socket of the process.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses the thread or its runtime.
    ///
    /// ```
    /// use std::os::unix::net::UnixListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let directory = std::env::temp_dir().join(format!("serve-unix-{}", std::process::id()));
    /// # std::fs::create_dir(&directory)?;
    /// # let path = directory.join("tasks.sock");
    /// let listener = UnixListener::bind(&path)?;
    /// listener.set_nonblocking(true)?;
    /// let user = 1000;
    /// let server = tasktrace::http::builder().serve_unix(listener, user)?;
    /// drop(server);
    /// # std::fs::remove_dir_all(directory)
    /// # }
    /// ```
    #[cfg(unix)]
    pub fn serve_unix(mut self, listener: UnixListener, user: u32) -> io::Result<ServerThread> {
        self.settings.access = Access::Unchecked;
        self.backend = self.backend.for_server();
        serve_unix(listener, user, self.service())
    }
}
