//! What the traces of tasks that wait alike have in common, and what is each one's own.
//!
//! Most tasks of a program wait in one of a few ways. What their traces consist of is the same then: the
//! stacks, what is polled on them, which frames are live. Different are the numbers by which tasks and
//! frames are known, which tell nothing but which of them are the same; and the times. So a trace is the
//! [`Form`] of the first task of which there was such a one, with the numbers of that, and times of its
//! own; and a capture allocates nothing.
//!
//! [`Forms`] keeps those that were seen last on this thread.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::draft::Draft;
use super::few::Few;
use super::live::{HasKey, Live, Marker, Now};
use super::record::{Polls, Stack};
use crate::origin::Identity;

/// A trace but for its times.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// In the order in which they were recorded.
    pub(crate) stacks: Few<Stack>,
    /// What [`Entry::Marker`](super::Entry::Marker) refers to.
    pub(super) markers: Few<Marker>,
    /// The markers of stacks of which they do not follow each other.
    pub(super) polls: Vec<u32>,
    /// The number of the task that this is of.
    pub(crate) task: u64,
    /// The frames of the task that were alive when the capture ended, or when the snapshot was
    /// taken, if it is one: then there are no stacks.
    pub(crate) frames: Vec<LiveFrame>,
    /// The numbers of the frames that are held, in their order.
    pub(super) held: Box<[usize]>,
    /// Leaves that were not recorded for want of room.
    pub(crate) dropped: usize,
    /// Wakers that other threads cloned, of whom there is no stack.
    pub(crate) elsewhere: usize,
}

/// A live frame but for its times.
#[derive(Clone, Debug)]
pub(crate) struct LiveFrame {
    /// Identifies it among the frames of the task.
    pub(crate) key: u64,
    /// The key of the frame that it is below. 0 is the task itself.
    pub(crate) parent: u64,
    pub(crate) identity: Identity,
    /// Whether it should have been polled, and was not.
    pub(crate) is_held: bool,
}

impl HasKey for LiveFrame {
    fn key(&self) -> u64 {
        self.key
    }
}

impl Form {
    pub(crate) fn marker(&self, index: u32) -> Option<&Marker> {
        self.markers.get(index as usize)
    }

    pub(crate) fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// How many times there are to it: of each live frame one, and of each that is held another.
    fn times(&self) -> usize {
        self.frames.len() + self.held.len()
    }

    /// With what is alive in the task.
    pub(super) fn with_live(self, task: u64, live: &[Live]) -> Self {
        let frames: Vec<LiveFrame> = live.iter().map(LiveFrame::from).collect();
        let numbered = frames.iter().enumerate();
        let held = numbered.filter_map(|(at, frame)| frame.is_held.then_some(at));
        Self {
            task,
            held: held.collect(),
            frames,
            ..self
        }
    }
}

/// What was recorded of a task. To make one of a form that is known allocates nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawTrace {
    form: Arc<Form>,
    times: Times,
}

impl Deref for RawTrace {
    type Target = Form;

    #[inline]
    fn deref(&self) -> &Form {
        &self.form
    }
}

impl RawTrace {
    /// Of this form, with the times of its frames.
    #[inline]
    pub(super) fn new(form: Arc<Form>, live: &(impl Alive + ?Sized)) -> Self {
        let times = live.times(&form);
        Self { form, times }
    }

    /// The same for traces that are the same but for the times.
    pub(crate) fn form(&self) -> &Arc<Form> {
        &self.form
    }

    /// Has the times told as of another moment.
    pub(crate) fn tell_as_of(&mut self, moment: Now) {
        match &mut self.times {
            Times::Steps { now, .. } => *now = moment,
            Times::Nanos { as_of, .. } => *as_of = moment,
        }
    }

    /// How long ago a live frame was first suspended.
    pub(crate) fn age(&self, frame: usize) -> Duration {
        self.times.get(frame)
    }

    /// How long ago a live frame was last polled, if its task has been polled since, and should have
    /// polled it.
    pub(crate) fn not_polled_for(&self, frame: usize) -> Option<Duration> {
        let held_before = self.held.binary_search(&frame).ok()?;
        Some(self.times.get(self.frames.len() + held_before))
    }
}

/// So many times are kept in place: a task has that many frames, hardly ever more.
pub(crate) const FEW: usize = 12;

/// First the ages of the live frames, then for how long those that are held were not polled.
#[derive(Clone, Debug)]
pub(crate) enum Times {
    /// Up to when they are told, and from which step of time on.
    Steps { now: Now, few: [u32; FEW] },
    /// Up to when they were told, and up to when they are to be.
    Nanos {
        told: Now,
        as_of: Now,
        all: Box<[u64]>,
    },
}

impl Default for Times {
    fn default() -> Self {
        Self::Nanos {
            told: Now(0),
            as_of: Now(0),
            all: Box::default(),
        }
    }
}

impl Times {
    /// Of the frames of a form, in steps: when each was first suspended and last polled, up to `now`.
    #[inline]
    pub(crate) fn in_steps(
        form: &Form,
        now: Now,
        since: impl Fn(usize) -> u32,
        polled: impl Fn(usize) -> u32,
    ) -> Self {
        if form.times() > FEW {
            let since = |at| now.since(since(at));
            return Self::in_nanos(form, now, since, |at| now.since(polled(at)));
        }
        let mut few = [0; FEW];
        let (ages, held) = few.split_at_mut(form.frames.len());
        for (at, place) in ages.iter_mut().enumerate() {
            *place = since(at);
        }
        for (place, at) in held.iter_mut().zip(&form.held) {
            *place = polled(*at);
        }
        Self::Steps { now, few }
    }

    /// Of the frames of a form, in nanoseconds: how long before the moment `told` each was first suspended and last
    /// polled.
    fn in_nanos(
        form: &Form,
        told: Now,
        age: impl Fn(usize) -> u64,
        not_polled_for: impl Fn(usize) -> u64,
    ) -> Self {
        let ages = (0..form.frames.len()).map(age);
        let held = form.held.iter().map(|at| not_polled_for(*at));
        Self::Nanos {
            told,
            as_of: told,
            all: ages.chain(held).collect(),
        }
    }

    fn get(&self, at: usize) -> Duration {
        let nanos = match self {
            Self::Steps { now, few } => few.get(at).map(|step| now.since(*step)),
            Self::Nanos { told, as_of, all } => all
                .get(at)
                .map(|nanos| nanos.saturating_add(as_of.0).saturating_sub(told.0)),
        };
        Duration::from_nanos(nanos.unwrap_or(0))
    }
}

/// The live frames of a task, wherever they are, by their numbers.
pub(crate) trait Alive {
    /// How many they are.
    fn count(&self) -> usize;

    /// What identifies it, as [`Live::key`].
    fn key(&self, at: usize) -> u64;

    /// The key of what it is below, as [`Live::parent`].
    fn parent(&self, at: usize) -> u64;

    /// Returns `true` if it is that frame but for its numbers, and there is no more to it.
    fn is(&self, at: usize, frame: &LiveFrame) -> bool;

    /// A number that is the same for those that are alike.
    fn kind(&self) -> usize;

    /// The times of these frames, whose form is known.
    fn times(&self, form: &Form) -> Times;
}

impl Alive for [Live] {
    fn count(&self) -> usize {
        self.len()
    }

    fn key(&self, at: usize) -> u64 {
        self[at].key
    }

    fn parent(&self, at: usize) -> u64 {
        self[at].parent
    }

    fn is(&self, at: usize, frame: &LiveFrame) -> bool {
        let live = &self[at];
        live.not_polled_for.is_some() == frame.is_held
            && live.identity.is_same_and_plain(&frame.identity)
    }

    fn kind(&self) -> usize {
        self.last()
            .map_or(0, |live| live.identity.origin().address())
    }

    fn times(&self, form: &Form) -> Times {
        let not_polled_for = |at: usize| self[at].not_polled_for.map_or(0, nanos);
        let told = self.first().map_or(Now(0), |live| live.told);
        Times::in_nanos(form, told, |at| nanos(self[at].age), not_polled_for)
    }
}

/// Up to 584 years.
fn nanos(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::from(time.subsec_nanos()))
}

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
    /// What the markers stand for.
    markers: Box<[Link]>,
    /// What the live frames are below.
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

    /// Whether this is the form of it.
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

    /// What was recorded, if its form is known.
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

    /// What was recorded, of a form that was not found.
    pub(super) fn insert(&mut self, draft: Draft, task: &Marker, live: &[Live]) -> RawTrace {
        let set = set_of(&draft, task, live.kind());
        let form = draft.into_form().with_live(task.task, live);
        let trace = RawTrace::new(Arc::new(form), live);
        if let Some(shared) = Shared::new(&trace.form) {
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

impl From<&Live> for LiveFrame {
    fn from(live: &Live) -> Self {
        Self {
            key: live.key,
            parent: live.parent,
            identity: live.identity.clone(),
            is_held: live.not_polled_for.is_some(),
        }
    }
}

impl Stack {
    /// Without looking at ways that are not shared.
    fn is_same(&self, other: &Self) -> bool {
        let is_same_polls = match (self.polls, other.polls) {
            (Polls::From(one), Polls::From(other)) => one == other,
            _ => false,
        };
        is_same_polls
            && Arc::ptr_eq(&self.way, &other.way)
            && (self.kind, self.count) == (other.kind, other.count)
    }
}

#[cfg(test)]
mod tests;
