//! How it is set up.

use std::time::Duration;

use super::auth::Token;
use super::host::Hosts;

/// What a [`Builder`](super::Builder) has been told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) access: Access,
    pub(super) hosts: Hosts,
    pub(super) token: Option<Token>,
    /// How long tasks may take to answer.
    pub(super) budget: Duration,
    /// How long a profile may take.
    pub(super) longest_profile: Duration,
    /// How many bytes a response may have.
    pub(super) largest_response: usize,
    /// How long a client may take to read nothing.
    pub(super) write_timeout: Duration,
    /// How long it may take to write a request.
    pub(super) read_timeout: Duration,
    /// How many connections there may be.
    pub(super) connections: usize,
    /// Whether others than this machine may connect.
    pub(super) is_remote_allowed: bool,
}

/// How it is known who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// By the token if there is one, and otherwise by the name that is asked for.
    Checked,
    /// It is known already, as the other end of a socket that nobody else can open.
    #[allow(dead_code, reason = "for sockets in the file system")]
    Local,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access: Access::Checked,
            hosts: Hosts::default(),
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
