//! Tasks that are in the middle of a poll: what their threads are doing.

use std::collections::BTreeMap;
use std::time::Instant;

use super::clock::Moment;
use super::handle::TraceHandle;
use super::live;
use super::scope;
use super::thread::Token;
use crate::capture::{self, NoSample};
use crate::trace::Trace;

/// What has become of each of the tasks that one thread is polling, by their numbers.
pub(crate) type Sampled = BTreeMap<u64, Result<Trace, NoSample>>;

/// Interrupts the thread with this number, which was seen polling these tasks. `all` are those that
/// there are, in the order of their numbers.
///
/// The calling thread is not interrupted: it knows where it is.
pub(crate) fn sample(
    thread: u64,
    tasks: &[&TraceHandle],
    all: &[TraceHandle],
    moment: Moment,
    deadline: Instant,
) -> Sampled {
    // Also those around that nobody has asked about.
    let identify = |task: u64| {
        let known = all.binary_search_by_key(&task, |handle| handle.id().get());
        Some(live::marker(all.get(known.ok()?)?.record()).identity)
    };
    // The token of the thread is known to the tasks that it polls.
    let infos = tasks.iter().map(|task| Token(task.last_thread()).info());
    let info = infos.flatten().find(|info| info.id == thread);
    let sample = match info {
        Some(info) => capture::sample(thread, info.has_room, scope::collect, identify, deadline),
        None => Err(NoSample::Over),
    };
    let sample = match sample {
        Ok(sample) => sample,
        Err(error) => {
            let failed = |task: &&TraceHandle| (task.id().get(), Err(error.clone()));
            return tasks.iter().map(failed).collect();
        }
    };
    let trace = |task: &&TraceHandle| {
        let id = task.id().get();
        let trace = sample.recording(id).map(|recording| {
            let live = live::frames(task.record());
            Trace::new(recording.trace(id, &live, moment.of_steps()))
        });
        (id, trace)
    };
    tasks.iter().map(trace).collect()
}
