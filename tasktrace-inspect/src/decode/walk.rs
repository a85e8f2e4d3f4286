//! Walks a value and collects the futures in it.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use super::collection::Inner;
use super::hold::Hold;
use super::kind::Known;
use super::label::{Labels, Role};
use super::leaf::Queue;
use super::node::{Label, NodeKind, Nodes};
use super::plan::{Goal, Plan, Plans, Step, is_poll_fn};
use super::state::States;
use crate::address::Address;
use crate::debug::TypeId;
use crate::hash::{FastMap, FastSet};
use crate::limits::{Deadline, Limits};
use crate::value::{Reader, Value};

/// The largest number of nested values for each frame of a tree.
const NESTED: usize = 16;

/// Decodes futures.
pub(crate) struct Decoder<'r, 'a, 'd> {
    pub(super) reader: &'r Reader<'a, 'd>,
    pub(super) plans: Plans,
    pub(super) states: States<'d>,
    pub(super) labels: Labels,
    pub(super) limits: Limits,
    deadline: Deadline,
    /// The queues of semaphores, as they were when a task was decoded that waits in them.
    pub(super) queues: RefCell<FastMap<Address, Rc<Queue>>>,
    /// The number of nodes in the last tree, at most [`MOST_NODES`]. The next tree gets this capacity.
    nodes: Cell<usize>,
    /// The set of coroutines of the last walk, emptied, so that the next walk allocates none.
    seen: RefCell<FastSet<Value>>,
}

/// The largest initial capacity of a tree, in nodes.
const MOST_NODES: usize = 64;

/// The largest capacity of a set that is kept. Clearing a set takes time that grows with its capacity.
const MOST_SEEN: usize = 512;

/// The futures and guards in a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) nodes: Nodes,
    pub(crate) holds: Vec<Hold>,
    /// It may wait for something that is not in the nodes.
    pub(crate) may_wait_elsewhere: bool,
    /// The memory whose guards are all in `holds`.
    pub(crate) searched: Vec<Range<u64>>,
    /// The addresses of the coroutines in the tree and in variables, in no particular order.
    pub(crate) coroutines: Vec<Address>,
}

impl<'r, 'a, 'd> Decoder<'r, 'a, 'd> {
    pub(crate) fn new(reader: &'r Reader<'a, 'd>, limits: Limits, deadline: Deadline) -> Self {
        Self {
            reader,
            plans: Plans::default(),
            states: States::default(),
            labels: Labels::default(),
            limits,
            deadline,
            queues: RefCell::default(),
            nodes: Cell::default(),
            seen: RefCell::default(),
        }
    }

    /// Finds the futures in a value, which may be one itself.
    pub(crate) fn decode(&self, value: Value) -> Decoded {
        let mut walk = self.walk();
        // Most tasks are like the last one.
        let mut nodes = Nodes::with_capacity(self.nodes.get());
        walk.futures(value, 0, &mut nodes);
        self.nodes.set(nodes.iter().count().min(MOST_NODES));
        walk.guards_of_root(value);
        let coroutines = walk.coroutines.iter().map(|it| it.address).collect();
        let mut seen = std::mem::take(&mut walk.coroutines);
        if seen.capacity() <= MOST_SEEN {
            seen.clear();
            *self.seen.borrow_mut() = seen;
        }
        Decoded {
            nodes,
            holds: walk.holds,
            may_wait_elsewhere: walk.may_wait_elsewhere,
            searched: walk.searched,
            coroutines,
        }
    }

    /// Returns the headers of the closures of `spawn_blocking` in a queue, in its order.
    pub(crate) fn closures(&self, queue: Value) -> Vec<Address> {
        let mut closures = Vec::new();
        self.walk().closures(queue, 0, &mut closures);
        closures
    }

    pub(crate) fn reader(&self) -> &'r Reader<'a, 'd> {
        self.reader
    }

    fn walk(&self) -> Walk<'_, 'r, 'a, 'd> {
        Walk {
            decoder: self,
            values: self.limits.values_per_task,
            frames: self.limits.frames_per_task,
            is_marked: false,
            nesting: 0,
            caller: None,
            is_wrapped: false,
            is_in_macro: false,
            may_wait_elsewhere: false,
            searched: Vec::new(),
            followed: FastSet::default(),
            coroutines: self.seen.take(),
            holds: Vec::new(),
            awaited: FastSet::default(),
        }
    }

    /// Forgets the queues of semaphores.
    pub(crate) fn forget(&self) {
        self.queues.borrow_mut().clear();
    }
}

/// A walk through one task.
pub(super) struct Walk<'w, 'r, 'a, 'd> {
    pub(super) decoder: &'w Decoder<'r, 'a, 'd>,
    /// The number of values that may still be read.
    values: usize,
    /// The number of frames that may still be added.
    frames: usize,
    /// It was said already that there is more.
    is_marked: bool,
    /// The number of frames around the current value.
    pub(super) nesting: usize,
    /// The innermost function of the program around the current value, or the outermost plumbing.
    pub(super) caller: Option<Rc<Label>>,
    /// A wrapper is around the current value, and no function is in between.
    pub(super) is_wrapped: bool,
    /// A macro of a runtime, such as `select!`, made the current value.
    pub(super) is_in_macro: bool,
    /// The task may wait for something that is not in the tree.
    pub(super) may_wait_elsewhere: bool,
    /// The memory whose guards are all in `holds`.
    pub(super) searched: Vec<Range<u64>>,
    /// The targets of pointers that were followed.
    followed: FastSet<(Address, TypeId, Goal)>,
    /// The coroutines that were read: those in the tree, and those in variables that may have guards.
    pub(super) coroutines: FastSet<Value>,
    pub(super) holds: Vec<Hold>,
    /// The semaphores that are waited for in the tree.
    pub(super) awaited: FastSet<Address>,
}

impl<'r, 'a, 'd> Walk<'_, 'r, 'a, 'd> {
    pub(super) fn reader(&self) -> &'r Reader<'a, 'd> {
        self.decoder.reader
    }

    pub(super) fn plan(&self, id: TypeId, goal: Goal) -> Plan {
        self.decoder.plans.get(self.reader().types, id, goal)
    }

    /// Takes a step, unless a bound is reached.
    pub(super) fn step(&mut self, depth: usize) -> bool {
        if self.values == 0 || depth > self.decoder.limits.depth.saturating_mul(NESTED) {
            return false;
        }
        self.values -= 1;
        if self.values.is_multiple_of(1024) && self.decoder.deadline.is_over() {
            self.values = 0;
        }
        self.values > 0
    }

    /// Returns `true` the first time that a target of a pointer is met.
    pub(super) fn is_new(&mut self, target: Value, goal: Goal) -> bool {
        self.followed.insert((target.address, target.id, goal))
    }

    /// Returns `true` if another frame may be shown.
    pub(super) fn may_show(&mut self) -> bool {
        self.frames = self.frames.saturating_sub(1);
        self.frames > 0 && self.nesting < self.decoder.limits.depth
    }

    /// Says once that there is more than is shown.
    pub(super) fn mark_more(&mut self, out: &mut Nodes) {
        if !self.is_marked {
            self.is_marked = true;
            out.mark("more is not shown: the tree is too large");
        }
    }

    /// Collects the futures in a value.
    pub(super) fn futures(&mut self, value: Value, depth: usize, out: &mut Nodes) {
        if !self.step(depth) {
            self.mark_more(out);
            return;
        }
        let step = self.decoder.plans.step(self.reader().types, value.id);
        self.look_for_other_waits(value, &step);
        match &step.plan {
            Plan::Nothing => {}
            Plan::Coroutine => self.coroutine(value, depth, out),
            Plan::Known(Known::Leaf(leaf)) => {
                if self.may_show() {
                    self.awaited.extend(self.leaf(value, *leaf, out));
                } else {
                    self.mark_more(out);
                }
            }
            Plan::Known(Known::Timeout) => self.timeout(value, depth, out),
            plan @ (Plan::Fields(_) | Plan::Variants) if !self.is_wrapped && !step.is_plain => {
                self.is_wrapped = true;
                let label = self.decoder.labels.get(value.id, Role::Wrapper, || {
                    Label::new(NodeKind::Wrapper, self.reader().types.path(value.id))
                });
                let at = out.open(label);
                self.inner_futures(value, plan, depth, out);
                self.is_wrapped = false;
                out.close_or_remove(at);
            }
            plan => self.inner_futures(value, plan, depth, out),
        }
    }

    /// Notices if a value may wait for something that the walk does not lead to.
    fn look_for_other_waits(&mut self, value: Value, step: &Step) {
        if self.may_wait_elsewhere {
            return;
        }
        let types = self.reader().types;
        self.may_wait_elsewhere = match step.plan {
            // Its variants are looked at one by one, and those of other kinds are judged by their types.
            Plan::Variants if !step.may_wait_elsewhere => {
                let variant = types.get(value.id).and_then(|ty| {
                    let (_, fields) = self.reader().variant(value, &ty)?;
                    Some(fields.id)
                });
                let plans = &self.decoder.plans;
                variant.is_none_or(|it| plans.variant_may_wait_elsewhere(types, value.id, it))
            }
            // The macro knows the futures that it polls: they are all in the closure.
            Plan::Fields(_) if self.is_in_macro && is_poll_fn(&types.path(value.id)) => false,
            _ => step.may_wait_elsewhere,
        };
    }

    fn inner_futures(&mut self, value: Value, plan: &Plan, depth: usize, out: &mut Nodes) {
        match self.inner(value, plan, Goal::Future) {
            Inner::One(inner) => self.inner_future(inner, plan, depth, out),
            Inner::Values(values, more) => {
                for inner in values {
                    self.inner_future(inner, plan, depth, out);
                }
                if let Some(more) = more {
                    out.mark(more);
                }
            }
            Inner::Problem(text) => out.mark(text),
        }
    }

    fn inner_future(&mut self, inner: Value, plan: &Plan, depth: usize, out: &mut Nodes) {
        match plan {
            // The variants of an enum that wait for nothing.
            Plan::Variants if self.is_nothing(inner) => {}
            // A future of which nothing is known but its type.
            Plan::Dynamic if self.is_nothing(inner) => {
                self.may_wait_elsewhere = true;
                self.unknown(inner, out);
            }
            _ => self.futures(inner, depth + 1, out),
        }
    }

    fn is_nothing(&self, value: Value) -> bool {
        let step = self.decoder.plans.step(self.reader().types, value.id);
        matches!(step.plan, Plan::Nothing)
    }

    /// Collects the closures in a value.
    fn closures(&mut self, value: Value, depth: usize, out: &mut Vec<Address>) {
        if !self.step(depth) {
            return;
        }
        let plan = self.plan(value.id, Goal::Closure);
        if let Plan::Known(Known::Closure) = plan {
            let pointer = self.reader().find_pointer(value);
            out.extend(pointer.and_then(|it| self.reader().pointer(it)));
            return;
        }
        for inner in self.inner(value, &plan, Goal::Closure).values() {
            self.closures(inner, depth + 1, out);
        }
    }

    fn timeout(&mut self, value: Value, depth: usize, out: &mut Nodes) {
        let reader = self.reader();
        let label = self.decoder.labels.get(value.id, Role::Wrapper, || {
            Label::new(NodeKind::Wrapper, "tokio::time::timeout")
        });
        let at = out.open(label);
        out.set_resource(at, self.sleep(value));
        self.nesting += 1;
        if let Some(inner) = reader.find(value, "value") {
            self.futures(inner, depth + 1, out);
            if !out.has_children(at) {
                self.unknown(inner, out);
            }
        }
        self.nesting -= 1;
        out.close(at);
    }
}
