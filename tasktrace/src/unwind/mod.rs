//! Walking the stack of the current thread, from the caller up to a known address.
//!
//! One place picks the backend: [a walk over the unwind tables](fast) on Linux x86_64 and aarch64,
//! the platform's own unwinder through the `backtrace` crate elsewhere, and whenever the first did
//! not arrive at the address it was sent to. With `--cfg tasktrace_portable` it is always the
//! second, which is how that one is tested. Nothing here knows of tasks, wakers or symbols.

#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(tasktrace_portable)
    )),
    path = "no_fast.rs"
)]
mod fast;
mod portable;
mod way;

use std::sync::{Arc, PoisonError};

pub(crate) use fast::Course;
pub(crate) use way::{Step, Way};

use crate::sync::StaticMutex as Mutex;

/// Where a caller will continue: the address that a call pushed.
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

/// The stack pointer of a function on the stack of this thread: the end of a walk.
///
/// Not the address of a local variable, because not all of them are on the stack: with
/// AddressSanitizer they are elsewhere. The function itself is not part of the walk, but those that
/// it called are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(usize);

impl Mark {
    /// Above everything: walks to there come as far as they can.
    pub(crate) const NOWHERE: Self = Self(usize::MAX);

    /// Of the function into which this is inlined.
    #[inline(always)]
    pub(crate) fn here() -> Self {
        Self(fast::stack_pointer())
    }

    /// Whether `frame` is that of the marked function, or of one that it has called.
    pub(crate) fn is_above(self, frame: PhysicalFrame) -> bool {
        frame.sp.0 <= self.0
    }

    /// How far the other is below.
    #[cfg(test)]
    pub(crate) fn distance_from(self, other: Self) -> usize {
        self.0.saturating_sub(other.0)
    }

    /// How far the mark is above the stack pointer, where it is.
    pub(crate) fn distance(self, sp: StackPointer) -> Option<usize> {
        self.0.checked_sub(sp.0)
    }
}

/// So much below the stack pointer belongs to a function as well, and is left alone by signals. There
/// functions that call no others save registers, and others have just taken them from there.
pub(crate) const RED_ZONE: usize = if cfg!(target_arch = "x86_64") { 128 } else { 0 };

/// A thread that was interrupted: its registers, and a copy of the part of its stack that is walked.
pub(crate) struct Interrupted<'a> {
    pub(crate) ip: usize,
    pub(crate) stack_pointer: usize,
    pub(crate) frame_pointer: usize,
    /// The return address, where calls leave it in a register.
    pub(crate) link: Option<usize>,
    /// From [`RED_ZONE`] below the stack pointer on.
    pub(crate) stack: &'a [u8],
    /// Whether there is more of it, for which there was no room.
    pub(crate) is_cut: bool,
}

impl Interrupted<'_> {
    /// Where a walk ends that is to come as far as these marks. Walks to what was not copied come as
    /// far as they can.
    pub(crate) fn outermost(&self, marks: impl Iterator<Item = Mark>) -> Mark {
        let is_copied = |mark: Mark| (self.start()..=self.end()).contains(&mark.0);
        marks
            .map(|mark| if is_copied(mark) { mark } else { Mark::NOWHERE })
            .max()
            .unwrap_or(Mark::NOWHERE)
    }

    /// Where the part of the stack begins.
    fn start(&self) -> usize {
        self.stack_pointer.saturating_sub(RED_ZONE)
    }

    fn end(&self) -> usize {
        self.start().saturating_add(self.stack.len())
    }
}

/// No marked function has a larger frame, so a walk that ends further from the mark has lost its
/// way.
pub(crate) const LARGEST_MARKED_FRAME: usize = 4096;

/// How far a walk came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Up to the mark: the frames are all there are.
    Mark,
    /// The limit on the number of frames was reached first: those nearest to the root are missing.
    Limit,
    /// The stack has no frames but those, and the marked function is not among them. Told of threads
    /// that were interrupted only.
    End,
    /// The stack could not be followed up to the mark.
    Lost,
}

/// Where a walk has led.
pub(crate) enum Walked {
    /// The same way as one before, past the same marks.
    Known(Arc<Way>),
    /// So far. With the second it can be known again: see [`Walker::keep`].
    New(Reach, Option<Course>),
}

/// Walks stacks; keeps what makes the next walk faster.
pub(crate) struct Walker {
    fast: Box<fast::FastWalker>,
    buffer: Vec<PhysicalFrame>,
    /// Who had it last.
    thread: usize,
}

/// Walkers that wait for the next capture. A walker is taken for the length of a capture, so the
/// lock is held for a push or a pop only, and there are never more than there are captures at once.
static IDLE: Mutex<[Option<Walker>; MOST_IDLE]> = Mutex::new([const { None }; MOST_IDLE]);
const MOST_IDLE: usize = 16;

/// How many frames there is room for in the buffer of a walker that waits: 64 KiB.
const LARGEST_IDLE_BUFFER: usize = 1 << 12;

impl Walker {
    pub(crate) fn acquire() -> Self {
        let thread = this_thread();
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        // What a walker knows is mostly of the stack of one thread.
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

    /// Room for the frames of a walk, from the walks before.
    pub(crate) fn take_buffer(&mut self) -> Vec<PhysicalFrame> {
        std::mem::take(&mut self.buffer)
    }

    /// Takes back the buffer as well.
    pub(crate) fn release(mut self, mut buffer: Vec<PhysicalFrame>) {
        buffer.clear();
        buffer.shrink_to(LARGEST_IDLE_BUFFER);
        self.buffer = buffer;
        let mut walker = Some(self);
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = idle.iter_mut().find(|place| place.is_none()) {
            std::mem::swap(place, &mut walker);
        }
        drop(idle);
        // If there are enough, it goes.
        drop(walker);
    }

    /// Replaces the content of `frames` by those from where a thread was interrupted up to `mark`, or
    /// as far as its stack can be followed, leaf first. So there is at least the leaf, unless that is
    /// the marked function itself.
    pub(crate) fn walk_interrupted(
        &mut self,
        thread: &Interrupted<'_>,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        frames.clear();
        self.fast.walk_interrupted(thread, mark, limit, frames)
    }

    /// As `walk`, past these marks, from the outermost on. If it leads the same way as one before, there are no
    /// frames.
    ///
    /// `kind` is the same for walks that are likely to be: one is known only among those of its kind.
    #[inline(never)]
    pub(crate) fn walk_or_know(
        &mut self,
        mark: Mark,
        marks: impl Iterator<Item = Mark> + Clone,
        kind: usize,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Walked {
        frames.clear();
        match self.fast.walk_or_know(mark, marks, kind, limit, frames) {
            Walked::New(Reach::Lost, _) => Walked::New(portable::walk(mark, limit, frames), None),
            walked => walked,
        }
    }

    /// Has the walk that was just made known, as this way past these marks.
    pub(crate) fn keep(
        &mut self,
        course: Course,
        marks: impl Iterator<Item = Mark>,
        way: &Arc<Way>,
    ) {
        self.fast.keep(course, marks, way);
    }

    /// Replaces the content of `frames` by those from the caller up to `mark`, leaf first.
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

/// Whether the function to which `address` returns starts there, as far as that is known without its name.
pub(crate) fn is_in_function(address: ReturnAddress, start: usize) -> bool {
    fast::is_in_function(address, start)
}

/// An address that no other living thread has.
pub(crate) fn this_thread() -> usize {
    thread_local!(static MARKER: u8 = const { 0 });
    MARKER
        .try_with(|marker| std::ptr::from_ref(marker).addr())
        .unwrap_or(0)
}

/// Has the next walk find everything out anew.
#[cfg(test)]
pub(crate) fn forget() {
    for place in &mut *IDLE.lock().unwrap_or_else(PoisonError::into_inner) {
        *place = None;
    }
}

#[cfg(test)]
mod tests;
