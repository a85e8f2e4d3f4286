//! Which of several waits is the likeliest to be why a program does not go on.

/// A kind of wait, the likeliest culprit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A lock, a permit, room in a channel, a connection of a pool: others have to let go of it.
    Lock,
    /// A message, a notification: others have to send it.
    Event,
    /// The network, a file, another process.
    Io,
    /// Another task: it is joined, or it initializes what is waited for.
    Task,
    /// Time, which passes by itself.
    Time,
    /// Nothing was registered in this poll. It may have been in an earlier one.
    NoWaker,
    /// It is only there to stop or to limit something else, or waits for work: a shutdown signal, the
    /// `accept` of a server, a timeout.
    Stop,
}

/// Parts of the names of resources. The first row in which there is one decides.
const BY_NAME: &[(Rank, &[&str])] = &[
    (
        Rank::Stop,
        &[
            "::accept",
            "::signal",
            "Abortable",
            "hyper connection (body not read)",
            "hyper connection (idle)",
            "CancellationToken",
            "Sender::closed",
            "WaitForCancellation",
            "ctrl_c",
            "raceful",
        ],
    ),
    (
        Rank::Task,
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
        Rank::Lock,
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
        ],
    ),
    (
        Rank::Time,
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
        Rank::Io,
        &[
            "::fs",
            "::io",
            "::net",
            "::process",
            "Connection",
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

impl Rank {
    /// The rank of a wait for `resource`, which the function `library` of a library is in the middle of.
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
        if library.is_some_and(is_pool) || resource.is_some_and(is_pool) {
            return match of_resource {
                // A pool makes connections, and limits the time that it takes to do so.
                Some(rank @ (Self::Io | Self::Time | Self::Stop)) => rank,
                _ => Self::Lock,
            };
        }
        of_resource
            .or_else(|| library.and_then(by_name))
            .unwrap_or(Self::Event)
    }

    /// Returns `true` if something else has to happen for the wait to end, and it is no fault of the
    /// waiter's: what such a wait says is worth more than what others wait for.
    pub(super) fn is_telling(self) -> bool {
        self < Self::Task
    }
}

/// Returns `true` for what is registered beside a wait, and says nothing of that: a limit, or that a connection may
/// be closed meanwhile.
pub(super) fn is_beside_a_wait(name: &str) -> bool {
    is_timeout(name)
        || matches!(
            name,
            "hyper connection (body not read)" | "hyper connection (idle)"
        )
}

/// Returns `true` for what limits a wait, and is not what is waited for.
fn is_timeout(name: &str) -> bool {
    name.ends_with("::timeout") || name.ends_with("::Timeout")
}

/// Returns `true` for a function that takes something out of a pool.
fn is_pool(path: &str) -> bool {
    let (rest, method) = path.rsplit_once("::").unwrap_or(("", path));
    let takes = ["acquire", "checkout", "get", "timeout_get", "try_get"];
    let of_pool = rest
        .rsplit("::")
        .next()
        .is_some_and(|of| of.ends_with("Pool"));
    of_pool && takes.iter().any(|take| method.starts_with(take))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rank: Rank, names: &[&str]) {
        for name in names {
            assert_eq!(Rank::of(Some(name), None), rank, "{name}");
        }
    }

    #[test]
    fn names_of_resources_have_ranks() {
        check(
            Rank::Lock,
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
            Rank::Event,
            &[
                "tokio::sync::mpsc::Receiver::recv",
                "tokio::sync::oneshot::Receiver",
                "tokio::sync::Notify::notified",
                "tokio::sync::watch::Receiver::changed",
                "somebody::Else::waits",
            ],
        );
        check(
            Rank::Io,
            &[
                "tokio::net::TcpStream::read",
                "tokio::net::UdpSocket::send",
                "tokio::io::DuplexStream::read",
                "tokio::process::Child::wait",
                "async_io::Async::readable",
            ],
        );
        check(
            Rank::Task,
            &[
                "tokio::task::JoinHandle",
                "tokio::task::JoinSet::join_next",
                "tokio::sync::OnceCell::get_or_init",
                "async_lock::OnceCell::wait",
                "moka::future::Cache (another call initializes the value)",
            ],
        );
        check(
            Rank::Time,
            &[
                "tokio::time::sleep",
                "tokio::time::Interval::tick",
                "futures_timer::Delay",
            ],
        );
        check(
            Rank::Stop,
            &[
                "tokio::net::TcpListener::accept",
                "tokio::signal::ctrl_c",
                "tokio::signal::unix::Signal::recv",
                "tokio::sync::watch::Sender::closed",
                "tokio::time::timeout",
                "tokio_util::sync::CancellationToken::cancelled",
                "futures::future::Abortable",
            ],
        );
    }

    #[test]
    fn functions_that_take_from_a_pool_wait_for_a_connection() {
        let rank = |library| Rank::of(Some("event_listener::EventListener"), Some(library));
        assert_eq!(rank("sqlx_core::pool::Pool::acquire"), Rank::Lock);
        assert_eq!(rank("deadpool::managed::Pool::get"), Rank::Lock);
        assert_eq!(rank("app::Pool::drain"), Rank::Event);
        let rank = |resource| Rank::of(Some(resource), Some("sqlx::Pool::acquire"));
        assert_eq!(rank("tokio::net::TcpStream::read"), Rank::Io);
        assert_eq!(rank("tokio::time::timeout"), Rank::Stop);
        assert_eq!(rank("tokio::sync::Notify::notified"), Rank::Lock);
    }
}
