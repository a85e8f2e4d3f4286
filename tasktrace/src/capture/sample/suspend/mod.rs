//! Suspends a thread and copies its stack, on Windows and macOS.
//!
//! The suspended thread may hold any lock, such as that of the heap or of the loader. So until the requester has
//! resumed it, the requester only copies: it makes system calls that take no such lock, and allocates nothing. Then it
//! walks the copy.
//!
//! Two threads that suspend each other would stay suspended. So only one requester at a time may suspend a thread.
//!
//! `windows` and `macos` make the system calls.

#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
mod thread;

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use super::{NoSample, ReadSampledScopes, SampleSignalError, SampledScope, SampledScopes};
use super::{StateAddress, SuspendedThread, WalkedSample, variable};
use crate::os;
use crate::os::signal_stack::SignalStack;
use crate::os::time::Instant;
use crate::unwind::{InterruptedThread, MAX_MARKED_FRAME, RED_ZONE, StackPointer};
use thread::{PolledThread, Registers};

/// The number of bytes of a stack that are copied. Of a deeper stack, the part nearer to the root is missing.
const MAX_STACK: usize = 512 << 10;

/// The state of the switch that turns samples on and off: [`UNDECIDED`], [`ON`] or [`OFF`].
static CONFIGURED: AtomicU8 = AtomicU8::new(UNDECIDED);
/// The environment was not read yet.
const UNDECIDED: u8 = 0;
const ON: u8 = 1;
const OFF: u8 = 2;

/// Turns samples of running tasks off (`None`) or on. The number has no effect on Windows and macOS: a thread is
/// suspended while its stack is copied, and gets no signal. On Linux, this function selects the signal.
///
/// On Windows, samples are on by default. On macOS they are off by default, because they were never tested there.
///
/// The environment variable `TASKTRACE_SAMPLE_SIGNAL` has the same effect: the value `none` turns samples off, and any
/// other value turns them on.
///
/// # Errors
///
/// Returns no error on this system.
pub fn set_sample_signal(signal: Option<i32>) -> Result<(), SampleSignalError> {
    let configured = match signal {
        Some(_) => ON,
        None => OFF,
    };
    CONFIGURED.store(configured, Ordering::Relaxed);
    Ok(())
}

/// Returns [`ON`] or [`OFF`], after reading the environment if nothing was selected.
fn configured() -> u8 {
    let configured = CONFIGURED.load(Ordering::Relaxed);
    if configured != UNDECIDED {
        return configured;
    }
    let is_on = match os::env::text(variable::NAME) {
        Some(value) => !variable::turns_off(&value),
        None => thread::IS_ON_BY_DEFAULT,
    };
    let from_environment = if is_on { ON } else { OFF };
    // A concurrent call of `set_sample_signal` wins.
    let decided = CONFIGURED.compare_exchange(
        UNDECIDED,
        from_environment,
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
    decided.err().unwrap_or(from_environment)
}

/// Returns `None`, because no handler runs on this system.
pub(super) fn install_handler_stack() -> Option<SignalStack> {
    SignalStack::install()
}

/// `true` while there is a [`SuspendPermit`].
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The permit to suspend a thread. There is at most one at a time, because only `wait` makes it, after it has changed
/// [`IS_TAKEN`] from `false` to `true`.
struct SuspendPermit(());

impl SuspendPermit {
    /// Waits until no other thread has the permit, and takes it. Returns `None` if the deadline passes first.
    fn wait(deadline: Instant) -> Option<Self> {
        while IS_TAKEN.swap(true, Ordering::Acquire) {
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Some(Self(()))
    }
}

impl Drop for SuspendPermit {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Release);
    }
}

/// The state of a thread, as it was copied while the thread was suspended.
struct ThreadCopy {
    registers: Registers,
    scopes: SampledScopes,
    is_fiber: bool,
    stack: Box<[u8]>,
    /// The number of bytes of the stack that were copied.
    copied: usize,
}

/// Suspends a thread, copies its stack, resumes it, and walks the copy.
pub(super) fn sample(
    thread: u64,
    _: bool,
    state: &StateAddress,
    read_scopes: ReadSampledScopes,
    deadline: Instant,
) -> Result<WalkedSample, NoSample> {
    if configured() == OFF {
        return Err(NoSample::Unsupported);
    }
    // A thread that suspended itself would never continue.
    if os::thread::id() == Some(thread) {
        return Err(NoSample::Refused);
    }
    let mut copy = ThreadCopy {
        registers: Registers::default(),
        scopes: SampledScopes::with_capacity(),
        is_fiber: false,
        stack: vec![0; MAX_STACK].into(),
        copied: 0,
    };
    let permit = SuspendPermit::wait(deadline).ok_or(NoSample::Busy)?;
    let thread = PolledThread::open(thread).ok_or(NoSample::Over)?;
    let filled = copy.fill(&thread, state, read_scopes);
    drop(permit);
    filled?;
    copy.walk()
}

impl ThreadCopy {
    /// Copies the registers, the polls and the stack of a thread. While the thread is suspended, this allocates nothing
    /// and takes no lock.
    fn fill(
        &mut self,
        thread: &PolledThread,
        state: &StateAddress,
        read_scopes: ReadSampledScopes,
    ) -> Result<(), NoSample> {
        let suspended = thread.suspend().ok_or(NoSample::Over)?;
        self.registers = suspended.registers().ok_or(NoSample::Refused)?;
        let address = state.get().ok_or(NoSample::Over)?;
        // SAFETY: the state is registered, so the thread that registered it has not ended: its `RegisteredThread`
        // unregisters the state before the state is destroyed. The caller opened `thread` by the number of that thread,
        // which no other thread has got meanwhile, so that thread is the suspended one. It stays suspended until
        // `suspended` is dropped at the end of this function, which the token does not leave.
        let token = unsafe { SuspendedThread::new(address) };
        self.is_fiber = state.is_fiber(&token);
        read_scopes(Some(token), &mut self.scopes);
        // The walk ends after it has found the caller of the function with the outermost mark, so the copy continues
        // above that mark. If a poll is too far away or on another stack, the copy ends at the limit.
        let start = self.registers.stack_pointer().saturating_sub(RED_ZONE);
        let distance = |scope: &SampledScope| scope.mark.distance(StackPointer(start));
        let lengths = self.scopes.0.iter().map(distance);
        let lengths = lengths.map(|length| length.unwrap_or(usize::MAX));
        let length = lengths.max().unwrap_or(0).saturating_add(MAX_MARKED_FRAME);
        self.copied = thread::copy_stack(start, length.min(MAX_STACK), &mut self.stack);
        Ok(())
    }

    fn walk(self) -> Result<WalkedSample, NoSample> {
        let scopes = self.scopes.0;
        if scopes.is_empty() {
            return Err(NoSample::Over);
        }
        if self.copied == 0 {
            return Err(NoSample::Refused);
        }
        let thread = InterruptedThread {
            ip: self.registers.ip(),
            stack_pointer: self.registers.stack_pointer(),
            frame_pointer: self.registers.frame_pointer(),
            link: self.registers.link(),
            general: self.registers.general(),
            is_fiber: self.is_fiber,
            stack: self.stack.get(..self.copied).unwrap_or_default(),
            is_cut: self.copied == MAX_STACK,
        };
        Ok(WalkedSample::new(&thread, scopes))
    }
}
