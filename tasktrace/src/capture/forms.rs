//! The forms that a thread has seen last: a capture that is like one of them is told of by its times alone.

use std::cell::Cell;
use std::sync::Arc;

use super::draft::Draft;
use super::form::{Alive, Form, LiveFrame, RawTrace};
use super::live::{Live, Marker};
use super::stack::Stack;
use crate::origin::Identity;

/// Which of the live frames a key is that of, whatever the keys are.
#[derive(Clone, Copy, Debug)]
enum Link {
    Task,
    Frame(u32),
}

impl Link {
    fn of(key: u64, frames: &[LiveFrame]) -> Option<Self> {
        if key == 0 {
            return Some(Self::Task);
        }
        let frame = frames.iter().position(|frame| frame.key == key)?;
        Some(Self::Frame(u32::try_from(frame).ok()?))
    }

    /// `live` are as many as the frames that it is of.
    #[inline]
    fn is_to(self, key: u64, live: &(impl Alive + ?Sized)) -> bool {
        match self {
            Self::Task => key == 0,
            Self::Frame(at) => live.key(at as usize) == key,
        }
    }
}

/// A form that others may have.
struct Shared {
    form: Arc<Form>,
    /// The live frame, or the task, that each marker stands for.
    markers: Box<[Link]>,
    /// The parent of each live frame.
    parents: Box<[Link]>,
}

/// More frames than this are hardly ever the same again.
const MOST_FRAMES: usize = 128;

impl Shared {
    /// `None` if there is more to it than can be told of others.
    fn new(form: &Arc<Form>) -> Option<Self> {
        let frames = &form.frames;
        let markers = &form.markers;
        if frames.len().max(markers.len()).max(form.stacks.len()) > MOST_FRAMES {
            return None;
        }
        let identities = markers.iter().map(|marker| &marker.identity);
        let mut identities = identities.chain(frames.iter().map(|frame| &frame.identity));
        if !form.polls.is_empty() || !identities.all(Identity::is_plain) {
            return None;
        }
        let links = markers.iter().map(|marker| {
            let key = marker.key.filter(|_| marker.task == form.task)?;
            Link::of(key, frames)
        });
        let parents = frames.iter().map(|frame| Link::of(frame.parent, frames));
        Some(Self {
            markers: links.collect::<Option<_>>()?,
            parents: parents.collect::<Option<_>>()?,
            form: Arc::clone(form),
        })
    }

    /// Returns `true` if a capture of these has this form.
    #[inline]
    fn is_of(&self, draft: &Draft, task: &Marker, live: &(impl Alive + ?Sized)) -> bool {
        let Form {
            stacks,
            markers,
            frames,
            dropped,
            elsewhere,
            // Empty.
            polls: _,
            held: _,
            task: _,
        } = &*self.form;
        let Draft { form: other, first } = draft;
        let is_stack = |(one, other): (&Stack, &Stack)| one.is_same(other);
        let is_marker = |((one, link), other): ((&Marker, &Link), &Marker)| {
            other.key.is_some_and(|key| link.is_to(key, live))
                && other.task == task.task
                && one.own_waker == other.own_waker
                && one.identity.is_same_and_plain(&other.identity)
        };
        let is_frame = |(at, (one, link)): (usize, (&LiveFrame, &Link))| {
            live.is(at, one) && link.is_to(live.parent(at), live)
        };
        frames.len() == live.count()
            && stacks.len() == other.stacks.len()
            && other.polls.is_empty()
            && (*dropped, *elsewhere) == (other.dropped, other.elsewhere)
            && stacks.iter().zip(&*other.stacks).all(is_stack)
            && match first {
                None => {
                    markers.len() == other.markers.len()
                        && (markers.iter().zip(&self.markers).zip(&*other.markers)).all(is_marker)
                }
                Some(first) => {
                    let mut others = first.markers();
                    let mut known = markers.iter().zip(&self.markers);
                    known.all(|known| others.next().is_some_and(|other| is_marker((known, other))))
                        && others.next().is_none()
                }
            }
            && frames.iter().zip(&self.parents).enumerate().all(is_frame)
    }
}

/// The last few forms that are alike at a glance are in one set.
const WAYS: usize = 4;
const SETS_LOG2: u32 = 5;

/// The forms that were seen last.
#[derive(Default)]
pub(crate) struct Forms {
    sets: Vec<[Option<Shared>; WAYS]>,
}

thread_local! {
    /// Those of this thread.
    static FORMS: Cell<Forms> = const { Cell::new(Forms { sets: Vec::new() }) };
}

impl Forms {
    /// Calls `run` with those of this thread.
    pub(crate) fn with<R>(run: impl FnOnce(&mut Self) -> R) -> R {
        let mut forms = FORMS.try_with(Cell::take).unwrap_or_default();
        let result = run(&mut forms);
        let _ = FORMS.try_with(|place| place.set(forms));
        result
    }

    /// Returns the trace of a capture whose form is known.
    #[inline]
    pub(super) fn find(
        &mut self,
        draft: &Draft,
        task: &Marker,
        live: &(impl Alive + ?Sized),
    ) -> Option<RawTrace> {
        let set = self.sets.get_mut(set_of(draft, task, live.kind()))?;
        let is_it = |known: &Option<Shared>| {
            let known = known.as_ref();
            known.is_some_and(|known| known.is_of(draft, task, live))
        };
        let at = set.iter().position(is_it)?;
        if at > 0 {
            set[..=at].rotate_right(1);
        }
        let form = &set[0].as_ref()?.form;
        Some(RawTrace::new(Arc::clone(form), live))
    }

    /// Returns the trace of a capture whose form was not found, and keeps the form.
    pub(super) fn insert(&mut self, draft: Draft, task: &Marker, live: &[Live]) -> RawTrace {
        let set = set_of(&draft, task, live.kind());
        let form = draft.into_form().with_live(task.task, live);
        let trace = RawTrace::new(Arc::new(form), live);
        if let Some(shared) = Shared::new(trace.form()) {
            if self.sets.is_empty() {
                self.sets.resize_with(1 << SETS_LOG2, Default::default);
            }
            let set = &mut self.sets[set];
            // The one that was not found for longest goes.
            set.rotate_right(1);
            set[0] = Some(shared);
        }
        trace
    }
}

/// The same for those of the same form.
#[inline]
fn set_of(draft: &Draft, task: &Marker, kind: usize) -> usize {
    let way = draft.form.stacks.first();
    let way = way.map_or(0, |stack| Arc::as_ptr(&stack.way).addr());
    let words = [way, task.identity.origin().address(), kind];
    let hash = words.into_iter().fold(0_u64, |hash, word| {
        // Fibonacci hashing: 2⁶⁴ divided by the golden ratio.
        (hash.rotate_left(23) ^ word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    (hash >> (u64::BITS - SETS_LOG2)) as usize
}

impl Draft {
    /// Completes a capture with the frames that are alive at its end, if the same is known already.
    #[inline]
    pub(crate) fn complete_as_known(
        &self,
        task: &Marker,
        live: &(impl Alive + ?Sized),
    ) -> Option<RawTrace> {
        // Each frame of a known form is alive.
        Forms::with(|forms| forms.find(self, task, live))
    }

    /// Completes a capture with the frames that are alive at its end.
    ///
    /// Stacks through frames that have ended in the meantime are forgotten: what these had waited
    /// for nobody waits for any more. So it is with whatever a `block_on` in the middle of the poll
    /// has run.
    pub(crate) fn complete(mut self: Box<Self>, task: &Marker, live: &[Live]) -> RawTrace {
        if let Some(known) = self.complete_as_known(task, live) {
            return known;
        }
        self.settle();
        self.form.forget_ended(task, live);
        Forms::with(|forms| {
            let known = forms.find(&self, task, live);
            known.unwrap_or_else(|| forms.insert(*self, task, live))
        })
    }
}

impl RawTrace {
    /// A trace of live frames, of which nothing was polled.
    pub(crate) fn snapshot(task: &Marker, live: &[Live]) -> Self {
        let draft = Draft::of_snapshot(task);
        Forms::with(|forms| {
            let known = forms.find(&draft, task, live);
            known.unwrap_or_else(|| forms.insert(draft, task, live))
        })
    }

    /// The same, if the same is known already.
    #[inline]
    pub(crate) fn snapshot_as_known(
        task: &Marker,
        live: &(impl Alive + ?Sized),
    ) -> Option<RawTrace> {
        let draft = Draft::of_snapshot(task);
        Forms::with(|forms| forms.find(&draft, task, live))
    }
}

#[cfg(test)]
mod tests;
