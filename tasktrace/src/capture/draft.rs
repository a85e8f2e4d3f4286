//! What a capture has recorded, before it is known what is alive at its end.
//!
//! Most tasks have one leaf. What is polled around that is left as it was found, because it only has to be
//! compared with what is known already.

use std::sync::{Arc, OnceLock};

use super::few::Few;
use super::form::{Form, RawTrace};
use super::give_room;
use super::live::{Live, Marker, Numbers, Surroundings, from};
use super::stack::{LeafKind, Polls, Stack};
use crate::sync::fork::get_or_init;
use crate::unwind::{Mark, Step, Way};

/// A [`Form`] without what is alive.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(super) form: Form,
    /// Where the markers are, if there is one stack.
    pub(super) first: Option<First>,
}

/// What is polled around the only leaf so far.
#[derive(Debug)]
pub(super) struct First {
    pub(super) surroundings: Surroundings,
    /// That of the task.
    pub(super) mark: Mark,
}

impl First {
    pub(super) fn markers(&self) -> impl Iterator<Item = &Marker> {
        from(self.mark, &self.surroundings).map(|around| &around.marker)
    }
}

impl Drop for First {
    fn drop(&mut self) {
        give_room(std::mem::take(&mut self.surroundings));
    }
}

impl Draft {
    /// With the markers where they belong.
    pub(super) fn into_form(mut self) -> Form {
        self.settle();
        self.form
    }

    /// Returns `true` if something has woken the task in the middle of its poll: then what was not polled
    /// may be in the next.
    pub(crate) fn has_more_to_do(&self) -> bool {
        let mut stacks = self.form.stacks.iter();
        stacks.any(|stack| stack.kind == LeafKind::Woken)
    }

    /// Puts the markers where they belong.
    pub(super) fn settle(&mut self) {
        if let Some(first) = self.first.take() {
            self.form.markers = Few::from((first.markers().count(), first.markers().cloned()));
        }
    }

    /// What was recorded when a thread was interrupted, with the frames that are alive. Those of the
    /// stack may not be among them: they go on.
    pub(crate) fn with_live(self, task: u64, live: &[Live]) -> RawTrace {
        let form = self.into_form().with_live(task, live);
        RawTrace::new(Arc::new(form), live)
    }

    /// What was recorded of tasks of which nothing else is known.
    pub(crate) fn without_live(self) -> RawTrace {
        let nothing: &[Live] = &[];
        RawTrace::new(Arc::new(self.into_form()), nothing)
    }

    /// Of a task of which nothing was polled.
    #[inline]
    pub(super) fn of_snapshot(task: &Marker) -> Self {
        let form = Form {
            markers: Few::One(task.clone()),
            ..Form::default()
        };
        Self { form, first: None }
    }
}

impl Form {
    pub(super) fn forget_ended(&mut self, task: &Marker, live: &[Live]) {
        let mut alive = Numbers::of(live);
        let mut has_ended = |marker: &Marker| {
            let key = marker
                .key
                .filter(|key| *key != 0 && marker.task == task.task);
            key.is_some_and(|key| alive.find(key).is_none())
        };
        if self.markers.iter().any(&mut has_ended) {
            let ended: Vec<bool> = self.markers.iter().map(has_ended).collect();
            let mut stacks = std::mem::take(&mut self.stacks);
            stacks.retain(|stack| !self.polls(stack).any(|at| ended[at as usize]));
            self.stacks = stacks;
        }
        if self.stacks.is_empty() && self.dropped + self.elsewhere == 0 {
            let number = u32::try_from(self.markers.len()).unwrap_or(u32::MAX);
            self.markers.push(task.clone());
            self.stacks.push(Stack {
                way: nowhere(),
                polls: Polls::From(number),
                kind: LeafKind::NoWaker,
                count: 1,
            });
        }
    }
}

/// The way of a task that has registered no waker, and has polled no frame that could have.
fn nowhere() -> Arc<Way> {
    static NOWHERE: OnceLock<Arc<Way>> = OnceLock::new();
    let way = get_or_init(&NOWHERE, || Arc::new(Way::new(vec![Step::Mark])));
    Arc::clone(way)
}
