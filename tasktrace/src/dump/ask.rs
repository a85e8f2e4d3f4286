//! Asking all tasks, and looking at those that are in the middle of a poll.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::look::Look;
use super::turns::Turns;
use super::{Source, TaskDump, Unpolled};
use crate::capture::RawTrace;
use crate::os;
use crate::os::activity::Activity;
use crate::sync::is_unwanted;
use crate::task::{
    Answers, Asked, Moment, NoAnswer, NoSample, TaskState, TraceError, TraceHandle, Waking, sample,
    tasks,
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
    /// The index of its entry among the dumped tasks, with the state from before it was asked.
    place: usize,
    /// How many polls of the task had begun before it was asked, including those that only answered requests.
    polls: u64,
    /// How many of these polls were not for requests only.
    own_polls: u64,
    /// It was in the middle of a poll before it was asked.
    is_running: bool,
    /// Until there is an answer, or none is waited for any more.
    asked: Option<Asked<'a>>,
    /// Its answer, once there is one.
    answer: Option<Result<Trace, TraceError>>,
    sampled: Option<Box<Sampled>>,
    /// There was no time to interrupt its thread.
    is_left_out: bool,
    polls_per_second: Option<u64>,
}

/// What was seen of a task in the middle of a poll.
struct Sampled {
    /// What was so right before.
    task: TaskDump,
    trace: Result<Trace, NoSample>,
}

/// Where these tasks are, within a time. They are in any order.
///
/// All that is told is as of the moment at which `look` looks.
pub(super) fn ask(handles: &[TraceHandle], budget: Duration, look_at: &mut Look) -> Vec<TaskDump> {
    let begun = Instant::now();
    // A time too far to be told is no deadline.
    let deadline = begun.checked_add(budget);
    // The entries stay where they are: those of a million tasks are neither moved nor sorted.
    let mut tasks = Vec::with_capacity(handles.len());
    // All are asked before any is waited for.
    let (mut questions, rest) =
        ask_first(handles, begun.checked_add(budget / 2), look_at, &mut tasks);
    // A thread that does not return from a waker is left behind.
    let asked = questions.iter().filter(|question| question.asked.is_some());
    let waking = Waking::start(asked.map(|question| question.handle.reference()));

    // Meanwhile others answer.
    look_at_rest(rest, look_at, &mut tasks);

    // To complete very many entries takes about as long as to make them.
    let to_complete = match tasks.len() > TOGETHER {
        true => begun.elapsed().min(budget / 2),
        false => Duration::ZERO,
    };
    let deadline = deadline.map(|deadline| deadline - to_complete);
    let reserve = LONGEST_RESERVE.min(budget / RESERVE);
    let soon = deadline.map(|deadline| deadline - reserve);
    let is_over = || is_past(soon);

    let patience = begun + PATIENCE.min(budget / RESERVE);
    for question in questions.iter().filter(|question| question.is_running) {
        if is_past(Some(patience)) {
            break;
        }
        question.wait(Some(patience));
    }
    // A poll that has begun since is for the answer.
    let is_same = |question: &Question<'_>| question.is_in_same_poll();
    let mut may_respond = look(&mut questions, handles, look_at, soon, is_same);
    // A thread that gets little processor time responds once it has some.
    while may_respond && !is_over() && !is_unwanted() {
        let is_late = |question: &Question<'_>| question.has_not_responded();
        may_respond = look(&mut questions, handles, look_at, soon, is_late);
    }

    let mut turns = Turns::start();
    for questions in questions.chunks_mut(TOGETHER) {
        if is_over() {
            questions.iter_mut().for_each(Question::take);
            continue;
        }
        // Whoever polls them one after the other has answered the others by then, and this thread is
        // not woken for each. Nor is all left to do at the end.
        for question in questions.iter_mut().rev() {
            question.wait_if_wanted(soon, &mut turns);
            question.take();
        }
    }
    // It should have come by now.
    look(&mut questions, handles, look_at, deadline, |_| true);
    count_polls(&mut questions, begun, deadline);

    let unpolled = Unpolled {
        for_: begun.elapsed(),
        // A task whose waker has not returned may not be woken yet.
        is_proven: turns.are_enough() && waking.is_over(),
    };
    answer(questions, &mut tasks, look_at, budget, unpolled);
    tasks
}

/// Completes the entries of the tasks that were asked, and removes those of tasks that have finished.
fn answer(
    questions: Vec<Question<'_>>,
    tasks: &mut Vec<TaskDump>,
    look: &mut Look,
    budget: Duration,
    unpolled: Unpolled,
) {
    let mut finished = Vec::new();
    for question in questions {
        let place = question.place;
        if !question.answer(&mut tasks[place], look, budget, unpolled) {
            finished.push(place);
        }
    }
    if finished.is_empty() {
        return;
    }
    let mut finished = finished.into_iter().peekable();
    let mut places = 0..;
    tasks.retain(|_| {
        let place = places.next();
        finished.next_if(|gone| Some(*gone) == place).is_none()
    });
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// So many questions are waited for at once.
const TOGETHER: usize = 256;

/// After so many tasks it is seen how late it is.
const AT_ONCE: usize = 64;

/// A task that is polled at least this many times while a request waits may be spinning.
const MANY_POLLS: u64 = 8;

/// The shortest time for which polls are counted.
const COUNTING: Duration = Duration::from_millis(10);

/// As many polls in a second are told.
const POLLS_PER_SECOND: u64 = 1_000;

/// Finds out how often tasks are polled that wake themselves all the time.
fn count_polls(questions: &mut [Question<'_>], begun: Instant, deadline: Option<Instant>) {
    let polls = |question: &Question<'_>| {
        let now = question.handle.polls();
        now.saturating_sub(question.own_polls)
    };
    if !questions
        .iter()
        .any(|question| polls(question) >= MANY_POLLS)
    {
        return;
    }
    let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
    let pause = COUNTING.saturating_sub(begun.elapsed());
    std::thread::sleep(deadline.map_or(pause, |deadline| pause.min(left(deadline))));
    let micros = begun.elapsed().as_micros().max(1);
    for question in questions {
        let in_a_second = u128::from(polls(question)) * 1_000_000 / micros;
        let in_a_second = u64::try_from(in_a_second).unwrap_or(u64::MAX);
        question.polls_per_second = Some(in_a_second).filter(|polls| *polls >= POLLS_PER_SECOND);
    }
}

/// Asks tasks, and looks at those of which there is nothing to ask, until the time for that is over.
/// Returns those that are left as well.
fn ask_first<'a>(
    handles: &'a [TraceHandle],
    deadline: Option<Instant>,
    look: &mut Look,
    tasks: &mut Vec<TaskDump>,
) -> (Vec<Question<'a>>, &'a [TraceHandle]) {
    let mut answers = Answers::new(handles.len());
    let mut questions = Vec::new();
    for (at, handle) in handles.iter().enumerate() {
        if at % AT_ONCE == 0 {
            if is_unwanted() {
                return (questions, &[]);
            }
            // The first few are asked at any rate.
            if at > 0 && is_past(deadline) {
                return (questions, &handles[at..]);
            }
        }
        questions.extend(Question::start(handle, look, &mut answers, tasks));
    }
    (questions, &[])
}

/// Looks at tasks for which there is no time to ask them.
fn look_at_rest(handles: &[TraceHandle], look: &mut Look, tasks: &mut Vec<TaskDump>) {
    for handles in handles.chunks(AT_ONCE) {
        if is_unwanted() {
            return;
        }
        tasks.extend(handles.iter().map(|handle| {
            let mut task = look.snapshot(handle);
            if matches!(task.state, TaskState::Running(_)) {
                task.source = no_time();
            }
            task
        }));
    }
}

/// The live frames of a task whose stack there was no time for.
fn no_time() -> Source {
    Source::Snapshot {
        error: Some(TraceError::NoSample(NoSample::NoTime)),
    }
}

/// Where one task is, which is not polled for it: what its thread is doing if that polls it, and
/// otherwise its live frames.
pub(crate) fn look_at(handle: &TraceHandle, budget: Duration) -> TaskDump {
    let mut look = Look::now();
    let mut task = look.at(handle);
    let TaskState::Running(running) = &mut task.state else {
        return task.with_snapshot(handle, None);
    };
    if let Some(thread) = running.known_thread()
        && running.duration() >= LONG
    {
        running.computes = computing([thread].into_iter(), budget / 4)
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
            sample(thread, &[handle], &all, look.moment(), deadline).remove(&task.id().get());
        match trace {
            // It responds once it gets some processor time.
            Some(Err(NoSample::NoResponse(_))) if Instant::now() < deadline => {}
            Some(Ok(trace)) => return task.with(trace, Source::Sample),
            Some(Err(error)) => {
                look.complete(&mut task, handle, TraceError::NoSample(error));
                return task;
            }
            None => return task.with_snapshot(handle, None),
        }
    }
}

/// The duration from which a poll is examined: whether its thread computes or is blocked.
const LONG: Duration = Duration::from_millis(100);

/// The time for which such a thread is watched.
const WATCHING: Duration = Duration::from_millis(10);

/// Finds out which of these threads compute, and which are blocked, within a time. The calling thread is
/// none of them, and those that there was no time for are not either.
fn computing(threads: impl Iterator<Item = u64>, longest: Duration) -> BTreeMap<u64, bool> {
    let own = os::thread::id();
    // To read about a thread takes microseconds, and there may be thousands. Each is read about twice.
    let (half, end) = (os::deadline(longest / 2), os::deadline(longest));
    let before: Vec<_> = threads
        .take_while(|_| Instant::now() < half)
        .filter(|thread| Some(*thread) != own)
        .filter_map(|thread| Some((thread, Activity::of(thread)?)))
        .collect();
    if before.is_empty() {
        return BTreeMap::new();
    }
    std::thread::sleep(WATCHING.min(longest / 4));
    let computes = |(thread, before)| Some((thread, Activity::of(thread)?.computes_since(before)));
    // This thread may have got no processor meanwhile. To read about a few takes no time.
    let before = before.into_iter().enumerate();
    let in_time = before.take_while(|(at, _)| *at < AT_ONCE || Instant::now() < end);
    in_time.filter_map(|(_, thread)| computes(thread)).collect()
}

/// A thread that is in the middle of polls.
#[derive(Default)]
struct Polling {
    /// The questions to the tasks that it polls.
    questions: Vec<usize>,
    /// One of these polls takes long.
    is_long: bool,
}

/// Interrupts the threads that are in the middle of polls of tasks that have not answered, until the time for that is
/// over. Returns `true` if one of them has not responded, but may later.
fn look(
    questions: &mut [Question<'_>],
    all: &[TraceHandle],
    look: &mut Look,
    deadline: Option<Instant>,
    is_meant: fn(&Question<'_>) -> bool,
) -> bool {
    let deadline = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
    let is_over = || Instant::now() >= deadline;
    let mut threads: BTreeMap<u64, Polling> = BTreeMap::new();
    for (at, question) in questions.iter_mut().enumerate() {
        if !question.is_waiting() {
            continue;
        }
        if is_over() {
            question.is_left_out = true;
        } else if let Some((thread, duration)) = question.running(look.moment())
            && is_meant(question)
        {
            let polling = threads.entry(thread).or_default();
            polling.questions.push(at);
            polling.is_long |= duration >= LONG;
        }
    }
    let long = threads.iter().filter(|(_, polling)| polling.is_long);
    let left = deadline.saturating_duration_since(Instant::now());
    let computing = computing(long.map(|(thread, _)| *thread), left / 4);
    let mut may_respond = false;
    for (thread, polling) in threads {
        if is_over() || is_unwanted() {
            let left_out = polling.questions.into_iter();
            left_out.for_each(|at| questions[at].is_left_out = true);
            continue;
        }
        let mut tasks = Vec::with_capacity(polling.questions.len());
        for at in polling.questions {
            let mut task = look.at(questions[at].handle);
            // It may have ended meanwhile.
            if let TaskState::Running(running) = &mut task.state
                && running.known_thread() == Some(thread)
            {
                running.computes = computing.get(&thread).copied();
                tasks.push((at, task));
            }
        }
        let handles: Vec<&TraceHandle> =
            tasks.iter().map(|(at, _)| questions[*at].handle).collect();
        let mut traces = sample(thread, &handles, all, look.moment(), deadline);
        for (at, task) in tasks {
            match traces.remove(&task.id().get()) {
                // The poll has ended: so there is an answer, or will be.
                None | Some(Err(NoSample::Over)) => {}
                Some(trace) => {
                    may_respond |= matches!(trace, Err(NoSample::NoResponse(_)));
                    questions[at].is_left_out = false;
                    questions[at].sampled = Some(Box::new(Sampled { task, trace }));
                }
            }
        }
    }
    may_respond
}

impl<'a> Question<'a> {
    /// Asks the task of `handle`, and adds an entry for it to `tasks`. Returns `None` if it has finished, and if it
    /// cannot be asked: then its entry has its live frames.
    fn start(
        handle: &'a TraceHandle,
        look: &mut Look,
        answers: &mut Answers<RawTrace>,
        tasks: &mut Vec<TaskDump>,
    ) -> Option<Self> {
        let place = tasks.len();
        // In this order: if it is still the same poll, then it is that of the state.
        let polls = handle.all_polls();
        tasks.push(look.at(handle));
        let task = &mut tasks[place];
        let asked = match task.state {
            // It may be polled tomorrow, or never.
            TaskState::NeverPolled => Err(TraceError::NeverPolled),
            _ => handle.ask_in(answers),
        };
        match asked {
            Ok(asked) => {
                return Some(Self {
                    handle,
                    place,
                    polls,
                    own_polls: task.polls,
                    is_running: matches!(task.state, TaskState::Running(_)),
                    asked: Some(asked),
                    answer: None,
                    sampled: None,
                    is_left_out: false,
                    polls_per_second: None,
                });
            }
            Err(TraceError::Finished) => drop(tasks.pop()),
            Err(error) => look.complete(task, handle, error),
        }
        None
    }

    /// Waits for the answer, unless there is a stack.
    fn wait(&self, deadline: Option<Instant>) {
        if let (Some(asked), false) = (&self.asked, self.has_stack()) {
            asked.wait_until(deadline);
        }
    }

    /// Waits as [`wait`](Self::wait) does, but returns early if the work is [unwanted](is_unwanted). Counts the turns
    /// of this thread.
    fn wait_if_wanted(&self, deadline: Option<Instant>, turns: &mut Turns) {
        while self.is_waiting() && !is_unwanted() {
            let next = Instant::now() + Turns::LENGTH;
            if deadline.is_some_and(|deadline| deadline <= next) {
                return self.wait(deadline);
            }
            self.wait(Some(next));
            if self.is_waiting() {
                turns.count();
            }
        }
    }

    /// Returns `true` if there may still be an answer to wait for.
    fn is_waiting(&self) -> bool {
        let asked = self.asked.as_ref();
        !self.has_stack() && asked.is_some_and(|asked| !asked.is_answered())
    }

    /// Takes the answer, if there is one now.
    fn take(&mut self) {
        if let Some(answer) = self.asked.as_ref().and_then(Asked::take) {
            self.answer = Some(answer);
            self.asked = None;
        }
    }

    /// Whether it is now in the poll that it was in before it was asked.
    fn is_in_same_poll(&self) -> bool {
        self.is_running && self.polls == self.handle.all_polls()
    }

    fn has_stack(&self) -> bool {
        self.sampled
            .as_ref()
            .is_some_and(|sampled| sampled.trace.is_ok())
    }

    /// Returns `true` if its thread was to be interrupted, and has not responded in time.
    fn has_not_responded(&self) -> bool {
        let trace = self.sampled.as_ref().map(|sampled| &sampled.trace);
        matches!(trace, Some(Err(NoSample::NoResponse(_))))
    }

    /// The thread that is in the middle of a poll of it, and for how long that has been so at a moment.
    fn running(&self, moment: Moment) -> Option<(u64, Duration)> {
        match self.handle.state_at(moment) {
            TaskState::Running(running) => Some((running.known_thread()?, running.duration())),
            _ => None,
        }
    }

    /// Completes the entry of the `task` with the answer, or as `unpolled` if it was not polled for one. Returns `false`
    /// if the task has finished.
    fn answer(
        self,
        task: &mut TaskDump,
        look: &mut Look,
        budget: Duration,
        unpolled: Unpolled,
    ) -> bool {
        task.polls_per_second = self.polls_per_second;
        let answer = match self.asked {
            // It waits no longer, but takes back the question.
            Some(asked) => asked.finish(budget),
            None => self.answer.unwrap_or(Err(TraceError::Finished)),
        };
        let sampled = self.sampled.map(|sampled| (sampled.task, sampled.trace));
        match (answer, sampled) {
            (_, Some((known, Ok(trace)))) => *task = known.with(trace, Source::Sample),
            (Ok(trace), _) => task.complete(look.of_moment(trace), Source::Capture),
            (Err(TraceError::Finished), _) => return false,
            (Err(_), Some((known, Err(error)))) => {
                *task = known;
                look.complete(task, self.handle, TraceError::NoSample(error));
            }
            (
                Err(TraceError::NoAnswer {
                    reason: NoAnswer::Running,
                    ..
                }),
                None,
            ) if self.is_left_out => {
                look.complete(task, self.handle, TraceError::NoSample(NoSample::NoTime));
            }
            (Err(error), None) => {
                let reason = NoAnswer::NotPolled;
                if matches!(error, TraceError::NoAnswer { reason: why, .. } if why == reason) {
                    task.unpolled = Some(unpolled);
                }
                look.complete(task, self.handle, error);
            }
        }
        true
    }
}

#[cfg(all(test, target_os = "linux", not(tasktrace_loom)))]
mod tests {
    use super::*;

    /// Returns how many threads were read about, of very many that are all there.
    fn read_about(longest: Duration) -> usize {
        let main = u64::from(std::process::id());
        let mut read = 0;
        let threads = std::iter::repeat_n(main, 10_000_000);
        computing(threads.inspect(|_| read += 1), longest);
        read
    }

    #[test]
    fn threads_are_read_about_until_the_time_is_over() {
        assert_eq!(
            read_about(Duration::ZERO),
            1,
            "the first is counted before it is refused"
        );
        assert!(read_about(Duration::from_millis(1)) < 10_000_000);
    }
}
