//! Holds the settings of a service.

use std::time::Duration;

use super::auth::AccessToken;
use super::host::AllowedHosts;

/// The settings of a [`Builder`](super::Builder).
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) access: Access,
    pub(super) hosts: AllowedHosts,
    pub(super) token: Option<AccessToken>,
    /// The time that tasks have to answer.
    pub(super) budget: Duration,
    /// The longest profile.
    pub(super) longest_profile: Duration,
    /// The largest size of a response, in bytes.
    pub(super) largest_response: usize,
    /// The time for which a client may read nothing.
    pub(super) write_timeout: Duration,
    /// The time that a client has to send the head of a request.
    pub(super) read_timeout: Duration,
    /// The largest number of connections.
    pub(super) connections: usize,
    /// `true` if other machines may connect.
    pub(super) is_remote_allowed: bool,
}

/// The way to check the access of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The service checks the token if there is one, and otherwise the host name.
    Checked,
    /// The service checks nothing, because the server admits only clients of one user and of root.
    #[cfg_attr(not(unix), allow(dead_code, reason = "for Unix sockets"))]
    Unchecked,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access: Access::Checked,
            hosts: AllowedHosts::default(),
            token: None,
            budget: Duration::from_secs(2),
            longest_profile: Duration::from_secs(120),
            largest_response: 64 << 20,
            write_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(10),
            connections: 128,
            is_remote_allowed: false,
        }
    }
}
