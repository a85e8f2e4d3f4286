//! Recognises combinators whose children are not in the trace.
//!
//! A combinator that makes wakers of its own for its children also registers the waker of the task. If the children are
//! in the trace, that registration is left out (see `simplify::combinators`). So if that registration is a leaf, the
//! combinator has children, and none of them is in the trace.

use super::frame::{Frame, Wait};

/// The path segments of combinators that poll a child only when the child's own waker was woken.
const COMBINATORS: &[&str] = &[
    "FuturesUnordered",
    "FuturesOrdered",
    "FuturesUnorderedBounded",
    "FuturesOrderedBounded",
    "SelectAll",
    "JoinAll",
    "TryJoinAll",
    "join_all",
    "try_join_all",
    "Buffered",
    "BufferUnordered",
    "TryBuffered",
    "TryBufferUnordered",
    "buffered",
    "buffer_unordered",
    "try_buffered",
    "try_buffer_unordered",
    "for_each_concurrent",
    "try_for_each_concurrent",
    "ForEachConcurrent",
    "TryForEachConcurrent",
    "BufferedStreamExt",
    "BufferedTryStreamExt",
    "FlattenUnordered",
    "flatten_unordered",
    "flat_map_unordered",
    "MergeBounded",
    "MergeUnbounded",
    "Shared",
    "LocalSet",
];

impl Frame {
    /// Returns `true` if this is a combinator such as `join_all` or `FuturesUnordered`, whose children have
    /// wakers of their own and are not in the trace.
    ///
    /// Such children are shown if they are [`#[traced]`](macro@crate::traced), or named with
    /// [`TracedExt::traced`](crate::TracedExt::traced).
    #[must_use]
    pub fn hides_children(&self) -> bool {
        let is_end = self.is_resource && self.children.is_empty();
        // A combinator that yields has polled some of its children and lets other tasks run.
        let waits = matches!(self.wait, Some(Wait::Registered | Wait::Yielded));
        is_end && waits && is_combinator(self.name())
    }
}

/// Returns `true` if the name is that of a combinator that makes wakers of its own.
fn is_combinator(name: &str) -> bool {
    let is_one = |segment: &str| COMBINATORS.contains(&segment);
    name.starts_with("futures_concurrency::") || name.split("::").any(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinators_are_recognised_by_their_names() {
        for name in [
            "futures::stream::FuturesUnordered::next",
            "futures::future::join_all",
            "futures::stream::Buffered::next",
            "futures_buffered::join_all",
            "tokio::task::LocalSet::run_until",
        ] {
            assert!(is_combinator(name), "{name}");
        }
        for name in [
            "tokio::sync::Mutex::lock",
            "app::join_alliance",
            "tokio::task::JoinSet::join_next",
        ] {
            assert!(!is_combinator(name), "{name}");
        }
    }
}
