//! A tree of frames as a list, for everything that looks at one frame after the other.

use super::{Frame, libraries};

/// A frame, and where in the list the one is that it is a child of.
pub(crate) struct Step<'a> {
    pub(crate) parent: Option<usize>,
    pub(crate) frame: &'a Frame,
    /// A text does not show the frame, because it is one of many functions of libraries: see
    /// [`libraries`].
    pub(crate) is_folded: bool,
    /// How many more from this one on are not shown, this one included.
    folded: usize,
}

/// All frames of a tree, each before its children. The list says all there is to say about the
/// shape of the tree.
pub(crate) fn walk(frames: &[Frame]) -> impl Iterator<Item = Step<'_>> {
    let mut pending: Vec<Step<'_>> = Vec::new();
    extend(&mut pending, frames, None, 0);
    let mut count = 0;
    std::iter::from_fn(move || {
        let step = pending.pop()?;
        let folded = match step.folded {
            0 => libraries::hidden_below(step.frame).map_or(0, |hidden| hidden.count),
            folded => folded - 1,
        };
        // Behind the end of a run another cannot begin.
        extend(&mut pending, step.frame.children(), Some(count), folded);
        count += 1;
        Some(step)
    })
}

/// Adds siblings, so that the first is taken first.
fn extend<'a>(
    pending: &mut Vec<Step<'a>>,
    frames: &'a [Frame],
    parent: Option<usize>,
    folded: usize,
) {
    let steps = frames.iter().rev();
    pending.extend(steps.map(|frame| Step {
        parent,
        frame,
        is_folded: folded > 0,
        folded,
    }));
}
