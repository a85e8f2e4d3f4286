//! Reads each task as it was at one moment: reads it again if it has changed while it was read.

use std::collections::HashMap;
use std::rc::Rc;

use crate::address::Address;
use crate::async_task::AsyncTask;
use crate::build::{Origin, ReadTask};
use crate::debug::TypeId;
use crate::decode::{Decoded, Decoder, Label, NodeKind, Resource};
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

/// The problem of a task that a thread polls.
const RUNNING: &str = "it is running, and its frames change";

/// The problem of a task that a thread was polling when the process was stopped.
const WAS_RUNNING: &str = "it is running: this is where it waited last";

/// The result of reading a list of tasks.
pub(crate) struct Reads {
    /// The tasks that were read and have not ended, in the order of the list.
    pub(crate) tasks: Vec<ReadTask>,
    /// The number of tasks at the end of the list for which there was no time.
    pub(crate) late: usize,
}

/// Reads tasks such that what is shown of each was there at one moment.
pub(crate) struct TaskReader<'v, 'a, 'd> {
    pub(crate) reader: &'v Reader<'a, 'd>,
    pub(crate) decoder: &'v Decoder<'v, 'a, 'd>,
    /// `true` if the memory cannot change while it is read: the process is stopped, or there is only a core file.
    pub(crate) is_stopped: bool,
}

/// The number of tasks in a batch.
const AT_ONCE: usize = 32;

/// The result of reading a task once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Once {
    /// The result is valid.
    Whole,
    /// The result is valid if all memory that was read for it is the same afterwards.
    IfUnchanged,
    /// The result is not valid: a thread polled the task meanwhile, or its memory could not be recorded.
    Changed,
    /// The task has ended.
    Ended,
}

impl TaskReader<'_, '_, '_> {
    /// Returns tasks of tokio, without those that have ended meanwhile.
    pub(crate) fn tasks(&self, headers: &[Header], deadline: Deadline) -> Reads {
        let new = |header: &Header| ReadTask {
            id: header.id,
            origin: Origin::Task(*header),
            root: None,
            runtime: Some(header.owner).filter(|owner| *owner != 0),
            state: state(header, header.state),
            default_name: self.default_name(header),
            decoded: Decoded::default(),
            problem: None,
        };
        self.read(headers, deadline, new, |header, read| {
            self.task_once(header, read)
        })
    }

    /// Reads tasks in batches. Reads a task again, a limited number of times, if it changes while it is read.
    ///
    /// A task is read twice: once when it is decoded, through the cache, and once by
    /// [`PageCache::changed_parts`], when all tasks of its batch are decoded. So all words of a task were read a first
    /// time before any of them is read a second time. If none has changed, then all of them were there at the moment
    /// in between. This holds for each task by itself: a batch only puts more time between the two readings. A word
    /// that changes with each poll, like [`Root::polls`], is among these words. So it is certain that no poll has
    /// changed them and changed them back. Tasks of tokio have no such word: all of their cell is compared instead.
    ///
    /// [`PageCache::changed_parts`]: crate::memory::PageCache::changed_parts
    fn read<T>(
        &self,
        tasks: &[T],
        deadline: Deadline,
        new: impl Fn(&T) -> ReadTask,
        once: impl Fn(&T, &mut ReadTask) -> Once,
    ) -> Reads {
        let memory = self.reader.memory;
        let mut reads = Reads {
            tasks: Vec::with_capacity(tasks.len()),
            late: 0,
        };
        for batch in tasks.chunks(AT_ONCE) {
            if deadline.is_over() {
                reads.late += batch.len();
                continue;
            }
            let mut read: Vec<ReadTask> = batch.iter().map(&new).collect();
            let values = read.iter().filter_map(|task| task.origin.value());
            memory.prefetch(values.map(|value| (value.address, self.size(value))));
            if !self.is_stopped {
                memory.record();
            }
            let mut results = Vec::with_capacity(batch.len());
            for (task, read) in batch.iter().zip(&mut read) {
                results.push(once(task, read));
                memory.next_part();
            }
            let changed = memory.changed_parts();
            for (part, mut read) in read.into_iter().enumerate() {
                let is_alive = match results[part] {
                    Once::Whole => true,
                    Once::IfUnchanged if !changed.contains(&part) => true,
                    Once::IfUnchanged | Once::Changed => {
                        self.forget();
                        self.read_again(&mut read, |read| once(&batch[part], read))
                    }
                    Once::Ended => false,
                };
                if is_alive {
                    reads.tasks.push(read);
                }
            }
        }
        reads
    }

    /// Reads a task until it does not change meanwhile. Returns `false` if it has ended.
    fn read_again(&self, read: &mut ReadTask, once: impl Fn(&mut ReadTask) -> Once) -> bool {
        for _ in 0..ATTEMPTS {
            self.reader.memory.record();
            match once(read) {
                Once::Whole => return true,
                Once::IfUnchanged if self.reader.memory.is_unchanged() => return true,
                Once::IfUnchanged | Once::Changed => {}
                Once::Ended => return false,
            }
            self.forget();
        }
        read.decoded = Decoded::default();
        read.problem = Some(match read.state {
            TaskState::Running => RUNNING.to_owned(),
            _ => CHANGED.to_owned(),
        });
        true
    }

    /// Reads a task of tokio.
    fn task_once(&self, header: &Header, read: &mut ReadTask) -> Once {
        if self.is_stopped {
            self.decode(header, header.state, read);
            return Once::Whole;
        }
        let Some(state_now) = self.reader.word(header.state_address) else {
            return Once::Ended;
        };
        let state_now = State(state_now);
        read.state = state(header, state_now);
        let is_recorded = header.is_blocking || self.record_whole(header.value()).is_some();
        self.decode(header, state_now, read);
        match () {
            () if header.is_blocking => Once::Whole,
            () if !is_recorded || state_now.is_running() => Once::Changed,
            () => Once::IfUnchanged,
        }
    }

    fn decode(&self, header: &Header, state_now: State, read: &mut ReadTask) {
        read.problem = None;
        read.decoded = Decoded::default();
        if state_now.is_complete() {
            return;
        }
        if header.is_blocking {
            show_closure(header, state_now, read);
            return;
        }
        if state_now.is_running() && !self.is_stopped {
            read.problem = Some(RUNNING.to_owned());
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
                by_coroutine.extend(coroutines.map(|it| (*it, at)));
            }
        }
        let mut others = Vec::new();
        for root in roots {
            match root.task.and_then(|task| by_id.get(&task)) {
                Some(at) => {
                    tasks[*at].root.get_or_insert(root.number);
                }
                None => others.push(*root),
            }
        }
        let reads = self.roots(&others, deadline);
        for task in reads.tasks {
            let mut coroutines = task.decoded.coroutines.iter();
            match coroutines.find_map(|it| by_coroutine.get(it)) {
                Some(at) => {
                    tasks[*at].root = tasks[*at].root.or(task.root);
                }
                None => tasks.push(task),
            }
        }
        reads.late
    }

    /// Returns the futures at roots.
    fn roots(&self, roots: &[Root], deadline: Deadline) -> Reads {
        let new = |root: &Root| {
            let future = own::future(self.reader, root);
            let ty = future.map(|future| self.reader.types.path(future.id));
            ReadTask {
                id: None,
                origin: future.map_or(Origin::Unknown(root.future), Origin::Future),
                root: Some(root.number),
                runtime: None,
                state: TaskState::Suspended,
                default_name: ty.unwrap_or_else(|| "a future".into()),
                decoded: Decoded::default(),
                problem: None,
            }
        };
        self.read(roots, deadline, new, |root, read| {
            let Origin::Future(future) = read.origin else {
                read.problem = Some("its type is not in the debug info".to_owned());
                return Once::Whole;
            };
            let polls = self.reader.word(root.polls);
            read.state = match polls.is_some_and(|polls| polls & 1 == 0) {
                true => TaskState::Suspended,
                false => TaskState::Running,
            };
            self.decode_between_polls(read, future)
        })
    }

    /// Returns tasks of async-task, without those that have ended meanwhile.
    pub(crate) fn async_tasks(&self, tasks: &[AsyncTask], deadline: Deadline) -> Reads {
        let new = |task: &AsyncTask| ReadTask {
            id: None,
            origin: Origin::AsyncTask(*task),
            root: None,
            runtime: None,
            state: TaskState::Suspended,
            default_name: self.type_name(task.future.id),
            decoded: Decoded::default(),
            problem: None,
        };
        self.read(tasks, deadline, new, |task, read| {
            read.state = match task.state(self.reader) {
                Some(state) if state.has_ended() => return Once::Ended,
                Some(state) if state.is_running() => TaskState::Running,
                Some(state) if state.is_scheduled() => TaskState::Notified,
                Some(_) => TaskState::Suspended,
                None => return Once::Ended,
            };
            self.decode_between_polls(read, task.future)
        })
    }

    /// Decodes a task of async-task, unless a thread polls it or it has ended.
    fn decode_suspended(&self, task: &AsyncTask) -> Option<Decoded> {
        self.record_whole(task.future)?;
        let state = task.state(self.reader)?;
        let is_suspended = !state.is_running() && !state.has_ended();
        is_suspended.then(|| self.decoder.decode(task.future))
    }

    /// Decodes a future whose state was read, unless a thread polls it.
    fn decode_between_polls(&self, read: &mut ReadTask, future: Value) -> Once {
        let is_running = read.state == TaskState::Running;
        if is_running && !self.is_stopped {
            return Once::Changed;
        }
        let is_recorded = self.is_stopped || self.record_whole(future).is_some();
        read.decoded = self.decoder.decode(future);
        read.decoded.may_wait_elsewhere |= is_running;
        read.problem = None;
        if is_running {
            read.problem = Some(WAS_RUNNING.to_owned());
        } else if read.decoded.nodes.is_empty() {
            read.problem = Some("no future was found in it".to_owned());
        }
        match is_recorded {
            _ if self.is_stopped => Once::Whole,
            true => Once::IfUnchanged,
            false => Once::Changed,
        }
    }

    /// Returns what is in a future, if that does not change while it is read.
    pub(crate) fn decode_unchanged(&self, future: Value) -> Option<Decoded> {
        for _ in 0..ATTEMPTS {
            self.reader.memory.record();
            let is_recorded = self.record_whole(future).is_some();
            let decoded = self.decoder.decode(future);
            if is_recorded && self.reader.memory.is_unchanged() {
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
        self.reader
            .memory
            .load(value.address, self.size(value))
            .ok()
    }

    /// Returns the number of bytes of a cell or a future that are compared.
    fn size(&self, value: Value) -> usize {
        let size = self.reader.ty(value).map_or(0, |ty| ty.size);
        usize::try_from(size.min(COMPARED)).unwrap_or_default()
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
fn show_closure(header: &Header, state: State, read: &mut ReadTask) {
    let label = Label::new(NodeKind::Leaf, "tokio::task::spawn_blocking");
    let thread = Resource::Thread {
        is_running: state.is_running(),
        queue: header.queue,
    };
    read.decoded.nodes.push(Rc::new(label), Some(thread));
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

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::debug::{DebugFile, SplitFiles, Types};
    use crate::limits::Limits;
    use crate::memory::{Memory, PageCache, Region, Unreadable};

    /// All words of a page are the number of times that it was read, up to a most.
    struct Changing {
        reads: RefCell<HashMap<u64, u64>>,
        most: fn(u64) -> u64,
    }

    impl Memory for Changing {
        fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
            let page = address.get() / 4096;
            let mut reads = self.reads.borrow_mut();
            let count = reads.entry(page).or_default();
            *count = (*count + 1).min((self.most)(page));
            for word in buffer.chunks_exact_mut(8) {
                word.copy_from_slice(&count.to_le_bytes());
            }
            Ok(())
        }

        fn regions(&self) -> &[Region] {
            &[]
        }
    }

    /// Calls `run` with a reader of tasks in this memory.
    fn with_task_reader(
        memory: &Changing,
        is_stopped: bool,
        run: impl FnOnce(&TaskReader<'_, '_, '_>),
    ) {
        // Debug info without an async block has no types of tasks.
        drop(std::hint::black_box(async {}));
        let image = DebugFile::open(Path::new("/proc/self/exe")).unwrap();
        let split = SplitFiles::open(&image, image.path(), None).unwrap();
        let types = Types::load(&image, &split, image.path()).unwrap();
        let cache = PageCache::new(memory);
        let reader = Reader::new(&types, &cache, 0);
        let deadline = Deadline::after(Duration::from_secs(60));
        let decoder = Decoder::new(&reader, Limits::default(), deadline);
        run(&TaskReader {
            reader: &reader,
            decoder: &decoder,
            is_stopped,
        });
    }

    fn task_at(address: &Address) -> ReadTask {
        ReadTask {
            id: None,
            origin: Origin::Unknown(*address),
            root: None,
            runtime: None,
            state: TaskState::Suspended,
            default_name: "a task".into(),
            decoded: Decoded::default(),
            problem: None,
        }
    }

    #[test]
    fn memory_that_cannot_change_is_read_once() {
        let memory = Changing {
            reads: RefCell::default(),
            most: |_| u64::MAX,
        };
        let tasks: Vec<Address> = (1..=40).map(|page| Address::new(page * 4096)).collect();
        let deadline = Deadline::after(Duration::from_secs(60));
        with_task_reader(&memory, true, |task_reader| {
            let reads = task_reader.read(&tasks, deadline, task_at, |address, read| {
                read.id = task_reader.reader.word(*address);
                Once::Whole
            });
            assert!(reads.tasks.iter().all(|task| task.id == Some(1)));
        });
        let reads = memory.reads.borrow();
        assert_eq!(reads.len(), tasks.len());
        assert!(reads.values().all(|count| *count == 1), "{reads:?}");
    }

    #[test]
    fn a_task_that_changes_while_its_batch_is_read_is_read_until_it_does_not_change() {
        // Page 3 changes until it was read four times, and page 5 always.
        let memory = Changing {
            reads: RefCell::default(),
            most: |page| match page {
                3 => 4,
                5 => u64::MAX,
                _ => 1,
            },
        };
        let deadline = Deadline::after(Duration::from_secs(60));
        let tasks: Vec<Address> = (1..=40).map(|page| Address::new(page * 4096)).collect();
        let times = RefCell::new(HashMap::new());
        with_task_reader(&memory, false, |task_reader| {
            let reads = task_reader.read(&tasks, deadline, task_at, |address, read| {
                *times.borrow_mut().entry(*address).or_insert(0) += 1;
                read.id = task_reader.reader.word(*address);
                Once::IfUnchanged
            });
            assert_eq!(reads.late, 0);
            let read = reads.tasks.iter().map(|task| task.origin.address());
            assert!(read.eq(tasks.iter().copied()));
            for (address, task) in tasks.iter().zip(&reads.tasks) {
                let times = times.borrow()[address];
                let problem = task.problem.as_deref();
                match address.get() / 4096 {
                    // The third time, it is the same when it is compared.
                    3 => assert_eq!((task.id, problem, times), (Some(4), None, 3)),
                    5 => assert_eq!((problem, times), (Some(CHANGED), ATTEMPTS + 1)),
                    _ => assert_eq!((task.id, problem, times), (Some(1), None, 1)),
                }
            }
        });
    }
}
