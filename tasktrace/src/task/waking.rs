//! Wakes tasks that have requests, on threads that no requester joins.
//!
//! To wake a task is to call its executor's code, which may not return: a waker that takes a lock blocks
//! for as long as another thread holds it, and an executor in a deadlock holds it for ever. A requester has a
//! budget, so it leaves the waking to a thread of ours, waits for the answer, and for no longer than it
//! wants to. A thread that does not come back from a waker is left there, and another goes on with the
//! rest.
//!
//! # How many threads
//!
//! One, most of the time, which waits for work for a [while](IDLE) before it ends. A request that finds
//! none at leisure gets another, up to [`MOST_THREADS`]. A thread is *stuck* if it is at the same task
//! still, some time after a thread has [looked](Pool::look). While one is, no other calls a waker of the
//! same executor: those requests are put aside until it comes back.
//!
//! No more than [`MOST_ALIKE`] threads are in wakers of one kind at the same time. Another waits for one of them to come
//! back, and if all of them are stuck it puts the request aside. So some executors that do not let go of our threads do
//! not keep those of other kinds from being asked, and however many tasks they have, few threads are lost to them.
//!
//! # Signals
//!
//! Our threads leave the program's signals to its own threads: no handler of the program runs on them, and none of
//! them takes a signal that the program waits for. A waker is code of the program, and what it spawns inherits what is
//! left to others: a process would ignore `SIGTERM`. So in a waker the thread leaves to others what the requester did
//! that started it, and what that thread had inherited if it is one of ours. Handlers may run in a waker, as they may
//! wherever else the program calls it. The thread holds no lock of ours meanwhile.
//!
//! # No foreign code under the lock
//!
//! Nothing is allocated or freed under it, either: batches are linked, and unlinked ones are handed out to be
//! dropped.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::reference::RecordRef;
use super::sight::Executor;
use crate::os;
use crate::sync::{
    StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as Guard, caught,
};

/// The largest number of threads.
const MOST_THREADS: usize = 8;

/// The number of threads that may be in wakers of one kind at the same time.
const MOST_ALIKE: usize = 2;

/// A thread that is at the same task for longer than this is stuck. Wakers take microseconds.
const STUCK: Duration = Duration::from_millis(5);

/// How long a thread sleeps before it tries again to enter a waker of a kind that enough threads are in.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a thread waits for more to do.
const IDLE: Duration = Duration::from_secs(10);

/// How long a requester in async code waits for the waking, on a thread of its executor.
///
/// Most often it has returned by then, and so the executor finds the task woken, as if it had been
/// done inline. An executor with a clock that moves on when there is nothing to do depends on that.
const MOMENT: Duration = Duration::from_millis(100);

/// The reason for waking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The task has been asked for a trace.
    Capture,
    /// A liveness probe: a poll shows that the executor runs.
    Probe,
}

/// Tasks that are being woken because they have requests. Dropping this cancels the wakes that are still to come.
pub(crate) struct Waking(Arc<Done>);

/// Shared by the requester and the thread that wakes.
struct Done {
    /// How many tasks have still to be woken.
    left: AtomicUsize,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Done {
    fn one_more(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.over.notify_all();
        }
    }
}

impl Waking {
    /// Wakes tasks that have been asked. Returns at once.
    pub(crate) fn start(tasks: impl Iterator<Item = RecordRef>) -> Self {
        let tasks: Vec<Option<RecordRef>> = tasks.map(Some).collect();
        let done = Arc::new(Done {
            left: AtomicUsize::new(tasks.len()),
            is_over: Mutex::new(tasks.is_empty()),
            over: Condvar::new(),
        });
        if !tasks.is_empty() {
            submit(Batch::new(tasks, Purpose::Capture, Arc::downgrade(&done)));
        }
        Self(done)
    }

    /// Returns `true` if the wakers of all tasks have returned.
    pub(crate) fn is_over(&self) -> bool {
        self.0.left.load(Ordering::Acquire) == 0
    }

    /// Waits a [moment](MOMENT) for the waking to return.
    pub(crate) fn wait_a_moment(&self) {
        let deadline = Instant::now() + MOMENT;
        let mut is_over = self
            .0
            .is_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while self.0.left.load(Ordering::Acquire) > 0 && !*is_over {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.over.wait_timeout(is_over, left);
            is_over = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Wakes a task to see whether it is polled. Returns at once.
pub(crate) fn probe(task: RecordRef) {
    submit(Batch::new(vec![Some(task)], Purpose::Probe, Weak::new()));
}

/// Blocks until there is an answer, or until `deadline`, and sees to it that no waker that does not return
/// is waited for.
pub(crate) fn wait<T>(answer: &Answer<T>, deadline: Option<Instant>) {
    loop {
        let slice = Instant::now() + STUCK;
        let until = deadline.map_or(slice, |deadline| deadline.min(slice));
        if answer.wait(Some(until)) || deadline.is_some_and(|deadline| deadline <= until) {
            return;
        }
        look();
    }
}

/// Tasks to be woken, in their order.
struct Batch {
    /// `None` in place of each task that was taken.
    tasks: Vec<Option<RecordRef>>,
    purpose: Purpose,
    /// Once this is gone no requester waits any more. A probe never has a requester that waits.
    done: Weak<Done>,
    /// The first that has not been looked at.
    next: usize,
    /// Some before that have been put aside.
    has_aside: bool,
    rest: Link,
}

type Link = Option<Box<Batch>>;

impl Batch {
    fn new(tasks: Vec<Option<RecordRef>>, purpose: Purpose, done: Weak<Done>) -> Box<Self> {
        Box::new(Self {
            tasks,
            purpose,
            done,
            next: 0,
            has_aside: false,
            rest: None,
        })
    }

    /// One task, put aside.
    fn aside(job: Job) -> Box<Self> {
        let mut batch = Self::new(vec![Some(job.task)], job.purpose, job.done);
        batch.next = 1;
        batch.has_aside = true;
        batch
    }

    fn is_wanted(&self) -> bool {
        match self.purpose {
            Purpose::Capture => self.done.strong_count() > 0,
            // A task of an executor whose wakers do not return need not be woken to see that.
            Purpose::Probe => self.next < self.tasks.len(),
        }
    }

    /// Returns `true` if there is nothing left to do.
    fn is_over(&self) -> bool {
        let is_through = self.next == self.tasks.len() && !self.has_aside;
        is_through || !self.is_wanted()
    }
}

/// Drops batches, one after the other: linked ones would be dropped in each other.
fn discard(mut batches: Link) {
    while let Some(mut batch) = batches {
        batches = batch.rest.take();
    }
}

/// A task to be woken now.
struct Job {
    task: RecordRef,
    purpose: Purpose,
    done: Weak<Done>,
}

/// A thread of ours.
#[derive(Clone, Copy)]
struct Thread {
    exists: bool,
    /// Whose waker it is calling.
    at: Option<Executor>,
    /// The kind of the waker that it is in: the address of its functions.
    kind: Option<usize>,
    /// How many tasks it has begun to wake.
    step: u64,
    /// The value of `step` when the thread was last looked at.
    seen: u64,
    is_stuck: bool,
}

const NO_THREAD: Thread = Thread {
    exists: false,
    at: None,
    kind: None,
    step: 0,
    seen: 0,
    is_stuck: false,
};

/// Says whether a thread may call a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Entry {
    Entered,
    /// As many threads are in wakers of this kind as may be. They may come back soon.
    Later,
    /// They are all stuck.
    Stuck,
}

struct Pool {
    /// The last that was submitted first.
    incoming: Link,
    /// In their order. They come from the above.
    batches: Link,
    /// How many batches no thread has begun with.
    untouched: usize,
    threads: [Thread; MOST_THREADS],
    /// How many of them wait for work.
    idle: usize,
    /// When it was last looked at what they do.
    looked: Option<Instant>,
    /// The process of the threads.
    process: u32,
}

/// The pool of one process, and the condition variable that its threads wait for.
struct Place {
    pool: Mutex<Pool>,
    work: Condvar,
}

/// The number of places. A child of `fork` uses another place than its parent: a thread that was just notified has
/// the lock before a fork can know of it, so the parent's lock may stay locked for ever in the child.
const PLACES: usize = 16;

static ALL: [Place; PLACES] = [const {
    Place {
        pool: Mutex::new(Pool::new(0)),
        work: Condvar::new(),
    }
}; PLACES];

/// The process that has used one of them last, and which.
static OWNER: AtomicU64 = AtomicU64::new(0);

fn place() -> &'static Place {
    let process = u64::from(process::id());
    let mut owner = OWNER.load(Ordering::Relaxed);
    loop {
        let (of, at) = (owner >> 8, owner & 0xff);
        let at = if of == process {
            at
        } else {
            (at + 1) % PLACES as u64
        };
        let own = process << 8 | at;
        if of == process {
            return &ALL[usize::try_from(at).unwrap_or(0)];
        }
        match OWNER.compare_exchange(owner, own, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => owner = own,
            Err(now) => owner = now,
        }
    }
}

fn pool() -> Guard<'static, Pool> {
    let mut pool = place().pool.lock().unwrap_or_else(PoisonError::into_inner);
    let process = process::id();
    if pool.process != process {
        // The batches of the former process have no requesters in this one.
        std::mem::forget(std::mem::replace(&mut *pool, Pool::new(process)));
    }
    pool
}

/// Has a batch done.
fn submit(mut batch: Box<Batch>) {
    let mut pool = pool();
    batch.rest = pool.incoming.take();
    pool.incoming = Some(batch);
    pool.untouched += 1;
    pool.look(Instant::now());
    // Without an idle thread to take them, batches without requesters would add up.
    let unwanted = match pool.idle {
        0 => pool.take_unwanted(),
        _ => None,
    };
    let thread = match pool.untouched > pool.idle {
        true => pool.reserve_thread(),
        false => None,
    };
    drop(pool);
    place().work.notify_one();
    if let Some(thread) = thread {
        start(thread);
    }
    discard(unwanted);
}

/// Looks whether threads are stuck, and has another take over from them.
fn look() {
    let mut pool = pool();
    let has_work = pool.look(Instant::now()) && pool.has_work();
    let thread = match has_work && pool.are_all_stuck() {
        true => pool.reserve_thread(),
        false => None,
    };
    // The thread that was notified of a batch may be stuck at one of its tasks, with others still to come.
    let can_go_on = has_work && pool.idle > 0;
    drop(pool);
    if can_go_on {
        place().work.notify_one();
    }
    if let Some(thread) = thread {
        start(thread);
    }
}

/// The last thread could not be started, and there was no other: no task is woken until one can.
static IS_WITHOUT_THREAD: AtomicBool = AtomicBool::new(false);

/// Returns `true` if tasks are not woken, because no thread could be started for that.
pub(crate) fn is_without_thread() -> bool {
    IS_WITHOUT_THREAD.load(Ordering::Relaxed)
}

fn start(me: usize) {
    let started = os::thread::spawn("tasktrace-waker", move || work(me));
    let mut pool = pool();
    if started.is_err() {
        // Those who are there do what they can. The tasks of others do not answer.
        pool.threads[me].exists = false;
    }
    let exists_any = pool.threads.iter().any(|thread| thread.exists);
    // With the lock held, so that the last to know is right.
    IS_WITHOUT_THREAD.store(started.is_err() && !exists_any, Ordering::Relaxed);
}

impl Pool {
    const fn new(process: u32) -> Self {
        Self {
            incoming: None,
            batches: None,
            untouched: 0,
            threads: [NO_THREAD; MOST_THREADS],
            idle: 0,
            looked: None,
            process,
        }
    }

    fn reserve_thread(&mut self) -> Option<usize> {
        let free = self.threads.iter().position(|thread| !thread.exists)?;
        self.threads[free] = Thread {
            exists: true,
            ..NO_THREAD
        };
        Some(free)
    }

    /// Finds out which threads are stuck, unless that has just been done. Returns `true` if so.
    fn look(&mut self, now: Instant) -> bool {
        if self
            .looked
            .is_some_and(|looked| now.saturating_duration_since(looked) < STUCK)
        {
            return false;
        }
        self.looked = Some(now);
        for thread in self.threads.iter_mut().filter(|it| it.at.is_some()) {
            thread.is_stuck |= thread.step == thread.seen;
            thread.seen = thread.step;
        }
        true
    }

    /// Returns `true` if there are tasks to be woken that no thread has taken.
    fn has_work(&self) -> bool {
        let mut link = &self.batches;
        let mut batches = std::iter::from_fn(|| {
            let batch = link.as_ref()?;
            link = &batch.rest;
            Some(batch)
        });
        self.incoming.is_some() || batches.any(|batch| batch.next < batch.tasks.len())
    }

    /// Returns `true` if no thread can come to more work.
    fn are_all_stuck(&self) -> bool {
        let mut all = self.threads.iter().filter(|thread| thread.exists);
        all.all(|thread| thread.is_stuck)
    }

    /// Moves what has come to the end of what was there.
    fn sort_in(&mut self) {
        let mut sorted = None;
        while let Some(mut batch) = self.incoming.take() {
            self.incoming = std::mem::replace(&mut batch.rest, sorted);
            sorted = Some(batch);
        }
        let mut end = &mut self.batches;
        while let Some(batch) = end {
            end = &mut batch.rest;
        }
        *end = sorted;
    }

    /// Unlinks the batches that are over, or for which no requester waits.
    fn take_unwanted(&mut self) -> Link {
        let mut unwanted = None;
        self.sort_in();
        let mut link = &mut self.batches;
        let mut untouched = 0;
        while let Some(batch) = link.take() {
            match batch.is_over() {
                true => unlink(link, batch, &mut unwanted),
                false => {
                    untouched += usize::from(batch.next == 0);
                    link = &mut link.insert(batch).rest;
                }
            }
        }
        self.untouched = untouched;
        unwanted
    }

    /// The next task for this thread. What is over on the way there is handed out.
    fn take(&mut self, me: usize, over: &mut Link) -> Option<Job> {
        let job = self.take_sorted(me, over);
        if job.is_some() || self.incoming.is_none() {
            return job;
        }
        self.sort_in();
        self.take_sorted(me, over)
    }

    fn take_sorted(&mut self, me: usize, over: &mut Link) -> Option<Job> {
        let Self {
            batches,
            threads,
            untouched,
            ..
        } = self;
        let mut link = batches;
        while let Some(mut batch) = link.take() {
            *untouched = untouched.saturating_sub(usize::from(batch.next == 0));
            // It has been touched, also if there is nothing to be done for it.
            let mut job = None;
            while job.is_none() && batch.is_wanted() && batch.next < batch.tasks.len() {
                let at = batch.next;
                batch.next += 1;
                let Some(executor) = batch.tasks[at].as_ref().map(|task| task.executor()) else {
                    continue;
                };
                let mut stuck = threads.iter().filter(|thread| thread.is_stuck);
                if stuck.any(|thread| thread.at == Some(executor)) {
                    batch.has_aside = true;
                    continue;
                }
                let thread = &mut threads[me];
                thread.at = Some(executor);
                thread.step += 1;
                job = batch.tasks[at].take().map(|task| Job {
                    task,
                    purpose: batch.purpose,
                    done: batch.done.clone(),
                });
            }
            match batch.is_over() {
                true => unlink(link, batch, over),
                false => link = &mut link.insert(batch).rest,
            }
            if job.is_some() {
                return job;
            }
        }
        None
    }

    /// A thread has come back from a waker.
    fn has_returned(&mut self, me: usize) {
        let thread = &mut self.threads[me];
        thread.at = None;
        thread.kind = None;
        if !std::mem::replace(&mut thread.is_stuck, false) {
            return;
        }
        // The tasks that were put aside because of it are looked at again.
        self.sort_in();
        let mut link = &mut self.batches;
        while let Some(batch) = link {
            if std::mem::replace(&mut batch.has_aside, false) {
                self.untouched += usize::from(batch.next != 0);
                batch.next = 0;
            }
            link = &mut batch.rest;
        }
    }

    /// Returns the threads that are in wakers of this kind.
    fn alike(&self, kind: usize) -> impl Iterator<Item = &Thread> {
        let is_alike = move |thread: &&Thread| thread.kind == Some(kind);
        self.threads.iter().filter(is_alike)
    }

    /// Has this thread enter a waker of this kind, if there is room for it.
    fn enter(&mut self, me: usize, kind: usize) -> Entry {
        if self.alike(kind).count() < MOST_ALIKE {
            self.threads[me].kind = Some(kind);
            return Entry::Entered;
        }
        match self.alike(kind).all(|thread| thread.is_stuck) {
            true => Entry::Stuck,
            false => Entry::Later,
        }
    }
}

/// Takes a batch, which was at `link`, out of its list and puts it into another.
fn unlink(link: &mut Link, mut batch: Box<Batch>, into: &mut Link) {
    *link = std::mem::replace(&mut batch.rest, into.take());
    *into = Some(batch);
}

/// Does what is to be done, until there is nothing for a while.
fn work(me: usize) {
    while let Some(job) = next(me) {
        // Only foreign code panics here.
        let _ = caught(|| wake(me, job));
    }
}

fn next(me: usize) -> Option<Job> {
    let mut over = None;
    let mut pool = pool();
    pool.has_returned(me);
    let mut is_late = false;
    loop {
        let job = pool.take(me, &mut over);
        if job.is_some() || over.is_some() {
            drop(pool);
            discard(over.take());
            if job.is_some() {
                return job;
            }
            pool = self::pool();
            continue;
        }
        if is_late {
            pool.threads[me].exists = false;
            return None;
        }
        pool.idle += 1;
        let waited = place().work.wait_timeout(pool, IDLE);
        let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        pool = guard;
        pool.idle -= 1;
        is_late = timeout.timed_out();
    }
}

fn wake(me: usize, job: Job) {
    if let Err(kind) = wake_unless_stuck(me, &job) {
        put_aside(job, kind);
    } else if let Some(done) = job.done.upgrade() {
        done.one_more();
    }
}

/// Wakes the task. Returns the kind of its waker if it was not called, because enough threads are stuck in such wakers.
fn wake_unless_stuck(me: usize, job: &Job) -> Result<(), usize> {
    let loan = match job.purpose {
        Purpose::Capture => job.task.lend_for_capture(),
        Purpose::Probe => job.task.lend_for_probe(),
    };
    let Some(loan) = loan else {
        return Ok(());
    };
    let kind = std::ptr::from_ref(loan.waker().vtable()).addr();
    if !enter(me, kind) {
        return Err(kind);
    }
    os::signal::as_the_program(|| loan.wake());
    Ok(())
}

/// Enters a waker of this kind. Waits for others to come back from such wakers, and returns `false` if these are stuck.
fn enter(me: usize, kind: usize) -> bool {
    loop {
        let entry = pool().enter(me, kind);
        match entry {
            Entry::Entered => return true,
            Entry::Stuck => return false,
            Entry::Later => thread::sleep(PAUSE),
        }
        pool().look(Instant::now());
    }
}

fn put_aside(job: Job, kind: usize) {
    if job.purpose == Purpose::Probe {
        return;
    }
    let mut batch = Batch::aside(job);
    let mut pool = pool();
    let is_stuck = pool.alike(kind).all(|thread| thread.is_stuck);
    if pool.alike(kind).count() < MOST_ALIKE || !is_stuck {
        // The thread that was stuck has come back meanwhile, and so has looked at those put aside before.
        batch.next = 0;
        batch.has_aside = false;
        pool.untouched += 1;
    }
    batch.rest = pool.incoming.take();
    pool.incoming = Some(batch);
}
