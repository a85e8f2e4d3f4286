//! Gathers the data of the tasks of this process for `tasktrace-http`, and renders it.

use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime};
use std::{env, process};

use tasktrace_http::{
    Backend, Caller, Cancellation, CaptureMode, DataRequest, Document, Format, GatherError,
    SampleWeight, Subject,
};

use crate::dump::{Dump, dump_in, dump_task, sample_or_snapshot, snapshot_in};
use crate::os::memory::MemoryUse;
use crate::os::{self, age};
use crate::profile::{Profile, profile};
use crate::render::{self, ViewHeader, Weight, write_empty_go_pprof};
use crate::runtime::RuntimeHandle;
use crate::sync::run_cancellable;
use crate::task::{TaskId, TraceHandle, tasks};

/// The interval of profiles of snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(10);

/// The interval of profiles of captures.
const CAPTURE_INTERVAL: Duration = Duration::from_millis(100);

/// The interval at which a profile checks that a client still waits for it.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The tasks of this process, as the backend of a service.
///
/// ```
/// use tasktrace::http::TasksBackend;
///
/// let service = tasktrace_http::Builder::new(TasksBackend::default()).service();
/// # drop(service);
/// ```
#[derive(Clone, Debug, Default)]
pub struct TasksBackend {
    counted_runtime: CountedRuntime,
}

/// The runtime whose untraced tasks are counted.
#[derive(Clone, Debug, Default)]
enum CountedRuntime {
    /// The runtime of the task that calls the service.
    #[default]
    Callers,
    /// The runtime in which the server was started, if any. The server calls the service in another runtime.
    Starters(Option<RuntimeHandle>),
}

impl Backend for TasksBackend {
    fn gather(&self, request: DataRequest) -> Result<Box<dyn Document>, GatherError> {
        let memory = MemoryGuard(MemoryUse::start());
        let cancellation = request.cancellation.clone();
        let data = cancellable(&cancellation, || gather(&request))?;
        Ok(Box::new(TasksDocument {
            data,
            cancellation,
            _memory: memory,
        }))
    }

    fn check(&self, subject: Subject) -> Result<(), GatherError> {
        match subject {
            Subject::Task { number, .. } => task(number).map(drop),
            _ => Ok(()),
        }
    }

    fn caller(&self) -> Caller {
        Caller::new(match &self.counted_runtime {
            CountedRuntime::Callers => RuntimeHandle::of_requester(),
            CountedRuntime::Starters(runtime) => runtime.clone(),
        })
    }

    fn for_server(self) -> Self {
        let counted_runtime = CountedRuntime::Starters(RuntimeHandle::current());
        Self { counted_runtime }
    }

    fn spawn(
        &self,
        name: &str,
        run: Box<dyn FnOnce() + Send + 'static>,
    ) -> io::Result<JoinHandle<()>> {
        os::thread::spawn(name, run)
    }

    fn release_memory(&self) {
        os::memory::give_back();
    }
}

/// Calls `work`, which stops soon after the cancellation.
fn cancellable<R>(cancellation: &Cancellation, work: impl FnOnce() -> R) -> R {
    let cancellation = cancellation.clone();
    run_cancellable(move || !cancellation.is_cancelled(), work)
}

/// Returns the task with this number.
///
/// # Errors
///
/// Returns an error if there is no such task.
fn task(number: u64) -> Result<TraceHandle, GatherError> {
    let id = TaskId::from_number(number);
    let not_found = || GatherError::NotFound(format!("there is no task {id}: it may have ended"));
    tasks().find(|task| task.id() == id).ok_or_else(not_found)
}

/// The data of a subject.
enum Data {
    Nothing,
    Dump {
        dump: Dump,
        taken: SystemTime,
        /// The time that the dump took.
        took: Duration,
        /// `true` if the tasks were polled.
        asked: bool,
    },
    Profile(Profile),
}

fn gather(request: &DataRequest) -> Result<Data, GatherError> {
    let runtime = request.caller.get::<Option<RuntimeHandle>>();
    let runtime = runtime.and_then(Option::as_ref);
    let (taken, begun) = (SystemTime::now(), Instant::now());
    let (dump, mode) = match request.subject {
        Subject::Nothing => return Ok(Data::Nothing),
        Subject::Profile {
            length,
            mode,
            every,
        } => return sample(length, mode, every, &request.cancellation).map(Data::Profile),
        Subject::Process => (snapshot_in(runtime), CaptureMode::Snapshot),
        Subject::Tasks(mode @ CaptureMode::Snapshot) => (snapshot_in(runtime), mode),
        Subject::Tasks(mode @ CaptureMode::Capture) => (dump_in(runtime, request.budget), mode),
        Subject::Task { number, mode } => {
            let task = task(number)?;
            let task = match mode {
                CaptureMode::Capture => dump_task(&task, request.budget),
                CaptureMode::Snapshot => sample_or_snapshot(&task, request.budget),
            };
            (Dump::new(vec![task], None), mode)
        }
    };
    Ok(Data::Dump {
        dump,
        taken,
        took: begun.elapsed(),
        asked: mode == CaptureMode::Capture,
    })
}

/// Takes a profile of this length. Stops early if no client waits for it.
fn sample(
    length: Duration,
    mode: CaptureMode,
    every: Option<Duration>,
    cancellation: &Cancellation,
) -> Result<Profile, GatherError> {
    let builder = match mode {
        CaptureMode::Snapshot => profile()
            .snapshots()
            .every(every.unwrap_or(SNAPSHOT_INTERVAL)),
        CaptureMode::Capture => profile()
            .captures()
            .every(every.unwrap_or(CAPTURE_INTERVAL)),
    };
    let mut profile = pin!(builder.lasting(length).run());
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        let mut context = Context::from_waker(&waker);
        if let Poll::Ready(profile) = profile.as_mut().poll(&mut context) {
            return Ok(profile);
        }
        thread::park_timeout(CHECK_INTERVAL);
        if cancellation.is_cancelled() {
            return Err(GatherError::Cancelled);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The gathered data, which is rendered in the format of each client.
struct TasksDocument {
    data: Data,
    cancellation: Cancellation,
    /// The last field, so that it is dropped after the data.
    _memory: MemoryGuard,
}

impl Document for TasksDocument {
    fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        cancellable(&self.cancellation, || match &self.data {
            Data::Nothing => match format {
                Format::GoEmpty => write_empty_go_pprof(out),
                _ => Err(io::ErrorKind::Unsupported.into()),
            },
            Data::Dump {
                dump,
                taken,
                took,
                asked,
            } => {
                let view_header = || ViewHeader {
                    program: program(),
                    pid: process::id(),
                    taken: *taken,
                    took: *took,
                    asked: *asked,
                };
                write_dump(dump, view_header, format, out)
            }
            Data::Profile(profile) => write_profile(profile, format, out),
        })
    }
}

/// When dropped, frees the debug information and returns memory to the system, if the work meanwhile needed much
/// memory.
struct MemoryGuard(MemoryUse);

impl Drop for MemoryGuard {
    fn drop(&mut self) {
        if self.0.has_grown_much() {
            render::forget_debug_info();
            os::memory::give_back();
        }
    }
}

impl From<SampleWeight> for Weight {
    fn from(weight: SampleWeight) -> Self {
        match weight {
            SampleWeight::Tasks => Self::Tasks,
            SampleWeight::Waited => Self::Waited,
        }
    }
}

fn write_dump(
    dump: &Dump,
    view_header: impl Fn() -> ViewHeader,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Text => writeln!(out, "{dump}"),
        Format::Forest => writeln!(out, "{}", dump.by_awaiter()),
        Format::Json => writeln!(out, "{}", dump.json()),
        Format::View => writeln!(out, "{}", dump.view(&view_header())),
        Format::Process => {
            let process = render::Process {
                program: &program(),
                pid: process::id(),
                age: age::of_this_process(),
                dump,
            };
            writeln!(out, "{process}")
        }
        Format::Folded(weight) => write!(out, "{}", dump.folded(weight.into())),
        Format::Flamegraph(weight) => dump.write_flamegraph(weight.into(), out),
        Format::Pprof => dump.write_pprof(out),
        Format::GoPprof(profile) => dump.write_go_pprof(profile, out),
        Format::GoCounted(profile) => write!(out, "{}", dump.go_counted(profile)),
        Format::GoStacks => write!(out, "{}", dump.go_stacks()),
        Format::GoEmpty => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn write_profile(profile: &Profile, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", profile.json()),
        Format::Folded(weight) => write!(out, "{}", profile.folded(weight.into())),
        Format::Flamegraph(weight) => profile.write_flamegraph(weight.into(), out),
        Format::Pprof => profile.write_pprof(out),
        Format::GoPprof(kind) => profile.write_go_pprof(kind, out),
        Format::Text => writeln!(out, "{profile}"),
        // The routes do not lead to profiles in these formats.
        Format::Forest
        | Format::View
        | Format::Process
        | Format::GoEmpty
        | Format::GoCounted(_)
        | Format::GoStacks => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Returns the name of this program.
fn program() -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or(&path);
    name.to_string_lossy().into_owned()
}
