//! A tree of frames as a list, for everything that looks at one frame after the other.

use crate::trace::Frame;

/// A frame, and where in the list the one is that it is a child of.
pub(crate) struct Step<'a> {
    pub(crate) parent: Option<usize>,
    pub(crate) frame: &'a Frame,
}

/// All frames of a tree, each before its children. The list says all there is to say about the
/// shape of the tree.
pub(crate) fn walk(frames: &[Frame]) -> impl Iterator<Item = Step<'_>> {
    let mut pending: Vec<Step<'_>> = Vec::new();
    extend(&mut pending, frames, None);
    let mut count = 0;
    std::iter::from_fn(move || {
        let step = pending.pop()?;
        extend(&mut pending, step.frame.children(), Some(count));
        count += 1;
        Some(step)
    })
}

/// Adds siblings, so that the first is taken first.
fn extend<'a>(pending: &mut Vec<Step<'a>>, frames: &'a [Frame], parent: Option<usize>) {
    let steps = frames.iter().rev();
    pending.extend(steps.map(|frame| Step { parent, frame }));
}
