//! Asking all tasks, and looking at those that are in the middle of a poll.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::look::Look;
use super::{Source, TaskDump};
use crate::capture::RawTrace;
use crate::task::{Answers, Asked, NoSample, TaskState, TraceError, TraceHandle, sample, tasks};
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
    /// Until there is an answer, or none is waited for any more.
    asked: Option<Asked<'a>>,
    /// Its answer, once there is one.
    answer: Option<Result<Trace, TraceError>>,
    sampled: Option<Box<Sampled>>,
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
    let mut questions = ask_all(handles);

    let patience = PATIENCE.min(budget / RESERVE);
    let running = |question: &&Question<'_>| matches!(question.task.state, TaskState::Running(_));
    for question in questions.iter().filter(running) {
        question.wait(Some(begun + patience));
    }
    // A poll that has begun since is for the answer.
    look(
        &mut questions,
        handles,
        deadline,
        |question| matches!(question.task.state, TaskState::Running(_)),
        |question, now| question.is_in_same_poll(now),
    );

    let reserve = LONGEST_RESERVE.min(budget / RESERVE);
    let soon = deadline.map(|deadline| deadline - reserve);
    for questions in questions.chunks_mut(TOGETHER) {
        // Whoever polls them one after the other has answered the others by then, and this thread is
        // not woken for each. Nor is all left to do at the end.
        for question in questions.iter_mut().rev() {
            question.wait(soon);
            question.take();
        }
    }
    // It should have come by now.
    look(&mut questions, handles, deadline, |_| true, |_, _| true);

    let answers = questions.into_iter();
    answers
        .filter_map(|question| question.answer(budget))
        .collect()
}

/// So many questions are waited for at once.
const TOGETHER: usize = 256;

/// So many tasks are looked at as of one moment.
const AT_ONCE: usize = 64;

fn ask_all(handles: &[TraceHandle]) -> Vec<Question<'_>> {
    let mut answers = Answers::new(handles.len());
    let mut questions = Vec::with_capacity(handles.len());
    let mut look = Look::now();
    for (at, handle) in handles.iter().enumerate() {
        if at % AT_ONCE == 0 {
            look.again();
        }
        questions.push(Question::new(handle, &mut look, &mut answers));
    }
    questions
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
    may_be_meant: fn(&Question<'_>) -> bool,
    is_meant: fn(&Question<'_>, &TaskDump) -> bool,
) {
    let mut threads: BTreeMap<u64, Vec<(usize, TaskDump)>> = BTreeMap::new();
    for (at, question) in questions.iter().enumerate() {
        if may_be_meant(question)
            && let Some((thread, task)) = question.running()
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
                Some(trace) => questions[at].sampled = Some(Box::new(Sampled { task, trace })),
            }
        }
    }
}

impl<'a> Question<'a> {
    fn new(handle: &'a TraceHandle, look: &mut Look, answers: &mut Answers<RawTrace>) -> Self {
        let task = look.at(handle);
        let asked = match task.state {
            // It may be polled tomorrow, or never.
            TaskState::NeverPolled => Err(TraceError::NeverPolled),
            _ => handle.ask_in(answers),
        };
        let (asked, answer) = match asked {
            Ok(asked) => (Some(asked), None),
            Err(error) => (None, Some(Err(error))),
        };
        Self {
            handle,
            task,
            asked,
            answer,
            sampled: None,
        }
    }

    /// Waits for the answer, unless there is a stack.
    fn wait(&self, deadline: Option<Instant>) {
        if let (Some(asked), false) = (&self.asked, self.has_stack()) {
            asked.wait_until(deadline);
        }
    }

    /// Takes the answer, if there is one now.
    fn take(&mut self) {
        if let Some(answer) = self.asked.as_ref().and_then(Asked::take) {
            self.answer = Some(answer);
            self.asked = None;
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
        let asked = self.asked.as_ref()?;
        if asked.is_answered() || self.has_stack() {
            return None;
        }
        if !matches!(self.handle.state(), TaskState::Running(_)) {
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
            answer,
            sampled,
        } = self;
        let no_answer = || Err(TraceError::Finished);
        let answer = match asked {
            // It waits no longer, but takes back the question.
            Some(asked) => asked.finish(budget),
            None => answer.unwrap_or_else(no_answer),
        };
        let (sampled, trace) = match sampled.map(|sampled| *sampled) {
            Some(Sampled { task, trace }) => (Some(task), Some(trace)),
            None => (None, None),
        };
        match (answer, sampled, trace) {
            (_, Some(task), Some(Ok(trace))) => Some(task.with(trace, Source::Sample)),
            (Ok(trace), ..) => Some(task.with(trace, Source::Capture)),
            (Err(TraceError::Finished), ..) => None,
            (Err(_), Some(task), Some(Err(error))) => {
                let error = TraceError::NoSample(error);
                Some(task.with_snapshot(handle, Some(error)))
            }
            (Err(error), ..) => Some(task.with_snapshot(handle, Some(error))),
        }
    }
}
