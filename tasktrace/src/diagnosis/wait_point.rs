//! Finds the places where a task waits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::ptr;

use super::WaitRank;
use crate::dump::TaskDump;
use crate::trace::walk::{WalkStep, walk};
use crate::trace::{Frame, Wait, library_call};

/// A leaf of a tree, with the function, the library and the resource that explain it.
#[derive(Clone, Copy)]
pub(crate) struct LeafContext<'a> {
    /// The position of the leaf in the order of [`walk`].
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "for the page"))]
    pub(crate) at: usize,
    pub(crate) frame: &'a Frame,
    /// The innermost function of the program, or the innermost function of all if none belongs to the program.
    pub(crate) function: Option<&'a Frame>,
    /// The position of `function` in the order of [`walk`].
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "for the page"))]
    pub(crate) function_at: Option<usize>,
    /// The outermost library function that `function` has called.
    pub(crate) library: Option<&'a Frame>,
    /// The resource that the leaf waits for, if it has a name.
    pub(crate) resource: Option<&'a Frame>,
    /// The library function that waits for an object of a pool, if there is one: `library`, or a function below it.
    pool: Option<&'a Frame>,
    /// `true` if another leaf stands for the same call of `pool`, which waits for several things at once.
    pub(crate) is_part_of_call: bool,
    pub(crate) rank: WaitRank,
}

/// A leaf of a task's tree: a place where the task waits, runs or holds a future.
#[derive(Clone, Copy)]
pub(crate) struct WaitPoint<'a> {
    pub(crate) task: &'a TaskDump,
    leaf: LeafContext<'a>,
}

impl<'a> Deref for WaitPoint<'a> {
    type Target = LeafContext<'a>;

    fn deref(&self) -> &LeafContext<'a> {
        &self.leaf
    }
}

/// Returns the leaves of a task's tree, in the order of the tree: the places where the task waits, runs or holds a
/// future.
pub(crate) fn points(task: &TaskDump) -> Vec<WaitPoint<'_>> {
    let leaves = leaves(task.trace().frames()).into_iter();
    leaves.map(|leaf| WaitPoint { task, leaf }).collect()
}

/// Returns the most informative place: where the task runs or holds a future, or else its likeliest wait.
pub(crate) fn likeliest(task: &TaskDump) -> Option<WaitPoint<'_>> {
    let is_wait = |point: &WaitPoint<'_>| {
        let wait = point.wait();
        wait != Some(Wait::Running) && wait != Some(Wait::NotPolled)
    };
    let points = points(task).into_iter();
    points.min_by_key(|point| (is_wait(point), point.rank))
}

/// Returns the leaves of a tree, in the order of the tree.
pub(super) fn leaves(frames: &[Frame]) -> Vec<LeafContext<'_>> {
    let steps: Vec<WalkStep<'_>> = walk(frames).collect();
    // For each frame, the innermost function of the program among the frame and its ancestors, and below that the first
    // library function, and the first library function that takes something out of a pool.
    let mut programs: Vec<Option<usize>> = Vec::with_capacity(steps.len());
    let mut libraries: Vec<Option<usize>> = Vec::with_capacity(steps.len());
    let mut pools: Vec<Option<usize>> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let of_parent = |of: &[Option<usize>]| step.parent.and_then(|parent| of[parent]);
        let (program, library, pool) = match step.frame {
            frame if frame.is_resource() => (
                of_parent(&programs),
                of_parent(&libraries),
                of_parent(&pools),
            ),
            frame if frame.is_dependency() => {
                let is_pool = || library_call::takes_from_pool(frame).then_some(at);
                (
                    of_parent(&programs),
                    of_parent(&libraries).or(Some(at)),
                    of_parent(&pools).or_else(is_pool),
                )
            }
            _ => (Some(at), None, None),
        };
        programs.push(program);
        libraries.push(library);
        pools.push(pool);
    }
    let is_leaf = |(_, step): &(usize, &WalkStep<'_>)| step.frame.children().is_empty();
    let leaves = steps.iter().enumerate().filter(is_leaf);
    let frame = |at: usize| steps[at].frame;
    let leaves = leaves
        .map(|(at, step)| {
            let leaf = step.frame;
            let resource = leaf.is_resource().then_some(leaf);
            let innermost = match resource {
                Some(_) => step.parent,
                None => Some(at),
            };
            let (function, library, pool) = match programs[at] {
                Some(program) => (Some(program), libraries[at], pools[at]),
                None => (innermost, None, None),
            };
            let of_pool = pool.or(library).map(frame);
            let rank = match leaf.wait() {
                Some(Wait::NoWaker) => WaitRank::NoWaker,
                // A leaf that yields waits for other tasks to run.
                Some(Wait::Yielded) => WaitRank::Event,
                _ => {
                    let resource = resource.map(Frame::name);
                    WaitRank::of(resource, of_pool.map(library_call::name).as_deref())
                }
            };
            LeafContext {
                at,
                frame: leaf,
                function: function.map(frame),
                function_at: function,
                library: library.map(frame),
                resource,
                // While a pool opens a connection, the resource says more.
                pool: pool.filter(|_| rank == WaitRank::Lock).map(frame),
                is_part_of_call: false,
                rank,
            }
        })
        .collect();
    join_calls_of_pools(leaves)
}

/// Selects one leaf for each call of a pool's function, and marks the others. A pool may wait for a permit and for its
/// own end: the permit is selected.
fn join_calls_of_pools(mut leaves: Vec<LeafContext<'_>>) -> Vec<LeafContext<'_>> {
    let mut selected: HashMap<*const Frame, usize> = HashMap::new();
    for at in 0..leaves.len() {
        let Some(pool) = leaves[at].pool else {
            continue;
        };
        let rank = |leaf: &LeafContext<'_>| WaitRank::of(leaf.resource.map(Frame::name), None);
        let known = selected.entry(ptr::from_ref(pool)).or_insert(at);
        if *known != at {
            let other = match rank(&leaves[at]) < rank(&leaves[*known]) {
                true => std::mem::replace(known, at),
                false => at,
            };
            leaves[other].is_part_of_call = true;
        }
    }
    leaves
}

impl<'a> LeafContext<'a> {
    /// Returns the name of the library function that contains the wait, without the module that is named after its
    /// type.
    pub(crate) fn library(&self) -> Option<String> {
        let name = self.library.map(library_call::name)?;
        // If the library function itself is the resource, its name is already shown.
        let is_shown = self
            .resource
            .is_some_and(|resource| resource.name() == name);
        // With line tables only, a method has no path, and a bare `poll` is of no use.
        (!is_shown && name.contains("::")).then_some(name)
    }

    /// Returns the name of the resource.
    pub(crate) fn resource(&self) -> Option<&'a str> {
        self.resource.map(Frame::name)
    }

    /// Returns the name of what the library function, or else the function of the program, waits for: the function that
    /// takes something out of a pool, or else the resource.
    pub(crate) fn awaited(&self) -> Option<Cow<'a, str>> {
        let is_library = |pool: &&Frame| self.library.is_some_and(|it| ptr::eq(it, *pool));
        match self.pool.filter(|pool| !is_library(pool)) {
            Some(pool) => Some(library_call::name(pool).into()),
            None => self.resource().map(Cow::Borrowed),
        }
    }

    /// Returns the operation that `function` waits for, if it has a name: `sqlx::Query::fetch_one
    /// (sqlx::Pool::acquire)`, `reqwest::get` or `tokio::sync::Mutex::lock`.
    pub(crate) fn operation(&self) -> Option<String> {
        match (self.library(), self.awaited()) {
            (Some(library), Some(awaited)) => {
                Some(format!("{library} ({})", without_type(&awaited, &library)))
            }
            (Some(library), None) => Some(library),
            (None, awaited) => awaited.map(Cow::into_owned),
        }
    }
}

/// Returns the name of a resource as it is said after the function `library` that waits for it: only its remark, if it
/// is a type with a remark, `moka::future::Cache (another call …)`, and the function is a method of that type.
pub(crate) fn without_type<'a>(resource: &'a str, library: &str) -> &'a str {
    let method_of = library.rsplit_once("::").map(|(ty, _)| ty);
    match resource.split_once(" (") {
        Some((ty, remark)) if method_of == Some(ty) => remark.strip_suffix(')').unwrap_or(remark),
        _ => resource,
    }
}

impl<'a> WaitPoint<'a> {
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

    /// Returns the label of the function, or the label of the task if the function has none.
    pub(crate) fn label(&self) -> Option<&'a str> {
        self.function.and_then(Frame::label).or(self.task.label())
    }

    /// Returns the identity of the waiting function: its name, its label and its line.
    pub(super) fn subject(&self) -> impl Hash + Eq + use<'a> {
        let place = self.function.map(|it| (it.file(), it.line(), it.line_is()));
        (self.name(), self.label(), place)
    }

    /// Returns the polls per second of the task, if it wakes itself all the time at this place.
    pub(crate) fn spin_rate(&self) -> Option<u64> {
        let polls = self.task.polls_per_second();
        polls.filter(|_| self.wait() == Some(Wait::Yielded) || self.is_out_of_budget())
    }

    /// Returns `true` if the task does not wait here: everything that it awaited was ready until it used up its coop
    /// budget.
    pub(crate) fn is_out_of_budget(&self) -> bool {
        self.wait() == Some(Wait::OutOfBudget)
    }

    /// Returns the number of waits at this place.
    pub(crate) fn count(&self) -> usize {
        self.frame.count().max(1)
    }

    /// Returns `true` if the task waits here. It does not wait here if it runs, or if it awaits another task, whose own
    /// waits say more.
    pub(super) fn is_wait(&self) -> bool {
        let awaits_task = self.resource.is_none() && !self.task.awaits().is_empty();
        self.wait().is_some() && self.wait() != Some(Wait::Running) && !awaits_task
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_method_is_not_repeated() {
        let cache = "moka::future::Cache (another call initializes the value)";
        let remark = "another call initializes the value";
        assert_eq!(without_type(cache, "moka::future::Cache::get_with"), remark);
        for library in [
            "moka::future::Other::get_with",
            "app",
            "moka::future::Cache",
        ] {
            assert_eq!(without_type(cache, library), cache);
        }
        let acquire = "tokio::sync::Semaphore::acquire";
        assert_eq!(without_type(acquire, "deadpool::Pool::get"), acquire);
    }

    #[test]
    fn a_leaf_has_the_innermost_program_function_and_the_library_function_below_it() {
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
        // A library function that takes something out of a pool explains the wait of its caller.
        let query = || Frame::sample("sqlx::Query::fetch_one", 4).into_dependency();
        let pool = || Frame::sample("sqlx::Pool::acquire", 4).into_dependency();
        let awaited = |pool: Frame| {
            let frames = [below(main(), below(query(), pool))];
            let leaf = leaves(&frames)[0];
            (leaf.pool.map(library_call::name), leaf.rank)
        };
        let connect = || Frame::sample("tokio::net::TcpStream::connect", 5).into_dependency();
        let taken = (Some("sqlx::Pool::acquire".to_owned()), WaitRank::Lock);
        assert_eq!(awaited(below(pool(), acquire())), taken);
        assert_eq!(awaited(below(inner(), below(pool(), acquire()))), taken);
        let connects = connect().into_resource();
        assert_eq!(awaited(below(pool(), connects)), (None, WaitRank::Io));
        assert_eq!(awaited(acquire()), (None, WaitRank::Lock));
        // A call that waits for a permit and for the end of the pool is one wait.
        let end = || Frame::sample("event_listener::EventListener", 6).into_dependency();
        let acquire_either = pool().with_children([end().into_resource(), acquire()]);
        let frames = [below(main(), below(query(), acquire_either))];
        let leaves = leaves(&frames);
        let parts: Vec<bool> = leaves.iter().map(|leaf| leaf.is_part_of_call).collect();
        assert_eq!(parts, [true, false]);
        // If there is no function of the program, the innermost function of all is returned.
        assert_eq!(
            of(below(layer(), acquire())),
            is("tower::Layer::call", None)
        );
    }
}
