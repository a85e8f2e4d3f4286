//! The places where a task waits.

use std::hash::Hash;
use std::ops::Deref;

use super::Rank;
use crate::dump::TaskDump;
use crate::trace::walk::{Step, walk};
use crate::trace::{Frame, Wait, public_name};

/// A leaf of a tree, and the function that waits there.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a> {
    /// Where it is in the order of [`walk`].
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "for the page"))]
    pub(crate) at: usize,
    pub(crate) frame: &'a Frame,
    /// The innermost function of the program. Where there is none, the innermost function.
    pub(crate) function: Option<&'a Frame>,
    /// The outermost function of a library that this function has called.
    pub(crate) library: Option<&'a Frame>,
    /// The resource that is waited for, if it has a name.
    pub(crate) resource: Option<&'a Frame>,
    pub(crate) rank: Rank,
}

/// A place where a task waits.
#[derive(Clone, Copy)]
pub(crate) struct Point<'a> {
    pub(crate) task: &'a TaskDump,
    leaf: Leaf<'a>,
}

impl<'a> Deref for Point<'a> {
    type Target = Leaf<'a>;

    fn deref(&self) -> &Leaf<'a> {
        &self.leaf
    }
}

/// The places where a task waits, in the order of its tree.
pub(crate) fn points(task: &TaskDump) -> Vec<Point<'_>> {
    let leaves = leaves(task.trace().frames()).into_iter();
    leaves.map(|leaf| Point { task, leaf }).collect()
}

/// The place that says most: what the task runs or holds, or what it most likely waits for.
pub(crate) fn likeliest(task: &TaskDump) -> Option<Point<'_>> {
    let told_first = |point: &Point<'_>| {
        let wait = point.wait();
        wait != Some(Wait::Running) && wait != Some(Wait::NotPolled)
    };
    let points = points(task).into_iter();
    points.min_by_key(|point| (told_first(point), point.rank))
}

/// The leaves of a tree, in its order.
pub(super) fn leaves(frames: &[Frame]) -> Vec<Leaf<'_>> {
    let steps: Vec<Step<'_>> = walk(frames).collect();
    // The innermost function of the program down to each frame, and the first of a library below it.
    let mut programs: Vec<Option<usize>> = Vec::with_capacity(steps.len());
    let mut libraries: Vec<Option<usize>> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let of_parent = |of: &[Option<usize>]| step.parent.and_then(|parent| of[parent]);
        let (program, library) = match step.frame {
            frame if frame.is_resource() => (of_parent(&programs), of_parent(&libraries)),
            frame if frame.is_dependency() => {
                (of_parent(&programs), of_parent(&libraries).or(Some(at)))
            }
            _ => (Some(at), None),
        };
        programs.push(program);
        libraries.push(library);
    }
    let is_leaf = |(_, step): &(usize, &Step<'_>)| step.frame.children().is_empty();
    let leaves = steps.iter().enumerate().filter(is_leaf);
    let frame = |at: usize| steps[at].frame;
    leaves
        .map(|(at, step)| {
            let leaf = step.frame;
            let resource = leaf.is_resource().then_some(leaf);
            let innermost = match resource {
                Some(_) => step.parent,
                None => Some(at),
            };
            let (function, library) = match programs[at] {
                Some(program) => (Some(program), libraries[at]),
                None => (innermost, None),
            };
            let library = library.map(frame);
            let rank = match leaf.wait() {
                Some(Wait::NoWaker) => Rank::NoWaker,
                // It waits for what others do.
                Some(Wait::Yielded) => Rank::Event,
                _ => {
                    let resource = resource.map(Frame::name);
                    Rank::of(resource, library.map(called).as_deref())
                }
            };
            Leaf {
                at,
                frame: leaf,
                function: function.map(frame),
                library,
                resource,
                rank,
            }
        })
        .collect()
}

impl<'a> Point<'a> {
    pub(crate) fn wait(&self) -> Option<Wait> {
        self.frame.wait()
    }

    /// Returns the name of the function that waits, or of the task if that function has no name.
    pub(crate) fn name(&self) -> &'a str {
        match self.function.map_or("", Frame::name) {
            "" => self.task.name(),
            name => name,
        }
    }

    /// The label of the function, or else that of the task.
    pub(crate) fn label(&self) -> Option<&'a str> {
        self.function.and_then(Frame::label).or(self.task.label())
    }

    /// Returns the identity of a wait: the same function at the same line, with the same label.
    pub(super) fn subject(&self) -> impl Hash + Eq + use<'a> {
        let place = self.function.map(|it| (it.file(), it.line(), it.line_is()));
        (self.name(), self.label(), place)
    }

    /// Returns the library's function that it waits in, without the module that is named after its type.
    pub(crate) fn library(&self) -> Option<String> {
        let name = self.library.map(called)?;
        // A library whose function is what is waited for says it already.
        let is_told = self
            .resource
            .is_some_and(|resource| resource.name() == name);
        // With lines only, a method has no path, and `poll` says nothing.
        (!is_told && name.contains("::")).then_some(name)
    }

    /// How often it is polled in a second, if it wakes itself all the time.
    pub(crate) fn spins(&self) -> Option<u64> {
        let polls = self.task.polls_per_second();
        polls.filter(|_| self.wait() == Some(Wait::Yielded) || self.is_out_of_budget())
    }

    /// Returns `true` if it does not wait: all that it awaited was ready, until its coop budget was used up.
    pub(crate) fn is_out_of_budget(&self) -> bool {
        self.wait() == Some(Wait::OutOfBudget)
    }

    pub(crate) fn resource(&self) -> Option<&'a str> {
        self.resource.map(Frame::name)
    }

    /// How many there are at this very place.
    pub(crate) fn count(&self) -> usize {
        self.frame.count().max(1)
    }

    /// Returns `true` if the task waits here, rather than runs or awaits another of which more is known.
    pub(super) fn is_wait(&self) -> bool {
        let is_link = self.resource.is_none() && !self.task.awaits().is_empty();
        self.wait().is_some() && self.wait() != Some(Wait::Running) && !is_link
    }
}

/// `deadpool::managed::Pool::get` of `deadpool::managed::pool::Pool::get::{async block}`.
fn called(library: &Frame) -> String {
    let name = library.name();
    let name = name.strip_suffix("::{async block}").unwrap_or(name);
    public_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_ends_below_its_innermost_function() {
        let of = |frame: Frame| {
            let frames = [frame];
            let leaves = leaves(&frames);
            let [leaf] = leaves[..] else {
                panic!("{} leaves", leaves.len());
            };
            let name = |frame: Option<&Frame>| frame.map(|frame| frame.name().to_owned());
            (name(leaf.function), name(leaf.library))
        };
        let is = |program: &str, library: Option<&str>| {
            (Some(program.to_owned()), library.map(str::to_owned))
        };
        let main = || Frame::sample("app::main", 1);
        let layer = || Frame::sample("tower::Layer::call", 2).into_dependency();
        let handler = || Frame::sample("app::handler", 3);
        let get = || Frame::sample("deadpool::Pool::get", 4).into_dependency();
        let inner = || Frame::sample("deadpool::Pool::inner", 4).into_dependency();
        let acquire = || {
            let acquire = Frame::sample("tokio::sync::Semaphore::acquire", 5);
            acquire.into_dependency().into_resource()
        };
        let below = |outer: Frame, inner: Frame| outer.with_children([inner]);
        let get_all = || below(get(), below(inner(), acquire()));
        let whole = below(main(), below(layer(), below(handler(), get_all())));
        assert_eq!(of(whole), is("app::handler", Some("deadpool::Pool::get")));
        assert_eq!(of(below(main(), acquire())), is("app::main", None));
        assert_eq!(
            of(below(main(), get())),
            is("app::main", Some("deadpool::Pool::get"))
        );
        assert_eq!(of(main()), is("app::main", None));
        // Where there is no function of the program, the innermost is better than none.
        assert_eq!(
            of(below(layer(), acquire())),
            is("tower::Layer::call", None)
        );
    }
}
