//! What can be asked for: something to look at, and a form to show it in.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use std::{env, process};

use super::gate::Craft;
use super::pprof;
use super::response::{Policy, Refusal};
use super::shelf::{Item, Shelf};
use crate::dump::{Dump, asked, dump_in, look_at, snapshot_in};
use crate::host::Host;
use crate::render::{About, GoProfile, Weight};
use crate::task::{TaskId, TraceHandle, tasks};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// All tasks.
    Tasks(Asking),
    /// The one with this number.
    Task(u64, Asking),
}

/// Whether they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// Each is polled for it.
    Polled,
    /// Nothing is polled.
    LookedAt,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For readers.
    Text,
    /// Each task below those that await it.
    Forest,
    Json,
    /// For the page.
    View,
    Folded(Weight),
    Flamegraph(Weight),
    Pprof,
    /// As at Go's addresses.
    GoPprof(GoProfile),
    GoCounted(GoProfile),
    GoStacks,
}

/// The two together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) subject: Subject,
    pub(super) form: Form,
}

/// A job of somebody in an executor.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) job: Job,
    /// Whose tasks are counted.
    pub(super) host: Option<Host>,
}

/// Two in different executors get the same.
impl PartialEq for Order {
    fn eq(&self, other: &Self) -> bool {
        self.job == other.job
    }
}

impl Form {
    /// The type of its media.
    pub(super) fn media(self) -> &'static str {
        match self {
            Self::Text | Self::Forest | Self::Folded(_) | Self::GoCounted(_) | Self::GoStacks => {
                "text/plain; charset=utf-8"
            }
            Self::Flamegraph(_) => "image/svg+xml",
            Self::Pprof | Self::GoPprof(_) => pprof::MEDIA,
            Self::Json | Self::View => "application/json",
        }
    }

    /// What it may do in a browser.
    pub(super) fn policy(self) -> Policy {
        match self {
            Self::Flamegraph(_) => Policy::Sandbox,
            _ => Policy::Nothing,
        }
    }

    /// What it is called when it is saved, if that is what is done with it.
    pub(super) fn file(self) -> Option<&'static str> {
        match self {
            Self::Pprof => Some("tasks.pb.gz"),
            Self::GoPprof(_) => Some("profile.pb.gz"),
            _ => None,
        }
    }
}

impl Subject {
    /// Whether there is such a thing.
    ///
    /// # Errors
    ///
    /// If not.
    pub(super) fn check(self) -> Result<(), Refusal> {
        match self {
            Self::Tasks(_) => Ok(()),
            Self::Task(id, _) => task(id).map(drop),
        }
    }
}

fn task(id: u64) -> Result<TraceHandle, Refusal> {
    let id = TaskId::from_number(id);
    let gone = || Refusal::not_found(format!("there is no task {id}, or not any more"));
    tasks().find(|task| task.id() == id).ok_or_else(gone)
}

/// What has been seen.
pub(super) struct Sight {
    dump: Dump,
    taken: SystemTime,
    /// How long it took.
    took: Duration,
}

/// Does the jobs.
pub(super) struct Maker {
    /// How long tasks may take to answer.
    pub(super) budget: Duration,
    pub(super) shelf: Shelf,
}

impl Craft for Maker {
    type Order = Order;
    type Subject = Subject;
    type Sight = Result<Sight, Refusal>;
    type Product = Result<Arc<Item>, Refusal>;

    fn subject(order: &Order) -> Subject {
        order.job.subject
    }

    fn look(&self, order: &Order, _: &dyn Fn() -> bool) -> Self::Sight {
        let taken = SystemTime::now();
        let begun = Instant::now();
        let dump = self.dump(order)?;
        let took = begun.elapsed();
        Ok(Sight { dump, taken, took })
    }

    fn make(&self, sight: &Self::Sight, order: &Order) -> Self::Product {
        let sight = sight.as_ref().map_err(Refusal::clone)?;
        let kept = self
            .shelf
            .keep(|out| write(sight, order.job, &mut io::BufWriter::new(out)));
        match kept {
            Ok(Ok(item)) => Ok(item),
            Ok(Err(full)) => Err(full.into()),
            Err(error) => Err(pprof::unwritten(error)),
        }
    }
}

impl Maker {
    fn dump(&self, order: &Order) -> Result<Dump, Refusal> {
        let host = order.host.as_ref();
        match order.job.subject {
            Subject::Tasks(Asking::Polled) => Ok(dump_in(host, self.budget)),
            Subject::Tasks(Asking::LookedAt) => Ok(snapshot_in(host)),
            Subject::Task(id, asking) => {
                let task = task(id)?;
                let task = match asking {
                    Asking::Polled => asked(&task, self.budget),
                    Asking::LookedAt => look_at(&task, self.budget),
                };
                Ok(Dump::new(vec![task], None))
            }
        }
    }
}

fn write(sight: &Sight, job: Job, out: &mut impl Write) -> io::Result<()> {
    let dump = &sight.dump;
    match job.form {
        Form::Text => writeln!(out, "{dump}")?,
        Form::Forest => writeln!(out, "{}", dump.by_awaiter())?,
        Form::Json => writeln!(out, "{}", dump.json())?,
        Form::View => {
            let about = sight.about(job.subject);
            writeln!(out, "{}", dump.view(&about))?;
        }
        Form::Folded(weight) => write!(out, "{}", dump.folded(weight))?,
        Form::Flamegraph(weight) => dump.write_flamegraph(weight, &mut *out)?,
        Form::Pprof => dump.write_pprof(&mut *out)?,
        Form::GoPprof(profile) => dump.write_go_pprof(profile, &mut *out)?,
        Form::GoCounted(profile) => write!(out, "{}", dump.go_counted(profile))?,
        Form::GoStacks => write!(out, "{}", dump.go_stacks())?,
    }
    out.flush()
}

impl Sight {
    fn about(&self, subject: Subject) -> About {
        let (Subject::Tasks(asking) | Subject::Task(_, asking)) = subject;
        About {
            program: program(),
            pid: process::id(),
            taken: self.taken,
            took: self.took,
            asked: asking == Asking::Polled,
        }
    }
}

/// The name of this program.
fn program() -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or(&path);
    name.to_string_lossy().into_owned()
}
