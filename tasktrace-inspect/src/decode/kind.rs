//! Types that are known by their paths.

use super::async_lock::AsyncWait;
use super::channel::End;
use crate::report::HeldKind;

/// A type that is known by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Something that is waited for.
    Leaf(Leaf),
    /// A guard of a lock, or a permit.
    Guard(HeldKind),
    /// `FuturesUnordered`.
    FuturesUnordered,
    /// `Vec`.
    Vec,
    /// `SmallVec`.
    SmallVec,
    /// `VecDeque`.
    VecDeque,
    /// `LinkedList`.
    LinkedList,
    /// The table of a `HashMap` or a `HashSet`.
    HashTable,
    /// `BTreeMap`, which a `BTreeSet` is too.
    BTreeMap,
    /// `Arc`.
    Arc,
    /// `tokio::time::Timeout`.
    Timeout,
    /// A closure of `spawn_blocking` in the queue.
    Closure,
    /// `futures::future::Shared`.
    Shared,
    /// Neither futures nor guards are in it, though its fields may look so.
    Opaque,
}

/// Something that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Sleep,
    Acquire,
    Channel,
    /// A receiver of the channels `mpsc` of futures.
    FuturesChannel,
    /// A future of a channel of async-channel, and the function that returns it.
    AsyncChannel(End, &'static str),
    /// A future of a channel of flume, and the function that returns it.
    Flume(End, &'static str),
    Broadcast,
    Oneshot,
    /// The receiver of a oneshot channel of futures.
    FuturesOneshot,
    Notified,
    Join,
    /// A `Task` of async-task.
    Task,
    JoinSet,
    Socket,
    /// A future that waits for a lock of async-lock, and the function that returns it.
    Lock(AsyncWait, &'static str),
    /// A future of which only the function that returns it is known.
    Called(&'static str),
    /// A future of which only the name is known.
    Named,
}

/// Returns the entry for a future that is shown by the name of the function that returns it.
const fn called(future: &'static str, function: &'static str) -> (&'static str, Known) {
    (future, Known::Leaf(Leaf::Called(function)))
}

/// Returns the entry for a future that waits for a lock of async-lock.
const fn lock(
    future: &'static str,
    wait: AsyncWait,
    function: &'static str,
) -> (&'static str, Known) {
    (future, Known::Leaf(Leaf::Lock(wait, function)))
}

/// Returns the entry for a future that waits for a channel of async-channel.
const fn async_channel(
    future: &'static str,
    end: End,
    function: &'static str,
) -> (&'static str, Known) {
    (future, Known::Leaf(Leaf::AsyncChannel(end, function)))
}

/// Returns the entry for a future that waits for a channel of flume.
const fn flume(future: &'static str, end: End, function: &'static str) -> (&'static str, Known) {
    (future, Known::Leaf(Leaf::Flume(end, function)))
}

/// Returns the entry for a guard of a lock.
const fn guard(path: &'static str, kind: HeldKind) -> (&'static str, Known) {
    (path, Known::Guard(kind))
}

const KNOWN: &[(&str, Known)] = &[
    ("alloc::collections::btree::map::BTreeMap", Known::BTreeMap),
    (
        "alloc::collections::linked_list::LinkedList",
        Known::LinkedList,
    ),
    ("alloc::collections::vec_deque::VecDeque", Known::VecDeque),
    ("alloc::sync::Arc", Known::Arc),
    ("alloc::vec::Vec", Known::Vec),
    async_channel(
        "async_channel::Closed",
        End::Sender,
        "async_channel::Sender::closed",
    ),
    async_channel(
        "async_channel::Recv",
        End::Receiver,
        "async_channel::Receiver::recv",
    ),
    async_channel(
        "async_channel::Send",
        End::Sender,
        "async_channel::Sender::send",
    ),
    ("async_io::Timer", Known::Leaf(Leaf::Named)),
    called(
        "async_lock::barrier::BarrierWait",
        "async_lock::Barrier::wait",
    ),
    lock(
        "async_lock::mutex::Lock",
        AsyncWait::Mutex,
        "async_lock::Mutex::lock",
    ),
    lock(
        "async_lock::mutex::LockArc",
        AsyncWait::Mutex,
        "async_lock::Mutex::lock_arc",
    ),
    guard("async_lock::mutex::MutexGuard", HeldKind::Mutex),
    guard("async_lock::mutex::MutexGuardArc", HeldKind::Mutex),
    guard("async_lock::rwlock::RwLockReadGuard", HeldKind::Read),
    guard("async_lock::rwlock::RwLockReadGuardArc", HeldKind::Read),
    guard(
        "async_lock::rwlock::RwLockUpgradableReadGuard",
        HeldKind::Write,
    ),
    guard(
        "async_lock::rwlock::RwLockUpgradableReadGuardArc",
        HeldKind::Write,
    ),
    guard("async_lock::rwlock::RwLockWriteGuard", HeldKind::Write),
    guard("async_lock::rwlock::RwLockWriteGuardArc", HeldKind::Write),
    lock(
        "async_lock::rwlock::futures::Read",
        AsyncWait::Read,
        "async_lock::RwLock::read",
    ),
    lock(
        "async_lock::rwlock::futures::ReadArc",
        AsyncWait::Read,
        "async_lock::RwLock::read_arc",
    ),
    lock(
        "async_lock::rwlock::futures::UpgradableRead",
        AsyncWait::UpgradableRead,
        "async_lock::RwLock::upgradable_read",
    ),
    lock(
        "async_lock::rwlock::futures::UpgradableReadArc",
        AsyncWait::UpgradableRead,
        "async_lock::RwLock::upgradable_read_arc",
    ),
    lock(
        "async_lock::rwlock::futures::Upgrade",
        AsyncWait::Upgrade,
        "async_lock::RwLockUpgradableReadGuard::upgrade",
    ),
    lock(
        "async_lock::rwlock::futures::UpgradeArc",
        AsyncWait::Upgrade,
        "async_lock::RwLockUpgradableReadGuardArc::upgrade",
    ),
    lock(
        "async_lock::rwlock::futures::Write",
        AsyncWait::Write,
        "async_lock::RwLock::write",
    ),
    lock(
        "async_lock::rwlock::futures::WriteArc",
        AsyncWait::Write,
        "async_lock::RwLock::write_arc",
    ),
    lock(
        "async_lock::semaphore::Acquire",
        AsyncWait::Semaphore,
        "async_lock::Semaphore::acquire",
    ),
    lock(
        "async_lock::semaphore::AcquireArc",
        AsyncWait::Semaphore,
        "async_lock::Semaphore::acquire_arc",
    ),
    guard("async_lock::semaphore::SemaphoreGuard", HeldKind::Permit),
    guard("async_lock::semaphore::SemaphoreGuardArc", HeldKind::Permit),
    ("async_task::task::Task", Known::Leaf(Leaf::Task)),
    ("core::future::pending::Pending", Known::Leaf(Leaf::Named)),
    ("core::task::wake::Waker", Known::Opaque),
    ("event_listener::EventListener", Known::Leaf(Leaf::Named)),
    flume(
        "flume::async::RecvFut",
        End::Receiver,
        "flume::Receiver::recv_async",
    ),
    flume(
        "flume::async::RecvStream",
        End::Receiver,
        "flume::Receiver::stream",
    ),
    flume(
        "flume::async::SendFut",
        End::Sender,
        "flume::Sender::send_async",
    ),
    flume("flume::async::SendSink", End::Sender, "flume::Sender::sink"),
    (
        "futures_channel::mpsc::Receiver",
        Known::Leaf(Leaf::FuturesChannel),
    ),
    (
        "futures_channel::mpsc::UnboundedReceiver",
        Known::Leaf(Leaf::FuturesChannel),
    ),
    (
        "futures_channel::oneshot::Receiver",
        Known::Leaf(Leaf::FuturesOneshot),
    ),
    (
        "futures_timer::native::delay::Delay",
        Known::Leaf(Leaf::Named),
    ),
    (
        "futures_util::future::future::shared::Shared",
        Known::Shared,
    ),
    (
        "futures_util::lock::mutex::MutexLockFuture",
        Known::Leaf(Leaf::Named),
    ),
    (
        "futures_util::stream::futures_unordered::FuturesUnordered",
        Known::FuturesUnordered,
    ),
    ("hashbrown::raw::RawTable", Known::HashTable),
    ("smallvec::SmallVec", Known::SmallVec),
    (
        "tokio::io::poll_evented::PollEvented",
        Known::Leaf(Leaf::Socket),
    ),
    (
        "tokio::runtime::io::scheduled_io::Readiness",
        Known::Leaf(Leaf::Socket),
    ),
    ("tokio::runtime::scheduler::Handle", Known::Opaque),
    ("tokio::runtime::task::UnownedTask", Known::Closure),
    (
        "tokio::runtime::task::join::JoinHandle",
        Known::Leaf(Leaf::Join),
    ),
    (
        "tokio::sync::batch_semaphore::Acquire",
        Known::Leaf(Leaf::Acquire),
    ),
    ("tokio::sync::broadcast::Recv", Known::Leaf(Leaf::Broadcast)),
    ("tokio::sync::mpsc::chan::Rx", Known::Leaf(Leaf::Channel)),
    guard("tokio::sync::mutex::MappedMutexGuard", HeldKind::Mutex),
    guard("tokio::sync::mutex::MutexGuard", HeldKind::Mutex),
    guard("tokio::sync::mutex::OwnedMappedMutexGuard", HeldKind::Mutex),
    guard("tokio::sync::mutex::OwnedMutexGuard", HeldKind::Mutex),
    ("tokio::sync::notify::Notified", Known::Leaf(Leaf::Notified)),
    (
        "tokio::sync::notify::OwnedNotified",
        Known::Leaf(Leaf::Notified),
    ),
    ("tokio::sync::oneshot::Receiver", Known::Leaf(Leaf::Oneshot)),
    guard(
        "tokio::sync::rwlock::owned_read_guard::OwnedRwLockReadGuard",
        HeldKind::Read,
    ),
    guard(
        "tokio::sync::rwlock::owned_write_guard::OwnedRwLockWriteGuard",
        HeldKind::Write,
    ),
    guard(
        "tokio::sync::rwlock::owned_write_guard_mapped::OwnedRwLockMappedWriteGuard",
        HeldKind::Write,
    ),
    guard(
        "tokio::sync::rwlock::read_guard::RwLockReadGuard",
        HeldKind::Read,
    ),
    guard(
        "tokio::sync::rwlock::write_guard::RwLockWriteGuard",
        HeldKind::Write,
    ),
    guard(
        "tokio::sync::rwlock::write_guard_mapped::RwLockMappedWriteGuard",
        HeldKind::Write,
    ),
    guard(
        "tokio::sync::semaphore::OwnedSemaphorePermit",
        HeldKind::Permit,
    ),
    guard("tokio::sync::semaphore::SemaphorePermit", HeldKind::Permit),
    ("tokio::task::join_set::JoinSet", Known::Leaf(Leaf::JoinSet)),
    ("tokio::time::sleep::Sleep", Known::Leaf(Leaf::Sleep)),
    ("tokio::time::timeout::Timeout", Known::Timeout),
];

/// Returns what is known of the type with this path, which has no generic arguments.
pub(super) fn known(path: &str) -> Option<Known> {
    let at = KNOWN
        .binary_search_by(|(known, _)| (*known).cmp(path))
        .ok()?;
    Some(KNOWN[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(KNOWN.is_sorted_by(|one, next| one.0 < next.0));
        assert_eq!(
            known("tokio::time::sleep::Sleep"),
            Some(Known::Leaf(Leaf::Sleep))
        );
        assert_eq!(known("shop::Sleep"), None);
    }
}
