//! Walks a value and collects the futures in it.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::collection::Inner;
use super::hold::Hold;
use super::kind::Known;
use super::leaf::Queue;
use super::node::{Node, NodeKind, Resource};
use super::plan::{Goal, Plan, Plans, is_poll_fn};
use super::state::{State, States};
use crate::address::Address;
use crate::debug::{TypeId, Types};
use crate::hash::{FastMap, FastSet};
use crate::limits::{Deadline, Limits};
use crate::value::{Reader, Value};

/// The largest number of nested values for each frame of a tree.
const NESTED: usize = 16;

/// Returns `true` for types that are not worth a line: those of runtimes and of the standard library, tuples, and
/// closures.
fn is_plain(types: &Types<'_>, path: &str) -> bool {
    path.starts_with(['(', '&', '*', '[']) || path.contains('{') || types.is_runtime(path)
}

/// Decodes futures.
pub(crate) struct Decoder<'r, 'a, 'd> {
    pub(super) reader: &'r Reader<'a, 'd>,
    pub(super) plans: Plans,
    pub(super) states: States<'d>,
    pub(super) limits: Limits,
    deadline: Deadline,
    /// The queues of semaphores, as they were when a task was decoded that waits in them.
    pub(super) queues: RefCell<FastMap<Address, Rc<Queue>>>,
}

/// The futures and guards in a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) nodes: Vec<Node>,
    pub(crate) holds: Vec<Hold>,
    /// It may wait for something that is not in the nodes.
    pub(crate) may_wait_elsewhere: bool,
    /// The memory whose guards are all in `holds`.
    pub(crate) searched: Vec<Range<u64>>,
    /// The coroutines in the tree.
    pub(crate) coroutines: FastSet<Value>,
}

impl<'r, 'a, 'd> Decoder<'r, 'a, 'd> {
    pub(crate) fn new(reader: &'r Reader<'a, 'd>, limits: Limits, deadline: Deadline) -> Self {
        Self {
            reader,
            plans: Plans::default(),
            states: States::default(),
            limits,
            deadline,
            queues: RefCell::default(),
        }
    }

    /// Finds the futures in a value, which may be one itself.
    pub(crate) fn decode(&self, value: Value) -> Decoded {
        let mut walk = self.walk();
        let mut nodes = Vec::with_capacity(1);
        walk.futures(value, 0, &mut nodes);
        walk.guards_of_root(value);
        Decoded {
            nodes,
            holds: walk.holds,
            may_wait_elsewhere: walk.may_wait_elsewhere,
            searched: walk.searched,
            coroutines: walk.coroutines,
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
            coroutines: FastSet::default(),
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
    pub(super) caller: Option<Rc<State<'d>>>,
    /// A wrapper is around the current value, and no function is in between.
    pub(super) is_wrapped: bool,
    /// A macro of a runtime, such as `select!`, made the future that is looked at.
    pub(super) is_in_macro: bool,
    /// The task may wait for something that is not in the tree.
    pub(super) may_wait_elsewhere: bool,
    /// The memory whose guards are all in `holds`.
    pub(super) searched: Vec<Range<u64>>,
    /// The targets of pointers that were followed.
    followed: FastSet<(Address, TypeId, Goal)>,
    /// The coroutines in the tree.
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
    pub(super) fn mark_more(&mut self, out: &mut Vec<Node>) {
        if !self.is_marked {
            self.is_marked = true;
            out.push(Node::mark("more is not shown: the tree is too large"));
        }
    }

    /// Collects the futures in a value.
    pub(super) fn futures(&mut self, value: Value, depth: usize, out: &mut Vec<Node>) {
        if !self.step(depth) {
            self.mark_more(out);
            return;
        }
        let plan = self.plan(value.id, Goal::Future);
        self.look_for_other_waits(value, &plan);
        match plan {
            Plan::Nothing => {}
            Plan::Coroutine => self.coroutine(value, depth, out),
            Plan::Known(Known::Leaf(leaf)) => {
                if self.may_show() {
                    let node = self.leaf(value, leaf);
                    if let Some(Resource::Permits { semaphore, .. }) = node.resource.as_deref() {
                        self.awaited.insert(*semaphore);
                    }
                    out.push(node);
                } else {
                    self.mark_more(out);
                }
            }
            Plan::Known(Known::Timeout) => self.timeout(value, depth, out),
            Plan::Fields(_) | Plan::Variants if !self.is_wrapped => {
                let path = self.reader().types.path(value.id);
                if is_plain(self.reader().types, &path) {
                    self.inner_futures(value, &plan, depth, out);
                    return;
                }
                self.is_wrapped = true;
                let mut node = Node::new(NodeKind::Wrapper, path);
                self.inner_futures(value, &plan, depth, &mut node.children);
                self.is_wrapped = false;
                if !node.children.is_empty() {
                    out.push(node);
                }
            }
            plan => self.inner_futures(value, &plan, depth, out),
        }
    }

    /// Notices if a value may wait for something that the walk does not lead to.
    fn look_for_other_waits(&mut self, value: Value, plan: &Plan) {
        if self.may_wait_elsewhere {
            return;
        }
        let types = self.reader().types;
        let plans = &self.decoder.plans;
        self.may_wait_elsewhere = match plan {
            // Its variants are looked at one by one, and those of other kinds are judged by their types.
            Plan::Variants if !plans.may_wait_elsewhere(types, value.id) => {
                let variant = types.get(value.id).and_then(|ty| {
                    let (_, fields) = self.reader().variant(value, &ty)?;
                    Some(plans.variant_may_wait_elsewhere(types, ty.structure()?, fields.id))
                });
                variant.unwrap_or(true)
            }
            // The macro knows the futures that it polls: they are all in the closure.
            Plan::Fields(_) if self.is_in_macro && is_poll_fn(&types.path(value.id)) => false,
            _ => plans.may_wait_elsewhere(types, value.id),
        };
    }

    fn inner_futures(&mut self, value: Value, plan: &Plan, depth: usize, out: &mut Vec<Node>) {
        match self.inner(value, plan, Goal::Future) {
            Inner::Values(values, more) => {
                for inner in values {
                    match self.plan(inner.id, Goal::Future) {
                        // The variants of an enum that wait for nothing.
                        Plan::Nothing if matches!(plan, Plan::Variants) => {}
                        // A future of which nothing is known but its type.
                        Plan::Nothing if matches!(plan, Plan::Dynamic) => {
                            self.may_wait_elsewhere = true;
                            out.push(self.unknown(inner));
                        }
                        _ => self.futures(inner, depth + 1, out),
                    }
                }
                out.extend(more.map(Node::mark));
            }
            Inner::Problem(text) => out.push(Node::mark(text)),
        }
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
        if let Inner::Values(values, _) = self.inner(value, &plan, Goal::Closure) {
            for inner in values {
                self.closures(inner, depth + 1, out);
            }
        }
    }

    fn timeout(&mut self, value: Value, depth: usize, out: &mut Vec<Node>) {
        let reader = self.reader();
        let mut node = Node::new(NodeKind::Wrapper, "tokio::time::timeout");
        node.resource = self.sleep(value).map(Box::new);
        self.nesting += 1;
        if let Some(inner) = reader.find(value, "value") {
            self.futures(inner, depth + 1, &mut node.children);
            if node.children.is_empty() {
                node.children.push(self.unknown(inner));
            }
        }
        self.nesting -= 1;
        out.push(node);
    }
}
