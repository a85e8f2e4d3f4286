//! Polls a set for its next finished task, in a frame that shows that the set is awaited.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::{Id, JoinError};

use super::JoinSet;
use super::members::Members;
use crate::origin::{Identity, Origin};
use crate::task::WaitFrame;

/// The future of [`JoinSet::join_next`]. It is a frame while it is polled.
pub(super) struct JoinNext<'a, T> {
    set: &'a mut JoinSet<T>,
    awaiting: WaitFrame,
}

impl<'a, T> JoinNext<'a, T> {
    pub(super) fn new(set: &'a mut JoinSet<T>) -> Self {
        Self {
            set,
            awaiting: WaitFrame::new(),
        }
    }
}

impl<T: 'static> Future for JoinNext<'_, T> {
    type Output = Option<Result<(Id, T), JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { set, awaiting } = &mut *self;
        let (members, made_at) = (Arc::clone(&set.members), set.made_at);
        let next = pin!(poll_fn(|cx| set.poll_join_next_with_id(cx)));
        awaiting.poll(|| identity(members, made_at), next, cx)
    }
}

/// Returns the identity of a frame that awaits a set.
fn identity(members: Arc<Members>, made_at: &'static Location<'static>) -> Identity {
    let origin = Origin::Wait {
        path: "tasktrace::JoinSet::join_next",
        location: made_at,
    };
    Identity::awaiting_set(origin, members)
}
