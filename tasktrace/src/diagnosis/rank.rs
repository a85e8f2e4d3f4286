//! Ranks the waits of a program by how likely they are the reason why it makes no progress.

use crate::trace::library_call::is_name_of_taking;

/// A kind of wait, the likeliest culprit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WaitRank {
    /// A wait for a lock, a permit, room in a channel, or a connection of a pool. Other tasks have to release it.
    Lock,
    /// A wait for a message or a notification. Other tasks have to send it.
    Event,
    /// A wait for the network, a file, or another process.
    Io,
    /// A wait for another task, which is joined, or which initialises a value.
    Task,
    /// A wait for time, which passes by itself.
    Time,
    /// A leaf that registered no waker in this poll. It may have registered one in an earlier poll.
    NoWaker,
    /// A wait that stops or limits something else, or a wait for work: a shutdown signal, a timeout, the `accept` of a
    /// server, a `LocalSet` that polls its tasks beside the awaited future.
    Stop,
}

/// Substrings of the names of resources. The first row that contains a substring of the name decides the rank.
const BY_NAME: &[(WaitRank, &[&str])] = &[
    (
        WaitRank::Stop,
        &[
            "::accept",
            "::signal",
            "Abortable",
            "hyper connection (body not read)",
            "hyper connection (idle)",
            "CancellationToken",
            "LocalSet",
            "Sender::closed",
            "WaitForCancellation",
            "ctrl_c",
            "raceful",
        ],
    ),
    (
        WaitRank::Task,
        &[
            "JoinHandle",
            "JoinMap",
            "JoinSet",
            "OnceCell",
            "TaskTracker",
            "async_task::Task",
            "initializes the value",
        ],
    ),
    (
        WaitRank::Lock,
        &[
            "BiLock",
            "Mutex",
            "RwLock",
            "Semaphore",
            "Sender::broadcast",
            "Sender::feed",
            "Sender::flush",
            "Sender::reserve",
            "Sender::send",
            "Sender::sink",
            "SendFuture",
            "lock, permit or channel",
        ],
    ),
    (
        WaitRank::Time,
        &[
            "::time::",
            "DelayQueue",
            "Delay",
            "Interval",
            "Timer",
            "sleep",
            "yield_now",
        ],
    ),
    (
        WaitRank::Io,
        &[
            "::fs",
            "::io",
            "::net",
            "::process",
            "Connection",
            "I/O of",
            "Socket",
            "Stream::read",
            "Stream::write",
            "async_io",
            "async_net",
            "h2::",
            "hyper",
            "quinn",
        ],
    ),
];

impl WaitRank {
    /// Returns the rank of a wait for `resource`, in a call of the library function `library`.
    pub(super) fn of(resource: Option<&str>, library: Option<&str>) -> Self {
        let by_name = |name: &str| {
            if is_timeout(name) {
                return Some(Self::Stop);
            }
            let is_in =
                |(_, parts): &&(Self, &[&str])| parts.iter().any(|part| name.contains(part));
            BY_NAME.iter().find(is_in).map(|(rank, _)| *rank)
        };
        let of_resource = resource.and_then(by_name);
        if library.is_some_and(is_name_of_taking) || resource.is_some_and(is_name_of_taking) {
            return match of_resource {
                // A pool also waits while it opens connections, or for the time limit of opening one.
                Some(rank @ (Self::Io | Self::Time | Self::Stop)) => rank,
                _ => Self::Lock,
            };
        }
        of_resource
            .or_else(|| library.and_then(by_name))
            .unwrap_or(Self::Event)
    }

    /// Returns `true` for a wait that only another task or the system can end. Such a wait of a near task explains a
    /// hang better than the waits of other tasks do.
    pub(super) fn is_external(self) -> bool {
        self < Self::Task
    }
}

/// Returns `true` if the resource is registered in addition to the actual wait and does not explain it: a time limit,
/// or the notice that a connection was closed.
pub(super) fn is_secondary_wait(name: &str) -> bool {
    is_timeout(name)
        || matches!(
            name,
            "hyper connection (body not read)" | "hyper connection (idle)"
        )
}

/// Returns `true` if the resource is a time limit for another wait.
fn is_timeout(name: &str) -> bool {
    name.ends_with("::timeout") || name.ends_with("::Timeout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rank: WaitRank, names: &[&str]) {
        for name in names {
            assert_eq!(WaitRank::of(Some(name), None), rank, "{name}");
        }
    }

    #[test]
    fn resources_are_ranked_by_their_names() {
        check(
            WaitRank::Lock,
            &[
                "tokio::sync::Mutex::lock",
                "tokio::sync::Semaphore::acquire",
                "tokio::sync::mpsc::Sender::send",
                "tokio::sync::mpsc::Sender::reserve",
                "flume::Sender::send_async",
                "futures::channel::mpsc::Sender::send",
                "async_lock::RwLock::write",
                "bb8::Pool::get",
                "sqlx::Pool::acquire",
            ],
        );
        check(
            WaitRank::Event,
            &[
                "tokio::sync::mpsc::Receiver::recv",
                "tokio::sync::oneshot::Receiver",
                "tokio::sync::Notify::notified",
                "tokio::sync::watch::Receiver::changed",
                "somebody::Else::waits",
            ],
        );
        check(
            WaitRank::Io,
            &[
                "tokio::net::TcpStream::read",
                "tokio::net::UdpSocket::send",
                "tokio::io::DuplexStream::read",
                "tokio::process::Child::wait",
                "async_io::Async::readable",
            ],
        );
        check(
            WaitRank::Task,
            &[
                "tokio::task::JoinHandle",
                "tokio::task::JoinSet::join_next",
                "tokio::sync::OnceCell::get_or_init",
                "async_lock::OnceCell::wait",
                "moka::future::Cache (another call initializes the value)",
            ],
        );
        check(
            WaitRank::Time,
            &[
                "tokio::time::sleep",
                "tokio::time::Interval::tick",
                "futures_timer::Delay",
            ],
        );
        check(
            WaitRank::Stop,
            &[
                "tokio::net::TcpListener::accept",
                "tokio::signal::ctrl_c",
                "tokio::signal::unix::Signal::recv",
                "tokio::sync::watch::Sender::closed",
                "tokio::task::LocalSet::run_until",
                "tokio::time::timeout",
                "tokio_util::sync::CancellationToken::cancelled",
                "futures::future::Abortable",
            ],
        );
    }

    #[test]
    fn functions_that_take_from_a_pool_wait_for_a_connection() {
        let rank = |library| WaitRank::of(Some("event_listener::EventListener"), Some(library));
        assert_eq!(rank("sqlx_core::pool::Pool::acquire"), WaitRank::Lock);
        assert_eq!(rank("deadpool::managed::Pool::get"), WaitRank::Lock);
        assert_eq!(rank("app::Pool::drain"), WaitRank::Event);
        let rank = |resource| WaitRank::of(Some(resource), Some("sqlx::Pool::acquire"));
        assert_eq!(rank("tokio::net::TcpStream::read"), WaitRank::Io);
        assert_eq!(rank("tokio::time::timeout"), WaitRank::Stop);
        assert_eq!(rank("tokio::sync::Notify::notified"), WaitRank::Lock);
    }
}
