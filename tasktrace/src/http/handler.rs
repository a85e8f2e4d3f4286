//! Handles jobs: gathers the data of tasks, and renders it.

use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};
use std::{env, process};

use super::job::{CaptureMode, Format, Job, JobRequest, Subject, task};
use super::pprof;
use super::response::Refusal;
use super::single_flight::{Handler, NoResponse};
use super::store::{ResponseStore, StoredResponse};
use crate::dump::{Dump, dump_in, dump_task, sample_or_snapshot, snapshot_in};
use crate::os::age;
use crate::profile::{Profile, profile};
use crate::render::{self, ViewHeader};

/// The interval of profiles of snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(10);

/// The interval of profiles of captures.
const CAPTURE_INTERVAL: Duration = Duration::from_millis(100);

/// The interval at which a profile checks that a client still waits for it.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The [`Handler`] of jobs.
pub(super) struct JobHandler {
    /// The time that tasks have to answer.
    pub(super) budget: Duration,
    pub(super) store: ResponseStore,
}

/// The data of a job.
pub(super) enum Data {
    Dump {
        dump: Dump,
        taken: SystemTime,
        /// The time that the dump took.
        took: Duration,
    },
    Profile(Profile),
}

impl Handler for JobHandler {
    type Request = JobRequest;
    type Subject = Subject;
    type Data = Result<Data, Refusal>;
    type Response = Result<Arc<StoredResponse>, Refusal>;

    fn subject(request: &JobRequest) -> Subject {
        request.job.subject
    }

    fn gather(&self, request: &JobRequest, is_wanted: &dyn Fn() -> bool) -> Self::Data {
        if let Subject::Profile(length, capture_mode, every) = request.job.subject {
            return sample(length, capture_mode, every, is_wanted).map(Data::Profile);
        }
        let taken = SystemTime::now();
        let begun = Instant::now();
        let dump = self.dump(request)?;
        let took = begun.elapsed();
        Ok(Data::Dump { dump, taken, took })
    }

    fn render(
        &self,
        data: &Self::Data,
        request: &JobRequest,
        is_wanted: &dyn Fn() -> bool,
    ) -> Self::Response {
        let data = data.as_ref().map_err(Refusal::clone)?;
        let kept = self.store.keep(|out| {
            let mut out = io::BufWriter::new(WhileWanted { out, is_wanted });
            match data {
                Data::Dump { dump, taken, took } => {
                    let view_header = || view_header(request.job.subject, *taken, *took);
                    write_dump(dump, view_header, request.job, &mut out)?;
                }
                Data::Profile(profile) => write_profile(profile, request.job.format, &mut out)?,
            }
            out.flush()
        });
        match kept {
            Ok(Ok(item)) => Ok(item),
            Ok(Err(full)) => Err(full.into()),
            Err(error) => Err(pprof::unwritten(error)),
        }
    }
}

impl JobHandler {
    fn dump(&self, request: &JobRequest) -> Result<Dump, Refusal> {
        let runtime = request.runtime.as_ref();
        match request.job.subject {
            Subject::Task(id, capture_mode) => {
                let task = task(id)?;
                let task = match capture_mode {
                    CaptureMode::Capture => dump_task(&task, self.budget),
                    CaptureMode::Snapshot => sample_or_snapshot(&task, self.budget),
                };
                Ok(Dump::new(vec![task], None))
            }
            Subject::Tasks(CaptureMode::Capture) => Ok(dump_in(runtime, self.budget)),
            Subject::Tasks(CaptureMode::Snapshot) | Subject::Profile(..) => {
                Ok(snapshot_in(runtime))
            }
        }
    }
}

/// Takes a profile of this length. Stops early if no client waits for it.
fn sample(
    length: Duration,
    capture_mode: CaptureMode,
    every: Option<Duration>,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Profile, Refusal> {
    let builder = match capture_mode {
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
        if !is_wanted() {
            // No client is left that could read the error.
            return Err(NoResponse::Busy.into());
        }
    }
}

/// A writer that fails once no client waits for the response.
struct WhileWanted<'a, W> {
    out: W,
    is_wanted: &'a dyn Fn() -> bool,
}

impl<W: Write> Write for WhileWanted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (self.is_wanted)() {
            true => self.out.write(bytes),
            // No client is left that could read the error.
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn write_dump(
    dump: &Dump,
    view_header: impl Fn() -> ViewHeader,
    job: Job,
    out: &mut impl Write,
) -> io::Result<()> {
    match job.format {
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
        Format::Folded(weight) => write!(out, "{}", dump.folded(weight)),
        Format::Flamegraph(weight) => dump.write_flamegraph(weight, out),
        Format::Pprof => dump.write_pprof(out),
        Format::GoPprof(profile) => dump.write_go_pprof(profile, out),
        Format::GoCounted(profile) => write!(out, "{}", dump.go_counted(profile)),
        Format::GoStacks => write!(out, "{}", dump.go_stacks()),
    }
}

fn write_profile(profile: &Profile, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", profile.json()),
        Format::Folded(weight) => write!(out, "{}", profile.folded(weight)),
        Format::Flamegraph(weight) => profile.write_flamegraph(weight, out),
        Format::Pprof => profile.write_pprof(out),
        Format::GoPprof(kind) => profile.write_go_pprof(kind, out),
        // The routes do not lead to dumps in these formats.
        Format::Text
        | Format::Forest
        | Format::View
        | Format::Process
        | Format::GoCounted(_)
        | Format::GoStacks => writeln!(out, "{profile}"),
    }
}

/// Returns the header of the page's data.
fn view_header(subject: Subject, taken: SystemTime, took: Duration) -> ViewHeader {
    ViewHeader {
        program: program(),
        pid: process::id(),
        taken,
        took,
        asked: subject.capture_mode() == CaptureMode::Capture,
    }
}

/// Returns the name of this program.
fn program() -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or(&path);
    name.to_string_lossy().into_owned()
}
