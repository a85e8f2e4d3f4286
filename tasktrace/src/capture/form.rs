//! What the traces of tasks that wait alike have in common, and what is each one's own.
//!
//! Most tasks of a program wait in one of a few ways. What their traces consist of is the same then: the
//! stacks, what is polled on them, which frames are live. Different are the numbers by which tasks and
//! frames are known, which tell nothing but which of them are the same; and the times. So a trace is the
//! [`Form`] of the first task of which there was such a one, with the numbers of that, and times of its
//! own; and a capture allocates nothing.
//!
//! [`Forms`](super::forms::Forms) keeps those that were seen last on this thread.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::few::Few;
use super::live::{HasKey, Live, Marker, Now};
use super::stack::{Entry, Polls, Stack};
use crate::origin::Identity;
use crate::unwind::Step;

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
    pub(super) times: Times,
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

    pub(super) fn get(&self, at: usize) -> Duration {
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

impl Form {
    pub(crate) fn entries<'a>(&'a self, stack: &'a Stack) -> impl Iterator<Item = Entry> + 'a {
        let mut poll = 0;
        stack.way.iter().map(move |step| match step {
            Step::Ip(address) => Entry::Ip(*address),
            Step::Cut => Entry::Cut,
            Step::Lost => Entry::Lost,
            Step::Mark => {
                poll += 1;
                Entry::Marker(self.poll(stack.polls, poll - 1))
            }
        })
    }

    /// The numbers of the markers of a stack, from the root on.
    pub(crate) fn polls(&self, stack: &Stack) -> impl Iterator<Item = u32> {
        let marks = stack.way.iter().filter(|step| **step == Step::Mark);
        let polls = stack.polls;
        (0..marks.count()).map(move |at| self.poll(polls, at))
    }

    fn poll(&self, polls: Polls, at: usize) -> u32 {
        match polls {
            Polls::From(first) => first.saturating_add(u32::try_from(at).unwrap_or(u32::MAX)),
            Polls::Listed(start) => self.polls.get(start + at).copied().unwrap_or(u32::MAX),
        }
    }
}
