//! Reads each task as it was at one moment: reads it again if it has changed while it was read.

use std::collections::HashMap;

use crate::address::Address;
use crate::async_task::AsyncTask;
use crate::build::{Origin, ReadTask};
use crate::debug::TypeId;
use crate::decode::{Decoded, Decoder, Node, NodeKind, Resource};
use crate::limits::Deadline;
use crate::own::{self, Root};
use crate::report::TaskState;
use crate::text::Text;
use crate::tokio::{Header, State};
use crate::value::{Reader, Value};

/// The number of times that a task is read again if it changes while it is read.
pub(crate) const ATTEMPTS: usize = 5;

/// The largest cell that is compared with what it was when it was decoded.
const COMPARED: u64 = 1 << 20;

/// The problem of a task that is polled again and again.
pub(crate) const CHANGED: &str = "it changed whenever it was read";

/// The problem of a task that a thread was polling when the process was stopped.
const WAS_RUNNING: &str = "it is running: this is where it waited last";

/// Reads tasks such that what is shown of each was there at one moment.
pub(crate) struct TaskReader<'v, 'a, 'd> {
    pub(crate) reader: &'v Reader<'a, 'd>,
    pub(crate) decoder: &'v Decoder<'v, 'a, 'd>,
    /// `true` if the memory cannot change while it is read: the process is stopped, or there is only a core file.
    pub(crate) is_stopped: bool,
}

impl TaskReader<'_, '_, '_> {
    /// Returns a task, unless it has ended meanwhile.
    pub(crate) fn task(&self, header: &Header) -> Option<ReadTask> {
        let mut read = ReadTask {
            id: header.id,
            origin: Origin::Task(*header),
            root: None,
            runtime: Some(header.owner).filter(|owner| *owner != 0),
            state: state(header, header.state),
            default_name: self.default_name(header),
            decoded: Decoded::default(),
            problem: None,
        };
        if self.is_stopped {
            self.decode(header, header.state, &mut read);
            return Some(read);
        }
        for _ in 0..ATTEMPTS {
            self.reader.memory.record();
            let state_now = State(self.reader.word(header.state_address)?);
            read.state = state(header, state_now);
            self.decode(header, state_now, &mut read);
            let value = header.value();
            if header.is_blocking || !state_now.is_running() && self.is_unchanged(value) {
                return Some(read);
            }
            self.forget();
        }
        if read.state == TaskState::Running {
            return Some(read);
        }
        read.decoded = Decoded::default();
        read.problem = Some(CHANGED.to_owned());
        Some(read)
    }

    fn decode(&self, header: &Header, state_now: State, read: &mut ReadTask) {
        read.problem = None;
        read.decoded = Decoded::default();
        if state_now.is_complete() {
            return;
        }
        if header.is_blocking {
            read.decoded.nodes.push(closure(header, state_now));
            return;
        }
        if state_now.is_running() && !self.is_stopped {
            read.problem = Some("it is running, and its frames change".to_owned());
            return;
        }
        if state_now.is_running() {
            read.problem = Some(WAS_RUNNING.to_owned());
        }
        match self.reader.find(header.value(), "stage") {
            Some(stage) => read.decoded = self.decoder.decode(stage),
            None => read.problem = Some("its future is not in the debug info".to_owned()),
        }
        // The thread that polls it may go on.
        read.decoded.may_wait_elsewhere |= read.problem.is_some();
        if read.decoded.nodes.is_empty() && read.problem.is_none() {
            read.problem = Some("no future was found in it".to_owned());
        }
    }

    /// Adds the futures at roots to the tasks: to the task that a future is in, or as a task of its own. Returns the
    /// number of those for which there was no time.
    pub(crate) fn add_roots(
        &self,
        roots: &[Root],
        tasks: &mut Vec<ReadTask>,
        deadline: Deadline,
    ) -> usize {
        let mut by_id: HashMap<u64, usize> = HashMap::new();
        // By address alone: units of the debug info describe the same type twice.
        let mut by_coroutine: HashMap<Address, usize> = HashMap::new();
        let is_any_unnumbered = roots.iter().any(|root| root.task.is_none());
        for (at, task) in tasks.iter().enumerate() {
            if task.state != TaskState::Blocking {
                by_id.extend(task.id.map(|id| (id, at)));
            }
            if task.id.is_none() || is_any_unnumbered {
                let coroutines = task.decoded.coroutines.iter();
                by_coroutine.extend(coroutines.map(|it| (it.address, at)));
            }
        }
        let mut late = 0;
        for root in roots {
            if let Some(at) = root.task.and_then(|task| by_id.get(&task)) {
                tasks[*at].root.get_or_insert(root.number);
                continue;
            }
            if deadline.is_over() {
                late += 1;
                continue;
            }
            let task = self.root(root);
            let mut coroutines = task.decoded.coroutines.iter();
            match coroutines.find_map(|it| by_coroutine.get(&it.address)) {
                Some(at) => {
                    tasks[*at].root.get_or_insert(root.number);
                }
                None => tasks.push(task),
            }
        }
        late
    }

    /// Returns the future at a root.
    fn root(&self, root: &Root) -> ReadTask {
        let future = own::future(self.reader, root);
        let ty = future.map(|future| (future, self.reader.types.path(future.id)));
        let mut read = ReadTask {
            id: None,
            origin: future.map_or(Origin::Unknown(root.future), Origin::Future),
            root: Some(root.number),
            runtime: None,
            state: TaskState::Suspended,
            default_name: ty.map_or_else(|| "a future".into(), |(_, path)| path),
            decoded: Decoded::default(),
            problem: None,
        };
        let Some(future) = future else {
            read.problem = Some("its type is not in the debug info".to_owned());
            return read;
        };
        self.decode_between_polls(&mut read, future, || {
            let polls = self.reader.word(root.polls);
            match polls.is_some_and(|polls| polls & 1 == 0) {
                true => TaskState::Suspended,
                false => TaskState::Running,
            }
        });
        read
    }

    /// Returns a task of async-task, unless it has ended meanwhile.
    pub(crate) fn async_task(&self, task: &AsyncTask) -> Option<ReadTask> {
        let mut read = ReadTask {
            id: None,
            origin: Origin::AsyncTask(*task),
            root: None,
            runtime: None,
            state: TaskState::Suspended,
            default_name: self.type_name(task.future.id),
            decoded: Decoded::default(),
            problem: None,
        };
        let state = || match task.state(self.reader) {
            Some(state) if state.has_ended() => TaskState::Finished,
            Some(state) if state.is_running() => TaskState::Running,
            Some(state) if state.is_scheduled() => TaskState::Notified,
            Some(_) => TaskState::Suspended,
            None => TaskState::Finished,
        };
        self.decode_between_polls(&mut read, task.future, state);
        (read.state != TaskState::Finished).then_some(read)
    }

    /// Decodes a task of async-task, unless a thread polls it or it has ended.
    fn decode_suspended(&self, task: &AsyncTask) -> Option<Decoded> {
        self.record_whole(task.future)?;
        let state = task.state(self.reader)?;
        let is_suspended = !state.is_running() && !state.has_ended();
        is_suspended.then(|| self.decoder.decode(task.future))
    }

    /// Decodes a future while no thread polls it, and notes the state of its task.
    fn decode_between_polls(
        &self,
        read: &mut ReadTask,
        future: Value,
        state: impl Fn() -> TaskState,
    ) {
        for _ in 0..ATTEMPTS {
            self.reader.memory.record();
            read.state = state();
            if read.state == TaskState::Finished {
                return;
            }
            if read.state != TaskState::Running || self.is_stopped {
                read.decoded = self.decoder.decode(future);
                if self.is_stopped || self.is_unchanged(future) {
                    if read.state == TaskState::Running {
                        read.problem = Some(WAS_RUNNING.to_owned());
                    } else if read.decoded.nodes.is_empty() {
                        read.problem = Some("no future was found in it".to_owned());
                    }
                    read.decoded.may_wait_elsewhere |= read.state == TaskState::Running;
                    return;
                }
            }
            self.forget();
        }
        read.decoded = Decoded::default();
        read.problem = Some(match read.state {
            TaskState::Running => "it is running, and its frames change".to_owned(),
            _ => CHANGED.to_owned(),
        });
    }

    /// Returns what is in a future, if that does not change while it is read.
    pub(crate) fn decode_unchanged(&self, future: Value) -> Option<Decoded> {
        for _ in 0..ATTEMPTS {
            self.reader.memory.record();
            let decoded = self.decoder.decode(future);
            if self.is_unchanged(future) {
                return Some(decoded);
            }
            self.forget();
        }
        None
    }

    /// Reads some of the tasks again, such that all of them were there at one moment. Returns `false` if they were not.
    pub(crate) fn read_together(&self, tasks: &mut [ReadTask], indices: &[usize]) -> bool {
        self.forget();
        self.reader.memory.record();
        let mut fresh = Vec::new();
        for index in indices {
            let Some(task) = tasks.get(*index) else {
                return false;
            };
            let decoded = match task.origin {
                Origin::Task(header) => self.decode_waiting(&header),
                Origin::AsyncTask(task) => self.decode_suspended(&task),
                Origin::Future(future) => Some(self.decoder.decode(future)),
                Origin::Unknown(_) => None,
            };
            match decoded {
                Some(decoded) => fresh.push(decoded),
                None => return false,
            }
        }
        if !self.reader.memory.is_unchanged() {
            return false;
        }
        for (index, decoded) in indices.iter().zip(fresh) {
            tasks[*index].decoded = decoded;
        }
        true
    }

    /// Decodes a task whose cell is recorded, unless a thread polls it.
    fn decode_waiting(&self, header: &Header) -> Option<Decoded> {
        self.record_whole(header.value())?;
        let state = State(self.reader.word(header.state_address)?);
        if state.is_running() || state.is_complete() {
            return None;
        }
        let stage = self.reader.find(header.value(), "stage")?;
        Some(self.decoder.decode(stage))
    }

    /// Records a whole cell or future, so that it is compared: it may change and come back to the same state.
    fn record_whole(&self, value: Value) -> Option<()> {
        let size = self.reader.ty(value).map_or(0, |ty| ty.size);
        let size = usize::try_from(size.min(COMPARED)).unwrap_or_default();
        self.reader.memory.load(value.address, size).ok()
    }

    /// Returns `true` if all that was read of a task is as it was then. `value` is its cell or its future.
    fn is_unchanged(&self, value: Value) -> bool {
        self.record_whole(value).is_some() && self.reader.memory.is_unchanged()
    }

    /// Forgets what was read of a task and of the resources that it waits for.
    pub(crate) fn forget(&self) {
        self.reader.memory.pause();
        self.reader.memory.clear();
        self.decoder.forget();
    }

    /// Returns the name of the type of the future.
    pub(crate) fn default_name(&self, header: &Header) -> Text {
        let types = self.reader.types;
        let cell = types.get(header.cell);
        let parameter = cell
            .as_ref()
            .and_then(|cell| cell.structure()?.parameters.first());
        let Some(mut id) = parameter.copied() else {
            return "a task".into();
        };
        if header.is_blocking
            && let Some(task) = types.get(id)
            && let Some(closure) = task.structure().and_then(|it| it.parameters.first())
        {
            id = *closure;
        }
        self.type_name(id)
    }

    /// Returns the name of the function that a coroutine is the body of, or the path of another type.
    fn type_name(&self, id: TypeId) -> Text {
        let types = self.reader.types;
        let ty = types.get(id);
        match ty.as_ref().is_some_and(|ty| ty.name.starts_with('{')) {
            true => types.function(id),
            false => types.path(id),
        }
    }
}

/// Shows a closure of `spawn_blocking`.
fn closure(header: &Header, state: State) -> Node {
    let mut node = Node::new(NodeKind::Leaf, "tokio::task::spawn_blocking");
    node.resource = Some(Box::new(Resource::Thread {
        is_running: state.is_running(),
        queue: header.queue,
    }));
    node
}

fn state(header: &Header, state: State) -> TaskState {
    match () {
        () if state.is_complete() => TaskState::Finished,
        () if header.is_blocking => TaskState::Blocking,
        () if state.is_running() => TaskState::Running,
        () if state.is_notified() => TaskState::Notified,
        () => TaskState::Suspended,
    }
}
