//! Reads tasks such that what is shown of each was there at one moment.

use crate::build::{Root, Seen};
use crate::decode::{Decoded, Decoder};
use crate::memory::Memory;
use crate::report::TaskState;
use crate::tokio::{Header, State};
use crate::value::Reader;

/// The number of times that a task is read again if it changes while it is read.
pub(crate) const ATTEMPTS: usize = 5;

/// The largest cell that is compared with what it was when it was decoded.
const COMPARED: u64 = 1 << 20;

/// Reads tasks such that what is shown of each was there at one moment.
pub(crate) struct View<'v, 'a, 'd> {
    pub(crate) reader: &'v Reader<'a, 'd>,
    pub(crate) decoder: &'v Decoder<'v, 'a, 'd>,
    /// Nothing changes meanwhile.
    pub(crate) is_still: bool,
}

impl View<'_, '_, '_> {
    /// Returns a task, unless it has ended meanwhile.
    pub(crate) fn task(&self, header: &Header) -> Option<Seen> {
        let mut seen = Seen {
            id: header.id,
            root: Root::Task(*header),
            state: state(header, header.state),
            fallback: self.fallback(header),
            decoded: Decoded::default(),
            problem: None,
        };
        if self.is_still {
            self.decode(header, header.state, &mut seen);
            return Some(seen);
        }
        for _ in 0..ATTEMPTS {
            self.reader.memory.record();
            let state_now = State(self.reader.word(header.state_address)?);
            seen.state = state(header, state_now);
            self.decode(header, state_now, &mut seen);
            if header.is_blocking || !state_now.is_running() && self.is_unchanged(header) {
                return Some(seen);
            }
            self.forget();
        }
        if seen.state == TaskState::Running {
            return Some(seen);
        }
        seen.decoded = Decoded::default();
        seen.problem = Some("it changed whenever it was read".to_owned());
        Some(seen)
    }

    fn decode(&self, header: &Header, state_now: State, seen: &mut Seen) {
        seen.problem = None;
        seen.decoded = Decoded::default();
        if header.is_blocking || state_now.is_complete() {
            return;
        }
        if state_now.is_running() && !self.is_still {
            seen.problem = Some("it runs, so that its frames change".to_owned());
            return;
        }
        if state_now.is_running() {
            seen.problem = Some("it runs: this is where it waited last".to_owned());
        }
        match self.reader.find(header.value(), "stage") {
            Some(stage) => seen.decoded = self.decoder.decode(stage),
            None => seen.problem = Some("its future is not in the debug info".to_owned()),
        }
        // The thread that polls it may go on.
        seen.decoded.may_hide |= seen.problem.is_some();
        if seen.decoded.nodes.is_empty() && seen.problem.is_none() {
            seen.problem = Some("no future was found in it".to_owned());
        }
    }

    /// Reads some of the tasks again, such that all of them were there at one moment. Returns `false` if they were not.
    pub(crate) fn at_once(&self, seen: &mut [Seen], tasks: &[usize]) -> bool {
        self.forget();
        self.reader.memory.record();
        let mut fresh = Vec::new();
        for task in tasks {
            let Some(task) = seen.get(*task) else {
                return false;
            };
            let decoded = match task.root {
                Root::Future(future) => Some(self.decoder.decode(future)),
                Root::Task(header) => self.decode_waiting(&header),
            };
            match decoded {
                Some(decoded) => fresh.push(decoded),
                None => return false,
            }
        }
        if !self.reader.memory.is_unchanged() {
            return false;
        }
        for (task, decoded) in tasks.iter().zip(fresh) {
            seen[*task].decoded = decoded;
        }
        true
    }

    /// Decodes a task whose cell is recorded, unless a thread polls it.
    fn decode_waiting(&self, header: &Header) -> Option<Decoded> {
        self.record_cell(header)?;
        let state = State(self.reader.word(header.state_address)?);
        if state.is_running() || state.is_complete() {
            return None;
        }
        let stage = self.reader.find(header.value(), "stage")?;
        Some(self.decoder.decode(stage))
    }

    /// Reads the whole cell of a task, so that it is compared: it may change and come back to the same state.
    fn record_cell(&self, header: &Header) -> Option<()> {
        let size = self.reader.types.get(header.cell).map_or(0, |ty| ty.size);
        let size = usize::try_from(size.min(COMPARED)).unwrap_or_default();
        let mut cell = vec![0; size];
        self.reader.memory.read(header.address, &mut cell).ok()
    }

    /// Returns `true` if all that was read of a task is as it was then.
    fn is_unchanged(&self, header: &Header) -> bool {
        self.record_cell(header).is_some() && self.reader.memory.is_unchanged()
    }

    /// Forgets what was read of a task and of the resources that it waits for.
    pub(crate) fn forget(&self) {
        self.reader.memory.pause();
        self.reader.memory.clear();
        self.decoder.forget();
    }

    /// Returns the name of the type of the future.
    pub(crate) fn fallback(&self, header: &Header) -> String {
        let types = self.reader.types;
        let cell = types.get(header.cell);
        let parameter = cell
            .as_ref()
            .and_then(|cell| cell.structure()?.parameters.first());
        let Some(mut id) = parameter.copied() else {
            return "a task".to_owned();
        };
        if header.is_blocking
            && let Some(task) = types.get(id)
            && let Some(closure) = task.structure().and_then(|it| it.parameters.first())
        {
            id = *closure;
        }
        let ty = types.get(id);
        match ty.as_ref().is_some_and(|ty| ty.name.starts_with('{')) {
            true => types.function(id).to_string(),
            false => types.path(id).to_string(),
        }
    }
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
