//! Runs the thread that reads the debug info of this process once, and then its memory for each dump.

use std::borrow::Borrow;
use std::mem;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tasktrace_inspect::{Address, Limits, OwnProcess, Report, Root};

use super::Inspection;
use crate::os;
use crate::os::time::Instant;
use crate::sync::StaticMutex as Mutex;
use crate::task::TraceHandle;

/// The shortest time for which memory is read, so that a late request still reads some tasks.
const LEAST_TIME: Duration = Duration::from_millis(10);

/// The time that the report of a hung test waits for debug info and memory. A crate that is not optimised needs ten
/// times as long as one that is, and the test hangs anyway.
pub(crate) const TIME_TO_READ: Duration = Duration::from_secs(20);

/// A request to read the memory.
struct Request {
    roots: Vec<Root>,
    deadline: Instant,
    answer: Sender<Answer>,
}

/// The report, or the reason why nothing was read.
type Answer = Result<Report, String>;

/// The thread of a process that reads.
struct Reader {
    process: u32,
    requests: Sender<Request>,
}

/// The thread that reads. A child of `fork` has to start one of its own.
static READER: Mutex<Option<Reader>> = Mutex::new(None);

/// The process whose debug info has been read.
static READY: AtomicU32 = AtomicU32::new(0);

/// Starts the thread that reads the debug info, unless it was started before. Does not wait for it.
pub(crate) fn prepare() {
    drop(requests());
}

/// Reads where the tasks of this process wait, and waits for that until `deadline`. `handles` are the traced tasks.
pub(crate) fn read(
    handles: impl IntoIterator<Item = impl Borrow<TraceHandle>>,
    deadline: Instant,
) -> Option<Inspection> {
    let (sender, answer) = mpsc::channel();
    let request = Request {
        roots: handles
            .into_iter()
            .filter_map(|handle| root(handle.borrow()))
            .collect(),
        deadline,
        answer: sender,
    };
    let Some(requests) = requests() else {
        let problem = "the thread that reads memory could not be started".to_owned();
        return Some(Inspection::new(Err(problem)));
    };
    let reader_ended = || Err("the thread that reads memory has ended".to_owned());
    if requests.send(request).is_err() {
        return Some(Inspection::new(reader_ended()));
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let is_ready = || READY.load(Ordering::Acquire) == os::process_id();
    let answer = match answer.recv_timeout(left) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) if is_ready() => {
            Err("reading it took too long".to_owned())
        }
        Err(RecvTimeoutError::Timeout) => Err(
            "the debug info of the program is still being read; a later dump will have it (reading takes less time \
             with `opt-level = 3` for the packages gimli and tasktrace-inspect)"
                .to_owned(),
        ),
        Err(RecvTimeoutError::Disconnected) => reader_ended(),
    };
    Some(Inspection::new(answer))
}

/// Returns where the future of a task is, unless another task polls it.
fn root(handle: &TraceHandle) -> Option<Root> {
    let root = handle.root()?;
    let number = |address: usize| Address::new(address as u64);
    let task = handle.runtime_task().map(|task| task.numbers().1);
    (!handle.is_nested()).then(|| Root {
        number: handle.id().get(),
        // `block_on` has no number.
        task: task.filter(|task| *task != 0),
        future: number(root.future),
        vtable: number(root.vtable),
        polls: number(root.last_poll),
    })
}

/// Returns the channel to the thread that reads, which it starts if there is none.
fn requests() -> Option<Sender<Request>> {
    let process = os::process_id();
    let known = || {
        let reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
        let own = reader.as_ref().filter(|reader| reader.process == process);
        own.map(|reader| reader.requests.clone())
    };
    if let Some(requests) = known() {
        return Some(requests);
    }
    // Nothing is allocated, and no thread started, while the lock is held.
    let (sender, receiver) = mpsc::channel();
    let requests = sender.clone();
    let mut new = Some(Reader {
        process,
        requests: sender,
    });
    let before = {
        let mut reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
        match &*reader {
            // Another thread has started it meanwhile.
            Some(other) if other.process == process => None,
            _ => mem::replace(&mut *reader, new.take()),
        }
    };
    // In a child of `fork`, the channel of the parent has no receiving thread, and its lock may be taken for ever.
    mem::forget(before);
    if new.is_some() {
        return known();
    }
    let spawned = os::thread::spawn_with_stack("tasktrace-inspect", OwnProcess::STACK, move || {
        serve(&receiver);
    });
    if spawned.is_err() {
        let mut reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = reader.take();
        drop(reader);
        drop(failed);
        return None;
    }
    Some(requests)
}

/// Reads the debug info, and then the memory for each request.
fn serve(requests: &Receiver<Request>) {
    let opened = OwnProcess::open(|process| {
        READY.store(os::process_id(), Ordering::Release);
        for request in requests {
            let left = request.deadline.saturating_duration_since(Instant::now());
            let mut limits = Limits::default();
            limits.time = left.max(LEAST_TIME);
            let report = process.read(&request.roots, limits);
            // The requester may have gone.
            let _ = request
                .answer
                .send(report.map_err(|error| error.to_string()));
        }
    });
    if let Err(error) = opened {
        let error = error.to_string();
        for request in requests {
            let _ = request.answer.send(Err(error.clone()));
        }
    }
}
