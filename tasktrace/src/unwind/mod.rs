//! Walks the stack of the current thread, from the caller up to a known address.
//!
//! This module picks the backend. On Linux, on x86_64 and aarch64, [`fast`] walks by the unwind tables. Elsewhere, and
//! whenever that walk does not reach its end, [`portable`] uses the platform's unwinder through the `backtrace` crate.
//! With `--cfg tasktrace_portable` all walks use the latter, for its tests. The copied stack of an interrupted thread
//! is walked by `fast`, by `image` on Windows, or by `frame_pointers` on macOS. This module knows no tasks, wakers or
//! symbols.

mod call_path;
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(tasktrace_portable)
    )),
    path = "no_fast.rs"
)]
mod fast;
#[cfg(any(
    all(target_os = "macos", target_arch = "aarch64"),
    all(test, target_pointer_width = "64")
))]
mod frame_pointers;
#[cfg(any(
    all(windows, target_arch = "x86_64"),
    all(test, target_pointer_width = "64")
))]
mod image;
mod portable;

use std::sync::{Arc, PoisonError};

pub(crate) use call_path::{CallPath, Step, fibonacci_hash};
pub(crate) use fast::WalkInputs;
#[cfg(all(target_os = "macos", target_arch = "aarch64", not(tasktrace_loom)))]
pub(crate) use frame_pointers::has_set_frame_pointer;

use crate::sync::StaticMutex as Mutex;

/// The address at which a caller will continue: the address that a call pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReturnAddress(pub(crate) usize);

/// The stack pointer of a frame while it is calling the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StackPointer(pub(crate) usize);

/// One function on the stack (with everything inlined into it).
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhysicalFrame {
    pub(crate) ip: ReturnAddress,
    pub(crate) sp: StackPointer,
}

/// The stack pointer of a function on the stack of this thread, which is the end of a walk.
///
/// A mark is not the address of a local variable, because AddressSanitizer keeps local variables elsewhere. The walk
/// includes the functions that the marked function has called, and not the marked function itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(usize);

impl Mark {
    /// A mark above all stacks: a walk to it goes as far as it can.
    pub(crate) const NOWHERE: Self = Self(usize::MAX);

    /// Returns the mark of the function into which this is inlined.
    #[inline(always)]
    pub(crate) fn here() -> Self {
        Self(fast::stack_pointer())
    }

    /// Returns `true` if `frame` belongs to the marked function or to a function that it has called.
    pub(crate) fn is_above(self, frame: PhysicalFrame) -> bool {
        frame.sp.0 <= self.0
    }

    /// Returns the distance from the other mark up to this one, or 0 if the other is above.
    #[cfg(all(
        test,
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    pub(crate) fn distance_from(self, other: Self) -> usize {
        self.0.saturating_sub(other.0)
    }

    /// Returns how far the mark is above the stack pointer, or `None` if it is below.
    pub(crate) fn distance(self, sp: StackPointer) -> Option<usize> {
        self.0.checked_sub(sp.0)
    }
}

/// The number of bytes below the stack pointer that also belong to a function, and that signal handlers do not
/// overwrite. Leaf functions save registers there, and other functions have just restored registers from there.
pub(crate) const RED_ZONE: usize = match cfg!(all(target_arch = "x86_64", not(windows))) {
    true => 128,
    false => 0,
};

/// The state of an interrupted thread: its registers, and a copy of the part of its stack that is walked.
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "no thread is interrupted there")
)]
pub(crate) struct InterruptedThread<'a> {
    pub(crate) ip: usize,
    pub(crate) stack_pointer: usize,
    pub(crate) frame_pointer: usize,
    /// The link register, on processors whose calls leave the return address in a register. On macOS, `None` unless the
    /// innermost function is known not to have saved that address.
    pub(crate) link: Option<usize>,
    /// The general registers, by their numbers. Only Windows needs them, where a function may use any of them as its
    /// frame pointer, and they are empty on other systems.
    #[cfg_attr(
        target_os = "linux",
        allow(dead_code, reason = "the walker of Linux needs no other registers")
    )]
    pub(crate) general: &'a [usize],
    /// `true` if the thread uses fibers, so the end of this stack may not be the end of the thread's own stack.
    #[cfg_attr(target_os = "linux", allow(dead_code, reason = "Windows has fibers"))]
    pub(crate) is_fiber: bool,
    /// The copy, which begins [`RED_ZONE`] bytes below the stack pointer.
    pub(crate) stack: &'a [u8],
    /// `true` if the copy was cut because the stack is larger than the buffer.
    pub(crate) is_cut: bool,
}

#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "not every system interrupts threads")
)]
impl InterruptedThread<'_> {
    /// Returns the mark up to which a walk reaches all of these marks. Returns [`Mark::NOWHERE`], to which a walk goes
    /// as far as it can, if one of these marks was not copied.
    pub(crate) fn outermost(&self, marks: impl Iterator<Item = Mark>) -> Mark {
        let is_copied = |mark: Mark| (self.start()..=self.end()).contains(&mark.0);
        marks
            .map(|mark| if is_copied(mark) { mark } else { Mark::NOWHERE })
            .max()
            .unwrap_or(Mark::NOWHERE)
    }

    /// Returns the address at which the copied part of the stack begins.
    fn start(&self) -> usize {
        self.stack_pointer.saturating_sub(RED_ZONE)
    }

    fn end(&self) -> usize {
        self.start().saturating_add(self.stack.len())
    }

    /// Returns the word that was at this address, if it was copied.
    fn read(&self, address: usize) -> Option<usize> {
        let at = address.checked_sub(self.start())?;
        let word = self.stack.get(at..at.checked_add(size_of::<usize>())?)?;
        Some(usize::from_ne_bytes(word.try_into().ok()?))
    }

    /// Returns `true` if the address is in the part of the stack that was cut.
    fn is_beyond(&self, address: usize) -> bool {
        // An address that is further away belongs to another stack.
        let is_near = |past: usize| past < self.stack.len();
        self.is_cut && address.checked_sub(self.end()).is_some_and(is_near)
    }
}

/// The largest frame of a marked function. If the last frame of a walk is further from the mark, the walk is lost.
pub(crate) const MAX_MARKED_FRAME: usize = 4096;

/// The point that a walk has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The walk reached the mark: no frame is missing.
    Mark,
    /// The walk reached the limit on the number of frames. The frames nearest to the root are missing.
    Limit,
    /// The walk reached the end of the stack, which does not have the marked function. Only walks of interrupted
    /// threads return this.
    #[cfg_attr(
        not(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        )),
        allow(dead_code, reason = "no thread is interrupted there")
    )]
    End,
    /// The stack could not be followed up to the mark.
    Lost,
}

/// The result of a walk.
pub(crate) enum WalkResult {
    /// The call path of an earlier walk with the same inputs and the same marks.
    #[cfg_attr(
        not(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        )),
        allow(dead_code, reason = "no walk is cached there")
    )]
    Known(Arc<CallPath>),
    /// The end of a new walk. If the inputs of the walk are known, [`Walker::keep`] caches its call path.
    New(Reach, Option<WalkInputs>),
}

/// A stack walker, which caches unwind rules and call paths for later walks.
pub(crate) struct Walker {
    fast: Box<fast::FastWalker>,
    buffer: Vec<PhysicalFrame>,
    /// The last thread that used the walker: see [`this_thread`].
    thread: usize,
}

/// The walkers that wait for the next capture. A capture owns its walker until it ends, so the lock is held only for a
/// push or a pop, and there are at most as many walkers as captures at the same time.
static IDLE: Mutex<[Option<Walker>; MAX_IDLE]> = Mutex::new([const { None }; MAX_IDLE]);
const MAX_IDLE: usize = 16;

/// The largest capacity of the buffer of an idle walker, in frames: 64 KiB.
const MAX_IDLE_BUFFER: usize = 1 << 12;

impl Walker {
    /// Returns an idle walker, preferably the one that this thread used last, or a new one.
    pub(crate) fn acquire() -> Self {
        let thread = this_thread();
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        // The caches of a walker are mostly about the stack of one thread.
        let is_own = |walker: &Option<Self>| walker.as_ref().is_some_and(|it| it.thread == thread);
        let found = idle.iter().position(is_own);
        let found = found.or_else(|| idle.iter().position(Option::is_some));
        let known = found.and_then(|found| idle[found].take());
        drop(idle);
        let mut walker = known.unwrap_or_else(|| Self {
            fast: Box::default(),
            buffer: Vec::new(),
            thread,
        });
        walker.thread = thread;
        walker.fast.refresh();
        walker
    }

    /// Takes the buffer of earlier walks, for the frames of the next walk.
    pub(crate) fn take_buffer(&mut self) -> Vec<PhysicalFrame> {
        std::mem::take(&mut self.buffer)
    }

    /// Makes the walker idle, with this buffer.
    pub(crate) fn release(mut self, mut buffer: Vec<PhysicalFrame>) {
        buffer.clear();
        buffer.shrink_to(MAX_IDLE_BUFFER);
        self.buffer = buffer;
        let mut walker = Some(self);
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = idle.iter_mut().find(|place| place.is_none()) {
            std::mem::swap(place, &mut walker);
        }
        drop(idle);
        // If there was no free place, the walker is dropped after the lock is released.
        drop(walker);
    }

    /// Replaces the content of `frames` with the frames of an interrupted thread up to `mark`, or as far as its stack
    /// can be followed, leaf first. There is at least the leaf, unless the leaf is the marked function.
    pub(crate) fn walk_interrupted(
        &mut self,
        thread: &InterruptedThread<'_>,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        frames.clear();
        self.fast.walk_interrupted(thread, mark, limit, frames)
    }

    /// Walks from the caller up to `mark`, past `marks`, which are ordered outermost first. If the call path of such a
    /// walk is cached, returns that and leaves `frames` empty. Otherwise replaces the content of `frames`, leaf first.
    ///
    /// A cached call path is found only by the `group` with which it was added. Walks that are likely to be equal
    /// should have the same group.
    #[inline(never)]
    pub(crate) fn walk_or_reuse(
        &mut self,
        mark: Mark,
        marks: impl Iterator<Item = Mark> + Clone,
        group: usize,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> WalkResult {
        frames.clear();
        match self.fast.walk_or_reuse(mark, marks, group, limit, frames) {
            WalkResult::New(Reach::Lost, _) => {
                WalkResult::New(portable::walk(mark, limit, frames), None)
            }
            result => result,
        }
    }

    /// Caches the call path of the last walk, which passed these marks.
    pub(crate) fn keep(
        &mut self,
        inputs: WalkInputs,
        marks: impl Iterator<Item = Mark>,
        path: &Arc<CallPath>,
    ) {
        self.fast.keep(inputs, marks, path);
    }

    /// Replaces the content of `frames` with the frames from the caller up to `mark`, leaf first.
    #[cfg(test)]
    #[inline(never)]
    pub(crate) fn walk(
        &mut self,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        frames.clear();
        match self.fast.walk(mark, limit, frames) {
            Reach::Lost => portable::walk(mark, limit, frames),
            reach => reach,
        }
    }
}

/// Returns `true` if the unwind tables say that the function to which `address` returns starts at `start`.
pub(crate) fn is_in_function(address: ReturnAddress, start: usize) -> bool {
    fast::is_in_function(address, start)
}

/// Returns an address that identifies the calling thread among the living threads.
pub(crate) fn this_thread() -> usize {
    thread_local!(static MARKER: u8 = const { 0 });
    MARKER
        .try_with(|marker| std::ptr::from_ref(marker).addr())
        .unwrap_or(0)
}

/// Drops all idle walkers with their caches, so that the next walk starts without.
#[cfg(all(
    test,
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) fn forget() {
    for place in &mut *IDLE.lock().unwrap_or_else(PoisonError::into_inner) {
        *place = None;
    }
}

#[cfg(test)]
mod tests;
