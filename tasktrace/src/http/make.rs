//! Does jobs: gathers the data of tasks, and renders it.

use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};
use std::{env, process};

use super::job::{Asking, Form, Job, JobRequest, Subject, task};
use super::pprof;
use super::response::Refusal;
use super::single_flight::{Handler, NoResponse};
use super::store::{ResponseStore, StoredResponse};
use crate::dump::{Dump, asked, dump_in, look_at, snapshot_in};
use crate::os::age;
use crate::profile::{Profile, profile};
use crate::render::{self, About};

/// The interval of profiles of snapshots.
const EVERY: Duration = Duration::from_millis(10);

/// The interval of profiles of captures.
const EVERY_POLLED: Duration = Duration::from_millis(100);

/// The interval at which a profile checks that a client still waits.
const NOTICED: Duration = Duration::from_millis(100);

/// The [`Handler`] of jobs.
pub(super) struct Maker {
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

impl Handler for Maker {
    type Request = JobRequest;
    type Subject = Subject;
    type Data = Result<Data, Refusal>;
    type Response = Result<Arc<StoredResponse>, Refusal>;

    fn subject(request: &JobRequest) -> Subject {
        request.job.subject
    }

    fn gather(&self, request: &JobRequest, is_wanted: &dyn Fn() -> bool) -> Self::Data {
        if let Subject::Time(length, asking, every) = request.job.subject {
            return sample(length, asking, every, is_wanted).map(Data::Profile);
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
                    let about = || about(request.job.subject, *taken, *took);
                    write_dump(dump, about, request.job, &mut out)?;
                }
                Data::Profile(profile) => write_profile(profile, request.job.form, &mut out)?,
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

impl Maker {
    fn dump(&self, request: &JobRequest) -> Result<Dump, Refusal> {
        let host = request.host.as_ref();
        match request.job.subject {
            Subject::Task(id, asking) => {
                let task = task(id)?;
                let task = match asking {
                    Asking::Polled => asked(&task, self.budget),
                    Asking::LookedAt => look_at(&task, self.budget),
                };
                Ok(Dump::new(vec![task], None))
            }
            Subject::Tasks(Asking::Polled) => Ok(dump_in(host, self.budget)),
            Subject::Tasks(Asking::LookedAt) | Subject::Time(..) => Ok(snapshot_in(host)),
        }
    }
}

/// Takes a profile of this length, or until no client waits.
fn sample(
    length: Duration,
    asking: Asking,
    every: Option<Duration>,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Profile, Refusal> {
    let builder = match asking {
        Asking::LookedAt => profile().snapshots().every(every.unwrap_or(EVERY)),
        Asking::Polled => profile().captures().every(every.unwrap_or(EVERY_POLLED)),
    };
    let mut profile = pin!(builder.lasting(length).run());
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        let mut context = Context::from_waker(&waker);
        if let Poll::Ready(profile) = profile.as_mut().poll(&mut context) {
            return Ok(profile);
        }
        thread::park_timeout(NOTICED);
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
    about: impl Fn() -> About,
    job: Job,
    out: &mut impl Write,
) -> io::Result<()> {
    match job.form {
        Form::Text => writeln!(out, "{dump}"),
        Form::Forest => writeln!(out, "{}", dump.by_awaiter()),
        Form::Json => writeln!(out, "{}", dump.json()),
        Form::View => writeln!(out, "{}", dump.view(&about())),
        Form::Process => {
            let process = render::Process {
                program: &program(),
                pid: process::id(),
                age: age::of_this_process(),
                dump,
            };
            writeln!(out, "{process}")
        }
        Form::Folded(weight) => write!(out, "{}", dump.folded(weight)),
        Form::Flamegraph(weight) => dump.write_flamegraph(weight, out),
        Form::Pprof => dump.write_pprof(out),
        Form::GoPprof(profile) => dump.write_go_pprof(profile, out),
        Form::GoCounted(profile) => write!(out, "{}", dump.go_counted(profile)),
        Form::GoStacks => write!(out, "{}", dump.go_stacks()),
    }
}

fn write_profile(profile: &Profile, form: Form, out: &mut impl Write) -> io::Result<()> {
    match form {
        Form::Json => writeln!(out, "{}", profile.json()),
        Form::Folded(weight) => write!(out, "{}", profile.folded(weight)),
        Form::Flamegraph(weight) => profile.write_flamegraph(weight, out),
        Form::Pprof => profile.write_pprof(out),
        Form::GoPprof(kind) => profile.write_go_pprof(kind, out),
        // Only dumps are asked for in these forms.
        Form::Text
        | Form::Forest
        | Form::View
        | Form::Process
        | Form::GoCounted(_)
        | Form::GoStacks => writeln!(out, "{profile}"),
    }
}

/// Returns what the page says about a dump.
fn about(subject: Subject, taken: SystemTime, took: Duration) -> About {
    About {
        program: program(),
        pid: process::id(),
        taken,
        took,
        asked: subject.asking() == Asking::Polled,
    }
}

/// Returns the name of this program.
fn program() -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or(&path);
    name.to_string_lossy().into_owned()
}
