//! Lists the frames of a tree, for code that handles one frame after the other.

use super::{Frame, library_runs};

/// A frame of a walk.
pub(crate) struct WalkStep<'a> {
    /// The position of the parent in the list.
    pub(crate) parent: Option<usize>,
    pub(crate) frame: &'a Frame,
    /// `true` if text does not show the frame because it belongs to a run of library functions: see [`library_runs`].
    pub(crate) is_folded: bool,
    /// The number of hidden frames of the run from this frame on, including this frame.
    folded: usize,
}

/// Returns all frames of a tree, each before its children, with the position of its parent. So the list has the whole
/// shape of the tree.
pub(crate) fn walk(frames: &[Frame]) -> impl Iterator<Item = WalkStep<'_>> {
    let mut pending: Vec<WalkStep<'_>> = Vec::new();
    extend(&mut pending, frames, None, 0);
    let mut count = 0;
    std::iter::from_fn(move || {
        let step = pending.pop()?;
        let folded = match step.folded {
            0 => library_runs::hidden_below(step.frame).map_or(0, |hidden| hidden.count),
            folded => folded - 1,
        };
        // A hidden frame does not begin another run, because that would be part of the same run.
        extend(&mut pending, step.frame.children(), Some(count), folded);
        count += 1;
        Some(step)
    })
}

/// Adds siblings to the stack of pending frames in reverse, so that the first is popped first.
fn extend<'a>(
    pending: &mut Vec<WalkStep<'a>>,
    frames: &'a [Frame],
    parent: Option<usize>,
    folded: usize,
) {
    let steps = frames.iter().rev();
    pending.extend(steps.map(|frame| WalkStep {
        parent,
        frame,
        is_folded: folded > 0,
        folded,
    }));
}
