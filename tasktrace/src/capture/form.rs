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

use super::few::Few;
use super::live::{HasKey, Live, Marker};
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
}

/// What was recorded of a task.
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
    /// Of its own form. The times are those of the frames of that.
    pub(super) fn alone(form: Form, live: &[Live]) -> Self {
        Self {
            form: Arc::new(form),
            times: Times::of(live),
        }
    }

    /// The same for traces that are the same but for the times.
    pub(crate) fn form(&self) -> &Arc<Form> {
        &self.form
    }

    /// How long ago a live frame was first suspended.
    pub(crate) fn age(&self, frame: usize) -> Duration {
        self.times.get(frame)
    }

    /// How long ago a live frame was last polled, if its task has been polled since, and should have
    /// polled it.
    pub(crate) fn not_polled_for(&self, frame: usize) -> Option<Duration> {
        let is_held = |frame: &LiveFrame| frame.is_held;
        if !self.frames.get(frame).is_some_and(is_held) {
            return None;
        }
        let held_before = self.frames[..frame].iter().filter(|it| is_held(it));
        let at = self.frames.len() + held_before.count();
        Some(self.times.get(at))
    }
}

/// So many times are kept in place: a task has that many frames, hardly ever more.
const FEW: usize = 12;

/// First the ages of the live frames, then for how long those that are held were not polled. In
/// nanoseconds.
#[derive(Clone, Debug, Default)]
struct Times {
    few: [u64; FEW],
    /// All of them, if they are more.
    many: Box<[u64]>,
}

impl Times {
    fn of(live: &[Live]) -> Self {
        let ages = live.iter().map(|live| live.age);
        let held = live.iter().filter_map(|live| live.not_polled_for);
        let all = ages.chain(held).map(nanos);
        let mut times = Self::default();
        let mut places = times.few.iter_mut();
        let mut rest = all.clone();
        if live.len() <= FEW {
            for (place, time) in (&mut places).zip(&mut rest) {
                *place = time;
            }
        }
        if rest.next().is_some() {
            times.many = all.collect();
        }
        times
    }

    fn get(&self, at: usize) -> Duration {
        let times: &[u64] = match &*self.many {
            [] => &self.few,
            many => many,
        };
        Duration::from_nanos(times.get(at).copied().unwrap_or(0))
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

    #[inline]
    fn is_to(self, key: u64, live: &[Live]) -> bool {
        match self {
            Self::Task => key == 0,
            Self::Frame(at) => live.get(at as usize).is_some_and(|live| live.key == key),
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
        if !identities.all(Identity::is_plain) || !form.polls.is_empty() {
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
    fn is_of(&self, draft: &Form, task: u64, live: &[Live]) -> bool {
        let Form {
            stacks,
            markers,
            polls,
            frames,
            dropped,
            elsewhere,
            task: _,
        } = &*self.form;
        let is_stack = |(one, other): (&Stack, &Stack)| one.is_same(other);
        let is_marker = |((one, link), other): ((&Marker, &Link), &Marker)| {
            other.key.is_some_and(|key| link.is_to(key, live))
                && other.task == task
                && one.own_waker == other.own_waker
                && one.identity.is_same_and_plain(&other.identity)
        };
        let is_frame = |((one, link), other): ((&LiveFrame, &Link), &Live)| {
            link.is_to(other.parent, live)
                && one.is_held == other.not_polled_for.is_some()
                && one.identity.is_same_and_plain(&other.identity)
        };
        stacks.len() == draft.stacks.len()
            && markers.len() == draft.markers.len()
            && frames.len() == live.len()
            && *polls == draft.polls
            && (*dropped, *elsewhere) == (draft.dropped, draft.elsewhere)
            && stacks.iter().zip(&*draft.stacks).all(is_stack)
            && (markers.iter().zip(&self.markers).zip(&*draft.markers)).all(is_marker)
            && (frames.iter().zip(&self.parents).zip(live)).all(is_frame)
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

    /// A trace of this form, if that is known. `draft` lacks the live frames and the task.
    pub(super) fn find(&mut self, draft: &Form, task: &Marker, live: &[Live]) -> Option<RawTrace> {
        let set = self.sets.get_mut(set_of(draft, task, live))?;
        let is_it = |known: &Option<Shared>| {
            let known = known.as_ref();
            known.is_some_and(|known| known.is_of(draft, task.task, live))
        };
        let at = set.iter().position(is_it)?;
        if at > 0 {
            set[..=at].rotate_right(1);
        }
        let form = Arc::clone(&set[0].as_ref()?.form);
        Some(RawTrace {
            form,
            times: Times::of(live),
        })
    }

    /// Makes a trace of a form that was not found.
    pub(super) fn insert(&mut self, mut draft: Form, task: &Marker, live: &[Live]) -> RawTrace {
        let set = set_of(&draft, task, live);
        draft.task = task.task;
        draft.frames = live.iter().map(LiveFrame::from).collect();
        let trace = RawTrace::alone(draft, live);
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
fn set_of(draft: &Form, task: &Marker, live: &[Live]) -> usize {
    let way = draft.stacks.first();
    let way = way.map_or(0, |stack| Arc::as_ptr(&stack.way).addr());
    let of = |identity: &Identity| identity.origin().address();
    let innermost = live.last().map_or(0, |live| of(&live.identity));
    let words = [way, of(&task.identity), innermost, live.len()];
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
