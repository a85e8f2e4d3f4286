//! Asks tasks for traces, and samples the tasks that are in the middle of a poll.

use std::collections::BTreeMap;
use std::time::Duration;

use super::computing::measure_activity;
use super::scan::Scan;
use super::time_slices::TimeSlices;
use super::{Source, TaskDump, Unpolled};
use crate::capture::RawTrace;
use crate::os;
use crate::os::time::Instant;
use crate::sync::is_cancelled;
use crate::task::{
    ChannelBatch, ExactInstant, NoAnswer, NoSample, PendingWakes, TaskState, TraceError,
    TraceHandle, TraceRequest, sample, tasks,
};
use crate::trace::Trace;

/// The time that a task in the middle of a poll has to answer before its thread is interrupted. Most polls end within
/// microseconds, and an answer shows more than a sample does.
const POLL_GRACE: Duration = Duration::from_millis(20);

/// One part in `SAMPLING_SHARE` of the budget is reserved, at its end, for sampling tasks that have not answered.
const SAMPLING_SHARE: u32 = 8;

/// The upper limit of the time that is reserved for sampling.
const MAX_SAMPLING_RESERVE: Duration = Duration::from_millis(250);

/// A task that has been asked for a trace.
struct AskedTask<'a> {
    handle: &'a TraceHandle,
    /// The index of its entry among the dumped tasks. The entry has the state from before the request.
    entry: usize,
    /// The number of polls that had begun before the request, including polls that only answered requests.
    polls: u64,
    /// The number of those polls, without the polls that only answered requests.
    own_polls: u64,
    /// `true` if the task was in the middle of a poll before the request.
    is_running: bool,
    /// The pending request. `None` once the answer has been taken.
    request: Option<TraceRequest<'a>>,
    /// The answer that was taken.
    answer: Option<Result<Trace, TraceError>>,
    /// The result of interrupting its thread.
    sampled: Option<Box<SampledTask>>,
    /// `true` if no time was left to interrupt its thread.
    lacked_time: bool,
    polls_per_second: Option<u64>,
}

/// A task in the middle of a poll whose thread was interrupted.
struct SampledTask {
    /// The task right before the interruption, without a trace.
    task: TaskDump,
    /// The stack of the thread, as far as it belongs to this task.
    trace: Result<Trace, NoSample>,
}

/// Asks tasks for traces, and returns their dumps within `budget`, in no particular order.
///
/// All ages and times in the dumps refer to the moment of `scan`.
pub(super) fn ask(handles: &[TraceHandle], budget: Duration, scan: &mut Scan) -> Vec<TaskDump> {
    let begun = Instant::now();
    // There is no deadline if `Instant` cannot represent it.
    let deadline = begun.checked_add(budget);
    // The entries stay in this vector, so that the entries of a million tasks are neither moved nor sorted.
    let mut tasks = Vec::with_capacity(handles.len());
    // All tasks are asked before this thread waits for any answer.
    let (mut asked_tasks, rest) =
        ask_first(handles, begun.checked_add(budget / 2), scan, &mut tasks);
    // Another thread wakes the tasks. If a waker does not return, that thread is abandoned.
    let to_wake = asked_tasks.iter().filter(|asked| asked.request.is_some());
    let waking = PendingWakes::start(to_wake.map(|asked| asked.handle.reference()));

    // The asked tasks answer in the meantime.
    snapshot_rest(rest, scan, &mut tasks);

    // Completing very many entries takes about as long as making them.
    let completion_reserve = match tasks.len() > WAIT_BATCH {
        true => begun.elapsed().min(budget / 2),
        false => Duration::ZERO,
    };
    let deadline = deadline.map(|deadline| deadline - completion_reserve);
    let reserve = MAX_SAMPLING_RESERVE.min(budget / SAMPLING_SHARE);
    let sampling_deadline = deadline.map(|deadline| deadline - reserve);
    let is_over = || is_past(sampling_deadline);

    let patience = begun + POLL_GRACE.min(budget / SAMPLING_SHARE);
    for asked in asked_tasks.iter().filter(|asked| asked.is_running) {
        if is_past(Some(patience)) {
            break;
        }
        asked.wait(Some(patience));
    }
    // A poll that has begun since the request answers it, so only tasks in the same poll are sampled.
    let is_in_same_poll = |asked: &AskedTask<'_>| asked.is_in_same_poll();
    let mut may_respond = sample_running_tasks(
        &mut asked_tasks,
        handles,
        scan,
        sampling_deadline,
        is_in_same_poll,
    );
    // A thread that gets little processor time responds once it gets some.
    while may_respond && !is_over() && !is_cancelled() {
        let is_late = |asked: &AskedTask<'_>| asked.has_not_responded();
        may_respond =
            sample_running_tasks(&mut asked_tasks, handles, scan, sampling_deadline, is_late);
    }

    let mut time_slices = TimeSlices::start();
    for asked_tasks in asked_tasks.chunks_mut(WAIT_BATCH) {
        if is_over() {
            asked_tasks.iter_mut().for_each(AskedTask::take);
            continue;
        }
        // In reverse: when the last task of a batch has answered, an executor that polls the tasks in order has polled
        // the others too, and this thread is not woken for each answer. Batches spread the work over the waiting time.
        for asked in asked_tasks.iter_mut().rev() {
            asked.wait_unless_cancelled(sampling_deadline, &mut time_slices);
            asked.take();
        }
    }
    // Every answer should have come by now. Sample all running tasks that have not answered.
    sample_running_tasks(&mut asked_tasks, handles, scan, deadline, |_| true);
    count_polls(&mut asked_tasks, begun, deadline);

    let unpolled = Unpolled {
        for_: begun.elapsed(),
        // If a waker has not returned, its task may not be woken yet.
        is_proven: time_slices.prove_cpu_time() && waking.are_complete(),
    };
    complete_entries(asked_tasks, &mut tasks, scan, budget, unpolled);
    tasks
}

/// Completes the entries of the asked tasks, and removes the entries of tasks that have finished.
fn complete_entries(
    asked_tasks: Vec<AskedTask<'_>>,
    tasks: &mut Vec<TaskDump>,
    scan: &mut Scan,
    budget: Duration,
    unpolled: Unpolled,
) {
    let mut finished = Vec::new();
    for asked in asked_tasks {
        let entry = asked.entry;
        if !asked.complete_entry(&mut tasks[entry], scan, budget, unpolled) {
            finished.push(entry);
        }
    }
    if finished.is_empty() {
        return;
    }
    let mut finished = finished.into_iter().peekable();
    let mut places = 0..;
    tasks.retain(|_| {
        let entry = places.next();
        finished
            .next_if(|finished_entry| Some(*finished_entry) == entry)
            .is_none()
    });
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// The number of tasks in a batch: their answers are waited for together.
const WAIT_BATCH: usize = 256;

/// The number of tasks that are handled between two checks of the deadline.
const DEADLINE_CHECK_INTERVAL: usize = 64;

/// A task that is polled at least this many times while a request waits may be spinning.
const MANY_POLLS: u64 = 8;

/// The shortest time for which polls are counted.
const MIN_COUNT_TIME: Duration = Duration::from_millis(10);

/// The lowest rate of polls that is reported.
const MIN_POLLS_PER_SECOND: u64 = 1_000;

/// Measures the polls per second of the tasks, if one of them has been polled often while its request was pending.
fn count_polls(asked_tasks: &mut [AskedTask<'_>], begun: Instant, deadline: Option<Instant>) {
    let polls = |asked: &AskedTask<'_>| {
        let now = asked.handle.polls();
        now.saturating_sub(asked.own_polls)
    };
    if !asked_tasks.iter().any(|asked| polls(asked) >= MANY_POLLS) {
        return;
    }
    let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
    let pause = MIN_COUNT_TIME.saturating_sub(begun.elapsed());
    std::thread::sleep(deadline.map_or(pause, |deadline| pause.min(left(deadline))));
    let micros = begun.elapsed().as_micros().max(1);
    for asked in asked_tasks {
        let in_a_second = u128::from(polls(asked)) * 1_000_000 / micros;
        let in_a_second = u64::try_from(in_a_second).unwrap_or(u64::MAX);
        asked.polls_per_second = Some(in_a_second).filter(|polls| *polls >= MIN_POLLS_PER_SECOND);
    }
}

/// Asks tasks until the deadline. Tasks that cannot be asked get an entry with their live frames.
///
/// Returns the asked tasks, and the handles for which no time was left.
fn ask_first<'a>(
    handles: &'a [TraceHandle],
    deadline: Option<Instant>,
    scan: &mut Scan,
    tasks: &mut Vec<TaskDump>,
) -> (Vec<AskedTask<'a>>, &'a [TraceHandle]) {
    let mut answers = ChannelBatch::new(handles.len());
    let mut asked_tasks = Vec::new();
    for (at, handle) in handles.iter().enumerate() {
        if at % DEADLINE_CHECK_INTERVAL == 0 {
            if is_cancelled() {
                return (asked_tasks, &[]);
            }
            // The first few tasks are asked even after the deadline.
            if at > 0 && is_past(deadline) {
                return (asked_tasks, &handles[at..]);
            }
        }
        asked_tasks.extend(AskedTask::start(handle, scan, &mut answers, tasks));
    }
    (asked_tasks, &[])
}

/// Adds entries with live frames for the tasks that there is no time to ask.
fn snapshot_rest(handles: &[TraceHandle], scan: &mut Scan, tasks: &mut Vec<TaskDump>) {
    for handles in handles.chunks(DEADLINE_CHECK_INTERVAL) {
        if is_cancelled() {
            return;
        }
        tasks.extend(handles.iter().map(|handle| {
            let mut task = scan.snapshot(handle);
            if matches!(task.state, TaskState::Running(_)) {
                task.source = source_without_time();
            }
            task
        }));
    }
}

/// Returns the source of a trace that has only live frames because no time was left to sample the task.
fn source_without_time() -> Source {
    Source::Snapshot {
        error: Some(TraceError::NoSample(NoSample::NoTime)),
    }
}

/// Dumps one task without having it polled: with a sample of its thread if it is in the middle of a poll, and with its
/// live frames otherwise.
pub(crate) fn sample_or_snapshot(handle: &TraceHandle, budget: Duration) -> TaskDump {
    let mut scan = Scan::now();
    let mut task = scan.read(handle);
    let TaskState::Running(running) = &mut task.state else {
        return task.with_snapshot(handle, None);
    };
    if let Some(thread) = running.known_thread()
        && running.duration() >= WATCHED_POLL
    {
        running.computes = measure_activity([thread].into_iter(), budget / 4)
            .get(&thread)
            .copied();
    }
    let Some(thread) = running.known_thread() else {
        return task.with_snapshot(handle, None);
    };
    let all: Vec<TraceHandle> = tasks().collect();
    let deadline = os::deadline(budget);
    loop {
        let trace =
            sample(thread, &[handle], &all, scan.moment(), deadline).remove(&task.id().get());
        match trace {
            // The thread responds once it gets some processor time.
            Some(Err(NoSample::NoResponse(_))) if Instant::now() < deadline => {}
            Some(Ok(trace)) => return task.with(trace, Source::Sample),
            Some(Err(error)) => {
                scan.add_live_frames(&mut task, handle, TraceError::NoSample(error));
                return task;
            }
            None => return task.with_snapshot(handle, None),
        }
    }
}

/// The thread of a poll is watched once the poll has lasted this long, to find out if it computes or is blocked.
const WATCHED_POLL: Duration = Duration::from_millis(100);

/// A thread that is in the middle of one or more polls, one inside the other.
#[derive(Default)]
struct PollingThread {
    /// The indices of the asked tasks that it polls.
    asked_tasks: Vec<usize>,
    /// `true` if one of its polls has taken as long as [`WATCHED_POLL`].
    is_long: bool,
}

/// Interrupts the threads of the selected tasks that have not answered and are in the middle of a poll, until the
/// deadline, and stores the samples.
///
/// Returns `true` if a thread has not responded but may do so later.
fn sample_running_tasks(
    asked_tasks: &mut [AskedTask<'_>],
    all: &[TraceHandle],
    scan: &mut Scan,
    deadline: Option<Instant>,
    is_selected: fn(&AskedTask<'_>) -> bool,
) -> bool {
    // Without a deadline, a call takes about one second at most. The caller repeats it for threads that did not
    // respond.
    let deadline = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
    let is_over = || Instant::now() >= deadline;
    let mut threads: BTreeMap<u64, PollingThread> = BTreeMap::new();
    for (at, asked) in asked_tasks.iter_mut().enumerate() {
        if !asked.is_waiting() {
            continue;
        }
        if is_over() {
            asked.lacked_time = true;
        } else if let Some((thread, duration)) = asked.running(scan.moment())
            && is_selected(asked)
        {
            let polling = threads.entry(thread).or_default();
            polling.asked_tasks.push(at);
            polling.is_long |= duration >= WATCHED_POLL;
        }
    }
    let long = threads.iter().filter(|(_, polling)| polling.is_long);
    let left = deadline.saturating_duration_since(Instant::now());
    let computing = measure_activity(long.map(|(thread, _)| *thread), left / 4);
    let mut may_respond = false;
    for (thread, polling) in threads {
        if is_over() || is_cancelled() {
            let left_out = polling.asked_tasks.into_iter();
            left_out.for_each(|at| asked_tasks[at].lacked_time = true);
            continue;
        }
        let mut tasks = Vec::with_capacity(polling.asked_tasks.len());
        for at in polling.asked_tasks {
            let mut task = scan.read(asked_tasks[at].handle);
            // The poll may have ended in the meantime.
            if let TaskState::Running(running) = &mut task.state
                && running.known_thread() == Some(thread)
            {
                running.computes = computing.get(&thread).copied();
                tasks.push((at, task));
            }
        }
        let handles: Vec<&TraceHandle> = tasks
            .iter()
            .map(|(at, _)| asked_tasks[*at].handle)
            .collect();
        let mut traces = sample(thread, &handles, all, scan.moment(), deadline);
        for (at, task) in tasks {
            match traces.remove(&task.id().get()) {
                // The poll has ended, so the answer has come or will come.
                None | Some(Err(NoSample::Over)) => {}
                Some(trace) => {
                    may_respond |= matches!(trace, Err(NoSample::NoResponse(_)));
                    asked_tasks[at].lacked_time = false;
                    asked_tasks[at].sampled = Some(Box::new(SampledTask { task, trace }));
                }
            }
        }
    }
    may_respond
}

impl<'a> AskedTask<'a> {
    /// Asks the task of `handle`, and adds an entry for it to `tasks`.
    ///
    /// Returns `None` if the task has finished, or if it cannot be asked. In the latter case its entry has its live
    /// frames.
    fn start(
        handle: &'a TraceHandle,
        scan: &mut Scan,
        answers: &mut ChannelBatch<RawTrace>,
        tasks: &mut Vec<TaskDump>,
    ) -> Option<Self> {
        let entry = tasks.len();
        // The count is read before the state: if the count is unchanged later, the state belongs to the same poll.
        let polls = handle.all_polls();
        tasks.push(scan.read(handle));
        let task = &mut tasks[entry];
        let request = match task.state {
            // It may not be polled for a long time, if ever, so it is not asked.
            TaskState::NeverPolled => Err(TraceError::NeverPolled),
            _ => handle.request_in(answers),
        };
        match request {
            Ok(request) => {
                return Some(Self {
                    handle,
                    entry,
                    polls,
                    own_polls: task.polls,
                    is_running: matches!(task.state, TaskState::Running(_)),
                    request: Some(request),
                    answer: None,
                    sampled: None,
                    lacked_time: false,
                    polls_per_second: None,
                });
            }
            Err(TraceError::Finished) => drop(tasks.pop()),
            Err(error) => scan.add_live_frames(task, handle, error),
        }
        None
    }

    /// Waits for the answer, unless a stack was sampled.
    fn wait(&self, deadline: Option<Instant>) {
        if let (Some(request), false) = (&self.request, self.has_stack()) {
            request.wait_until(deadline);
        }
    }

    /// Waits like [`wait`](Self::wait), but returns early if the work is [cancelled](is_cancelled). Counts the time
    /// slices of this thread.
    fn wait_unless_cancelled(&self, deadline: Option<Instant>, time_slices: &mut TimeSlices) {
        while os::thread::HAS_THREADS && self.is_waiting() && !is_cancelled() {
            let next = Instant::now() + TimeSlices::LENGTH;
            if deadline.is_some_and(|deadline| deadline <= next) {
                return self.wait(deadline);
            }
            self.wait(Some(next));
            if self.is_waiting() {
                time_slices.count();
            }
        }
    }

    /// Returns `true` if the answer may still come, and no stack was sampled.
    fn is_waiting(&self) -> bool {
        let request = self.request.as_ref();
        !self.has_stack() && request.is_some_and(|request| !request.is_answered())
    }

    /// Takes the answer, if it has come.
    fn take(&mut self) {
        if let Some(answer) = self.request.as_ref().and_then(TraceRequest::take) {
            self.answer = Some(answer);
            self.request = None;
        }
    }

    /// Returns `true` if the task is still in the poll that it was in before the request.
    fn is_in_same_poll(&self) -> bool {
        self.is_running && self.polls == self.handle.all_polls()
    }

    fn has_stack(&self) -> bool {
        self.sampled
            .as_ref()
            .is_some_and(|sampled| sampled.trace.is_ok())
    }

    /// Returns `true` if its thread was to be interrupted and has not responded in time.
    fn has_not_responded(&self) -> bool {
        let trace = self.sampled.as_ref().map(|sampled| &sampled.trace);
        matches!(trace, Some(Err(NoSample::NoResponse(_))))
    }

    /// Returns the thread that polls the task, and the duration of that poll at `moment`.
    fn running(&self, moment: ExactInstant) -> Option<(u64, Duration)> {
        match self.handle.state_at(moment) {
            TaskState::Running(running) => Some((running.known_thread()?, running.duration())),
            _ => None,
        }
    }

    /// Completes the entry of the task with its answer, its sample, or its live frames. Sets `unpolled` if the task was
    /// not polled for an answer.
    ///
    /// Returns `false` if the task has finished.
    fn complete_entry(
        self,
        task: &mut TaskDump,
        scan: &mut Scan,
        budget: Duration,
        unpolled: Unpolled,
    ) -> bool {
        task.polls_per_second = self.polls_per_second;
        let answer = match self.request {
            // This does not wait. It withdraws the request.
            Some(request) => request.finish(budget),
            None => self.answer.unwrap_or(Err(TraceError::Finished)),
        };
        let sampled = self.sampled.map(|sampled| (sampled.task, sampled.trace));
        match (answer, sampled) {
            (_, Some((known, Ok(trace)))) => *task = known.with(trace, Source::Sample),
            (Ok(trace), _) => {
                // The poll that it was in has ended, and the trace is of a later one, which has ended as well.
                if matches!(task.state, TaskState::Running(_)) {
                    task.state = TaskState::Suspended;
                }
                task.complete(scan.at_same_moment(trace), Source::Capture);
            }
            (Err(TraceError::Finished), _) => return false,
            (Err(_), Some((known, Err(error)))) => {
                *task = known;
                scan.add_live_frames(task, self.handle, TraceError::NoSample(error));
            }
            (
                Err(TraceError::NoAnswer {
                    reason: NoAnswer::Running,
                    ..
                }),
                None,
            ) if self.lacked_time => {
                scan.add_live_frames(task, self.handle, TraceError::NoSample(NoSample::NoTime));
            }
            (Err(error), None) => {
                let reason = NoAnswer::NotPolled;
                if matches!(error, TraceError::NoAnswer { reason: actual, .. } if actual == reason)
                {
                    task.unpolled = Some(unpolled);
                }
                scan.add_live_frames(task, self.handle, error);
            }
        }
        true
    }
}
