//! Lists the rules for functions of runtimes and libraries: their roles, and the paths under which users know them.
//!
//! A rule applies to all paths that start with its own path. The rule with the longest path wins.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::sync::fork::get_or_init;

/// The role of a function between the program and the waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A function that is the resource.
    Resource,
    /// A function that waits for a future which the program gave it, and for nothing else that would explain the wait.
    Wrapper,
    /// A resource that polls futures with wakers of its own, which are not recorded. If it is part of an
    /// [`Owner`](Role::Owner), the owner is named.
    Collection,
    /// A wrapper that may contain a collection. If so, it is named instead of the collection.
    Owner,
    /// A function of which resources are made.
    Plumbing,
    /// A library function that the program calls. It is shown as a function, with another name.
    Call,
}

/// A rule for functions.
pub(super) struct NamingRule {
    /// The path to which the rule applies, and to all paths below it.
    pub(super) path: &'static str,
    pub(super) role: Role,
    /// The replacement for `path` in public names.
    pub(super) public: &'static str,
    /// `true` if `public` is the whole name, whatever follows `path`.
    pub(super) is_name: bool,
    /// The names for functions of which only the file is known. Each name is for functions that have called a function
    /// in the path beside it, and the first match wins. The name of a type is followed by the name of the function. Any
    /// other name is the whole name.
    pub(super) by_file: ByFile,
}

type ByFile = &'static [(&'static str, &'static str)];

/// Returns the rule for a function.
pub(super) fn find(path: &str) -> Option<&'static NamingRule> {
    static INDEX: OnceLock<HashMap<&'static str, &'static NamingRule>> = OnceLock::new();
    let index = get_or_init(&INDEX, || {
        RULES.iter().map(|rule| (rule.path, rule)).collect()
    });
    let mut path = path;
    loop {
        if let Some(rule) = index.get(path) {
            return Some(rule);
        }
        path = path.rsplit_once("::")?.0;
    }
}

/// Returns `true` if a path is `outer`, or below it.
pub(super) fn is_in(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A rule for resources in `path`, which users know under the path `public`.
const fn known_as(path: &'static str, public: &'static str, by_file: ByFile) -> NamingRule {
    NamingRule {
        path,
        role: Role::Resource,
        public,
        is_name: false,
        by_file,
    }
}

/// A rule for resources in `path`, which all have the same name.
const fn named(path: &'static str, name: &'static str) -> NamingRule {
    NamingRule {
        is_name: true,
        ..known_as(path, name, &[])
    }
}

/// A rule for wrappers in `path`, which users know under the path `public`.
const fn wrapper(path: &'static str, public: &'static str) -> NamingRule {
    NamingRule {
        role: Role::Wrapper,
        ..known_as(path, public, &[])
    }
}

/// A rule for wrappers in `path`, which all have the same name.
const fn wrapper_named(path: &'static str, name: &'static str) -> NamingRule {
    NamingRule {
        role: Role::Wrapper,
        ..named(path, name)
    }
}

/// A rule for collections in `path`, which all have the same name.
const fn collection(path: &'static str, name: &'static str) -> NamingRule {
    NamingRule {
        role: Role::Collection,
        ..named(path, name)
    }
}

/// A rule for owners of collections in `path`, which all have the same name.
const fn owner(path: &'static str, name: &'static str) -> NamingRule {
    NamingRule {
        role: Role::Owner,
        ..named(path, name)
    }
}

/// A rule for library functions in `path`. They are shown as functions in `public`, with their resources below them.
const fn call(path: &'static str, public: &'static str) -> NamingRule {
    NamingRule {
        role: Role::Call,
        ..known_as(path, public, &[])
    }
}

/// A rule for plumbing in `path`.
const fn plumbing(path: &'static str) -> NamingRule {
    NamingRule {
        role: Role::Plumbing,
        ..known_as(path, path, &[])
    }
}

/// A rule for plumbing in `path`, whose purpose has this name. The name is shown if the functions that call the
/// plumbing were inlined and there is no debug information.
const fn plumbing_named(path: &'static str, name: &'static str) -> NamingRule {
    NamingRule {
        role: Role::Plumbing,
        ..named(path, name)
    }
}

/// All rules, in one place.
///
/// To add a crate, wait for one of its futures in a test in `tests/crates`, look at `{:#}` of the trace, and write a
/// rule for the function that should be named:
///
/// * `named` if the rest of the path is internal to the crate and of no use to users.
/// * `known_as` if a module is private and its items have another public path. Functions that begin with `poll_` are
///   named after the public method.
/// * `wrapper` if the function waits for a future or a stream that it was given.
/// * `plumbing` if the function is never the resource.
/// * `call` for a library function that waits for another resource, such as a function of a pool.
///
/// A crate whose functions should not be shown at all must also be in the list of runtimes in `symbol/class.rs`. For
/// other crates, the outermost resource below the last function of the program is shown, without the library functions
/// in between.
#[rustfmt::skip]
const RULES: &[NamingRule] = &[
    // tokio: time
    named("tokio::time::sleep", "tokio::time::sleep"),
    known_as("tokio::time::interval", "tokio::time", &[("", "tokio::time::Interval::tick")]),
    wrapper("tokio::time::timeout", "tokio::time"),
    wrapper("tokio::time::timeout::Timeout", "tokio::time::timeout"),
    named("tokio::time::timeout::poll_delay", "tokio::time::timeout"),

    // tokio: net
    known_as("tokio::net::tcp::listener", "tokio::net", &[("", "tokio::net::TcpListener::accept")]),
    known_as("tokio::net::tcp::stream", "tokio::net", &[("", "tokio::net::TcpStream")]),
    known_as("tokio::net::tcp::socket", "tokio::net", &[("", "tokio::net::TcpSocket::connect")]),
    known_as("tokio::net::tcp::split", "tokio::net::tcp", &[]),
    known_as("tokio::net::tcp::split_owned", "tokio::net::tcp", &[]),
    known_as("tokio::net::udp", "tokio::net", &[("", "tokio::net::UdpSocket")]),
    known_as("tokio::net::unix::listener", "tokio::net", &[("", "tokio::net::UnixListener::accept")]),
    known_as("tokio::net::unix::stream", "tokio::net", &[("", "tokio::net::UnixStream")]),
    known_as("tokio::net::unix::datagram::socket", "tokio::net", &[("", "tokio::net::UnixDatagram")]),
    known_as("tokio::net::unix::split", "tokio::net::unix", &[]),
    known_as("tokio::net::unix::split_owned", "tokio::net::unix", &[]),

    // tokio: sync
    known_as("tokio::sync::mpsc::bounded", "tokio::sync::mpsc", &[
        ("tokio::sync::mpsc::chan::recv", "tokio::sync::mpsc::Receiver::recv"),
        ("tokio::sync::mpsc::chan::recv_many", "tokio::sync::mpsc::Receiver::recv_many"),
        ("tokio::sync::batch_semaphore", "tokio::sync::mpsc::Sender::send"),
        ("tokio::sync::notify", "tokio::sync::mpsc::Sender::closed"),
    ]),
    known_as("tokio::sync::mpsc::unbounded", "tokio::sync::mpsc", &[
        ("tokio::sync::notify", "tokio::sync::mpsc::UnboundedSender::closed"),
        ("", "tokio::sync::mpsc::UnboundedReceiver::recv"),
    ]),
    known_as("tokio::sync::oneshot", "tokio::sync::oneshot", &[
        ("tokio::sync::oneshot::poll_closed", "tokio::sync::oneshot::Sender::closed"),
        ("", "tokio::sync::oneshot::Receiver"),
    ]),
    known_as("tokio::sync::broadcast", "tokio::sync::broadcast", &[
        ("tokio::sync::notify", "tokio::sync::broadcast::Sender::closed"),
        ("", "tokio::sync::broadcast::Receiver::recv"),
    ]),
    known_as("tokio::sync::mutex", "tokio::sync", &[("", "tokio::sync::Mutex::lock")]),
    known_as("tokio::sync::rwlock", "tokio::sync", &[("", "tokio::sync::RwLock")]),
    known_as("tokio::sync::semaphore", "tokio::sync", &[("", "tokio::sync::Semaphore::acquire")]),
    known_as("tokio::sync::notify", "tokio::sync", &[("", "tokio::sync::Notify::notified")]),
    named("tokio::sync::notify::Notified", "tokio::sync::Notify::notified"),
    named("tokio::sync::notify::OwnedNotified", "tokio::sync::Notify::notified_owned"),
    known_as("tokio::sync::barrier", "tokio::sync", &[("", "tokio::sync::Barrier::wait")]),
    known_as("tokio::sync::once_cell", "tokio::sync", &[("", "tokio::sync::OnceCell::get_or_init")]),
    known_as("tokio::sync::set_once", "tokio::sync", &[("", "tokio::sync::SetOnce::wait")]),

    // tokio: task
    named("tokio::runtime::task::join", "tokio::task::JoinHandle"),
    known_as("tokio::task::join_set", "tokio::task", &[("", "tokio::task::JoinSet::join_next")]),
    named("tokio::task::yield_now", "tokio::task::yield_now"),
    named("tokio::task::coop::consume_budget", "tokio::task::coop::consume_budget"),
    wrapper("tokio::task::local", "tokio::task"),
    wrapper("tokio::task::local::RunUntil", "tokio::task::LocalSet::run_until"),
    wrapper("tokio::task::task_local", "tokio::task"),
    wrapper("tokio::task::unconstrained", "tokio::task"),
    wrapper("tokio::task::coop::unconstrained", "tokio::task::coop"),
    plumbing("tokio::task::coop"),

    // tokio: the rest
    named("tokio::signal::ctrl_c", "tokio::signal::ctrl_c"),
    known_as("tokio::signal::unix", "tokio::signal::unix", &[("", "tokio::signal::unix::Signal::recv")]),
    plumbing("tokio::signal::reusable_box"),
    known_as("tokio::process", "tokio::process", &[
        ("tokio::io::poll_evented::poll_read", "tokio::process::ChildStdout::read"),
        ("tokio::io::poll_evented::poll_write", "tokio::process::ChildStdin::write"),
        ("", "tokio::process::Child::wait"),
    ]),
    wrapper("tokio::process::Child::wait_with_output", "tokio::process::Child::wait_with_output"),
    plumbing("tokio::process::imp"),
    plumbing("tokio::process::unix"),
    wrapper("tokio::io", "tokio::io"),
    wrapper("tokio::io::util", "tokio::io"),
    wrapper_named("tokio::io::util::read", "tokio::io::AsyncReadExt::read"),
    wrapper_named("tokio::io::util::read_buf", "tokio::io::AsyncReadExt::read_buf"),
    wrapper_named("tokio::io::util::read_exact", "tokio::io::AsyncReadExt::read_exact"),
    wrapper_named("tokio::io::util::read_to_end", "tokio::io::AsyncReadExt::read_to_end"),
    wrapper_named("tokio::io::util::read_line", "tokio::io::AsyncBufReadExt::read_line"),
    wrapper_named("tokio::io::util::write", "tokio::io::AsyncWriteExt::write"),
    wrapper_named("tokio::io::util::write_all", "tokio::io::AsyncWriteExt::write_all"),
    wrapper_named("tokio::io::util::flush", "tokio::io::AsyncWriteExt::flush"),
    known_as("tokio::io::util::mem", "tokio::io", &[("", "tokio::io::DuplexStream")]),
    known_as("tokio::io::stdin", "tokio::io", &[("", "tokio::io::Stdin::read")]),
    known_as("tokio::io::stdout", "tokio::io", &[("", "tokio::io::Stdout::write")]),
    known_as("tokio::io::stderr", "tokio::io", &[("", "tokio::io::Stderr::write")]),
    known_as("tokio::io::async_fd", "tokio::io::unix", &[("", "tokio::io::unix::AsyncFd::readable")]),
    plumbing("tokio::io::poll_evented"),
    known_as("tokio::fs", "tokio::fs", &[]),
    plumbing("tokio::fs::asyncify"),
    wrapper("tokio::macros", "tokio"),
    // All futures that a branch of it awaits may be ready. It then returns when the coop budget of the task is used up.
    named("tokio::macros::support::poll_budget_available", "tokio::select!"),
    named("tokio::macros::support::budget_available", "tokio::select!"),
    wrapper("tokio::future", "tokio"),
    plumbing_named("tokio::sync::batch_semaphore", "a lock, permit or channel of tokio::sync"),
    plumbing("tokio::sync::mpsc::chan"),
    // The function of `bounded` calls this one by a tail call in some builds, so this is all that is left.
    named("tokio::sync::mpsc::chan::Rx", "tokio::sync::mpsc::Receiver::recv"),
    named("tokio::sync::mpsc::chan::recv", "tokio::sync::mpsc::Receiver::recv"),
    // The names of private functions, if the public functions around them were inlined without debug information.
    named("tokio::sync::barrier::Barrier::wait_internal", "tokio::sync::Barrier::wait"),
    named("tokio::sync::broadcast::Receiver::recv_ref", "tokio::sync::broadcast::Receiver::recv"),
    named("tokio::sync::mpsc::bounded::Sender::reserve_inner", "tokio::sync::mpsc::Sender::send"),
    named("tokio::sync::mutex::Mutex::acquire", "tokio::sync::Mutex::lock"),
    named("tokio::sync::watch::changed_impl", "tokio::sync::watch::Receiver::changed"),
    named("tokio::sync::watch::Receiver::wait_for_inner", "tokio::sync::watch::Receiver::wait_for"),
    named("tokio::net::tcp::stream::TcpStream::connect_mio", "tokio::net::TcpStream::connect"),
    named("tokio::net::unix::stream::UnixStream::connect_mio", "tokio::net::UnixStream::connect"),
    named("tokio::net::udp::UdpSocket::send_to_addr", "tokio::net::UdpSocket::send_to"),
    // `ctrl_c` and `Signal::recv` both wait with this.
    named("tokio::signal::RxFuture", "tokio::signal"),
    plumbing("tokio::sync::task"),
    plumbing("tokio::loom"),
    plumbing("tokio::runtime"),
    plumbing_named("tokio::runtime::io", "I/O of tokio"),
    plumbing("tokio::util"),

    // tokio_util, tokio_stream
    wrapper("tokio_stream", "tokio_stream"),
    wrapper("tokio_util", "tokio_util"),
    wrapper("tokio_util::sync", "tokio_util::sync"),
    wrapper("tokio_util::task", "tokio_util::task"),
    known_as("tokio_util::task::join_map", "tokio_util::task", &[("", "tokio_util::task::JoinMap::join_next")]),
    named("tokio_util::sync::cancellation_token", "tokio_util::sync::CancellationToken::cancelled"),
    named(
        "tokio_util::sync::cancellation_token::WaitForCancellationFutureOwned",
        "tokio_util::sync::CancellationToken::cancelled_owned",
    ),
    wrapper("tokio_util::sync::cancellation_token::CancellationToken", "tokio_util::sync::CancellationToken"),
    wrapper(
        "tokio_util::sync::cancellation_token::RunUntilCancelledFuture",
        "tokio_util::sync::CancellationToken::run_until_cancelled",
    ),
    wrapper(
        "tokio_util::sync::cancellation_token::RunUntilCancelledFutureOwned",
        "tokio_util::sync::CancellationToken::run_until_cancelled_owned",
    ),
    named("tokio_util::task::task_tracker::TaskTrackerWaitFuture", "tokio_util::task::TaskTracker::wait"),
    named("tokio_util::time::delay_queue", "tokio_util::time::DelayQueue"),

    // futures
    wrapper("futures", "futures"),
    wrapper("futures_core", "futures"),
    wrapper("futures_io", "futures::io"),
    wrapper("futures_sink", "futures::sink"),
    wrapper("futures_util", "futures"),
    wrapper_named("futures_util::abortable", "futures::future::Abortable"),
    wrapper("futures_util::async_await", "futures"),
    wrapper("futures_util::future::future", "futures::future"),
    wrapper("futures_util::stream::stream", "futures::stream"),
    wrapper("futures_util::stream::try_stream", "futures::stream"),
    known_as("futures_util::future::future::shared", "futures::future", &[("", "futures::future::Shared")]),
    collection("futures_util::stream::futures_unordered", "futures::stream::FuturesUnordered::next"),
    collection("futures_util::stream::futures_ordered", "futures::stream::FuturesOrdered::next"),
    owner("futures_util::stream::select_all", "futures::stream::SelectAll::next"),
    owner("futures_util::future::join_all", "futures::future::join_all"),
    owner("futures_util::future::try_join_all", "futures::future::try_join_all"),
    owner("futures_util::stream::stream::buffered", "futures::stream::Buffered::next"),
    owner("futures_util::stream::stream::buffer_unordered", "futures::stream::BufferUnordered::next"),
    owner("futures_util::stream::stream::flatten_unordered", "futures::stream::FlattenUnordered::next"),
    owner("futures_util::stream::stream::for_each_concurrent", "futures::stream::StreamExt::for_each_concurrent"),
    owner("futures_util::stream::try_stream::try_buffered", "futures::stream::TryBuffered::next"),
    owner("futures_util::stream::try_stream::try_buffer_unordered", "futures::stream::TryBufferUnordered::next"),
    owner(
        "futures_util::stream::try_stream::try_for_each_concurrent",
        "futures::stream::TryStreamExt::try_for_each_concurrent",
    ),
    named("futures_util::lock::mutex", "futures::lock::Mutex::lock"),
    named("futures_util::lock::mutex::OwnedMutexLockFuture", "futures::lock::Mutex::lock_owned"),
    named("futures_util::lock::bilock", "futures::lock::BiLock"),
    plumbing("futures_core::task"),
    plumbing("futures_task"),
    plumbing("futures_util::task"),
    known_as("futures_channel::mpsc", "futures::channel::mpsc", &[
        ("futures_channel::mpsc::next_message", "futures::channel::mpsc::Receiver::next"),
    ]),
    wrapper("futures_channel::mpsc::Recv", "futures::channel::mpsc"),
    // The private module of the `Sink` impls. With line tables only, its path is in the names of their functions.
    known_as("futures_channel::mpsc::sink_impl", "futures::channel::mpsc", &[]),
    named("futures_channel::mpsc::sink_impl::Sender::poll_ready", "futures::channel::mpsc::Sender::send"),
    named("futures_channel::mpsc::Sender::poll_ready", "futures::channel::mpsc::Sender::send"),
    named("futures_channel::mpsc::Sender::poll_flush", "futures::channel::mpsc::Sender::flush"),
    plumbing("futures_channel::mpsc::BoundedSenderInner"),
    plumbing("futures_channel::mpsc::queue"),
    known_as("futures_channel::oneshot", "futures::channel::oneshot", &[("", "futures::channel::oneshot::Receiver")]),
    plumbing("futures_channel::lock"),
    named("futures_timer", "futures_timer::Delay"),
    plumbing("atomic_waker"),
    plumbing("diatomic_waker"),

    // smol and its parts
    wrapper("event_listener_strategy", "event_listener_strategy"),
    named("event_listener", "event_listener::EventListener"),
    known_as("async_channel", "async_channel", &[]),
    named("async_channel::Recv", "async_channel::Receiver::recv"),
    named("async_channel::RecvInner", "async_channel::Receiver::recv"),
    named("async_channel::Send", "async_channel::Sender::send"),
    named("async_channel::SendInner", "async_channel::Sender::send"),
    named("async_channel::Closed", "async_channel::Sender::closed"),
    named("async_channel::ClosedInner", "async_channel::Sender::closed"),
    plumbing("async_channel::Channel"),
    known_as("async_lock::mutex", "async_lock", &[("", "async_lock::Mutex::lock")]),
    named("async_lock::mutex::Lock", "async_lock::Mutex::lock"),
    named("async_lock::mutex::LockArc", "async_lock::Mutex::lock_arc"),
    named("async_lock::rwlock::futures::Read", "async_lock::RwLock::read"),
    named("async_lock::rwlock::futures::ReadArc", "async_lock::RwLock::read_arc"),
    named("async_lock::rwlock::futures::UpgradableRead", "async_lock::RwLock::upgradable_read"),
    named("async_lock::rwlock::futures::UpgradableReadArc", "async_lock::RwLock::upgradable_read_arc"),
    named("async_lock::rwlock::futures::Upgrade", "async_lock::RwLockUpgradableReadGuard::upgrade"),
    named("async_lock::rwlock::futures::Write", "async_lock::RwLock::write"),
    named("async_lock::rwlock::futures::WriteArc", "async_lock::RwLock::write_arc"),
    named("async_lock::semaphore::Acquire", "async_lock::Semaphore::acquire"),
    named("async_lock::semaphore::AcquireArc", "async_lock::Semaphore::acquire_arc"),
    named("async_lock::barrier::BarrierWait", "async_lock::Barrier::wait"),
    // The names of these functions if the functions around them were optimised away.
    named("async_lock::mutex::AcquireSlow", "async_lock::Mutex::lock"),
    named("async_lock::mutex::LockInner", "async_lock::Mutex::lock"),
    named("async_lock::mutex::LockArcInnards", "async_lock::Mutex::lock_arc"),
    named("async_lock::rwlock::futures::ReadInner", "async_lock::RwLock::read"),
    named("async_lock::rwlock::futures::ReadArcInner", "async_lock::RwLock::read_arc"),
    named("async_lock::rwlock::futures::UpgradableReadInner", "async_lock::RwLock::upgradable_read"),
    named("async_lock::rwlock::futures::UpgradableReadArcInner", "async_lock::RwLock::upgradable_read_arc"),
    named("async_lock::rwlock::futures::UpgradeInner", "async_lock::RwLockUpgradableReadGuard::upgrade"),
    named("async_lock::rwlock::futures::UpgradeArcInner", "async_lock::RwLockUpgradableReadGuardArc::upgrade"),
    named("async_lock::rwlock::futures::UpgradeArc", "async_lock::RwLockUpgradableReadGuardArc::upgrade"),
    named("async_lock::rwlock::futures::WriteInner", "async_lock::RwLock::write"),
    named("async_lock::rwlock::futures::WriteArcInner", "async_lock::RwLock::write_arc"),
    named("async_lock::rwlock::raw::RawRead", "async_lock::RwLock::read"),
    named("async_lock::rwlock::raw::RawUpgradableRead", "async_lock::RwLock::upgradable_read"),
    named("async_lock::rwlock::raw::RawUpgrade", "async_lock::RwLockUpgradableReadGuard::upgrade"),
    named("async_lock::rwlock::raw::RawWrite", "async_lock::RwLock::write"),
    named("async_lock::semaphore::AcquireInner", "async_lock::Semaphore::acquire"),
    named("async_lock::semaphore::AcquireArcInner", "async_lock::Semaphore::acquire_arc"),
    named("async_lock::barrier::BarrierWaitInner", "async_lock::Barrier::wait"),
    named("async_broadcast::Recv", "async_broadcast::Receiver::recv"),
    named("async_broadcast::RecvInner", "async_broadcast::Receiver::recv"),
    named("async_broadcast::Send", "async_broadcast::Sender::broadcast"),
    named("async_broadcast::SendInner", "async_broadcast::Sender::broadcast"),
    named("kanal::future::ReceiveFuture", "kanal::AsyncReceiver::recv"),
    named("kanal::future::SendFuture", "kanal::AsyncSender::send"),
    known_as("async_lock::rwlock", "async_lock", &[("", "async_lock::RwLock")]),
    known_as("async_lock::semaphore", "async_lock", &[("", "async_lock::Semaphore::acquire")]),
    known_as("async_lock::barrier", "async_lock", &[("", "async_lock::Barrier::wait")]),
    wrapper("async_io", "async_io"),
    named("async_io::Timer", "async_io::Timer"),
    plumbing("async_io::reactor"),
    named("async_io::reactor::Readable", "async_io::Async::readable"),
    named("async_io::reactor::ReadableOwned", "async_io::Async::readable_owned"),
    named("async_io::reactor::Writable", "async_io::Async::writable"),
    named("async_io::reactor::WritableOwned", "async_io::Async::writable_owned"),
    known_as("async_net::tcp", "async_net", &[
        ("async_io::accept", "async_net::TcpListener::accept"),
        ("", "async_net::TcpStream"),
    ]),
    known_as("async_net::udp", "async_net", &[("", "async_net::UdpSocket")]),
    known_as("async_net::unix", "async_net::unix", &[]),
    named("flume::async::RecvFut", "flume::Receiver::recv_async"),
    named("flume::async::RecvStream", "flume::Receiver::stream"),
    named("flume::async::SendFut", "flume::Sender::send_async"),
    named("flume::async::SendSink", "flume::Sender::sink"),
    wrapper("futures_lite", "futures_lite"),
    named("futures_lite::future::YieldNow", "futures_lite::future::yield_now"),
    named("async_task::task", "async_task::Task"),
    wrapper("smol", "smol"),
    plumbing("piper"),

    // libraries: resources
    named("tokio_tungstenite::WebSocketStream::close", "tokio_tungstenite::WebSocketStream::close"),
    named("tokio_tungstenite::WebSocketStream::poll_close", "tokio_tungstenite::WebSocketStream::close"),
    // This is called both to flush and to send.
    named("tokio_tungstenite::WebSocketStream::poll_flush", "tokio_tungstenite::WebSocketStream::poll_flush"),
    named("tokio_tungstenite::WebSocketStream::poll_next", "tokio_tungstenite::WebSocketStream::next"),
    named("tokio_tungstenite::WebSocketStream::poll_ready", "tokio_tungstenite::WebSocketStream::send"),
    plumbing("tokio_tungstenite::compat"),
    plumbing("tokio_tungstenite::handshake"),
    plumbing("tungstenite"),
    named("hyper::body::incoming::Incoming", "hyper::body::Incoming::poll_frame"),
    // The connection has received more of a body than the reader has asked for.
    named("hyper::body::chan", "hyper connection (body not read)"),
    named("hyper::proto::h1::conn::Conn::poll_read_head", "hyper connection (idle)"),
    named("hyper::proto::h1::conn::Conn::poll_read_keep_alive", "hyper connection (idle)"),
    named("hyper::proto::h1::conn::Conn::poll_read_body", "hyper connection (reading)"),
    named("hyper::proto::h1::conn::Conn::poll_flush", "hyper connection (writing)"),
    named("hyper::proto::h1::dispatch::Dispatcher::poll_read_head", "hyper connection (idle)"),
    named("hyper::proto::h1::dispatch::Dispatcher::poll_flush", "hyper connection (writing)"),
    named("async_cell::sync::Get", "async_cell::AsyncCell::get"),
    named("async_cell::sync::GetRef", "async_cell::AsyncCell::get"),
    named("async_cell::sync::GetWeak", "async_cell::AsyncCell::get_weak"),
    named("async_cell::sync::Take", "async_cell::AsyncCell::take"),
    named("async_cell::sync::TakeRef", "async_cell::AsyncCell::take"),
    named("async_cell::sync::TakeWeak", "async_cell::AsyncCell::take_weak"),
    named("async_cell::unsync::Get", "async_cell::AsyncCell::get"),
    named("async_cell::unsync::GetRef", "async_cell::AsyncCell::get"),
    named("async_cell::unsync::GetWeak", "async_cell::AsyncCell::get_weak"),
    named("async_cell::unsync::Take", "async_cell::AsyncCell::take"),
    named("async_cell::unsync::TakeRef", "async_cell::AsyncCell::take"),
    named("async_cell::unsync::TakeWeak", "async_cell::AsyncCell::take_weak"),
    // If there are only lines, these are the lines of a macro in both cases.
    named("async_cell::internal::poll_get", "async_cell::AsyncCell::get"),
    named("async_cell::internal::poll_take", "async_cell::AsyncCell::take"),
    named("moka::future::value_initializer", "moka::future::Cache (another call initializes the value)"),
    named("redis::aio::multiplexed_connection", "redis::aio::MultiplexedConnection"),
    named("quinn::connection::AcceptBi", "quinn::Connection::accept_bi"),
    named("quinn::connection::AcceptUni", "quinn::Connection::accept_uni"),
    named("quinn::connection::OpenBi", "quinn::Connection::open_bi"),
    named("quinn::connection::OpenUni", "quinn::Connection::open_uni"),
    named("quinn::connection::ReadDatagram", "quinn::Connection::read_datagram"),
    named("quinn::endpoint::Accept", "quinn::Endpoint::accept"),
    known_as("quinn::recv_stream", "quinn", &[]),
    known_as("quinn::send_stream", "quinn", &[]),

    // libraries: functions that the program calls
    call("quinn::connection", "quinn"),
    call("quinn::endpoint", "quinn"),
    call("reqwest::async_impl::client", "reqwest"),
    call("reqwest::async_impl::response", "reqwest"),
    call("sqlx_core", "sqlx"),
    call("sqlx_core::pool::Pool", "sqlx::Pool"),
    call("sqlx_mysql", "sqlx::mysql"),
    call("sqlx_postgres", "sqlx::postgres"),
    call("sqlx_sqlite", "sqlx::sqlite"),
    call("axum::routing::method_routing", "axum::routing"),
    call("axum::routing::route", "axum::routing::future"),
    call("bb8::api::Pool", "bb8::Pool"),
    call("moka::future::cache::Cache", "moka::future::Cache"),

    // combinators
    wrapper("async_stream", "async_stream"),
    wrapper("futures_buffered", "futures_buffered"),
    collection("futures_buffered::futures_unordered_bounded", "futures_buffered::FuturesUnorderedBounded"),
    collection("futures_buffered::futures_unordered", "futures_buffered::FuturesUnordered"),
    collection("futures_buffered::futures_ordered", "futures_buffered::FuturesOrdered"),
    collection("futures_buffered::futures_ordered_bounded", "futures_buffered::FuturesOrderedBounded"),
    collection("futures_buffered::merge_bounded", "futures_buffered::MergeBounded"),
    collection("futures_buffered::merge_unbounded", "futures_buffered::MergeUnbounded"),
    owner("futures_buffered::join_all", "futures_buffered::join_all"),
    owner("futures_buffered::try_join_all", "futures_buffered::try_join_all"),
    owner("futures_buffered::buffered", "futures_buffered::BufferedStreamExt"),
    owner("futures_buffered::try_buffered", "futures_buffered::BufferedTryStreamExt"),
    plumbing("futures_buffered::slot_map"),
    plumbing("futures_buffered::waker_list"),
    wrapper("futures_concurrency", "futures_concurrency"),
    collection("futures_concurrency::future::join", "futures_concurrency::future::Join::join"),
    collection("futures_concurrency::future::try_join", "futures_concurrency::future::TryJoin::try_join"),
    collection("futures_concurrency::future::future_group", "futures_concurrency::future::FutureGroup::next"),
    collection("futures_concurrency::stream::merge", "futures_concurrency::stream::Merge::merge"),
    collection("futures_concurrency::stream::stream_group", "futures_concurrency::stream::StreamGroup::next"),
    collection("futures_concurrency::stream::zip", "futures_concurrency::stream::Zip::zip"),
    owner(
        "futures_concurrency::concurrent_stream::for_each",
        "futures_concurrency::concurrent_stream::ConcurrentStream::for_each",
    ),
    owner(
        "futures_concurrency::concurrent_stream::try_for_each",
        "futures_concurrency::concurrent_stream::ConcurrentStream::try_for_each",
    ),
    owner(
        "futures_concurrency::concurrent_stream::from_concurrent_stream",
        "futures_concurrency::concurrent_stream::ConcurrentStream::collect",
    ),
    plumbing("futures_concurrency::utils"),
    wrapper("futures_micro", "futures_micro"),
    wrapper("pin_project", "pin_project"),
    wrapper("pin_project_lite", "pin_project_lite"),
    wrapper("tracing", "tracing"),
    wrapper("tracing_futures", "tracing_futures"),

    // functions that block a thread
    named("async_io::driver::block_on", "async_io::block_on"),
    known_as("crossbeam_channel::channel", "crossbeam_channel", &[]),
    wrapper("futures_executor::local_pool", "futures::executor"),
    known_as("lock_api::mutex", "parking_lot", &[]),
    known_as("lock_api::rwlock", "parking_lot", &[]),
    wrapper_named("tokio::runtime::runtime::Runtime::block_on", "tokio::runtime::Runtime::block_on"),

    // common plumbing
    plumbing("backtrace"),
    plumbing("concurrent_queue"),
    plumbing("mio"),
    plumbing("parking"),
    plumbing("parking_lot"),
    plumbing("parking_lot_core"),
    plumbing("polling"),
    plumbing("rustix"),
];
