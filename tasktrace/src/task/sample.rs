//! Samples tasks that are in the middle of a poll, by interrupting their threads.

use std::collections::BTreeMap;

use super::clock::ExactInstant;
use super::handle::TraceHandle;
use super::scope;
use super::snapshot;
use super::thread::ThreadIndex;
use crate::capture::{self, NoSample};
use crate::os::time::Instant;
use crate::trace::Trace;

/// The result for each task that one thread is polling, by task number.
pub(crate) type SampledTraces = BTreeMap<u64, Result<Trace, NoSample>>;

/// Interrupts the thread with this number, which was seen polling `tasks`, and takes its stack. `all` are all tasks,
/// in the order of their numbers.
///
/// The caller must not pass its own thread.
pub(crate) fn sample(
    thread: u64,
    tasks: &[&TraceHandle],
    all: &[TraceHandle],
    moment: ExactInstant,
    deadline: Instant,
) -> SampledTraces {
    // Also for the tasks around `tasks` that were not asked for.
    let identify = |task: u64| {
        let known = all.binary_search_by_key(&task, |handle| handle.id().get());
        Some(snapshot::task_marker(all.get(known.ok()?)?.header()).identity)
    };
    // Each task knows the index of the thread that polls it.
    let infos = tasks
        .iter()
        .map(|task| ThreadIndex(task.last_thread()).info());
    let info = infos.flatten().find(|info| info.id == thread);
    let sample = match info {
        Some(info) => capture::sample(
            thread,
            info.has_signal_stack,
            &info.state,
            scope::sampled_scopes,
            identify,
            deadline,
        ),
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
            snapshot::with_live_frames(task.header(), |live| {
                Trace::new(recording.trace(id, live, moment.to_snapshot_time()))
            })
        });
        (id, trace)
    };
    tasks.iter().map(trace).collect()
}
