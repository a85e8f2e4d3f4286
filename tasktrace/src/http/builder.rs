//! Setting it up.

use std::net::ToSocketAddrs;
use std::time::Duration;

use super::auth::Token;
use super::host::Hosts;
use super::server::{BindError, Server, bind};
use super::service::TasksService;
use super::settings::Settings;

/// How requests about tasks are answered, before they are: see [`builder`](super::builder()).
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is served until `service` or `bind` is called"]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    /// Answers only those who show this token, as `Authorization: Bearer …`, or as the password of
    /// `Authorization: Basic …`, which is what browsers ask for, and what
    /// `go tool pprof http://:token@host/` shows. They are compared in constant time.
    ///
    /// With a token, the name in `Host` is not looked at. An empty token is never shown.
    ///
    /// ```
    /// let token = std::env::var("TASKS_TOKEN").unwrap_or_default();
    /// let service = tasktrace::http::builder().token(token).service();
    /// # drop(service);
    /// ```
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(Token::new(token.into()));
        self
    }

    /// Answers requests to this name as well, on any port.
    ///
    /// By default those to `localhost`, `127.0.0.1` and `[::1]` are answered, and no others: a page
    /// from elsewhere whose name is made to resolve to this machine could read the answers. For a
    /// service that is mounted in a server with a name, say so here.
    ///
    /// ```
    /// let service = tasktrace::http::builder().allow_host("ops.example.com").service();
    /// # drop(service);
    /// ```
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.settings.hosts.allow(name.into());
        self
    }

    /// Answers requests to any name: for a service behind something that knows who may ask.
    ///
    /// ```
    /// let service = tasktrace::http::builder().allow_any_host().service();
    /// # drop(service);
    /// ```
    pub fn allow_any_host(mut self) -> Self {
        self.settings.hosts = Hosts::Any;
        self
    }

    /// Lets [`bind`](Self::bind) listen where other machines can connect. It takes a
    /// [`token`](Self::token), of 16 characters or more.
    ///
    /// What is sent is not encrypted.
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

    /// How long tasks may take to answer, until what is known without them is shown. By default two
    /// seconds.
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

    /// The longest profile that may be asked for. By default two minutes.
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

    /// How many bytes a response may have. By default 64 MiB. All responses together that clients
    /// have not read yet may have twice as many.
    ///
    /// ```
    /// let service = tasktrace::http::builder().max_response(16 << 20).service();
    /// # drop(service);
    /// ```
    pub fn max_response(mut self, bytes: usize) -> Self {
        self.settings.largest_response = bytes;
        self
    }

    /// How long a client of [`bind`](Self::bind) may read nothing of a response, until its connection
    /// is cut. By default half a minute. What any client has not read after four times as long is thrown
    /// away.
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

    /// How long a client of [`bind`](Self::bind) may take to write the head of a request, from when
    /// it connects or its last one was answered, until its connection is cut. By default ten seconds.
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

    /// How many connections to [`bind`](Self::bind) there may be. One more takes the place of the one
    /// that has been idle for longest; if all are being answered it is closed. By default 128.
    ///
    /// ```
    /// let service = tasktrace::http::builder().max_connections(16).service();
    /// # drop(service);
    /// ```
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.settings.connections = connections;
        self
    }

    /// A service to be mounted in a server: see [`service`](super::service()).
    ///
    /// ```
    /// let service = tasktrace::http::builder().service();
    /// # drop(service);
    /// ```
    #[must_use]
    pub fn service(self) -> TasksService {
        TasksService::new(self.settings)
    }

    /// Starts a server on a thread and a runtime of its own: see [`serve`](super::serve()).
    ///
    /// # Errors
    ///
    /// If it cannot listen there, or must not: see [`BindError`].
    ///
    /// ```
    /// let server = tasktrace::http::builder().bind("127.0.0.1:0")?;
    /// # drop(server);
    /// # Ok::<_, tasktrace::http::BindError>(())
    /// ```
    pub fn bind(self, address: impl ToSocketAddrs) -> Result<Server, BindError> {
        bind(address, self.service())
    }
}
