//! Signals, told to a thread.
//!
//! # Protocol
//!
//! A signal handler interrupts any thread at any place, so it may neither allocate nor lock. It makes
//! a note of the signal, and rings at a pipe that a listener reads from:
//!
//! * **handler**: swap `came` of the signal to true. If it was false, write a byte to the pipe.
//! * **listener**: read what is in the pipe, all of it. Then, for each signal, swap `came` to false.
//!   If it was true, the signal is told.
//!
//! No signal is lost: for each there is a swap to false after it came, and so a telling that begins
//! after it.
//!
//! * If the handler found false, it writes after its note. The listener reads that byte, and looks at
//!   the notes after it has read.
//! * If it found true, whoever made that note has written, or is about to, and nobody has taken the
//!   note yet.
//! * If the pipe is full, there is something to be read. It cannot be, with a byte for each note.
//!
//! So a burst of signals is at most one note, beside what the listener has taken already. The write
//! end does not block; the read end does, and there the listener sleeps. Writing and reading a pipe
//! orders what was done before the one with what is done after the other, as locks do.
//!
//! **Signals that mean the end.** If nobody had a handler before us, the program would have ended.
//! The handler notes that the end is near (`ENDING`), and the listener, when it has told of it,
//! calls [`end`]: the signal is sent once more, with nobody to handle it. A second one that finds
//! `ENDING` does not wait for the listener, nor does one that no listener can hear.
//!
//! **Handlers of others.** The one that was there before is called after ours, and `before` says
//! which. It is set before our handler is, so there is no moment without. Whoever comes after us is
//! expected to call ours, as `tokio::signal` does; and then the end is no more our business, but
//! theirs.
//!
//! **Other processes.** A child of `fork` has our handlers, our memory and our pipe, but not the
//! listener. So the handler compares the process with the listener's (`LISTENS`). If it is another,
//! it does not touch the pipe.

use std::ffi::{c_int, c_void};
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use super::Deaf;
use super::errno::Errno;
use super::signal::{self, Disposition, Purpose};

/// No system has more signals.
const SIGNALS: usize = 129;

/// What is known of each signal.
static SLOTS: [Slot; SIGNALS] = [const { Slot::new() }; SIGNALS];

/// The process whose listener listens. 0 if none does.
static LISTENS: AtomicI32 = AtomicI32::new(0);

/// The end of the pipe to ring at. It is never closed: a handler may be about to write to it.
static BELL: AtomicI32 = AtomicI32::new(-1);

/// Whether the process is to end when the listener is done.
static ENDING: AtomicBool = AtomicBool::new(false);

/// For comparison, and for those whose turn is over.
static DEFAULT: Disposition = Disposition::DEFAULT;

struct Slot {
    /// It came, and the listener does not know.
    came: AtomicBool,
    /// What was done before us. Null if we don't handle the signal. What it points to is static, or
    /// leaked: a handler may be about to look at it.
    before: AtomicPtr<Disposition>,
}

impl Slot {
    const fn new() -> Self {
        Self {
            came: AtomicBool::new(false),
            before: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn of(signal: c_int) -> Option<&'static Self> {
        SLOTS.get(usize::try_from(signal).ok()?)
    }

    fn before(&self) -> Option<&'static Disposition> {
        // SAFETY: null, or what is never freed and never written to.
        unsafe { self.before.load(Ordering::Acquire).as_ref() }
    }

    /// The handler that was there before. One that was for one signal only is there once.
    fn take_before(&self) -> Option<&'static Disposition> {
        let before = self.before()?;
        if before.is_once() {
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

    /// Whether the program would have ended.
    fn ends(&self, signal: c_int) -> bool {
        signal::purpose(signal) == Purpose::End
            && self.before().is_some_and(Disposition::is_default)
    }
}

/// What the listener has: who has it is told of the signals.
#[derive(Debug)]
pub(crate) struct Inlet(PipeReader);

impl Inlet {
    /// # Errors
    ///
    /// If the system has no pipe to give.
    pub(crate) fn open() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let bell = writer.as_raw_fd();
        // SAFETY: it takes no pointer, and the descriptor is ours.
        let flags = unsafe { libc::fcntl(bell, libc::F_GETFL) };
        // SAFETY: as above. The read end is not concerned.
        let set = unsafe { libc::fcntl(bell, libc::F_SETFL, flags | libc::O_NONBLOCK) };
        if flags == -1 || set == -1 {
            return Err(io::Error::last_os_error());
        }
        let bell = writer.into_raw_fd();
        BELL.store(bell, Ordering::Release);
        LISTENS.store(process(), Ordering::Release);
        // There may be notes for a listener that there was before.
        ring();
        Ok(Self(reader))
    }

    /// Whether there is one in this process.
    pub(crate) fn is_open() -> bool {
        LISTENS.load(Ordering::Acquire) == process()
    }

    /// Waits for signals, and returns those that came, in the order of their numbers. There may be
    /// none.
    ///
    /// # Errors
    ///
    /// If somebody has closed the pipe.
    pub(crate) fn wait(&mut self) -> io::Result<Vec<c_int>> {
        let mut rung = [0; 2 * SIGNALS];
        loop {
            match self.0.read(&mut rung) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let slots = (0..).zip(&SLOTS);
        let came = slots.filter(|(_, slot)| slot.came.swap(false, Ordering::AcqRel));
        Ok(came.map(|(signal, _)| signal).collect())
    }
}

/// Nobody listens any more: so signals that mean the end must not wait for it.
impl Drop for Inlet {
    fn drop(&mut self) {
        LISTENS.store(0, Ordering::Release);
    }
}

/// Whether a signal can be told, and what is done when it comes.
fn look(signal: c_int) -> Result<(&'static Slot, Disposition), Deaf> {
    let slot = Slot::of(signal).ok_or(Deaf::CannotBeHandled)?;
    if signal::purpose(signal) == Purpose::Other {
        return Err(Deaf::CannotBeHandled);
    }
    let current = Disposition::of(signal)?;
    match current.is_ignored() {
        true => Err(Deaf::Ignored),
        false => Ok((slot, current)),
    }
}

/// Whether a signal could be told.
///
/// # Errors
///
/// Why it could not.
pub(crate) fn check(signal: c_int) -> Result<(), Deaf> {
    look(signal).map(|_| ())
}

/// Has a signal told to the listener, unless it is already. There must be a listener, and one caller
/// at a time.
///
/// # Errors
///
/// Why it cannot be.
pub(crate) fn hear(signal: c_int) -> Result<(), Deaf> {
    let (slot, current) = look(signal)?;
    // If it is another's that came after ours, that one calls ours. Ours must not call it.
    if slot.before().is_some() && !current.is_default() {
        return Ok(());
    }
    let before = match current.is_default() {
        true => ptr::from_ref(&DEFAULT).cast_mut(),
        false => Box::into_raw(Box::new(current)),
    };
    slot.before.store(before, Ordering::Release);
    current.with(note).set(signal).map_err(|error| {
        slot.before.store(ptr::null_mut(), Ordering::Release);
        error.into()
    })
}

impl From<io::Error> for Deaf {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINVAL) => Self::CannotBeHandled,
            _ => Self::Refused(error),
        }
    }
}

/// Whether [`end`] ends the process.
pub(crate) fn ends(signal: c_int) -> bool {
    Slot::of(signal).is_some_and(|slot| slot.ends(signal) && is_ours(signal))
}

/// Ends the process as the signal would have, had we not handled it. Returns if it would not have.
pub(crate) fn end(signal: c_int) {
    if !Slot::of(signal).is_some_and(|slot| slot.ends(signal)) {
        return;
    }
    if is_ours(signal) && DEFAULT.set(signal).is_ok() {
        signal::raise_here(signal);
        // The first process of a container is not ended by what it sends to itself.
        let _ = DEFAULT.with(note).set(signal);
    }
    ENDING.store(false, Ordering::Release);
}

/// Whether our handler is the one that the system calls.
fn is_ours(signal: c_int) -> bool {
    Disposition::of(signal).is_ok_and(|current| current.is(note))
}

fn process() -> c_int {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::getpid() }
}

/// The handler. All that it does is allowed in one: it loads and stores atomics, and calls `getpid`,
/// `sigaction`, `raise` and `write`.
extern "C" fn note(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let _errno = Errno::save();
    let Some(slot) = Slot::of(signal) else {
        return;
    };
    let is_heard = Inlet::is_open();
    if slot.ends(signal)
        && (!is_heard || ENDING.swap(true, Ordering::AcqRel))
        && is_ours(signal)
        && DEFAULT.set(signal).is_ok()
    {
        signal::raise(signal);
        return;
    }
    if is_heard && !slot.came.swap(true, Ordering::AcqRel) {
        ring();
    }
    if let Some(before) = slot.take_before() {
        // SAFETY: this is a handler of the signal, and that is what it was given.
        unsafe { before.call(signal, info, context) };
    }
}

fn ring() {
    let bell = BELL.load(Ordering::Acquire);
    // SAFETY: the byte is there, and the descriptor is never closed by us. If it is full there is
    // nothing to be done.
    unsafe { libc::write(bell, [0_u8].as_ptr().cast(), 1) };
}
