//! Delivers signals to a thread, through a pipe of the process to itself.
//!
//! # Protocol
//!
//! A signal handler interrupts any thread at any instruction, so it may neither allocate nor lock. It marks the signal
//! as pending, and writes to a pipe that a listener reads:
//!
//! * **handler**: swap `arrived` of the signal to `true`. If it was `false`, write a byte to the pipe.
//! * **listener**: read all bytes in the pipe. Then, for each signal, swap `arrived` to `false`. If it was `true`,
//!   deliver the signal.
//!
//! No signal is lost, because after each signal there is a swap to `false`, and so a later delivery:
//!
//! * If the handler found `false`, it writes a byte after its mark. The listener reads that byte, and reads the marks
//!   after it.
//! * If the handler found `true`, the handler that set the mark has written its byte or is about to, and the listener
//!   has not taken the mark yet.
//! * If the pipe is full, the listener has something to read. The pipe cannot be full, with one byte for each mark.
//!
//! So a burst of signals is at most one delivery, in addition to the delivery in progress. The write end does not
//! block. The listener blocks on the read end. Writing and reading a pipe orders the accesses before the write before
//! those after the read, as a lock does.
//!
//! **Signals that end the process.** Without our handler, and without an earlier one, such a signal would have ended
//! the process. The handler sets `ENDING`. After the delivery the listener calls [`end`], which restores the default
//! action and raises the signal again. A second such signal that finds `ENDING` ends the process at once, and so does
//! one without a listener.
//!
//! **Handlers of others.** Our handler calls the handler that was installed before, which `before` stores. `before` is
//! set before our handler is installed, so there is no moment without it. A handler that is installed later must call
//! ours, as that of `tokio::signal` does. That handler then decides whether the process ends.
//!
//! **Child processes.** A child of `fork` has our handlers, our memory and our pipe, but not the listener. So the
//! handler compares the process with that of the listener (`LISTENER`). In another process it does not touch the pipe.

use std::ffi::{c_int, c_void};
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use super::errno::SavedErrno;
use super::signal::{self, Disposition, SignalPurpose};
use super::{SIGNAL_TABLE_SIZE, SignalError};

/// The state of each signal.
static SLOTS: [SignalSlot; SIGNAL_TABLE_SIZE] = [const { SignalSlot::new() }; SIGNAL_TABLE_SIZE];

/// The process of the listener, or 0 if there is none.
static LISTENER: AtomicI32 = AtomicI32::new(0);

/// The write end of the pipe. It is never closed, because a handler may be about to write to it.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

/// `true` if the process ends after the listener has delivered the signal.
static ENDING: AtomicBool = AtomicBool::new(false);

/// The default action, to compare with and to restore.
static DEFAULT: Disposition = Disposition::DEFAULT;

struct SignalSlot {
    /// `true` if the signal arrived and was not delivered yet.
    arrived: AtomicBool,
    /// The previous action, or null if the signal is not handled here. It points to a static or to leaked memory,
    /// because a handler may be about to read it.
    before: AtomicPtr<Disposition>,
}

impl SignalSlot {
    const fn new() -> Self {
        Self {
            arrived: AtomicBool::new(false),
            before: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn of(signal: c_int) -> Option<&'static Self> {
        SLOTS.get(usize::try_from(signal).ok()?)
    }

    fn before(&self) -> Option<&'static Disposition> {
        // SAFETY: as stated on `before`, it is null or points to a static or to leaked memory, which is never freed. It
        // is not written after the pointer was published.
        unsafe { self.before.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the previous handler. A handler that was installed for one signal is returned once.
    fn take_before(&self) -> Option<&'static Disposition> {
        let before = self.before()?;
        if before.is_one_shot() {
            let default = ptr::from_ref(&DEFAULT).cast_mut();
            let taken = self.before.compare_exchange(
                ptr::from_ref(before).cast_mut(),
                default,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            taken.ok()?;
        }
        Some(before)
    }

    /// Returns `true` if the signal would have ended the process without our handler.
    fn ends(&self, signal: c_int) -> bool {
        signal::purpose(signal) == SignalPurpose::End
            && self.before().is_some_and(Disposition::is_default)
    }
}

/// The read end of the pipe, through which the listener receives signals.
#[derive(Debug)]
pub(crate) struct SignalReceiver(PipeReader);

impl SignalReceiver {
    /// Opens the pipe. The caller becomes the listener of this process.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses a pipe.
    pub(crate) fn open() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let write_end = writer.as_raw_fd();
        // SAFETY: `F_GETFL` takes no pointer, and `writer` owns the open descriptor.
        let flags = unsafe { libc::fcntl(write_end, libc::F_GETFL) };
        // SAFETY: `F_SETFL` takes a number, and `writer` owns the open descriptor. The flag applies to the write end
        // only, because the two ends of a pipe have separate file descriptions.
        let set = unsafe { libc::fcntl(write_end, libc::F_SETFL, flags | libc::O_NONBLOCK) };
        if flags == -1 || set == -1 {
            return Err(io::Error::last_os_error());
        }
        let write_end = writer.into_raw_fd();
        WRITE_END.store(write_end, Ordering::Release);
        LISTENER.store(process(), Ordering::Release);
        // There may be marks for a previous listener.
        notify();
        Ok(Self(reader))
    }

    /// Returns `true` if this process has a listener.
    pub(crate) fn is_open() -> bool {
        LISTENER.load(Ordering::Acquire) == process()
    }

    /// Waits for signals, and returns the signals that arrived, in the order of their numbers. The list may be empty.
    ///
    /// # Errors
    ///
    /// Returns an error if other code has closed the pipe.
    pub(crate) fn wait(&mut self) -> io::Result<Vec<c_int>> {
        let mut bytes = [0; 2 * SIGNAL_TABLE_SIZE];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let slots = (0..).zip(&SLOTS);
        let arrived = slots.filter(|(_, slot)| slot.arrived.swap(false, Ordering::AcqRel));
        Ok(arrived.map(|(signal, _)| signal).collect())
    }
}

/// Marks the process as without a listener, so that signals that end the process do not wait for one.
impl Drop for SignalReceiver {
    fn drop(&mut self) {
        LISTENER.store(0, Ordering::Release);
    }
}

/// Returns the slot and the current action of a signal that can be delivered.
fn inspect(signal: c_int) -> Result<(&'static SignalSlot, Disposition), SignalError> {
    let slot = SignalSlot::of(signal).ok_or(SignalError::CannotBeHandled)?;
    if signal::purpose(signal) == SignalPurpose::Other {
        return Err(SignalError::CannotBeHandled);
    }
    let current = Disposition::of(signal)?;
    match current.is_ignored() {
        true => Err(SignalError::Ignored),
        false => Ok((slot, current)),
    }
}

/// Checks that a signal can be delivered.
///
/// # Errors
///
/// Returns the reason why it cannot.
pub(crate) fn check(signal: c_int) -> Result<(), SignalError> {
    inspect(signal).map(|_| ())
}

/// Installs the handler for a signal, unless it is installed. There must be a listener, and only one thread may call
/// this at a time.
///
/// # Errors
///
/// Returns the reason why the signal cannot be delivered.
pub(crate) fn register(signal: c_int) -> Result<(), SignalError> {
    let (slot, current) = inspect(signal)?;
    // If another handler was installed after ours, it calls ours. Ours must not call it.
    if slot.before().is_some() && !current.is_default() {
        return Ok(());
    }
    let before = match current.is_default() {
        true => ptr::from_ref(&DEFAULT).cast_mut(),
        false => Box::into_raw(Box::new(current)),
    };
    slot.before.store(before, Ordering::Release);
    current.with_handler(handler).set(signal).map_err(|error| {
        slot.before.store(ptr::null_mut(), Ordering::Release);
        error.into()
    })
}

impl From<io::Error> for SignalError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINVAL) => Self::CannotBeHandled,
            _ => Self::Refused(error),
        }
    }
}

/// Returns `true` if [`end`] ends the process.
pub(crate) fn ends(signal: c_int) -> bool {
    SignalSlot::of(signal).is_some_and(|slot| slot.ends(signal) && is_ours(signal))
}

/// Ends the process as the signal would have without our handler. Returns if it would not have ended the process.
pub(crate) fn end(signal: c_int) {
    if !SignalSlot::of(signal).is_some_and(|slot| slot.ends(signal)) {
        return;
    }
    if is_ours(signal) && DEFAULT.set(signal).is_ok() {
        signal::raise_unblocked(signal);
        // The first process of a container is not ended by a signal that it sends to itself.
        let _ = DEFAULT.with_handler(handler).set(signal);
    }
    ENDING.store(false, Ordering::Release);
}

/// Returns `true` if our handler is the one that the system calls.
fn is_ours(signal: c_int) -> bool {
    Disposition::of(signal).is_ok_and(|current| current.calls(handler))
}

fn process() -> c_int {
    // SAFETY: `getpid` has no arguments and no preconditions, and always succeeds.
    unsafe { libc::getpid() }
}

/// The signal handler. It is async-signal-safe: it loads and stores atomics, and calls `getpid`, `sigaction`, `raise`
/// and `write`.
extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let _errno = SavedErrno::save();
    let Some(slot) = SignalSlot::of(signal) else {
        return;
    };
    let is_open = SignalReceiver::is_open();
    if slot.ends(signal)
        && (!is_open || ENDING.swap(true, Ordering::AcqRel))
        && is_ours(signal)
        && DEFAULT.set(signal).is_ok()
    {
        signal::raise(signal);
        return;
    }
    if is_open && !slot.arrived.swap(true, Ordering::AcqRel) {
        notify();
    }
    if let Some(before) = slot.take_before() {
        // SAFETY: this is a handler of the signal, and the system passed these arguments to it.
        unsafe { before.call(signal, info, context) };
    }
}

fn notify() {
    let write_end = WRITE_END.load(Ordering::Acquire);
    // SAFETY: the pointer is that of one readable byte, and `WRITE_END` is never closed. A failed write is harmless: a
    // full pipe wakes the listener anyway.
    unsafe { libc::write(write_end, [0_u8].as_ptr().cast(), 1) };
}
