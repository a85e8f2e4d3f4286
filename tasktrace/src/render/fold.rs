//! Siblings that are alike as one: the requests that a task handles at a time, for example, each
//! with a label of its own.

use std::collections::HashMap;

use super::known::Known;
use super::out::Detail;
use super::shape::{Subtree, alike, subtrees};
use crate::trace::Frame;
use crate::trace::libraries::{self, Hidden};

/// So many siblings that are alike are told one by one.
const FEW: usize = 5;

/// So many labels are told of those that are told as one.
pub(super) const FEW_LABELS: usize = 3;

/// What is told of a tree.
pub(super) struct Telling<'a> {
    /// What is known of each frame, in the order of [`walk`](super::walk::walk), where times are
    /// told.
    known: Option<Vec<Known<'a>>>,
    subtrees: Vec<Subtree>,
    /// How many siblings that are alike are shown.
    detail: Detail,
    /// How much of runs of libraries' functions is shown.
    libraries: Detail,
}

/// A frame, or several siblings that are alike.
#[derive(Clone, Debug)]
pub(super) struct Folded<'a> {
    /// The first of them.
    pub(super) frame: &'a Frame,
    /// Where that is in the order of [`walk`](super::walk::walk).
    pub(super) at: usize,
    /// How many they are.
    pub(super) count: usize,
    /// Labels of the first few, if they are several.
    pub(super) labels: Vec<&'a str>,
}

impl<'a> Telling<'a> {
    /// All siblings, and no times but of what is held: so the same tree is the same text at any time.
    pub(super) fn without_times(frames: &[Frame], detail: Detail) -> Self {
        Self {
            known: None,
            subtrees: subtrees(frames),
            detail: Detail::Full,
            libraries: detail,
        }
    }

    /// What is known of each frame, many that are alike as one unless all is to be told.
    pub(super) fn new(frames: &[Frame], known: Vec<Known<'a>>, detail: Detail) -> Self {
        Self {
            known: Some(known),
            subtrees: subtrees(frames),
            detail,
            libraries: detail,
        }
    }

    pub(super) fn known<'f>(&self, folded: &Folded<'f>) -> Known<'f>
    where
        'a: 'f,
    {
        match &self.known {
            Some(known) => known.get(folded.at).copied().unwrap_or_default(),
            None => Known {
                age: None,
                ..Known::of(folded.frame)
            },
        }
    }

    /// The functions of libraries below a frame that are not told.
    pub(super) fn hidden_below<'f>(&self, frame: &'f Frame) -> Option<Hidden<'f>> {
        match self.libraries {
            Detail::Tidy => libraries::hidden_below(frame),
            Detail::Full => None,
        }
    }

    /// The siblings of which the first is at `first`.
    pub(super) fn siblings<'f>(&mut self, frames: &'f [Frame], first: usize) -> Vec<Folded<'f>> {
        let mut at = first;
        let mut siblings = Vec::with_capacity(frames.len());
        for frame in frames {
            siblings.push((frame, at));
            at += self.subtrees[at].size;
        }
        if siblings.len() <= FEW || self.detail == Detail::Full {
            return siblings.into_iter().map(Folded::one).collect();
        }
        let mut classes: Vec<Vec<(&Frame, usize)>> = Vec::new();
        let mut index: HashMap<u64, usize> = HashMap::new();
        for sibling in siblings {
            let class = index.entry(self.subtrees[sibling.1].hash);
            let class = *class.or_insert(classes.len());
            match classes.get_mut(class) {
                Some(class) if is_alike(class[0].0, sibling.0) => class.push(sibling),
                // The first of its class, or one that has the hash of another by chance.
                _ => classes.push(vec![sibling]),
            }
        }
        let told = classes.into_iter().flat_map(|class| match class.len() {
            0..=FEW => class.into_iter().map(Folded::one).collect(),
            _ => vec![self.fold(&class)],
        });
        let mut told: Vec<Folded<'f>> = told.collect();
        told.sort_by_key(|folded| folded.at);
        told
    }

    fn fold<'f>(&mut self, class: &[(&'f Frame, usize)]) -> Folded<'f> {
        let (frame, at) = class[0];
        if let Some(known) = &mut self.known {
            for (_, other) in &class[1..] {
                for below in 0..self.subtrees[at].size {
                    let other = known[other + below];
                    known[at + below].add(other);
                }
            }
        }
        let labels = class.iter().filter_map(|(frame, _)| frame.label());
        Folded {
            frame,
            at,
            count: class.len(),
            labels: labels.take(FEW_LABELS).collect(),
        }
    }
}

impl<'a> Folded<'a> {
    fn one((frame, at): (&'a Frame, usize)) -> Self {
        Self {
            frame,
            at,
            count: 1,
            labels: Vec::new(),
        }
    }
}

fn is_alike(one: &Frame, other: &Frame) -> bool {
    alike(std::slice::from_ref(one), std::slice::from_ref(other))
}
