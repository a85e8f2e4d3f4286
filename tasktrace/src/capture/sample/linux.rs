//! Interrupting a thread on Linux.
//!
//! The handler stays where it is once it is installed: a signal may still be on its way. It does
//! nothing unless its thread is asked. A signal is used only while its handler is ours: what a program
//! does with its signals is respected, also if it begins to after we did.

use std::ffi::{c_int, c_void};
use std::fs;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::handshake::{Handshake, Outcome};
use super::{Collect, NoSample, SampleSignalError, Scopes, Seen, USABLE, Walked};
use crate::escape::Escaped;
use crate::os;
use crate::os::errno::Errno;
use crate::os::signal::{self, Disposition, Purpose};
use crate::os::signal_stack::SignalStack;
use crate::unwind::{Interrupted, RED_ZONE, StackPointer};

/// As much of a stack is copied. Of a deeper one, the part that is nearer to the root is missing.
const MOST_STACK: usize = 512 << 10;

/// How long a thread is waited for. It needs microseconds once it runs, but has to get a processor.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a thread may have the signal blocked because it is about to leave the handler. Longer if
/// it was the last to answer.
const LEAVING: Duration = Duration::from_millis(5);

/// What an asker and the handler share.
struct Shared {
    handshake: Handshake<Room>,
    /// The one that was made before.
    next: *const Shared,
}

struct Room {
    collect: Collect,
    registers: Registers,
    scopes: Scopes,
    /// The handler had no room to do anything.
    had_no_room: bool,
    /// The part of the stack that was copied is at the beginning.
    stack: Box<[u8]>,
    copied: usize,
    /// For [`copy`]. Not on the stack, of which the interrupted thread may have little.
    pieces: Box<[Piece]>,
}

#[derive(Clone, Copy, Default)]
struct Registers {
    ip: usize,
    stack_pointer: usize,
    frame_pointer: usize,
    link: Option<usize>,
}

/// The one in use. Null if there is none.
static SHARED: AtomicPtr<Shared> = AtomicPtr::new(std::ptr::null_mut());

/// All that there are, the last first. They are never freed, and there is more than one only if a
/// handler did not come to its end in time: then it has one for itself until it does.
static ALL: AtomicPtr<Shared> = AtomicPtr::new(std::ptr::null_mut());

/// The process of the asker. 0 if nobody asks.
static ASKER: AtomicU32 = AtomicU32::new(0);

/// What was asked for with [`set_sample_signal`]: a number, or one of these.
static CONFIGURED: AtomicI32 = AtomicI32::new(UNDECIDED);
/// Nobody has said, and the environment has not been looked at.
const UNDECIDED: i32 = -1;
/// The first that is free.
const ANY: i32 = -2;
const OFF: i32 = 0;

/// The signal that was used last.
static IN_USE: AtomicI32 = AtomicI32::new(0);

/// The signals that are used unless the program has chosen one. The default action of each is to be ignored.
///
/// A signal may be on its way when the program replaces itself by `exec`, in any thread: then it comes when the
/// handler is gone, and the new program gets the default. So it may when the program takes the handler
/// away. `SIGCONT` is not one of these, because it has stopped processes go on, with any handler; and `SIGCHLD`
/// is not, because with a handler each child that ends would interrupt system calls.
const HARMLESS: [c_int; 2] = [libc::SIGURG, libc::SIGWINCH];

/// The environment variable for those who do not call [`set_sample_signal`].
const VARIABLE: &str = "TASKTRACE_SAMPLE_SIGNAL";

/// The values of the variable that turn sampling off.
const NO: [&str; 5] = ["0", "none", "off", "false", "no"];

/// Chooses the signal by which a thread is interrupted in the middle of a poll, for the stack of a
/// task that is running. `None` turns that off.
///
/// System calls go on after it, but for those that never do after a signal has been handled, which
/// return `EINTR` (see `man 7 signal`): `poll` and `epoll_wait`, for example, or `recv` on a socket
/// that has a timeout. The standard library repeats most of them.
///
/// Nothing is installed until there is a running task to be shown. If the program handles the signal
/// itself, at that time or later, it is left alone, and there are no stacks of running tasks.
///
/// By default it is the first that the program does not handle of `SIGURG` and `SIGWINCH`. If it handles both,
/// there are no such stacks. The environment variable `TASKTRACE_SAMPLE_SIGNAL` does the same as this
/// function: a name, a number, or `none`. It has no effect on programs with more rights than their users.
///
/// # Signals that end programs
///
/// **Choose one that is ignored where it is not handled: `SIGURG`, `SIGWINCH` or `SIGCHLD`.** The default of
/// the others that can be chosen, such as `SIGPROF`, `SIGUSR1` and the real-time signals, is to end the process, and that is
/// what a signal does that is still on its way when its handler is gone:
///
/// * The program replaces itself by `exec` while it is asked for a dump. The handler is gone, and the signal
///   ends **the new program** at its first instruction.
/// * The program restores the default while it is asked for a dump.
///
/// So such a signal is for programs that do neither. One that another process sends still ends the program, though
/// the handler is there; one that the program sends to a thread of its own does not.
///
/// # Errors
///
/// If others send the signal to end, stop or continue a program, such as `SIGTERM`, if a thread causes it by what it
/// does, such as `SIGSEGV`, or if there is no such signal. What was chosen before stays chosen then. An unusable value of
/// the variable turns sampling off, and a line on the standard error output says so.
///
/// # Room for the handler
///
/// The handler runs on the alternate signal stack of the thread. Each thread gets a larger one when it
/// first polls a task: with as much room as the one that it had before, for handlers of the program, and
/// 48 KiB more and twice what the system writes there for a signal, for ours. It is address space until
/// there is a sample, and given back when the thread ends. Threads that begin to poll when sampling is
/// turned off get none, and cannot be sampled later. If a program gives a thread another alternate stack
/// after that, it must leave twice `AT_MINSIGSTKSZ` and 4 KiB beyond what its own handlers need. The stack that it
/// replaces may be ours, whose memory is gone when the thread has run its destructors: it can be installed again before
/// that, and not in such a destructor.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// # fn main() -> Result<(), tasktrace::SampleSignalError> {
/// tasktrace::set_sample_signal(Some(28))?; // SIGWINCH
/// # tasktrace::set_sample_signal(None)?;
/// # Ok(())
/// # }
/// # #[cfg(not(target_os = "linux"))]
/// # fn main() {}
/// ```
pub fn set_sample_signal(signal: Option<i32>) -> Result<(), SampleSignalError> {
    if let Some(signal) = signal.filter(|signal| !can_be_chosen(*signal)) {
        return Err(SampleSignalError { signal });
    }
    CONFIGURED.store(signal.unwrap_or(OFF), Ordering::Relaxed);
    Ok(())
}

/// Returns `true` unless the signal has a meaning that a handler of ours would take from it.
fn can_be_chosen(signal: c_int) -> bool {
    match signal {
        // Timers send them, and hardly anybody ends a program with them.
        libc::SIGPROF | libc::SIGVTALRM => true,
        libc::SIGCONT => false,
        _ => {
            // Those between are the C library's own.
            let exists = (1..32).contains(&signal)
                || (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal);
            exists && signal::purpose(signal) == Purpose::Tell
        }
    }
}

/// Returns what a value of the environment variable asks for. `Err` if it is unusable.
fn read(value: &str) -> Result<i32, ()> {
    let value = value.trim();
    match signal::number(value) {
        _ if value.is_empty() => Ok(ANY),
        _ if NO.iter().any(|no| no.eq_ignore_ascii_case(value)) => Ok(OFF),
        Some(signal) if can_be_chosen(signal) => Ok(signal),
        _ => Err(()),
    }
}

fn configured() -> i32 {
    let configured = CONFIGURED.load(Ordering::Relaxed);
    if configured != UNDECIDED {
        return configured;
    }
    let value = os::env::text(VARIABLE).unwrap_or_default();
    let read = read(&value);
    let from_environment = read.unwrap_or(OFF);
    // Who calls the function at the same time is right.
    let decided = CONFIGURED.compare_exchange(
        UNDECIDED,
        from_environment,
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
    if decided.is_ok() && read.is_err() {
        os::stderr::write(&format!(
            "tasktrace: {VARIABLE}: `{}` is no signal that tasks can be sampled with, so running tasks have no \
             stacks: use {USABLE}, or `none`\n",
            Escaped(&value)
        ));
    }
    decided.err().unwrap_or(from_environment)
}

/// A signal whose handler is ours.
///
/// The caller is the asker.
fn usable_signal() -> Result<c_int, NoSample> {
    let candidates: Vec<c_int> = match configured() {
        OFF => return Err(NoSample::Unsupported),
        ANY => HARMLESS.to_vec(),
        signal => vec![signal],
    };
    let in_use = IN_USE.load(Ordering::Relaxed);
    let is_ours = |signal: &c_int| {
        Disposition::of(*signal).is_ok_and(|disposition| disposition.is(on_signal))
    };
    if candidates.contains(&in_use) && is_ours(&in_use) {
        return Ok(in_use);
    }
    let found = candidates
        .into_iter()
        .find(|signal| is_ours(signal) || claim(*signal));
    let signal = found.ok_or(NoSample::NoSignal)?;
    IN_USE.store(signal, Ordering::Relaxed);
    Ok(signal)
}

/// Makes the handler ours, if nobody has one.
fn claim(signal: c_int) -> bool {
    if !Disposition::of(signal).is_ok_and(|disposition| disposition.is_default()) {
        return false;
    }
    // On the alternate stack, where there is room: see `os::signal_stack`.
    let ours = Disposition::DEFAULT.with(on_signal);
    match ours.replace(signal) {
        Ok(before) if before.is_default() => true,
        // Somebody was faster, and is to have it.
        Ok(before) => {
            let _ = before.set(signal);
            false
        }
        Err(_) => false,
    }
}

/// Gives the calling thread room for the handler. `None` if there is none to be had, or if no thread is to be
/// interrupted.
pub(super) fn make_room() -> Option<SignalStack> {
    match configured() {
        OFF => None,
        _ => SignalStack::install(),
    }
}

pub(super) fn sample(
    thread: u64,
    has_room: bool,
    collect: Collect,
    deadline: Instant,
) -> Result<Walked, NoSample> {
    let asker = Asker::wait(deadline).ok_or(NoSample::Busy)?;
    let signal = usable_signal()?;
    if !has_room {
        return Err(NoSample::NoRoom);
    }
    let shared = asker.shared();
    let may_leave_handler = match shared.was_answered_by(thread) {
        true => PATIENCE,
        false => LEAVING,
    };
    if blocks(
        thread,
        signal,
        deadline.min(Instant::now() + may_leave_handler),
    ) {
        return Err(NoSample::SignalBlocked);
    }
    // SAFETY: this is the asker, and it leaves no question open, or else takes another room.
    unsafe {
        shared.with_room(|room| room.prepare(collect));
        shared.ask(thread);
    }
    let asked = Instant::now();
    let sent = os::thread::send(thread, signal);
    let is_over = |error: &io::Error| error.raw_os_error() == Some(libc::ESRCH);
    let deadline = deadline.min(asked + PATIENCE);
    if sent.is_ok() {
        wait_for(shared, deadline);
    }
    // SAFETY: likewise.
    match unsafe { shared.give_up() } {
        // SAFETY: likewise, and it was answered.
        Outcome::Answered => unsafe { shared.with_room(Room::walk) },
        Outcome::NotBegun => Err(match sent {
            Ok(()) => NoSample::NoResponse(asked.elapsed()),
            Err(error) if is_over(&error) => NoSample::Over,
            Err(_) => NoSample::Refused,
        }),
        Outcome::Unfinished => {
            asker.abandon();
            Err(NoSample::NoResponse(asked.elapsed()))
        }
    }
}

/// Mostly it takes some microseconds, so the first looks are close to each other.
fn wait_for(shared: &Handshake<Room>, deadline: Instant) {
    let mut pause = Duration::from_micros(10);
    while !shared.is_answered() && Instant::now() < deadline {
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Whether the thread has the signal blocked, until then.
///
/// So it has for a moment when it has answered, until it has left the handler.
fn blocks(thread: u64, signal: c_int, until: Instant) -> bool {
    let mut pause = Duration::from_micros(20);
    while is_blocked(thread, signal) {
        if Instant::now() >= until {
            return true;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
    false
}

/// As far as the system tells.
fn is_blocked(thread: u64, signal: c_int) -> bool {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status"));
    let status = status.unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    blocked.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The right to ask. There is one.
struct Asker(());

impl Asker {
    fn wait(deadline: Instant) -> Option<Self> {
        let process = std::process::id();
        loop {
            match Self::take(0, process) {
                Ok(asker) => return Some(asker),
                // This process was forked while its parent had an asker. What that was about to do
                // will not be done here.
                Err(parent) if parent != process => {
                    if let Ok(asker) = Self::take(parent, process) {
                        SHARED.store(std::ptr::null_mut(), Ordering::Release);
                        ALL.store(std::ptr::null_mut(), Ordering::Release);
                        return Some(asker);
                    }
                }
                Err(_) if Instant::now() >= deadline => return None,
                Err(_) => thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    fn take(from: u32, process: u32) -> Result<Self, u32> {
        let taken = ASKER.compare_exchange(from, process, Ordering::Acquire, Ordering::Relaxed);
        taken.map(|_| Self(()))
    }

    fn shared(&self) -> &'static Handshake<Room> {
        let mut shared: *const Shared = SHARED.load(Ordering::Acquire);
        if shared.is_null() {
            shared = Self::left().unwrap_or_else(Self::make);
            // Release: a handler that sees the pointer sees what is there.
            SHARED.store(shared.cast_mut(), Ordering::Release);
        }
        // SAFETY: it is from a box that is never freed.
        unsafe { &(*shared).handshake }
    }

    /// One that was left to a handler, which has come to its end since.
    fn left() -> Option<*const Shared> {
        let mut next: *const Shared = ALL.load(Ordering::Acquire);
        // SAFETY: null, or from a box that is never freed.
        while let Some(shared) = unsafe { next.as_ref() } {
            if shared.handshake.is_answered() {
                return Some(next);
            }
            next = shared.next;
        }
        None
    }

    fn make() -> *const Shared {
        let shared = Box::into_raw(Box::new(Shared {
            handshake: Handshake::new(Room::new()),
            next: ALL.load(Ordering::Relaxed),
        }));
        ALL.store(shared, Ordering::Release);
        shared
    }

    /// Leaves what is shared to a handler that does not come to its end.
    fn abandon(&self) {
        SHARED.store(std::ptr::null_mut(), Ordering::Release);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        ASKER.store(0, Ordering::Release);
    }
}

impl Room {
    fn new() -> Self {
        Self {
            collect: |_| {},
            registers: Registers::default(),
            scopes: Scopes::with_room(),
            had_no_room: false,
            // Not zeroes, which the system would hand out page by page, in the handler.
            stack: vec![0xa5; MOST_STACK].into(),
            copied: 0,
            pieces: vec![Piece::default(); MOST_STACK / PAGE + 1].into(),
        }
    }

    fn prepare(&mut self, collect: Collect) {
        self.collect = collect;
        self.scopes.0.clear();
        self.had_no_room = false;
        self.copied = 0;
    }

    /// What the handler does.
    fn fill(&mut self, registers: Registers) {
        self.registers = registers;
        (self.collect)(&mut self.scopes);
        // Up to the outermost poll. As far as possible, if one of them is too far away, or not on this
        // stack.
        let start = registers.stack_pointer.saturating_sub(RED_ZONE);
        let distance = |seen: &Seen| seen.mark.distance(StackPointer(start));
        let lengths = self.scopes.0.iter().map(distance);
        let lengths = lengths.map(|length| length.unwrap_or(usize::MAX));
        let length = lengths.max().unwrap_or(0).min(MOST_STACK);
        self.copied = copy(start, length, &mut self.stack, &mut self.pieces);
    }

    /// What the asker makes of it.
    fn walk(&mut self) -> Result<Walked, NoSample> {
        if self.had_no_room {
            return Err(NoSample::NoRoom);
        }
        let scopes: Vec<Seen> = self.scopes.0.drain(..).collect();
        if scopes.is_empty() {
            return Err(NoSample::Over);
        }
        if self.copied == 0 {
            return Err(NoSample::Refused);
        }
        let thread = Interrupted {
            ip: self.registers.ip,
            stack_pointer: self.registers.stack_pointer,
            frame_pointer: self.registers.frame_pointer,
            link: self.registers.link,
            stack: self.stack.get(..self.copied).unwrap_or_default(),
            is_cut: self.copied == MOST_STACK,
        };
        Ok(Walked::new(&thread, scopes))
    }
}

/// As much of its stack must be left for the handler when it is called. It was *measured* to need less than 1 KiB in a
/// release build and 1.6 KiB in a debug build, beside what the system writes before.
const HANDLER_NEEDS: usize = 4 << 10;

/// Returns `true` if a thread of this process sent the signal to one of its threads, as an asker does.
///
/// # Safety
///
/// `info` is what a signal handler was given, or null.
unsafe fn is_own(info: *const libc::siginfo_t) -> bool {
    // SAFETY: the `# Safety` section requires a handler's information or null.
    let Some(info) = (unsafe { info.as_ref() }) else {
        return true;
    };
    // SAFETY: a signal with this code has a sender.
    info.si_code == libc::SI_TKILL && unsafe { info.si_pid() }.unsigned_abs() == std::process::id()
}

/// Calls nothing that is not safe in a signal handler, and does not panic.
extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let _errno = Errno::save();
    // SAFETY: the kernel has handed `info` to this handler.
    if !HARMLESS.contains(&signal) && signal != libc::SIGCHLD && !unsafe { is_own(info) } {
        // The default is what there was before: a handler is installed only then.
        let _ = Disposition::DEFAULT.set(signal);
        signal::raise(signal);
        return;
    }
    // SAFETY: null, or from a box that is never freed.
    let shared = unsafe { SHARED.load(Ordering::Acquire).as_ref() };
    if let (Some(shared), Some(thread)) = (shared, os::thread::id()) {
        // SAFETY: `room_left` requires the context that a signal handler was given. The kernel has handed `context` to
        // this handler, and it stays valid until the handler returns.
        let has_room = unsafe { room_left(context) } >= HANDLER_NEEDS;
        shared.handshake.answer(thread, |room| {
            if !has_room {
                room.had_no_room = true;
                return;
            }
            // SAFETY: `registers` requires the context that a signal handler was given. `answer` calls this closure
            // before it returns, so the context of this handler is still valid.
            if let Some(registers) = unsafe { registers(context) } {
                room.fill(registers);
            }
        });
    }
}

const PAGE: usize = 4096;

/// A part of the memory, as the system call has it: an `iovec`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Piece {
    start: usize,
    length: usize,
}

/// Copies what is mapped of the `length` bytes from `start` on. Returns how many those were.
///
/// Through the system, which tells where there is nothing. Of a piece that is not whole it need not copy
/// anything, so what is left of it is asked for page by page.
fn copy(start: usize, length: usize, to: &mut [u8], pieces: &mut [Piece]) -> usize {
    let length = length.min(to.len());
    let whole = [Piece { start, length }];
    let copied = copy_pieces(&whole, &mut to[..length]);
    let (mut at, end) = (start.saturating_add(copied), start.saturating_add(length));
    let mut used = 0;
    for piece in &mut *pieces {
        if at >= end {
            break;
        }
        let next = (at / PAGE + 1).saturating_mul(PAGE).min(end);
        *piece = Piece {
            start: at,
            length: next - at,
        };
        at = next;
        used += 1;
    }
    match used {
        0 => copied,
        _ => copied + copy_pieces(&pieces[..used], &mut to[copied..length]),
    }
}

fn copy_pieces(pieces: &[Piece], to: &mut [u8]) -> usize {
    let room = libc::iovec {
        iov_base: to.as_mut_ptr().cast(),
        iov_len: to.len(),
    };
    // SAFETY: the system writes at most as many bytes as there are, and reads memory of this process
    // wherever there is any. A piece is laid out as an `iovec`.
    let copied = unsafe {
        libc::process_vm_readv(
            libc::getpid(),
            &raw const room,
            1,
            pieces.as_ptr().cast::<libc::iovec>(),
            pieces.len() as libc::c_ulong,
            0,
        )
    };
    usize::try_from(copied).unwrap_or(0)
}

/// Returns how many bytes are left of the alternate stack, if the caller runs on it, and 0 if the caller runs on
/// another stack, whose size is unknown.
///
/// # Safety
///
/// `context` is null, or the third argument of a signal handler that has not returned yet.
unsafe fn room_left(context: *mut c_void) -> usize {
    let here = 0_u8;
    let here = std::hint::black_box(&raw const here).addr();
    // SAFETY: the `# Safety` section requires a handler's context or null. The kernel lays a context out as `Context`
    // declares it, and nothing writes it before the handler returns.
    let Some(context) = (unsafe { context.cast::<Context>().as_ref() }) else {
        return 0;
    };
    let stack = &context.alternate_stack;
    let left = here.wrapping_sub(stack.ss_sp.addr());
    match stack.ss_flags & libc::SS_DISABLE == 0 && left < stack.ss_size {
        true => left,
        false => 0,
    }
}

/// What a signal handler is given, as far as it matters: the kernel's, so it is the same with every C
/// library.
#[cfg(target_arch = "x86_64")]
#[repr(C)]
struct Context {
    _flags: u64,
    _link: usize,
    alternate_stack: libc::stack_t,
    /// r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip
    registers: [u64; 17],
}

/// # Safety
///
/// `context` is null, or the third argument of a signal handler that has not returned yet.
#[cfg(target_arch = "x86_64")]
unsafe fn registers(context: *mut c_void) -> Option<Registers> {
    // SAFETY: the `# Safety` section requires a handler's context or null. The kernel lays it out as `Context` declares.
    let context = unsafe { context.cast::<Context>().as_ref() }?;
    let [.., rbp, _rbx, _rdx, _rax, _rcx, rsp, rip] = context.registers;
    Some(Registers {
        ip: rip as usize,
        stack_pointer: rsp as usize,
        frame_pointer: rbp as usize,
        link: None,
    })
}

/// What a signal handler is given, as far as it matters: the kernel's, so it is the same with every C
/// library.
#[cfg(target_arch = "aarch64")]
#[repr(C)]
struct Context {
    _flags: u64,
    _link: usize,
    alternate_stack: libc::stack_t,
    _mask: [u8; 128],
    machine: Machine,
}

#[cfg(target_arch = "aarch64")]
#[repr(C, align(16))]
struct Machine {
    _fault: u64,
    registers: [u64; 31],
    stack_pointer: u64,
    ip: u64,
}

/// # Safety
///
/// `context` is null, or the third argument of a signal handler that has not returned yet.
#[cfg(target_arch = "aarch64")]
unsafe fn registers(context: *mut c_void) -> Option<Registers> {
    // SAFETY: the `# Safety` section requires a handler's context or null. The kernel lays it out as `Context` declares.
    let machine = &unsafe { context.cast::<Context>().as_ref() }?.machine;
    let [.., frame_pointer, link] = machine.registers;
    Some(Registers {
        ip: machine.ip as usize,
        stack_pointer: machine.stack_pointer as usize,
        frame_pointer: frame_pointer as usize,
        link: Some(link as usize),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::mem::MaybeUninit;
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::unwind::Mark;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Some pages of memory, of which each can be taken away.
    struct Pages(*mut c_void, usize);

    impl Pages {
        fn new(count: usize) -> Self {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let length = count * PAGE;
            // SAFETY: it is new memory.
            let start =
                unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
            assert_ne!(start, libc::MAP_FAILED);
            // SAFETY: it is as long as that.
            unsafe { start.cast::<u8>().write_bytes(7, length) };
            Self(start, length)
        }

        fn start(&self) -> usize {
            self.0.expose_provenance()
        }

        /// Nobody can read it any more.
        fn close(&self, page: usize) {
            let page = self.0.cast::<u8>().wrapping_add(page * PAGE);
            // SAFETY: nothing but the system reads it.
            let result = unsafe { libc::mprotect(page.cast(), PAGE, libc::PROT_NONE) };
            assert_eq!(result, 0);
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: nobody uses it any more.
            unsafe { libc::munmap(self.0, self.1) };
        }
    }

    #[test]
    fn as_much_is_copied_as_there_is() {
        let pages = Pages::new(4);
        let start = pages.start();
        let mut to = vec![0; 5 * PAGE];
        let mut pieces = vec![Piece::default(); 6];
        let mut copy = |start, length| {
            to.fill(0);
            let copied = super::copy(start, length, &mut to, &mut pieces);
            assert!(to[..copied].iter().all(|byte| *byte == 7));
            assert!(to[copied..].iter().all(|byte| *byte == 0));
            copied
        };
        assert_eq!(copy(start, 4 * PAGE), 4 * PAGE);
        assert_eq!(copy(start + 100, 2 * PAGE), 2 * PAGE);
        assert_eq!(copy(start + 100, 8), 8);
        assert_eq!(copy(start + PAGE - 1, 2), 2);
        assert_eq!(copy(start, 0), 0);

        pages.close(2);
        assert_eq!(copy(start, 4 * PAGE), 2 * PAGE);
        assert_eq!(copy(start + 100, 4 * PAGE), 2 * PAGE - 100);
        assert_eq!(copy(start + 2 * PAGE - 1, 2), 1);
        assert_eq!(copy(start + 2 * PAGE, PAGE), 0);
        assert_eq!(copy(start + 3 * PAGE, PAGE), PAGE);

        assert_eq!(copy(0, PAGE), 0);
        assert_eq!(copy(usize::MAX - 10, PAGE), 0);
        // More than there is room for.
        let large = Pages::new(8);
        assert_eq!(copy(large.start(), 8 * PAGE), 5 * PAGE);
        assert_eq!(copy(large.start() + 1, 8 * PAGE), 5 * PAGE);
    }

    #[test]
    fn what_a_thread_blocks() {
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            // SAFETY: it makes a set, and that is the mask of this thread.
            unsafe {
                let mut set = MaybeUninit::uninit();
                libc::sigemptyset(set.as_mut_ptr());
                libc::sigaddset(set.as_mut_ptr(), libc::SIGPROF);
                libc::sigaddset(set.as_mut_ptr(), libc::SIGRTMAX());
                libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            }
            tell.send(os::thread::id().unwrap()).unwrap();
            let _ = ended.recv();
        });
        let other = told.recv().unwrap();
        assert!(is_blocked(other, libc::SIGPROF) && is_blocked(other, libc::SIGRTMAX()));
        assert!(!is_blocked(other, libc::SIGURG) && !is_blocked(other, libc::SIGRTMAX() - 1));
        assert!(!is_blocked(os::thread::id().unwrap(), libc::SIGPROF));
        drop(end);
        thread.join().unwrap();
        // There is none of that number.
        assert!(!is_blocked(u64::MAX, libc::SIGPROF));
    }

    #[test]
    fn threads_that_poll_nothing() {
        let collect: Collect = |_| {};
        let _room = make_room().unwrap();
        let own = os::thread::id().unwrap();
        assert_eq!(
            sample(own, true, collect, soon()).err(),
            Some(NoSample::Over)
        );
        let no_thread = i32::MAX as u64;
        assert_eq!(
            sample(no_thread, true, collect, soon()).err(),
            Some(NoSample::Over)
        );
    }

    #[test]
    fn there_is_one_asker() {
        let asker = Asker::wait(soon()).unwrap();
        let shared = asker.shared();
        assert!(Asker::wait(Instant::now()).is_none());
        // As it is after a fork: it is the parent that has one.
        ASKER.store(std::process::id() + 1, Ordering::Release);
        std::mem::forget(asker);
        let child = Asker::wait(soon()).unwrap();
        // What the parent has is left alone.
        assert!(SHARED.load(Ordering::Acquire).is_null());
        assert!(!std::ptr::eq(child.shared(), shared));
    }

    #[test]
    fn a_room_comes_back_when_the_handler_is_done() {
        const THREAD: u64 = 7;

        let asker = Asker::wait(soon()).unwrap();
        let first = asker.shared();
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        // SAFETY: this is the asker.
        unsafe { first.ask(THREAD) };
        let handler = thread::spawn(move || {
            first.answer(THREAD, |_| {
                begin.send(()).unwrap();
                let _ = ended.recv();
            });
        });
        begun.recv().unwrap();
        // SAFETY: likewise.
        assert_eq!(unsafe { first.give_up() }, Outcome::Unfinished);
        asker.abandon();
        let second = asker.shared();
        assert!(!std::ptr::eq(first, second));
        assert!(Asker::left().is_none());

        drop(end);
        handler.join().unwrap();
        asker.abandon();
        assert!(std::ptr::eq(first, asker.shared()));
    }

    thread_local! {
        static MARK: Cell<Option<Mark>> = const { Cell::new(None) };
    }

    /// As if there were one task, at the mark.
    fn collect(scopes: &mut Scopes) {
        scopes.push(true, || {
            Some(Seen {
                mark: MARK.get()?,
                task: 1,
                key: Some(0),
                identity: None,
                own_waker: false,
                is_also_frame: false,
            })
        });
    }

    #[inline(never)]
    fn descend(depth: usize, work: &mut dyn FnMut()) {
        let locals = std::hint::black_box([depth; 16]);
        match depth {
            0 => work(),
            _ => descend(depth - 1, work),
        }
        std::hint::black_box(locals);
    }

    #[inline(never)]
    fn with_stack(bytes: usize, work: &mut dyn FnMut()) {
        let top = Mark::here();
        MARK.set(Some(top));
        let mut depth = 0;
        // As many calls as it takes.
        loop {
            let mut used = 0;
            descend(depth, &mut || {
                used = top.distance_from(Mark::here());
                if used >= bytes {
                    work();
                }
            });
            if used >= bytes {
                break;
            }
            depth += 1 + depth / 8;
        }
    }

    /// The alternate stack of this thread, from its lowest address on.
    fn alternate_stack() -> &'static mut [MaybeUninit<u8>] {
        let mut stack = MaybeUninit::<libc::stack_t>::zeroed();
        // SAFETY: without a new stack, `sigaltstack` only writes the current one to `stack`, which is valid for writes
        // and whose zeroed bytes are a valid value. This thread has an alternate stack (`make_room`), so the address and
        // the size are those of a mapping. The test uses the slice only while no handler runs on that stack.
        unsafe {
            libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr());
            let stack = stack.assume_init();
            std::slice::from_raw_parts_mut(stack.ss_sp.cast(), stack.ss_size)
        }
    }

    /// `cargo test -p tasktrace --lib how_much_stack -- --nocapture`, with `--release` and without, measures.
    #[test]
    fn how_much_stack_the_handler_needs() {
        const FREE: u8 = 0x5a;

        static TOP: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

        /// As deep as the first call of ours.
        extern "C" fn entry(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
            let here = 0_u8;
            TOP.store(
                std::hint::black_box((&raw const here).cast_mut()),
                Ordering::Relaxed,
            );
        }

        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let _room = make_room().unwrap();
            let signal = libc::SIGUSR2;
            let before = Disposition::DEFAULT.with(entry).replace(signal).unwrap();
            signal::raise(signal);
            before.set(signal).unwrap();
            alternate_stack().fill(MaybeUninit::new(FREE));
            let mut stack = [0_u8; 64];
            with_stack(100, &mut || {
                tell.send(os::thread::id().unwrap()).unwrap();
                let _ = ended.recv();
            });
            std::hint::black_box(&mut stack);
            let used = alternate_stack();
            let top = TOP.load(Ordering::Relaxed).addr() - used.as_ptr().addr();
            let written = used.len() - top;
            // SAFETY: `fill` above wrote each byte of the alternate stack, and handlers that ran since only overwrote
            // some of them.
            let is_free = |byte: &&mut MaybeUninit<u8>| unsafe { byte.assume_init() } == FREE;
            let free = used.iter_mut().take_while(is_free).count();
            (written, top - free)
        });
        let thread_id = told.recv().unwrap();
        for _ in 0..10 {
            match sample(thread_id, true, collect, soon()) {
                Ok(walked) => assert_eq!(walked.tasks.len(), 1),
                Err(error) => assert!(matches!(error, NoSample::NoResponse(_)), "{error}"),
            }
        }
        drop(end);
        let (written, needed) = thread.join().unwrap();
        println!("the system writes {written} bytes, and then the handler needs {needed}");
        assert!(needed < HANDLER_NEEDS, "{needed}");
    }

    /// So long this thread has been running.
    fn cpu_time() -> Duration {
        let mut time = MaybeUninit::<libc::timespec>::zeroed();
        // SAFETY: it writes the time to its place, which was zeroed before.
        let time = unsafe {
            libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr());
            time.assume_init()
        };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// `cargo test --release -p tasktrace --lib how_long_it_takes -- --nocapture` measures; a debug build
    /// tries it out.
    #[test]
    fn how_long_it_takes() {
        const TIMES: usize = if cfg!(debug_assertions) { 20 } else { 2000 };

        fn median(times: &mut [Duration]) -> Duration {
            times.sort_unstable();
            times[times.len() / 2]
        }

        for kib in [4, 64, 256, 500] {
            let (tell, told) = mpsc::channel();
            let is_over = Arc::new(AtomicBool::new(false));
            let thread = thread::spawn({
                let is_over = Arc::clone(&is_over);
                move || {
                    let _room = make_room().unwrap();
                    let mut gaps = Vec::with_capacity(1 << 20);
                    with_stack(kib << 10, &mut || {
                        tell.send(os::thread::id().unwrap()).unwrap();
                        let mut last = cpu_time();
                        while !is_over.load(Ordering::Relaxed) {
                            let now = cpu_time();
                            if now - last > Duration::from_micros(2) && gaps.len() < 1 << 20 {
                                gaps.push(now - last);
                            }
                            last = now;
                        }
                    });
                    gaps
                }
            });
            let thread_id = told.recv().unwrap();
            let take = || {
                let start = Instant::now();
                match sample(thread_id, true, collect, soon()) {
                    Ok(walked) => assert_eq!(walked.tasks.len(), 1),
                    // It had no processor.
                    Err(error) => assert!(matches!(error, NoSample::NoResponse(_)), "{error}"),
                }
                start.elapsed()
            };
            let first = take();
            let mut warm: Vec<_> = (0..TIMES).map(|_| take()).collect();
            let cold = || {
                crate::unwind::forget();
                take()
            };
            let mut cold: Vec<_> = (0..TIMES).map(|_| cold()).collect();
            is_over.store(true, Ordering::Relaxed);
            let mut gaps = thread.join().unwrap();
            gaps.sort_unstable();
            // One each time. What else delays the thread takes less, or is rare.
            let mut inside = gaps.split_off(gaps.len().saturating_sub(2 * TIMES));
            println!(
                "{kib} KiB: the thread is stopped for {:.1?}; the asker takes {first:.1?} at first, \
                 {:.1?} with what it has learnt, {:.1?} without",
                median(&mut inside),
                median(&mut warm),
                median(&mut cold),
            );
        }
    }
}
