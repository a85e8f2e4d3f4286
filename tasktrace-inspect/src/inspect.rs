//! Puts the parts together: files, memory, roots, trees, report.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::address::Address;
use crate::async_task::AsyncTasks;
use crate::block_on;
use crate::build::{self, Origin, ReadTask};
use crate::deadlock::{self, Stacks};
use crate::debug::{self, DebugFile, SplitFiles, Types};
use crate::decode::Decoder;
use crate::error::Error;
use crate::limits::{Deadline, Limits};
use crate::memory::{Code, CoreFile, Memory, PageCache, Thread, WithImage};
use crate::own::Root;
use crate::parked;
use crate::report::{Missing, Report, Source, SourceKind, TaskState};
use crate::same_build::{self, Build};
use crate::sockets::Sockets;
use crate::task_reader::{CHANGED, TaskReader};
use crate::tokio::{self, KnownLists, Tasks, Vtables};
use crate::value::Reader;

/// Settings of an inspection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The executable. By default the one that the process runs, or that the core file names.
    pub executable: Option<PathBuf>,
    /// A file with the debug info of the executable, if it is not in the executable: separate debug info, or a package
    /// of split debug info (`.dwp`).
    pub debug_info: Option<PathBuf>,
    /// Stop the process while its memory is read.
    pub freeze: bool,
    /// Bounds.
    pub limits: Limits,
}

/// The stack of the thread that walks types and memory, which may be nested deeply.
pub(crate) const STACK: usize = 512 << 20;

/// Reads where the tasks of a running process wait.
///
/// # Errors
///
/// If there is no such process, if its memory may not be read, or if its executable has no debug info.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn inspect_process(pid: u32, options: &Options) -> Result<Report, Error> {
    use crate::memory::{Freeze, ProcessMemory};

    on_large_stack(|stack| {
        let before = ProcessMemory::new(pid)?;
        let name = before.executable_name();
        let running = DebugFile::open(&before.executable())?;
        let image = match &options.executable {
            Some(path) => of_build(path, &running, name.as_deref())?,
            None => running,
        };
        let name = name.unwrap_or_else(|| image.path().to_owned());
        is_of(&before, before.headers(), &image, &name)?;
        let info = Info::open(&image, &name, options)?;
        let types = Types::load(info.file(), &info.split, &name)?;
        let indexed = info.begun.elapsed();
        // The debug info is read before: the process is stopped for as long as its memory is read, and no longer.
        let freeze = match options.freeze {
            true => Some(Freeze::new(pid)?),
            false => None,
        };
        // Threads may have mapped more memory meanwhile.
        let mut memory = match ProcessMemory::new(pid) {
            Err(Error::NoProcess { .. } | Error::Ended { .. }) => {
                return Err(Error::EndedMeanwhile { pid });
            }
            memory => memory?,
        };
        if pid == std::process::id() {
            memory.leave_out(stack);
        }
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
            code: &memory.code(),
            now: monotonic_now(),
            kind: match freeze {
                Some(_) => SourceKind::Frozen,
                None => SourceKind::Running,
            },
            pid: Some(pid),
            indexed,
            limits: options.limits,
            roots: None,
            lists: &RefCell::default(),
        };
        let report = input.read(&types);
        // The report of a process that ended meanwhile may lack tasks without saying so.
        match before.is_alive() {
            true => report,
            false => Err(Error::EndedMeanwhile { pid }),
        }
    })
}

/// Reads where the tasks of this process wait.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn own(
    program: &crate::own::Program<'_>,
    roots: &[Root],
    limits: Limits,
) -> Result<Report, Error> {
    let mut memory = crate::memory::ProcessMemory::own()?;
    memory.leave_out(program.stack);
    let input = Input {
        memory: &memory,
        image: program.image,
        name: &program.name,
        entry: memory.entry(),
        start: None,
        threads: &memory.threads(),
        code: &memory.code(),
        now: monotonic_now(),
        kind: SourceKind::Own,
        pid: Some(memory.pid()),
        indexed: program.indexed,
        limits,
        roots: Some(roots),
        lists: &program.lists,
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
    on_large_stack(|_| {
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
        let is_compared = is_of(&core, core.headers(), &image, &name)?;
        let info = Info::open(&image, &name, options)?;
        let types = Types::load(info.file(), &info.split, &name)?;
        let input = Input {
            memory: &core,
            image: &image,
            name: &name,
            entry: core.entry(),
            start: core.executable_start(),
            threads: core.threads(),
            code: core.code(),
            now: None,
            kind: SourceKind::Core,
            pid: None,
            indexed: info.begun.elapsed(),
            limits: options.limits,
            roots: None,
            lists: &RefCell::default(),
        };
        let mut report = input.read(&types)?;
        if !is_compared {
            report.missing.push(Missing {
                count: 1,
                reason:
                    "the build of the executable could not be compared with that in the core file"
                        .to_owned(),
            });
        }
        if core.lost() > 0 {
            report.missing.push(Missing {
                count: 1,
                reason: format!(
                    "the core file is truncated: {} bytes are not there",
                    core.lost()
                ),
            });
        }
        Ok(report)
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

/// Returns the part of the stack of this thread that it may use from here on. The thread was started with a stack of
/// [`STACK`] bytes, most of which is not used yet.
pub(crate) fn rest_of_stack() -> (Address, Address) {
    let here = 0_u8;
    let top = std::ptr::from_ref(&here).addr() as u64;
    (
        Address::new(top.saturating_sub(UNUSED_STACK_SIZE)),
        Address::new(top),
    )
}

/// The part of the stack of the reading thread that is certainly its own, below what it uses when it begins.
const UNUSED_STACK_SIZE: u64 = STACK as u64 - (1 << 20);

/// Runs on a thread with a large stack, of which only as much takes memory as is used. Passes the part of the stack
/// that is used for it.
fn on_large_stack(
    run: impl FnOnce((Address, Address)) -> Result<Report, Error> + Send,
) -> Result<Report, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("tasktrace-inspect".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || run(rest_of_stack()))
            .map_err(|source| Error::Thread { source })?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Checks that an executable is the one in memory. Returns `false` if that is not known.
fn is_of(
    memory: &dyn Memory,
    headers: Option<u64>,
    image: &DebugFile,
    name: &Path,
) -> Result<bool, Error> {
    match same_build::compare(memory, headers, image) {
        Build::Same => Ok(true),
        Build::Unknown => Ok(false),
        Build::Other(id) => Err(Error::other_build(image, name, id.as_deref())),
    }
}

/// Opens the executable that was named, which must be of the same build as the one that runs.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn of_build(path: &Path, running: &DebugFile, name: Option<&Path>) -> Result<DebugFile, Error> {
    let image = DebugFile::open(path)?;
    match image.may_be_of(running) {
        true => Ok(image),
        false => {
            let program = name.unwrap_or(running.path());
            Err(Error::other_build(&image, program, running.build_id()))
        }
    }
}

/// The files with the debug info.
struct Info<'i> {
    image: &'i DebugFile,
    separate: Option<DebugFile>,
    split: SplitFiles,
    begun: Instant,
}

impl<'i> Info<'i> {
    fn open(image: &'i DebugFile, name: &Path, options: &Options) -> Result<Self, Error> {
        let begun = Instant::now();
        let named = options.debug_info.as_deref();
        let separate = debug::debug_file(image, Some(name), named)?;
        let split = SplitFiles::open(separate.as_ref().unwrap_or(image), name, named)?;
        Ok(Self {
            image,
            separate,
            split,
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
    code: &'i [Code],
    now: Option<Duration>,
    kind: SourceKind,
    pid: Option<u32>,
    indexed: Duration,
    limits: Limits,
    /// Futures that this process knows. `None` for another process.
    roots: Option<&'i [Root]>,
    /// The lists of tasks that were found before.
    lists: &'i RefCell<KnownLists>,
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
        if types.index().damaged_units > 0 {
            missing.push(Missing {
                count: types.index().damaged_units,
                reason: "units of the debug info are damaged".to_owned(),
            });
        }
        if types.index().split_units > 0 {
            missing.push(Missing {
                count: types.index().split_units,
                reason: "units of the debug info are in .dwo files that were not found".to_owned(),
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
        let decoder = Decoder::new(&reader, self.limits, deadline);
        let tasks = Tasks::find(
            &decoder,
            &vtables,
            &mut self.lists.borrow_mut(),
            &stacks,
            &self.limits,
            deadline,
        );
        let async_tasks = AsyncTasks::find(&reader, self.image, &stacks, &self.limits, deadline);
        if vtables.is_empty() && !async_tasks.can_exist {
            missing.push(Missing {
                count: 0,
                reason: "the program has no tasks of tokio or smol that its debug info describes"
                    .to_owned(),
            });
        }
        let task_reader = TaskReader {
            reader: &reader,
            decoder: &decoder,
            is_stopped: matches!(self.kind, SourceKind::Frozen | SourceKind::Core),
        };
        // Threads of runtimes are not tasks of the program.
        let is_task = |header: &&tokio::Header| {
            !header.is_blocking || !is_worker(&task_reader.default_name(header))
        };
        let headers: Vec<_> = tasks.tasks.iter().filter(is_task).copied().collect();
        let reads = task_reader.tasks(&headers, deadline);
        let mut late = reads.late;
        let mut read_tasks = reads.tasks;
        let reads = task_reader.async_tasks(&async_tasks.tasks, deadline);
        late += reads.late;
        read_tasks.extend(reads.tasks);
        // Closures that compute are found by the tasks that wait for them.
        let joined = read_tasks
            .iter()
            .flat_map(|task| task.decoded.nodes.joins());
        let closures = tasks.closures(&reader, &vtables, joined);
        let reads = task_reader.tasks(&closures, deadline);
        late += reads.late;
        read_tasks.extend(reads.tasks);
        for blocked in block_on::find(&reader, &decoder, self.threads) {
            let decoded = match task_reader.is_stopped {
                true => Some(blocked.decoded),
                false => task_reader.decode_unchanged(blocked.future),
            };
            read_tasks.push(ReadTask {
                id: None,
                origin: Origin::Future(blocked.future),
                root: None,
                runtime: None,
                state: TaskState::BlockOn,
                default_name: format!("thread {}", blocked.thread).into(),
                problem: decoded.is_none().then(|| CHANGED.to_owned()),
                decoded: decoded.unwrap_or_default(),
            });
        }
        late += task_reader.add_roots(self.roots.unwrap_or_default(), &mut read_tasks, deadline);
        if late > 0 {
            missing.push(Missing {
                count: late,
                reason: "there was not enough time".to_owned(),
            });
        }
        let mut counted: BTreeMap<String, usize> = tasks.missing;
        if async_tasks.is_cut {
            counted.insert(tokio::NOT_SEARCHED.to_owned(), 1);
        }
        if async_tasks.left_out > 0 {
            *counted.entry(tokio::TOO_MANY.to_owned()).or_default() += async_tasks.left_out;
        }
        missing.extend(
            counted
                .into_iter()
                .map(|(reason, count)| Missing { count, reason }),
        );
        let stacks = || {
            let program = parked::Program {
                memory,
                image: self.image,
                bias,
                code: self.code,
                own_crates: &reader.types.index().own_crates,
            };
            let frames = parked::frames(&program, self.threads);
            Stacks::new(cache.regions(), self.threads, &frames)
        };
        let check = deadlock::Check {
            task_reader: &task_reader,
            stacks: &stacks,
            search: self.limits.search,
            deadline,
        };
        let mut graph = build::graph(&read_tasks);
        let mut cycles = graph.cycles();
        if !cycles.is_empty() {
            drop(graph);
            let rejected;
            (cycles, rejected) = check.deadlocks(cycles, &mut read_tasks);
            missing.extend(rejected);
            graph = build::graph(&read_tasks);
        }
        let read = begun.elapsed();
        let (tasks_, deadlocks) = build::tasks(
            &read_tasks,
            graph,
            &cycles,
            self.now,
            &Sockets::new(self.pid),
            self.roots.is_some(),
        );
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

/// Returns `true` for the closures that the worker threads of a runtime are.
fn is_worker(closure: &str) -> bool {
    closure.starts_with("tokio::runtime::scheduler::")
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
