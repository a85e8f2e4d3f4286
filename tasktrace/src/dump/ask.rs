//! Asking all tasks, and looking at those that are in the middle of a poll.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Source, TaskDump};
use crate::capture::RawTrace;
use crate::task::{
    Answers, Asked, NoSample, TaskState, TraceError, TraceHandle, sample, tasks,
};
use crate::trace::Trace;

/// So long a task that was found in the middle of a poll may take to answer, before its thread is
/// interrupted. Most polls end within microseconds, and then the answer tells more.
const PATIENCE: Duration = Duration::from_millis(20);

/// At the end, this part of the time is for looking at those that have not answered.
const RESERVE: u32 = 8;

/// And not more than this.
const LONGEST_RESERVE: Duration = Duration::from_millis(250);

/// A task that was asked.
struct Question<'a> {
    handle: &'a TraceHandle,
    /// What was so before it was asked.
    task: TaskDump,
    asked: Result<Asked<'a>, TraceError>,
    sampled: Option<Sampled>,
}

/// What was seen of a task in the middle of a poll.
struct Sampled {
    /// What was so right before.
    task: TaskDump,
    trace: Result<Trace, NoSample>,
}

/// Where these tasks are, within a time. They are in the order of their numbers.
pub(super) fn ask(handles: &[TraceHandle], budget: Duration) -> Vec<TaskDump> {
    let begun = Instant::now();
    // A time too far to be told is no deadline.
    let deadline = begun.checked_add(budget);
    // All are asked before any is waited for.
    let mut answers = Answers::new(handles.len());
    let questions = handles.iter().map(|handle| Question::new(handle, &mut answers));
    let mut questions: Vec<Question<'_>> = questions.collect();

    let patience = PATIENCE.min(budget / RESERVE);
    let running = |question: &&Question<'_>| matches!(question.task.state, TaskState::Running(_));
    for question in questions.iter().filter(running) {
        question.wait(Some(begun + patience));
    }
    // A poll that has begun since is for the answer.
    look(&mut questions, handles, deadline, |question, now| {
        question.is_in_same_poll(now)
    });

    let reserve = LONGEST_RESERVE.min(budget / RESERVE);
    let soon = deadline.map(|deadline| deadline - reserve);
    // From the last on: whoever polls them one after the other has answered the others by then, and
    // this thread is not woken for each.
    for question in questions.iter().rev() {
        question.wait(soon);
    }
    // It should have come by now.
    look(&mut questions, handles, deadline, |_, _| true);

    let answers = questions.into_iter();
    answers
        .filter_map(|question| question.answer(budget))
        .collect()
}

/// Where one task is, which is not polled for it: what its thread is doing if that polls it, and
/// otherwise its live frames.
pub(crate) fn look_at(handle: &TraceHandle, budget: Duration) -> TaskDump {
    let task = TaskDump::of(handle);
    let TaskState::Running(running) = &task.state else {
        return task.with_snapshot(handle, None);
    };
    let all: Vec<TraceHandle> = tasks().collect();
    let deadline = Instant::now() + budget;
    let traces = running
        .known_thread()
        .map(|thread| sample(thread, &[handle], &all, deadline));
    match traces.and_then(|mut traces| traces.remove(&task.id().get())) {
        Some(Ok(trace)) => task.with(trace, Source::Sample),
        Some(Err(error)) => task.with_snapshot(handle, Some(TraceError::NoSample(error))),
        None => task.with_snapshot(handle, None),
    }
}

/// Interrupts the threads that are in the middle of polls of tasks that have not answered.
fn look(
    questions: &mut [Question<'_>],
    all: &[TraceHandle],
    deadline: Option<Instant>,
    is_meant: fn(&Question<'_>, &TaskDump) -> bool,
) {
    let mut threads: BTreeMap<u64, Vec<(usize, TaskDump)>> = BTreeMap::new();
    for (at, question) in questions.iter().enumerate() {
        if let Some((thread, task)) = question.running()
            && is_meant(question, &task)
        {
            threads.entry(thread).or_default().push((at, task));
        }
    }
    for (thread, tasks) in threads {
        let now = Instant::now();
        let deadline = deadline.unwrap_or(now + Duration::from_secs(1));
        if now >= deadline {
            return;
        }
        let handles: Vec<&TraceHandle> =
            tasks.iter().map(|(at, _)| questions[*at].handle).collect();
        let mut traces = sample(thread, &handles, all, deadline);
        for (at, task) in tasks {
            match traces.remove(&task.id().get()) {
                // The poll has ended: so there is an answer, or will be.
                None | Some(Err(NoSample::Over)) => {}
                Some(trace) => questions[at].sampled = Some(Sampled { task, trace }),
            }
        }
    }
}

impl<'a> Question<'a> {
    fn new(handle: &'a TraceHandle, answers: &mut Answers<RawTrace>) -> Self {
        let task = TaskDump::of(handle);
        let asked = match task.state {
            // It may be polled tomorrow, or never.
            TaskState::NeverPolled => Err(TraceError::NeverPolled),
            _ => handle.ask_in(answers),
        };
        Self {
            handle,
            task,
            asked,
            sampled: None,
        }
    }

    /// Waits for the answer, unless there is a stack.
    fn wait(&self, deadline: Option<Instant>) {
        if let (Ok(asked), false) = (&self.asked, self.has_stack()) {
            asked.wait_until(deadline);
        }
    }

    /// Whether it is now in the poll that it was in before it was asked.
    fn is_in_same_poll(&self, now: &TaskDump) -> bool {
        matches!(self.task.state, TaskState::Running(_)) && self.task.polls == now.polls
    }

    fn has_stack(&self) -> bool {
        self.sampled
            .as_ref()
            .is_some_and(|sampled| sampled.trace.is_ok())
    }

    /// The thread that is in the middle of a poll of it, if there is no answer, and none will come
    /// before that ends. And what is so now.
    fn running(&self) -> Option<(u64, TaskDump)> {
        let asked = self.asked.as_ref().ok()?;
        let is_running = matches!(self.handle.state(), TaskState::Running(_));
        if !is_running || asked.is_answered() || self.has_stack() {
            return None;
        }
        let now = TaskDump::of(self.handle);
        match &now.state {
            TaskState::Running(running) => Some((running.known_thread()?, now)),
            _ => None,
        }
    }

    /// `None` if it has finished.
    fn answer(self, budget: Duration) -> Option<TaskDump> {
        let Self {
            handle,
            task,
            asked,
            sampled,
        } = self;
        // It waits no longer, but takes back the question.
        let answer = asked.and_then(|asked| asked.finish(budget));
        match (answer, sampled) {
            (
                _,
                Some(Sampled {
                    task,
                    trace: Ok(trace),
                }),
            ) => Some(task.with(trace, Source::Sample)),
            (Ok(trace), _) => Some(task.with(trace, Source::Capture)),
            (Err(TraceError::Finished), _) => None,
            (
                Err(_),
                Some(Sampled {
                    task,
                    trace: Err(error),
                }),
            ) => {
                let error = TraceError::NoSample(error);
                Some(task.with_snapshot(handle, Some(error)))
            }
            (Err(error), None) => Some(task.with_snapshot(handle, Some(error))),
        }
    }
}
