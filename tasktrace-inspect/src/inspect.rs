//! Puts the parts together: files, memory, roots, trees, report.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::address::Address;
use crate::block_on;
use crate::build::{self, Seen};
use crate::debug::{self, DebugFile, Types};
use crate::decode::{Decoded, Decoder};
use crate::error::Error;
use crate::limits::{Deadline, Limits};
use crate::memory::{CoreFile, Memory, PageCache, Thread, WithImage};
use crate::own::{self, Root};
use crate::report::{Missing, Report, Source, SourceKind, TaskState};
use crate::tokio::{Header, State, Tasks, Vtables};
use crate::value::{Reader, Value};

/// Settings of an inspection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The executable. By default the one that the process runs, or that the core file names.
    pub executable: Option<PathBuf>,
    /// A file with the debug info of the executable, if it is not in the executable.
    pub debug_info: Option<PathBuf>,
    /// Stop the process while its memory is read.
    pub freeze: bool,
    /// Bounds.
    pub limits: Limits,
}

/// The stack of the thread that walks types and memory, which may be nested deeply.
pub(crate) const STACK: usize = 512 << 20;

/// The number of times that a task is read again if it changes while it is read.
const ATTEMPTS: usize = 5;

/// The largest cell that is compared with what it was when it was decoded.
const COMPARED: u64 = 1 << 20;

/// The problem of a task that is polled again and again.
const CHANGED: &str = "it changed whenever it was read";

/// Reads where the tasks of a running process wait.
///
/// # Errors
///
/// If there is no such process, if its memory may not be read, or if its executable has no debug info.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn inspect_process(pid: u32, options: &Options) -> Result<Report, Error> {
    use crate::memory::{Freeze, ProcessMemory};

    on_large_stack(|| {
        let memory = ProcessMemory::new(pid)?;
        let name = memory.executable_name();
        let running = DebugFile::open(&memory.executable())?;
        let image = match &options.executable {
            Some(path) => of_build(path, &running, name.as_deref())?,
            None => running,
        };
        let name = name.unwrap_or_else(|| image.path().to_owned());
        let info = Info::open(&image, &name, options)?;
        let types = Types::load(info.file(), &name)?;
        let indexed = info.begun.elapsed();
        // The debug info is read before: the process is stopped for as long as its memory is read, and no longer.
        let freeze = match options.freeze {
            true => Some(Freeze::new(pid)?),
            false => None,
        };
        // Threads may have mapped more memory meanwhile.
        let memory = ProcessMemory::new(pid)?;
        let threads = match &freeze {
            Some(freeze) => freeze.threads().to_vec(),
            None => memory.threads(),
        };
        let input = Input {
            memory: &memory,
            image: &image,
            name: &name,
            entry: memory.entry(),
            start: None,
            threads: &threads,
            now: monotonic_now(),
            kind: match freeze {
                Some(_) => SourceKind::Frozen,
                None => SourceKind::Running,
            },
            pid: Some(pid),
            indexed,
            limits: options.limits,
            roots: None,
        };
        input.read(&types)
    })
}

/// Reads where the tasks of this process wait.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn own(
    program: &own::Program<'_>,
    roots: &[Root],
    limits: Limits,
) -> Result<Report, Error> {
    let mut memory = crate::memory::ProcessMemory::own()?;
    memory.leave_out(program.stack.0, program.stack.1);
    let input = Input {
        memory: &memory,
        image: program.image,
        name: &program.name,
        entry: memory.entry(),
        start: None,
        threads: &memory.threads(),
        now: monotonic_now(),
        kind: SourceKind::Own,
        pid: Some(memory.pid()),
        indexed: program.indexed,
        limits,
        roots: Some(roots),
    };
    input.read(&program.types)
}

/// Reads where the tasks of a running process wait.
///
/// # Errors
///
/// Always: this system is not supported.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn inspect_process(_pid: u32, _options: &Options) -> Result<Report, Error> {
    Err(Error::Unsupported)
}

/// Reads where the tasks of a program waited when its core file was written.
///
/// # Errors
///
/// If the file is not a core file of x86-64, or if the executable is missing or has no debug info.
pub fn inspect_core(path: &Path, options: &Options) -> Result<Report, Error> {
    on_large_stack(|| {
        let core = CoreFile::open(path)?;
        let executable = options.executable.clone();
        let executable = executable.or_else(|| core.executable().map(Path::to_owned));
        let no_executable = || Error::NoExecutable {
            path: path.to_owned(),
        };
        let executable = executable.ok_or_else(no_executable)?;
        let image = match DebugFile::open(&executable) {
            Err(Error::Open { .. }) if options.executable.is_none() => {
                return Err(no_executable());
            }
            image => image?,
        };
        let name = executable;
        let info = Info::open(&image, &name, options)?;
        let types = Types::load(info.file(), &name)?;
        let input = Input {
            memory: &core,
            image: &image,
            name: &name,
            entry: core.entry(),
            start: core.executable_start(),
            threads: core.threads(),
            now: None,
            kind: SourceKind::Core,
            pid: None,
            indexed: info.begun.elapsed(),
            limits: options.limits,
            roots: None,
        };
        input.read(&types)
    })
}

/// Returns `true` if the file is a core file.
#[must_use]
pub fn is_core_file(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 18];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && CoreFile::is_core(&start)
}

/// Runs on a thread with a large stack, of which only as much takes memory as is used.
fn on_large_stack(run: impl FnOnce() -> Result<Report, Error> + Send) -> Result<Report, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("tasktrace-inspect".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, run)
            .map_err(|source| Error::Thread { source })?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens the executable that was named, which must be of the same build as the one that runs.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn of_build(path: &Path, running: &DebugFile, name: Option<&Path>) -> Result<DebugFile, Error> {
    let image = DebugFile::open(path)?;
    match image.may_be_of(running) {
        true => Ok(image),
        false => Err(Error::OtherBuild {
            path: path.to_owned(),
            program: name.unwrap_or(running.path()).display().to_string(),
        }),
    }
}

/// The file with the debug info.
struct Info<'i> {
    image: &'i DebugFile,
    separate: Option<DebugFile>,
    begun: Instant,
}

impl<'i> Info<'i> {
    fn open(image: &'i DebugFile, name: &Path, options: &Options) -> Result<Self, Error> {
        let begun = Instant::now();
        let separate = debug::debug_file(image, Some(name), options.debug_info.as_deref())?;
        Ok(Self {
            image,
            separate,
            begun,
        })
    }

    fn file(&self) -> &DebugFile {
        self.separate.as_ref().unwrap_or(self.image)
    }
}

/// Everything that is read.
struct Input<'i> {
    memory: &'i dyn Memory,
    image: &'i DebugFile,
    name: &'i Path,
    entry: Option<u64>,
    /// The address of the first byte of the executable, if it is known.
    start: Option<Address>,
    threads: &'i [Thread],
    now: Option<Duration>,
    kind: SourceKind,
    pid: Option<u32>,
    indexed: Duration,
    limits: Limits,
    /// Futures that this process knows. `None` for another process.
    roots: Option<&'i [Root]>,
}

impl Input<'_> {
    fn read(&self, types: &Types<'_>) -> Result<Report, Error> {
        let begun = Instant::now();
        let read_at = SystemTime::now().duration_since(UNIX_EPOCH);
        let deadline = Deadline::after(self.limits.time);
        let bias = self.bias()?;
        let with_image;
        let memory: &dyn Memory = match self.kind {
            SourceKind::Core => {
                with_image = WithImage::new(self.memory, self.image, bias);
                &with_image
            }
            SourceKind::Running | SourceKind::Own | SourceKind::Frozen => self.memory,
        };
        let cache = PageCache::new(memory);
        let reader = Reader::new(types, &cache, bias);
        let vtables = Vtables::find(&reader, self.image);
        let mut missing = Vec::new();
        if vtables.is_empty() {
            missing.push(Missing {
                count: 0,
                reason: "the program has no tokio tasks that its debug info describes".to_owned(),
            });
        }
        if types.index().damaged_units > 0 {
            missing.push(Missing {
                count: types.index().damaged_units,
                reason: "units of the debug info are damaged".to_owned(),
            });
        }
        if vtables.unknown > 0 {
            missing.push(Missing {
                count: vtables.unknown,
                reason: "types of tasks are not in the debug info".to_owned(),
            });
        }
        let stacks: Vec<Address> = self
            .threads
            .iter()
            .filter_map(|thread| thread.stack_pointer)
            .collect();
        let tasks = Tasks::find(&reader, &vtables, &stacks, &self.limits, deadline);
        let decoder = Decoder::new(&reader, self.limits, deadline);
        let view = View {
            reader: &reader,
            decoder: &decoder,
            is_still: matches!(self.kind, SourceKind::Frozen | SourceKind::Core),
        };
        let mut seen = Vec::with_capacity(tasks.tasks.len());
        let mut late = 0;
        for header in &tasks.tasks {
            match deadline.is_over() {
                true => late += 1,
                // Threads of runtimes are not tasks of the program.
                false if header.is_blocking && is_worker(&view.fallback(header)) => {}
                false => seen.extend(view.task(header)),
            }
        }
        for blocked in block_on::find(&reader, &decoder, self.threads) {
            let decoded = match view.is_still {
                true => Some(blocked.decoded),
                false => view.steady(blocked.future),
            };
            seen.push(Seen {
                id: None,
                root: None,
                runtime: None,
                header: blocked.future.address,
                state: TaskState::BlockOn,
                fallback: format!("thread {}", blocked.thread),
                problem: decoded.is_none().then(|| CHANGED.to_owned()),
                decoded: decoded.unwrap_or_default(),
            });
        }
        late += view.add_roots(self.roots.unwrap_or_default(), &mut seen, deadline);
        if late > 0 {
            missing.push(Missing {
                count: late,
                reason: "there was not enough time".to_owned(),
            });
        }
        let counted: BTreeMap<String, usize> = tasks.missing;
        missing.extend(
            counted
                .into_iter()
                .map(|(reason, count)| Missing { count, reason }),
        );
        let read = begun.elapsed();
        let (tasks_, deadlocks) = build::tasks(&seen, self.now, self.roots.is_some());
        Ok(Report {
            schema: "tasktrace.inspect/1",
            source: Source {
                pid: self.pid,
                executable: self.name.display().to_string(),
                kind: self.kind,
                read_at: read_at.unwrap_or_default().as_secs_f64(),
                read_ms: read.as_secs_f64() * 1000.0,
                index_ms: self.indexed.as_secs_f64() * 1000.0,
            },
            runtimes: tasks.lists,
            deadlocks,
            tasks: tasks_,
            missing,
        })
    }

    /// Returns how far the program was moved when it was loaded.
    fn bias(&self) -> Result<u64, Error> {
        let by_entry = self
            .entry
            .map(|entry| entry.wrapping_sub(self.image.entry()));
        let by_start = || Some(self.start?.get().wrapping_sub(self.image.start()));
        let bias = by_entry.or_else(by_start);
        // Programs are moved by whole pages.
        bias.filter(|bias| bias % 4096 == 0)
            .ok_or_else(|| Error::NotLoaded {
                path: self.name.to_owned(),
            })
    }
}

/// Reads tasks such that what is shown of each was there at one moment.
struct View<'v, 'a, 'd> {
    reader: &'v Reader<'a, 'd>,
    decoder: &'v Decoder<'v, 'a, 'd>,
    /// Nothing changes meanwhile.
    is_still: bool,
}

impl View<'_, '_, '_> {
    /// Returns a task, unless it has ended meanwhile.
    fn task(&self, header: &Header) -> Option<Seen> {
        let mut seen = Seen {
            id: header.id,
            root: None,
            runtime: Some(header.owner).filter(|owner| *owner != 0),
            header: header.address,
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
            let size = || self.size(header.value());
            let is_unchanged = || self.is_unchanged(header.address, size());
            if header.is_blocking || !state_now.is_running() && is_unchanged() {
                return Some(seen);
            }
            self.forget();
        }
        if seen.state == TaskState::Running {
            return Some(seen);
        }
        seen.decoded = Decoded::default();
        seen.problem = Some(CHANGED.to_owned());
        Some(seen)
    }

    /// Adds the futures at roots to the tasks: to the task that a future is in, or as a task of its own. Returns the
    /// number of those for which there was no time.
    fn add_roots(&self, roots: &[Root], seen: &mut Vec<Seen>, deadline: Deadline) -> usize {
        let mut by_id: HashMap<u64, usize> = HashMap::new();
        // By address alone: units of the debug info describe the same type twice.
        let mut by_coroutine: HashMap<Address, usize> = HashMap::new();
        let is_any_unnumbered = roots.iter().any(|root| root.task.is_none());
        for (at, task) in seen.iter().enumerate() {
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
                seen[*at].root.get_or_insert(root.number);
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
                    seen[*at].root.get_or_insert(root.number);
                }
                None => seen.push(task),
            }
        }
        late
    }

    /// Returns the future at a root.
    fn root(&self, root: &Root) -> Seen {
        let future = own::future(self.reader, root);
        let ty = future.map(|future| (future, self.reader.types.path(future.id)));
        let mut seen = Seen {
            id: None,
            root: Some(root.number),
            runtime: None,
            header: root.future,
            state: TaskState::Suspended,
            fallback: ty.as_ref().map_or("a future", |(_, path)| path).to_owned(),
            decoded: Decoded::default(),
            problem: None,
        };
        let Some(future) = future else {
            seen.problem = Some("its type is not in the debug info".to_owned());
            return seen;
        };
        for _ in 0..ATTEMPTS {
            self.reader.memory.record();
            let polls = self.reader.word(root.polls);
            seen.state = match polls.is_some_and(|polls| polls & 1 == 0) {
                true => TaskState::Suspended,
                false => TaskState::Running,
            };
            if seen.state == TaskState::Suspended {
                seen.decoded = self.decoder.decode(future);
                if self.is_unchanged(future.address, self.size(future)) {
                    if seen.decoded.nodes.is_empty() {
                        seen.problem = Some("no future was found in it".to_owned());
                    }
                    return seen;
                }
            }
            self.forget();
        }
        seen.decoded = Decoded::default();
        seen.problem = Some(match seen.state {
            TaskState::Running => "it runs, so that its frames change".to_owned(),
            _ => CHANGED.to_owned(),
        });
        seen
    }

    /// Returns what is in a future, if that does not change while it is read.
    fn steady(&self, future: Value) -> Option<Decoded> {
        for _ in 0..ATTEMPTS {
            self.reader.memory.record();
            let decoded = self.decoder.decode(future);
            if self.is_unchanged(future.address, self.size(future)) {
                return Some(decoded);
            }
            self.forget();
        }
        None
    }

    fn size(&self, value: Value) -> u64 {
        self.reader.ty(value).map_or(0, |ty| ty.size)
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
        if seen.decoded.nodes.is_empty() && seen.problem.is_none() {
            seen.problem = Some("no future was found in it".to_owned());
        }
    }

    /// Returns `true` if all that was read of a task is as it was then. `address` and `size` are those of its cell, or
    /// of its future.
    fn is_unchanged(&self, address: Address, size: u64) -> bool {
        // The whole cell is compared: it may have changed and come back to the same state.
        let size = usize::try_from(size.min(COMPARED)).unwrap_or_default();
        let mut cell = vec![0; size];
        self.reader.memory.read(address, &mut cell).is_ok() && self.reader.memory.is_unchanged()
    }

    /// Forgets what was read of a task and of the resources that it waits for.
    fn forget(&self) {
        self.reader.memory.pause();
        self.reader.memory.clear();
        self.decoder.forget();
    }

    /// Returns the name of the type of the future.
    fn fallback(&self, header: &Header) -> String {
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

/// Returns `true` for the closures that the worker threads of a runtime are.
fn is_worker(closure: &str) -> bool {
    closure.starts_with("tokio::runtime::scheduler::")
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

/// Returns the time of the monotonic clock, which timers are set by.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn monotonic_now() -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: The call writes one `timespec` to the pointer, which is that of a live local variable.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    (result == 0).then(|| Duration::new(seconds, nanoseconds))
}
